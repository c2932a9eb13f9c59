//! Publishing: one mount for one pod, of the device that is staged and of nothing else; and its end, for which the
//! device does not have to exist any more.

use std::path::PathBuf;
use std::time::Duration;

use super::effect::{Effect, HostError, Outcome, Procedure, Step};
use super::identity::{map_uuid, wwid};
use super::view::{Device, Disk, HostQuery, HostView, PathNode, StagedVolume};
use crate::node::request::{NodeError, NodeErrorKind, PublishRequest, VolumeMode};

/// Returns the devices through which a volume can be used: its map, or else its disks.
pub(super) fn devices(view: &HostView, state: &StagedVolume) -> Vec<Device> {
    let uuid = map_uuid(&state.serial);
    if let Some(map) = view.maps.iter().find(|map| map.uuid == uuid) {
        return vec![map.device()];
    }
    let wwid = state.transport().map(|transport| wwid(transport, &state.serial));
    let ours =
        view.disks.iter().filter(|disk| disk.live && disk.wwid.is_some() && disk.wwid == wwid);
    ours.map(Disk::device).collect()
}

/// One call of `NodePublishVolume`.
#[derive(Debug)]
pub struct Publish {
    request: PublishRequest,
    state: Option<StagedVolume>,
    sealed: bool,
    mounted: bool,
    /// Whether the staged file system was written to, as a try.
    written: bool,
}

impl Publish {
    /// Begins a call, with the state file of the staging path.
    pub fn new(request: PublishRequest, state: Option<StagedVolume>) -> Self {
        Self { request, state, sealed: false, mounted: false, written: false }
    }

    fn decide(&self, view: &HostView) -> Result<Step, NodeError> {
        let PublishRequest { handle, staging, mode, read_only, .. } = &self.request;
        let is_block = *mode == VolumeMode::Block;
        let not_staged = |why: &str| {
            NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!("volume {handle} is not staged at {}: {why}", staging.display()),
            )
        };
        let state = view.state.as_ref().filter(|state| !state.released);
        let state = state.ok_or_else(|| not_staged("there is no state file for it"))?;
        if state.volume != handle.to_string() {
            return Err(not_staged(&format!("volume {} is", state.volume)));
        }
        if state.block != is_block {
            return Err(not_staged("it is staged in the other volume mode"));
        }
        if is_block && *read_only {
            return Err(NodeError::new(
                NodeErrorKind::InvalidArgument,
                "a raw block volume cannot be published read-only: the device is shared by all pods of the node; use \
                 a volume with a file system",
            ));
        }
        let devices = devices(view, state);
        if is_block { self.device(view, &devices) } else { self.folder(view, &devices) }
    }

    fn folder(&self, view: &HostView, devices: &[Device]) -> Result<Step, NodeError> {
        let PublishRequest { handle, staging, target, read_only, .. } = &self.request;
        let Some(staged) = view.mounts_at(staging).next_back() else {
            return Err(NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!("volume {handle} is not mounted at {}", staging.display()),
            ));
        };
        if !devices.iter().any(|device| device.number == staged.number) {
            return Err(NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!(
                    "what is mounted at {} is device {}, which is not volume {handle}; it is not given to a pod",
                    staging.display(),
                    staged.number
                ),
            ));
        }
        if staged.aborted && !*read_only {
            return Err(self.aborted("is read-only"));
        }
        // kubelet stages a volume once, and publishes it to each pod.
        if staged.errors && !*read_only && !self.written {
            return Ok(Step::Do(Effect::TryToWrite(staging.clone())));
        }
        let there: Vec<_> = view.mounts_at(target).collect();
        match there[..] {
            [] if self.mounted => Err(self.not_on_host()),
            [] if !self.sealed => Ok(Step::Do(Effect::SealFolder(target.clone()))),
            [] => Ok(Step::Do(Effect::BindMount {
                source: staging.clone(),
                path: target.clone(),
                read_only: *read_only,
            })),
            [only] if only.number == staged.number && only.read_only == *read_only => {
                Ok(Step::Done)
            }
            [..] if self.mounted => Err(self.not_on_host()),
            [..] => Ok(Step::Do(Effect::Unmount { path: target.clone(), lazy: false })),
        }
    }

    fn device(&self, view: &HostView, devices: &[Device]) -> Result<Step, NodeError> {
        let PublishRequest { handle, target, .. } = &self.request;
        let Some(device) = devices.first() else {
            return Err(NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!("no device of volume {handle} is on this node; it has to be staged again"),
            ));
        };
        let mounts = view.mounts_at(target).count();
        match view.node {
            // The device node is bound to the file; what is seen at the path is the device.
            PathNode::Device(number)
                if mounts == 1 && devices.iter().any(|d| d.number == number) =>
            {
                Ok(Step::Done)
            }
            _ if self.mounted => Err(self.not_on_host()),
            _ if mounts > 0 => Ok(Step::Do(Effect::Unmount { path: target.clone(), lazy: false })),
            PathNode::Missing => Ok(Step::Do(Effect::CreateFile(target.clone()))),
            PathNode::File => {
                Ok(Step::Do(Effect::BindDevice { device: device.clone(), path: target.clone() }))
            }
            _ => Err(NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!(
                    "{} is neither missing nor a file; the device is not mounted there",
                    target.display()
                ),
            )),
        }
    }

    fn aborted(&self, why: &str) -> NodeError {
        NodeError::new(
            NodeErrorKind::FailedPrecondition,
            format!(
                "the file system of volume {} {why}; it has to be staged again: delete the pods that use it on this node",
                self.request.handle
            ),
        )
    }

    fn not_on_host(&self) -> NodeError {
        NodeError::new(
            NodeErrorKind::Internal,
            format!(
                "`mount` has reported success, but the volume is not mounted at {} in the host's mount namespace, \
                 where the node service runs `mount`, so that the pod would write to the node's own disk; check its \
                 setup with `pso-gen node check`",
                self.request.target.display()
            ),
        )
    }
}

