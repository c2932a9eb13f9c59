//! A node with its service, and the calls of kubelet: each is repeated until it succeeds, also when the process ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use pso_gen::contract::{Attachment, BlockTransport, ChapSecret};
use pso_gen::node::decide::Bus;
use pso_gen::node::{
    Access, Attachments, ExpandRequest, FsType, Node, NodeError, NodeService, NodeSetup,
    PublishRequest, StageRequest, VolumeHandle, VolumeMode, VolumeStats,
};

use super::host::SimulatedHost;
use super::kernel::{Crash, Faults, Kernel, KernelSession, Node as PathNode, On, Portal, Volume};

pub(crate) const GIB: u64 = 1 << 30;
pub(crate) const TARGET: &str = "iqn.2010-06.com.purestorage:flasharray.1";

pub(crate) struct Lab {
    pub(crate) host: SimulatedHost,
    node: Node<SimulatedHost>,
    runtime: tokio::runtime::Runtime,
    fs_type: FsType,
    block: bool,
    /// The Secret with the passwords of the nodes.
    pub(crate) passwords: ChapSecret,
}

/// The volumes with a VolumeAttachment.
#[derive(Debug)]
struct Attached(BTreeSet<VolumeHandle>);

#[async_trait::async_trait]
impl Attachments for Attached {
    async fn is_attached(&self, volume: &VolumeHandle) -> Result<bool, String> {
        Ok(self.0.contains(volume))
    }
}

pub(crate) fn handle(name: &str) -> VolumeHandle {
    VolumeHandle { array_id: "array".to_owned(), volume_id: name.to_owned() }
}

pub(crate) fn serial(name: &str) -> String {
    let number = name.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
    format!("{number:024X}")
}

pub(crate) fn staging(name: &str) -> PathBuf {
    Path::new("/var/lib/kubelet/plugins/kubernetes.io/csi").join(name).join("globalmount")
}

pub(crate) fn target(name: &str, pod: &str) -> PathBuf {
    Path::new("/var/lib/kubelet/pods").join(pod).join("volumes").join(name)
}

impl Lab {
    pub(crate) fn new(transport: BlockTransport, has_multipath: bool) -> Self {
        let portals = match transport {
            BlockTransport::FibreChannel => ["5200000000000001", "5200000000000002"],
            _ => ["10.0.0.1:3260", "10.0.0.2:3260"],
        };
        let portal = Portal { is_up: true, from: Duration::ZERO };
        let mut kernel = Kernel {
            transport,
            time: Duration::ZERO,
            target: TARGET.to_owned(),
            portals: portals.map(|name| (name.to_owned(), portal.clone())).into(),
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
            has_multipath: has_multipath && transport != BlockTransport::NvmeTcp,
            faults: Faults::default(),
            crashes: Vec::new(),
            effects: 0,
            views: 0,
            life: 0,
            trace: Vec::new(),
            hosts: 0,
        };
        if transport == BlockTransport::FibreChannel {
            for (at, portal) in (0..).zip(portals) {
                let bus = Some(Bus { host: 7, channel: 0, target: at });
                let session = KernelSession {
                    target: TARGET.to_owned(),
                    portal: portal.to_owned(),
                    bus,
                    is_admins: true,
                };
                kernel.sessions.insert(format!("rport-7:0-{at}"), session);
            }
        }
        let host = SimulatedHost { kernel: Arc::new(Mutex::new(kernel)), life: 0 };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime without timers");
        let node = Self::service(&host);
        let passwords = ChapSecret::default();
        Self { host, node, runtime, fs_type: FsType::Ext4, block: false, passwords }
    }

    pub(crate) fn iscsi() -> Self {
        Self::new(BlockTransport::Iscsi, true)
    }

    pub(crate) fn with(self, fs_type: FsType) -> Self {
        Self { fs_type, ..self }
    }

    /// The pods get the device.
    pub(crate) fn block(self, block: bool) -> Self {
        Self { block, ..self }
    }

    fn service(host: &SimulatedHost) -> Node<SimulatedHost> {
        let setup = NodeSetup { name: "n1".to_owned(), ..NodeSetup::default() };
        Node::new(host.clone(), Arc::new(host.clone()), setup)
    }

