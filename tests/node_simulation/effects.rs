//! Carries effects out on the model, and stops the test at the effect that breaks an invariant: another volume's data
//! is overwritten or mounted, a path of a volume in use is taken away, buffers are lost.

use std::time::Duration;

use pso_gen::contract::BlockTransport;
use pso_gen::node::decide::{
    Bus, Checked, Content, Device, Effect, HostError, HostErrorKind, Outcome, RecordPassword,
    ScsiAddress, serial_of, wwid,
};
use pso_gen::node::{FsType, VolumeHandle};

use super::host::failed;
use super::kernel::{Kernel, KernelSession, Node, On};

pub(crate) type Done = Result<Outcome, HostError>;

fn busy(message: &str) -> HostError {
    HostError { kind: HostErrorKind::Busy, message: message.to_owned() }
}

impl Kernel {
    #[expect(clippy::too_many_lines, reason = "one arm for each effect")]
    pub(crate) fn execute(
        &mut self,
        volume: Option<&VolumeHandle>,
        effect: &Effect,
        midway: bool,
    ) -> Done {
        let serial = volume.and_then(|volume| self.handles.get(volume)).cloned();
        let serial = serial.unwrap_or_default();
        match effect {
            Effect::WriteState(state) => {
                self.states.insert(state.staging.clone(), (**state).clone());
            }
            Effect::RemoveState(staging) => {
                self.states.remove(staging);
            }
            Effect::WriteRecord { portal, password, .. } => {
                self.records.insert(portal.clone(), false);
                self.connected.remove(portal);
                match password {
                    RecordPassword::None => _ = self.passwords.remove(portal),
                    RecordPassword::Given(given) => {
                        self.passwords.insert(portal.clone(), given.clone());
                    }
                    RecordPassword::Kept => {}
                }
            }
            Effect::RemoveRecord { portal, .. } => {
                let is_own = |session: &KernelSession| {
                    session.portal == *portal
                        && !session.is_admins
                        && !self.unproven.contains(portal)
                };
                if self.sessions.values().any(is_own) {
                    self.broken("the record of a session in use is removed");
                }
                self.forget(portal);
            }
            Effect::LogIn { target, portal, .. } => {
                return self.log_in(target, portal, midway);
            }
            Effect::LogOut { session, .. } => self.log_out(session),
            Effect::Scan(address) => self.scan(*address),
            Effect::Inquire { disk, address } => return self.inquire(disk, *address),
            Effect::InquireNamespace(device) => return self.inquire_namespace(device),
            Effect::RescanDisk { disk, .. } => self.rescan(disk),
            Effect::RescanController(_) => self.rescan_namespaces(),
            Effect::DeleteDisk { disk, address } => self.delete(&serial, disk, *address),
            Effect::CreateMap { .. } | Effect::AddPath(_) if self.faults.no_map => {}
            Effect::CreateMap { wwid, .. } => {
                let serial = serial_of(&format!("mpath-{wwid}")).expect("a WWID of a volume");
                self.add_map(&serial);
            }
            Effect::AddPath(disk) => {
                let identity = self.disks.get(disk).and_then(|disk| disk.wwid.clone());
                if let Some(serial) = identity.and_then(|identity| serial_of(&identity)) {
                    self.add_map(&serial);
                }
            }
            Effect::RemovePath(disk) => {
                for map in self.maps.values_mut() {
                    map.slaves.retain(|slave| slave != disk);
                }
            }
            Effect::ResizeMap(name) => self.resize(name),
            Effect::ResumeMap(alias) => {
                let stays = self.faults.stays_suspended;
                if let Some((_, map)) = self.map_named(alias) {
                    map.is_suspended = stays;
                }
            }
            Effect::StopQueueing(alias) => {
                let queues = self.faults.keeps_queueing;
                if let Some((_, map)) = self.map_named(alias) {
                    map.queues = queues;
                }
            }
            Effect::FlushMap(alias) => return self.flush_map(&serial, alias),
            Effect::FlushBuffers(device) => {
                if self.behind(device.number).is_some() {
                    self.dirty.remove(&device.number);
                }
            }
            Effect::Probe(device) => return self.probe(device),
            Effect::MakeFileSystem { device, fs_type, again } => {
                return self.make_file_system(&serial, device, *fs_type, *again, midway);
            }
            Effect::RecordFormatted => self.broken("the host records the formatting"),
            Effect::CheckFileSystem { device, fs_type } => {
                if *fs_type == FsType::Xfs {
                    self.broken("fsck runs on XFS");
                }
                let reached = self.reached(&serial, device)?;
                self.volume(&reached).checks += 1;
                let is_damaged = self.volumes[&reached].is_damaged;
                let checked = if is_damaged {
                    Checked::Damaged("exit status 4".to_owned())
                } else {
                    Checked::Clean
                };
                return Ok(Outcome::Checked(checked));
            }
            Effect::ReadFileSystemSize { device, .. } => {
                let reached = self.reached(&serial, device)?;
                return Ok(Outcome::Size(self.volumes[&reached].fs_size));
            }
            Effect::ExpandFileSystem { device, path, .. } => {
                if self.top(path).is_none_or(|mount| mount.number != device.number) {
                    self.broken("a file system is expanded through a device that is not mounted");
                }
                let reached = self.reached(&serial, device)?;
                let size = self.size_of(device);
                if !self.faults.grow_lies {
                    self.volume(&reached).fs_size = size;
                }
            }
            Effect::ReadFolder(path) => {
                let number = self.top(path).map(|mount| mount.number);
                let is_read = number.is_some_and(|number| self.behind(number).is_some());
                if !is_read || self.faults.unreadable_mounts {
                    return Err(failed("Input/output error"));
                }
            }
            Effect::TryToWrite(path) => {
                let Some(mount) = self.top(path).cloned() else { return Err(failed("no mount")) };
                if mount.read_only || self.aborted.contains(&mount.number) {
                    return Err(failed("Read-only file system"));
                }
                if self.behind(mount.number).is_none() {
                    return Err(failed("Input/output error"));
                }
            }
            Effect::SealFolder(path) => {
                self.nodes.insert(path.clone(), Node::Folder { is_sealed: true });
            }
            Effect::UnsealFolder(path) => {
                if let Some(node @ Node::Folder { .. }) = self.nodes.get_mut(path) {
                    *node = Node::Folder { is_sealed: false };
                }
            }
            Effect::CreateFile(path) => {
                self.nodes.entry(path.clone()).or_insert(Node::File);
            }
            Effect::RemoveNode(path) => {
                if self.top(path).is_some() {
                    self.broken("a mount point in use is removed");
                }
                self.nodes.remove(path);
            }
            Effect::Mount { device, path, fs_type, options } => {
                return self.mount(&serial, device, path, *fs_type, options);
            }
            Effect::BindMount { source, path, read_only } => {
                self.bind(&serial, source, path, *read_only);
            }
            Effect::BindDevice { device, path } => return self.bind_device(&serial, device, path),
            Effect::Unmount { path, lazy } => return self.unmount(path, *lazy),
        }
        Ok(Outcome::Done)
    }