impl Procedure for Publish {
    fn query(&self) -> HostQuery {
        let PublishRequest { staging, target, .. } = &self.request;
        match &self.state {
            Some(state) => state.query(Some(target.clone())),
            None => HostQuery {
                staging: Some(staging.clone()),
                path: Some(target.clone()),
                ..HostQuery::default()
            },
        }
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
        if let (Effect::TryToWrite(_), Err(error)) = (effect, &outcome) {
            return Err(self.aborted(&format!("cannot be written to ({error})")));
        }
        outcome?;
        match effect {
            Effect::TryToWrite(_) => self.written = true,
            Effect::SealFolder(_) => self.sealed = true,
            Effect::BindMount { .. } | Effect::BindDevice { .. } => self.mounted = true,
            _ => {}
        }
        Ok(())
    }
}

/// One call of `NodeUnpublishVolume`. It needs neither state nor device.
#[derive(Debug)]
pub struct Unpublish {
    target: PathBuf,
    /// Whether the last unmount did not end in time.
    hangs: bool,
    removed: bool,
}

impl Unpublish {
    /// Begins a call.
    pub fn new(target: PathBuf) -> Self {
        Self { target, hangs: false, removed: false }
    }
}

impl Procedure for Unpublish {
    fn query(&self) -> HostQuery {
        HostQuery { path: Some(self.target.clone()), ..HostQuery::default() }
    }

    fn next(&mut self, view: &HostView, _: Duration) -> Step {
        let path = self.target.clone();
        if view.mounts_at(&path).next().is_some() {
            return Step::Do(Effect::Unmount { path, lazy: self.hangs });
        }
        match view.node {
            PathNode::Missing => Step::Done,
            PathNode::Folder | PathNode::File if !self.removed => {
                Step::Do(Effect::RemoveNode(path))
            }
            _ => Step::Fail(NodeError::new(
                NodeErrorKind::Internal,
                format!(
                    "{} is not empty, or neither a folder nor a file; it is left as it is",
                    path.display()
                ),
            )),
        }
    }

    fn apply_outcome(
        &mut self,
        effect: &Effect,
        outcome: Result<Outcome, HostError>,
        _: Duration,
    ) -> Result<(), NodeError> {
        match (effect, outcome) {
            (Effect::Unmount { lazy: false, .. }, Err(error))
                if error.kind == super::HostErrorKind::TimedOut && !self.hangs =>
            {
                self.hangs = true;
            }
            (_, outcome) => {
                outcome?;
                self.removed |= matches!(effect, Effect::RemoveNode(_));
            }
        }
        Ok(())
    }
}
