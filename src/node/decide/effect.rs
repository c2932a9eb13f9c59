//! What the host is asked to do, its outcomes and errors, and the loop's steps. How effects are carried out is unknown
//! here.

use std::path::PathBuf;
use std::time::Duration;

use super::content::Content;
use super::view::{Device, HostQuery, HostView, ScsiAddress, StagedVolume};
use crate::contract::{BlockTransport, ChapPassword};
use crate::node::request::{FsType, NodeError, NodeErrorKind};

/// An effect on the host. Each is safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write the state file: a new file, `fsync`, rename.
    WriteState(Box<StagedVolume>),
    /// Remove the state file of a staging path.
    RemoveState(PathBuf),
    /// Write the record of a portal. For iSCSI it is the initiator's, with `node.startup = manual`, so that a reboot does not
    /// log in; for NVMe it is a [`Connection`](super::view::Connection).
    WriteRecord {
        /// The transport.
        transport: BlockTransport,
        /// The array's name.
        target: String,
        /// The array's port.
        portal: String,
        /// What the record has as the password of this node at the array.
        password: RecordPassword,
    },
    /// Remove that record.
    RemoveRecord {
        /// The transport.
        transport: BlockTransport,
        /// The array's name.
        target: String,
        /// The array's port.
        portal: String,
    },
    /// Log in to a portal; for NVMe, connect. There, the record says afterwards that the connection is the node service's
    /// own, and it is removed if another program was faster.
    LogIn {
        /// The transport.
        transport: BlockTransport,
        /// The array's name.
        target: String,
        /// The array's port.
        portal: String,
    },
    /// End the session of a portal.
    LogOut {
        /// The transport.
        transport: BlockTransport,
        /// The array's name.
        target: String,
        /// The array's port.
        portal: String,
        /// The kernel's name of the session.
        session: String,
    },
    /// Make the kernel look at one logical unit.
    Scan(ScsiAddress),
    /// Ask a SCSI disk for its identity (VPD page 0x83), past what the kernel has recorded. [`Outcome::Identity`].
    Inquire {
        /// Its name.
        disk: String,
        /// Its address.
        address: ScsiAddress,
    },
    /// Ask an NVMe namespace for its identity and size (Identify Namespace), past what the kernel has recorded.
    /// [`Outcome::Namespace`].
    InquireNamespace(Device),
    /// Make the kernel read a SCSI disk's size again.
    RescanDisk {
        /// Its name.
        disk: String,
        /// Its address.
        address: ScsiAddress,
    },
    /// Make the kernel read the namespaces of an NVMe controller again.
    RescanController(String),
    /// Remove a SCSI disk from the kernel, if it still is at that address.
    DeleteDisk {
        /// Its name.
        disk: String,
        /// Its address.
        address: ScsiAddress,
    },
    /// Let multipathd create the map of a WWID from disks.
    CreateMap {
        /// The WWID, as multipathd writes it.
        wwid: String,
        /// The names of the disks.
        disks: Vec<String>,
    },
    /// Let multipathd add a disk to its map.
    AddPath(String),
    /// Let multipathd remove a disk from the map that it is in.
    RemovePath(String),
    /// Let multipathd read the size of a map's paths again.
    ResizeMap(String),
    /// Resume a suspended map.
    ResumeMap(String),
    /// Let I/O of a map fail when it has no path, in place of waiting.
    StopQueueing(String),
    /// Remove a map that is not in use.
    FlushMap(String),
    /// Write out what the kernel buffers for a device.
    FlushBuffers(Device),
    /// Read the first and the last MiB of a device with `O_DIRECT`. [`Outcome::Content`].
    Probe(Device),
    /// Create a file system without discarding blocks. The program is allowed to overwrite what it recognises only if
    /// this node's own creation of it was cut off.
    MakeFileSystem {
        /// The device.
        device: Device,
        /// The file system.
        fs_type: FsType,
        /// Whether its creation was cut off.
        again: bool,
    },
    /// Record in the cluster that the volume is formatted.
    RecordFormatted,
    /// Run `fsck -a`. [`Outcome::Checked`].
    CheckFileSystem {
        /// The device.
        device: Device,
        /// The file system.
        fs_type: FsType,
    },
    /// Read the size of a mounted file system. [`Outcome::Size`].
    ReadFileSystemSize {
        /// The device.
        device: Device,
        /// Where.
        path: PathBuf,
        /// The file system.
        fs_type: FsType,
    },
    /// Expand a mounted file system to its device.
    ExpandFileSystem {
        /// The device.
        device: Device,
        /// Where.
        path: PathBuf,
        /// The file system.
        fs_type: FsType,
    },
    /// List the root folder of a mount, which fails if its file system cannot be read.
    ReadFolder(PathBuf),
    /// Create a file without a name at the root folder of a mount, and drop it. It fails if the kernel has set the file
    /// system read-only after an error, which newer kernels do not show in their list of mounts.
    TryToWrite(PathBuf),
    /// Create a folder if it is missing, and close it to everybody: without a mount, it gives no access.
    SealFolder(PathBuf),
    /// Open a sealed folder again.
    UnsealFolder(PathBuf),
    /// Create an empty file, the mount point of a device.
    CreateFile(PathBuf),
    /// Remove an empty folder, or the file of a device; never what is in a folder.
    RemoveNode(PathBuf),
    /// Mount a file system.
    Mount {
        /// The device.
        device: Device,
        /// Where.
        path: PathBuf,
        /// The file system.
        fs_type: FsType,
        /// The options of the mount.
        options: Vec<String>,
    },
    /// Mount a staged file system at a pod's folder.
    BindMount {
        /// Where it is staged.
        source: PathBuf,
        /// Where.
        path: PathBuf,
        /// Whether the pod may only read.
        read_only: bool,
    },
    /// Mount a device at a pod's file.
    BindDevice {
        /// The device.
        device: Device,
        /// Where.
        path: PathBuf,
    },
    /// Unmount what is uppermost at a path. A lazy unmount only detaches the path; it is the last resort for a device
    /// that does not answer.
    Unmount {
        /// Where.
        path: PathBuf,
        /// Whether it is a lazy one.
        lazy: bool,
    },
}

