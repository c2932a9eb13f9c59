//! Messages of the Controller service about snapshots.

use super::{StringMap, Timestamp, Topology, TopologyRequirement};

messages! {
    Snapshot {
        #[prost(int64, tag = "1")]
        size_bytes: i64,
        #[prost(string, tag = "2")]
        snapshot_id: String,
        #[prost(string, tag = "3")]
        source_volume_id: String,
        #[prost(message, optional, tag = "4")]
        creation_time: Option<Timestamp>,
        #[prost(bool, tag = "5")]
        ready_to_use: bool,
        #[prost(string, tag = "6")]
        group_snapshot_id: String,
        #[prost(message, repeated, tag = "7")]
        accessible_topology: Vec<Topology>,
    }

    #[prost(skip_debug)]
    CreateSnapshotRequest {
        #[prost(string, tag = "1")]
        source_volume_id: String,
        #[prost(string, tag = "2")]
        name: String,
        #[prost(btree_map = "string, string", tag = "3")]
        secrets: StringMap,
        #[prost(btree_map = "string, string", tag = "4")]
        parameters: StringMap,
        #[prost(message, optional, tag = "5")]
        accessibility_requirements: Option<TopologyRequirement>,
    }

    CreateSnapshotResponse {
        #[prost(message, optional, tag = "1")]
        snapshot: Option<Snapshot>,
    }

    #[prost(skip_debug)]
    DeleteSnapshotRequest {
        #[prost(string, tag = "1")]
        snapshot_id: String,
        #[prost(btree_map = "string, string", tag = "2")]
        secrets: StringMap,
    }

    DeleteSnapshotResponse {}

    #[prost(skip_debug)]
    ListSnapshotsRequest {
        #[prost(int32, tag = "1")]
        max_entries: i32,
        #[prost(string, tag = "2")]
        starting_token: String,
        #[prost(string, tag = "3")]
        source_volume_id: String,
        #[prost(string, tag = "4")]
        snapshot_id: String,
        #[prost(btree_map = "string, string", tag = "5")]
        secrets: StringMap,
    }

    ListSnapshotsResponse {
        #[prost(message, repeated, tag = "1")]
        entries: Vec<SnapshotEntry>,
        #[prost(string, tag = "2")]
        next_token: String,
    }

    SnapshotEntry {
        #[prost(message, optional, tag = "1")]
        snapshot: Option<Snapshot>,
    }

    #[prost(skip_debug)]
    GetSnapshotRequest {
        #[prost(string, tag = "1")]
        snapshot_id: String,
        #[prost(btree_map = "string, string", tag = "2")]
        secrets: StringMap,
    }

    GetSnapshotResponse {
        #[prost(message, optional, tag = "1")]
        snapshot: Option<Snapshot>,
    }
}

without_debug_output! {
    CreateSnapshotRequest
    DeleteSnapshotRequest
    ListSnapshotsRequest
    GetSnapshotRequest
}
