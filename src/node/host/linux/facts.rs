//! What the host has: initiator names, daemons, programs, kubelet's folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::super::sysfs::{names, word};
use super::LinuxHost;
use super::actions::{INITIATOR_NAMES, QUERY_TIMEOUT};
use crate::contract::NodeId;
use crate::node::check::{HostFacts, KubeletFolder, MultipathFacts, PROGRAMS};

impl LinuxHost {
    /// Reads what a check needs.
    pub async fn facts(&self, kubelet: &Path) -> HostFacts {
        let has_multipathd = self.has_multipathd();
        let mut multipath = None;
        if has_multipathd
            && let Ok(printed) =
                self.run_checked(QUERY_TIMEOUT, "multipathd", &["show", "config"]).await
        {
            multipath = Some(configuration(&printed.out));
        }
        let mut programs = BTreeSet::new();
        for (program, _) in PROGRAMS {
            // Every program of the list prints something for `--help` or an unknown option, and does nothing.
            if self.run(QUERY_TIMEOUT, program, &["--help"]).await.is_ok() {
                programs.insert(program.to_owned());
            }
        }
        let native = word(self.sysfs.root.join("module/nvme_core/parameters/multipath"));
        let has_tcp = self.sysfs.root.join("module/nvme_tcp").exists();
        HostFacts {
            id: self.initiator_names(),
            has_iscsid: self.iscsid() != 1,
            has_multipathd,
            multipath,
            programs,
            native_nvme_multipath: native.filter(|_| has_tcp).map(|word| word == "Y"),
            kubelet: self.kubelet(kubelet),
        }
    }

    fn kubelet(&self, path: &Path) -> KubeletFolder {
        let at = self.on_host(path);
        let is_folder = fs::symlink_metadata(&at).is_ok_and(|metadata| metadata.is_dir());
        let text = fs::read_to_string(self.proc.join("1/mountinfo")).unwrap_or_default();
        KubeletFolder { path: path.to_owned(), is_folder, is_shared: is_shared(&text, path) }
    }

    /// Returns the names of the node's initiators, read where its daemons read them.
    pub(super) fn initiator_names(&self) -> NodeId {
        let root = self.root_of(self.iscsid());
        let iqn = INITIATOR_NAMES.iter().find_map(|path| {
            let text = word(root.join(path))?;
            let name = text.lines().find_map(|line| line.trim().strip_prefix("InitiatorName="))?;
            Some(name.trim().to_owned()).filter(|name| !name.is_empty())
        });
        let class = self.sysfs.root.join("class/fc_host");
        // Ports without a link reach no array, and an NVMe name without its module neither: an attacher that chose such an
        // initiator would connect a volume that never appears here. The array gets the names once, so a port that is
        // down belongs to them as long as another one is online: it brings its paths with its link.
        let ports = names(&class);
        let is_online =
            |name: &String| word(class.join(name).join("port_state")).as_deref() == Some("Online");
        let has_link = ports.iter().any(is_online);
        let has_tcp = self.sysfs.root.join("module/nvme_tcp").exists();
        let wwn = |name: String| {
            let text = word(class.join(name).join("port_name"))?;
            Some(text.trim_start_matches("0x").to_lowercase())
        };
        NodeId {
            node: String::new(),
            iqn,
            nqn: word(self.root.join("etc/nvme/hostnqn")).filter(|_| has_tcp),
            wwns: ports.into_iter().filter(|_| has_link).filter_map(wwn).collect(),
        }
    }
}

/// Returns whether the mount that contains a path is shared: an optional field of its line in mountinfo.
fn is_shared(mountinfo: &str, path: &Path) -> bool {
    let of_line = |line: &str| {
        let (own, _) = line.split_once(" - ")?;
        let mut fields = own.split(' ');
        let at = fields.nth(4)?.to_owned();
        let is_shared = fields.skip(1).any(|field| field.starts_with("shared:"));
        path.starts_with(&at).then_some((at.len(), is_shared))
    };
    mountinfo.lines().filter_map(of_line).max_by_key(|(length, _)| *length).is_some_and(|it| it.1)
}

