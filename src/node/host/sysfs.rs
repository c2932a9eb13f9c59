//! Sessions, disks and maps as sysfs shows them. Nothing here sends a request to a device: sysfs has what the kernel
//! has recorded. Links below `/dev/disk` are not read; they belong to the device that was there before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::mountinfo::device_number;
use crate::contract::BlockTransport;
use crate::node::decide::{
    Bus, DeviceNumber, Disk, Holder, HostQuery, Map, ScsiAddress, Session, map_uuid, wwid,
};

/// The unit of `size` in sysfs, in bytes.
const SECTOR: u64 = 512;

/// A tree of sysfs.
#[derive(Debug, Clone)]
pub(super) struct Sysfs {
    /// `/sys`, except in tests.
    pub(super) root: PathBuf,
}

pub(super) fn word(path: impl AsRef<Path>) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned()).filter(|word| !word.is_empty())
}

pub(super) fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Parses `3:0:0:7`.
pub(super) fn address(text: &str) -> Option<ScsiAddress> {
    let mut parts = text.split(':').map(|part| part.parse::<u32>().ok());
    let (host, channel, target) = (parts.next()??, parts.next()??, parts.next()??);
    // A LUN may be longer than 32 bits in other addressing methods; an array's LUN is not.
    let lun = parts.next()??;
    parts.next().is_none().then_some(ScsiAddress { bus: Bus { host, channel, target }, lun })
}

impl Sysfs {
    fn class(&self, class: &str) -> PathBuf {
        self.root.join("class").join(class)
    }

    pub(super) fn block(&self, name: &str) -> PathBuf {
        self.root.join("block").join(name)
    }

    /// Returns the numbers of a block device by its name.
    pub(super) fn number(&self, name: &str) -> Option<DeviceNumber> {
        device_number(&word(self.block(name).join("dev"))?)
    }

    /// Returns the devices with an ext4 in which the kernel has counted errors since the last check. Whether it can still be
    /// written to is another fact. <https://docs.kernel.org/admin-guide/ext4.html#sys-entries>
    pub(super) fn with_errors(&self) -> BTreeSet<DeviceNumber> {
        let class = self.root.join("fs/ext4");
        let has_errors = |name: &String| {
            word(class.join(name).join("errors_count")).is_some_and(|count| count != "0")
        };
        names(&class)
            .iter()
            .filter(|name| has_errors(name))
            .filter_map(|name| self.number(name))
            .collect()
    }

    /// Returns the size of a block device in bytes.
    pub(super) fn size(&self, name: &str) -> Option<u64> {
        word(self.block(name).join("size"))?.parse::<u64>().ok()?.checked_mul(SECTOR)
    }

    /// Returns the name of the disk at an address.
    pub(super) fn disk_at(&self, address: ScsiAddress) -> Option<String> {
        let folder = self.class("scsi_disk").join(address.to_string()).join("device/block");
        names(folder).into_iter().next()
    }

    /// Returns the folder of the logical unit at an address.
    pub(super) fn unit(&self, address: ScsiAddress) -> PathBuf {
        self.class("scsi_device").join(address.to_string()).join("device")
    }

    /// Returns the connections to a target, or to ports of Fibre Channel.
    pub(super) fn sessions(&self, query: &HostQuery) -> Vec<Session> {
        if query.target.is_empty() && query.transport != Some(BlockTransport::FibreChannel) {
            return Vec::new();
        }
        match query.transport {
            Some(BlockTransport::Iscsi) => self.iscsi(&query.target),
            Some(BlockTransport::NvmeTcp) => self.nvme(&query.target),
            Some(BlockTransport::FibreChannel) => self.fibre_channel(&query.portals),
            None => Vec::new(),
        }
    }

    /// Returns the number of disks behind each bus.
    fn disks_on(&self) -> BTreeMap<Bus, usize> {
        let mut on = BTreeMap::new();
        for address in names(self.class("scsi_disk")).iter().filter_map(|name| address(name)) {
            *on.entry(address.bus).or_default() += 1;
        }
        on
    }

