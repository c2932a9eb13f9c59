//! Calls that run at the same time: one volume's calls exclude each other, and a device that hangs holds up no other
//! volume.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pso_gen::contract::{BlockTransport, ChapSecret, NodeId};
use pso_gen::node::decide::{
    Connection, Effect, HostError, HostQuery, HostView, Outcome, StagedVolume,
};
use pso_gen::node::{
    Access, FsType, Host, Node, NodeErrorKind, NodeService, NodeSetup, StageRequest, Usage,
    VolumeHandle, VolumeMode,
};

use tokio::sync::Semaphore;

use super::host::SimulatedHost;
use super::lab::{Lab, handle, staging, target};

/// A host on which each effect lets other calls go first, and some effects on one volume do not end by themselves.
#[derive(Debug)]
struct Hanging {
    host: SimulatedHost,
    volume: VolumeHandle,
    hangs: fn(&Effect) -> bool,
    /// One permit for each of these effects that may end.
    may_end: Arc<Semaphore>,
}

#[async_trait]
impl Host for Hanging {
    async fn view(&self, query: &HostQuery) -> Result<HostView, HostError> {
        self.host.view(query).await
    }

    async fn staged(&self) -> Result<Vec<StagedVolume>, HostError> {
        self.host.staged().await
    }

    async fn connected(&self) -> Result<Vec<Connection>, HostError> {
        self.host.connected().await
    }

    async fn execute(
        &self,
        volume: Option<&VolumeHandle>,
        effect: &Effect,
    ) -> Result<Outcome, HostError> {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        if (self.hangs)(effect) && volume == Some(&self.volume) {
            self.may_end.acquire().await.expect("never closed").forget();
        }
        self.host.execute(volume, effect).await
    }

    async fn usage(&self, path: &Path) -> Result<(Usage, Option<Usage>), HostError> {
        self.host.usage(path).await
    }

    async fn initiators(&self) -> Result<NodeId, HostError> {
        self.host.initiators().await
    }

    fn hanging(&self) -> usize {
        1
    }

    fn now(&self) -> Duration {
        self.host.now()
    }

    async fn pause(&self, duration: Duration) {
        tokio::task::yield_now().await;
        self.host.pause(duration).await;
    }
}

fn request(lab: &Lab, name: &str) -> StageRequest {
    StageRequest {
        handle: handle(name),
        staging: staging(name),
        mode: VolumeMode::FileSystem {
            fs_type: FsType::Ext4,
            mount_options: Vec::new(),
            group: None,
        },
        attachment: lab.attachment(name),
        access: Access::SingleNodeWriter,
        passwords: ChapSecret::default(),
    }
}

fn lab(names: &[&str]) -> Lab {
    let lab = Lab::iscsi();
    for name in names {
        lab.create(name);
        lab.connect(name);
    }
    lab
}

fn node(lab: &Lab, hangs: &str) -> Node<Hanging> {
    node_that_hangs(lab, hangs, |effect| matches!(effect, Effect::Probe(_))).0
}

fn node_that_hangs(
    lab: &Lab,
    volume: &str,
    hangs: fn(&Effect) -> bool,
) -> (Node<Hanging>, Arc<Semaphore>) {
    let may_end = Arc::new(Semaphore::new(0));
    let (host, volume) = (lab.host.clone(), handle(volume));
    let host = Hanging { host, volume, hangs, may_end: Arc::clone(&may_end) };
    (Node::new(host, Arc::new(lab.host.clone()), NodeSetup::default()), may_end)
}