    pub(crate) fn kernel(&self) -> MutexGuard<'_, Kernel> {
        self.host.kernel()
    }

    pub(crate) fn sessions_and_records(&self) -> (usize, usize) {
        let kernel = self.kernel();
        (kernel.sessions.len(), kernel.records.len())
    }

    pub(crate) fn sessions_and_disks(&self) -> (usize, usize) {
        let kernel = self.kernel();
        (kernel.sessions.len(), kernel.disks.len())
    }

    pub(crate) fn maps_and_disks(&self) -> (usize, usize) {
        let kernel = self.kernel();
        (kernel.maps.len(), kernel.disks.len())
    }

    pub(crate) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.kernel().faults);
    }

    pub(crate) fn crash_at(&self, crashes: &[(usize, Crash)]) {
        self.kernel().crashes = crashes.to_vec();
    }

    /// A new process, if the last one has ended.
    fn restart(&mut self) {
        let life = self.kernel().life;
        if self.host.life != life {
            self.host.life = life;
            self.node = Self::service(&self.host);
        }
    }

    pub(crate) fn kill(&mut self) {
        self.kernel().life += 1;
        self.restart();
    }

    /// Creates a volume on the array.
    pub(crate) fn create(&self, name: &str) {
        let mut kernel = self.kernel();
        let serial = serial(name);
        kernel.handles.insert(handle(name), serial.clone());
        let volume = Volume {
            size: GIB,
            on: On::Zeros,
            fs_size: 0,
            data: None,
            uuid: 0,
            is_damaged: false,
            is_recorded: false,
            checks: 0,
        };
        kernel.volumes.insert(serial, volume);
    }

    pub(crate) fn volume(&self, name: &str) -> Volume {
        self.kernel().volumes[&serial(name)].clone()
    }

    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Volume)) {
        change(self.kernel().volume(&serial(name)));
    }

    /// The array connects a volume at the lowest free LUN.
    pub(crate) fn connect(&self, name: &str) {
        let mut kernel = self.kernel();
        let serial = serial(name);
        if !kernel.luns.values().any(|it| *it == serial) {
            let lun = (1..=4095).find(|lun| !kernel.luns.contains_key(lun)).expect("a free LUN");
            kernel.luns.insert(lun, serial);
        }
    }

    /// The array disconnects a volume. Buffers that are not written by then are lost.
    pub(crate) fn disconnect(&self, name: &str) {
        let mut kernel = self.kernel();
        kernel.luns.retain(|_, it| *it != serial(name));
        kernel.follow_namespaces();
    }

    pub(crate) fn attachment(&self, name: &str) -> Attachment {
        let kernel = self.kernel();
        let serial = serial(name);
        let lun = kernel.luns.iter().find(|(_, it)| **it == serial).map_or(1, |(lun, _)| *lun);
        let volume = &kernel.volumes[&serial];
        Attachment {
            transport: kernel.transport,
            target: kernel.target.clone(),
            portals: kernel.portals.keys().cloned().collect(),
            lun,
            size: volume.size,
            never_formatted: !volume.is_recorded,
            serial,
        }
    }

    fn mode(&self) -> VolumeMode {
        if self.block {
            return VolumeMode::Block;
        }
        let mount_options = vec!["noatime".to_owned()];
        VolumeMode::FileSystem { fs_type: self.fs_type, mount_options, group: None }
    }

    /// Carries a call out. An invariant that breaks in its task ends the test.
    fn call<T>(&self, call: impl Future<Output = Result<T, NodeError>>) -> Result<T, NodeError> {
        let result = self.runtime.block_on(call);
        if let Err(error) = &result
            && error.message.starts_with("the call ended early")
        {
            panic!("{}", error.message.replace("\\n", "\n"));
        }
        result
    }

    /// One call.
    pub(crate) fn stage_once(&mut self, name: &str) -> Result<(), NodeError> {
        self.stage_with(name, self.attachment(name))
    }

    pub(crate) fn stage_with(
        &mut self,
        name: &str,
        attachment: Attachment,
    ) -> Result<(), NodeError> {
        self.restart();
        self.kernel().nodes.entry(staging(name)).or_insert(PathNode::Folder { is_sealed: false });
        let request = StageRequest {
            handle: handle(name),
            staging: staging(name),
            mode: self.mode(),
            attachment,
            access: Access::SingleNodeWriter,
            passwords: self.passwords.clone(),
        };
        let result = self.call(self.node.stage(request));
        if result.is_ok() && self.host.life == self.kernel().life && !self.block {
            self.must_be_mounted(name, &staging(name));
        }
        result
    }

    pub(crate) fn publish_once(&mut self, name: &str, pod: &str) -> Result<(), NodeError> {
        self.restart();
        let request = PublishRequest {
            handle: handle(name),
            staging: staging(name),
            target: target(name, pod),
            mode: self.mode(),
            read_only: false,
        };
        let result = self.call(self.node.publish(request));
        if result.is_ok() && self.host.life == self.kernel().life {
            self.must_be_mounted(name, &target(name, pod));
        }
        result
    }

    pub(crate) fn unpublish_once(&mut self, name: &str, pod: &str) -> Result<(), NodeError> {
        self.restart();
        let target = target(name, pod);
        let result = self.call(self.node.unpublish(&handle(name), &target));
        let kernel = self.kernel();
        if result.is_ok() && (kernel.top(&target).is_some() || kernel.nodes.contains_key(&target)) {
            kernel.broken("a pod's path is left after success");
        }
        drop(kernel);
        result
    }

    pub(crate) fn unstage_once(&mut self, name: &str) -> Result<(), NodeError> {
        self.restart();
        let result = self.call(self.node.unstage(&handle(name), &staging(name)));
        if result.is_ok() {
            self.must_be_gone(name);
        }
        result
    }

    pub(crate) fn expand_once(&mut self, name: &str, wanted: u64) -> Result<u64, NodeError> {
        self.restart();
        let request = ExpandRequest {
            handle: handle(name),
            path: target(name, "pod"),
            staging: Some(staging(name)),
            wanted: Some(wanted),
            // Callers may leave it out.
            mode: (wanted != 2 * GIB).then(|| self.mode()),
        };
        let result = self.call(self.node.expand(request));
        if result.is_ok() {
            assert!(self.block || self.volume(name).fs_size >= wanted, "a wrong success");
        }
        result
    }

    pub(crate) fn stats(&mut self, name: &str) -> Result<VolumeStats, NodeError> {
        self.restart();
        let path = target(name, "pod");
        self.call(self.node.stats(&handle(name), &path, Some(&staging(name))))
    }

    pub(crate) fn clean_up(&mut self, attached: &[&str]) -> Vec<VolumeHandle> {
        self.restart();
        let attached = attached.iter().map(|name| handle(name)).collect();
        let attached: Arc<dyn Attachments> = Arc::new(Attached(attached));
        let (done, errors) = self.call(self.node.clean_up(&attached)).expect("cleaned");
        assert_eq!(errors, Vec::new());
        done
    }

    pub(crate) fn identity(&self) -> pso_gen::node::NodeIdentity {
        self.runtime.block_on(self.node.identity()).expect("an identity")
    }

    pub(crate) fn heal(&mut self) {
        assert_eq!(self.heal_errors(), Vec::new());
    }

    /// Heals, and returns what could not be looked at.
    pub(crate) fn heal_errors(&mut self) -> Vec<NodeError> {
        self.restart();
        self.runtime.block_on(self.node.heal()).expect("healed")
    }

    /// The process may end in it; a new one begins.
    pub(crate) fn heal_with_crash(&mut self) {
        self.restart();
        let _ = self.runtime.block_on(self.node.heal());
        self.restart();
    }

    /// Kubelet repeats a call until it succeeds.
    fn until<T>(&mut self, mut call: impl FnMut(&mut Self) -> Result<T, NodeError>) -> T {
        for _ in 0..8 {
            match call(self) {
                Ok(value) => return value,
                Err(error) => {
                    let mut kernel = self.kernel();
                    let line = format!("       {error}");
                    kernel.trace.push(line);
                    kernel.time += Duration::from_secs(1);
                }
            }
        }
        self.kernel().broken("a call never succeeds")
    }

    pub(crate) fn stage(&mut self, name: &str) {
        self.until(|lab| lab.stage_once(name));
    }

    pub(crate) fn publish(&mut self, name: &str, pod: &str) {
        self.until(|lab| lab.publish_once(name, pod));
    }

    pub(crate) fn unpublish(&mut self, name: &str, pod: &str) {
        self.until(|lab| lab.unpublish_once(name, pod));
    }

    pub(crate) fn unstage(&mut self, name: &str) {
        self.until(|lab| lab.unstage_once(name));
    }

    pub(crate) fn expand(&mut self, name: &str, wanted: u64) -> u64 {
        self.until(|lab| lab.expand_once(name, wanted))
    }

    /// A volume is attached, staged and published.
    pub(crate) fn start(&mut self, name: &str) {
        self.connect(name);
        self.stage(name);
        self.publish(name, "pod");
    }

    /// A volume is unpublished, unstaged and detached.
    pub(crate) fn stop(&mut self, name: &str) {
        self.unpublish(name, "pod");
        self.unstage(name);
        self.disconnect(name);
    }
}
