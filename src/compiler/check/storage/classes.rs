//! Rules of the classes in a storage document: fields of each type, and values that an array or a mount would
//! refuse.

use crate::compiler::blueprint::{PURE_BLOCK, PURE_FILE};
use crate::compiler::diagnostic::{Code, Diagnostic, nearest};
use crate::compiler::yaml::Node;
use crate::contract::StorageSpec;
use crate::contract::storage::{ArrayType, BaseClass, ClassSpec};
use crate::sanitize::quoted;

/// Smallest and largest bandwidth limit of a FlashArray volume, in bytes per second. Source: the official REST
/// 2.56 document, `qos.bandwidth_limit`.
const BANDWIDTH: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 39;

/// Mount options that a class may set, in addition to those that its other fields set. The list is closed,
/// because some options would weaken guarantees that other programs rely on.
/// <https://man7.org/linux/man-pages/man5/nfs.5.html>
const NFS_OPTIONS: &str = "ac acdirmax acdirmin acl acregmax acregmin actimeo async bg cto fg fsc hard local_lock lock \
    lookupcache max_connect mountport mountproto mountvers nconnect noac noacl noatime nocto nodev \
    nodiratime noexec nofsc nolock nordirplus noresvport nosharecache nosuid port proto rdirplus \
    relatime resvport retrans retry ro rsize rw sec sharecache soft softerr softreval sync tcp timeo \
    trunkdiscovery wsize xprtsec";
/// <https://man7.org/linux/man-pages/man8/mount.8.html>, and the options of XFS and ext4.
const BLOCK_OPTIONS: &str = "allocsize async auto_da_alloc barrier commit data dirsync discard errors grpid inode32 inode64 \
    journal_checksum largeio lazytime logbsize logbufs noalign noatime nobarrier nodev nodiratime \
    nodiscard noexec nogrpid nolargeio nosuid relatime ro rw stripe sunit swalloc swidth sync";

/// Returns whether a block class may set a mount option.
pub fn is_block_option(option: &str) -> bool {
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    BLOCK_OPTIONS.split(' ').any(|each| each == name) && !option.contains([',', ' '])
}

/// Returns whether a file class may set a mount option, besides the NFS version.
pub fn is_file_option(option: &str) -> bool {
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    NFS_OPTIONS.split(' ').any(|each| each == name) && !option.contains([',', ' '])
}

/// Returns the errors of the classes.
pub(super) fn classes(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (name, class) in &spec.classes {
        let of = Of { name, class, node };
        let Some(base) = of.base() else {
            found.push(of.without_base());
            continue;
        };
        found.extend(of.kind(base));
        found.extend(of.mount_options(base));
        found.extend(of.qos());
    }
    found.extend(one_default(spec, node));
    found.extend(somebody_mounts(spec, node));
    found
}

/// A class and its place.
struct Of<'c> {
    name: &'c str,
    class: &'c ClassSpec,
    node: &'c Node,
}

