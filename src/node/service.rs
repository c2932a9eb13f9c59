//! Carries the procedures out: view, decision, effect, and again. Calls for one volume exclude each other; calls for
//! different volumes do not wait for each other, except for the log-in to the same array.

mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tracing::{info, warn};

use super::decide::{
    Effect, Expand, Heal, Outcome, Procedure, Publish, Stage, StagedVolume, Step, Subject,
    Unpublish, Unstage, is_left_over,
};
use super::host::Host;
use super::request::{
    ExpandRequest, NodeError, NodeErrorKind, NodeIdentity, PublishRequest, StageRequest,
    VolumeHandle, VolumeStats,
};
use super::{Attachments, FormatRecord, NodeService};

/// More steps than any procedure needs with all waiting. A procedure that needs more does not converge.
const MOST_STEPS: usize = 2000;

/// The node service of a host.
#[derive(Debug)]
pub struct Node<H> {
    inner: Arc<Inner<H>>,
}

#[derive(Debug)]
struct Inner<H> {
    host: H,
    record: Arc<dyn FormatRecord>,
    name: String,
    max_volumes: Option<u32>,
    topology: Vec<(String, String)>,
    /// Volumes with a call in progress.
    busy: Mutex<BTreeSet<VolumeHandle>>,
    /// One lock for the sessions of each target.
    targets: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// What does not come from the host.
#[derive(Debug, Clone, Default)]
pub struct NodeSetup {
    /// The node's name in Kubernetes.
    pub name: String,
    /// The most volumes that the node can have; none if there is no limit.
    pub max_volumes: Option<u32>,
    /// Its topology: label and value.
    pub topology: Vec<(String, String)>,
}

impl<H: Host + 'static> Node<H> {
    /// Returns the node service.
    pub fn new(host: H, record: Arc<dyn FormatRecord>, setup: NodeSetup) -> Self {
        let NodeSetup { name, max_volumes, topology } = setup;
        let busy = Mutex::default();
        let targets = Mutex::default();
        Self { inner: Arc::new(Inner { host, record, name, max_volumes, topology, busy, targets }) }
    }

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
                Ok(false) => {}
                Ok(true) => {
                    info!(volume = %handle, "a volume that is not attached here any more is unstaged");
                    done.push(handle);
                }
                Err(error) => errors.push(error),
            }
        }
        Ok((done, errors))
    }

    /// Adds paths that have come back to the volumes that are staged. Volumes with a call in progress are left out.
    /// Returns the errors of those that could not be looked at.
    pub async fn heal(&self) -> Result<Vec<NodeError>, NodeError> {
        let staged = self.inner.host.staged().await?;
        let (mut errors, mut tried) = (Vec::new(), BTreeSet::new());
        for state in staged.into_iter().filter(|state| !state.released) {
            let Ok(handle) = state.volume.parse::<VolumeHandle>() else { continue };
            let target = state.target.clone();
            let Some(mut heal) = Heal::new(state, !tried.contains(&target)) else { continue };
            let call = |inner: Arc<Inner<H>>| async move {
                let Ok(_busy) = inner.begin(&handle) else { return Ok(false) };
                inner.run(&handle, &mut heal).await.map(|()| true)
            };
            match self.finish(call).await {
                Ok(false) => continue,
                Ok(true) => {}
                Err(error) => errors.push(error),
            }
            tried.insert(target);
        }
        Ok(errors)
    }

    /// Carries a call out to its end even if the caller hangs up: a file system that is being created is not cut off.
    async fn finish<T, F>(&self, call: impl FnOnce(Arc<Inner<H>>) -> F) -> Result<T, NodeError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, NodeError>> + Send + 'static,
    {
        let task = tokio::spawn(call(Arc::clone(&self.inner)));
        task.await.unwrap_or_else(|error| {
            Err(NodeError::new(NodeErrorKind::Internal, format!("the call ended early: {error}")))
        })
    }
}

/// Marks a volume as busy until it is dropped.
struct Busy<'b> {
    busy: &'b Mutex<BTreeSet<VolumeHandle>>,
    handle: VolumeHandle,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.handle);
    }
}

