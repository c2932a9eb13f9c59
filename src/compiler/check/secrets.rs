//! Finds secrets in clear text. App files belong in Git, and every user with read access to a Deployment can read
//! rendered values.
//!
//! The app's document is searched first, so that diagnostics have a place. Then the finished objects are
//! searched, since a blueprint may use a value for a purpose that the document does not show.

use serde_json::Value as Json;

use crate::compiler::blueprint::{App, EnvValue};
use crate::compiler::diagnostic::{Code, Diagnostic, Place, Severity};
use crate::compiler::manifest::Object;
use crate::compiler::spec::{Format, Kind, Looks, Shape, is_secret, looks_secret};
use crate::compiler::yaml::{Node, Value};

/// Start of an option that may be followed by a secret: `--password=…`.
const OPTION: char = '-';

/// Returns the secrets in a document of this shape.
pub fn secrets(node: &Node, shape: &Shape) -> Vec<Diagnostic> {
    let mut finder = Finder { found: Vec::new() };
    finder.fields(node, shape, "");
    finder.found
}

/// Returns the secrets in an app's document, with the environment variable that receives them, if any.
pub fn app_secrets(app: &App, shape: &Shape) -> Vec<Diagnostic> {
    let mut found = secrets(&app.document, shape);
    for diagnostic in &mut found {
        let text = diagnostic.place.and_then(|place| text_at(&app.document, place));
        let key = diagnostic.path.rsplit('.').next().unwrap_or_default();
        if let Some((component, variable)) = text.and_then(|text| variable(app, key, text)) {
            diagnostic.fix = Some(by_reference(component, variable));
        } else if let Some(fix) = by_given(app).filter(|_| diagnostic.path.starts_with(FREE)) {
            diagnostic.fix = Some(fix);
        }
    }
    found
}

/// Returns the secrets in an app's objects that its document does not reveal.
pub fn object_secrets(app: &App, objects: &[Object]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for object in objects {
        let Ok(json) = object.to_json() else { continue };
        let (_, kind) = object.type_meta();
        in_object(&json, kind, &mut |what, text| {
            let place =
                place_of_text(&app.document, text).or_else(|| place_in_manifests(app, object));
            let place = place.unwrap_or_else(|| app.place("kind"));
            let message = format!("{what} of {kind} {} is a secret in clear text", object.name());
            found.push(
                Diagnostic::new(Code::SecretInFile, place, message).fix(
                    "put it into a Secret that is created outside Git, and refer to it: `valueFrom: {secretKeyRef: {name: SECRET, key: KEY}}`",
                ),
            );
        });
    }
    found
}

/// Variables and files of an app file's own, and what to write instead of a secret in them and elsewhere.
const ADDITIONS: &str = "spec.components.";
const BY_KEY: &str = "put it into a Secret that is created outside Git, and refer to its key: `{secret: SECRET/KEY}`";
const BY_PATCH: &str = "put it into a Secret, and refer to it with `spec.patches`: `valueFrom: {secretKeyRef: {name: SECRET, key: KEY}}`";

/// Settings of an app that its blueprint passes on as they are.
const FREE: &str = "spec.config.";

/// Returns the way to secret settings that the app may choose itself, if its blueprint has one.
fn by_given(app: &App) -> Option<String> {
    let settings = |key: &str| format!("spec.{key}.") == FREE;
    let (name, key, declared) = app.secrets.iter().find_map(|(name, secret)| {
        let (key, declared) = secret.keys.iter().find(|(key, declared)| {
            declared.given && settings(key.split('.').next().unwrap_or_default())
        })?;
        Some((name, key, declared))
    })?;
    Some(format!(
        "put it into the key `{key}` of a Secret that is created outside Git ({}), and name the Secret: `secrets: {{{name}: SECRET}}`",
        declared.about
    ))
}

fn by_reference(component: &str, variable: &str) -> String {
    format!(
        "put it into a Secret, and refer to it with `spec.patches`: `target: {{kind: Deployment, component: {component}}}`, with `{{name: {variable}, valueFrom: {{secretKeyRef: {{name: SECRET, key: KEY}}}}}}` in the container's `env`"
    )
}

