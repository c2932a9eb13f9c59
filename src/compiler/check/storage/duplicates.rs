//! Duplicates in a storage document, and entries that look like duplicates. If an array has two names, its
//! volumes are counted, imported and destroyed under each name. If two arrays have the same name, their order
//! decides which one is used.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::address::{self, Management};
use super::clients;
use crate::compiler::diagnostic::{Code, Diagnostic, Place};
use crate::compiler::yaml::Node;
use crate::contract::StorageSpec;
use crate::contract::name::volume_prefix;
use crate::contract::storage::ArraySpec;
use crate::sanitize::quoted;

/// Returns duplicates that are errors.
pub(super) fn duplicates(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut diagnostics = arrays(spec, node);
    diagnostics.extend(lists(spec, node));
    diagnostics
}

/// Returns advice on values that two arrays share but rarely should, and on addresses that cannot be an array.
pub(super) fn advice(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut seen: Vec<(&ArraySpec, Option<Management>)> = Vec::new();
    for (index, array) in spec.arrays.iter().enumerate() {
        let management = Management::read(&array.management);
        let at = |field: &str, message: String, fix: &str| {
            let place = place(node, "arrays", index, field);
            let path = format!("spec.arrays[{index}].{field}");
            Diagnostic::new(Code::StorageAdvice, place, message).at(path).fix(fix)
        };
        let same_host = seen.iter().find(|(_, other)| {
            let both = management.as_ref().zip(other.as_ref());
            both.is_some_and(|(a, b)| a.has_host_of(b) && a != b && !a.is_local())
        });
        if let Some((other, _)) = same_host {
            let message = format!(
                "`{}` has the same host and another port, but an array has one management interface",
                other.name
            );
            let fix = "remove one of the two arrays, or set `id` on both";
            diagnostics.extend(
                (array.id.is_none() || other.id.is_none()).then(|| at("management", message, fix)),
            );
        }
        let is_local = management.as_ref().is_some_and(Management::is_local);
        if is_local && spec.provisioner.is_some() {
            let message = format!("{} is the provisioner's pod itself", quoted(&array.management));
            let fix = "write the host name or address of the array's management interface";
            diagnostics.push(at("management", message, fix));
        }
        let token = |array: &ArraySpec| {
            let kept = array.token.clone();
            (kept.secret, kept.key, kept.file)
        };
        if let Some((other, _)) = seen.iter().find(|(other, _)| token(other) == token(array)) {
            let message =
                format!("`{}` has the same token, but each array issues its own", other.name);
            diagnostics.push(at("token", message, "give each array a Secret and key of its own"));
        }
        seen.push((array, management));
    }
    let prefix = volume_prefix(&spec.cluster).to_lowercase();
    for (index, import) in spec.imports.iter().enumerate() {
        if import.volume.to_lowercase().starts_with(&prefix) {
            let message = format!("{} was created for a claim of this cluster", import.volume);
            diagnostics.push(
                Diagnostic::new(Code::StorageAdvice, place(node, "imports", index, "volume"), message)
                    .at(format!("spec.imports[{index}].volume"))
                    .fix("check that this claim and its PersistentVolume are deleted; otherwise two claims share one volume"),
            );
        }
    }
    diagnostics
}

/// Reports two entries for one array, and two arrays with one name.
fn arrays(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let (mut names, mut places, mut ids, mut datas) =
        (FirstUse::default(), FirstUse::default(), FirstUse::default(), FirstUse::default());
    for (index, array) in spec.arrays.iter().enumerate() {
        let at = |field: &str| place(node, "arrays", index, field);
        let mut report = |field: &str, first: Option<Place>, message: String, fix: &str| {
            if let Some(first) = first {
                let path = format!("spec.arrays[{index}].{field}");
                diagnostics.push(
                    Diagnostic::new(Code::BadValue, at(field), message)
                        .at(path)
                        .and(Some(first), "first defined here")
                        .fix(fix),
                );
            }
        };
        let first = names.first(array.name.to_lowercase(), at("name"));
        let message = format!("another array has the name {}", quoted(&array.name));
        report("name", first, message, "give each array a name of its own");
        let one = "remove one of the two entries: an array has one entry";
        if let Some(management) = Management::read(&array.management) {
            let first = places.first(management, at("management"));
            report("management", first, "another array has this address".to_owned(), one);
        }
        if let Some(id) = &array.id {
            let first = ids.first(id.to_lowercase(), at("id"));
            report("id", first, "another array has this id".to_owned(), one);
        }
        if let Some(Ok(data)) = array.data.as_deref().map(address::data) {
            let first = datas.first(data, at("data"));
            report("data", first, "another array has this data address".to_owned(), one);
        }
    }
    diagnostics
}

