//! Finds the values in a file: alone, or inside an object of another tool. Knows these objects, but not the contents of
//! the values.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use serde_json::json;

use crate::compiler::diagnostic::{Code, Diagnostic, Place};
use crate::compiler::spec::apply_layer;
use crate::compiler::yaml::{Entry, Node, Scalar, Value};

/// Lists that the values contain.
const ARRAYS: [&str; 3] = ["arrays", "FlashBlades", "FlashArrays"];
/// Names of the charts. The values of a parent chart contain their values under this key.
const CHARTS: [&str; 5] =
    ["pure-pso", "pure-csi", "pure-k8s-plugin", "pso-operator", "pure-csi-operator"];
/// Keys of a Secret or ConfigMap that contain a file with values.
const FILES: [&str; 4] = ["pure.json", "values.yaml", "values.yml", "values"];
/// Remedy: the command that prints all values of a release, from all sources.
const HELM: &str = "use the output of `helm get values RELEASE --all -o yaml`";

/// Parses a text inside another one, under a name for display.
pub(super) type ReadText<'r> =
    &'r mut dyn FnMut(&str, String) -> Result<Vec<Node>, Vec<Diagnostic>>;

/// Finds values in documents.
pub(super) struct Unwrap<'u> {
    /// Parses a text inside a document.
    pub(super) read: ReadText<'u>,
    /// Diagnostics about parts that were ignored.
    pub(super) warnings: Vec<Diagnostic>,
}

