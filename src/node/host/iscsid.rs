//! Finds the host's iscsid among all processes of the node, in whose namespaces iscsiadm has to run.
//!
//! Every process chooses its own name, also one in the pod of a tenant. iscsiadm runs as root in the namespaces that are
//! found here, and the records of ports hold passwords: a process counts only if it is a daemon of the host. Knows no
//! portals and no records.

use std::fs;
use std::path::{Path, PathBuf};

use super::sysfs::{names, word};

/// Returns the process id of the host's iscsid; none if it does not run. One in the mount namespace of process 1 comes
/// first.
pub(super) fn find(proc: &Path) -> Option<u32> {
    let all = names(proc).into_iter().filter_map(|name| name.parse::<u32>().ok());
    let is_elsewhere = |pid: &u32| !shares(proc, *pid, "mnt");
    all.filter(|pid| is_of_host(proc, *pid)).min_by_key(|pid| (is_elsewhere(pid), *pid))
}

/// Returns whether a process is an iscsid of the host: root, in the network and user namespaces of process 1, and in no
/// container of kubelet. iscsid talks to the kernel through a socket that only the host's network namespace has, and on
/// Talos it has a mount namespace of its own.
/// <https://github.com/torvalds/linux/blob/v6.12/drivers/scsi/scsi_transport_iscsi.c#L1627>
pub(super) fn is_of_host(proc: &Path, pid: u32) -> bool {
    let of = |name: &str| proc.join(pid.to_string()).join(name);
    word(of("comm")).as_deref() == Some("iscsid")
        && ["net", "user"].iter().all(|name| shares(proc, pid, name))
        && word(of("status")).is_some_and(|status| is_root(&status))
        && fs::read_to_string(of("cgroup")).is_ok_and(|cgroup| !is_of_pod(&cgroup))
}

/// Returns whether `/proc/PID/cgroup` is that of a container of kubelet: `kubepods.slice/kubepods-pod….slice/…`, or
/// `kubepods/burstable/pod…/…` without systemd. The node service may see the path from its own control group on, as
/// `/../../pod…/…`. The file is empty on a host that has no control groups mounted.
/// <https://github.com/kubernetes/kubernetes/blob/v1.33.0/pkg/kubelet/cm/cgroup_manager_linux.go>
fn is_of_pod(cgroup: &str) -> bool {
    cgroup.lines().any(|line| {
        line.split('/').any(|part| part.starts_with("kubepods") || part.starts_with("pod"))
    })
}

/// Returns whether a process is in the same namespace as process 1.
fn shares(proc: &Path, pid: u32, name: &str) -> bool {
    let namespace = |pid: u32| -> Option<PathBuf> {
        fs::read_link(proc.join(pid.to_string()).join("ns").join(name)).ok()
    };
    namespace(pid).is_some_and(|own| Some(own) == namespace(1))
}

/// Returns whether all user ids in `/proc/PID/status` are 0.
fn is_root(status: &str) -> bool {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.is_some_and(|ids| ids.split_whitespace().all(|id| id == "0"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const SYSTEM: &str = "0::/system.slice/iscsid.service\n";

    struct Process<'p> {
        pid: u32,
        comm: &'p str,
        uid: u32,
        mnt: &'p str,
        net: &'p str,
        user: &'p str,
        cgroup: &'p str,
    }

    const DAEMON: Process<'_> = Process {
        pid: 700,
        comm: "iscsid",
        uid: 0,
        mnt: "mnt:[1]",
        net: "net:[1]",
        user: "user:[1]",
        cgroup: SYSTEM,
    };

    fn proc(processes: &[Process<'_>]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let init = Process { pid: 1, comm: "systemd", cgroup: "0::/init.scope\n", ..DAEMON };
        for process in std::iter::once(&init).chain(processes) {
            let own = folder.path().join(process.pid.to_string());
            fs::create_dir_all(own.join("ns")).expect("created");
            for (name, target) in
                [("mnt", process.mnt), ("net", process.net), ("user", process.user)]
            {
                symlink(target, own.join("ns").join(name)).expect("linked");
            }
            let uid = process.uid;
            let files = [
                ("comm", format!("{}\n", process.comm)),
                ("cgroup", process.cgroup.to_owned()),
                ("status", format!("Name:\t{}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n", process.comm)),
            ];
            for (name, text) in files {
                fs::write(own.join(name), text).expect("written");
            }
        }
        folder
    }

    #[test]
    fn a_process_of_a_pod_that_calls_itself_iscsid_does_not_count() {
        let pods = "0::/kubepods.slice/kubepods-besteffort.slice/cri-containerd-1.scope\n";
        let forged = [
            Process { pid: 20, net: "net:[9]", mnt: "mnt:[9]", cgroup: pods, ..DAEMON },
            Process { pid: 21, user: "user:[9]", mnt: "mnt:[9]", ..DAEMON },
            Process { pid: 22, uid: 1000, ..DAEMON },
            // A pod with hostNetwork.
            Process { pid: 23, mnt: "mnt:[9]", cgroup: pods, ..DAEMON },
            // The same without systemd, and seen from the node service's own control group.
            Process { pid: 24, mnt: "mnt:[9]", cgroup: "0::/../../pod5c2d/1f\n", ..DAEMON },
        ];
        assert_eq!(
            find(proc(&forged).path()),
            None,
            "iscsiadm then runs in process 1's namespaces"
        );
        let mut with_daemon: Vec<_> = forged.into();
        with_daemon.push(DAEMON);
        assert_eq!(find(proc(&with_daemon).path()), Some(700));
    }

    #[test]
    fn the_daemon_of_an_extension_has_a_mount_namespace_of_its_own() {
        let talos =
            Process { pid: 300, mnt: "mnt:[5]", cgroup: "0::/system/ext-iscsid\n", ..DAEMON };
        assert_eq!(find(proc(&[talos]).path()), Some(300));
        let talos =
            Process { pid: 300, mnt: "mnt:[5]", cgroup: "0::/system/ext-iscsid\n", ..DAEMON };
        assert_eq!(find(proc(&[talos, DAEMON]).path()), Some(700), "the host's own comes first");
    }

    #[test]
    fn a_host_without_control_groups_has_a_daemon_too() {
        assert_eq!(find(proc(&[Process { cgroup: "", ..DAEMON }]).path()), Some(700));
    }

    #[test]
    fn a_process_that_has_ended_or_cannot_be_read_does_not_count() {
        let folder = proc(&[DAEMON]);
        fs::remove_file(folder.path().join("700/ns/net")).expect("removed");
        assert_eq!(find(folder.path()), None);
        assert!(!is_of_host(folder.path(), 701));
    }
}
