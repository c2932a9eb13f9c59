//! The real host: sysfs, the mounts of process 1, state files, and the host's own programs.

mod actions;
mod arguments;
mod facts;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::Host;
use super::connection_file::ConnectionFolder;
use super::device::node_at;
use super::iscsid;
use super::mountinfo::mounts;
use super::program::{ProgramOutput, Programs};
use super::state_file::StateFolder;
use super::sysfs::{Sysfs, word};
use crate::contract::{BlockTransport, NodeId};
use crate::node::decide::{
    Connection, Effect, HostError, HostErrorKind, HostQuery, HostView, Outcome, PathNode,
    StagedVolume,
};
use crate::node::request::{Usage, VolumeHandle};

/// How long a file operation on the host may take: the file system below may be that of a device without paths.
const FILES: Duration = Duration::from_secs(30);

/// The host on which this process runs.
#[derive(Debug)]
pub struct LinuxHost {
    sysfs: Sysfs,
    proc: PathBuf,
    /// The root folder of the host as this process sees it.
    root: PathBuf,
    states: StateFolder,
    connections: ConnectionFolder,
    programs: Programs,
    begun: Instant,
    /// One lock for each path with a file operation at work.
    turns: Mutex<BTreeMap<PathBuf, Weak<tokio::sync::Mutex<()>>>>,
    /// When the file operation at work at each path began.
    at_work: Arc<Mutex<BTreeMap<PathBuf, Instant>>>,
}

/// Where the host's parts are.
#[derive(Debug, Clone)]
pub struct LinuxSetup {
    /// sysfs.
    pub sys: PathBuf,
    /// procfs of the host's process namespace.
    pub proc: PathBuf,
    /// The host's root folder as this process sees it.
    pub root: PathBuf,
    /// Kubelet's folder on the host. It must not be a symbolic link.
    pub kubelet: PathBuf,
    /// This program, which enters the host's namespaces for each program of the host; none stays in its own.
    pub enter: Option<PathBuf>,
}

impl LinuxSetup {
    /// Returns the setup of a container that shares the host's process namespace.
    pub fn of_container(kubelet: PathBuf) -> Self {
        Self {
            sys: PathBuf::from("/sys"),
            proc: PathBuf::from("/proc"),
            root: PathBuf::from("/proc/1/root"),
            kubelet,
            enter: Some(PathBuf::from("/proc/self/exe")),
        }
    }
}

impl LinuxHost {
    /// Returns the host.
    pub fn new(setup: LinuxSetup) -> Self {
        let LinuxSetup { sys, proc, root, kubelet, enter } = setup;
        let folder = on(&root, &kubelet).join("plugins").join(crate::contract::DRIVER);
        Self {
            sysfs: Sysfs { root: sys },
            proc,
            states: StateFolder { path: folder.join("staged") },
            connections: ConnectionFolder {
                path: root.join("run").join(crate::contract::DRIVER).join("connected"),
            },
            root,
            programs: Programs::new(enter),
            begun: Instant::now(),
            turns: Mutex::default(),
            at_work: Arc::default(),
        }
    }

    /// Returns where this process sees a path of the host.
    fn on_host(&self, path: &Path) -> PathBuf {
        on(&self.root, path)
    }

    /// Does what may block, without blocking others.
    async fn files<T: Send + 'static>(
        &self,
        what: String,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, HostError> {
        Self::within(what, tokio::task::spawn_blocking(work)).await
    }

    /// Does what may block at a path, one operation after another. One that hangs has a thread to itself until the
    /// kernel lets it go; those behind it wait without a thread, so that the threads suffice for other paths.
    async fn files_at<T: Send + 'static>(
        &self,
        path: &Path,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, HostError> {
        self.in_turn(path.display().to_string(), self.on_host(path), work).await
    }

    /// Does the same at a path as this process sees it.
    async fn in_turn<T: Send + 'static>(
        &self,
        what: String,
        at: PathBuf,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, HostError> {
        let turn = self.turn(&at);
        let at_work = Arc::clone(&self.at_work);
        let done = async move {
            let held = turn.lock_owned().await;
            let work = move || {
                let _held = held;
                let all = || at_work.lock().unwrap_or_else(PoisonError::into_inner);
                all().insert(at.clone(), Instant::now());
                let done = work(&at);
                all().remove(&at);
                done
            };
            tokio::task::spawn_blocking(work).await
        };
        Self::within(what, done).await
    }

    fn turn(&self, path: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = turns.get(path).and_then(Weak::upgrade).unwrap_or_default();
        turns.insert(path.to_owned(), Arc::downgrade(&turn));
        turn
    }

