//! Unstaging: the mount, the map, every disk of the volume, and the sessions when no volume of the array is left.
//!
//! Success means that nothing of the volume is left on this node; the array disconnects it next. So every removal is
//! seen in a later view before the next one, and whatever still uses the device is named in an error.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::connect::POLL_INTERVAL;
use super::connect::device::held;
use super::effect::{Effect, HostError, HostErrorKind, Outcome, Procedure, Step};
use super::identity::{map_uuid, serial_of, wwid};
use super::leave::Leave;
use super::view::{Disk, Holder, HostQuery, HostView, Map, StagedVolume};
use crate::contract::BlockTransport;
use crate::node::request::{NodeError, NodeErrorKind, VolumeHandle};

/// How long unstaging tries to flush a map that is in use: udev looks into new devices for a moment.
const FLUSH: Duration = Duration::from_secs(15);

/// One call of `NodeUnstageVolume`.
#[derive(Debug)]
pub struct Unstage {
    handle: VolumeHandle,
    staging: PathBuf,
    state: Option<StagedVolume>,
    /// Whether the last unmount did not end in time.
    hangs: bool,
    /// Maps that no longer queue, devices whose buffers were written, maps that were resumed.
    prepared: BTreeSet<String>,
    /// The first flush of the map, the last one and its error.
    flush: Option<(Duration, Duration, String)>,
    /// Disks that were deleted.
    deleted: BTreeSet<String>,
    leave: Leave,
    unsealed: bool,
}

impl Unstage {
    /// Begins a call, with the state file of the staging path.
    pub fn new(handle: VolumeHandle, staging: PathBuf, state: Option<StagedVolume>) -> Self {
        Self {
            handle,
            staging,
            state,
            hangs: false,
            prepared: BTreeSet::new(),
            flush: None,
            deleted: BTreeSet::new(),
            leave: Leave::default(),
            unsealed: false,
        }
    }

    fn decide(&mut self, view: &HostView, now: Duration) -> Result<Step, NodeError> {
        let path = self.staging.clone();
        let Some(state) = self.state_of(view)? else {
            return Ok(if self.unsealed {
                Step::Done
            } else {
                Step::Do(Effect::UnsealFolder(path))
            });
        };
        let state = &state;
        let uuid = map_uuid(&state.serial);
        let map = view.maps.iter().find(|map| map.uuid == uuid);
        let disks = ours(view, state);
        if let Some(map) = map {
            if map.suspended && self.prepared.contains(&format!("resume {}", map.alias)) {
                return Err(NodeError::new(
                    NodeErrorKind::Unavailable,
                    format!(
                        "the map {} ({}) stays suspended after it was resumed",
                        map.alias, map.name
                    ),
                ));
            }
            if map.suspended {
                return Ok(Step::Do(Effect::ResumeMap(map.alias.clone())));
            }
            // Without a path, unmounting would wait for one for ever.
            if !self.prepared.contains(&map.alias) {
                return Ok(Step::Do(Effect::StopQueueing(map.alias.clone())));
            }
        }
        let devices =
            map.map(Map::device).into_iter().chain(disks.iter().map(|disk| disk.device()));
        let pods: Vec<String> = devices.flat_map(|device| view.used_at(&device, &path)).collect();
        if !pods.is_empty() {
            return Err(NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!("volume {} is still mounted at {}", state.volume, pods.join(", ")),
            ));
        }
        if view.mounts_at(&path).next().is_some() {
            return Ok(Step::Do(Effect::Unmount { path, lazy: self.hangs }));
        }
        if let Some(map) = map {
            return self.remove_map(map, now);
        }
        if let Some(step) = self.remove_disks(&disks)? {
            return Ok(step);
        }
        // The sessions end with the last volume of the array.
        let target = (state.target.as_str(), state.portals.as_slice());
        if let Some(transport) = state.transport()
            && let Some(step) = self.leave.next(view, transport, target, &disks)
        {
            return Ok(step);
        }
        if !self.unsealed {
            return Ok(Step::Do(Effect::UnsealFolder(path)));
        }
        // What this node began to format, only this node may format again: that has to be remembered.
        if state.formatting {
            let state = StagedVolume { released: true, ..state.clone() };
            return Ok(Step::Do(Effect::WriteState(Box::new(state))));
        }
        // The state that was only adopted has no file.
        self.state = None;
        Ok(if view.state.is_some() { Step::Do(Effect::RemoveState(path)) } else { Step::Done })
    }

    /// Returns the state file. If it is missing and something is mounted, the device says which volume it is.
    fn state_of(&mut self, view: &HostView) -> Result<Option<StagedVolume>, NodeError> {
        let there = view.state.as_ref().filter(|state| !state.released);
        if let Some(other) = there.filter(|state| state.volume != self.handle.to_string()) {
            return Err(NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!("volume {} is staged at {}", other.volume, self.staging.display()),
            ));
        }
        if let Some(state) = there {
            return Ok(Some(state.clone()));
        }
        if let Some(adopted) = self.state.as_ref().filter(|state| !state.released) {
            return Ok(Some(adopted.clone()));
        }
        let Some(mount) = view.mounts_at(&self.staging).next_back() else { return Ok(None) };
        let number = mount.number;
        let map = view.maps.iter().find(|map| map.number == number).map(|map| map.uuid.clone());
        let disk = view.disks.iter().find(|disk| disk.number == number);
        let identity = map.or_else(|| disk.and_then(|disk| disk.wwid.clone()));
        let Some(serial) = identity.as_deref().and_then(serial_of) else {
            return Err(NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!(
                    "device {number} is mounted at {}, there is no state file for it, and it is no volume of a \
                     FlashArray; unmount it by hand",
                    self.staging.display()
                ),
            ));
        };
        let is_nvme = identity.is_some_and(|identity| identity.starts_with("eui."));
        let transport = if is_nvme { BlockTransport::NvmeTcp } else { BlockTransport::Iscsi };
        // Without the target's name no session is ended.
        self.state = Some(StagedVolume {
            volume: self.handle.to_string(),
            staging: self.staging.clone(),
            transport: transport.word().to_owned(),
            target: String::new(),
            portals: Vec::new(),
            lun: 0,
            serial,
            block: false,
            formatting: false,
            chap: false,
            released: false,
        });
        Ok(self.state.clone())
    }

    fn remove_map(&self, map: &Map, now: Duration) -> Result<Step, NodeError> {
        // multipathd removes the maps of partitions itself.
        let is_partition = |holder: &&Holder| {
            holder.uuid.starts_with("part") && holder.uuid.ends_with(&format!("-{}", map.uuid))
        };
        if let Some(holder) = map.holders.iter().find(|holder| !is_partition(holder)) {
            return Err(held(&map.alias, &holder.name));
        }
        if !self.prepared.contains(&map.name) {
            let device = map.device();
            return Ok(Step::Do(Effect::FlushBuffers(device)));
        }
        match &self.flush {
            Some((first, _, error)) if now.saturating_sub(*first) >= FLUSH => Err(NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!(
                    "the map {} ({}) cannot be removed: {error}; `fuser -vm /dev/{1}` lists the programs that use it",
                    map.alias, map.name
                ),
            )),
            Some((_, last, _)) if now.saturating_sub(*last) < POLL_INTERVAL => {
                Ok(Step::Wait(POLL_INTERVAL))
            }
            _ => Ok(Step::Do(Effect::FlushMap(map.alias.clone()))),
        }
    }

    fn remove_disks(&self, disks: &[&Disk]) -> Result<Option<Step>, NodeError> {
        for disk in disks {
            if let Some(holder) = disk.holders.first() {
                return Err(held(&disk.name, &holder.name));
            }
            if !self.prepared.contains(&disk.name) {
                let device = disk.device();
                return Ok(Some(Step::Do(Effect::FlushBuffers(device))));
            }
            // An NVMe namespace leaves the node when the array disconnects it.
            let Some(address) = disk.address else { continue };
            if self.deleted.contains(&disk.name) {
                return Err(NodeError::new(
                    NodeErrorKind::Internal,
                    format!("{} is still there after it was deleted", disk.name),
                ));
            }
            return Ok(Some(Step::Do(Effect::DeleteDisk { disk: disk.name.clone(), address })));
        }
        Ok(None)
    }
}

