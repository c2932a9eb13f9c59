//! A model of what a node consists of: an array with ports and LUNs, sessions, disks that the kernel remembers, maps,
//! mounts, folders and state files. The devices can lie as real ones do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pso_gen::contract::{BlockTransport, ChapPassword};
use pso_gen::node::decide::{Bus, DeviceNumber, StagedVolume, map_uuid, serial_of, wwid};
use pso_gen::node::{FsType, VolumeHandle};

/// What is on a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Zeros,
    /// The creation of a file system was cut off.
    Partial,
    FileSystem(FsType),
    /// Something that no tool recognises.
    Data,
}

#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub(crate) size: u64,
    pub(crate) on: On,
    pub(crate) fs_size: u64,
    /// What a pod has written.
    pub(crate) data: Option<String>,
    /// The UUID of its file system; a clone has that of its original.
    pub(crate) uuid: u32,
    pub(crate) is_damaged: bool,
    pub(crate) is_recorded: bool,
    pub(crate) checks: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Portal {
    pub(crate) is_up: bool,
    /// When it begins to answer.
    pub(crate) from: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct KernelSession {
    pub(crate) target: String,
    pub(crate) portal: String,
    pub(crate) bus: Option<Bus>,
    /// Whether an admin, or the host, has logged in.
    pub(crate) is_admins: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct KernelDisk {
    pub(crate) bus: Option<Bus>,
    pub(crate) lun: u32,
    /// What the kernel has recorded; the array may have assigned the LUN again.
    pub(crate) wwid: Option<String>,
    pub(crate) size: u64,
    pub(crate) number: DeviceNumber,
    /// When the kernel shows it.
    pub(crate) from: Duration,
    pub(crate) holders: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
pub(crate) struct KernelMap {
    pub(crate) uuid: String,
    pub(crate) slaves: Vec<String>,
    pub(crate) size: u64,
    pub(crate) number: DeviceNumber,
    pub(crate) is_suspended: bool,
    pub(crate) queues: bool,
    /// Programs that have it open until some time.
    pub(crate) open_until: Duration,
    pub(crate) holders: Vec<(String, String)>,
    pub(crate) from: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct KernelMount {
    pub(crate) path: PathBuf,
    pub(crate) number: DeviceNumber,
    pub(crate) root: PathBuf,
    pub(crate) read_only: bool,
    /// The device that is bound as a file.
    pub(crate) device: Option<DeviceNumber>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    Folder { is_sealed: bool },
    File,
}

/// How devices and programs misbehave.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
pub(crate) struct Faults {
    /// The number of probes that fail with EIO.
    pub(crate) unreadable: usize,
    /// The serial number of the volume that is behind every NVMe namespace, which the kernel has not noticed.
    pub(crate) swapped: Option<String>,
    /// Size that new disks report in place of the real one.
    pub(crate) short: Option<u64>,
    /// Disks appear that much later than they are scanned.
    pub(crate) late: Duration,
    /// multipathd needs that long for a map.
    pub(crate) map_late: Duration,
    /// multipathd creates no map.
    pub(crate) no_map: bool,
    /// Disks that do not notice a new size.
    pub(crate) stubborn: BTreeSet<String>,
    /// `resize map` reports success and does nothing.
    pub(crate) resize_lies: bool,
    /// The file system reports success and does not grow.
    pub(crate) grow_lies: bool,
    /// Mounts do not reach the host.
    pub(crate) private: bool,
    /// Mounts that cannot be read.
    pub(crate) unreadable_mounts: bool,
    /// The records of connections cannot be read.
    pub(crate) unreadable_records: bool,
    /// The kernel does not show that it has set a file system read-only.
    pub(crate) quiet_abort: bool,
    /// File systems do not report their usage.
    pub(crate) no_usage: bool,
    /// The kernel has counted errors in every file system, and goes on writing to it.
    pub(crate) old_errors: bool,
    /// Unmounting reports success and does nothing.
    pub(crate) unmount_lies: bool,
    /// Deleting a disk reports success and does nothing.
    pub(crate) delete_lies: bool,
    /// Resuming a map does nothing.
    pub(crate) stays_suspended: bool,
    /// A map goes on queueing although it was asked to stop.
    pub(crate) keeps_queueing: bool,
    /// A flush that fails leaves the map suspended.
    pub(crate) flush_suspends: bool,
    /// An admin connects to the port just before the next log-in over NVMe/TCP.
    pub(crate) overtaken: bool,
    /// A log-in to a port that is down takes a minute.
    pub(crate) slow_log_in: bool,
    /// The record of formatting cannot be written.
    pub(crate) no_record: bool,
    /// multipathd puts every new disk of the host into a map by itself, and takes those of any identity.
    pub(crate) wrong_slave: Option<String>,
}

/// The moment at which the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    Before,
    /// In the midst of an effect that has one; otherwise as `After`.
    Midway,
    After,
}

#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) transport: BlockTransport,
    pub(crate) time: Duration,
    pub(crate) target: String,
    pub(crate) portals: BTreeMap<String, Portal>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) handles: BTreeMap<VolumeHandle, String>,
    /// The array's connections to this node.
    pub(crate) luns: BTreeMap<u32, String>,
    pub(crate) sessions: BTreeMap<String, KernelSession>,
    pub(crate) disks: BTreeMap<String, KernelDisk>,
    pub(crate) maps: BTreeMap<String, KernelMap>,
    /// The password that the array asks this node for.
    pub(crate) chap: Option<ChapPassword>,
    /// The passwords in the records.
    pub(crate) passwords: BTreeMap<String, ChapPassword>,
    pub(crate) mounts: Vec<KernelMount>,
    /// File systems that the kernel has set read-only.
    pub(crate) aborted: BTreeSet<DeviceNumber>,
    pub(crate) states: BTreeMap<PathBuf, StagedVolume>,
    /// Initiator records: portal, and whether the boot logs in.
    pub(crate) records: BTreeMap<String, bool>,
    /// Ports that the records of NVMe/TCP call the node service's own.
    pub(crate) connected: BTreeSet<String>,
    /// Ports whose log-in over NVMe/TCP was cut off after it had connected: nothing proves whose the connection is.
    pub(crate) unproven: BTreeSet<String>,
    pub(crate) nodes: BTreeMap<PathBuf, Node>,
    /// Devices with buffers that are not written yet.
    pub(crate) dirty: BTreeSet<DeviceNumber>,
    pub(crate) has_multipath: bool,
    pub(crate) faults: Faults,
    pub(crate) crashes: Vec<(usize, Crash)>,
    pub(crate) effects: usize,
    /// The number of looks at the host.
    pub(crate) views: usize,
    /// The life of the process that is alive.
    pub(crate) life: usize,
    pub(crate) trace: Vec<String>,
    pub(crate) hosts: u32,
}

/// The device number of the node's own root disk.
pub(crate) const ROOT_DISK: DeviceNumber = DeviceNumber { major: 8, minor: 0 };
/// The device number of the file system at `/dev`.
pub(crate) const DEV: DeviceNumber = DeviceNumber { major: 0, minor: 6 };

/// Returns the letters of a SCSI disk, as the kernel counts: `a` to `z`, `aa`, `ab`.
fn letters(number: u32) -> String {
    let last = char::from(b'a' + u8::try_from(number % 26).expect("a letter"));
    let before = (number / 26).checked_sub(1).map(letters).unwrap_or_default();
    format!("{before}{last}")
}

impl Kernel {
    /// Stops the test: an invariant is broken.
    pub(crate) fn broken(&self, what: &str) -> ! {
        panic!("{what}\nsteps:\n{}", self.trace.join("\n"));
    }

    pub(crate) fn volume(&mut self, serial: &str) -> &mut Volume {
        self.volumes.get_mut(serial).expect("a volume")
    }

    pub(crate) fn is_up(&self, portal: &str) -> bool {
        self.portals.get(portal).is_some_and(|portal| portal.is_up && portal.from <= self.time)
    }

    /// The volume that a request to a disk reaches.
    pub(crate) fn behind_disk(&self, disk: &KernelDisk) -> Option<String> {
        let Some(bus) = disk.bus else {
            // A namespace is known by its identity, over any controller.
            let is_live = self.sessions.values().any(|session| self.is_up(&session.portal));
            let recorded = serial_of(disk.wwid.as_deref()?)?;
            let serial = self.faults.swapped.clone().unwrap_or(recorded);
            return (is_live && self.luns.values().any(|it| *it == serial)).then_some(serial);
        };
        let session = self.sessions.values().find(|session| session.bus == Some(bus))?;
        if !self.is_up(&session.portal) {
            return None;
        }
        self.luns.get(&disk.lun).cloned()
    }

    /// The volume that a request to a device reaches; none if it fails.
    pub(crate) fn behind(&self, number: DeviceNumber) -> Option<String> {
        if let Some(disk) = self.disks.values().find(|disk| disk.number == number) {
            return self.behind_disk(disk);
        }
        let map = self.maps.values().find(|map| map.number == number)?;
        let slaves = map.slaves.iter().filter_map(|slave| self.disks.get(slave));
        let reached: BTreeSet<String> = slaves.filter_map(|disk| self.behind_disk(disk)).collect();
        if reached.len() > 1 {
            self.broken(&format!("a map leads to several volumes: {reached:?}"));
        }
        reached.into_iter().next()
    }

    /// Whether requests to a device wait for ever.
    pub(crate) fn hangs(&self, number: DeviceNumber) -> bool {
        let map = self.maps.values().find(|map| map.number == number);
        map.is_some_and(|map| map.is_suspended || (map.queues && self.behind(number).is_none()))
    }

    fn free_minor(&self, major: u32) -> DeviceNumber {
        let disks = self.disks.values().map(|disk| disk.number);
        // A mount keeps the number of a disk that is gone.
        let mounts = self.mounts.iter().map(|mount| mount.device.unwrap_or(mount.number));
        let maps = self.maps.values().map(|map| map.number);
        let used: BTreeSet<_> = disks.chain(maps).chain(mounts).collect();
        let first = if major == 8 { 16 } else { 0 };
        let step = if major == 8 { 16 } else { 1 };
        let mut minors = (first..).step_by(step).map(|minor| DeviceNumber { major, minor });
        minors.find(|number| !used.contains(number)).expect("a free minor")
    }

    /// Adds the disk of a LUN, if there is none; the lowest free name is used again.
    pub(crate) fn add_disk(&mut self, bus: Option<Bus>, lun: u32, serial: &str) {
        let is_there = |disk: &KernelDisk| match bus {
            Some(_) => disk.bus == bus && disk.lun == lun,
            None => disk.wwid.as_deref() == Some(&wwid(self.transport, serial)),
        };
        if self.disks.values().any(is_there) {
            return;
        }
        let size = self.faults.short.unwrap_or(self.volumes[serial].size);
        let (major, name) = if bus.is_some() { (8, "sd") } else { (259, "nvme") };
        let number = self.free_minor(major);
        let name = match bus {
            Some(_) => format!("{name}{}", letters(number.minor / 16)),
            None => format!("{name}0n{}", number.minor + 1),
        };
        let disk = KernelDisk {
            bus,
            lun,
            wwid: Some(wwid(self.transport, serial)),
            size,
            number,
            from: self.time + self.faults.late,
            holders: Vec::new(),
        };
        self.disks.insert(name, disk);
    }

    /// Creates the map of a volume, or adds its disks.
    pub(crate) fn add_map(&mut self, serial: &str) {
        let identity = wwid(self.transport, serial);
        let disks = self.disks.iter();
        let slaves: Vec<String> = disks
            .filter(|(_, disk)| disk.wwid.as_ref() == Some(&identity) && disk.from <= self.time)
            .map(|(name, _)| name.clone())
            .collect();
        let slaves: Vec<String> =
            slaves.into_iter().chain(self.faults.wrong_slave.take()).collect();
        let uuid = map_uuid(serial);
        if let Some(map) = self.maps.values_mut().find(|map| map.uuid == uuid) {
            map.slaves = slaves;
            return;
        }
        let sizes = slaves.iter().map(|slave| self.disks[slave].size);
        let Some(size) = sizes.min() else { return };
        let number = self.free_minor(254);
        let map = KernelMap {
            uuid,
            slaves,
            size,
            number,
            is_suspended: false,
            queues: true,
            open_until: Duration::ZERO,
            holders: Vec::new(),
            from: self.time + self.faults.map_late,
        };
        self.maps.insert(format!("dm-{}", number.minor), map);
    }

    /// The alias of a map: its WWID.
    pub(crate) fn alias(map: &KernelMap) -> String {
        map.uuid.trim_start_matches("mpath-").to_owned()
    }

    pub(crate) fn map_named(&mut self, alias: &str) -> Option<(String, &mut KernelMap)> {
        let found =
            self.maps.iter_mut().find(|(name, map)| *name == alias || Self::alias(map) == alias);
        found.map(|(name, map)| (name.clone(), map))
    }

    pub(crate) fn top(&self, path: &Path) -> Option<&KernelMount> {
        self.mounts.iter().rev().find(|mount| mount.path == path)
    }

    /// Namespaces of a controller follow the array.
    pub(crate) fn follow_namespaces(&mut self) {
        if self.transport != BlockTransport::NvmeTcp {
            return;
        }
        let luns: Vec<(u32, String)> = self.luns.iter().map(|(lun, s)| (*lun, s.clone())).collect();
        let known: BTreeSet<String> =
            luns.iter().map(|(_, serial)| wwid(self.transport, serial)).collect();
        let sessions = self.sessions.values();
        let is_connected = sessions.into_iter().any(|session| self.is_up(&session.portal));
        self.disks.retain(|_, disk| disk.wwid.as_ref().is_some_and(|it| known.contains(it)));
        for (lun, serial) in luns {
            if is_connected {
                self.add_disk(None, lun, &serial);
            }
        }
    }

    /// The node loses power: what is on disks stays.
    pub(crate) fn power_cut(&mut self) {
        self.sessions.retain(|_, _| self.transport == BlockTransport::FibreChannel);
        // The initiator's records of iSCSI stay.
        if self.transport == BlockTransport::NvmeTcp {
            self.records.clear();
            self.connected.clear();
            self.unproven.clear();
        }
        self.disks.clear();
        self.maps.clear();
        self.mounts.clear();
        self.aborted.clear();
        self.dirty.clear();
        self.life += 1;
        if let Some((portal, _)) = self.records.iter().find(|(_, at_boot)| **at_boot) {
            self.broken(&format!("the boot logs in to {portal}"));
        }
    }
}
