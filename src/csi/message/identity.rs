//! Messages of the Identity service.

use super::StringMap;

messages! {
    GetPluginInfoRequest {}

    GetPluginInfoResponse {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        vendor_version: String,
        #[prost(btree_map = "string, string", tag = "3")]
        manifest: StringMap,
    }

    GetPluginCapabilitiesRequest {}

    GetPluginCapabilitiesResponse {
        #[prost(message, repeated, tag = "1")]
        capabilities: Vec<PluginCapability>,
    }

    PluginCapability {
        #[prost(oneof = "PluginCapabilityType", tags = "1, 2")]
        r#type: Option<PluginCapabilityType>,
    }

    PluginService {
        #[prost(enumeration = "PluginServiceType", tag = "1")]
        r#type: i32,
    }

    PluginVolumeExpansion {
        #[prost(enumeration = "PluginVolumeExpansionType", tag = "1")]
        r#type: i32,
    }

    ProbeRequest {}

    ProbeResponse {
        #[prost(message, optional, tag = "1")]
        ready: Option<bool>,
    }
}

choices! {
    PluginCapabilityType {
        #[prost(message, tag = "1")]
        Service(PluginService),
        #[prost(message, tag = "2")]
        VolumeExpansion(PluginVolumeExpansion),
    }
}

enumerations! {
    PluginServiceType {
        Unknown = 0,
        ControllerService = 1,
        VolumeAccessibilityConstraints = 2,
        GroupControllerService = 3,
        SnapshotMetadataService = 4,
        SnapshotAccessibilityConstraints = 5,
    }

    PluginVolumeExpansionType {
        Unknown = 0,
        Online = 1,
        Offline = 2,
    }
}
