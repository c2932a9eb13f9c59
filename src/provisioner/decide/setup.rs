//! The configuration from the storage document, the StorageClasses, and the state of the arrays at one moment. Decides
//! nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::api::storage::v1::StorageClass;

use crate::contract::ArrayKind;
use crate::contract::PROVISIONER;
use crate::contract::SnapshotPolicy;
use crate::contract::parameter;
use crate::contract::{Capacity, ExportRule, NfsVersions, Qos, Transport, VolumeName};

/// The parts of the storage document on which decisions depend.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The cluster's name, the prefix of the name of every volume.
    pub cluster: String,
    /// The cluster's identity, and those of the clusters that it has taken over; empty if unknown.
    pub identities: Vec<String>,
    /// Identities of removed clusters whose registrations on the arrays this cluster takes over.
    pub takes_over: Vec<String>,
    /// The default export rules of file systems: the networks of the nodes.
    pub exports: Vec<ExportRule>,
    /// The component that binds claims.
    pub binding: Binding,
    /// Volumes to import, by namespace and name of their claims.
    pub imports: HashMap<(String, String), Import>,
    /// The classes that the storage document defines, when the API server holds the provisioner to those; none when
    /// it may serve each class that names it.
    pub classes: Option<BTreeSet<String>>,
    /// Whether the cluster has VolumeSnapshots of block volumes, by the CSI services of the storage document.
    pub snapshots: bool,
    /// Whether external-resizer serves the VolumeAttributesClasses of bound claims.
    pub attributes: bool,
}

impl Setup {
    /// Returns the configuration of a storage document that has only the cluster's name.
    pub fn of(cluster: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
            identities: Vec::new(),
            takes_over: Vec::new(),
            exports: Vec::new(),
            binding: Binding::Direct,
            imports: HashMap::new(),
            classes: None,
            snapshots: false,
            attributes: false,
        }
    }

    /// Reads a class. None when it is another provisioner's; an error is for the events of its claims.
    pub fn read(&self, class: &StorageClass) -> Option<Result<ClassSetup, String>> {
        let read = ClassSetup::read(class)?;
        let name = class.metadata.name.as_deref().unwrap_or_default();
        if self.classes.as_ref().is_some_and(|classes| !classes.contains(name)) {
            return Some(Err(format!(
                "the storage document does not define the class {name}, and the provisioner serves only classes that it defines; add the class under `spec.classes`, or name another class"
            )));
        }
        Some(read)
    }
}

/// A volume to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The array that has it.
    pub array: String,
    /// Its name.
    pub volume: VolumeName,
}

/// The component that binds a claim to its PersistentVolume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// The provisioner, once kube-controller-manager knows the PersistentVolume; or kube-controller-manager, if that is
    /// faster.
    Direct,
    /// kube-controller-manager only.
    Controller,
}

/// The state of an array.
#[derive(Debug, Clone)]
pub struct ArrayState {
    /// The array's name in the storage document.
    pub name: String,
    /// The kind of array.
    pub kind: ArrayKind,
    /// The array's traits from the storage document, for placement.
    pub traits: ArrayTraits,
    /// Whether the array answers.
    pub health: Health,
}

/// The traits of an array from the storage document.
#[derive(Debug, Clone, Default)]
pub struct ArrayTraits {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Labels of the nodes that reach it; empty if all nodes do.
    pub topology: BTreeMap<String, String>,
    /// The address from which file systems are mounted, instead of the one that the array reports.
    pub data: Option<String>,
    /// Namespace and name of the Secret that kubelet passes to the node service with each of its volumes.
    pub stage_secret: Option<(String, String)>,
}

/// Whether an array answers.
#[derive(Debug, Clone)]
pub enum Health {
    /// It answers.
    Up {
        /// Its id.
        id: String,
        /// Its capacity.
        capacity: Capacity,
        /// The addresses or ports of its volumes.
        transport: Transport,
    },
    /// It does not; the text is the reason.
    Down(String),
}

/// The settings of a StorageClass of the provisioner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassSetup {
    /// Its name.
    pub name: String,
    /// The kind of array that its volumes are on.
    pub kind: ArrayKind,
    /// File system of block volumes.
    pub file_system: Option<String>,
    /// Mount options.
    pub mount_options: Vec<String>,
    /// The policy for a volume whose claim is deleted, `Delete` or `Retain`.
    pub reclaim_policy: String,
    /// Whether a claim waits for its first pod.
    pub waits: bool,
    /// Labels that its arrays must have.
    pub arrays: BTreeMap<String, String>,
    /// Allowed topologies, any of these: for each label, its values. Empty without restriction.
    pub topologies: Vec<BTreeMap<String, Vec<String>>>,
    /// Export rules of its file systems, instead of the networks of the nodes.
    pub exports: Option<Vec<ExportRule>>,
    /// Limits of its block volumes.
    pub qos: Qos,
    /// The snapshot policy of its volumes.
    pub snapshots: SnapshotPolicy,
    /// Whether a claim's own schedule replaces `snapshots` instead of adding to it.
    pub claims_may_reduce: bool,
}

