//! The file system of a verified device: created at most once, checked, mounted, expanded.

use super::super::connect::VerifiedDevice;
use super::super::content::Content;
use super::super::effect::{Checked, Effect, HostError, Outcome, Step};
use super::super::view::HostView;
use super::Stage;
use crate::node::request::{FsType, NodeError, NodeErrorKind};

impl Stage {
    pub(super) fn file_system(
        &mut self,
        view: &HostView,
        ready: &VerifiedDevice,
        fs_type: FsType,
        options: &[String],
    ) -> Result<Step, NodeError> {
        let staging = &self.request.staging;
        let mounts: Vec<_> = view.mounts_at(staging).collect();
        let elsewhere = view.used_at(&ready.device, staging);
        let is_aborted = |number| view.mounts.iter().any(|m| m.number == number && m.aborted);
        let wants_reading = options.iter().any(|option| option == "ro");
        if let Some(top) = mounts.last() {
            let is_ours = top.number == ready.device.number;
            let is_sound = is_ours && (wants_reading || !(top.read_only || top.aborted));
            if is_sound && mounts.len() == 1 {
                match &self.read {
                    None => return Ok(Step::Do(Effect::ReadFolder(staging.clone()))),
                    Some(Ok(())) if wants_reading => return Ok(Step::Done),
                    Some(Ok(())) if !self.written => {
                        return Ok(Step::Do(Effect::TryToWrite(staging.clone())));
                    }
                    Some(Ok(())) => {
                        let effect = self.expansion.next(ready, staging, fs_type)?;
                        return Ok(effect.map_or(Step::Done, Step::Do));
                    }
                    Some(Err(_)) => {}
                }
            }
            if self.mounted {
                return Err(self.unsound());
            }
            // It was mounted over, or the device below has changed, or the kernel has aborted the file system: it is
            // unmounted, checked and mounted again. Pods that use it keep it in the state it is in.
            let is_sound = is_sound && !matches!(self.read, Some(Err(_)));
            if is_ours && !is_sound && !elsewhere.is_empty() {
                return Err(self.aborted(&elsewhere));
            }
            return Ok(Step::Do(Effect::Unmount { path: staging.clone(), lazy: false }));
        }
        if self.mounted {
            return Err(self.not_on_host());
        }
        let device = ready.device.clone();
        if elsewhere.is_empty() {
            if let Some(step) = self.prepare(view, ready, fs_type)? {
                return Ok(step);
            }
        } else if is_aborted(device.number) {
            return Err(self.aborted(&elsewhere));
        }
        if !self.sealed {
            return Ok(Step::Do(Effect::SealFolder(staging.clone())));
        }
        let mut options = options.to_vec();
        // A clone has the UUID of its original, and both may be on one node. The UUID is never changed: that has
        // emptied clones.
        if fs_type == FsType::Xfs && !options.iter().any(|option| option == "nouuid") {
            options.push("nouuid".to_owned());
        }
        Ok(Step::Do(Effect::Mount { device, path: staging.clone(), fs_type, options }))
    }

    /// Returns the next step of a device that is mounted nowhere, until it has a sound file system.
    fn prepare(
        &self,
        view: &HostView,
        ready: &VerifiedDevice,
        fs_type: FsType,
    ) -> Result<Option<Step>, NodeError> {
        let device = ready.device.clone();
        let may_format = self.request.attachment.never_formatted;
        let was_formatting = view.state.as_ref().is_some_and(|state| state.formatting);
        let formatting = |formatting| {
            let state = view.state.clone().unwrap_or_else(|| self.wanted.clone());
            let state = super::StagedVolume { formatting, ..state };
            Ok(Some(Step::Do(Effect::WriteState(Box::new(state)))))
        };
        let refuse = |why: String| Err(NodeError::new(NodeErrorKind::FailedPrecondition, why));
        let serial = &self.request.attachment.serial;
        match &self.content {
            None => Ok(Some(Step::Do(Effect::Probe(device)))),
            Some(Content::Zeros) if may_format && !was_formatting => formatting(true),
            Some(Content::Zeros | Content::Other) if may_format && was_formatting => {
                let again = self.content == Some(Content::Other);
                Ok(Some(Step::Do(Effect::MakeFileSystem { device, fs_type, again })))
            }
            Some(Content::Zeros) => refuse(format!(
                "volume {serial} has been formatted before, or pods have used it as a raw block volume, but {} begins \
                 and ends with zeros; the node service does not format it again: compare the volume with its snapshots on the array",
                device.name
            )),
            Some(Content::Other) => refuse(format!(
                "{} (volume {serial}) contains data that is no complete {} file system; the node service does not \
                 overwrite it",
                device.name,
                fs_type.word()
            )),
            Some(Content::FileSystem(found)) if *found != fs_type => refuse(format!(
                "{} (volume {serial}) contains {}, but the class asks for {}; set the file system of the class to {0}",
                device.name,
                found.word(),
                fs_type.word()
            )),
            // Also when an earlier call ended between the creation of the file system and its record.
            Some(Content::FileSystem(_)) if may_format && !self.recorded => {
                Ok(Some(Step::Do(Effect::RecordFormatted)))
            }
            Some(Content::FileSystem(_)) if was_formatting => formatting(false),
            // XFS replays its log when it is mounted; xfs_repair is for people.
            Some(Content::FileSystem(FsType::Ext4)) if !self.checked => {
                Ok(Some(Step::Do(Effect::CheckFileSystem { device, fs_type })))
            }
            Some(Content::FileSystem(_)) => Ok(None),
        }
    }

