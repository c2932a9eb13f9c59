//! Messages of the Node service.

use super::{CapacityRange, StringMap, Topology, VolumeCapability, VolumeCondition};

messages! {
    #[prost(skip_debug)]
    NodeStageVolumeRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(btree_map = "string, string", tag = "2")]
        publish_context: StringMap,
        #[prost(string, tag = "3")]
        staging_target_path: String,
        #[prost(message, optional, tag = "4")]
        volume_capability: Option<VolumeCapability>,
        #[prost(btree_map = "string, string", tag = "5")]
        secrets: StringMap,
        #[prost(btree_map = "string, string", tag = "6")]
        volume_context: StringMap,
    }

    NodeStageVolumeResponse {}

    NodeUnstageVolumeRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(string, tag = "2")]
        staging_target_path: String,
    }

    NodeUnstageVolumeResponse {}

    #[prost(skip_debug)]
    NodePublishVolumeRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(btree_map = "string, string", tag = "2")]
        publish_context: StringMap,
        #[prost(string, tag = "3")]
        staging_target_path: String,
        #[prost(string, tag = "4")]
        target_path: String,
        #[prost(message, optional, tag = "5")]
        volume_capability: Option<VolumeCapability>,
        #[prost(bool, tag = "6")]
        readonly: bool,
        #[prost(btree_map = "string, string", tag = "7")]
        secrets: StringMap,
        #[prost(btree_map = "string, string", tag = "8")]
        volume_context: StringMap,
    }

    NodePublishVolumeResponse {}

    NodeUnpublishVolumeRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(string, tag = "2")]
        target_path: String,
    }

    NodeUnpublishVolumeResponse {}

    NodeGetVolumeStatsRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(string, tag = "2")]
        volume_path: String,
        #[prost(string, tag = "3")]
        staging_target_path: String,
    }

    NodeGetVolumeStatsResponse {
        #[prost(message, repeated, tag = "1")]
        usage: Vec<VolumeUsage>,
        #[prost(message, optional, tag = "2")]
        #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
        volume_condition: Option<VolumeCondition>,
    }

    VolumeUsage {
        #[prost(int64, tag = "1")]
        available: i64,
        #[prost(int64, tag = "2")]
        total: i64,
        #[prost(int64, tag = "3")]
        used: i64,
        #[prost(enumeration = "UsageUnit", tag = "4")]
        unit: i32,
    }

    #[prost(skip_debug)]
    NodeExpandVolumeRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(string, tag = "2")]
        volume_path: String,
        #[prost(message, optional, tag = "3")]
        capacity_range: Option<CapacityRange>,
        #[prost(string, tag = "4")]
        staging_target_path: String,
        #[prost(message, optional, tag = "5")]
        volume_capability: Option<VolumeCapability>,
        #[prost(btree_map = "string, string", tag = "6")]
        secrets: StringMap,
    }

    NodeExpandVolumeResponse {
        #[prost(int64, tag = "1")]
        capacity_bytes: i64,
    }

    NodeGetCapabilitiesRequest {}

    NodeGetCapabilitiesResponse {
        #[prost(message, repeated, tag = "1")]
        capabilities: Vec<NodeServiceCapability>,
    }

    NodeServiceCapability {
        #[prost(oneof = "NodeServiceCapabilityType", tags = "1")]
        r#type: Option<NodeServiceCapabilityType>,
    }

    NodeRpc {
        #[prost(enumeration = "NodeRpcType", tag = "1")]
        r#type: i32,
    }

    NodeGetInfoRequest {}

    NodeGetInfoResponse {
        #[prost(string, tag = "1")]
        node_id: String,
        #[prost(int64, tag = "2")]
        max_volumes_per_node: i64,
        #[prost(message, optional, tag = "3")]
        accessible_topology: Option<Topology>,
    }
}

choices! {
    NodeServiceCapabilityType {
        #[prost(message, tag = "1")]
        Rpc(NodeRpc),
    }
}

enumerations! {
    UsageUnit {
        Unknown = 0,
        Bytes = 1,
        Inodes = 2,
    }

    NodeRpcType {
        Unknown = 0,
        StageUnstageVolume = 1,
        GetVolumeStats = 2,
        ExpandVolume = 3,
        VolumeCondition = 4,
        SingleNodeMultiWriter = 5,
        VolumeMountGroup = 6,
        GetVolumeHealth = 7,
        GetStorageHealth = 8,
    }
}

without_debug_output! { NodeStageVolumeRequest NodePublishVolumeRequest NodeExpandVolumeRequest }
