//! Staging: the state file, the verified device, its file system, the mount.
//!
//! A file system is created only if the record says that the volume was never formatted *and* both ends of the device
//! read as zeros. A device that cannot be read is refused. A raw block volume is recorded as formatted before a pod gets
//! it: what pods write there is not always visible at both ends.

mod file_system;

use std::path::PathBuf;
use std::time::Duration;

use super::connect::{Connect, POLL_INTERVAL, Progress, VerifiedDevice};
use super::content::Content;
use super::effect::{Effect, HostError, Outcome, Procedure, Step};
use super::expand_file_system::FileSystemExpansion;
use super::view::{HostQuery, HostView, StagedVolume};
use crate::contract::ChapPassword;
use crate::node::request::{NodeError, NodeErrorKind, StageRequest, VolumeMode};

/// One call of `NodeStageVolume`.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says that one effect of the call has succeeded"
)]
pub struct Stage {
    request: StageRequest,
    wanted: StagedVolume,
    connect: Connect,
    ready: Option<VerifiedDevice>,
    /// What is on the device; none if it has not been read since it was last changed.
    content: Option<Content>,
    recorded: bool,
    checked: bool,
    sealed: bool,
    mounted: bool,
    /// Whether the mount was read, and the error of reading or writing.
    read: Option<Result<(), String>>,
    /// Whether the mount was written to, as a try.
    written: bool,
    expansion: FileSystemExpansion,
}

impl Stage {
    /// Begins a call. The array asks this node for the password, if there is one.
    pub fn new(request: StageRequest, password: Option<ChapPassword>) -> Self {
        let block = request.mode == VolumeMode::Block;
        let wanted =
            StagedVolume::new(&request.handle, &request.staging, &request.attachment, block);
        Self {
            wanted: StagedVolume { chap: password.is_some(), ..wanted },
            connect: Connect::new(request.attachment.clone()).with_password(password),
            request,
            ready: None,
            content: None,
            recorded: false,
            checked: false,
            sealed: false,
            mounted: false,
            read: None,
            written: false,
            expansion: FileSystemExpansion::default(),
        }
    }

    /// Returns the device and its paths when all is done.
    pub fn device(&self) -> Option<&VerifiedDevice> {
        self.ready.as_ref()
    }

    /// Returns the state that has to be written; none if the file has it.
    fn state(&self, view: &HostView) -> Result<Option<StagedVolume>, NodeError> {
        let Some(there) = &view.state else { return Ok(Some(self.wanted.clone())) };
        let is_same = there.serial == self.wanted.serial && there.volume == self.wanted.volume;
        if !is_same && !there.released {
            return Err(NodeError::new(
                NodeErrorKind::FailedPrecondition,
                format!(
                    "volume {} (serial {}) is staged at {}; it has to be unstaged before volume {}",
                    there.volume,
                    there.serial,
                    there.staging.display(),
                    self.request.handle
                ),
            ));
        }
        let formatting = is_same && there.formatting;
        let wanted = StagedVolume { formatting, ..self.wanted.clone() };
        Ok((wanted != *there).then_some(wanted))
    }

    fn decide(&mut self, view: &HostView, now: Duration) -> Result<Step, NodeError> {
        // Before the first effect: kubelet takes the error for one that has left nothing behind.
        if matches!(self.request.mode, VolumeMode::FileSystem { group: Some(_), .. }) {
            return Err(NodeError::new(
                NodeErrorKind::InvalidArgument,
                "the node service leaves fsGroup to kubelet; the CSIDriver's fsGroupPolicy has to be File",
            ));
        }
        if let Some(state) = self.state(view)? {
            return Ok(Step::Do(Effect::WriteState(Box::new(state))));
        }
        let ready = match self.connect.next(view, now)? {
            Progress::Do(effect) => return Ok(Step::Do(effect)),
            Progress::Wait => return Ok(Step::Wait(POLL_INTERVAL)),
            Progress::VerifiedDevice(ready) => ready,
        };
        self.ready = Some(ready.clone());
        match self.request.mode.clone() {
            VolumeMode::Block if self.request.attachment.never_formatted && !self.recorded => {
                Ok(Step::Do(Effect::RecordFormatted))
            }
            VolumeMode::Block => Ok(Step::Done),
            VolumeMode::FileSystem { fs_type, mount_options, .. } => {
                self.file_system(view, &ready, fs_type, &mount_options)
            }
        }
    }
}

impl Procedure for Stage {
    fn query(&self) -> HostQuery {
        let attachment = &self.request.attachment;
        HostQuery {
            transport: Some(attachment.transport),
            target: attachment.target.clone(),
            portals: attachment.portals.clone(),
            lun: Some(attachment.lun),
            serial: Some(attachment.serial.clone()),
            staging: Some(self.request.staging.clone()),
            path: None::<PathBuf>,
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
        self.connect.apply_outcome(effect, &outcome, now)?;
        self.expansion.apply_outcome(effect, &outcome)?;
        self.done_with_file_system(effect, outcome)
    }
}