impl Unwrap<'_> {
    /// Returns the values of the only document that has some. `place` is the start of the file.
    pub(super) fn one_of(
        &mut self,
        documents: Vec<Node>,
        place: Place,
    ) -> Result<Node, Vec<Diagnostic>> {
        let mut all = flat(documents);
        if all.len() < 2 {
            let found = match all.pop() {
                Some(only) => {
                    let kind = kind(&only).map(|kind| (kind.to_owned(), only.place));
                    self.values(only)?.ok_or(kind)
                }
                None => Err(None),
            };
            return found.map_err(|kind| vec![without_values(kind, place)]);
        }
        let (mut found, mut unlisted, mut others) = (Vec::new(), Vec::new(), BTreeMap::new());
        for document in all {
            let kind = kind(&document).unwrap_or("document without `kind`").to_owned();
            let before = self.warnings.len();
            match self.values(document) {
                Ok(Some(values)) if has_arrays(&values) => found.push(values),
                Ok(Some(values)) => {
                    unlisted.push((values, self.warnings.split_off(before)));
                    *others.entry(kind).or_insert(0) += 1;
                }
                // Problems of a document without values are ignored if another one has values.
                Ok(None) | Err(_) => {
                    self.warnings.truncate(before);
                    *others.entry(kind).or_insert(0) += 1;
                }
            }
        }
        if let (true, Some((values, warnings)), true) =
            (found.is_empty(), unlisted.pop(), unlisted.is_empty())
        {
            self.warnings.extend(warnings);
            found.push(values);
        }
        if found.len() > 1 {
            let places = found.iter().skip(1).map(|values| values.place);
            let message = format!(
                "{} documents have values; a storage document is created from one",
                found.len()
            );
            let mut wrong = Diagnostic::new(Code::WrongType, found[0].place, message)
                .fix("name a file with one of them");
            wrong.related = places.map(|place| (place, "another one".to_owned())).collect();
            return Err(vec![wrong]);
        }
        let Some(values) = found.pop() else { return Err(vec![without_values(None, place)]) };
        if !others.is_empty() {
            let others: Vec<_> =
                others.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
            let message = format!("other documents are ignored: {}", others.join(", "));
            self.warnings.push(
                Diagnostic::new(Code::NoCounterpart, place, crate::sanitize::line(&message, 300))
                    .fix("`--volumes` reads PersistentVolumes and StorageClasses"),
            );
        }
        Ok(values)
    }

    /// Returns the values in a document, if it has some.
    fn values(&mut self, node: Node) -> Result<Option<Node>, Vec<Diagnostic>> {
        let version = node.get("apiVersion").and_then(Node::text).unwrap_or_default().to_owned();
        match kind(&node) {
            None if node.entries().is_some() => Ok(Some(self.bare(node))),
            Some("Secret" | "ConfigMap") => self.file_of(&node).map(Some),
            Some("HelmRelease") => self.helm_release(&node).map(Some),
            Some("HelmChart" | "HelmChartConfig") => self.helm_chart(&node).map(Some),
            Some("Application" | "ApplicationSet") => self.application(&node).map(Some),
            Some(_) if version.contains("purestorage.com") => match node.get("spec") {
                Some(spec) => Ok(Some(spec.clone())),
                None => Ok(None),
            },
            Some("StorageCluster") => {
                let message = "a StorageCluster does not name arrays";
                let wrong = Diagnostic::new(Code::MissingField, node.place, message);
                Err(vec![wrong.fix("use the Secret `px-pure-secret`: `kubectl get secret -n NAMESPACE px-pure-secret -o yaml`")])
            }
            None | Some(_) => Ok(None),
        }
    }

    /// Returns values at the top level, or under the key of a chart.
    fn bare(&mut self, node: Node) -> Node {
        if has_arrays(&node) {
            return node;
        }
        for key in CHARTS.iter().chain(&["values", "spec"]) {
            let Some(inner) = node.get(key).filter(|inner| inner.entries().is_some()) else {
                continue;
            };
            let inner = self.bare(inner.clone());
            if !has_arrays(&inner) {
                continue;
            }
            for entry in node.entries().unwrap_or_default().iter().filter(|e| e.key != *key) {
                let message = format!("is beside `{key}`, which has the values, and is left out");
                self.warnings.push(
                    Diagnostic::new(Code::NoCounterpart, entry.place, message)
                        .at(entry.key.clone())
                        .fix("nothing to do if it belongs to another chart"),
                );
            }
            return inner;
        }
        node
    }

    /// Returns the file in a Secret or ConfigMap.
    fn file_of(&mut self, node: &Node) -> Result<Node, Vec<Diagnostic>> {
        let is_secret = kind(node) == Some("Secret");
        for file in FILES {
            let of = |field: &str| node.get(field).and_then(|data| data.get(file)?.text());
            let decoded = || {
                let encoded = of("data").filter(|_| is_secret)?;
                let bytes = serde_json::from_value::<ByteString>(json!(encoded)).ok()?;
                String::from_utf8(bytes.0).ok()
            };
            let plain = of("stringData").or_else(|| of("data").filter(|_| !is_secret));
            if let Some(text) = plain.map(str::to_owned).or_else(decoded) {
                return self.text(file, text, node.place);
            }
        }
        let what = kind(node).unwrap_or_default();
        let message = format!("the {what} has no readable `pure.json` or `values.yaml`");
        let wrong = Diagnostic::new(Code::MissingField, node.place, message).at("data");
        Err(vec![wrong.fix("use the Secret that Portworx or the chart has created: `px-pure-secret` or `pure-provisioner-secret`")])
    }

    /// Returns the values in a text inside a document.
    fn text(&mut self, name: &str, text: String, place: Place) -> Result<Node, Vec<Diagnostic>> {
        let mut documents = (self.read)(name, text)?;
        match (documents.pop(), documents.is_empty()) {
            (Some(node), true) if node.entries().is_some() => Ok(self.bare(node)),
            _ => {
                let message = format!("`{name}` is not one mapping with values");
                Err(vec![Diagnostic::new(Code::WrongType, place, message).fix(HELM)])
            }
        }
    }

    /// Flux: values in the object itself. Values from referenced objects are not read.
    fn helm_release(&mut self, node: &Node) -> Result<Node, Vec<Diagnostic>> {
        let spec = node.get("spec");
        for field in ["valuesFrom", "valueFileSecrets"] {
            self.elsewhere(spec, field, &format!("spec.{field}"));
        }
        let values = spec.and_then(|spec| spec.get("values"));
        match values.filter(|values| values.entries().is_some()) {
            Some(values) => Ok(self.bare(values.clone())),
            None => Err(vec![missing(node, "spec.values")]),
        }
    }

    /// K3s: values as a text, and single values.
    fn helm_chart(&mut self, node: &Node) -> Result<Node, Vec<Diagnostic>> {
        let spec = node.get("spec");
        let mut values = match spec.and_then(|spec| spec.get("valuesContent")?.text()) {
            Some(text) => self.text("spec.valuesContent", text.to_owned(), node.place)?,
            None => Node::empty_map(node.place),
        };
        for entry in spec.and_then(|spec| spec.get("set")?.entries()).unwrap_or_default() {
            self.set(&mut values, &entry.key, &entry.value);
        }
        let any = values.entries().is_some_and(|entries| !entries.is_empty());
        any.then_some(values).ok_or_else(|| vec![missing(node, "spec.valuesContent")])
    }

    /// Argo CD: values as a text or as fields, overridden by single values.
    fn application(&mut self, node: &Node) -> Result<Node, Vec<Diagnostic>> {
        let mut spec = node.get("spec");
        if kind(node) == Some("ApplicationSet") {
            spec = spec.and_then(|spec| spec.get("template")?.get("spec"));
        }
        let one = spec.and_then(|spec| spec.get("source")).into_iter();
        let several = spec.and_then(|spec| spec.get("sources")?.items()).unwrap_or_default();
        let mut values = Node::empty_map(node.place);
        for helm in one.chain(several).filter_map(|source| source.get("helm")) {
            for field in ["valueFiles", "fileParameters"] {
                self.elsewhere(Some(helm), field, &format!("helm.{field}"));
            }
            if let Some(text) = helm.get("values").and_then(Node::text) {
                let read = self.text("helm.values", text.to_owned(), node.place)?;
                apply_layer(&mut values, &read, None);
            }
            if let Some(fields) = helm.get("valuesObject") {
                let fields = self.bare(fields.clone());
                apply_layer(&mut values, &fields, None);
            }
            for parameter in helm.get("parameters").and_then(Node::items).unwrap_or_default() {
                let name = parameter.get("name").and_then(Node::text);
                if let (Some(name), Some(value)) = (name, parameter.get("value")) {
                    self.set(&mut values, name, value);
                }
            }
        }
        let any = values.entries().is_some_and(|entries| !entries.is_empty());
        any.then_some(values).ok_or_else(|| vec![missing(node, "spec.source.helm")])
    }

    /// Reports values that are in other files or objects.
    fn elsewhere(&mut self, around: Option<&Node>, field: &str, path: &str) {
        let Some(entry) = around.and_then(|around| around.entry(field)) else { return };
        let empty = entry.value.is_null() || entry.value.items().is_some_and(<[Node]>::is_empty);
        if !empty {
            let message = "names other sources of values, which are not read";
            self.warnings.push(
                Diagnostic::new(Code::NoCounterpart, entry.place, message).at(path).fix(HELM),
            );
        }
    }

    /// Sets a value at a path in the syntax of `helm --set`:
    /// `arrays.FlashBlades[0].Labels.topology\.example\.com/zone`.
    fn set(&mut self, values: &mut Node, path: &str, value: &Node) {
        let Some(steps) = steps(path) else {
            let message = "is not a path of a value, and is left out";
            self.warnings.push(
                Diagnostic::new(Code::NoCounterpart, value.place, message)
                    .at(crate::sanitize::line(path, 80))
                    .fix("add it to the values"),
            );
            return;
        };
        put(values, &steps, value);
    }
}

