//! What a host lacks for block volumes, found before the first volume: `pso-gen node check`. Decides from facts that
//! the host has read; knows neither files nor programs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::contract::{BlockTransport, NodeId};

/// What was read from a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostFacts {
    /// The names of its initiators.
    pub id: NodeId,
    /// Whether iscsid runs.
    pub has_iscsid: bool,
    /// Whether multipathd runs.
    pub has_multipathd: bool,
    /// The configuration that multipathd uses (`multipathd show config`), for devices of the vendor PURE where it
    /// differs; none if it cannot be read.
    pub multipath: Option<MultipathFacts>,
    /// The programs that were found, of [`PROGRAMS`].
    pub programs: BTreeSet<String>,
    /// Whether the kernel combines the paths of NVMe devices; none if its module is not loaded.
    pub native_nvme_multipath: Option<bool>,
    /// Kubelet's folder.
    pub kubelet: KubeletFolder,
}

/// multipathd's configuration, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MultipathFacts {
    /// `find_multipaths`.
    pub find_multipaths: String,
    /// `no_path_retry` for the arrays.
    pub no_path_retry: String,
    /// `user_friendly_names`.
    pub user_friendly_names: String,
}

/// Kubelet's folder on a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KubeletFolder {
    /// Its path.
    pub path: PathBuf,
    /// Whether it is a folder, and no symbolic link.
    pub is_folder: bool,
    /// Whether its file system is mounted as shared, so that mounts reach the pods.
    pub is_shared: bool,
}

/// The programs that the node service calls, and the packages that contain them.
pub const PROGRAMS: [(&str, &str); 14] = [
    ("mount", "mount or util-linux"),
    ("umount", "mount or util-linux"),
    ("blockdev", "util-linux"),
    ("mkfs.ext4", "e2fsprogs"),
    ("fsck.ext4", "e2fsprogs"),
    ("resize2fs", "e2fsprogs"),
    ("dumpe2fs", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_growfs", "xfsprogs"),
    ("iscsiadm", "open-iscsi or iscsi-initiator-utils"),
    ("multipath", "multipath-tools or device-mapper-multipath"),
    ("multipathd", "multipath-tools or device-mapper-multipath"),
    ("dmsetup", "dmsetup or device-mapper"),
    ("nvme", "nvme-cli"),
];

/// Initiator names of images and examples. Nodes that were cloned from one image have one name, and an array takes
/// them for one host.
const WELL_KNOWN: [&str; 4] = [
    "iqn.1993-08.org.debian:01:",
    "iqn.1994-05.com.redhat:",
    "iqn.2016-04.com.open-iscsi:",
    "iqn.1996-04.de.suse:01:",
];

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Volumes cannot be used.
    Error,
    /// Volumes can be used, with a risk or a restriction.
    Warning,
}

/// What a host lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub gravity: Severity,
    /// What was found.
    pub cause: String,
    /// What the admin can do.
    pub remedy: String,
}

fn finding(gravity: Severity, cause: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { gravity, cause: cause.into(), remedy: remedy.into() }
}

/// Returns what a host lacks for some transports.
pub fn check(facts: &HostFacts, transports: &BTreeSet<BlockTransport>) -> Vec<Finding> {
    let mut found = Vec::new();
    kubelet(facts, &mut found);
    programs(facts, transports, &mut found);
    if transports.contains(&BlockTransport::Iscsi) {
        iscsi(facts, &mut found);
    }
    if transports.iter().any(|it| *it != BlockTransport::NvmeTcp) {
        multipath(facts, &mut found);
    }
    if transports.contains(&BlockTransport::NvmeTcp) {
        nvme(facts, &mut found);
    }
    if transports.contains(&BlockTransport::FibreChannel) && facts.id.wwns.is_empty() {
        found.push(finding(
            Severity::Error,
            "the node has no Fibre Channel port that is online",
            "check the host bus adapter, its driver and its link: no port below /sys/class/fc_host has the state \
             Online; or choose another transport",
        ));
    }
    found.sort_by_key(|finding| finding.gravity);
    found
}

fn kubelet(facts: &HostFacts, found: &mut Vec<Finding>) {
    let KubeletFolder { path, is_folder, is_shared } = &facts.kubelet;
    if !is_folder {
        found.push(finding(
            Severity::Error,
            format!("{} is no folder of this host, or a symbolic link", path.display()),
            "set the folder that kubelet runs with (`--root-dir`), by its real path, in the storage document",
        ));
    } else if !is_shared {
        found.push(finding(
            Severity::Error,
            format!(
                "the mount that contains {} is private, so that pods would not see volumes",
                path.display()
            ),
            "run `mount --make-rshared /` at the boot of the host; systemd does so by itself",
        ));
    }
}

