//! The node service's real host, with a loop device, the programs of this machine, and namespaces of its own.
//!
//! Needs root, loop devices, `unshare` and e2fsprogs; without them it says so and passes.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::path::{Path, PathBuf};
use std::process::Command;

use pso_gen::node::decide::{
    Checked, Content, Device, DeviceNumber, Effect, HostError, HostErrorKind, HostQuery, Outcome,
    PathNode,
};
use pso_gen::node::host::{LinuxHost, LinuxSetup};
use pso_gen::node::{FsType, Host, VolumeHandle};

/// Set in the process that runs inside the namespaces: the loop device.
const INSIDE: &str = "PSO_GEN_NODE_HOST_DEVICE";
const SIZE: u64 = 64 << 20;

struct Loop(String);

impl Loop {
    fn of(file: &Path) -> Option<Self> {
        let output = Command::new("losetup").args(["-f", "--show"]).arg(file).output().ok()?;
        let name = String::from_utf8(output.stdout).ok()?;
        let name = name.trim().strip_prefix("/dev/")?.to_owned();
        Some(Self(name))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["-d", &format!("/dev/{}", self.0)]).status();
    }
}

#[test]
fn a_device_is_formatted_mounted_and_unmounted_by_the_hosts_programs() {
    if let Ok(name) = std::env::var(INSIDE) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(inside(&name));
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("device");
    std::fs::File::create(&file).and_then(|file| file.set_len(SIZE)).expect("a sparse file");
    let is_root = rustix::process::geteuid().is_root();
    let device = is_root.then(|| Loop::of(&file)).flatten();
    let has_unshare = Command::new("unshare").args(["-m", "-p", "-f", "true"]).status();
    let (Some(device), true) = (device, has_unshare.is_ok_and(|status| status.success())) else {
        eprintln!("SKIPPED: needs root, losetup and unshare");
        return;
    };
    let this = std::env::current_exe().expect("this program");
    let status = Command::new("unshare")
        .args(["-m", "-p", "-f", "--mount-proc"])
        .arg(this)
        .args(["--exact", "a_device_is_formatted_mounted_and_unmounted_by_the_hosts_programs"])
        .args(["--nocapture"])
        .env(INSIDE, &device.0)
        .status();
    assert!(status.expect("unshare").success());
}

async fn inside(name: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let host = LinuxHost::new(LinuxSetup {
        enter: Some(PathBuf::from(env!("CARGO_BIN_EXE_pso-gen"))),
        ..LinuxSetup::of_container(folder.path().join("kubelet"))
    });
    let numbers = std::fs::read_to_string(format!("/sys/block/{name}/dev")).expect("numbers");
    let (major, minor) = numbers.trim().split_once(':').expect("two numbers");
    let number = |text: &str| text.parse().expect("a number");
    let number = DeviceNumber { major: number(major), minor: number(minor) };
    let device = Device { name: name.to_owned(), number };
    let other = DeviceNumber { minor: number.minor + 1, ..number };
    let volume: VolumeHandle = "array/volume".parse().expect("a handle");
    let execute = async |effect: Effect| host.execute(Some(&volume), &effect).await;
    let fs_type = FsType::Ext4;

    let probe = Effect::Probe(device.clone());
    assert_eq!(execute(probe.clone()).await, Ok(Outcome::Content(Content::Zeros)));
    let mistaken = Device { number: other, ..device.clone() };
    execute(Effect::Probe(mistaken.clone())).await.expect_err("another device has the name now");
    let make =
        |device: &Device| Effect::MakeFileSystem { device: device.clone(), fs_type, again: false };
    execute(make(&mistaken)).await.expect_err("another device has the name now");
    apply_outcome(execute(make(&device)).await);
    assert_eq!(execute(probe.clone()).await, Ok(Outcome::Content(Content::FileSystem(fs_type))));
    let check = Effect::CheckFileSystem { device: device.clone(), fs_type };
    assert_eq!(execute(check).await, Ok(Outcome::Checked(Checked::Clean)));

    let [staging, pod, file] = ["staging", "pod", "file"].map(|name| folder.path().join(name));
    apply_outcome(execute(Effect::SealFolder(staging.clone())).await);
    std::fs::write(staging.join("lost"), "data").expect_err("it is sealed, also for root");
    let options = vec!["noatime".to_owned()];
    apply_outcome(
        execute(Effect::Mount { device: device.clone(), path: staging.clone(), fs_type, options })
            .await,
    );
    let busy = execute(probe).await.expect_err("it is in use");
    assert_eq!(busy.kind, HostErrorKind::Busy, "{busy}");
    apply_outcome(execute(Effect::ReadFolder(staging.clone())).await);
    apply_outcome(execute(Effect::TryToWrite(staging.clone())).await);
    let grow = Effect::ExpandFileSystem { device: device.clone(), path: staging.clone(), fs_type };
    apply_outcome(execute(grow).await);
    let read =
        Effect::ReadFileSystemSize { device: device.clone(), path: staging.clone(), fs_type };
    assert_eq!(execute(read).await, Ok(Outcome::Size(SIZE)));
    apply_outcome(execute(Effect::SealFolder(pod.clone())).await);
    let source = staging.clone();
    apply_outcome(execute(Effect::BindMount { source, path: pod.clone(), read_only: true }).await);
    execute(Effect::TryToWrite(pod.clone())).await.expect_err("it is read-only");
    apply_outcome(execute(Effect::CreateFile(file.clone())).await);
    apply_outcome(execute(Effect::BindDevice { device: device.clone(), path: file.clone() }).await);

    let subject = HostQuery {
        staging: Some(staging.clone()),
        path: Some(file.clone()),
        ..HostQuery::default()
    };
    let view = host.view(&subject).await.expect("a view");
    let top = |path: &Path| view.mounts_at(path).next_back().expect("a mount").clone();
    assert_eq!((top(&staging).number, top(&staging).read_only), (number, false));
    assert_eq!((top(&pod).number, top(&pod).read_only), (number, true));
    assert_eq!(view.node, PathNode::Device(number));
    let used = [&pod, &file].map(|path| path.display().to_string());
    assert_eq!(view.used_at(&device, &staging), used);
    assert!(host.usage(&staging).await.expect("usage").0.available > 0);
    assert_eq!(host.usage(&file).await.expect("a size").0.total, SIZE);

    for path in [&file, &pod, &staging] {
        for _ in 0..2 {
            apply_outcome(execute(Effect::Unmount { path: path.clone(), lazy: false }).await);
        }
        apply_outcome(execute(Effect::RemoveNode(path.clone())).await);
        assert!(!path.exists());
    }
    apply_outcome(execute(Effect::FlushBuffers(device)).await);
}

#[expect(clippy::needless_pass_by_value, reason = "it takes what an effect returns")]
fn apply_outcome(outcome: Result<Outcome, HostError>) {
    assert_eq!(outcome, Ok(Outcome::Done));
}