    fn iscsi(&self, target: &str) -> Vec<Session> {
        let class = self.class("iscsi_session");
        let on = self.disks_on();
        let session = |name: String| {
            let folder = class.join(&name);
            if word(folder.join("targetname"))? != target {
                return None;
            }
            let number = name.strip_prefix("session")?;
            let connection = self.class("iscsi_connection").join(format!("connection{number}:0"));
            let address = word(connection.join("persistent_address"))
                .or_else(|| word(connection.join("address")))?;
            let port = word(connection.join("persistent_port"))
                .or_else(|| word(connection.join("port")))?;
            let device = fs::canonicalize(folder.join("device")).ok()?;
            let host = device.iter().find_map(|part| {
                part.to_str()?.strip_prefix("host").and_then(|number| number.parse().ok())
            })?;
            // The kernel shows the target after the first scan; a software initiator has one for each session.
            let shown = names(&device).iter().find_map(|name| {
                let mut parts = name.strip_prefix("target")?.split(':').skip(1);
                Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
            });
            let (channel, target) = shown.unwrap_or((0, 0));
            let bus = Bus { host, channel, target };
            let is_v6 = address.contains(':');
            let portal =
                if is_v6 { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
            let live = word(folder.join("state")).as_deref() == Some("LOGGED_IN");
            let disks = on.get(&bus).copied().unwrap_or_default();
            Some(Session { name, portal, live, bus: Some(bus), disks })
        };
        names(&class).into_iter().filter_map(session).collect()
    }

    fn fibre_channel(&self, portals: &[String]) -> Vec<Session> {
        let class = self.class("fc_remote_ports");
        let on = self.disks_on();
        let session = |name: String| {
            let folder = class.join(&name);
            let portal = word(folder.join("port_name"))?.trim_start_matches("0x").to_lowercase();
            if !portals.contains(&portal) {
                return None;
            }
            // rport-HOST:CHANNEL-NUMBER
            let (host, rest) = name.strip_prefix("rport-")?.split_once(':')?;
            let channel = rest.split('-').next()?.parse().ok()?;
            let target = word(folder.join("scsi_target_id"))?.parse().ok()?;
            let bus = Bus { host: host.parse().ok()?, channel, target };
            let live = word(folder.join("port_state")).as_deref() == Some("Online");
            let disks = on.get(&bus).copied().unwrap_or_default();
            Some(Session { name, portal, live, bus: Some(bus), disks })
        };
        names(&class).into_iter().filter_map(session).collect()
    }

    fn nvme(&self, target: &str) -> Vec<Session> {
        let subsystems = self.class("nvme-subsystem");
        let is_it = |name: &&String| {
            word(subsystems.join(name).join("subsysnqn")).as_deref() == Some(target)
        };
        let subsystem = names(&subsystems).iter().find(is_it).cloned();
        let is_namespace = |name: &&String| self.block(name).exists() && !self.is_hidden(name);
        let class = self.class("nvme");
        // Without native multipath, the namespaces are below their controllers.
        let folders = self.controllers(target).into_iter().map(|name| class.join(name));
        let folders = folders.chain(subsystem.map(|name| subsystems.join(name)));
        let disks: BTreeSet<String> =
            folders.flat_map(names).filter(|name| is_namespace(&name)).collect();
        let disks = disks.len();
        let session = |name: String| {
            let folder = class.join(&name);
            if word(folder.join("subsysnqn"))? != target {
                return None;
            }
            let text = word(folder.join("address"))?;
            let part = |key: &str| {
                text.split(',').find_map(|part| part.trim().strip_prefix(key)).map(str::to_owned)
            };
            let (address, port) = (part("traddr=")?, part("trsvcid=")?);
            let is_v6 = address.contains(':');
            let portal =
                if is_v6 { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
            let live = word(folder.join("state")).as_deref() == Some("live");
            Some(Session { name, portal, live, bus: None, disks })
        };
        names(&class).into_iter().filter_map(session).collect()
    }

    /// Returns the controllers of an NVMe subsystem.
    pub(super) fn controllers(&self, target: &str) -> Vec<String> {
        let class = self.class("nvme");
        let is_its =
            |name: &String| word(class.join(name).join("subsysnqn")).as_deref() == Some(target);
        names(&class).into_iter().filter(is_its).collect()
    }

    /// Paths of a namespace are hidden behind it.
    fn is_hidden(&self, name: &str) -> bool {
        word(self.block(name).join("hidden")).as_deref() == Some("1")
    }

    fn holders(&self, name: &str) -> Vec<Holder> {
        let holder = |name: String| {
            let uuid = word(self.block(&name).join("dm/uuid")).unwrap_or_default();
            Holder { name, uuid }
        };
        names(self.block(name).join("holders")).into_iter().map(holder).collect()
    }

    /// Returns the disks that a query asks for, and those with one of some numbers.
    pub(super) fn disks(
        &self,
        query: &HostQuery,
        sessions: &[Session],
        numbers: &BTreeSet<DeviceNumber>,
    ) -> Vec<Disk> {
        let identity = query.serial.as_ref().zip(query.transport);
        let identity = identity.map(|(serial, transport)| wwid(transport, serial));
        let is_known = |wwid: &Option<String>| wwid.is_some() && *wwid == identity;
        let scsi = names(self.class("scsi_disk")).into_iter().filter_map(|text| {
            let address = address(&text)?;
            let unit = self.class("scsi_disk").join(&text).join("device");
            let wwid = word(unit.join("wwid"));
            let is_at_lun = Some(address.lun) == query.lun
                && sessions.iter().any(|session| session.bus == Some(address.bus));
            if !is_at_lun && !is_known(&wwid) && numbers.is_empty() {
                return None;
            }
            let name = names(unit.join("block")).into_iter().next()?;
            let number = self.number(&name)?;
            if !is_at_lun && !is_known(&wwid) && !numbers.contains(&number) {
                return None;
            }
            let live = word(unit.join("state")).as_deref() == Some("running");
            let (size, holders) = (self.size(&name)?, self.holders(&name));
            Some(Disk { name, number, address: Some(address), wwid, size, live, holders })
        });
        let nvme = names(self.root.join("block")).into_iter().filter_map(|name| {
            if !name.starts_with("nvme") || self.is_hidden(&name) {
                return None;
            }
            let wwid = word(self.block(&name).join("wwid"));
            let number = self.number(&name)?;
            if !is_known(&wwid) && !numbers.contains(&number) {
                return None;
            }
            let (size, holders) = (self.size(&name)?, self.holders(&name));
            let live = sessions.is_empty() || sessions.iter().any(|session| session.live);
            Some(Disk { name, number, address: None, wwid, size, live, holders })
        });
        scsi.chain(nvme).collect()
    }

    /// Returns the multipath maps that a query asks for.
    pub(super) fn maps(
        &self,
        query: &HostQuery,
        disks: &[Disk],
        numbers: &BTreeSet<DeviceNumber>,
    ) -> Vec<Map> {
        let wanted = query.serial.as_ref().map(|serial| map_uuid(serial));
        let map = |name: String| {
            let folder = self.block(&name);
            let uuid = word(folder.join("dm/uuid")).filter(|uuid| uuid.starts_with("mpath-"))?;
            let is_above = |disk: &Disk| disk.holders.iter().any(|holder| holder.name == name);
            let is_wanted = Some(&uuid) == wanted.as_ref() || disks.iter().any(is_above);
            if !is_wanted && numbers.is_empty() {
                return None;
            }
            let number = self.number(&name)?;
            if !is_wanted && !numbers.contains(&number) {
                return None;
            }
            Some(Map {
                alias: word(folder.join("dm/name"))?,
                number,
                uuid,
                size: self.size(&name)?,
                suspended: word(folder.join("dm/suspended")).as_deref() == Some("1"),
                slaves: names(folder.join("slaves")),
                holders: self.holders(&name),
                name,
            })
        };
        let names = names(self.root.join("block")).into_iter();
        names.filter(|name| name.starts_with("dm-")).filter_map(map).collect()
    }
}

#[cfg(test)]
mod tests;
