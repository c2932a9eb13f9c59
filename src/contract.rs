//! The contract between the compiler, which writes these names and values, and the provisioner, which reads them. It
//! includes the storage document.
//!
//! Annotations, labels, parameters and other names are declared here and nowhere else, so that a change reaches both
//! sides. Knows neither side: no Kubernetes client, no requests to an array, no diagnostics.

mod address;
pub mod annotation;
mod array;
mod attachment;
mod block;
mod chap;
mod class;
mod duration;
mod export_rule;
pub mod label;
pub mod name;
mod node_id;
pub mod parameter;
mod pin;
mod pod;
mod quantity;
mod schedule;
pub mod storage;
mod volume;
mod volume_name;

pub use address::{address, host_and_port, is_address, management_url};
pub use array::{ArrayKind, BLOCK_STEP, Capacity, Retry, Transport};
pub use attachment::{Attachment, BlockTransport, InvalidAttachment};
pub(crate) use block::fnv;
pub use block::{BlockHost, BlockTarget, Initiators, NodeHost, wwpn};
pub use chap::{ChapPassword, ChapSecret, InvalidPassword};
pub use class::class_of;
pub use duration::Seconds;
pub use export_rule::{ExportRule, Squash};
pub use name::{
    API_GROUP, API_VERSION, ATTACHER_FINALIZER, DRIVER, FINALIZER, MANAGER, PROVISIONER,
};
pub use node_id::{LONGEST_NODE_ID, NodeId};
pub use pin::certificate_pin;
pub use pod::{CidrText, Placement, Resources, Spread, Toleration};
pub use quantity::{Quantity, TOO_MANY, thousandths};
pub use schedule::{ClassSnapshots, SnapshotPolicy, SnapshotSchedule};
pub use storage::StorageSpec;
pub use volume::{
    CloneSource, NfsExport, NfsVersions, Owner, Qos, Snapshot, SnapshotOf, Volume, VolumeId,
    VolumeOptions, VolumeRequest,
};
pub use volume_name::{CSI_PREFIX, SnapshotSuffix, VolumeName};
