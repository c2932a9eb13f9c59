//! Converts values of the chart, or `pure.json`, into arrays and classes.

mod arrays;
mod classes;

pub(super) use classes::{export_rules, options};

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value as Json};

use super::ImportOptions;
use super::keys::{OF_ITSELF, READ, lost, unknown};
use crate::compiler::blueprint::PURE_FILE;
use crate::compiler::check::LONGEST_CLUSTER;
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::spec::Format;
use crate::compiler::yaml::Node;
use crate::contract::storage::ArrayType;

/// Cluster name that PSO 5 used as prefix of all names by default.
const DEFAULT_PREFIX: &str = "k8s";
/// Suffix for the cluster's name where the old name could be used as it is.
const SUFFIX: &str = "-gen";
/// The contents of the old file.
#[derive(Debug, Default)]
pub struct OldConfig {
    /// Name of the cluster.
    pub cluster: String,
    /// Prefix of the names of PSO's volumes on arrays, before `-pvc-`.
    pub prefix: Option<String>,
    /// Prefix of the names of Portworx's volumes.
    pub portworx_prefix: Option<String>,
    /// The arrays.
    pub arrays: Vec<OldArray>,
    /// Fields that differ from the defaults, for each of the two classes.
    pub classes: Map<String, Json>,
    /// Keys that configure the deployment of the old driver.
    pub of_itself: Vec<String>,
}

/// One array.
#[derive(Debug)]
pub struct OldArray {
    /// Its name, which is also its key in the Secret.
    pub name: String,
    /// Its kind.
    pub kind: ArrayType,
    /// Address of its management interface.
    pub management: String,
    /// Address that nodes mount from.
    pub data: Option<String>,
    /// All addresses that nodes have mounted from.
    pub data_addresses: Vec<String>,
    /// Labels for placement.
    pub labels: BTreeMap<String, String>,
    /// Labels of the nodes that reach it.
    pub topology: BTreeMap<String, String>,
    token: SecretString,
}

impl OldArray {
    /// Returns its token.
    pub fn token(&self) -> &str {
        self.token.expose_secret()
    }
}

/// Reads the old file. If the diagnostics contain an error, the result is incomplete.
pub fn values(root: &Node, options: &ImportOptions) -> (OldConfig, Vec<Diagnostic>) {
    let mut reader = Reader { root, found: Vec::new() };
    let old = reader.old(options);
    (old, reader.found)
}

