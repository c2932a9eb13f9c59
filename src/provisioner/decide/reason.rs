//! The closed list of reasons of events, with the names that other provisioners and CSI sidecars use where they have
//! one. `docs/provisioner.md` has the remedy for each.

use std::fmt;

/// The reason of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A volume is being created for a claim.
    Provisioning,
    /// A claim is bound to its volume.
    ProvisioningSucceeded,
    /// Provisioning of a claim has failed, and is retried.
    ProvisioningFailed,
    /// The volume of a deleted claim could not be destroyed yet.
    ProvisioningCleanupFailed,
    /// A volume is being expanded.
    Resizing,
    /// A volume was expanded.
    VolumeResizeSuccessful,
    /// The expansion of a volume has failed, and is retried.
    VolumeResizeFailed,
    /// A bound claim requests a `VolumeAttributesClass`; its volume stays as it is. The CSI project's external-resizer
    /// uses this reason.
    VolumeModifyFailed,
    /// A scheduled snapshot was not taken, or an expired one not destroyed.
    SnapshotFailed,
    /// The volume of a bound claim was destroyed, eradicated, renamed, moved or shrunk on its array. The CSI project's
    /// external-health-monitor uses this reason.
    VolumeConditionAbnormal,
    /// The volume of a bound claim agrees with its PersistentVolume again.
    VolumeConditionNormal,
    /// A claim requests fewer snapshots than its class allows; those of the class are taken and kept.
    SnapshotScheduleRefused,
    /// The volume of a released PersistentVolume could not be destroyed yet.
    VolumeFailedDelete,
    /// A block volume could not be connected to a node yet. kube-controller-manager uses this reason on pods.
    FailedAttachVolume,
    /// A block volume could not be disconnected from a node yet.
    FailedDetachVolume,
    /// A block volume was connected to a node, after a failure that was reported.
    SuccessfulAttachVolume,
    /// A block volume was disconnected from a node, after a failure that was reported.
    SuccessfulDetachVolume,
    /// The node service runs on no node, so no pod can mount the block volume of a bound claim.
    NodeServiceMissing,
    /// The node service runs on a node again.
    NodeServiceAvailable,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 19] = [
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
        Self::FailedAttachVolume,
        Self::FailedDetachVolume,
        Self::SuccessfulAttachVolume,
        Self::SuccessfulDetachVolume,
        Self::NodeServiceMissing,
        Self::NodeServiceAvailable,
    ];

    /// Returns the reason as it is written in the event.
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
            Self::FailedAttachVolume => "FailedAttachVolume",
            Self::FailedDetachVolume => "FailedDetachVolume",
            Self::SuccessfulAttachVolume => "SuccessfulAttachVolume",
            Self::SuccessfulDetachVolume => "SuccessfulDetachVolume",
            Self::NodeServiceMissing => "NodeServiceMissing",
            Self::NodeServiceAvailable => "NodeServiceAvailable",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