impl<H: Host> Inner<H> {
    fn begin(&self, handle: &VolumeHandle) -> Result<Busy<'_>, NodeError> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if !busy.insert(handle.clone()) {
            return Err(NodeError::new(
                NodeErrorKind::Aborted,
                format!("another operation on volume {handle} is running"),
            ));
        }
        Ok(Busy { busy: &self.busy, handle: handle.clone() })
    }

    async fn run(
        &self,
        volume: &VolumeHandle,
        procedure: &mut impl Procedure,
    ) -> Result<(), NodeError> {
        for _ in 0..MOST_STEPS {
            let effect = match self.step(procedure).await? {
                Step::Do(effect) => effect,
                Step::Wait(time) => {
                    self.host.pause(time).await;
                    continue;
                }
                Step::Done => return Ok(()),
                Step::Fail(error) => return Err(error),
            };
            let Some(target) = effect.changes_sessions_of() else {
                self.perform(volume, procedure, &effect).await?;
                continue;
            };
            // Whether a session is needed, or not any more, is decided under the lock: of two volumes that arrive
            // together, one logs in.
            let lock = {
                let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(targets.entry(target.to_owned()).or_default())
            };
            let _held = lock.lock().await;
            if let Step::Do(effect) = self.step(procedure).await?
                && effect.changes_sessions_of().is_some()
            {
                self.perform(volume, procedure, &effect).await?;
            }
        }
        Err(NodeError::new(
            NodeErrorKind::Internal,
            "the operation comes to no end; its log lists the steps",
        ))
    }

    async fn step(&self, procedure: &mut impl Procedure) -> Result<Step, NodeError> {
        let view = self.host.view(&procedure.subject()).await?;
        Ok(procedure.next(&view, self.host.now()))
    }

    async fn perform(
        &self,
        volume: &VolumeHandle,
        procedure: &mut impl Procedure,
        effect: &Effect,
    ) -> Result<(), NodeError> {
        let outcome = match effect {
            Effect::RecordFormatted => {
                let recorded = self.record.record_formatted(volume).await;
                recorded.map(|()| Outcome::Done).map_err(super::decide::HostError::failed)
            }
            _ => self.host.perform(volume, effect).await,
        };
        match &outcome {
            Ok(_) => info!(%volume, ?effect, "done"),
            Err(error) => warn!(%volume, ?effect, %error, "failed"),
        }
        procedure.done(effect, outcome, self.host.now())
    }

    async fn state_at(&self, staging: &Path) -> Result<Option<StagedVolume>, NodeError> {
        let staged = self.host.staged().await?;
        Ok(staged.into_iter().find(|state| state.staging == staging))
    }

    /// Returns the state file of a volume, at a staging path if one is given.
    async fn state_of(
        &self,
        handle: &VolumeHandle,
        staging: Option<&Path>,
    ) -> Result<StagedVolume, NodeError> {
        let staged = self.host.staged().await?;
        let is_it = |state: &StagedVolume| {
            !state.released
                && state.volume == handle.to_string()
                && staging.is_none_or(|staging| staging == state.staging)
        };
        staged.into_iter().find(is_it).ok_or_else(|| {
            NodeError::new(
                NodeErrorKind::NotFound,
                format!("volume {handle} is not staged on this node"),
            )
        })
    }

    async fn stage(&self, request: StageRequest) -> Result<(), NodeError> {
        let handle = request.handle.clone();
        let _busy = self.begin(&handle)?;
        let password = request.passwords.password(&self.name).map_err(|error| {
            let message = format!("the Secret with the CHAP passwords of the array: {error}");
            NodeError::new(NodeErrorKind::FailedPrecondition, message)
        })?;
        let mut stage = Stage::new(request, password);
        self.run(&handle, &mut stage).await?;
        if let Some(ready) = stage.ready() {
            let (paths, expected) = (ready.paths, ready.expected);
            if paths < expected {
                warn!(volume = %handle, paths, expected, "staged with fewer paths than the array has ports");
            } else {
                info!(volume = %handle, paths, expected, "staged");
            }
        }
        Ok(())
    }

    /// Unstages a volume that is left over. Returns whether it was.
    async fn clean_up(
        &self,
        handle: VolumeHandle,
        staging: &Path,
        attachments: &dyn Attachments,
    ) -> Result<bool, NodeError> {
        let Ok(_busy) = self.begin(&handle) else { return Ok(false) };
        let Some(state) = self.state_at(staging).await? else { return Ok(false) };
        let view = self.host.view(&Subject::default()).await?;
        if state.volume != handle.to_string() || !is_left_over(&state, false, &view) {
            return Ok(false);
        }
        let is_attached = attachments.is_attached(&handle).await.map_err(|error| {
            let message = format!("it is unknown whether {handle} is attached here: {error}");
            NodeError::new(NodeErrorKind::Unavailable, message)
        })?;
        if !is_left_over(&state, is_attached, &view) {
            return Ok(false);
        }
        self.run(&handle, &mut Unstage::new(handle.clone(), staging.to_owned(), Some(state)))
            .await?;
        Ok(true)
    }

    async fn unstage(&self, handle: VolumeHandle, staging: PathBuf) -> Result<(), NodeError> {
        let _busy = self.begin(&handle)?;
        let state = self.state_at(&staging).await?;
        self.run(&handle, &mut Unstage::new(handle.clone(), staging, state)).await
    }

    async fn publish(&self, request: PublishRequest) -> Result<(), NodeError> {
        let handle = request.handle.clone();
        let _busy = self.begin(&handle)?;
        let state = self.state_at(&request.staging).await?;
        self.run(&handle, &mut Publish::new(request, state)).await
    }

    async fn unpublish(&self, handle: VolumeHandle, target: PathBuf) -> Result<(), NodeError> {
        let _busy = self.begin(&handle)?;
        self.run(&handle, &mut Unpublish::new(target)).await
    }

    async fn expand(&self, request: ExpandRequest) -> Result<u64, NodeError> {
        let handle = request.handle.clone();
        let _busy = self.begin(&handle)?;
        let state = self.state_of(&handle, request.staging.as_deref()).await?;
        let mut expand = Expand::new(request, state);
        self.run(&handle, &mut expand).await?;
        Ok(expand.size())
    }
}

