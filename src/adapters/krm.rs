//! The compiler as a KRM function for Kustomize and kpt: reads a `ResourceList` and replaces pso-gen's documents in it
//! by the rendered objects.
//!
//! Pure: the command line reads and writes the list, and the pipeline renders. The format is that of the "Configuration
//! Functions Specification" (`config.kubernetes.io/v1`) of the Kustomize project.

use serde_json::{Value as Json, json};

use crate::compiler::diagnostic::{Code, Diagnostic, Sources, without_tokens};
use crate::compiler::yaml::{Entry, Node, Value};
use crate::contract::API_VERSION;
use crate::sanitize;

/// The supported versions of the list, which have the same fields.
const LISTS: [&str; 3] =
    ["config.kubernetes.io/v1", "config.kubernetes.io/v1beta1", "config.kubernetes.io/v1alpha1"];
/// Marks a document that is only for tools and never applied to a cluster; it stays in the list.
const LOCAL: &str = "config.kubernetes.io/local-config";
/// Annotations in which tools record an object's origin.
const TOOLS: [&str; 4] =
    ["config.kubernetes.io/", "internal.config.kubernetes.io/", "config.k8s.io/", "kpt.dev/"];

/// Longest message of a result, in characters.
const LONGEST: usize = 4000;

/// A `ResourceList`.
#[derive(Debug)]
pub struct ResourceList {
    node: Node,
}

impl ResourceList {
    /// Parses a document as a `ResourceList`.
    pub fn new(node: Node) -> Result<Self, Diagnostic> {
        let word = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default();
        if word("kind") != "ResourceList" || !LISTS.contains(&word("apiVersion")) {
            let message = "expected a ResourceList of config.kubernetes.io/v1";
            return Err(Diagnostic::new(Code::BadList, node.place, message)
                .fix("let Kustomize or kpt call `pso-gen fn`; `pso-gen render` reads app files"));
        }
        if let Some(items) = node.get("items").filter(|items| !items.is_null())
            && items.items().is_none()
        {
            let message = format!("expected a list, found {}", items.found());
            return Err(Diagnostic::new(Code::BadList, items.place, message).at("items"));
        }
        let list = Self { node };
        match list.config() {
            Some(config) if !is_ours(config) && config.get("data").is_some() => {
                Err(Diagnostic::new(Code::BadList, config.place, "this function has no settings")
                    .at("functionConfig.data")
                    .fix("write them into the app, or into a patch of it before this function"))
            }
            _ => Ok(list),
        }
    }

    fn items(&self) -> &[Node] {
        self.node.get("items").and_then(Node::items).unwrap_or_default()
    }

    fn config(&self) -> Option<&Node> {
        self.node.get("functionConfig").filter(|config| !config.is_null())
    }

    /// Returns pso-gen's documents among the items and the function's own configuration, without the tools'
    /// annotations.
    pub fn documents(&self) -> Vec<Node> {
        let all = self.items().iter().chain(self.config());
        all.filter(|node| is_ours(node)).map(without_tools).collect()
    }

    /// Returns the list with objects in place of pso-gen's documents. An object from an earlier run is replaced at its
    /// position, and keeps the tools' annotations.
    pub fn with(&self, objects: Vec<Json>, results: &[Json]) -> Json {
        let mut left: Vec<Option<Json>> = objects.into_iter().map(Some).collect();
        let mut items = Vec::new();
        for node in self.items() {
            if is_ours(node) {
                items.extend(is_local(node).then(|| node.to_json()));
                continue;
            }
            let there = node.to_json();
            let same = |object: &&mut Option<Json>| {
                object.as_ref().is_some_and(|object| identity(object) == identity(&there))
            };
            let made = left.iter_mut().find(same).and_then(Option::take);
            items.push(made.map_or_else(|| there.clone(), |made| marked(made, &there)));
        }
        items.extend(left.into_iter().flatten());
        self.output(&items, results)
    }

    /// Returns the unchanged list with results.
    pub fn unchanged(&self, results: &[Json]) -> Json {
        self.output(&self.items().iter().map(Node::to_json).collect::<Vec<_>>(), results)
    }

    fn output(&self, items: &[Json], results: &[Json]) -> Json {
        let mut list = json!({
            "apiVersion": self.node.get("apiVersion").map(Node::to_json),
            "kind": "ResourceList",
            "items": items,
        });
        if let Some(config) = self.config() {
            list["functionConfig"] = config.to_json();
        }
        if !results.is_empty() {
            list["results"] = Json::from(results);
        }
        list
    }

