//! Messages of the Controller service about volumes.

use super::{
    CapacityRange, StringMap, Topology, TopologyRequirement, Volume, VolumeCapability,
    VolumeContentSource,
};

messages! {
    #[prost(skip_debug)]
    CreateVolumeRequest {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(message, optional, tag = "2")]
        capacity_range: Option<CapacityRange>,
        #[prost(message, repeated, tag = "3")]
        volume_capabilities: Vec<VolumeCapability>,
        #[prost(btree_map = "string, string", tag = "4")]
        parameters: StringMap,
        #[prost(btree_map = "string, string", tag = "5")]
        secrets: StringMap,
        #[prost(message, optional, tag = "6")]
        volume_content_source: Option<VolumeContentSource>,
        #[prost(message, optional, tag = "7")]
        accessibility_requirements: Option<TopologyRequirement>,
        #[prost(btree_map = "string, string", tag = "8")]
        mutable_parameters: StringMap,
    }

    CreateVolumeResponse {
        #[prost(message, optional, tag = "1")]
        volume: Option<Volume>,
    }

    #[prost(skip_debug)]
    DeleteVolumeRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(btree_map = "string, string", tag = "2")]
        secrets: StringMap,
    }

    DeleteVolumeResponse {}

    #[prost(skip_debug)]
    ControllerPublishVolumeRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(string, tag = "2")]
        node_id: String,
        #[prost(message, optional, tag = "3")]
        volume_capability: Option<VolumeCapability>,
        #[prost(bool, tag = "4")]
        readonly: bool,
        #[prost(btree_map = "string, string", tag = "5")]
        secrets: StringMap,
        #[prost(btree_map = "string, string", tag = "6")]
        volume_context: StringMap,
    }

    ControllerPublishVolumeResponse {
        #[prost(btree_map = "string, string", tag = "1")]
        publish_context: StringMap,
    }

    #[prost(skip_debug)]
    ControllerUnpublishVolumeRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(string, tag = "2")]
        node_id: String,
        #[prost(btree_map = "string, string", tag = "3")]
        secrets: StringMap,
    }

    ControllerUnpublishVolumeResponse {}

    #[prost(skip_debug)]
    ValidateVolumeCapabilitiesRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(btree_map = "string, string", tag = "2")]
        volume_context: StringMap,
        #[prost(message, repeated, tag = "3")]
        volume_capabilities: Vec<VolumeCapability>,
        #[prost(btree_map = "string, string", tag = "4")]
        parameters: StringMap,
        #[prost(btree_map = "string, string", tag = "5")]
        secrets: StringMap,
        #[prost(btree_map = "string, string", tag = "6")]
        mutable_parameters: StringMap,
    }

    ValidateVolumeCapabilitiesResponse {
        #[prost(message, optional, tag = "1")]
        confirmed: Option<Confirmed>,
        #[prost(string, tag = "2")]
        message: String,
    }

    Confirmed {
        #[prost(btree_map = "string, string", tag = "1")]
        volume_context: StringMap,
        #[prost(message, repeated, tag = "2")]
        volume_capabilities: Vec<VolumeCapability>,
        #[prost(btree_map = "string, string", tag = "3")]
        parameters: StringMap,
        #[prost(btree_map = "string, string", tag = "4")]
        mutable_parameters: StringMap,
    }

    ListVolumesRequest {
        #[prost(int32, tag = "1")]
        max_entries: i32,
        #[prost(string, tag = "2")]
        starting_token: String,
    }

    ListVolumesResponse {
        #[prost(message, repeated, tag = "1")]
        entries: Vec<VolumeEntry>,
        #[prost(string, tag = "2")]
        next_token: String,
    }

    VolumeEntry {
        #[prost(message, optional, tag = "1")]
        volume: Option<Volume>,
        #[prost(message, optional, tag = "2")]
        status: Option<VolumeStatus>,
    }

    VolumeStatus {
        #[prost(string, repeated, tag = "1")]
        published_node_ids: Vec<String>,
    }

    ControllerGetVolumeRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
    }

    ControllerGetVolumeResponse {
        #[prost(message, optional, tag = "1")]
        volume: Option<Volume>,
        #[prost(message, optional, tag = "2")]
        status: Option<VolumeStatus>,
    }

    #[prost(skip_debug)]
    ControllerModifyVolumeRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(btree_map = "string, string", tag = "2")]
        secrets: StringMap,
        #[prost(btree_map = "string, string", tag = "3")]
        mutable_parameters: StringMap,
    }

    ControllerModifyVolumeResponse {}

    GetCapacityRequest {
        #[prost(message, repeated, tag = "1")]
        volume_capabilities: Vec<VolumeCapability>,
        #[prost(btree_map = "string, string", tag = "2")]
        parameters: StringMap,
        #[prost(message, optional, tag = "3")]
        accessible_topology: Option<Topology>,
    }

    GetCapacityResponse {
        #[prost(int64, tag = "1")]
        available_capacity: i64,
        #[prost(message, optional, tag = "2")]
        maximum_volume_size: Option<i64>,
        #[prost(message, optional, tag = "3")]
        minimum_volume_size: Option<i64>,
    }

    #[prost(skip_debug)]
    ControllerExpandVolumeRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(message, optional, tag = "2")]
        capacity_range: Option<CapacityRange>,
        #[prost(btree_map = "string, string", tag = "3")]
        secrets: StringMap,
        #[prost(message, optional, tag = "4")]
        volume_capability: Option<VolumeCapability>,
    }

    ControllerExpandVolumeResponse {
        #[prost(int64, tag = "1")]
        capacity_bytes: i64,
        #[prost(bool, tag = "2")]
        node_expansion_required: bool,
    }

    ControllerGetCapabilitiesRequest {}

    ControllerGetCapabilitiesResponse {
        #[prost(message, repeated, tag = "1")]
        capabilities: Vec<ControllerServiceCapability>,
    }

    ControllerServiceCapability {
        #[prost(oneof = "ControllerServiceCapabilityType", tags = "1")]
        r#type: Option<ControllerServiceCapabilityType>,
    }

    ControllerRpc {
        #[prost(enumeration = "ControllerRpcType", tag = "1")]
        r#type: i32,
    }
}

choices! {
    ControllerServiceCapabilityType {
        #[prost(message, tag = "1")]
        Rpc(ControllerRpc),
    }
}

enumerations! {
    ControllerRpcType {
        Unknown = 0,
        CreateDeleteVolume = 1,
        PublishUnpublishVolume = 2,
        ListVolumes = 3,
        GetCapacity = 4,
        CreateDeleteSnapshot = 5,
        ListSnapshots = 6,
        CloneVolume = 7,
        PublishReadonly = 8,
        ExpandVolume = 9,
        ListVolumesPublishedNodes = 10,
        GetVolume = 12,
        SingleNodeMultiWriter = 13,
        ModifyVolume = 14,
        GetSnapshot = 15,
        GetVolumeHealth = 16,
        ListVolumeHealth = 17,
    }
}

without_debug_output! {
    CreateVolumeRequest
    DeleteVolumeRequest
    ControllerPublishVolumeRequest
    ControllerUnpublishVolumeRequest
    ValidateVolumeCapabilitiesRequest
    ControllerModifyVolumeRequest
    ControllerExpandVolumeRequest
}
