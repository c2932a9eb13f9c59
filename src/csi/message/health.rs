//! Messages about the health of volumes. CSI 1.13 has calls of their own for it. Up to CSI 1.12, the condition of a volume
//! came with its usage: kubelets up to Kubernetes 1.36 read that.

use super::{StringMap, VolumeCapability};

messages! {
    /// Of CSI 1.12; CSI 1.13 reserves its places.
    VolumeCondition {
        #[prost(bool, tag = "1")]
        abnormal: bool,
        #[prost(string, tag = "2")]
        message: String,
    }

    VolumeHealth {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(message, repeated, tag = "2")]
        health_statuses: Vec<VolumeHealthEntry>,
    }

    VolumeHealthEntry {
        #[prost(enumeration = "VolumeHealthErrorType", tag = "1")]
        status: i32,
        #[prost(string, tag = "2")]
        reason: String,
        #[prost(string, tag = "3")]
        message: String,
    }

    #[prost(skip_debug)]
    ControllerListVolumeHealthRequest {
        #[prost(int32, tag = "1")]
        max_entries: i32,
        #[prost(string, tag = "2")]
        starting_token: String,
        #[prost(btree_map = "string, string", tag = "3")]
        secrets: StringMap,
    }

    ControllerListVolumeHealthResponse {
        #[prost(message, repeated, tag = "1")]
        entries: Vec<VolumeHealth>,
        #[prost(string, tag = "2")]
        next_token: String,
    }

    #[prost(skip_debug)]
    ControllerGetVolumeHealthRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(btree_map = "string, string", tag = "2")]
        secrets: StringMap,
    }

    ControllerGetVolumeHealthResponse {
        #[prost(message, optional, tag = "1")]
        volume_health: Option<VolumeHealth>,
    }

    NodeGetVolumeHealthRequest {
        #[prost(string, tag = "1")]
        volume_id: String,
        #[prost(string, tag = "2")]
        volume_publish_path: String,
        #[prost(string, tag = "3")]
        staging_target_path: String,
    }

    NodeGetVolumeHealthResponse {
        #[prost(message, optional, tag = "1")]
        volume_health: Option<VolumeHealth>,
    }

    #[prost(skip_debug)]
    NodeGetStorageHealthRequest {
        #[prost(btree_map = "string, string", tag = "1")]
        secrets: StringMap,
    }

    NodeGetStorageHealthResponse {
        #[prost(message, repeated, tag = "1")]
        backend_health: Vec<StorageBackendHealth>,
    }

    StorageBackendHealth {
        #[prost(enumeration = "StorageHealthErrorType", tag = "1")]
        status: i32,
        #[prost(string, tag = "2")]
        reason: String,
        #[prost(string, tag = "3")]
        message: String,
        #[prost(message, optional, tag = "4")]
        volume_capability: Option<VolumeCapability>,
    }
}

enumerations! {
    VolumeHealthErrorType {
        UnknownVolumeHealthType = 0,
        Degraded = 1,
        Inaccessible = 2,
        DataLoss = 3,
    }

    StorageHealthErrorType {
        UnknownStorageHealthErrorType = 0,
        StorageDegraded = 1,
        StorageUnreachable = 2,
    }
}

without_debug_output! {
    ControllerListVolumeHealthRequest
    ControllerGetVolumeHealthRequest
    NodeGetStorageHealthRequest
}
