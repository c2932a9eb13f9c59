//! The real node service over the model of a kernel of `tests/node_simulation`. What the model has no eyes for, the folders
//! that csi-sanity looks at, is on the disk as well.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pso_gen::contract::{BlockTransport, NodeId};
use pso_gen::node::decide::{
    Connection, Effect, HostError, HostQuery, HostView, Outcome, StagedVolume,
};
use pso_gen::node::{
    ExpandRequest, FsType, Host, Node, NodeError, NodeIdentity, NodeService, NodeSetup,
    PublishRequest, StageRequest, Usage, VolumeHandle, VolumeStats,
};

use super::host::{SimulatedHost, failed};
use super::kernel::{Faults, Kernel, On, Portal, Volume};

/// The model, with its mount points on the disk.
#[derive(Debug, Clone)]
struct OnDisk(SimulatedHost);

#[async_trait]
impl Host for OnDisk {
    async fn view(&self, query: &HostQuery) -> Result<HostView, HostError> {
        self.0.view(query).await
    }

    async fn staged(&self) -> Result<Vec<StagedVolume>, HostError> {
        self.0.staged().await
    }

    async fn connected(&self) -> Result<Vec<Connection>, HostError> {
        self.0.connected().await
    }

    async fn execute(
        &self,
        volume: Option<&VolumeHandle>,
        effect: &Effect,
    ) -> Result<Outcome, HostError> {
        let done = self.0.execute(volume, effect).await?;
        let on_disk = match effect {
            Effect::SealFolder(path) => std::fs::create_dir_all(path),
            Effect::CreateFile(path) => std::fs::write(path, ""),
            Effect::RemoveNode(path) if path.is_dir() => std::fs::remove_dir(path),
            Effect::RemoveNode(path) if path.exists() => std::fs::remove_file(path),
            _ => Ok(()),
        };
        on_disk.map_err(|error| failed(&format!("{effect:?}: {error}")))?;
        Ok(done)
    }

    async fn usage(&self, path: &Path) -> Result<(Usage, Option<Usage>), HostError> {
        self.0.usage(path).await
    }

    async fn initiators(&self) -> Result<NodeId, HostError> {
        self.0.initiators().await
    }

    fn now(&self) -> Duration {
        self.0.now()
    }

    async fn pause(&self, duration: Duration) {
        self.0.pause(duration).await;
    }
}

/// The node service, and the array as far as the node sees it.
#[derive(Debug)]
pub(crate) struct Modelled {
    host: SimulatedHost,
    node: Node<OnDisk>,
}

impl Modelled {
    pub(crate) fn new() -> Self {
        let kernel = Kernel {
            transport: BlockTransport::Iscsi,
            time: Duration::ZERO,
            target: String::new(),
            portals: BTreeMap::new(),
            volumes: BTreeMap::new(),
            handles: BTreeMap::new(),
            luns: BTreeMap::new(),
            sessions: BTreeMap::new(),
            disks: BTreeMap::new(),
            maps: BTreeMap::new(),
            chap: None,
            passwords: BTreeMap::new(),
            mounts: Vec::new(),
            aborted: BTreeSet::new(),
            states: BTreeMap::new(),
            records: BTreeMap::new(),
            connected: BTreeSet::new(),
            unproven: BTreeSet::new(),
            nodes: BTreeMap::new(),
            dirty: BTreeSet::new(),
            has_multipath: true,
            faults: Faults::default(),
            crashes: Vec::new(),
            effects: 0,
            views: 0,
            life: 0,
            trace: Vec::new(),
            hosts: 0,
        };
        let host = SimulatedHost { kernel: Arc::new(Mutex::new(kernel)), life: 0 };
        let setup =
            NodeSetup { name: "n1".to_owned(), max_volumes: Some(64), ..NodeSetup::default() };
        let node = Node::new(OnDisk(host.clone()), Arc::new(host.clone()), setup);
        Self { host, node }
    }

    /// The array has connected the volume: the model learns it from the publish context.
    fn connect(&self, request: &StageRequest) {
        let attachment = &request.attachment;
        let mut kernel = self.host.kernel();
        kernel.target.clone_from(&attachment.target);
        for portal in &attachment.portals {
            let up = Portal { is_up: true, from: Duration::ZERO };
            kernel.portals.entry(portal.clone()).or_insert(up);
        }
        kernel.handles.insert(request.handle.clone(), attachment.serial.clone());
        kernel.luns.retain(|_, serial| *serial != attachment.serial);
        kernel.luns.insert(attachment.lun, attachment.serial.clone());
        let volume = kernel.volumes.entry(attachment.serial.clone()).or_insert_with(|| Volume {
            size: 0,
            // Without the record, an earlier node has formatted it.
            on: if attachment.never_formatted { On::Zeros } else { On::FileSystem(FsType::Ext4) },
            fs_size: if attachment.never_formatted { 0 } else { attachment.size },
            data: None,
            uuid: 0,
            is_damaged: false,
            is_recorded: false,
            checks: 0,
        });
        volume.size = attachment.size;
    }
}

#[async_trait]
impl NodeService for Modelled {
    async fn stage(&self, request: StageRequest) -> Result<(), NodeError> {
        self.connect(&request);
        self.node.stage(request).await
    }

    async fn unstage(&self, volume: &VolumeHandle, staging: &Path) -> Result<(), NodeError> {
        self.node.unstage(volume, staging).await
    }

    async fn publish(&self, request: PublishRequest) -> Result<(), NodeError> {
        self.node.publish(request).await
    }

    async fn unpublish(&self, volume: &VolumeHandle, target: &Path) -> Result<(), NodeError> {
        self.node.unpublish(volume, target).await
    }

    async fn stats(
        &self,
        volume: &VolumeHandle,
        path: &Path,
        staging: Option<&Path>,
    ) -> Result<VolumeStats, NodeError> {
        self.node.stats(volume, path, staging).await
    }

    async fn expand(&self, request: ExpandRequest) -> Result<u64, NodeError> {
        self.node.expand(request).await
    }

    async fn identity(&self) -> Result<NodeIdentity, NodeError> {
        self.node.identity().await
    }
}