    fn forget(&mut self, portal: &str) {
        self.records.remove(portal);
        self.passwords.remove(portal);
        self.connected.remove(portal);
    }

    fn log_in(&mut self, target: &str, portal: &str, midway: bool) -> Done {
        if self.sessions.values().any(|session| session.portal == portal) {
            self.broken("a second session to one portal");
        }
        if self.records.get(portal) != Some(&false) {
            self.broken("a log-in without a record, that says node.startup=manual");
        }
        if !self.is_up(portal) {
            self.time += Duration::from_secs(if self.faults.slow_log_in { 60 } else { 3 });
            return Err(failed("connection timed out"));
        }
        if self.chap.is_some() && self.passwords.get(portal) != self.chap.as_ref() {
            return Err(failed("authorization failure"));
        }
        self.hosts += 1;
        let bus = Bus { host: self.hosts, channel: 0, target: 0 };
        let is_nvme = self.transport == BlockTransport::NvmeTcp;
        let is_admins = std::mem::take(&mut self.faults.overtaken);
        let session = KernelSession {
            target: target.to_owned(),
            portal: portal.to_owned(),
            bus: (!is_nvme).then_some(bus),
            is_admins,
        };
        if is_nvme && is_admins {
            self.forget(portal);
        } else if is_nvme && midway {
            self.unproven.insert(portal.to_owned());
        } else if is_nvme {
            self.connected.insert(portal.to_owned());
        }
        self.sessions.insert(format!("session{}", self.hosts), session);
        self.follow_namespaces();
        Ok(Outcome::Done)
    }