    async fn within<T>(
        what: String,
        work: impl Future<Output = Result<io::Result<T>, tokio::task::JoinError>>,
    ) -> Result<T, HostError> {
        match tokio::time::timeout(FILES, work).await {
            Err(_) => Err(HostError {
                kind: HostErrorKind::TimedOut,
                message: format!("{what}: no answer within {} s", FILES.as_secs()),
            }),
            Ok(Err(error)) => Err(HostError::failed(format!("{what}: {error}"))),
            Ok(Ok(Err(error))) => {
                let is_busy = error.kind() == io::ErrorKind::ResourceBusy;
                let kind = if is_busy { HostErrorKind::Busy } else { HostErrorKind::Failed };
                Err(HostError { kind, message: format!("{what}: {error}") })
            }
            Ok(Ok(Ok(value))) => Ok(value),
        }
    }

    fn mounts(&self) -> Result<Vec<crate::node::decide::Mount>, HostError> {
        let path = self.proc.join("1/mountinfo");
        let text = fs::read_to_string(&path)
            .map_err(|error| HostError::failed(format!("{}: {error}", path.display())))?;
        let with_errors = self.sysfs.with_errors();
        let mut mounts = mounts(&text);
        for mount in &mut mounts {
            mount.errors = with_errors.contains(&mount.number);
        }
        Ok(mounts)
    }

    /// Whether multipathd runs, by its socket.
    fn has_multipathd(&self) -> bool {
        word(self.proc.join("1/net/unix")).is_some_and(|text| text.contains("multipathd"))
    }

    /// Returns the process in whose namespaces iscsiadm has to run: the host's iscsid, or else process 1.
    fn iscsid(&self) -> u32 {
        iscsid::find(&self.proc).unwrap_or(1)
    }

    async fn run(
        &self,
        deadline: Duration,
        program: &str,
        arguments: &[&str],
    ) -> Result<ProgramOutput, HostError> {
        let is_iscsi = program == "iscsiadm";
        let pid = if is_iscsi { self.iscsid() } else { 1 };
        self.programs.run(pid, deadline, program, arguments).await
    }

    /// Runs a program that has to succeed.
    async fn run_checked(
        &self,
        deadline: Duration,
        program: &str,
        arguments: &[&str],
    ) -> Result<ProgramOutput, HostError> {
        let printed = self.run(deadline, program, arguments).await?;
        if printed.code == 0 { Ok(printed) } else { Err(printed.failed(program)) }
    }
}