/// Reads the configuration of multipathd: the defaults, and what differs for devices of the vendor PURE.
fn configuration(text: &str) -> MultipathFacts {
    let mut facts = MultipathFacts::default();
    let mut section = String::new();
    let mut is_pure = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_suffix('{') {
            name.trim().clone_into(&mut section);
            is_pure = false;
            continue;
        }
        let (key, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let value = value.trim().trim_matches('"').to_owned();
        match (section.as_str(), key) {
            ("device", "vendor") => is_pure = value.starts_with("PURE"),
            ("defaults", "find_multipaths") => facts.find_multipaths = value,
            ("defaults" | "overrides", "no_path_retry") => facts.no_path_retry = value,
            ("defaults" | "overrides", "user_friendly_names") => facts.user_friendly_names = value,
            ("device", "no_path_retry") if is_pure => facts.no_path_retry = value,
            ("device", "user_friendly_names") if is_pure => facts.user_friendly_names = value,
            _ => {}
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::super::LinuxSetup;
    use super::*;

    #[test]
    fn initiators_are_those_that_can_reach_an_array() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("created");
            fs::write(path, format!("{text}\n")).expect("written");
        };
        file("root/etc/nvme/hostnqn", "nqn.2014-08.org.nvmexpress:uuid:1");
        file("root/etc/iscsi/initiatorname.iscsi", "InitiatorName=iqn.1994-05.com.redhat:1");
        for (host, name, state) in
            [("host7", "0x2100000000000001", "Online"), ("host8", "0x2100000000000002", "Linkdown")]
        {
            file(&format!("sys/class/fc_host/{host}/port_name"), name);
            file(&format!("sys/class/fc_host/{host}/port_state"), state);
        }
        let [sys, proc, root] = ["sys", "proc", "root"].map(|name| folder.path().join(name));
        let setup = LinuxSetup { sys, proc, root, kubelet: "/kubelet".into(), enter: None };
        let host = LinuxHost::new(setup);
        let id = host.initiator_names();
        assert_eq!(id.iqn.as_deref(), Some("iqn.1994-05.com.redhat:1"));
        let both = ["2100000000000001", "2100000000000002"].map(str::to_owned);
        assert_eq!((id.nqn, id.wwns), (None, both.to_vec()));
        file("sys/class/fc_host/host7/port_state", "Linkdown");
        assert_eq!(host.initiator_names().wwns, Vec::<String>::new());
        file("sys/module/nvme_tcp/initstate", "live");
        let nqn = host.initiator_names().nqn;
        assert_eq!(nqn.as_deref(), Some("nqn.2014-08.org.nvmexpress:uuid:1"));
    }

    #[test]
    fn the_configuration_is_that_of_the_arrays_devices() {
        let text = "defaults {\n\tfind_multipaths \"off\"\n\tno_path_retry \"queue\"\n\tuser_friendly_names \"yes\"\n}\n\
                    devices {\n\tdevice {\n\t\tvendor \"IBM\"\n\t\tno_path_retry \"fail\"\n\t}\n\
                    \tdevice {\n\t\tvendor \"PURE\"\n\t\tproduct \"FlashArray\"\n\t\tno_path_retry 0\n\t}\n}\n";
        let facts = configuration(text);
        assert_eq!(facts.find_multipaths, "off");
        assert_eq!(facts.no_path_retry, "0");
        assert_eq!(facts.user_friendly_names, "yes");
    }

    #[test]
    fn a_folder_is_shared_as_the_mount_that_contains_it() {
        let text = "20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n30 20 8:2 / /var/lib/kubelet rw - ext4 /dev/sda2 rw\n";
        assert!(is_shared(text, Path::new("/var/lib/other")));
        assert!(!is_shared(text, Path::new("/var/lib/kubelet/pods")));
        assert!(!is_shared("", Path::new("/")));
    }
}
