//! What the host reports about one volume at a moment.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::contract::{Attachment, BlockTransport};
use crate::node::request::{FsType, VolumeHandle};

/// What a view is about. The host reports what concerns it and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostQuery {
    /// The transport; none if it is not known.
    pub transport: Option<BlockTransport>,
    /// The array's name on that transport.
    pub target: String,
    /// The array's ports.
    pub portals: Vec<String>,
    /// The volume's LUN for this host.
    pub lun: Option<u32>,
    /// The volume's serial number.
    pub serial: Option<String>,
    /// Where the volume is staged.
    pub staging: Option<PathBuf>,
    /// A path of a pod.
    pub path: Option<PathBuf>,
}

/// The host at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostView {
    /// The connections of this node to the target; for Fibre Channel, to the given ports.
    pub sessions: Vec<Session>,
    /// The disks at the volume's LUN of these sessions, and all disks of the host whose recorded identity is that of
    /// the volume. For NVMe, the namespaces with the volume's identity.
    pub disks: Vec<Disk>,
    /// The multipath maps of the volume, those that contain one of the disks, and those of mounted devices at the
    /// query's paths.
    pub maps: Vec<Map>,
    /// Whether multipathd runs on this host.
    pub multipath: bool,
    /// All mounts in the host's mount namespace, in the order in which they were mounted.
    pub mounts: Vec<Mount>,
    /// The state file of the query's staging path.
    pub state: Option<StagedVolume>,
    /// All other state files.
    pub others: Vec<StagedVolume>,
    /// The records of the connections to the target that the node service has begun, over NVMe/TCP.
    pub recorded: Vec<Connection>,
    /// What is at the query's path, without what is mounted elsewhere.
    pub node: PathNode,
}

/// A connection of this node to one port of the array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The kernel's name of it: `session3`, `nvme2`, `rport-7:0-1`.
    pub name: String,
    /// The array's port, as in the attachment.
    pub portal: String,
    /// Whether it is logged in.
    pub live: bool,
    /// Where its logical units appear; none for NVMe.
    pub bus: Option<Bus>,
    /// The number of disks behind it, of all volumes.
    pub disks: usize,
}

/// A record that the node service connects this node to a port of an array over NVMe/TCP, until the next boot. It is written
/// before the log-in, and again after it has succeeded: an admin, or the host at its boot, may have connected other
/// controllers to the same array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The array's name.
    pub target: String,
    /// The array's port.
    pub portal: String,
    /// Whether the node service's own log-in has succeeded since the record was written. Otherwise a connection that is
    /// there may be that of another, and stays.
    #[serde(default)]
    pub connected: bool,
}

/// The part of a SCSI address that a session determines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bus {
    /// The SCSI host.
    pub host: u32,
    /// The channel.
    pub channel: u32,
    /// The target.
    pub target: u32,
}

impl Bus {
    /// Returns the address of a logical unit.
    pub fn lun(self, lun: u32) -> ScsiAddress {
        ScsiAddress { bus: self, lun }
    }
}

/// The address of a logical unit. An array assigns it again when it is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScsiAddress {
    /// Where.
    pub bus: Bus,
    /// The logical unit number.
    pub lun: u32,
}

impl fmt::Display for ScsiAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bus { host, channel, target } = self.bus;
        write!(f, "{host}:{channel}:{target}:{}", self.lun)
    }
}

/// The numbers of a block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeviceNumber {
    /// Major.
    pub major: u32,
    /// Minor. The kernel assigns it again when it is free.
    pub minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// A block device. The host compares the numbers again after it has opened the device, since names and numbers are reused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    /// Its name: `dm-3`, `sdb`.
    pub name: String,
    /// Its numbers.
    pub number: DeviceNumber,
}

/// A block device on top of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its name: `dm-4`.
    pub name: String,
    /// Its device-mapper UUID; empty if it has none.
    pub uuid: String,
}

/// A SCSI disk, or an NVMe namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its name: `sdb`, `nvme0n1`.
    pub name: String,
    /// Its numbers.
    pub number: DeviceNumber,
    /// Its SCSI address; none for NVMe.
    pub address: Option<ScsiAddress>,
    /// The identity that the kernel has recorded (`wwid` in sysfs). The kernel does not notice when the array assigns
    /// the LUN to another volume.
    pub wwid: Option<String>,
    /// Its size in bytes, as the kernel has recorded it.
    pub size: u64,
    /// Whether the kernel sends requests to it.
    pub live: bool,
    /// The devices on top of it.
    pub holders: Vec<Holder>,
}

