//! The closed list of what people are told by events, in the words of the usual provisioners where those
//! have one. What each asks of whoever reads it stands in `docs/provisioner.md`.

use std::fmt;

/// Why an event was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A volume is being made for a claim.
    Provisioning,
    /// A claim has its volume.
    ProvisioningSucceeded,
    /// A claim has no volume yet, because something is wrong.
    ProvisioningFailed,
    /// What was made for a claim that goes is not gone yet, because something is wrong.
    ProvisioningCleanupFailed,
    /// A volume is being made larger.
    Resizing,
    /// A volume is larger.
    VolumeResizeSuccessful,
    /// A volume is not larger yet, because something is wrong.
    VolumeResizeFailed,
    /// A bound claim asks for a `VolumeAttributesClass`, and its volume stays as it is. In the word of the CSI project's
    /// resizer.
    VolumeModifyFailed,
    /// A snapshot by schedule was not taken, or not destroyed at its end, because something is wrong.
    SnapshotFailed,
    /// The volume of a bound claim is destroyed, gone, renamed, moved or smaller on its array. In the word of the CSI
    /// project's external-health-monitor.
    VolumeConditionAbnormal,
    /// The volume of a bound claim is as it should be again.
    VolumeConditionNormal,
    /// A claim asks for fewer snapshots than its class lets it; those of the class are taken and kept.
    SnapshotScheduleRefused,
    /// The volume behind a released PersistentVolume is not destroyed yet, because something is wrong.
    VolumeFailedDelete,
}

impl Reason {
    /// All there are.
    pub const ALL: [Self; 13] = [
        Self::Provisioning,
        Self::ProvisioningSucceeded,
        Self::ProvisioningFailed,
        Self::ProvisioningCleanupFailed,
        Self::Resizing,
        Self::VolumeResizeSuccessful,
        Self::VolumeResizeFailed,
        Self::VolumeModifyFailed,
        Self::SnapshotFailed,
        Self::VolumeConditionAbnormal,
        Self::VolumeConditionNormal,
        Self::SnapshotScheduleRefused,
        Self::VolumeFailedDelete,
    ];

    /// Returns the word that stands in the event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "Provisioning",
            Self::ProvisioningSucceeded => "ProvisioningSucceeded",
            Self::ProvisioningFailed => "ProvisioningFailed",
            Self::ProvisioningCleanupFailed => "ProvisioningCleanupFailed",
            Self::Resizing => "Resizing",
            Self::VolumeResizeSuccessful => "VolumeResizeSuccessful",
            Self::VolumeResizeFailed => "VolumeResizeFailed",
            Self::VolumeModifyFailed => "VolumeModifyFailed",
            Self::SnapshotFailed => "SnapshotFailed",
            Self::VolumeConditionAbnormal => "VolumeConditionAbnormal",
            Self::VolumeConditionNormal => "VolumeConditionNormal",
            Self::SnapshotScheduleRefused => "SnapshotScheduleRefused",
            Self::VolumeFailedDelete => "VolumeFailedDelete",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
