//! Checks whether an existing volume can be imported for a claim: problems that a mount would show later, and harm to
//! clients that use the volume now. Pure; an import changes nothing on an array.

use super::persistent_volume::quantity;
use super::setup::{ClassSetup, Import, Setup};
use crate::contract::{ExportRule, NfsExport, NfsVersions, Volume};

/// Checks a volume for the import into a claim that requests `size` bytes.
///
/// # Errors
///
/// A text for events that starts with the problem of the volume.
pub fn check_import(
    volume: &Volume,
    class: &ClassSetup,
    setup: &Setup,
    size: u64,
) -> Result<(), String> {
    if volume.size == 0 {
        return Err("has no size: set one on the array, which is its limit then".to_owned());
    }
    if volume.size < size {
        let has = quantity(volume.size).0;
        return Err(format!("has {has}; ask for that, and expand the claim once it is bound"));
    }
    if volume.connections > 0 {
        return Err(format!(
            "is connected to {} hosts: end the pods that use it, and disconnect the hosts",
            volume.connections
        ));
    }
    let Some(served) = &volume.served else { return Ok(()) };
    let exports = class.exports.as_ref().unwrap_or(&setup.exports);
    check_served(served, class, exports)
}

fn check_served(
    served: &NfsExport,
    class: &ClassSetup,
    exports: &[ExportRule],
) -> Result<(), String> {
    let versions = class.nfs();
    let NfsVersions { v3, v4_1 } = served.nfs;
    let (version, is_served) = if versions.v3 { ("3", v3) } else { ("4.1", v4_1) };
    if !is_served {
        let has = match (v3, v4_1) {
            (true, true) => "with NFS 3 and 4.1",
            (true, false) => "with NFS 3 alone",
            (false, true) => "with NFS 4.1 alone",
            (false, false) => "without NFS",
        };
        let name = &class.name;
        return Err(format!(
            "is served {has}, and the class {name} mounts with NFS {version}: enable that on the array, or use a \
             class with another `nfsvers` in its `mountOptions`"
        ));
    }
    let writes = exports.iter().any(ExportRule::may_write);
    if !served.writable && writes {
        return Err(
            "cannot be written to: it is a replica; promote it, or import the original".to_owned()
        );
    }
    let Some(rules) = &served.rules else { return Ok(()) };
    match exports.iter().find(|rule| !rule.is_granted_by(rules)) {
        Some(rule) => Err(format!(
            "has no export rule that grants {rule}: add one on the array; its rules are {:?}",
            crate::sanitize::line(rules, crate::sanitize::LONGEST)
        )),
        None => Ok(()),
    }
}

/// Returns another claim for which the storage document imports the same volume, if there is one.
pub(super) fn other_claim<'s>(
    setup: &'s Setup,
    import: &Import,
    claim: (&str, &str),
) -> Option<&'s (String, String)> {
    let same = |(to, other): &(&(String, String), &Import)| {
        (to.0.as_str(), to.1.as_str()) != claim
            && other.array == import.array
            && other.volume == import.volume
    };
    setup.imports.iter().filter(same).map(|(to, _)| to).min()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::{Squash, VolumeName};

    fn class(options: &[&str]) -> ClassSetup {
        let class = json!({
            "metadata": {"name": "pure-file"}, "provisioner": "pso-gen.io/provisioner",
            "parameters": {"backend": "file"}, "mountOptions": options,
        });
        let class = serde_json::from_value(class).expect("typed");
        ClassSetup::read(&class).expect("ours").expect("a class")
    }

    fn served(v3: bool, v4_1: bool, rules: &str) -> Volume {
        let nfs = NfsVersions { v3, v4_1 };
        let served = NfsExport { nfs, rules: Some(rules.to_owned()), writable: true };
        Volume { size: 2 << 30, served: Some(served), ..Volume::default() }
    }

    fn checked(volume: &Volume, options: &[&str]) -> Result<(), String> {
        let network = ExportRule::new("10.20.0.0/16", false, Squash::None).expect("a rule");
        let setup = Setup { exports: vec![network], ..Setup::of("prod") };
        check_import(volume, &class(options), &setup, 1 << 30)
    }

    #[test]
    fn a_file_system_must_be_served_as_it_is_mounted() {
        let all = "*(rw,no_root_squash)";
        for (v3, v4_1, options, accepted) in [
            (true, false, &["nfsvers=4.1", "hard"][..], false),
            (true, false, &["nfsvers=3"], true),
            (false, true, &["vers=3"], false),
            (true, true, &["nfsvers=4.1"], true),
            (false, false, &["nfsvers=4.1"], false),
            (true, false, &[], false),
        ] {
            let steps = checked(&served(v3, v4_1, all), options);
            assert_eq!(steps.is_ok(), accepted, "{v3} {v4_1} {options:?}: {steps:?}");
        }
        let why = checked(&served(true, false, all), &["nfsvers=4.1"]).expect_err("refused");
        assert!(
            why.starts_with("is served with NFS 3 alone, and the class pure-file mounts"),
            "{why}"
        );
    }

    #[test]
    fn every_node_must_be_let_in() {
        for (rules, accepted) in [
            ("*(rw,no_root_squash)", true),
            ("10.0.0.0/8(rw)", true),
            ("10.20.0.0/16(no_root_squash,rw,secure)", true),
            ("10.20.0.5(rw) 10.20.0.0/16(rw)", true),
            ("10.20.0.0/16(ro,no_root_squash)", false),
            ("10.20.1.0/24(rw,no_root_squash)", false),
            ("10.20.0.5(rw)", false),
            ("", false),
        ] {
            let steps = checked(&served(false, true, rules), &["nfsvers=4.1"]);
            assert_eq!(steps.is_ok(), accepted, "{rules:?}: {steps:?}");
        }
        // The rules of an export policy are unknown here.
        let mut by_policy = served(false, true, "");
        by_policy.served.as_mut().expect("served").rules = None;
        assert_eq!(checked(&by_policy, &[]), Ok(()));
        by_policy.served.as_mut().expect("served").writable = false;
        assert!(checked(&by_policy, &[]).expect_err("refused").contains("promote it"));
    }

    #[test]
    fn size_and_use_are_looked_at() {
        let steps = |volume: Volume| checked(&volume, &[]).expect_err("refused");
        let small = Volume { size: 1 << 29, ..Volume::default() };
        assert!(steps(small).starts_with("has 512Mi; ask for that"));
        assert!(steps(Volume::default()).starts_with("has no size"));
        let used = Volume { size: 2 << 30, connections: 2, ..Volume::default() };
        assert!(steps(used).starts_with("is connected to 2 hosts"));
        let block = Volume { size: 1 << 30, ..Volume::default() };
        assert_eq!(checked(&block, &[]), Ok(()));
    }

    #[test]
    fn a_volume_is_imported_for_one_claim() {
        let import = |volume: &str| Import {
            array: "fb1".to_owned(),
            volume: VolumeName::new(volume).expect("a name"),
        };
        let mut setup = Setup::of("prod");
        let claim = |name: &str| ("files".to_owned(), name.to_owned());
        setup.imports.insert(claim("one"), import("old"));
        setup.imports.insert(claim("other"), import("new"));
        assert_eq!(other_claim(&setup, &import("old"), ("files", "one")), None);
        setup.imports.insert(claim("two"), import("OLD"));
        assert_eq!(other_claim(&setup, &import("old"), ("files", "one")), Some(&claim("two")));
    }
}
