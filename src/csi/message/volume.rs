//! What several services say of a volume.

use super::StringMap;

messages! {
    VolumeCapability {
        #[prost(oneof = "AccessType", tags = "1, 2")]
        access_type: Option<AccessType>,
        #[prost(message, optional, tag = "3")]
        access_mode: Option<AccessMode>,
    }

    BlockVolume {}

    MountVolume {
        #[prost(string, tag = "1")]
        fs_type: String,
        #[prost(string, repeated, tag = "2")]
        mount_flags: Vec<String>,
        #[prost(string, tag = "3")]
        volume_mount_group: String,
    }

    AccessMode {
        #[prost(enumeration = "Mode", tag = "1")]
        mode: i32,
    }

    CapacityRange {
        #[prost(int64, tag = "1")]
        required_bytes: i64,
        #[prost(int64, tag = "2")]
        limit_bytes: i64,
    }

    Volume {
        #[prost(int64, tag = "1")]
        capacity_bytes: i64,
        #[prost(string, tag = "2")]
        volume_id: String,
        #[prost(btree_map = "string, string", tag = "3")]
        volume_context: StringMap,
        #[prost(message, optional, tag = "4")]
        content_source: Option<VolumeContentSource>,
        #[prost(message, repeated, tag = "5")]
        accessible_topology: Vec<Topology>,
    }

    VolumeContentSource {
        #[prost(oneof = "ContentSource", tags = "1, 2")]
        r#type: Option<ContentSource>,
    }

    SnapshotSource {
        #[prost(string, tag = "1")]
        snapshot_id: String,
    }

    VolumeSource {
        #[prost(string, tag = "1")]
        volume_id: String,
    }

    TopologyRequirement {
        #[prost(message, repeated, tag = "1")]
        requisite: Vec<Topology>,
        #[prost(message, repeated, tag = "2")]
        preferred: Vec<Topology>,
    }

    Topology {
        #[prost(btree_map = "string, string", tag = "1")]
        segments: StringMap,
    }

    /// A point in time: seconds since 1970 in UTC, and nanoseconds.
    Timestamp {
        #[prost(int64, tag = "1")]
        seconds: i64,
        #[prost(int32, tag = "2")]
        nanos: i32,
    }
}

choices! {
    AccessType {
        #[prost(message, tag = "1")]
        Block(BlockVolume),
        #[prost(message, tag = "2")]
        Mount(MountVolume),
    }

    ContentSource {
        #[prost(message, tag = "1")]
        Snapshot(SnapshotSource),
        #[prost(message, tag = "2")]
        Volume(VolumeSource),
    }
}

enumerations! {
    Mode {
        Unknown = 0,
        SingleNodeWriter = 1,
        SingleNodeReaderOnly = 2,
        MultiNodeReaderOnly = 3,
        MultiNodeSingleWriter = 4,
        MultiNodeMultiWriter = 5,
        SingleNodeSingleWriter = 6,
        SingleNodeMultiWriter = 7,
    }
}
