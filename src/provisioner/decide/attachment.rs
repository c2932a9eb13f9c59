//! Decides when a block volume is connected to a node and disconnected from it, for each VolumeAttachment of this
//! driver. It takes the part of the CSI project's external-attacher.
//!
//! ```text
//! attach:  read the PersistentVolume ─▶ record on the VolumeAttachment ─▶ connect ─▶ write the publish context
//! detach:  record formatting on the array ─▶ disconnect, read back ─▶ remove the finalizer
//! ```
//!
//! A volume of one node (`ReadWriteOnce`) is connected to one host at most. A host that is connected without a
//! VolumeAttachment is disconnected first, after a fresh list of all VolumeAttachments; a host with one is a reason to
//! refuse. Arrays, clients and clocks are unknown here.

mod attach;
mod detach;
mod effect;
mod nodes;
mod object;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::VolumeAttachment;

use super::backoff::{Backoff, without_numbers};
use super::effect::{Effect, EffectError, Lookup, Regarding, Severity};
use super::object::is_newer;
use super::read_time::ReadTime;
use super::reason::Reason;
use crate::contract::{Attachment, BlockHost, NodeId, Retry};
pub use effect::{AttachmentEffect, AttachmentInput, AttachmentOutcome};
pub use nodes::NodeIds;
use object::{error, has_finalizer, has_new_format, is_being_deleted, is_ours, object_version};
pub use object::{is_attached, node_id, recorded_node, recorded_volume};

/// The longest time between two attempts: kube-controller-manager and a person wait for the pod.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The most effects in a row before a pause. An attachment needs four, and two for each host that is left over.
const MAX_STEPS: u32 = 24;

/// Everything known about a VolumeAttachment when it is reconciled.
#[derive(Debug, Clone, Copy)]
pub struct AttachmentView<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The VolumeAttachment; none if it does not exist.
    pub attachment: Option<&'a VolumeAttachment>,
    /// The others of the same volume.
    pub others: &'a [&'a VolumeAttachment],
    /// The nodes.
    pub nodes: &'a NodeIds,
}

/// The work that is left for a VolumeAttachment, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttachmentWork {
    /// It is attached.
    Attached,
    /// It is being attached.
    Attaching,
    /// It is being detached.
    Detaching,
}

/// The memory of one VolumeAttachment.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact about the attempt under way")]
pub struct AttachmentState {
    uid: String,
    in_flight: Option<AttachmentEffect>,
    /// A failure is waited out.
    waiting: bool,
    /// A hash of the facts whose change ends a wait.
    basis: u64,
    tries: Backoff,
    /// Effects since the last pause.
    steps: u32,
    /// Whether an event has reported a failure.
    warned: bool,
    /// The text for the status of the VolumeAttachment.
    problem: Option<String>,
    /// The VolumeAttachment of the last answer.
    answered: Option<Box<VolumeAttachment>>,
    volume: Lookup<Box<PersistentVolume>>,
    attached: Option<Box<Attachment>>,
    /// The hosts that are connected in the way, and the VolumeAttachments that were listed after that.
    elsewhere: Option<Vec<BlockHost>>,
    listed: Option<(ReadTime, Vec<VolumeAttachment>)>,
    recorded_format: bool,
    /// How many of the volumes are detached.
    detached: usize,
    deleted_hosts: bool,
    /// Whether it is gone, or goes now: the watch will show that.
    released: bool,
}

enum Next {
    Nothing,
    Do(AttachmentEffect),
    /// It cannot go on until something changes.
    Stuck(String),
}

