//! What the provisioner decides: for each claim and each PersistentVolume, the next thing to be done.
//!
//! ```text
//!  view of the cluster and the arrays + memory ──step──▶ effects ──(somebody does them)──▶ outcomes ─┐
//!            ▲                                                                                       │
//!            └───────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Pure: knows Kubernetes' objects as values, and neither a client, nor a clock, nor the arrays' requests.
//! A crash takes only the memory; what must outlive it (that a volume is being made, and on which array)
//! is written on the claim before an array hears of it.

mod chain;
mod claim;
mod condition;
mod effect;
mod growth;
mod import;
mod mark;
mod moment;
mod origin;
mod orphan;
mod persistent;
mod place;
mod reason;
mod registration;
mod release;
mod retry;
mod rival;
mod schedule;
mod setup;
mod slot;
mod snapshot;
mod wishes;

pub use claim::{ClaimWork, SourceView, View as ClaimView};
pub use condition::{AbnormalVolume, Condition, condition, refresh, suspects};
pub use effect::{About, Effect, Event, Outcome, Seen, Severity, Trouble};
pub use import::check_import;
pub use mark::{MarkEffect, Marks, is_mark, mark};
pub use moment::{Moment, VALID};
pub use origin::source_of;
pub use orphan::{GRACE, Listed, Orphan, Orphans, Report, StrayVolume, strays};
pub use persistent::{Behind, behind, cluster_of, foreign, foreign_key, quantity, volume_behind};
pub use reason::Reason;
pub use registration::{
    GRACE as REGISTRATION_GRACE, LOOK as REGISTRATION_LOOK, NotYet, Registration, RegistrationStep,
    Tenure, identity, taken as registered_elsewhere,
};
pub use release::{ReleaseWork, View as ReleaseView};
pub use rival::{Crowd, KeptFor, is_handed_over, is_rival, kept_for};
pub use setup::{ArrayState, ArrayTraits, Binding, ClassSetup, Health, Import, Setup};
pub use slot::Slot;
pub use snapshot::{SnapshotWork, View as SnapshotView};
pub use wishes::capacity;