#[async_trait]
impl<H: Host + 'static> NodeService for Node<H> {
    async fn stage(&self, request: StageRequest) -> Result<(), NodeError> {
        self.finish(|inner| async move { inner.stage(request).await }).await
    }

    async fn unstage(&self, volume: &VolumeHandle, staging: &Path) -> Result<(), NodeError> {
        let (volume, staging) = (volume.clone(), staging.to_owned());
        self.finish(|inner| async move { inner.unstage(volume, staging).await }).await
    }

    async fn publish(&self, request: PublishRequest) -> Result<(), NodeError> {
        self.finish(|inner| async move { inner.publish(request).await }).await
    }

    async fn unpublish(&self, volume: &VolumeHandle, target: &Path) -> Result<(), NodeError> {
        let (volume, target) = (volume.clone(), target.to_owned());
        self.finish(|inner| async move { inner.unpublish(volume, target).await }).await
    }

    async fn stats(
        &self,
        volume: &VolumeHandle,
        path: &Path,
        staging: Option<&Path>,
    ) -> Result<VolumeStats, NodeError> {
        self.inner.stats(volume.clone(), path.to_owned(), staging.map(Path::to_owned)).await
    }

    async fn expand(&self, request: ExpandRequest) -> Result<u64, NodeError> {
        self.finish(|inner| async move { inner.expand(request).await }).await
    }

    async fn identity(&self) -> Result<NodeIdentity, NodeError> {
        let mut id = self.inner.host.initiators().await?;
        id.node.clone_from(&self.inner.name);
        let (max_volumes, topology) = (self.inner.max_volumes, self.inner.topology.clone());
        Ok(NodeIdentity { id, max_volumes, topology })
    }
}