/// Returns all disks of a volume on the host, by their recorded identity.
fn ours<'v>(view: &'v HostView, state: &StagedVolume) -> Vec<&'v Disk> {
    let wwid = state.transport().map(|transport| wwid(transport, &state.serial));
    view.disks.iter().filter(|disk| disk.wwid.is_some() && disk.wwid == wwid).collect()
}

impl Procedure for Unstage {
    fn query(&self) -> HostQuery {
        match &self.state {
            Some(state) => state.query(None),
            None => HostQuery { staging: Some(self.staging.clone()), ..HostQuery::default() },
        }
    }

    fn next(&mut self, view: &HostView, now: Duration) -> Step {
        self.decide(view, now).unwrap_or_else(Step::Fail)
    }

    fn apply_outcome(
        &mut self,
        effect: &Effect,
        outcome: Result<Outcome, HostError>,
        now: Duration,
    ) -> Result<(), NodeError> {
        match (effect, outcome) {
            (Effect::Unmount { lazy: false, .. }, Err(error))
                if error.kind == HostErrorKind::TimedOut && !self.hangs =>
            {
                self.hangs = true;
            }
            (Effect::FlushMap(alias), Err(error)) => {
                // A flush that fails may leave the map suspended; it is resumed each time.
                self.prepared.remove(&format!("resume {alias}"));
                let first = self.flush.as_ref().map_or(now, |(first, ..)| *first);
                self.flush = Some((first, now, error.message));
            }
            // The device may be gone, or without a path; what is removed next decides.
            (Effect::StopQueueing(alias), _) => {
                self.prepared.insert(alias.clone());
            }
            (Effect::FlushBuffers(device), _) => {
                self.prepared.insert(device.name.clone());
            }
            (Effect::ResumeMap(alias), _) => {
                self.prepared.insert(format!("resume {alias}"));
            }
            (effect, outcome) => {
                outcome?;
                match effect {
                    Effect::DeleteDisk { disk, .. } => {
                        self.deleted.insert(disk.clone());
                    }
                    Effect::UnsealFolder(_) => self.unsealed = true,
                    effect => self.leave.apply_outcome(effect),
                }
            }
        }
        Ok(())
    }
}