/// A multipath map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Its name: `dm-3`.
    pub name: String,
    /// Its name in device-mapper, by which multipathd knows it.
    pub alias: String,
    /// Its numbers.
    pub number: DeviceNumber,
    /// Its UUID: `mpath-` and the WWID.
    pub uuid: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is suspended: all I/O waits.
    pub suspended: bool,
    /// The names of its paths.
    pub slaves: Vec<String>,
    /// The devices on top of it.
    pub holders: Vec<Holder>,
}

/// A mount in the host's mount namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub path: PathBuf,
    /// The device of the file system.
    pub number: DeviceNumber,
    /// The folder of the file system that is mounted.
    pub root: PathBuf,
    /// Whether this mount is read-only.
    pub read_only: bool,
    /// Whether the file system is read-only: the kernel has aborted it after an error, or it was mounted so.
    pub aborted: bool,
    /// Whether the kernel has counted errors in this ext4 since its last check. It may go on writing to it
    /// (`errors=continue`), or may have aborted it: kernels from 6.12 and 6.1.192 on do not show that among the mounts.
    pub errors: bool,
    /// The file system, if it is one that the node service knows.
    pub fs_type: Option<FsType>,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PathNode {
    /// Nothing.
    #[default]
    Missing,
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A block device.
    Device(DeviceNumber),
    /// Something else, or it cannot be read.
    Other,
}

/// The state file of a staged volume. It is written before the first effect, and all that unstaging needs is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact about the volume")]
pub struct StagedVolume {
    /// The volume handle.
    pub volume: String,
    /// Where it is staged.
    pub staging: PathBuf,
    /// The transport's name.
    pub transport: String,
    /// The array's name on the transport.
    pub target: String,
    /// The array's ports.
    pub portals: Vec<String>,
    /// The LUN.
    pub lun: u32,
    /// The serial number.
    pub serial: String,
    /// Whether the pods get the device.
    pub block: bool,
    /// Whether a file system was being created. Only this node may create it again, and only as long as nothing has
    /// ever used the volume.
    pub formatting: bool,
    /// Whether the records of the array's ports have a password. It is in them alone.
    #[serde(default)]
    pub chap: bool,
    /// Whether the volume is no longer staged. The file stays because the creation of its file system was cut off.
    #[serde(default)]
    pub released: bool,
}

impl StagedVolume {
    /// Returns the state of a volume that is about to be staged.
    pub fn new(
        handle: &VolumeHandle,
        staging: &Path,
        attachment: &Attachment,
        block: bool,
    ) -> Self {
        Self {
            volume: handle.to_string(),
            staging: staging.to_owned(),
            transport: attachment.transport.word().to_owned(),
            target: attachment.target.clone(),
            portals: attachment.portals.clone(),
            lun: attachment.lun,
            serial: attachment.serial.clone(),
            block,
            formatting: false,
            chap: false,
            released: false,
        }
    }

    /// Returns what a view of it needs.
    pub fn query(&self, path: Option<PathBuf>) -> HostQuery {
        HostQuery {
            transport: self.transport(),
            target: self.target.clone(),
            portals: self.portals.clone(),
            lun: Some(self.lun),
            serial: Some(self.serial.clone()),
            staging: Some(self.staging.clone()),
            path,
        }
    }

    /// Returns the transport; none if the file is of a newer version that knows more of them.
    pub fn transport(&self) -> Option<BlockTransport> {
        BlockTransport::parse(&self.transport)
    }
}

impl HostView {
    /// Returns the mounts at a path, the uppermost last.
    pub fn mounts_at<'v>(&'v self, path: &'v Path) -> impl DoubleEndedIterator<Item = &'v Mount> {
        self.mounts.iter().filter(move |mount| mount.path == path)
    }

    /// Returns where else a device is in use: mounted, or bound to a pod's file as a device.
    pub fn used_at(&self, device: &Device, but: &Path) -> Vec<String> {
        let is_it = |mount: &&Mount| {
            let is_node = mount.root.file_name().is_some_and(|name| name == device.name.as_str())
                && mount.root.parent() == Some(Path::new("/"));
            mount.path != but && (mount.number == device.number || is_node)
        };
        let elsewhere = self.mounts.iter().filter(is_it);
        elsewhere.map(|mount| mount.path.display().to_string()).collect()
    }
}

impl Disk {
    /// Returns the device.
    pub fn device(&self) -> Device {
        Device { name: self.name.clone(), number: self.number }
    }
}

impl Map {
    /// Returns the device.
    pub fn device(&self) -> Device {
        Device { name: self.name.clone(), number: self.number }
    }
}
