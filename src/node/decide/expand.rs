//! Expansion: every path is read again, then the map, then the file system; each is read back before the next one.
//! `multipathd resize map` reports success also when the paths still have the old size.

use std::collections::BTreeSet;
use std::time::Duration;

use super::connect::VerifiedDevice;
use super::effect::{Effect, HostError, Outcome, Procedure, Step};
use super::expand_file_system::FileSystemExpansion;
use super::identity::{map_uuid, wwid};
use super::view::{Disk, HostQuery, HostView, Mount, StagedVolume};
use crate::node::request::{ExpandRequest, NodeError, NodeErrorKind, VolumeMode};

/// One call of `NodeExpandVolume`.
#[derive(Debug)]
pub struct Expand {
    request: ExpandRequest,
    state: StagedVolume,
    rescanned: BTreeSet<String>,
    resized: bool,
    expansion: FileSystemExpansion,
    size: u64,
}

impl Expand {
    /// Begins a call, with the volume's state file.
    pub fn new(request: ExpandRequest, state: StagedVolume) -> Self {
        Self {
            request,
            state,
            rescanned: BTreeSet::new(),
            resized: false,
            expansion: FileSystemExpansion::default(),
            size: 0,
        }
    }

    /// Returns the device's size in bytes when all is done.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn decide(&mut self, view: &HostView) -> Result<Step, NodeError> {
        let uuid = map_uuid(&self.state.serial);
        let wwid = self.state.transport().map(|transport| wwid(transport, &self.state.serial));
        let is_ours = |disk: &&Disk| disk.live && disk.wwid.is_some() && disk.wwid == wwid;
        let disks: Vec<&Disk> = view.disks.iter().filter(is_ours).collect();
        if let Some(effect) = self.rescan(view, &disks) {
            return Ok(Step::Do(effect));
        }
        let (Some(largest), Some(smallest)) =
            (disks.iter().map(|disk| disk.size).max(), disks.iter().min_by_key(|disk| disk.size))
        else {
            return Err(NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!("no live path of volume {} is on this node", self.request.handle),
            ));
        };
        let wanted = self.request.wanted.unwrap_or(largest).max(largest);
        if smallest.size < wanted {
            return Err(NodeError::new(
                NodeErrorKind::Unavailable,
                format!(
                    "{} still has {} bytes after it was rescanned, and not {wanted}; the map is resized only when \
                     every path has the new size",
                    smallest.name, smallest.size
                ),
            ));
        }
        // Without multipathd one of the disks is mounted. To resize2fs another one looks like a file system that is not.
        let is_mounted =
            |disk: &&&Disk| view.mounts.iter().any(|mount| mount.number == disk.number);
        let used = disks.iter().find(is_mounted).unwrap_or(smallest);
        let mut ready = VerifiedDevice {
            device: used.device(),
            size: smallest.size,
            paths: disks.len(),
            expected: self.state.portals.len(),
        };
        if let Some(map) = view.maps.iter().find(|map| map.uuid == uuid) {
            let is_known = |slave: &&String| {
                view.disks.iter().any(|disk| disk.name == **slave && disk.wwid == wwid)
            };
            if let Some(foreign) = map.slaves.iter().find(|slave| !is_known(slave)) {
                return Err(NodeError::new(
                    NodeErrorKind::FailedPrecondition,
                    format!(
                        "the map {} contains {foreign}, which is not volume {}",
                        map.alias, self.state.serial
                    ),
                ));
            }
            if map.size < wanted && !self.resized {
                return Ok(Step::Do(Effect::ResizeMap(map.name.clone())));
            }
            if map.size < wanted {
                return Err(NodeError::new(
                    NodeErrorKind::Unavailable,
                    format!(
                        "the map {} still has {} bytes after it was resized, and not {wanted}",
                        map.alias, map.size
                    ),
                ));
            }
            ready.device = map.device();
            ready.size = map.size;
        }
        self.size = ready.size;
        if self.state.block {
            return Ok(Step::Done);
        }
        self.expand_file_system(view, &disks, &ready)
    }

    /// Expands the mounted file system once the device is as large as the volume.
    fn expand_file_system(
        &mut self,
        view: &HostView,
        disks: &[&Disk],
        ready: &VerifiedDevice,
    ) -> Result<Step, NodeError> {
        if self.request.mode == Some(VolumeMode::Block) {
            return Err(NodeError::new(
                NodeErrorKind::InvalidArgument,
                format!(
                    "volume {} is staged with a file system, not as a block device",
                    self.request.handle
                ),
            ));
        }
        let places = [&self.state.staging, &self.request.path];
        let is_its = |top: &&Mount| {
            disks.iter().any(|disk| disk.number == top.number) || top.number == ready.device.number
        };
        let mut uppermost =
            places.into_iter().filter_map(|path| view.mounts_at(path).next_back().filter(is_its));
        let Some(Mount { path, fs_type, .. }) = uppermost.next() else {
            return Err(NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!(
                    "the file system of volume {} is not mounted; it is expanded when it is staged",
                    self.request.handle
                ),
            ));
        };
        // The kernel knows best what is mounted.
        let asked = match &self.request.mode {
            Some(VolumeMode::FileSystem { fs_type, .. }) => Some(*fs_type),
            _ => None,
        };
        let fs_type = fs_type.or(asked).ok_or_else(|| {
            NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!(
                    "the file system of volume {} is neither ext4 nor XFS",
                    self.request.handle
                ),
            )
        })?;
        let effect = self.expansion.next(ready, path, fs_type)?;
        Ok(effect.map_or(Step::Done, Step::Do))
    }

    fn rescan(&self, view: &HostView, disks: &[&Disk]) -> Option<Effect> {
        let is_new = |name: &String| !self.rescanned.contains(name);
        let scsi = disks.iter().filter(|disk| is_new(&disk.name)).find_map(|disk| {
            Some(Effect::RescanDisk { disk: disk.name.clone(), address: disk.address? })
        });
        let mut nvme = view.sessions.iter().filter(|session| session.live && session.bus.is_none());
        scsi.or_else(|| {
            nvme.find(|session| is_new(&session.name))
                .map(|session| Effect::RescanController(session.name.clone()))
        })
    }
}

impl Procedure for Expand {
    fn query(&self) -> HostQuery {
        self.state.query(Some(self.request.path.clone()))
    }

    fn next(&mut self, view: &HostView, _: Duration) -> Step {
        self.decide(view).unwrap_or_else(Step::Fail)
    }

    fn apply_outcome(
        &mut self,
        effect: &Effect,
        outcome: Result<Outcome, HostError>,
        _: Duration,
    ) -> Result<(), NodeError> {
        match effect {
            // What they have brought about is read back.
            Effect::RescanDisk { disk: name, .. } | Effect::RescanController(name) => {
                self.rescanned.insert(name.clone());
            }
            Effect::ResizeMap(_) => self.resized = true,
            _ => self.expansion.apply_outcome(effect, &outcome)?,
        }
        Ok(())
    }
}
