//! Carries the procedures out: view, decision, effect, and again. Calls for one volume exclude each other; calls for
//! different volumes do not wait for each other, except for the log-in to the same array.

mod maintenance;
mod report;
mod volume_locks;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tracing::{info, warn};

use super::decide::{
    Effect, Expand, Outcome, Procedure, Publish, Stage, StagedVolume, Step, Unpublish, Unstage,
};
use super::host::Host;
use super::request::{
    ExpandRequest, NodeError, NodeErrorKind, NodeIdentity, PublishRequest, StageRequest,
    VolumeHandle, VolumeStats,
};
use super::{FormatRecord, NodeService};
use volume_locks::VolumeLocks;

/// More steps than any procedure needs with all waiting. A procedure that needs more does not converge.
const MAX_STEPS: usize = 2000;

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
    locks: VolumeLocks,
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
        let locks = VolumeLocks::default();
        let targets = Mutex::default();
        Self {
            inner: Arc::new(Inner { host, record, name, max_volumes, topology, locks, targets }),
        }
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

impl<H: Host> Inner<H> {
    async fn run(
        &self,
        volume: Option<&VolumeHandle>,
        procedure: &mut impl Procedure,
    ) -> Result<(), NodeError> {
        for _ in 0..MAX_STEPS {
            let effect = match self.step(procedure).await? {
                Step::Do(effect) => effect,
                Step::Wait(time) => {
                    self.host.pause(time).await;
                    continue;
                }
                Step::Done => return Ok(()),
                Step::Fail(error) => return Err(error),
            };
            self.execute_in_sequence(volume, procedure, &effect).await?;
        }
        Err(no_progress())
    }

    /// Performs an effect. Those on the sessions of a target take turns.
    async fn execute_in_sequence(
        &self,
        volume: Option<&VolumeHandle>,
        procedure: &mut impl Procedure,
        effect: &Effect,
    ) -> Result<(), NodeError> {
        let Some(target) = effect.changes_sessions_of() else {
            return self.execute(volume, procedure, effect).await;
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
            self.execute(volume, procedure, &effect).await?;
        }
        Ok(())
    }

    async fn step(&self, procedure: &mut impl Procedure) -> Result<Step, NodeError> {
        let view = self.host.view(&procedure.query()).await?;
        Ok(procedure.next(&view, self.host.now()))
    }

    async fn execute(
        &self,
        volume: Option<&VolumeHandle>,
        procedure: &mut impl Procedure,
        effect: &Effect,
    ) -> Result<(), NodeError> {
        let outcome = match (effect, volume) {
            (Effect::RecordFormatted, Some(volume)) => {
                let recorded = self.record.record_formatted(volume).await;
                recorded.map(|()| Outcome::Done).map_err(super::decide::HostError::failed)
            }
            _ => self.host.execute(volume, effect).await,
        };
        let volume = volume.map(tracing::field::display);
        match &outcome {
            Ok(_) => info!(volume, ?effect, "done"),
            Err(error) => warn!(volume, ?effect, %error, "failed"),
        }
        procedure.apply_outcome(effect, outcome, self.host.now())
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
        let _lock = self.locks.call(&handle).await?;
        let password = request.passwords.password(&self.name).map_err(|error| {
            let message = format!("the Secret with the CHAP passwords of the array: {error}");
            NodeError::new(NodeErrorKind::FailedPrecondition, message)
        })?;
        let mut stage = Stage::new(request, password);
        self.run(Some(&handle), &mut stage).await?;
        if let Some(ready) = stage.device() {
            let (paths, expected) = (ready.paths, ready.expected);
            if paths < expected {
                warn!(volume = %handle, paths, expected, "staged with fewer paths than the array has ports");
            } else {
                info!(volume = %handle, paths, expected, "staged");
            }
        }
        Ok(())
    }

    async fn unstage(&self, handle: VolumeHandle, staging: PathBuf) -> Result<(), NodeError> {
        let _lock = self.locks.call(&handle).await?;
        let state = self.state_at(&staging).await?;
        self.run(Some(&handle), &mut Unstage::new(handle.clone(), staging, state)).await
    }

    async fn publish(&self, request: PublishRequest) -> Result<(), NodeError> {
        let handle = request.handle.clone();
        let _lock = self.locks.call(&handle).await?;
        let state = self.state_at(&request.staging).await?;
        self.run(Some(&handle), &mut Publish::new(request, state)).await
    }

    async fn unpublish(&self, handle: VolumeHandle, target: PathBuf) -> Result<(), NodeError> {
        let _lock = self.locks.call(&handle).await?;
        self.run(Some(&handle), &mut Unpublish::new(target)).await
    }

    async fn expand(&self, request: ExpandRequest) -> Result<u64, NodeError> {
        let handle = request.handle.clone();
        let _lock = self.locks.call(&handle).await?;
        let state = self.state_of(&handle, request.staging.as_deref()).await?;
        let mut expand = Expand::new(request, state);
        self.run(Some(&handle), &mut expand).await?;
        Ok(expand.size())
    }
}

fn no_progress() -> NodeError {
    let message = "the operation comes to no end; its log lists the steps";
    NodeError::new(NodeErrorKind::Internal, message)
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