fn programs(facts: &HostFacts, transports: &BTreeSet<BlockTransport>, found: &mut Vec<Finding>) {
    let is_needed = |program: &str| match program {
        "iscsiadm" => transports.contains(&BlockTransport::Iscsi),
        "nvme" => transports.contains(&BlockTransport::NvmeTcp),
        "multipath" | "multipathd" | "dmsetup" => facts.has_multipathd,
        _ => true,
    };
    for (program, package) in PROGRAMS {
        if is_needed(program) && !facts.programs.contains(program) {
            found.push(finding(
                Severity::Error,
                format!("the program {program} is missing on the host"),
                format!("install the package {package}, or the extension of the operating system that contains it"),
            ));
        }
    }
}

fn iscsi(facts: &HostFacts, found: &mut Vec<Finding>) {
    if !facts.has_iscsid {
        found.push(finding(
            Severity::Error,
            "iscsid does not run",
            "run `systemctl enable --now iscsid` on the host; on Talos, add the extension iscsi-tools",
        ));
    }
    match &facts.id.iqn {
        None => found.push(finding(
            Severity::Error,
            "the host has no initiator name: /etc/iscsi/initiatorname.iscsi is missing or empty",
            "run `echo \"InitiatorName=$(iscsi-iname)\" > /etc/iscsi/initiatorname.iscsi` and restart iscsid",
        )),
        Some(name) if is_of_an_image(name) => found.push(finding(
            Severity::Warning,
            format!("the initiator name {name} looks like that of an image: cloned nodes would share it"),
            "give each node a name of its own with `iscsi-iname` in /etc/iscsi/initiatorname.iscsi and restart iscsid",
        )),
        Some(_) => {}
    }
}

/// Generated names end in at least eight different-looking hexadecimal digits.
fn is_of_an_image(name: &str) -> bool {
    let unique = WELL_KNOWN.iter().find_map(|prefix| name.strip_prefix(prefix));
    let Some(unique) = unique else { return false };
    let kinds: BTreeSet<char> = unique.chars().collect();
    unique.len() < 8 || kinds.len() < 4 || !unique.chars().all(|c| c.is_ascii_hexdigit())
}

fn multipath(facts: &HostFacts, found: &mut Vec<Finding>) {
    if !facts.has_multipathd {
        found.push(finding(
            Severity::Warning,
            "multipathd does not run: a volume uses one path, and an interrupted path interrupts its pods",
            "install multipath-tools (device-mapper-multipath) and run `systemctl enable --now multipathd`",
        ));
        return;
    }
    let Some(MultipathFacts { find_multipaths, no_path_retry, user_friendly_names }) =
        &facts.multipath
    else {
        found.push(finding(
            Severity::Warning,
            "the configuration of multipathd cannot be read",
            "check that `multipathd show config` works on the host",
        ));
        return;
    };
    // With `strict`, multipathd creates a map for each WWID that it knows, and the node service makes it known.
    if ["yes", "on", "smart"].contains(&find_multipaths.as_str()) {
        found.push(finding(
            Severity::Warning,
            format!("find_multipaths is {find_multipaths}: multipathd waits for a second path before it creates a map"),
            "set `find_multipaths no` in the section `defaults` of /etc/multipath.conf and run `multipathd reconfigure`",
        ));
    }
    if no_path_retry == "queue" {
        found.push(finding(
            Severity::Error,
            "no_path_retry is queue for the array's devices: a volume without a path would hang its pods and the node",
            "set `no_path_retry 0` for vendor PURE in /etc/multipath/conf.d and run `multipathd reconfigure`",
        ));
    }
    if user_friendly_names == "yes" {
        found.push(finding(
            Severity::Warning,
            "user_friendly_names is yes: maps are named mpatha, and names differ from node to node",
            "set `user_friendly_names no` for vendor PURE in /etc/multipath/conf.d and run `multipathd reconfigure`",
        ));
    }
}