    fn log_out(&mut self, name: &str) {
        let Some(session) = self.sessions.remove(name) else { return };
        if session.is_admins {
            self.broken("a session of others is ended");
        }
        if let Some(bus) = session.bus
            && self.disks.values().any(|disk| disk.bus == Some(bus))
        {
            self.broken("a log-out while disks are on the session");
        }
        if session.bus.is_none() && self.sessions.is_empty() {
            let used = self
                .disks
                .values()
                .find(|disk| self.mounts.iter().any(|m| m.number == disk.number));
            if used.is_some() {
                self.broken("a namespace in use is disconnected");
            }
            self.disks.clear();
        }
    }

    fn scan(&mut self, address: ScsiAddress) {
        let session = self.sessions.values().find(|session| session.bus == Some(address.bus));
        let is_up = session.is_some_and(|session| self.is_up(&session.portal));
        if let Some(serial) = self.luns.get(&address.lun).cloned().filter(|_| is_up) {
            self.add_disk(Some(address.bus), address.lun, &serial);
        }
    }

    fn inquire(&self, name: &str, address: ScsiAddress) -> Done {
        let disk = self
            .disks
            .get(name)
            .filter(|disk| disk.bus == Some(address.bus) && disk.lun == address.lun);
        let reached = disk.and_then(|disk| self.behind_disk(disk));
        let serial = reached.ok_or_else(|| failed("no answer"))?;
        Ok(Outcome::Identity(wwid(self.transport, &serial)))
    }

    fn inquire_namespace(&self, device: &Device) -> Done {
        let disk = self.disks.get(&device.name).filter(|disk| disk.number == device.number);
        let reached = disk.and_then(|disk| self.behind_disk(disk));
        let serial = reached.ok_or_else(|| failed("no answer"))?;
        let size = self.faults.short.unwrap_or(self.volumes[&serial].size);
        Ok(Outcome::Namespace(wwid(self.transport, &serial), size))
    }

    fn rescan(&mut self, name: &str) {
        let Some(disk) = self.disks.get(name).cloned() else { return };
        let Some(serial) = self.behind_disk(&disk) else { return };
        // A namespace that was swapped after the rescan shows the same as one that the kernel has not noticed.
        if self.faults.stubborn.contains(name) || self.faults.swapped.is_some() {
            return;
        }
        let size = self.faults.short.unwrap_or(self.volumes[&serial].size);
        let wwid = wwid(self.transport, &serial);
        if let Some(disk) = self.disks.get_mut(name) {
            disk.size = size;
            disk.wwid = Some(wwid);
        }
    }

    fn rescan_namespaces(&mut self) {
        self.follow_namespaces();
        let names: Vec<String> = self.disks.keys().cloned().collect();
        for name in names {
            self.rescan(&name);
        }
    }

    fn delete(&mut self, serial: &str, name: &str, address: ScsiAddress) {
        let Some(disk) = self.disks.get(name).cloned() else { return };
        if disk.bus != Some(address.bus) || disk.lun != address.lun {
            self.broken("a disk is deleted that has another address");
        }
        let recorded = disk.wwid.as_deref().and_then(serial_of);
        let actual = self.behind_disk(&disk);
        let maps = self.maps.values().filter(|map| map.slaves.iter().any(|slave| slave == name));
        let mut numbers = maps.map(|map| map.number).chain([disk.number]);
        let is_used = numbers.any(|number| self.mounts.iter().any(|mount| mount.number == number));
        let is_another = recorded == actual && recorded.as_deref() != Some(serial);
        if is_another && is_used {
            self.broken("a path of another volume in use is taken away");
        }
        if is_used && recorded == actual {
            self.broken("a path of a mounted volume is taken away");
        }
        if self.dirty.contains(&disk.number) {
            self.broken("a disk is deleted before its buffers are written");
        }
        if self.faults.delete_lies {
            return;
        }
        self.disks.remove(name);
        for map in self.maps.values_mut() {
            map.slaves.retain(|slave| slave != name);
        }
    }