/// Lets other tasks go first a number of times.
async fn turns(number: usize) {
    for _ in 0..number {
        tokio::task::yield_now().await;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

#[test]
fn fault_08_a_device_that_hangs_holds_up_no_other_volume() {
    let lab = lab(&["hangs", "works"]);
    let node = Arc::new(node(&lab, "hangs"));
    runtime().block_on(async {
        let first = {
            let (node, request) = (Arc::clone(&node), request(&lab, "hangs"));
            tokio::spawn(async move { node.stage(request).await })
        };
        turns(200).await;
        let again = tokio::select! {
            biased;
            again = node.stage(request(&lab, "hangs")) => again.expect_err("it is busy"),
            () = turns(1000) => panic!("it waits for the first call"),
        };
        assert_eq!(again.kind, NodeErrorKind::Aborted);
        node.stage(request(&lab, "works")).await.expect("staged");
        assert!(!first.is_finished());
        first.abort();
    });
}

#[test]
fn fault_14_volumes_that_arrive_together_share_one_session_for_each_portal() {
    let names = ["a", "b", "c", "d"];
    let lab = lab(&names);
    let node = Arc::new(node(&lab, "none"));
    runtime().block_on(async {
        let requests = names.map(|name| request(&lab, name));
        let calls = requests.map(|request| {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.stage(request).await })
        });
        // The model stops at a second session to one portal.
        for call in calls {
            call.await.expect("it ends").expect("staged");
        }
        assert_eq!(lab.kernel().sessions.len(), 2);
        // They leave together, while another one arrives.
        let calls = ["a", "b", "c"].map(|name| {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.unstage(&handle(name), &staging(name)).await })
        });
        for call in calls {
            call.await.expect("it ends").expect("unstaged");
        }
        assert_eq!(lab.kernel().sessions.len(), 2);
        node.unstage(&handle("d"), &staging("d")).await.expect("unstaged");
    });
    lab.must_be_empty();
}

#[test]
fn fault_08_one_dead_port_holds_up_all_volumes_once() {
    for transport in [BlockTransport::Iscsi, BlockTransport::NvmeTcp] {
        let names = ["a", "b", "c", "d"];
        let mut lab = Lab::new(transport, true);
        lab.create("first");
        lab.kernel().portals.values_mut().next().expect("a portal").is_up = false;
        lab.start("first");
        for name in names {
            lab.create(name);
            lab.connect(name);
        }
        lab.faults(|faults| faults.slow_log_in = true);
        let begun = lab.kernel().time;
        let node = Arc::new(node(&lab, "none"));
        runtime().block_on(async {
            let requests = names.map(|name| request(&lab, name));
            let calls = requests.map(|request| {
                let node = Arc::clone(&node);
                tokio::spawn(async move { node.stage(request).await })
            });
            for call in calls {
                call.await.expect("it ends").expect("staged");
            }
        });
        // One log-in takes 60 s of the model's time.
        let taken = lab.kernel().time.saturating_sub(begun);
        assert!(taken < Duration::from_secs(120), "{taken:?}");
        // Healing tries the dead port for one of the volumes.
        let log_ins =
            |lab: &Lab| lab.kernel().trace.iter().filter(|step| step.contains(" LogIn {")).count();
        let before = log_ins(&lab);
        lab.heal();
        assert_eq!(log_ins(&lab), before + 1);
    }
}

#[test]
fn a_call_goes_on_when_its_caller_hangs_up() {
    let lab = lab(&["data"]);
    let node = node(&lab, "none");
    runtime().block_on(async {
        tokio::select! {
            biased;
            _ = node.stage(request(&lab, "data")) => panic!("it takes longer"),
            () = tokio::task::yield_now() => {}
        }
        turns(500).await;
        assert_eq!(lab.kernel().mounts.len(), 1);
    });
}

#[test]
fn fault_08_what_hangs_is_reported_also_if_the_volumes_are_unknown() {
    let lab = lab(&["data"]);
    let node = node(&lab, "none");
    runtime().block_on(async {
        node.stage(request(&lab, "data")).await.expect("staged");
        let report = node.report().await;
        assert_eq!((report.volumes.map(|volumes| volumes.len()), report.hanging), (Ok(1), 1));
        // The host does not answer this process any more.
        lab.kernel().life += 1;
        let report = node.report().await;
        report.volumes.expect_err("no answer");
        assert_eq!(report.hanging, 1);
    });
}

/// A look reads what the host has of all volumes.
#[test]
fn healing_looks_once_at_a_volume_that_lacks_nothing() {
    let names = ["a", "b", "c"];
    let mut lab = lab(&names);
    for name in names {
        lab.start(name);
    }
    let before = lab.kernel().views;
    let effects = lab.kernel().effects;
    lab.heal();
    let kernel = lab.kernel();
    assert_eq!(kernel.effects - effects, 6, "each disk is asked");
    assert_eq!(kernel.views - before, 3);
}

