//! What the node service does by itself: paths that have come back, volumes and connections that are left over. It gives
//! way to calls of kubelet.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tracing::info;

use super::volume_locks::VolumeLock;
use super::{Inner, MAX_STEPS, Node, no_progress};
use crate::node::Attachments;
use crate::node::decide::{
    Heal, HostQuery, HostView, LeaveArray, Procedure, Step, Unstage, is_left_over,
};
use crate::node::host::Host;
use crate::node::request::{NodeError, NodeErrorKind, VolumeHandle};

/// What became of the node service's own work on a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MaintenanceOutcome {
    /// A call works on the volume, or there is nothing to do.
    NotBegun,
    /// A call for the volume has come. What is done stays.
    GaveWay,
    Done,
}

/// Whether work on a volume keeps other work on it out while a session begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exclusion {
    Always,
    /// A log-in to a dead port takes a minute, and calls for the volume need not wait for it.
    ExceptAtSessions,
}

impl<H: Host + 'static> Node<H> {
    /// Unstages what is staged here, not attached here any more, and used by no pod. Returns the volumes that were
    /// unstaged, and the errors of those that could not be. Volumes with a call in progress are left out.
    ///
    /// May run while calls are served: whether a volume is attached is asked while no other call can begin on it, and
    /// kubelet stages a volume only after it is attached.
    pub async fn clean_up(
        &self,
        attachments: &Arc<dyn Attachments>,
    ) -> Result<(Vec<VolumeHandle>, Vec<NodeError>), NodeError> {
        let staged = self.inner.host.staged().await?;
        let (mut done, mut errors) = (Vec::new(), Vec::new());
        for state in staged.into_iter().filter(|state| !state.released) {
            let Ok(handle) = state.volume.parse::<VolumeHandle>() else { continue };
            let (volume, attachments) = (handle.clone(), Arc::clone(attachments));
            let call = |inner: Arc<Inner<H>>| async move {
                inner.clean_up(volume, &state.staging, attachments.as_ref()).await
            };
            match self.finish(call).await {
                Ok(MaintenanceOutcome::NotBegun | MaintenanceOutcome::GaveWay) => {}
                Ok(MaintenanceOutcome::Done) => {
                    info!(volume = %handle, "a volume that is not attached here any more is unstaged");
                    done.push(handle);
                }
                Err(error) => errors.push(error),
            }
        }
        Ok((done, errors))
    }

    /// Adds paths that have come back to the volumes that are staged, and ends the connections to arrays without any.
    /// Volumes with a call in progress are left out. Returns the errors of those that could not be looked at.
    pub async fn heal(&self) -> Result<Vec<NodeError>, NodeError> {
        let staged = self.inner.host.staged().await?;
        let (mut errors, mut tried) = (Vec::new(), BTreeSet::new());
        for state in staged.into_iter().filter(|state| !state.released) {
            let Ok(handle) = state.volume.parse::<VolumeHandle>() else { continue };
            let target = state.target.clone();
            let Some(mut heal) = Heal::new(state, !tried.contains(&target)) else { continue };
            let call = |inner: Arc<Inner<H>>| async move {
                let Some(lock) = inner.locks.maintain(&handle) else {
                    return Ok(MaintenanceOutcome::NotBegun);
                };
                inner.maintain(lock, &handle, &mut heal, Exclusion::ExceptAtSessions).await
            };
            match self.finish(call).await {
                Ok(MaintenanceOutcome::NotBegun) => continue,
                Ok(MaintenanceOutcome::GaveWay | MaintenanceOutcome::Done) => {}
                Err(error) => errors.push(error),
            }
            tried.insert(target);
        }
        let connected = self.inner.host.connected().await.unwrap_or_else(|error| {
            errors.push(error.into());
            Vec::new()
        });
        let targets: BTreeSet<String> =
            connected.into_iter().map(|connection| connection.target).collect();
        for target in targets {
            let call = |inner: Arc<Inner<H>>| async move {
                inner.run(None, &mut LeaveArray::new(target)).await
            };
            if let Err(error) = self.finish(call).await {
                errors.push(error);
            }
        }
        Ok(errors)
    }
}

impl<H: Host> Inner<H> {
    /// Carries out what the node service does by itself, until a call for the volume comes.
    async fn maintain<'b>(
        &'b self,
        mut lock: VolumeLock<'b>,
        volume: &VolumeHandle,
        procedure: &mut impl Procedure,
        exclusion: Exclusion,
    ) -> Result<MaintenanceOutcome, NodeError> {
        let mut seen = None;
        for _ in 0..MAX_STEPS {
            if lock.has_waiter() {
                return Ok(MaintenanceOutcome::GaveWay);
            }
            let effect = match self.next(procedure, &mut seen).await? {
                Step::Do(effect) => effect,
                Step::Wait(time) => {
                    self.host.pause(time).await;
                    continue;
                }
                Step::Done => return Ok(MaintenanceOutcome::Done),
                Step::Fail(error) => return Err(error),
            };
            if effect.changes_sessions_of().is_none() || exclusion == Exclusion::Always {
                self.execute_in_sequence(Some(volume), procedure, &effect).await?;
                continue;
            }
            drop(lock);
            self.execute_in_sequence(Some(volume), procedure, &effect).await?;
            let Some(again) = self.locks.maintain(volume) else {
                return Ok(MaintenanceOutcome::GaveWay);
            };
            lock = again;
        }
        Err(no_progress())
    }

    /// Returns the next step. A look at the host costs more than all that is decided from it, and questions change nothing:
    /// after a question, what was seen before it suffices to ask the next one, or to find that there is nothing to do. All
    /// else is decided from a new look.
    async fn next(
        &self,
        procedure: &mut impl Procedure,
        seen: &mut Option<HostView>,
    ) -> Result<Step, NodeError> {
        let is_question = |step: &Step| matches!(step, Step::Do(effect) if effect.is_question());
        if let Some(view) = seen {
            let step = procedure.next(view, self.host.now());
            if is_question(&step) || step == Step::Done {
                return Ok(step);
            }
        }
        let view = self.host.view(&procedure.query()).await?;
        let step = procedure.next(&view, self.host.now());
        *seen = is_question(&step).then_some(view);
        Ok(step)
    }

    /// Unstages a volume that is left over.
    async fn clean_up(
        &self,
        handle: VolumeHandle,
        staging: &Path,
        attachments: &dyn Attachments,
    ) -> Result<MaintenanceOutcome, NodeError> {
        let Some(lock) = self.locks.maintain(&handle) else {
            return Ok(MaintenanceOutcome::NotBegun);
        };
        let Some(state) = self.state_at(staging).await? else {
            return Ok(MaintenanceOutcome::NotBegun);
        };
        let view = self.host.view(&HostQuery::default()).await?;
        if state.volume != handle.to_string() || !is_left_over(&state, false, &view) {
            return Ok(MaintenanceOutcome::NotBegun);
        }
        let is_attached = attachments.is_attached(&handle).await.map_err(|error| {
            let message = format!("it is unknown whether {handle} is attached here: {error}");
            NodeError::new(NodeErrorKind::Unavailable, message)
        })?;
        if !is_left_over(&state, is_attached, &view) {
            return Ok(MaintenanceOutcome::NotBegun);
        }
        let mut unstage = Unstage::new(handle.clone(), staging.to_owned(), Some(state));
        self.maintain(lock, &handle, &mut unstage, Exclusion::Always).await
    }
}