/// Returns the environment variable that has the text under a key as its value.
fn variable<'a>(app: &'a App, key: &str, text: &str) -> Option<(&'a str, &'a str)> {
    let is =
        |value: &Option<EnvValue>| matches!(value, Some(EnvValue::Text(value)) if value == text);
    let with_text = || {
        app.components.iter().flat_map(|(name, component)| {
            let variables = component.program.env.iter().filter(|(_, value)| is(value));
            variables.map(move |(variable, _)| (name.as_str(), variable.as_str()))
        })
    };
    // Several keys may have the same text.
    with_text().find(|(_, variable)| variable.ends_with(key)).or_else(|| with_text().next())
}

struct Finder {
    found: Vec<Diagnostic>,
}

impl Finder {
    fn report(&mut self, place: Place, path: &str, looks: Looks, fix: &str) {
        let message = match looks {
            Looks::Secret => "a secret in clear text does not belong in a file in Git",
            Looks::Doubtful => "this looks like a secret in clear text",
        };
        let mut diagnostic = Diagnostic::new(Code::SecretInFile, place, message).at(path).fix(fix);
        if looks == Looks::Doubtful {
            diagnostic.severity = Severity::Warning;
        }
        self.found.push(diagnostic);
    }

    /// Searches a value of known shape. Names are evidence only where any text is allowed.
    fn fields(&mut self, node: &Node, shape: &Shape, path: &str) {
        let step =
            |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match (&node.value, &shape.kind) {
            (_, Kind::Anything) => self.object(node, path, ""),
            (_, Kind::Either(shapes)) => {
                let shape = shapes.iter().find(|shape| match (&node.value, &shape.kind) {
                    (Value::Map(_), kind) => matches!(kind, Kind::Object(_) | Kind::Map { .. }),
                    (Value::List(_), kind) => matches!(kind, Kind::List(_)),
                    (Value::Scalar(_), kind) => matches!(kind, Kind::Text { .. }),
                });
                if let Some(shape) = shape {
                    self.fields(node, shape, path);
                }
            }
            (Value::Map(entries), kind) => {
                if path == "spec.patches" || matches!(kind, Kind::Object(_)) && is_patch(node) {
                    return self.patch(node, path);
                }
                for entry in entries {
                    let Some(inner) = shape.inside(&entry.key) else { continue };
                    let path = step(&entry.key);
                    let is_free = match kind {
                        Kind::Map { keys, .. } => *keys == Format::Text,
                        _ => true,
                    };
                    if is_free && matches!(inner.kind, Kind::Anything) {
                        self.free(&entry.key, &entry.value, &path);
                        continue;
                    }
                    let is_named = is_free && is_any_text(inner) || is_of_variables(kind);
                    match entry.value.text().filter(|_| is_named) {
                        Some(text) => self.named(&entry.key, text, entry.value.place, &path),
                        None => self.fields(&entry.value, inner, &path),
                    }
                }
            }
            (Value::List(items), Kind::List(inner)) => {
                for (index, item) in items.iter().enumerate() {
                    self.fields(item, inner, &format!("{path}[{index}]"));
                }
                self.arguments(items, path);
            }
            (Value::Scalar(scalar), _) if is_secret(scalar.text()) => self.bare(node, path),
            _ => {}
        }
    }

