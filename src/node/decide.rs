//! What the node service does next with one volume, from what the host reports at the moment.
//!
//! Each call of CSI is a [`Procedure`]: it gets a view of the host, returns one effect, and decides again from the next
//! view. A crash takes only its memory; the view shows what has been done. Knows neither files, processes nor clocks.

mod connect;
mod content;
mod effect;
mod expand;
mod expand_file_system;
mod heal;
mod identity;
mod leave;
mod paths;
mod publish;
mod stage;
mod startup;
mod stats;
mod unstage;
mod view;

pub use connect::{ALL_PATHS, ANY_PATH, MAP, VerifiedDevice};
pub use content::{Content, content};
pub use effect::{
    Checked, Effect, HostError, HostErrorKind, Outcome, Procedure, RecordPassword, Step,
};
pub use expand::Expand;
pub use heal::Heal;
pub use identity::{map_uuid, map_wwid, nvme_wwid, serial_of, wwid};
pub use leave::LeaveArray;
pub use paths::paths;
pub use publish::{Publish, Unpublish};
pub use stage::Stage;
pub use startup::is_left_over;
pub use stats::{Condition, condition, size};
pub use unstage::Unstage;
pub use view::{
    Bus, Connection, Device, DeviceNumber, Disk, Holder, HostQuery, HostView, Map, Mount, PathNode,
    ScsiAddress, Session, StagedVolume,
};
