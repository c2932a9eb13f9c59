//! Decides the next effect for each claim, each PersistentVolume, each volume's snapshots and each VolumeAttachment.
//!
//! ```text
//!  view of the cluster and the arrays + memory ──step──▶ effects ──(the executor)────────▶ outcomes ─┐
//!            ▲                                                                                       │
//!            └───────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Pure: Kubernetes objects are values here; clients, clocks and the requests of arrays are unknown. A crash loses only
//! the memory. The facts that must outlive it (that a volume is being created, and on which array) are written on the
//! claim before the array gets a request.

mod array_selection;
mod attachment;
mod backoff;
mod barrier;
mod claim;
mod claim_spec;
mod claim_view;
mod condition;
mod content_source;
mod effect;
mod expansion;
mod import;
mod loop_guard;
mod matching;
mod node_driver;
mod object;
mod orphan;
mod persistent_volume;
mod read_time;
mod reason;
mod reclaim;
mod registration;
mod restore_point;
mod schedule;
mod setup;
mod slot;
mod snapshot;

pub use array_selection::{ArrayNeeds, NoArray, SelectedArray, select_array};
pub use attachment::{
    AttachmentEffect, AttachmentInput, AttachmentOutcome, AttachmentState, AttachmentView,
    AttachmentWork, NodeIds, is_attached, node_id, recorded_node, recorded_volume,
};
pub use barrier::{BarrierEffect, Barriers, barrier, is_barrier};
pub use claim::ClaimState;
pub use claim_spec::capacity;
pub use claim_view::{ClaimView, SourceView};
pub use condition::{AbnormalVolume, Condition, condition, refresh, suspects};
pub use content_source::source_of;
pub use effect::{Effect, EffectError, Input, ObjectVersion, Outcome, Regarding, Severity};
pub use import::check_import;
pub use matching::{Backlog, ReservedFor, is_handed_over, is_match, reserved_for};
pub use node_driver::{DriverEvent, DriverReports, MissingDriver, NodeDrivers, is_block};
pub use orphan::{GRACE, Listed, Orphan, Orphans, Report, UnknownVolume, unknown_volumes};
pub use persistent_volume::{
    BackingVolume, backing_ids, backing_volume, cluster_of, foreign, foreign_key, quantity,
};
pub use read_time::{ReadTime, VALID};
pub use reason::Reason;
pub use reclaim::{ReclaimState, ReclaimView};
pub use registration::{
    ClusterRegistration, GRACE as REGISTRATION_GRACE, LOOK as REGISTRATION_LOOK, NotYet,
    Registration, RegistrationStep, identity, taken as registered_elsewhere,
};
pub use restore_point::{SnapshotIds, content_of, snapshot_ids};
pub use setup::{ArrayState, ArrayTraits, Binding, ClassSetup, Health, Import, Setup};
pub use slot::Slot;
pub use snapshot::{SnapshotState, SnapshotView};
