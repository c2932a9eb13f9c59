//! Rules of the classes of a storage document: what each kind has, and what an array or a mount would refuse.

use crate::compiler::blueprint::{PURE_BLOCK, PURE_FILE};
use crate::compiler::diagnostic::{Code, Diagnostic, nearest};
use crate::compiler::yaml::Node;
use crate::contract::StorageSpec;
use crate::contract::storage::{ArrayType, BaseClass, ClassSpec};
use crate::sanitize::quoted;

/// Most and least bytes per second that a FlashArray limits a volume to.
/// Source: the official REST 2.56 document, `qos.bandwidth_limit`.
const BANDWIDTH: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 39;

/// Mount options that a class may have besides those that follow from its other fields. Whoever may write
/// any option could weaken what others rely on.
/// <https://man7.org/linux/man-pages/man5/nfs.5.html>
const NFS_OPTIONS: &str = "ac acdirmax acdirmin acl acregmax acregmin actimeo async bg cto fg fsc hard local_lock lock \
    lookupcache max_connect mountport mountproto mountvers nconnect noac noacl noatime nocto nodev \
    nodiratime noexec nofsc nolock nordirplus noresvport nosharecache nosuid port proto rdirplus \
    relatime resvport retrans retry ro rsize rw sec sharecache soft softerr softreval sync tcp timeo \
    trunkdiscovery wsize xprtsec";
/// <https://man7.org/linux/man-pages/man8/mount.8.html>, with those of XFS and ext4.
const BLOCK_OPTIONS: &str = "allocsize async auto_da_alloc barrier commit data dirsync discard errors grpid inode32 inode64 \
    journal_checksum largeio lazytime logbsize logbufs noalign noatime nobarrier nodev nodiratime \
    nodiscard noexec nogrpid nolargeio nosuid relatime ro rw stripe sunit swalloc swidth sync";

/// Returns whether a block class may have a mount option.
pub fn is_block_option(option: &str) -> bool {
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    BLOCK_OPTIONS.split(' ').any(|each| each == name) && !option.contains([',', ' '])
}

/// Returns whether a file class may have a mount option besides its version.
pub fn is_file_option(option: &str) -> bool {
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    NFS_OPTIONS.split(' ').any(|each| each == name) && !option.contains([',', ' '])
}

/// Returns what is wrong with the classes.
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

/// One class, and where it is written.
struct Of<'c> {
    name: &'c str,
    class: &'c ClassSpec,
    node: &'c Node,
}

impl Of<'_> {
    fn wrong(&self, path: &[&str], message: String, fix: impl Into<String>) -> Diagnostic {
        let whole: Vec<&str> =
            ["spec", "classes", self.name].into_iter().chain(path.iter().copied()).collect();
        let place = self.node.place_of(whole.iter().copied());
        let at = super::written(&whole);
        Diagnostic::new(Code::BadValue, place, message).at(at).fix(fix)
    }

    /// Which of the two it is, or is like.
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
            format!("the class {} says neither that it is for files nor for blocks", self.name);
        Diagnostic::new(Code::MissingField, place, message)
            .at(format!("spec.classes.{}.like", self.name))
            .fix("write `like: pure-file` or `like: pure-block`")
    }

    /// Fields of the other kind of class.
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
        let strange = fields.into_iter().filter(|(_, there, of)| *there && *of != base);
        let mut found: Vec<Diagnostic> = strange
            .map(|(field, _, _)| {
                let message =
                    format!("{field} is for {other} classes, and {} is for {own}s", self.name);
                self.wrong(&[field], message, "leave it out")
            })
            .collect();
        if self.class.like.is_some_and(|like| like != base) {
            let message = format!("{} is always for {own}s", self.name);
            let fix = "give a class that is like the other one a name of its own";
            found.push(self.wrong(&["like"], message, fix));
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
                let message = format!("{option} is what `nfs` says");
                found.push(self.wrong(
                    &path,
                    message,
                    "write `nfs: \"3\"` or `nfs: \"4.1\"` at the class",
                ));
            } else if !known.split(' ').any(|each| each == name) || option.contains([',', ' ']) {
                let message =
                    format!("{option} is no mount option of such a class", option = quoted(option));
                let fix = match nearest(name, known.split(' ')) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("write one of: {known}"),
                };
                found.push(self.wrong(&path, message, fix));
            }
        }
        found
    }

    fn qos(&self) -> Vec<Diagnostic> {
        let Some(qos) = &self.class.qos else { return Vec::new() };
        if qos.bandwidth.is_none() && qos.iops.is_none() {
            let message = "limits `bandwidth`, `iops` or both".to_owned();
            return vec![self.wrong(
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
                self.wrong(
                    &["qos", "bandwidth"],
                    message,
                    "write a number of bytes per second, such as `500Mi`",
                )
            })
            .collect()
    }
}

/// Whether more than one class is that of claims that name none.
/// <https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass>
fn one_default(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut defaults = spec.classes.iter().filter(|(_, class)| class.default);
    let Some((first, _)) = defaults.next() else { return Vec::new() };
    let further = defaults.map(|(name, class)| {
        let message =
            format!("{first} is the default class already; claims would get whichever is newer");
        Of { name, class, node }.wrong(&["default"], message, "leave one of them out")
    });
    further.collect()
}

/// Whether the file systems of the classes can be mounted by anybody.
fn somebody_mounts(spec: &StorageSpec, node: &Node) -> Option<Diagnostic> {
    let has_files = spec.arrays.iter().any(|array| array.r#type == ArrayType::FlashBlade);
    let of_file =
        |name: &str| spec.classes.get(name).is_none_or(|class| class.export_rules.is_empty());
    (spec.nodes.is_empty() && has_files && of_file(PURE_FILE)).then(|| {
        let place = node.place_of(["spec"]);
        let message =
            "nobody could mount a file system: neither `nodes` nor `exportRules` says who may";
        Diagnostic::new(Code::MissingField, place, message)
            .at("spec.nodes")
            .fix("write the networks of the cluster's nodes: `nodes: [10.20.0.0/16]`")
    })
}