/// Reports duplicates in the other lists.
fn lists(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut report = |path: &[&str], first: Option<Place>, message: String, fix: &str| {
        if let Some(first) = first {
            let place = node.place_of(path.iter().copied());
            diagnostics.push(
                Diagnostic::new(Code::BadValue, place, message)
                    .at(super::written(path))
                    .and(Some(first), "first defined here")
                    .fix(fix),
            );
        }
    };
    let out = "remove one of the two";
    let mut networks = FirstUse::default();
    for (index, network) in spec.nodes.iter().enumerate() {
        let path = ["spec", "nodes", &index.to_string()];
        let first = networks.first(clients::compared(&network.0), node.place_of(path));
        report(&path, first, format!("{} is listed twice", network.0), out);
    }
    let mut quotas = FirstUse::default();
    for (index, quota) in spec.quotas.iter().enumerate() {
        let path = ["spec", "quotas", &index.to_string()];
        let key = (quota.namespace.as_str(), quota.class.as_str());
        let first = quotas.first(key, node.place_of(path));
        let message = format!("{} has two quotas for {}", quota.namespace, quota.class);
        report(&path, first, message, "write one entry with both `claims` and `capacity`");
    }
    for (name, class) in &spec.classes {
        let mut rules = FirstUse::default();
        for (index, rule) in class.export_rules.iter().enumerate() {
            let path = ["spec", "classes", name, "exportRules", &index.to_string(), "clients"];
            let first = rules.first(clients::compared(&rule.clients), node.place_of(path));
            let message = format!("{} has two rules, and only the first one is used", rule.clients);
            report(&path, first, message, out);
        }
        let mut options = FirstUse::default();
        for (index, option) in class.mount_options.iter().enumerate() {
            let path = ["spec", "classes", name, "mountOptions", &index.to_string()];
            let word = option.split_once('=').map_or(option.as_str(), |(word, _)| word);
            let first = options.first(word, node.place_of(path));
            report(&path, first, format!("{word} is listed twice"), out);
        }
    }
    diagnostics
}

/// Places of first uses.
struct FirstUse<K>(HashMap<K, Place>);

impl<K> Default for FirstUse<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> FirstUse<K> {
    /// Returns the place of the first use, or records this one.
    fn first(&mut self, key: K, place: Place) -> Option<Place> {
        if let Some(first) = self.0.get(&key) {
            return Some(*first);
        }
        self.0.insert(key, place);
        None
    }
}

fn place(node: &Node, list: &str, index: usize, field: &str) -> Place {
    node.place_of(["spec", list, &index.to_string(), field])
}

/// The storage documents of one run.
#[derive(Debug, Default)]
pub struct Storages {
    /// Places of the clusters' names, by name in lower case.
    clusters: BTreeMap<String, Place>,
}

impl Storages {
    /// Adds a document and returns its conflicts with earlier ones.
    pub fn add(&mut self, spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
        let place = node.place_of(["spec", "cluster"]);
        let other = self.clusters.iter().next().map(|(name, place)| (name.clone(), *place));
        let cluster = spec.cluster.to_lowercase();
        if let Some(first) = self.clusters.get(&cluster) {
            let message =
                format!("the cluster {} has two storage documents", quoted(&spec.cluster));
            return vec![
                Diagnostic::new(Code::BadValue, place, message)
                    .at("spec.cluster")
                    .and(Some(*first), "first defined here")
                    .fix("merge the two documents: a cluster has one list of arrays, classes, quotas and imports"),
            ];
        }
        self.clusters.insert(cluster, place);
        let duplicates = other.map(|(name, first)| {
            let message = format!(
                "this run also has the storage document of the cluster {name}: classes and quotas of both apply to every app", name = quoted(name)
            );
            Diagnostic::new(Code::StorageAdvice, place, message)
                .at("spec.cluster")
                .and(Some(first), "first defined here")
                .fix("render the files of each cluster separately")
        });
        duplicates.into_iter().collect()
    }
}