    fn resize(&mut self, name: &str) {
        if self.faults.resize_lies {
            return;
        }
        let Some(map) = self.maps.get(name) else { return };
        let sizes =
            map.slaves.iter().filter_map(|slave| self.disks.get(slave)).map(|disk| disk.size);
        if let (Some(size), Some(map)) = (sizes.min(), self.maps.get_mut(name)) {
            map.size = size;
        }
    }

    fn flush_map(&mut self, serial: &str, alias: &str) -> Done {
        let Some((name, map)) = self.map_named(alias).map(|(name, map)| (name, map.clone())) else {
            return Ok(Outcome::Done);
        };
        if serial_of(&map.uuid).as_deref() != Some(serial) {
            self.broken("the map of another volume is removed");
        }
        let is_used = self.mounts.iter().any(|mount| mount.number == map.number);
        if is_used || map.open_until > self.time || !map.holders.is_empty() || map.is_suspended {
            let suspends = self.faults.flush_suspends;
            if let Some(map) = self.maps.get_mut(&name) {
                map.is_suspended |= suspends;
            }
            return Err(busy("map in use"));
        }
        if self.dirty.contains(&map.number) {
            self.broken("a map is removed before its buffers are written");
        }
        self.maps.remove(&name);
        Ok(Outcome::Done)
    }

    /// The volume that a device leads to, which has to be the right one.
    pub(crate) fn reached(&self, serial: &str, device: &Device) -> Result<String, HostError> {
        let reached = self.behind(device.number).ok_or_else(|| failed("Input/output error"))?;
        if reached != serial {
            self.broken(&format!("{} is {reached}, and {serial} is meant", device.name));
        }
        Ok(reached)
    }

    fn size_of(&self, device: &Device) -> u64 {
        let map = self.maps.get(&device.name).map(|map| map.size);
        map.or_else(|| self.disks.get(&device.name).map(|disk| disk.size)).unwrap_or_default()
    }

    fn probe(&mut self, device: &Device) -> Done {
        if self.faults.unreadable > 0 {
            self.faults.unreadable -= 1;
            return Err(failed("Input/output error"));
        }
        let serial = self.behind(device.number).ok_or_else(|| failed("Input/output error"))?;
        Ok(Outcome::Content(match self.volumes[&serial].on {
            On::Zeros => Content::Zeros,
            On::FileSystem(fs_type) => Content::FileSystem(fs_type),
            On::Partial | On::Data => Content::Other,
        }))
    }

    fn make_file_system(
        &mut self,
        serial: &str,
        device: &Device,
        fs_type: FsType,
        again: bool,
        midway: bool,
    ) -> Done {
        let size = self.size_of(device);
        let reached = self.reached(serial, device)?;
        let uuid = u32::try_from(self.effects).expect("few");
        let volume = &self.volumes[&reached];
        let may = match volume.on {
            On::Zeros => !again,
            On::Partial => again,
            On::FileSystem(_) | On::Data => false,
        };
        if !may || volume.data.is_some() || volume.is_recorded {
            self.broken(&format!("a file system is created over {volume:?}"));
        }
        if size < volume.size {
            self.broken("a file system is created on a device that is too short");
        }
        let volume = self.volume(&reached);
        if midway {
            volume.on = On::Partial;
        } else {
            (volume.on, volume.fs_size, volume.uuid) = (On::FileSystem(fs_type), size, uuid);
        }
        Ok(Outcome::Done)
    }
}