    pub(super) fn done_with_file_system(
        &mut self,
        effect: &Effect,
        outcome: Result<Outcome, HostError>,
    ) -> Result<(), NodeError> {
        match (effect, outcome) {
            (Effect::Probe(device), Err(error)) => {
                return Err(NodeError::new(
                    NodeErrorKind::Unavailable,
                    format!(
                        "{} cannot be read, so that it is unknown what is on it: {error}; nothing is formatted",
                        device.name
                    ),
                ));
            }
            (Effect::Probe(_), Ok(Outcome::Content(content))) => self.content = Some(content),
            (Effect::MakeFileSystem { .. }, outcome) => {
                outcome?;
                // What is on the device now is read, not assumed.
                self.content = None;
            }
            (Effect::RecordFormatted, Err(error)) => {
                return Err(NodeError::new(
                    NodeErrorKind::Unavailable,
                    format!("the record that the volume is formatted cannot be written: {error}"),
                ));
            }
            (Effect::RecordFormatted, Ok(_)) => self.recorded = true,
            (
                Effect::CheckFileSystem { device, .. },
                Ok(Outcome::Checked(Checked::Damaged(why))),
            ) => {
                return Err(NodeError::new(
                    NodeErrorKind::FailedPrecondition,
                    format!(
                        "the file system on {} (volume {}) has errors that fsck does not repair without questions: \
                         {why}; take a snapshot on the array and run `fsck` by hand",
                        device.name, self.request.attachment.serial
                    ),
                ));
            }
            (Effect::CheckFileSystem { .. }, outcome) => {
                outcome?;
                self.checked = true;
            }
            (Effect::SealFolder(_), outcome) => {
                outcome?;
                self.sealed = true;
            }
            (Effect::Mount { .. }, outcome) => {
                outcome?;
                self.mounted = true;
                self.read = None;
                self.written = false;
            }
            (Effect::ReadFolder(_), outcome) => {
                self.read = Some(outcome.map(|_| ()).map_err(|error| error.message));
            }
            (Effect::TryToWrite(_), Ok(_)) => self.written = true,
            (Effect::TryToWrite(_), Err(error)) => self.read = Some(Err(error.message)),
            (Effect::Unmount { .. }, outcome) => {
                outcome?;
                self.mounted = false;
                self.content = None;
                self.checked = false;
            }
            (Effect::WriteState(_), outcome) => {
                outcome?;
            }
            _ => {}
        }
        Ok(())
    }

    fn aborted(&self, pods: &[String]) -> NodeError {
        NodeError::new(
            NodeErrorKind::FailedPrecondition,
            format!(
                "the kernel has set the file system of volume {} read-only after an error, and pods still use it at \
                 {}; delete these pods, so that it can be checked and mounted again",
                self.request.attachment.serial,
                pods.join(", ")
            ),
        )
    }

    fn unsound(&self) -> NodeError {
        let why = match &self.read {
            Some(Err(error)) => error.as_str(),
            _ => "it is read-only, or something else is mounted there",
        };
        NodeError::new(
            NodeErrorKind::Internal,
            format!(
                "the file system of volume {} is not usable after it was mounted at {}: {why}",
                self.request.attachment.serial,
                self.request.staging.display()
            ),
        )
    }

    fn not_on_host(&self) -> NodeError {
        NodeError::new(
            NodeErrorKind::Internal,
            format!(
                "`mount` has reported success, but nothing is mounted at {} in the host's mount namespace, where the \
                 node service runs `mount`; check its setup with `pso-gen node check`",
                self.request.staging.display()
            ),
        )
    }
}