struct Reader<'v> {
    root: &'v Node,
    found: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn old(&mut self, options: &ImportOptions) -> OldConfig {
        let mut old = OldConfig::default();
        for entry in self.root.entries().unwrap_or_default() {
            let key = entry.key.as_str();
            // Heading in the output of `helm get values`.
            let heading = key.ends_with(" VALUES") && entry.value.is_null();
            if OF_ITSELF.contains(&key) {
                old.of_itself.push(key.to_owned());
            } else if !READ.contains(&key) && !heading {
                self.found.push(unknown(entry, key, &READ));
            }
        }
        old.prefix = options.prefix.clone().or_else(|| self.called().0.map(str::to_owned));
        old.portworx_prefix.clone_from(&options.prefix);
        old.cluster = self.cluster(options);
        self.further();
        self.classes(&mut old);
        self.arrays(&mut old);
        let files = old.arrays.iter().any(|array| array.kind == ArrayType::FlashBlade);
        let says =
            old.classes.get(PURE_FILE).is_some_and(|class| class.get("exportRules").is_some());
        if files && !says && options.nodes.is_empty() {
            let message =
                "the networks of the nodes are missing; file systems are exported only to them";
            self.wrong(Code::MissingField, self.root, "nodes", message, "add `--nodes 10.20.0.0/16`; `kubectl get nodes -o wide` prints the nodes' addresses");
        }
        old
    }

    /// Reads the sections of which only one key matters.
    fn further(&mut self) {
        let root = self.root;
        let entries = |section: &str| root.get(section).and_then(Node::entries).unwrap_or_default();
        for entry in entries("namespace") {
            let at = format!("namespace.{}", entry.key);
            match entry.key.as_str() {
                "pure" if root.get("clusterID").is_some() => self.found.push(lost(
                    entry,
                    &at,
                    "was the name of the cluster before `clusterID`, which has precedence",
                    "add `--prefix` if PersistentVolumes of that time do not name their volumes",
                )),
                // Settings of the driver's own pods.
                "pure" | "k8s" => {}
                _ => self.found.push(unknown(entry, &at, &["pure"])),
            }
        }
        for entry in entries("storagetopology") {
            let at = format!("storagetopology.{}", entry.key);
            match entry.key.as_str() {
                // A pod with a volume runs only where its array is reachable, in either case.
                "enable" | "strictTopology" => {}
                _ => self.found.push(unknown(entry, &at, &["enable", "strictTopology"])),
            }
        }
        for section in ["namespace", "storagetopology", "flasharray", "flashblade", "storageclass"]
        {
            if let Some(entry) = root.entry(section)
                && entry.value.entries().is_none()
                && !entry.value.is_null()
            {
                let did = "is not a mapping, and is left out";
                self.found.push(lost(entry, section, did, "write it in the form of the chart"));
            }
        }
    }

    fn wrong(&mut self, code: Code, at: &Node, path: &str, message: &str, fix: &str) {
        self.found.push(Diagnostic::new(code, at.place, message).at(path).fix(fix));
    }

    /// Returns the old name of the cluster, with its place.
    fn called(&self) -> (Option<&str>, &Node, &'static str) {
        let six = self.root.get("clusterID").map(|node| (node, "clusterID"));
        let five = || Some((self.root.get("namespace")?.get("pure")?, "namespace.pure"));
        if let Some((node, path)) = six.or_else(five) {
            return (node.text(), node, path);
        }
        // `pure.json` has no such field; values of PSO 5 without it mean its default.
        let default = self.root.get("arrays").map(|_| DEFAULT_PREFIX);
        (default, self.root, "namespace.pure")
    }

    /// Returns the cluster's name. It always differs from the old one, because commands that list orphans or destroy
    /// volumes use it as prefix.
    fn cluster(&mut self, options: &ImportOptions) -> String {
        let (old, node, path) = self.called();
        let (node, old) = (node.clone(), old.map(str::to_owned));
        let is_old = |name: &str| old.as_ref().is_some_and(|old| old.eq_ignore_ascii_case(name));
        let fix = "add `--cluster NAME` with a different name for each cluster that shares an array; existing volumes keep their names";
        if let Some(cluster) = &options.cluster {
            if is_old(cluster) {
                let message = "equals the name in `--cluster`; volumes with this prefix belong to the old driver";
                self.wrong(Code::BadValue, &node, path, message, "choose another `--cluster NAME`");
            }
            return cluster.clone();
        }
        let Some(said) = old.as_deref().filter(|old| *old != DEFAULT_PREFIX) else {
            let message = "`clusterID` is missing or has the default value; it becomes the prefix of new volume names";
            self.wrong(Code::MissingField, &node, path, message, fix);
            return String::new();
        };
        let mut new = said.to_lowercase().replace('_', "-");
        if is_old(&new) {
            new.push_str(SUFFIX);
        }
        if new.len() > LONGEST_CLUSTER || !Format::Name.accepts(&new) {
            let message = format!(
                "would become {new:?}, which is not a valid name of a cluster: at most {LONGEST_CLUSTER} lower-case letters, digits and `-`"
            );
            self.wrong(Code::BadValue, &node, path, &message, fix);
        } else {
            let message =
                format!("becomes `{new}`: volumes with the old prefix belong to the old driver");
            let fix = "nothing to do: existing volumes keep their names; `--cluster NAME` sets another one";
            self.wrong(Code::NoCounterpart, &node, path, &message, fix);
        }
        new
    }
}

fn is_true(node: Option<&Node>) -> bool {
    node.and_then(Node::text).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}
