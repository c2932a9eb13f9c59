//! What a volume in use lacks: paths that have come back are added, and paths that lead to another volume by now are
//! removed. Each is tried once, and nothing is waited for.

use std::time::Duration;

use super::super::effect::Effect;
use super::super::identity::map_uuid;
use super::super::view::{Disk, HostView};
use super::{Connect, DiskIdentity};
use crate::contract::BlockTransport;

impl Connect {
    /// Returns the next effect. A log-in comes last: it may take long, and nothing else has to wait for it.
    pub(in crate::node::decide) fn heal(
        &self,
        view: &HostView,
        may_log_in: bool,
    ) -> Option<Effect> {
        // At the moment of all attempts, none is due again.
        let log_in = || self.log_in(view, Duration::ZERO).filter(|_| may_log_in);
        if self.attachment.transport == BlockTransport::NvmeTcp {
            return log_in();
        }
        self.inquire(view)
            .or_else(|| self.part(view))
            .or_else(|| self.scan(view, Duration::ZERO))
            .or_else(|| self.join(view))
            .or_else(log_in)
    }

    fn inquire(&self, view: &HostView) -> Option<Effect> {
        view.disks.iter().find_map(|disk| {
            let (name, address) = (disk.name.clone(), disk.address?);
            let is_asked = self.disk_identity(disk).is_some();
            (!is_asked).then_some(Effect::Inquire { disk: name, address })
        })
    }

    /// Returns the next effect that takes away a path of another volume. I/O of this volume would reach that one.
    fn part(&self, view: &HostView) -> Option<Effect> {
        let uuid = map_uuid(&self.attachment.serial);
        let map = view.maps.iter().find(|map| map.uuid == uuid);
        view.disks.iter().find_map(|disk| {
            let (name, address) = (disk.name.clone(), disk.address?);
            // A disk of the host itself is never removed.
            let is_arrays = disk.wwid.as_ref() == Some(&self.wwid)
                || view.sessions.iter().any(|session| session.bus == Some(address.bus));
            if is_arrays && self.is_mistaken(view, disk) && !self.cleared.contains(&address) {
                return Some(Effect::DeleteDisk { disk: name, address });
            }
            // The kernel has noticed by itself what the disk is. Another map may use it, so the disk stays.
            let is_in = map.is_some_and(|map| map.slaves.contains(&name));
            let is_foreign = self.disk_identity(disk) == Some(DiskIdentity::Foreign);
            (is_foreign && is_in && !self.repaired.contains(&name))
                .then_some(Effect::RemovePath(name))
        })
    }

    fn join(&self, view: &HostView) -> Option<Effect> {
        let uuid = map_uuid(&self.attachment.serial);
        let map = view.maps.iter().find(|map| map.uuid == uuid)?;
        let is_outside = |disk: &&Disk| {
            let is_ours = disk.live && self.disk_identity(disk) == Some(DiskIdentity::Ours);
            is_ours && !map.slaves.contains(&disk.name) && !self.asked.contains_key(&disk.name)
        };
        view.disks.iter().find(is_outside).map(|disk| Effect::AddPath(disk.name.clone()))
    }
}