impl ClassSetup {
    /// Parses a class. None if it has another provisioner; an error is a text for the events of its claims.
    pub fn read(class: &StorageClass) -> Option<Result<Self, String>> {
        (class.provisioner == PROVISIONER).then(|| Self::ours(class))
    }

    fn ours(class: &StorageClass) -> Result<Self, String> {
        let none = BTreeMap::new();
        let parameters = class.parameters.as_ref().unwrap_or(&none);
        let name = class.metadata.name.clone().unwrap_or_default();
        let kind = match parameters.get(parameter::BACKEND).map(String::as_str) {
            Some(parameter::FILE) => ArrayKind::FlashBlade,
            Some(parameter::BLOCK) => ArrayKind::FlashArray,
            Some(other) => {
                return Err(format!("class {name}: backend is {other:?}, not file or block"));
            }
            None => return Err(format!("class {name} has no parameter backend (file or block)")),
        };
        let reclaim_policy = class.reclaim_policy.clone().unwrap_or_else(|| "Delete".to_owned());
        if !["Delete", "Retain"].contains(&reclaim_policy.as_str()) {
            return Err(format!("class {name}: reclaim policy is {reclaim_policy}"));
        }
        let arrays = parameters.get(parameter::ARRAYS).map(String::as_str).unwrap_or_default();
        let arrays = labels(arrays).ok_or_else(|| {
            format!("class {name}: arrays is {arrays:?}, not KEY=VALUE,KEY=VALUE")
        })?;
        let snapshots = match parameters.get(parameter::SNAPSHOTS) {
            Some(text) => SnapshotPolicy::parse(text)
                .map_err(|why| format!("class {name}: {}: {why}", parameter::SNAPSHOTS))?,
            None => SnapshotPolicy::Never,
        };
        let claims_may_reduce =
            match parameters.get(parameter::CLAIMS_MAY_REDUCE_SNAPSHOTS).map(String::as_str) {
                None | Some("false") => false,
                Some("true") => true,
                Some(other) => {
                    return Err(format!(
                        "class {name}: {} is {other:?}, not true or false",
                        parameter::CLAIMS_MAY_REDUCE_SNAPSHOTS
                    ));
                }
            };
        let exports = match parameters.get(parameter::EXPORT_RULES) {
            Some(text) => Some(ExportRule::parse(text).ok_or_else(|| {
                format!(
                    "class {name}: {} is {text:?}, not CLIENTS(rw,no_root_squash) …",
                    parameter::EXPORT_RULES
                )
            })?),
            None => None,
        };
        let mut rules = exports.iter().flatten();
        if let Some(rule) = rules.find(|rule: &&ExportRule| rule.is_for_all_clients()) {
            return Err(format!(
                "class {name}: {} lets every machine mount by {rule}; name the networks of the nodes",
                parameter::EXPORT_RULES
            ));
        }
        let limit = |key: &str| match parameters.get(key) {
            Some(text) => text.parse().map(Some).map_err(|_| {
                format!("class {name}: {key} is {text:?}, which is not a number per second")
            }),
            None => Ok(None),
        };
        let qos = Qos { bandwidth: limit(parameter::BANDWIDTH)?, iops: limit(parameter::IOPS)? };
        Ok(Self {
            name,
            kind,
            arrays,
            topologies: topologies(class),
            exports,
            qos,
            file_system: parameters.get("csi.storage.k8s.io/fstype").cloned(),
            mount_options: class.mount_options.clone().unwrap_or_default(),
            reclaim_policy,
            waits: class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"),
            snapshots,
            claims_may_reduce,
        })
    }

    /// Returns whether the class allows volumes on an array, by the nodes that reach it.
    pub(super) fn allows(&self, array: &ArrayTraits) -> bool {
        let allows = |term: &BTreeMap<String, Vec<String>>| {
            term.iter().all(|(key, values)| {
                array.topology.get(key).is_none_or(|value| values.contains(value))
            })
        };
        self.topologies.is_empty() || self.topologies.iter().any(allows)
    }

    /// Returns the same class for an imported volume, which is always kept.
    pub(super) fn keeping(&self) -> Self {
        Self { reclaim_policy: "Retain".to_owned(), ..self.clone() }
    }

    /// Returns the NFS version of the mount options: a file system is exported only with that version.
    pub(super) fn nfs(&self) -> NfsVersions {
        let option =
            |name: &str| self.mount_options.iter().find_map(|option| option.strip_prefix(name));
        let version = option("nfsvers=").or_else(|| option("vers="));
        let v3 = version.is_some_and(|version| version.starts_with('3'));
        NfsVersions { v3, v4_1: !v3 }
    }
}