impl Of<'_> {
    fn error(&self, path: &[&str], message: String, fix: impl Into<String>) -> Diagnostic {
        let whole: Vec<&str> =
            ["spec", "classes", self.name].into_iter().chain(path.iter().copied()).collect();
        let place = self.node.place_of(whole.iter().copied());
        let at = super::written(&whole);
        Diagnostic::new(Code::BadValue, place, message).at(at).fix(fix)
    }

    /// Returns the built-in class that this class is or is based on.
    fn base(&self) -> Option<BaseClass> {
        match self.name {
            PURE_FILE => Some(BaseClass::PureFile),
            PURE_BLOCK => Some(BaseClass::PureBlock),
            _ => self.class.like,
        }
    }

    fn without_base(&self) -> Diagnostic {
        let place = self.node.place_of(["spec", "classes", self.name]);
        let message =
            format!("the class {} needs `like: pure-file` or `like: pure-block`", self.name);
        Diagnostic::new(Code::MissingField, place, message)
            .at(format!("spec.classes.{}.like", self.name))
            .fix("write `like: pure-file` or `like: pure-block`")
    }

    /// Reports fields that belong to the other type of class.
    fn kind(&self, base: BaseClass) -> Vec<Diagnostic> {
        let class = self.class;
        let (own, other) = match base {
            BaseClass::PureFile => ("file", "block"),
            BaseClass::PureBlock => ("block", "file"),
        };
        let fields = [
            ("nfs", class.nfs.is_some(), BaseClass::PureFile),
            ("exportRules", !class.export_rules.is_empty(), BaseClass::PureFile),
            ("fileSystem", class.file_system.is_some(), BaseClass::PureBlock),
            ("qos", class.qos.is_some(), BaseClass::PureBlock),
        ];
        let strange = fields.into_iter().filter(|(_, present, of)| *present && *of != base);
        let mut found: Vec<Diagnostic> = strange
            .map(|(field, _, _)| {
                let message =
                    format!("{field} is for {other} classes, and {} is for {own}s", self.name);
                self.error(&[field], message, "remove it")
            })
            .collect();
        if self.class.like.is_some_and(|like| like != base) {
            let message = format!("{} is always a class for {own}s", self.name);
            let fix = "give the class another name";
            found.push(self.error(&["like"], message, fix));
        }
        found
    }

    fn mount_options(&self, base: BaseClass) -> Vec<Diagnostic> {
        let known = match base {
            BaseClass::PureFile => NFS_OPTIONS,
            BaseClass::PureBlock => BLOCK_OPTIONS,
        };
        let mut found = Vec::new();
        for (index, option) in self.class.mount_options.iter().enumerate() {
            let path = ["mountOptions", &index.to_string()];
            let name = option.split_once('=').map_or(option.as_str(), |(name, _)| name);
            if ["vers", "nfsvers", "minorversion"].contains(&name) && base == BaseClass::PureFile {
                let message = format!("{option} is set by `nfs`");
                found.push(self.error(
                    &path,
                    message,
                    "write `nfs: \"3\"` or `nfs: \"4.1\"` on the class",
                ));
            } else if !known.split(' ').any(|each| each == name) || option.contains([',', ' ']) {
                let message = format!(
                    "{option} is not a mount option of this type of class",
                    option = quoted(option)
                );
                let fix = match nearest(name, known.split(' ')) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("write one of: {known}"),
                };
                found.push(self.error(&path, message, fix));
            }
        }
        found
    }

    fn qos(&self) -> Vec<Diagnostic> {
        let Some(qos) = &self.class.qos else { return Vec::new() };
        if qos.bandwidth.is_none() && qos.iops.is_none() {
            let message = "`qos` needs `bandwidth`, `iops` or both".to_owned();
            return vec![self.error(
                &["qos"],
                message,
                "write `qos: {bandwidth: 500Mi, iops: 10000}`",
            )];
        }
        let bandwidth = qos.bandwidth.iter().filter(|limit| !BANDWIDTH.contains(&limit.bytes()));
        bandwidth
            .map(|limit| {
                let message =
                    format!("expected `1Mi` to `512Gi` a second, found `{}`", limit.text());
                self.error(
                    &["qos", "bandwidth"],
                    message,
                    "write a number of bytes per second, such as `500Mi`",
                )
            })
            .collect()
    }
}

/// Checks that at most one class is the default class.
/// <https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass>
fn one_default(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut defaults = spec.classes.iter().filter(|(_, class)| class.default);
    let Some((first, _)) = defaults.next() else { return Vec::new() };
    let further = defaults.map(|(name, class)| {
        let message = format!("{first} is also the default class; claims would get the newer one");
        Of { name, class, node }.error(&["default"], message, "remove `default` from one of them")
    });
    further.collect()
}

/// Checks that at least one client can mount the file systems of the classes.
fn somebody_mounts(spec: &StorageSpec, node: &Node) -> Option<Diagnostic> {
    let has_files = spec.arrays.iter().any(|array| array.r#type == ArrayType::FlashBlade);
    let of_file =
        |name: &str| spec.classes.get(name).is_none_or(|class| class.export_rules.is_empty());
    (spec.nodes.is_empty() && has_files && of_file(PURE_FILE)).then(|| {
        let place = node.place_of(["spec"]);
        let message =
            "no machine could mount a file system: `nodes` and `exportRules` are both empty";
        Diagnostic::new(Code::MissingField, place, message)
            .at("spec.nodes")
            .fix("write the networks of the cluster's nodes: `nodes: [10.20.0.0/16]`")
    })
}