    /// Searches a setting of any type.
    fn free(&mut self, name: &str, node: &Node, path: &str) {
        match &node.value {
            Value::Scalar(scalar) => self.named(name, scalar.text(), node.place, path),
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.free(name, item, &format!("{path}[{index}]"));
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    self.free(&entry.key, &entry.value, &format!("{path}.{}", entry.key));
                }
            }
        }
    }

    fn named(&mut self, name: &str, text: &str, place: Place, path: &str) {
        if let Some(looks) = looks_secret(name, text) {
            let fix = if path.starts_with(ADDITIONS) { BY_KEY } else { BY_PATCH };
            self.report(place, path, looks, fix);
        }
    }

    fn bare(&mut self, node: &Node, path: &str) {
        let fix = "put it into a Secret that is created outside Git, and refer to it by name";
        self.report(node.place, path, Looks::Secret, fix);
    }

    /// Searches a patch. Its target determines the meaning of its `data`.
    fn patch(&mut self, node: &Node, path: &str) {
        let target = node.get("target").and_then(|target| target.get("kind"));
        let kind = target.and_then(Node::text).unwrap_or_default();
        if let Some(merge) = node.get("merge") {
            self.object(merge, &format!("{path}.merge"), kind);
        }
        for (index, operation) in
            node.get("json").and_then(Node::items).unwrap_or_default().iter().enumerate()
        {
            let path = format!("{path}.json[{index}]");
            let Some(value) = operation.get("value") else { continue };
            let at = operation.get("path").and_then(Node::text).unwrap_or_default();
            let steps: Vec<&str> = at.split('/').skip(1).collect();
            let in_data = |section: &str| steps.first() == Some(&section);
            if in_data("stringData") || (in_data("data") && kind == "Secret") {
                self.data(value, &path);
            } else if let (["data", key], Some(text)) = (steps.as_slice(), value.text()) {
                self.named(key, text, value.place, &path);
            } else {
                self.object(value, &path, kind);
            }
        }
    }

    /// Searches the data of a Secret: every text in it is a secret.
    fn data(&mut self, node: &Node, path: &str) {
        const FIX: &str = "leave the Secret's data out of Git: create the Secret in the cluster (Sealed Secrets, External Secrets, `kubectl create secret`), and name it under `spec.secrets`";
        match node.entries() {
            Some(entries) => {
                let written = entries
                    .iter()
                    .filter(|entry| entry.value.text().is_some_and(|text| !text.is_empty()));
                for entry in written {
                    let path = format!("{path}.{}", entry.key);
                    self.report(entry.value.place, &path, Looks::Secret, FIX);
                }
            }
            None if node.text().is_some_and(|text| !text.is_empty()) => {
                self.report(node.place, path, Looks::Secret, FIX);
            }
            None => {}
        }
    }

    /// Searches part of a Kubernetes object of a kind.
    fn object(&mut self, node: &Node, path: &str, kind: &str) {
        match &node.value {
            Value::Map(entries) => {
                let own = node.get("kind").and_then(Node::text).unwrap_or(kind);
                let name = node.get("name").and_then(Node::text);
                let value = node.get("value").filter(|value| value.text().is_some());
                if let (Some(name), Some(value)) = (name, value) {
                    let path = format!("{path}.value");
                    self.named(name, value.text().unwrap_or_default(), value.place, &path);
                }
                for entry in entries {
                    let path = format!("{path}.{}", entry.key);
                    match entry.key.as_str() {
                        "stringData" => self.data(&entry.value, &path),
                        "data" if own == "Secret" => self.data(&entry.value, &path),
                        "data" => {
                            for entry in entry.value.entries().unwrap_or_default() {
                                let text = entry.value.text().unwrap_or_default();
                                let path = format!("{path}.{}", entry.key);
                                self.named(&entry.key, text, entry.value.place, &path);
                            }
                        }
                        "value" if name.is_some() => {}
                        _ => self.object(&entry.value, &path, own),
                    }
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.object(item, &format!("{path}[{index}]"), kind);
                }
                self.arguments(items, path);
            }
            Value::Scalar(scalar) if is_secret(scalar.text()) => self.bare(node, path),
            Value::Scalar(_) => {}
        }
    }

    /// Searches arguments of a command: `--password=sesame`, or `--password` and the next argument.
    fn arguments(&mut self, items: &[Node], path: &str) {
        let texts: Vec<&str> = items.iter().map(|item| item.text().unwrap_or_default()).collect();
        for index in secret_arguments(&texts) {
            let path = format!("{path}[{index}]");
            let fix = "set a variable from a Secret, and write `$(VARIABLE)` in its place";
            self.report(items[index].place, &path, Looks::Secret, fix);
        }
    }
}