fn nvme(facts: &HostFacts, found: &mut Vec<Finding>) {
    // Without its module the name is not reported at all.
    if facts.id.nqn.is_none() && facts.native_nvme_multipath.is_some() {
        found.push(finding(
            Severity::Error,
            "the host has no NVMe host name: /etc/nvme/hostnqn is missing or empty",
            "run `nvme gen-hostnqn > /etc/nvme/hostnqn` on the host",
        ));
    }
    match facts.native_nvme_multipath {
        Some(true) => {}
        Some(false) => found.push(finding(
            Severity::Error,
            "the kernel does not combine the paths of NVMe devices: a volume would appear once for each path",
            "add `nvme_core.multipath=Y` to the kernel's command line and boot",
        )),
        None => found.push(finding(
            Severity::Error,
            "the kernel module nvme-tcp is not loaded",
            "run `modprobe nvme-tcp` and add the module to /etc/modules-load.d",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> HostFacts {
        HostFacts {
            id: NodeId {
                node: "n1".to_owned(),
                iqn: Some("iqn.1994-05.com.redhat:1a2b3c4d5e".to_owned()),
                nqn: Some("nqn.2014-08.org.nvmexpress:uuid:1".to_owned()),
                wwns: vec!["21000024ff3dfa1c".to_owned()],
            },
            has_iscsid: true,
            has_multipathd: true,
            multipath: Some(MultipathFacts {
                find_multipaths: "no".to_owned(),
                no_path_retry: "0".to_owned(),
                user_friendly_names: "no".to_owned(),
            }),
            programs: PROGRAMS.iter().map(|(program, _)| (*program).to_owned()).collect(),
            native_nvme_multipath: Some(true),
            kubelet: KubeletFolder {
                path: PathBuf::from("/var/lib/kubelet"),
                is_folder: true,
                is_shared: true,
            },
        }
    }

    fn causes(facts: &HostFacts) -> Vec<String> {
        let found = check(facts, &BTreeSet::from(BlockTransport::ALL));
        found.into_iter().map(|finding| finding.cause).collect()
    }

    #[test]
    fn a_host_that_has_everything_has_no_finding() {
        let mut facts = complete();
        for find_multipaths in ["no", "off", "greedy", "strict"] {
            let multipath = facts.multipath.as_mut().expect("multipathd runs");
            find_multipaths.clone_into(&mut multipath.find_multipaths);
            assert_eq!(causes(&facts), Vec::<String>::new(), "{find_multipaths}");
        }
    }

    #[test]
    fn each_thing_that_is_missing_is_found_alone() {
        type Change = fn(&mut HostFacts);
        let cases: [(Change, &str); 14] = [
            (|facts| facts.has_iscsid = false, "iscsid does not run"),
            (|facts| facts.id.iqn = None, "no initiator name"),
            (
                |facts| facts.id.iqn = Some("iqn.1993-08.org.debian:01:00000000".to_owned()),
                "of an image",
            ),
            (|facts| facts.id.iqn = Some("iqn.1994-05.com.redhat:node".to_owned()), "of an image"),
            (|facts| facts.has_multipathd = false, "multipathd does not run"),
            (|facts| facts.multipath = None, "cannot be read"),
            (
                |facts| set(facts, |it| it.find_multipaths = "smart".to_owned()),
                "find_multipaths is smart",
            ),
            (
                |facts| set(facts, |it| it.no_path_retry = "queue".to_owned()),
                "no_path_retry is queue",
            ),
            (|facts| set(facts, |it| it.user_friendly_names = "yes".to_owned()), "mpatha"),
            (|facts| facts.id.nqn = None, "no NVMe host name"),
            (|facts| facts.native_nvme_multipath = Some(false), "once for each path"),
            (|facts| facts.native_nvme_multipath = None, "nvme-tcp is not loaded"),
            (|facts| facts.kubelet.is_folder = false, "is no folder"),
            (|facts| facts.kubelet.is_shared = false, "is private"),
        ];
        for (change, expected) in cases {
            let mut facts = complete();
            change(&mut facts);
            let causes = causes(&facts);
            assert_eq!(causes.len(), 1, "{causes:?}");
            assert!(causes[0].contains(expected), "{causes:?}");
        }
        for (program, _) in PROGRAMS {
            let mut facts = complete();
            facts.programs.remove(program);
            assert_eq!(causes(&facts), [format!("the program {program} is missing on the host")]);
        }
    }

    fn set(facts: &mut HostFacts, change: fn(&mut MultipathFacts)) {
        facts.multipath.iter_mut().for_each(change);
    }

    #[test]
    fn only_what_the_transports_need_is_asked_for() {
        let mut facts = complete();
        facts.has_iscsid = false;
        facts.programs.remove("iscsiadm");
        facts.id.wwns.clear();
        facts.has_multipathd = false;
        assert_eq!(check(&facts, &BTreeSet::from([BlockTransport::NvmeTcp])), []);
    }
}
