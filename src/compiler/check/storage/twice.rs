//! What a storage document names twice, or so that it is worth a second look. An array under two names has its volumes counted, imported and destroyed
//! under each of them; of two with one name, which one is meant depends on their order.

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

/// Returns what is named twice and must not be.
pub(super) fn twice(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut found = arrays(spec, node);
    found.extend(lists(spec, node));
    found
}

/// Returns what two arrays share and two arrays seldom do, and where no array is.
pub(super) fn advice(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
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
                "`{}` is on the same host with another port: an array has one management interface",
                other.name
            );
            let fix = "leave one of the two arrays out, or write `id` at both of them";
            found.extend(
                (array.id.is_none() || other.id.is_none()).then(|| at("management", message, fix)),
            );
        }
        let is_local = management.as_ref().is_some_and(Management::is_local);
        if is_local && spec.provisioner.is_some() {
            let message = format!("{} is the provisioner's pod itself", quoted(&array.management));
            let fix = "write the host name or address of the array's management interface";
            found.push(at("management", message, fix));
        }
        let token = |array: &ArraySpec| {
            let kept = array.token.clone();
            (kept.secret, kept.key, kept.file)
        };
        if let Some((other, _)) = seen.iter().find(|(other, _)| token(other) == token(array)) {
            let message =
                format!("`{}` has the same token; each array gives out its own", other.name);
            found.push(at("token", message, "write a Secret and key for each array"));
        }
        seen.push((array, management));
    }
    let prefix = volume_prefix(&spec.cluster).to_lowercase();
    for (index, import) in spec.imports.iter().enumerate() {
        if import.volume.to_lowercase().starts_with(&prefix) {
            let message = format!("{} was made for a claim of this cluster", import.volume);
            found.push(
                Diagnostic::new(Code::StorageAdvice, place(node, "imports", index, "volume"), message)
                    .at(format!("spec.imports[{index}].volume"))
                    .fix("see that this claim and its PersistentVolume are gone, or two claims have one volume"),
            );
        }
    }
    found
}

/// Two entries for one array, or one name for two.
fn arrays(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let (mut names, mut places, mut ids, mut datas) =
        (FirstUse::default(), FirstUse::default(), FirstUse::default(), FirstUse::default());
    for (index, array) in spec.arrays.iter().enumerate() {
        let at = |field: &str| place(node, "arrays", index, field);
        let mut tell = |field: &str, first: Option<Place>, message: String, fix: &str| {
            if let Some(first) = first {
                let path = format!("spec.arrays[{index}].{field}");
                found.push(
                    Diagnostic::new(Code::BadValue, at(field), message)
                        .at(path)
                        .and(Some(first), "here first")
                        .fix(fix),
                );
            }
        };
        let first = names.first(array.name.to_lowercase(), at("name"));
        let message = format!("another array is called {} already", quoted(&array.name));
        tell("name", first, message, "give each array a name of its own");
        let one = "one array has one entry: leave one of the two out";
        if let Some(management) = Management::read(&array.management) {
            let first = places.first(management, at("management"));
            tell("management", first, "another array has this address already".to_owned(), one);
        }
        if let Some(id) = &array.id {
            let first = ids.first(id.to_lowercase(), at("id"));
            tell("id", first, "another array has this id already".to_owned(), one);
        }
        if let Some(Ok(data)) = array.data.as_deref().map(address::data) {
            let first = datas.first(data, at("data"));
            tell("data", first, "another array has this data address already".to_owned(), one);
        }
    }
    found
}

/// Entries of the other lists.
fn lists(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut tell = |path: &[&str], first: Option<Place>, message: String, fix: &str| {
        if let Some(first) = first {
            let place = node.place_of(path.iter().copied());
            found.push(
                Diagnostic::new(Code::BadValue, place, message)
                    .at(super::written(path))
                    .and(Some(first), "here first")
                    .fix(fix),
            );
        }
    };
    let out = "leave one of the two out";
    let mut networks = FirstUse::default();
    for (index, network) in spec.nodes.iter().enumerate() {
        let path = ["spec", "nodes", &index.to_string()];
        let first = networks.first(clients::compared(&network.0), node.place_of(path));
        tell(&path, first, format!("{} is there already", network.0), out);
    }
    let mut quotas = FirstUse::default();
    for (index, quota) in spec.quotas.iter().enumerate() {
        let path = ["spec", "quotas", &index.to_string()];
        let key = (quota.namespace.as_str(), quota.class.as_str());
        let first = quotas.first(key, node.place_of(path));
        let message = format!("{} has a quota of {} already", quota.namespace, quota.class);
        tell(&path, first, message, "write one entry with `claims` and `capacity`");
    }
    for (name, class) in &spec.classes {
        let mut rules = FirstUse::default();
        for (index, rule) in class.export_rules.iter().enumerate() {
            let path = ["spec", "classes", name, "exportRules", &index.to_string(), "clients"];
            let first = rules.first(clients::compared(&rule.clients), node.place_of(path));
            let message = format!("{} has a rule already; the first one counts", rule.clients);
            tell(&path, first, message, out);
        }
        let mut options = FirstUse::default();
        for (index, option) in class.mount_options.iter().enumerate() {
            let path = ["spec", "classes", name, "mountOptions", &index.to_string()];
            let word = option.split_once('=').map_or(option.as_str(), |(word, _)| word);
            let first = options.first(word, node.place_of(path));
            tell(&path, first, format!("{word} is there already"), out);
        }
    }
    found
}

/// Where something was seen first.
struct FirstUse<K>(HashMap<K, Place>);

impl<K> Default for FirstUse<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> FirstUse<K> {
    /// Returns where it was seen before; else notes it.
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
    /// By the cluster's name without case.
    clusters: BTreeMap<String, Place>,
}

impl Storages {
    /// Adds a document; returns what it and an earlier one cannot both say.
    pub fn add(&mut self, spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
        let place = node.place_of(["spec", "cluster"]);
        let other = self.clusters.iter().next().map(|(name, place)| (name.clone(), *place));
        let cluster = spec.cluster.to_lowercase();
        if let Some(first) = self.clusters.get(&cluster) {
            let message =
                format!("the cluster {} has a storage document already", quoted(&spec.cluster));
            return vec![
                Diagnostic::new(Code::BadValue, place, message)
                    .at("spec.cluster")
                    .and(Some(*first), "here first")
                    .fix("make one document of the two: a cluster has one list of arrays, classes, quotas and imports"),
            ];
        }
        self.clusters.insert(cluster, place);
        let told = other.map(|(name, first)| {
            let message = format!(
                "this run has the storage document of the cluster {name} too: classes and quotas of both count for every app", name = quoted(name)
            );
            Diagnostic::new(Code::StorageAdvice, place, message)
                .at("spec.cluster")
                .and(Some(first), "here first")
                .fix("render the files of each cluster by themselves")
        });
        told.into_iter().collect()
    }
}
