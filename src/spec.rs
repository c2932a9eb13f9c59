//! What people write: the app document, the storage document, and the shapes that check them.
//!
//! Turns [`Node`](crate::yaml::Node)s into typed values with places. Knows no Kubernetes object and
//! no blueprint by name; which parameters an app has is told to it as a [`Shape`].

mod address;
mod class;
mod common;
mod document;
mod duration;
mod format;
mod layer;
mod provisioner;
mod quantity;
mod secret;
mod set;
mod shape;
mod snapshots;
mod storage;
mod tenant;

pub use address::{address, host_and_port};
pub use class::{
    BaseClass, ClassSpec, ExportAccess, ExportRuleSpec, ExportSquash, FileSystem, NfsVersion, Qos,
    ReclaimPolicy,
};
pub use common::{
    CidrText, Common, Egress, Expose, Network, Ownership, Patch, PatchTarget, Placement, Profile,
    Resources, Security, Spread, Tls, Toleration, Via, VolumeSpec,
};
pub use document::{API_VERSION, Document, Metadata, STORAGE, split};
pub use duration::Seconds;
pub use format::Format;
pub use layer::{apply_layer, clean_layer, write_out};
pub use provisioner::{
    BindingSpec, Foreign, KubernetesApi, Monitoring, ProvisionerNetwork, ProvisionerSpec,
};
pub use quantity::{Quantity, thousandths};
pub use secret::{Looks, is_secret, looks_secret};
pub use set::{Given, Setting, Words, apply_setting};
pub(crate) use shape::one_of;
pub use shape::{
    Expressions, Field, Kind, Shape, bounds, check, drop_blank, explain, looks_like_a_size,
    markdown, repair, schema, schema_with_expressions,
};
pub use snapshots::{ClassSnapshots, SnapshotSchedule, Snapshots};
pub use storage::{
    ArraySpec, ArrayType, ClusterIdentity, ImportSpec, Kept, NodeNetwork, QuotaSpec, StorageSpec,
};
pub use tenant::{Tenancy, TenantRules};