/// The password in the record of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordPassword {
    /// None: the array asks for none.
    None,
    /// This one.
    Given(ChapPassword),
    /// What the record has that is there already, because it may be known to it alone. A new record has none.
    Kept,
}

impl Effect {
    /// Whether it only asks a device, and changes nothing that a view shows.
    pub fn is_question(&self) -> bool {
        matches!(self, Self::Inquire { .. } | Self::InquireNamespace(_))
    }

    /// Returns the target whose sessions or records it changes; such effects are carried out one after another.
    pub fn changes_sessions_of(&self) -> Option<&str> {
        match self {
            Self::WriteRecord { target, .. }
            | Self::RemoveRecord { target, .. }
            | Self::LogIn { target, .. }
            | Self::LogOut { target, .. } => Some(target),
            _ => None,
        }
    }
}

/// The result of a file system check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// It is clean, or was repaired without questions.
    Clean,
    /// It has errors that people have to repair.
    Damaged(String),
}

/// The outcome of an effect that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Success without a value.
    Done,
    /// The identity that a disk itself reports, in the form of sysfs.
    Identity(String),
    /// The identity and the size in bytes that a namespace itself reports, the first in the form of sysfs.
    Namespace(String, u64),
    /// What is on a device.
    Content(Content),
    /// The result of a check.
    Checked(Checked),
    /// A size in bytes.
    Size(u64),
}

/// Why an effect failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostErrorKind {
    /// It did not end in time. The process was ended, and what it did is unknown.
    TimedOut,
    /// The object is in use.
    Busy,
    /// The host has no such program.
    Missing,
    /// Every other failure.
    Failed,
}

/// The error of an effect or a view.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HostError {
    /// Why.
    pub kind: HostErrorKind,
    /// Text for events and logs: the command and what it printed.
    pub message: String,
}

impl HostError {
    /// Returns the error of a failure.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { kind: HostErrorKind::Failed, message: message.into() }
    }
}

impl From<HostError> for NodeError {
    fn from(error: HostError) -> Self {
        let kind = match error.kind {
            HostErrorKind::TimedOut => NodeErrorKind::DeadlineExceeded,
            HostErrorKind::Busy | HostErrorKind::Missing => NodeErrorKind::FailedPrecondition,
            HostErrorKind::Failed => NodeErrorKind::Internal,
        };
        Self { kind, message: error.message }
    }
}

/// What a procedure wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Carry out an effect.
    Do(Effect),
    /// Look again after some time.
    Wait(Duration),
    /// All is done.
    Done,
    /// It cannot go on.
    Fail(NodeError),
}

/// One call of CSI on its way.
pub trait Procedure: Send {
    /// What it needs to see.
    fn query(&self) -> HostQuery;

    /// Returns the next step. Time is counted from any fixed moment. Asked twice for the same view, it answers the
    /// same.
    fn next(&mut self, view: &HostView, now: Duration) -> Step;

    /// Takes the outcome of an effect. An error that the procedure cannot live with ends it.
    fn apply_outcome(
        &mut self,
        effect: &Effect,
        outcome: Result<Outcome, HostError>,
        now: Duration,
    ) -> Result<(), NodeError>;
}