fn on(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[async_trait]
impl Host for LinuxHost {
    async fn view(&self, query: &HostQuery) -> Result<HostView, HostError> {
        let mounts = self.mounts()?;
        let mounted = |mount: &&crate::node::decide::Mount| {
            Some(&mount.path) == query.staging.as_ref() || Some(&mount.path) == query.path.as_ref()
        };
        let numbers: BTreeSet<_> =
            mounts.iter().filter(mounted).map(|mount| mount.number).collect();
        let sessions = self.sysfs.sessions(query);
        let disks = self.sysfs.disks(query, &sessions, &numbers);
        let maps = self.sysfs.maps(query, &disks, &numbers);
        let staged = self.staged().await?;
        let (own, others) =
            staged.into_iter().partition(|state| Some(&state.staging) == query.staging.as_ref());
        let own: Vec<StagedVolume> = own;
        let connected = match query.transport {
            // A connection without a record counts as that of another: it stays. `Node::heal` reports the error.
            Some(BlockTransport::NvmeTcp) => self.connected().await.unwrap_or_default(),
            _ => Vec::new(),
        };
        let recorded = connected.into_iter().filter(|it| it.target == query.target).collect();
        // The mount point of a file system is not looked at: its device may not answer. What is mounted says enough.
        let is_mounted = |path: &Path| {
            mounts.iter().any(|mount| mount.path == path && mount.root == Path::new("/"))
        };
        let node = match &query.path {
            None => PathNode::Missing,
            Some(path) if is_mounted(path) => PathNode::Folder,
            Some(path) => self.files_at(path, |at| Ok(node_at(at))).await?,
        };
        Ok(HostView {
            sessions,
            disks,
            maps,
            multipath: self.has_multipathd(),
            mounts,
            state: own.into_iter().next(),
            others,
            recorded,
            node,
        })
    }

    async fn staged(&self) -> Result<Vec<StagedVolume>, HostError> {
        let states = self.states.clone();
        self.files("state files".to_owned(), move || states.all()).await
    }

    async fn connected(&self) -> Result<Vec<Connection>, HostError> {
        let folder = self.connections.clone();
        self.files("records of connections".to_owned(), move || folder.all()).await
    }

    async fn execute(
        &self,
        _: Option<&VolumeHandle>,
        effect: &Effect,
    ) -> Result<Outcome, HostError> {
        self.execute(effect).await
    }

    async fn usage(&self, path: &Path) -> Result<(Usage, Option<Usage>), HostError> {
        let node = self.files_at(path, |at| Ok(node_at(at))).await?;
        if let PathNode::Device(number) = node {
            let name = fs::read_link(self.sysfs.root.join(format!("dev/block/{number}")))
                .ok()
                .and_then(|link| Some(link.file_name()?.to_str()?.to_owned()));
            let total = name.and_then(|name| self.sysfs.size(&name));
            let total = total.ok_or_else(|| {
                HostError::failed(format!("{}: the device is gone", path.display()))
            })?;
            return Ok((Usage { total, ..Usage::default() }, None));
        }
        let read = |at: &Path| {
            // XFS reports its size also after the kernel has shut it down.
            fs::read_dir(at)?.next().transpose()?;
            Ok(rustix::fs::statvfs(at)?)
        };
        let stats = self.files_at(path, read).await?;
        let block = stats.f_frsize;
        let bytes = Usage {
            total: stats.f_blocks * block,
            used: stats.f_blocks.saturating_sub(stats.f_bfree) * block,
            available: stats.f_bavail * block,
        };
        let inodes = Usage {
            total: stats.f_files,
            used: stats.f_files.saturating_sub(stats.f_ffree),
            available: stats.f_favail,
        };
        Ok((bytes, (inodes.total > 0).then_some(inodes)))
    }

    async fn initiators(&self) -> Result<NodeId, HostError> {
        Ok(self.initiator_names())
    }

    fn hanging(&self) -> usize {
        let at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let paths = at_work.values().filter(|begun| begun.elapsed() > FILES).count();
        paths + self.programs.hanging()
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    async fn pause(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn requests_to_a_controller_that_is_away_fail_after_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let controller = folder.path().join("class/nvme/nvme0");
        fs::create_dir_all(&controller).expect("created");
        for name in ["fast_io_fail_tmo", "rescan_controller"] {
            fs::write(controller.join(name), "off\n").expect("written");
        }
        let root = folder.path().to_owned();
        let setup = LinuxSetup {
            sys: root.clone(),
            proc: root.clone(),
            root,
            kubelet: "/kubelet".into(),
            enter: None,
        };
        let host = LinuxHost::new(setup);
        let rescan = Effect::RescanController("nvme0".to_owned());
        host.execute(&rescan).await.expect("rescanned");
        assert_eq!(word(controller.join("fast_io_fail_tmo")).as_deref(), Some("30"));
        assert_eq!(word(controller.join("rescan_controller")).as_deref(), Some("1"));
        // Kernels before 5.11 have no such setting.
        fs::remove_file(controller.join("fast_io_fail_tmo")).expect("removed");
        host.execute(&rescan).await.expect("rescanned");
    }

    #[test]
    fn counted_errors_of_a_file_system_are_not_taken_for_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_owned();
        let file = |path: &str, text: &str| {
            fs::create_dir_all(root.join(path).parent().expect("a folder")).expect("created");
            fs::write(root.join(path), text).expect("written");
        };
        file(
            "1/mountinfo",
            "36 35 254:0 / /a rw - ext4 /dev/dm-0 rw\n37 35 254:1 / /b rw - ext4 /dev/dm-1 ro\n",
        );
        file("block/dm-0/dev", "254:0\n");
        file("fs/ext4/dm-0/errors_count", "6\n");
        let (sys, proc, kubelet) = (root.clone(), root.clone(), "/kubelet".into());
        let host = LinuxHost::new(LinuxSetup { sys, proc, root, kubelet, enter: None });
        let mounts = host.mounts().expect("read");
        let seen: Vec<_> = mounts.iter().map(|mount| (mount.errors, mount.aborted)).collect();
        assert_eq!(seen, [(true, false), (false, true)]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_operation_that_hangs_holds_one_thread_and_no_other_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_owned();
        let (sys, proc) = (root.join("sys"), root.join("proc"));
        let setup = LinuxSetup { sys, proc, root, kubelet: "/kubelet".into(), enter: None };
        let host = Arc::new(LinuxHost::new(setup));
        let (let_go, waits) = mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let first = Arc::clone(&host);
        let first = tokio::spawn(async move {
            let hang = move |_: &Path| {
                let _ = begun.send(());
                waits.recv().map_err(io::Error::other)
            };
            first.files_at(Path::new("/hangs"), hang).await
        });
        has_begun.await.expect("it has a thread");
        let ran = Arc::new(AtomicBool::new(false));
        let second = {
            let (host, ran) = (Arc::clone(&host), Arc::clone(&ran));
            let run = move |_: &Path| {
                ran.store(true, Ordering::SeqCst);
                Ok(())
            };
            tokio::spawn(async move { host.files_at(Path::new("/hangs"), run).await })
        };
        while host.turns.lock().expect("free").values().map(Weak::strong_count).sum::<usize>() < 2 {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            host.files_at(Path::new("/works"), |_| Ok(())).await.expect("another path");
        }
        assert!(!ran.load(Ordering::SeqCst), "it uses a second thread");
        let_go.send(()).expect("it waits");
        first.await.expect("it ends").expect("no error");
        second.await.expect("it ends").expect("no error");
        assert!(ran.load(Ordering::SeqCst));
    }
}