    /// Converts a diagnostic into a result of the list.
    pub fn result(&self, diagnostic: &Diagnostic, sources: &Sources) -> Json {
        let fix = diagnostic.fix.as_deref().map(|fix| format!("; {fix}")).unwrap_or_default();
        let mut result = json!({
            "message": sanitize::line(&without_tokens(&format!("{}{fix}", diagnostic.message)), LONGEST),
            "severity": diagnostic.severity.word(),
            "tags": {"code": diagnostic.code.name()},
        });
        if !diagnostic.path.is_empty() {
            result["field"] = json!({"path": sanitize::name(&diagnostic.path)});
        }
        let Some(place) = diagnostic.place else {
            return result;
        };
        if place.source != self.node.place.source {
            result["file"] = json!({"path": sanitize::name(&sources.get(place.source).name)});
            return result;
        }
        // The items are consecutive: this is the last one that begins before the place.
        let all = self.items().iter().chain(self.config());
        let begun = all.filter(|node| is_ours(node) && start(node) <= place.start);
        if let Some(node) = begun.max_by_key(|node| start(node)) {
            let json = node.to_json();
            let word = |at: &str| json.pointer(at).and_then(Json::as_str).map(str::to_owned);
            result["resourceRef"] = json!({
                "apiVersion": API_VERSION,
                "kind": word("/kind"),
                "name": word("/metadata/name"),
                "namespace": word("/metadata/namespace"),
            });
            if let Some(path) = annotation(node, "path") {
                let index = annotation(node, "index").and_then(|index| index.parse::<u32>().ok());
                result["file"] = json!({"path": path, "index": index.unwrap_or_default()});
            }
        }
        result
    }
}

/// Returns the first byte of a document in a list. Its own place may be that of the key before it.
fn start(node: &Node) -> u32 {
    let entries = node.entries().unwrap_or_default();
    entries.iter().map(|entry| entry.place.start).min().unwrap_or(node.place.start)
}

fn is_ours(node: &Node) -> bool {
    let version = node.get("apiVersion").and_then(Node::text).unwrap_or_default();
    version.split('/').next() == API_VERSION.split('/').next()
}

fn annotations(node: &Node) -> Option<&Node> {
    node.get("metadata")?.get("annotations")
}

fn is_local(node: &Node) -> bool {
    let value = annotations(node).and_then(|annotations| annotations.get(LOCAL));
    value.and_then(Node::text) == Some("true")
}

/// Returns an annotation with the origin of a document; older tools use the second name.
fn annotation<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    let all = annotations(node)?;
    let key = |prefix: &str| format!("{prefix}config.kubernetes.io/{name}");
    all.get(&key("internal.")).or_else(|| all.get(&key("")))?.text()
}

fn of_tools(key: &str) -> bool {
    TOOLS.iter().any(|tool| key.starts_with(tool))
}

fn without_tools(node: &Node) -> Node {
    let mut node = node.clone();
    let inner = entry(&mut node, "metadata").and_then(|metadata| entry(metadata, "annotations"));
    if let Some(Node { value: Value::Map(entries), .. }) = inner {
        entries.retain(|entry| !of_tools(&entry.key));
    }
    node
}

fn entry<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    let Value::Map(entries) = &mut node.value else {
        return None;
    };
    entries.iter_mut().find(|entry: &&mut Entry| entry.key == key).map(|entry| &mut entry.value)
}

/// Returns the identity of an object: group, kind, namespace, name.
fn identity(object: &Json) -> [&str; 4] {
    let word = |at: &str| object.pointer(at).and_then(Json::as_str).unwrap_or_default();
    let group = word("/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    [group, word("/kind"), word("/metadata/namespace"), word("/metadata/name")]
}

/// Returns an object with the tools' annotations of the object that it replaces.
fn marked(mut object: Json, there: &Json) -> Json {
    let old = there.pointer("/metadata/annotations").and_then(Json::as_object);
    for (key, value) in old.into_iter().flatten().filter(|(key, _)| of_tools(key)) {
        object["metadata"]["annotations"][key] = value.clone();
    }
    object
}

#[cfg(test)]
mod tests;