/// What changes the host is decided from a look that is newer than the questions before it.
#[test]
fn healing_looks_again_before_it_removes_a_disk() {
    let mut lab = lab(&["data"]);
    lab.start("data");
    lab.disconnect("data");
    lab.create("other");
    lab.connect("other");
    let before = lab.kernel().views;
    let effects = lab.kernel().trace.len();
    lab.heal();
    let kernel = lab.kernel();
    let steps = &kernel.trace[effects..];
    let count = |name: &str| steps.iter().filter(|step| step.contains(name)).count();
    assert_eq!((count(" Inquire {"), count(" DeleteDisk {")), (4, 2), "{steps:?}");
    // One before each of the four changes, and one before each row of questions.
    assert_eq!((count(" Scan("), kernel.views - before), (2, 7), "{steps:?}");
}

/// A call for a volume that is being healed waits for the effect under way, and healing goes no further.
#[test]
fn fault_08_a_call_waits_for_healing_of_its_volume_and_is_not_refused() {
    let mut lab = lab(&["data"]);
    lab.kernel().portals.values_mut().next().expect("a port").is_up = false;
    lab.start("data");
    lab.kernel().portals.values_mut().next().expect("a port").is_up = true;
    let (node, may_end) =
        node_that_hangs(&lab, "data", |effect| matches!(effect, Effect::Inquire { .. }));
    let node = Arc::new(node);
    runtime().block_on(async {
        let healing = {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.heal().await })
        };
        turns(200).await;
        let call = {
            let node = Arc::clone(&node);
            tokio::spawn(
                async move { node.unpublish(&handle("data"), &target("data", "pod")).await },
            )
        };
        turns(200).await;
        assert!(!healing.is_finished() && !call.is_finished());
        let before = lab.kernel().trace.len();
        // One effect ends. The call is next, before healing asks the other disk.
        may_end.add_permits(1);
        call.await.expect("it ends").expect("not refused");
        healing.await.expect("it ends").expect("healed");
        let steps = lab.kernel().trace[before..].to_vec();
        let at = |name: &str| steps.iter().position(|step| step.contains(name));
        assert!(at("Unmount").is_some(), "{steps:?}");
        assert_eq!(at("LogIn"), None, "{steps:?}");
        // Nothing waits any more, and healing goes on where it was.
        may_end.add_permits(9);
        assert_eq!(node.heal().await.expect("healed"), Vec::new());
        assert_eq!(lab.kernel().sessions.len(), 2);
    });
}

/// A log-in to a dead port takes a minute.
#[test]
fn fault_08_a_call_does_not_wait_for_the_log_in_of_healing() {
    for transport in [BlockTransport::Iscsi, BlockTransport::NvmeTcp] {
        let mut lab = Lab::new(transport, true);
        lab.create("data");
        lab.kernel().portals.values_mut().next().expect("a port").is_up = false;
        lab.start("data");
        let (node, may_end) =
            node_that_hangs(&lab, "data", |effect| matches!(effect, Effect::LogIn { .. }));
        let node = Arc::new(node);
        runtime().block_on(async {
            let healing = {
                let node = Arc::clone(&node);
                tokio::spawn(async move { node.heal().await })
            };
            turns(500).await;
            assert!(!healing.is_finished());
            let (volume, target) = (handle("data"), target("data", "pod"));
            tokio::select! {
                biased;
                done = node.unpublish(&volume, &target) => done.expect("not refused"),
                () = turns(1000) => panic!("it waits for the log-in"),
            }
            // The end of the sessions waits for the log-in: otherwise one could come after it and stay.
            let unstage = {
                let node = Arc::clone(&node);
                tokio::spawn(async move { node.unstage(&handle("data"), &staging("data")).await })
            };
            turns(1000).await;
            assert!(!unstage.is_finished());
            lab.kernel().portals.values_mut().next().expect("a port").is_up = true;
            may_end.add_permits(9);
            unstage.await.expect("it ends").expect("unstaged");
            healing.await.expect("it ends").expect("healed");
        });
        lab.disconnect("data");
        lab.must_be_empty();
    }
}