impl AttachmentState {
    /// Returns whether there is nothing to remember.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none() && !self.waiting && self.problem.is_none()
    }

    /// Returns whether the last attempt failed.
    pub fn is_failing(&self) -> bool {
        self.waiting
    }

    /// Returns the work that is left.
    pub fn work(attachment: &VolumeAttachment) -> AttachmentWork {
        if is_being_deleted(attachment) {
            AttachmentWork::Detaching
        } else if is_attached(attachment) {
            AttachmentWork::Attached
        } else {
            AttachmentWork::Attaching
        }
    }

    /// Processes an input, and returns the effects that follow from it; at most one of them has an outcome.
    pub fn step(
        &mut self,
        view: AttachmentView<'_>,
        input: AttachmentInput,
    ) -> Vec<AttachmentEffect> {
        let mut effects = Vec::new();
        match input {
            AttachmentInput::Changed => {}
            AttachmentInput::Due => self.waiting = false,
            AttachmentInput::Done(done) => {
                let ends = matches!(
                    self.in_flight,
                    Some(
                        AttachmentEffect::SetAttached { .. }
                            | AttachmentEffect::RemoveFinalizer { .. }
                    )
                );
                let is_done = ends && done.is_ok();
                effects = self.ended(view, done);
                if is_done {
                    effects.extend(self.relief(view));
                }
            }
        }
        let basis = basis(view);
        if std::mem::replace(&mut self.basis, basis) != basis {
            self.waiting = false;
        }
        if self.in_flight.is_some() {
            return effects;
        }
        let uid = view.attachment.and_then(|it| it.metadata.uid.clone()).unwrap_or_default();
        if uid != self.uid {
            // Another object of the same name, or none.
            let basis = self.basis;
            *self = Self { uid, basis, ..Self::default() };
        }
        let Some(attachment) = view.attachment.filter(|it| is_ours(it)) else { return effects };
        self.tries.of(Some(&attachment.metadata));
        let answered = self.answered.take().filter(|answer| is_newer(answer.as_ref(), attachment));
        let attachment = answered.as_deref().unwrap_or(attachment);
        let next = self.decide(view, attachment, &mut effects);
        self.answered = answered;
        if let Some(effect) = next {
            self.steps += 1;
            self.in_flight = Some(effect.clone());
            effects.push(effect);
        }
        effects
    }

    fn decide(
        &mut self,
        view: AttachmentView<'_>,
        attachment: &VolumeAttachment,
        effects: &mut Vec<AttachmentEffect>,
    ) -> Option<AttachmentEffect> {
        if !self.waiting {
            let next = if is_being_deleted(attachment) {
                self.detach(view, attachment)
            } else {
                self.attach(view, attachment)
            };
            match next {
                Next::Do(_) if self.steps >= MAX_STEPS => {
                    let message = "the completed steps changed nothing".to_owned();
                    effects.extend(
                        self.fail(is_being_deleted(attachment), &EffectError::Cluster(message)),
                    );
                }
                Next::Do(effect) => return Some(effect),
                Next::Nothing => {
                    self.tries.reset();
                    self.problem = None;
                    self.forget();
                    return None;
                }
                Next::Stuck(message) => {
                    let (reason, retry) = ("InUse", Retry::Soon);
                    let error = EffectError::Array { reason, message, retry };
                    effects.extend(self.fail(is_being_deleted(attachment), &error));
                }
            }
        }
        self.report(attachment)
    }

    /// Writes a new problem into the status, where kube-controller-manager takes it for the events of the pod.
    fn report(&self, attachment: &VolumeAttachment) -> Option<AttachmentEffect> {
        let (message, detaching) = (self.problem.clone()?, is_being_deleted(attachment));
        let before = error(attachment, detaching).map(without_numbers);
        (before != Some(without_numbers(&message))).then(|| AttachmentEffect::SetError {
            attachment: object_version(attachment),
            detaching,
            message,
        })
    }

    /// Processes the result of the effect in flight.
    fn ended(
        &mut self,
        view: AttachmentView<'_>,
        done: Result<AttachmentOutcome, EffectError>,
    ) -> Vec<AttachmentEffect> {
        let Some(effect) = self.in_flight.take() else { return Vec::new() };
        let writes_error = matches!(effect, AttachmentEffect::SetError { .. });
        if writes_error {
            // Written or not: the next failure is compared with the status again.
            self.problem = None;
        }
        let outcome = match done {
            Ok(outcome) => outcome,
            Err(_) if writes_error => return Vec::new(),
            // A host that is left over harms nothing.
            Err(_) if matches!(effect, AttachmentEffect::DeleteHosts { .. }) => {
                self.deleted_hosts = true;
                return Vec::new();
            }
            Err(error) => return self.fail(view.attachment.is_some_and(is_being_deleted), &error),
        };
        match (&effect, outcome) {
            (_, AttachmentOutcome::Written(written)) => {
                let is_over = matches!(effect, AttachmentEffect::RemoveFinalizer { .. });
                self.released |= is_over || written.is_none();
                self.answered = written;
            }
            (_, AttachmentOutcome::PersistentVolume(volume)) => self.volume = volume.into(),
            (_, AttachmentOutcome::Attachments(read, all)) => self.listed = Some((read, all)),
            (_, AttachmentOutcome::Attached(attached)) => {
                self.attached = Some(attached);
                (self.elsewhere, self.listed) = (None, None);
            }
            (_, AttachmentOutcome::Elsewhere(hosts)) => {
                (self.elsewhere, self.listed) = (Some(hosts), None);
            }
            (AttachmentEffect::Disconnect { .. }, _) => {
                (self.elsewhere, self.listed) = (None, None);
            }
            (AttachmentEffect::RecordFormatted { .. }, _) => self.recorded_format = true,
            (AttachmentEffect::Detach { .. }, _) => self.detached += 1,
            (AttachmentEffect::DeleteHosts { .. }, _) => self.deleted_hosts = true,
            _ => {}
        }
        Vec::new()
    }

    /// Forgets earlier reads and results: the next attempt reads the current state.
    fn forget(&mut self) {
        self.steps = 0;
        self.volume = Lookup::NotYet;
        (self.attached, self.elsewhere, self.listed) = (None, None, None);
        (self.recorded_format, self.detached, self.deleted_hosts) = (false, 0, false);
    }

    fn fail(&mut self, detaching: bool, error: &EffectError) -> Vec<AttachmentEffect> {
        self.forget();
        if *error == EffectError::Conflict {
            self.answered = None;
        }
        if let EffectError::Array { message, .. } | EffectError::Cluster(message) = error {
            self.problem = Some(message.clone());
        }
        let reason =
            if detaching { Reason::FailedDetachVolume } else { Reason::FailedAttachVolume };
        let effects = self.tries.failed(Regarding::Volume, reason, error);
        let effects: Vec<AttachmentEffect> = effects.into_iter().filter_map(translated).collect();
        self.waiting = effects.iter().any(|it| matches!(it, AttachmentEffect::Requeue(_)));
        self.warned |= effects.iter().any(|it| matches!(it, AttachmentEffect::RecordEvent { .. }));
        effects
    }

    /// Returns the event for a success after a failure that was reported.
    fn relief(&mut self, view: AttachmentView<'_>) -> Option<AttachmentEffect> {
        let attachment = view.attachment?;
        let node = &attachment.spec.node_name;
        let (reason, message) = if is_being_deleted(attachment) {
            (Reason::SuccessfulDetachVolume, format!("its volume is detached from node {node}"))
        } else {
            (Reason::SuccessfulAttachVolume, format!("its volume is attached to node {node}"))
        };
        let severity = Severity::Normal;
        std::mem::take(&mut self.warned).then_some(AttachmentEffect::RecordEvent {
            severity,
            reason,
            message,
        })
    }
}

/// Returns an effect of the retries of all objects as one of attachments.
fn translated(effect: Effect) -> Option<AttachmentEffect> {
    match effect {
        Effect::Requeue(wait) => Some(AttachmentEffect::Requeue(wait.min(MAX_WAIT))),
        Effect::RecordEvent { severity, reason, message, regarding: _ } => {
            Some(AttachmentEffect::RecordEvent { severity, reason, message })
        }
        _ => None,
    }
}

/// Returns a hash of the facts whose change ends a wait: the request, and the other attachments of the volume.
fn basis(view: AttachmentView<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut note = |attachment: &VolumeAttachment| {
        attachment.metadata.uid.hash(&mut hasher);
        (is_being_deleted(attachment), has_finalizer(attachment), has_new_format(attachment))
            .hash(&mut hasher);
    };
    view.attachment.into_iter().for_each(&mut note);
    view.others.iter().for_each(|other| note(other));
    if let Some(attachment) = view.attachment {
        let node = view.nodes.get(&attachment.spec.node_name);
        node.map(|node| node.as_ref().and_then(NodeId::format)).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