/// Returns a class's `allowedTopologies`.
fn topologies(class: &StorageClass) -> Vec<BTreeMap<String, Vec<String>>> {
    let terms = class.allowed_topologies.iter().flatten();
    let labels = terms.map(|term| {
        let all = term.match_label_expressions.iter().flatten();
        all.map(|label| (label.key.clone(), label.values.clone())).collect()
    });
    labels.collect()
}

/// Parses `KEY=VALUE,KEY=VALUE`.
fn labels(text: &str) -> Option<BTreeMap<String, String>> {
    let words = text.split(',').filter(|word| !word.is_empty());
    let pair = |word: &str| word.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    words.map(pair).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn class(snapshots: &str) -> StorageClass {
        let parameters = [("backend", "file"), (parameter::SNAPSHOTS, snapshots)];
        let parameters = parameters.map(|(key, value)| (key.to_owned(), value.to_owned()));
        StorageClass {
            metadata: ObjectMeta { name: Some("pure-file".to_owned()), ..ObjectMeta::default() },
            provisioner: PROVISIONER.to_owned(),
            parameters: Some(parameters.into()),
            ..StorageClass::default()
        }
    }

    #[test]
    fn a_class_that_the_storage_document_does_not_define_is_refused_where_policies_refuse_it() {
        let mut setup = Setup::of("prod");
        let by_hand = class("never");
        assert!(setup.read(&by_hand).expect("ours").is_ok(), "there are no policies");
        setup.classes = Some(["gold".to_owned()].into());
        let why = setup.read(&by_hand).expect("ours").expect_err("not in the document");
        assert!(
            why.starts_with("the storage document does not define the class pure-file"),
            "{why}"
        );
        let mut defined = by_hand.clone();
        defined.metadata.name = Some("gold".to_owned());
        assert!(setup.read(&defined).expect("ours").is_ok());
        let foreign = StorageClass { provisioner: "example.com/other".to_owned(), ..by_hand };
        assert!(setup.read(&foreign).is_none());
    }

    #[test]
    fn a_class_says_who_may_mount_and_what_a_volume_is_limited_to() {
        let read = |parameters: &[(&str, &str)]| {
            let mut class = class("never");
            let more =
                parameters.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            class.parameters.get_or_insert_default().extend(more);
            ClassSetup::read(&class).expect("ours")
        };
        let bare = read(&[]).expect("a class");
        assert_eq!((bare.exports, bare.qos), (None, Qos::default()));
        let rules = "10.20.0.0/16(rw,no_root_squash) 10.30.0.0/16(ro,root_squash)";
        let whole = read(&[("exportRules", rules), ("bandwidth", "1048576"), ("iops", "100")]);
        let whole = whole.expect("a class");
        assert_eq!(whole.exports.map(|rules| ExportRule::text(&rules)).as_deref(), Some(rules));
        assert_eq!(whole.qos, Qos { bandwidth: Some(1 << 20), iops: Some(100) });
        let open = read(&[("exportRules", "10.20.0.0/16(rw,no_root_squash) *(rw,no_root_squash)")]);
        assert!(open.expect_err("wrong").contains("every machine mount by *(rw,no_root_squash)"));
        for (key, value) in [("exportRules", "*"), ("bandwidth", "1Mi"), ("iops", "-1")] {
            let wrong = read(&[(key, value)]).expect_err("wrong");
            assert!(wrong.starts_with(&format!("class pure-file: {key} is")), "{wrong}");
        }
    }

    #[test]
    fn a_class_says_when_snapshots_are_taken() {
        let read = |class: &StorageClass| ClassSetup::read(class).expect("ours");
        let snapshots = read(&class("every 6h, keep 28")).map(|class| class.snapshots.to_string());
        assert_eq!(snapshots, Ok("every 6h, keep 28".to_owned()));
        for (text, may) in [("true", Ok(true)), ("false", Ok(false)), ("yes", Err(()))] {
            let mut class = class("every 6h, keep 28");
            let parameters = class.parameters.get_or_insert_default();
            parameters.insert(parameter::CLAIMS_MAY_REDUCE_SNAPSHOTS.to_owned(), text.to_owned());
            assert_eq!(read(&class).map(|class| class.claims_may_reduce).map_err(|_| ()), may);
        }
        assert_eq!(
            read(&class("every 6h, keep 28")).map(|class| class.claims_may_reduce),
            Ok(false)
        );
        let wrong = read(&class("daily")).expect_err("no schedule");
        assert!(wrong.starts_with("class pure-file: snapshots: expected `every 6h"), "{wrong}");
        let mut without = class("");
        without.parameters.get_or_insert_default().remove(parameter::SNAPSHOTS);
        assert_eq!(read(&without).map(|class| class.snapshots), Ok(SnapshotPolicy::Never));
    }
}