/// Replaces each list by its items.
fn flat(documents: Vec<Node>) -> Vec<Node> {
    let mut all = Vec::new();
    for document in documents {
        let is_list = kind(&document).is_some_and(|kind| kind.ends_with("List"));
        match document.get("items").and_then(Node::items).filter(|_| is_list) {
            Some(items) => all.extend(flat(items.to_vec())),
            None => all.push(document),
        }
    }
    all
}

fn has_arrays(node: &Node) -> bool {
    ARRAYS.iter().any(|key| node.get(key).is_some())
}

/// Returns the error for a document or file without values.
fn without_values(kind: Option<(String, Place)>, place: Place) -> Diagnostic {
    let (place, message) = match kind {
        Some((kind, at)) => (at, format!("a {kind} has no values of the old driver")),
        None => (place, "expected one mapping: the values of the chart, a `pure.json`, or a Secret, HelmRelease or Application with one".to_owned()),
    };
    Diagnostic::new(Code::WrongType, place, crate::sanitize::line(&message, 300)).fix(HELM)
}

fn kind(node: &Node) -> Option<&str> {
    node.get("kind").and_then(Node::text)
}

fn missing(node: &Node, field: &str) -> Diagnostic {
    let message = format!("the {} has no values", kind(node).unwrap_or("document"));
    Diagnostic::new(Code::MissingField, node.place, message).at(field).fix(HELM)
}

/// A step of a path.
enum Step {
    Key(String),
    Index(usize),
}

/// Largest list that a path may address: more than a cluster has arrays.
const MOST_ITEMS: usize = 100;

fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut key = String::new();
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => key.push(chars.next()?),
            '.' | '[' => {
                if !key.is_empty() {
                    steps.push(Step::Key(std::mem::take(&mut key)));
                }
                if c == '[' {
                    let digits: String = chars.by_ref().take_while(|c| *c != ']').collect();
                    let index = digits.parse().ok().filter(|index| *index < MOST_ITEMS)?;
                    steps.push(Step::Index(index));
                }
            }
            other => key.push(other),
        }
    }
    if !key.is_empty() {
        steps.push(Step::Key(key));
    }
    (!steps.is_empty()).then_some(steps)
}

/// Puts a value at the end of a path, and creates the missing nodes.
fn put(node: &mut Node, steps: &[Step], value: &Node) {
    let place = value.place;
    match steps.split_first() {
        None => *node = value.clone(),
        Some((Step::Key(key), rest)) => {
            if node.entries().is_none() {
                *node = Node::empty_map(place);
            }
            let Value::Map(entries) = &mut node.value else { return };
            let index = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
                let value = Node::empty_map(place);
                entries.push(Entry { key: key.clone(), place, value });
                entries.len() - 1
            });
            put(&mut entries[index].value, rest, value);
        }
        Some((Step::Index(index), rest)) => {
            if node.items().is_none() {
                *node = Node { value: Value::List(Vec::new()), place };
            }
            let Value::List(items) = &mut node.value else { return };
            while items.len() <= *index {
                let nothing = Value::Scalar(Scalar::Plain(String::new()));
                items.push(Node { value: nothing, place });
            }
            put(&mut items[*index], rest, value);
        }
    }
}