fn is_patch(node: &Node) -> bool {
    node.get("target").is_some() && (node.get("merge").is_some() || node.get("json").is_some())
}

/// Returns whether the keys of a mapping are variables of a container.
fn is_of_variables(kind: &Kind) -> bool {
    matches!(kind, Kind::Map { keys: Format::Variable, .. })
}

/// Returns whether a field accepts any text.
fn is_any_text(shape: &Shape) -> bool {
    matches!(&shape.kind, Kind::Text { format: Format::Text, choices, .. } if choices.is_empty())
}

/// Returns the indices of arguments that contain a secret.
fn secret_arguments(arguments: &[&str]) -> Vec<usize> {
    let mut found = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        let Some(option) = argument.strip_prefix(OPTION) else { continue };
        let (name, at) = match option.split_once('=') {
            Some((name, value)) => (name, Some((value, index))),
            None => (option, arguments.get(index + 1).map(|value| (*value, index + 1))),
        };
        let Some((value, at)) = at.filter(|(value, _)| !value.starts_with(OPTION)) else {
            continue;
        };
        if looks_secret(name, value) == Some(Looks::Secret) {
            found.push(at);
        }
    }
    found
}

/// Calls `report` for every secret in a finished object, with a description and the text.
fn in_object(json: &Json, kind: &str, report: &mut dyn FnMut(String, &str)) {
    if kind == "Secret" {
        for section in ["data", "stringData"] {
            for (key, value) in json[section].as_object().into_iter().flatten() {
                if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
                    report(format!("the key `{key}`"), text);
                }
            }
        }
        return;
    }
    if kind == "ConfigMap" {
        for (key, value) in json["data"].as_object().into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            if !text.contains('\n') && looks_secret(key, text) == Some(Looks::Secret) {
                report(format!("the key `{key}`"), text);
            }
        }
    }
    variables(json, report);
}

fn variables(json: &Json, report: &mut dyn FnMut(String, &str)) {
    match json {
        Json::Object(fields) => {
            for variable in fields.get("env").and_then(Json::as_array).into_iter().flatten() {
                let word = |key: &str| variable[key].as_str().unwrap_or_default();
                if looks_secret(word("name"), word("value")) == Some(Looks::Secret) {
                    report(format!("the variable `{}`", word("name")), word("value"));
                }
            }
            for key in ["args", "command"] {
                let list = fields.get(key).and_then(Json::as_array).into_iter().flatten();
                let texts: Vec<&str> = list.map(|item| item.as_str().unwrap_or_default()).collect();
                for index in secret_arguments(&texts) {
                    report(format!("an item of `{key}`"), texts[index]);
                }
            }
            fields.values().for_each(|value| variables(value, report));
        }
        Json::Array(items) => items.iter().for_each(|item| variables(item, report)),
        _ => {}
    }
}

/// Returns the place of a text in a document.
fn place_of_text(node: &Node, text: &str) -> Option<Place> {
    match &node.value {
        Value::Scalar(scalar) => (scalar.text() == text).then_some(node.place),
        Value::List(items) => items.iter().find_map(|item| place_of_text(item, text)),
        Value::Map(entries) => entries.iter().find_map(|entry| place_of_text(&entry.value, text)),
    }
}

/// Returns the text at a place of a document.
fn text_at(node: &Node, place: Place) -> Option<&str> {
    match &node.value {
        Value::Scalar(scalar) => (node.place == place).then_some(scalar.text()),
        Value::List(items) => items.iter().find_map(|item| text_at(item, place)),
        Value::Map(entries) => entries.iter().find_map(|entry| text_at(&entry.value, place)),
    }
}

fn place_in_manifests(app: &App, object: &Object) -> Option<Place> {
    let (_, kind) = object.type_meta();
    let is = |json: &Json| json["kind"] == kind && json["metadata"]["name"] == object.name();
    app.manifests.iter().find(|(json, _)| is(json)).map(|(_, place)| *place)
}
