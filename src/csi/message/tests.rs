//! Every message beside the official Go modules: the same bytes, names and values.
//!
//! `tests/csi/messages.json` is written by the Go program in `tests/csi/messages` with CSI 1.13, and
//! `tests/csi/messages-1.12.json` with CSI 1.12, for what 1.13 dropped and older kubelets read. `tests/csi/run` compares
//! both with the program's output.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use super::*;

/// An entry of the list.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Entry {
    Message { message: String, bytes: String, fields: Json },
    Enumeration { enumeration: String, values: BTreeMap<String, i32> },
    Service { service: String, calls: Vec<[String; 3]> },
}

fn entries() -> Vec<Entry> {
    let texts = [
        include_str!("../../../tests/csi/messages.json"),
        include_str!("../../../tests/csi/messages-1.12.json"),
    ];
    let read = |text| serde_json::from_str::<Vec<Entry>>(text).expect("a list of entries");
    texts.into_iter().flat_map(read).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("digits");
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Decodes a message. Returns its bytes as they are encoded again, and its fields.
fn round_trip<M: prost::Message + Default + serde::Serialize>(bytes: &[u8]) -> (Vec<u8>, Json) {
    let message = M::decode(bytes).expect("it is decoded");
    (message.encode_to_vec(), serde_json::to_value(&message).expect("as JSON"))
}

/// Declares what decodes the message of each official name.
macro_rules! decoders {
    ($( $official:literal => $type:ty, )*) => {
        fn decoded(official: &str, bytes: &[u8]) -> Option<(Vec<u8>, Json)> {
            match official {
                $( $official => Some(round_trip::<$type>(bytes)), )*
                _ => None,
            }
        }

        const DECODERS: &[&str] = &[$( $official, )*];
    };
}

decoders! {
    "GetPluginInfoRequest" => GetPluginInfoRequest,
    "GetPluginInfoResponse" => GetPluginInfoResponse,
    "GetPluginCapabilitiesRequest" => GetPluginCapabilitiesRequest,
    "GetPluginCapabilitiesResponse" => GetPluginCapabilitiesResponse,
    "PluginCapability" => PluginCapability,
    "PluginCapability.Service" => PluginService,
    "PluginCapability.VolumeExpansion" => PluginVolumeExpansion,
    "ProbeRequest" => ProbeRequest,
    "ProbeResponse" => ProbeResponse,
    "CreateVolumeRequest" => CreateVolumeRequest,
    "CapacityRange" => CapacityRange,
    "VolumeCapability" => VolumeCapability,
    "VolumeCapability.BlockVolume" => BlockVolume,
    "VolumeCapability.MountVolume" => MountVolume,
    "VolumeCapability.AccessMode" => AccessMode,
    "VolumeContentSource" => VolumeContentSource,
    "VolumeContentSource.SnapshotSource" => SnapshotSource,
    "VolumeContentSource.VolumeSource" => VolumeSource,
    "TopologyRequirement" => TopologyRequirement,
    "Topology" => Topology,
    "CreateVolumeResponse" => CreateVolumeResponse,
    "Volume" => Volume,
    "DeleteVolumeRequest" => DeleteVolumeRequest,
    "DeleteVolumeResponse" => DeleteVolumeResponse,
    "ControllerPublishVolumeRequest" => ControllerPublishVolumeRequest,
    "ControllerPublishVolumeResponse" => ControllerPublishVolumeResponse,
    "ControllerUnpublishVolumeRequest" => ControllerUnpublishVolumeRequest,
    "ControllerUnpublishVolumeResponse" => ControllerUnpublishVolumeResponse,
    "ValidateVolumeCapabilitiesRequest" => ValidateVolumeCapabilitiesRequest,
    "ValidateVolumeCapabilitiesResponse" => ValidateVolumeCapabilitiesResponse,
    "ValidateVolumeCapabilitiesResponse.Confirmed" => Confirmed,
    "ListVolumesRequest" => ListVolumesRequest,
    "ListVolumesResponse" => ListVolumesResponse,
    "ListVolumesResponse.Entry" => VolumeEntry,
    "ListVolumesResponse.VolumeStatus" => VolumeStatus,
    "VolumeCondition" => VolumeCondition,
    "VolumeHealth" => VolumeHealth,
    "VolumeHealth.VolumeHealthEntry" => VolumeHealthEntry,
    "ControllerListVolumeHealthRequest" => ControllerListVolumeHealthRequest,
    "ControllerListVolumeHealthResponse" => ControllerListVolumeHealthResponse,
    "ControllerGetVolumeHealthRequest" => ControllerGetVolumeHealthRequest,
    "ControllerGetVolumeHealthResponse" => ControllerGetVolumeHealthResponse,
    "NodeGetVolumeHealthRequest" => NodeGetVolumeHealthRequest,
    "NodeGetVolumeHealthResponse" => NodeGetVolumeHealthResponse,
    "NodeGetStorageHealthRequest" => NodeGetStorageHealthRequest,
    "NodeGetStorageHealthResponse" => NodeGetStorageHealthResponse,
    "NodeGetStorageHealthResponse.StorageBackendHealth" => StorageBackendHealth,
    "GetCapacityRequest" => GetCapacityRequest,
    "GetCapacityResponse" => GetCapacityResponse,
    "ControllerGetCapabilitiesRequest" => ControllerGetCapabilitiesRequest,
    "ControllerGetCapabilitiesResponse" => ControllerGetCapabilitiesResponse,
    "ControllerServiceCapability" => ControllerServiceCapability,
    "ControllerServiceCapability.RPC" => ControllerRpc,
    "CreateSnapshotRequest" => CreateSnapshotRequest,
    "CreateSnapshotResponse" => CreateSnapshotResponse,
    "Snapshot" => Snapshot,
    "DeleteSnapshotRequest" => DeleteSnapshotRequest,
    "DeleteSnapshotResponse" => DeleteSnapshotResponse,
    "ListSnapshotsRequest" => ListSnapshotsRequest,
    "ListSnapshotsResponse" => ListSnapshotsResponse,
    "ListSnapshotsResponse.Entry" => SnapshotEntry,
    "GetSnapshotRequest" => GetSnapshotRequest,
    "GetSnapshotResponse" => GetSnapshotResponse,
    "ControllerExpandVolumeRequest" => ControllerExpandVolumeRequest,
    "ControllerExpandVolumeResponse" => ControllerExpandVolumeResponse,
    "ControllerGetVolumeRequest" => ControllerGetVolumeRequest,
    "ControllerGetVolumeResponse" => ControllerGetVolumeResponse,
    // The same fields as in the list of volumes.
    "ControllerGetVolumeResponse.VolumeStatus" => VolumeStatus,
    "ControllerModifyVolumeRequest" => ControllerModifyVolumeRequest,
    "ControllerModifyVolumeResponse" => ControllerModifyVolumeResponse,
    "NodeStageVolumeRequest" => NodeStageVolumeRequest,
    "NodeStageVolumeResponse" => NodeStageVolumeResponse,
    "NodeUnstageVolumeRequest" => NodeUnstageVolumeRequest,
    "NodeUnstageVolumeResponse" => NodeUnstageVolumeResponse,
    "NodePublishVolumeRequest" => NodePublishVolumeRequest,
    "NodePublishVolumeResponse" => NodePublishVolumeResponse,
    "NodeUnpublishVolumeRequest" => NodeUnpublishVolumeRequest,
    "NodeUnpublishVolumeResponse" => NodeUnpublishVolumeResponse,
    "NodeGetVolumeStatsRequest" => NodeGetVolumeStatsRequest,
    "NodeGetVolumeStatsResponse" => NodeGetVolumeStatsResponse,
    "VolumeUsage" => VolumeUsage,
    "NodeExpandVolumeRequest" => NodeExpandVolumeRequest,
    "NodeExpandVolumeResponse" => NodeExpandVolumeResponse,
    "NodeGetCapabilitiesRequest" => NodeGetCapabilitiesRequest,
    "NodeGetCapabilitiesResponse" => NodeGetCapabilitiesResponse,
    "NodeServiceCapability" => NodeServiceCapability,
    "NodeServiceCapability.RPC" => NodeRpc,
    "NodeGetInfoRequest" => NodeGetInfoRequest,
    "NodeGetInfoResponse" => NodeGetInfoResponse,
    "InfoRequest" => InfoRequest,
    "PluginInfo" => PluginInfo,
    "RegistrationStatus" => RegistrationStatus,
    "RegistrationStatusResponse" => RegistrationStatusResponse,
}

#[test]
fn every_message_has_the_official_bytes_names_and_values() {
    let mut seen = std::collections::BTreeSet::new();
    for entry in entries() {
        let Entry::Message { message, bytes, fields } = entry else { continue };
        let bytes = unhex(&bytes);
        let (encoded, read) = decoded(&message, &bytes)
            .unwrap_or_else(|| panic!("{message} is not declared in src/csi/message"));
        assert_eq!(read, fields, "{message}");
        assert_eq!(encoded, bytes, "{message}");
        seen.insert(message);
    }
    let decoders: std::collections::BTreeSet<String> =
        DECODERS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(seen, decoders, "messages that are declared and not official");
}

/// Returns the name of a number as we declare it, in the official spelling.
fn value(enumeration: &str, number: i32) -> Option<String> {
    fn name<E: TryFrom<i32> + std::fmt::Debug>(number: i32) -> Option<String> {
        let name = format!("{:?}", E::try_from(number).ok()?);
        let mut official = String::new();
        for c in name.chars() {
            if c.is_ascii_uppercase() && !official.is_empty() {
                official.push('_');
            }
            official.push(c.to_ascii_uppercase());
        }
        Some(official)
    }
    match enumeration {
        "PluginCapability.Service.Type" => name::<PluginServiceType>(number),
        "PluginCapability.VolumeExpansion.Type" => name::<PluginVolumeExpansionType>(number),
        "VolumeCapability.AccessMode.Mode" => name::<Mode>(number),
        "ControllerServiceCapability.RPC.Type" => name::<ControllerRpcType>(number),
        "NodeServiceCapability.RPC.Type" => name::<NodeRpcType>(number),
        "VolumeUsage.Unit" => name::<UsageUnit>(number),
        "VolumeHealthErrorType" => name::<VolumeHealthErrorType>(number),
        "StorageHealthErrorType" => name::<StorageHealthErrorType>(number),
        other => panic!("{other} is not declared in src/csi/message"),
    }
}

#[test]
fn every_enumeration_has_the_official_names_and_numbers() {
    let mut seen = 0;
    for entry in entries() {
        let Entry::Enumeration { enumeration, values } = entry else { continue };
        for (official, number) in &values {
            assert_eq!(
                value(&enumeration, *number).as_ref(),
                Some(official),
                "{enumeration} {number}"
            );
        }
        let most = values.values().max().expect("a value");
        assert_eq!(value(&enumeration, most + 1), None, "{enumeration}");
        seen += 1;
    }
    assert_eq!(seen, 8);
}

#[test]
fn every_call_has_the_official_path_and_messages() {
    let declared: BTreeMap<String, String> = crate::csi::rpc::CALLS
        .iter()
        .map(|(service, path, request, response)| {
            // A type may be written with its path.
            let last = |name: &str| name.rsplit("::").next().unwrap_or_default().trim().to_owned();
            (format!("{service}/{path}"), format!("{} {}", last(request), last(response)))
        })
        .collect();
    let mut official = BTreeMap::new();
    for entry in entries() {
        let Entry::Service { service, calls } = entry else { continue };
        for [path, request, response] in calls {
            official.insert(format!("{service}/{path}"), format!("{request} {response}"));
        }
    }
    assert_eq!(declared, official);
}

#[test]
fn secrets_are_not_in_debug_output() {
    let secrets: StringMap = [("password".to_owned(), "open sesame".to_owned())].into();
    let has_secrets = |entry: &Entry| matches!(entry, Entry::Message { fields, .. } if fields.get("secrets").is_some());
    let with_secrets = entries().iter().filter(|entry| has_secrets(entry)).count();
    macro_rules! shown {
        ($( $request:ident )*) => {
            [$({
                let mut request = $request::default();
                request.secrets.clone_from(&secrets);
                format!("{request:?}")
            }),*]
        };
    }
    let requests = shown! {
        NodeStageVolumeRequest
        NodePublishVolumeRequest
        NodeExpandVolumeRequest
        NodeGetStorageHealthRequest
        ControllerListVolumeHealthRequest
        ControllerGetVolumeHealthRequest
        CreateVolumeRequest
        DeleteVolumeRequest
        ControllerPublishVolumeRequest
        ControllerUnpublishVolumeRequest
        ValidateVolumeCapabilitiesRequest
        ControllerModifyVolumeRequest
        ControllerExpandVolumeRequest
        CreateSnapshotRequest
        DeleteSnapshotRequest
        ListSnapshotsRequest
        GetSnapshotRequest
    };
    assert_eq!(requests.len(), with_secrets, "requests with secrets");
    for request in requests {
        assert!(!request.contains("sesame"), "{request}");
    }
}
