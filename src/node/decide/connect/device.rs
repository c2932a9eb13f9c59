//! From verified disks to the device that is used: the multipath map with every path checked, or the only disk where
//! the host runs no multipathd.

use std::time::Duration;

use super::super::effect::Effect;
use super::super::identity::{map_uuid, map_wwid};
use super::super::view::{Disk, HostView, Map};
use super::{Connect, DiskIdentity, MAP, Progress, VerifiedDevice};
use crate::node::request::{NodeError, NodeErrorKind};

impl Connect {
    pub(super) fn device(
        &self,
        view: &HostView,
        good: &[&Disk],
        now: Duration,
    ) -> Result<Progress, NodeError> {
        let serial = &self.attachment.serial;
        let uuid = map_uuid(serial);
        let map = view.maps.iter().find(|map| map.uuid == uuid);
        let names = || good.iter().map(|disk| disk.name.clone()).collect::<Vec<_>>();
        match map {
            Some(map) => self.map(view, map, good, now),
            None if view.multipath => match self.asked.get(&map_wwid(serial)) {
                None => {
                    Ok(Progress::Do(Effect::CreateMap { wwid: map_wwid(serial), disks: names() }))
                }
                Some(when) if now.saturating_sub(*when) < MAP => Ok(Progress::Wait),
                Some(_) => Err(NodeError::new(
                    NodeErrorKind::Unavailable,
                    format!(
                        "multipathd has not created a map for {} from {}; check its blacklist and find_multipaths with \
                         `pso-gen node check`",
                        map_wwid(serial),
                        names().join(", ")
                    ),
                )),
            },
            None => self.single(view, good),
        }
    }

    /// Without multipathd one disk is used and the others stay idle. A disk that is mounted already is preferred.
    fn single(&self, view: &HostView, good: &[&Disk]) -> Result<Progress, NodeError> {
        let is_mounted =
            |disk: &&&Disk| view.mounts.iter().any(|mount| mount.number == disk.number);
        let Some(disk) = good.iter().find(is_mounted).or(good.first()) else {
            return Ok(Progress::Wait);
        };
        if let Some(holder) = disk.holders.first() {
            return Err(held(&disk.name, &holder.name));
        }
        Ok(Progress::VerifiedDevice(VerifiedDevice {
            device: disk.device(),
            size: disk.size,
            paths: 1,
            expected: self.attachment.portals.len(),
        }))
    }

    fn map(
        &self,
        view: &HostView,
        map: &Map,
        good: &[&Disk],
        now: Duration,
    ) -> Result<Progress, NodeError> {
        if map.suspended {
            if self.repaired.contains(&map.alias) {
                return Err(NodeError::new(
                    NodeErrorKind::Unavailable,
                    format!(
                        "the map {} ({}) stays suspended after it was resumed",
                        map.alias, map.name
                    ),
                ));
            }
            return Ok(Progress::Do(Effect::ResumeMap(map.alias.clone())));
        }
        for slave in &map.slaves {
            let disk = view.disks.iter().find(|disk| disk.name == *slave);
            let identity = disk.and_then(|disk| self.disk_identity(disk));
            if !matches!(identity, Some(DiskIdentity::Ours | DiskIdentity::Silent)) {
                if self.repaired.contains(slave) {
                    return Err(NodeError::new(
                        NodeErrorKind::FailedPrecondition,
                        format!(
                            "the map {} contains {slave}, which is not volume {}; the device is refused",
                            map.alias, self.attachment.serial
                        ),
                    ));
                }
                return Ok(Progress::Do(Effect::RemovePath(slave.clone())));
            }
        }
        let is_in = |disk: &&Disk| map.slaves.contains(&disk.name);
        for disk in good.iter().filter(|disk| !is_in(disk)) {
            match self.asked.get(&disk.name) {
                None => return Ok(Progress::Do(Effect::AddPath(disk.name.clone()))),
                Some(when) if now.saturating_sub(*when) < MAP => return Ok(Progress::Wait),
                Some(_) => {}
            }
        }
        let paths: Vec<&&Disk> = good.iter().filter(|disk| is_in(disk)).collect();
        let Some(smallest) = paths.iter().map(|disk| disk.size).min() else {
            return Err(NodeError::new(
                NodeErrorKind::Unavailable,
                format!(
                    "the map {} has taken none of the paths of volume {}",
                    map.alias, self.attachment.serial
                ),
            ));
        };
        if let Some(effect) = self.silent(view, map)? {
            return Ok(Progress::Do(effect));
        }
        if map.size < smallest && !self.repaired.contains(&map.name) {
            return Ok(Progress::Do(Effect::ResizeMap(map.name.clone())));
        }
        if map.size < self.attachment.size {
            return Err(self.too_short(&map.name, map.size));
        }
        Ok(Progress::VerifiedDevice(VerifiedDevice {
            device: map.device(),
            size: map.size,
            paths: paths.len(),
            expected: self.attachment.portals.len(),
        }))
    }

    /// Returns the removal of a path that does not answer. When it comes back, multipathd uses it at once, and the
    /// array may have assigned its LUN to another volume by then. Healing scans for it, and asks what it is.
    fn silent(&self, view: &HostView, map: &Map) -> Result<Option<Effect>, NodeError> {
        let is_silent = |disk: &&Disk| {
            map.slaves.contains(&disk.name)
                && self.disk_identity(disk) == Some(DiskIdentity::Silent)
        };
        let silent = view.disks.iter().find(is_silent);
        let Some((disk, address)) = silent.and_then(|disk| Some((disk, disk.address?))) else {
            return Ok(None);
        };
        if self.cleared.contains(&address) {
            return Err(NodeError::new(
                NodeErrorKind::Unavailable,
                format!(
                    "the map {} still contains {}, which does not answer, after its removal; it may lead to another \
                     volume when it comes back",
                    map.alias, disk.name
                ),
            ));
        }
        Ok(Some(Effect::DeleteDisk { disk: disk.name.clone(), address }))
    }
}

/// The error for a device that something else on the host uses.
pub(in crate::node::decide) fn held(device: &str, holder: &str) -> NodeError {
    NodeError::new(
        NodeErrorKind::FailedPrecondition,
        format!(
            "{device} is in use by {holder} on this host; the node service does not end what it has not started: if \
             LVM or a RAID of the host has activated it, deactivate it there and exclude the device \
             (`global_filter` in lvm.conf)"
        ),
    )
}
