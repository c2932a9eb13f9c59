//! Checks the names in an app's objects that refer to its other objects, to their keys, and to ports. Patches and
//! blueprints may contain such names, and Kubernetes accepts dangling ones.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::compiler::blueprint::App;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, Severity, misspelling, nearest};
use crate::compiler::manifest::Object;
use crate::compiler::yaml::{Node, Value};

/// Returns the dangling names in an app's objects.
pub fn references(app: &App, objects: &[Object]) -> Vec<Diagnostic> {
    let all: Vec<(&Object, Json)> =
        objects.iter().filter_map(|object| Some((object, object.to_json().ok()?))).collect();
    let mut checker = ReferenceChecker { app, all: &all, found: Vec::new() };
    for (object, json) in &all {
        checker.named(object, json);
        checker.probes(object, json);
        checker.service(object, json);
        checker.routes(object, json);
    }
    checker.found
}

struct ReferenceChecker<'a> {
    app: &'a App,
    all: &'a [(&'a Object, Json)],
    found: Vec<Diagnostic>,
}

impl ReferenceChecker<'_> {
    fn report(
        &mut self,
        object: &Object,
        name: &str,
        message: &str,
        near: Option<&str>,
        sure: bool,
    ) {
        let (_, kind) = object.type_meta();
        let place = place_of(self.app, name);
        let message = format!("{kind} {}: {message}", object.name());
        let mut diagnostic = Diagnostic::new(Code::UnknownName, place, message);
        diagnostic.fix = near.map(|near| format!("did you mean `{near}`?"));
        if !sure {
            diagnostic.severity = Severity::Warning;
        }
        if !self.found.contains(&diagnostic) {
            self.found.push(diagnostic);
        }
    }

    /// Returns the names of all objects of a kind in this app.
    fn names(&self, kind: &str) -> Vec<&str> {
        let of_kind = self.all.iter().filter(|(object, _)| object.type_meta().1 == kind);
        of_kind.map(|(object, _)| object.name()).collect()
    }

    /// Checks a reference to an object. It may be outside the app, unless the name looks like a misspelled one.
    fn known(&mut self, object: &Object, kind: &str, name: &str) -> bool {
        let names = self.names(kind);
        if names.contains(&name) {
            return true;
        }
        if let Some(near) = misspelling(name, names).map(str::to_owned) {
            let message = format!("this app has no {kind} `{name}`");
            self.report(object, name, &message, Some(&near), false);
        }
        false
    }

    /// Checks Secrets, ConfigMaps, claims and accounts of pods, with their keys.
    fn named(&mut self, object: &Object, json: &Json) {
        match json {
            Json::Object(fields) => {
                let word = |outer: &str, inner: &str| fields.get(outer)?[inner].as_str();
                for (outer, inner, kind) in [
                    ("secretKeyRef", "name", "Secret"),
                    ("secretRef", "name", "Secret"),
                    ("secret", "secretName", "Secret"),
                    ("configMapKeyRef", "name", "ConfigMap"),
                    ("configMapRef", "name", "ConfigMap"),
                    ("configMap", "name", "ConfigMap"),
                    ("persistentVolumeClaim", "claimName", "PersistentVolumeClaim"),
                ] {
                    let Some(name) = word(outer, inner) else { continue };
                    let is_there = self.known(object, kind, name);
                    if let (true, Some(key)) = (is_there, word(outer, "key")) {
                        self.key(object, kind, name, key);
                    }
                }
                fields.values().for_each(|value| self.named(object, value));
            }
            Json::Array(items) => items.iter().for_each(|item| self.named(object, item)),
            _ => {}
        }
    }

    fn key(&mut self, object: &Object, kind: &str, name: &str, key: &str) {
        let mut keys = BTreeSet::new();
        let declared =
            self.app.secrets.values().filter(|secret| kind == "Secret" && secret.name == name);
        keys.extend(declared.flat_map(|secret| secret.keys.keys().cloned()));
        let is_it = |object: &Object| object.type_meta().1 == kind && object.name() == name;
        for (_, json) in self.all.iter().filter(|(object, _)| is_it(object)) {
            for section in ["data", "stringData", "binaryData"] {
                keys.extend(
                    json[section].as_object().into_iter().flatten().map(|(key, _)| key.clone()),
                );
            }
        }
        if !keys.is_empty() && !keys.contains(key) {
            let near = nearest(key, keys.iter().map(String::as_str));
            self.report(
                object,
                key,
                &format!("the {kind} `{name}` has no key `{key}`"),
                near,
                true,
            );
        }
    }

    /// Checks that probes name ports of their own container.
    fn probes(&mut self, object: &Object, json: &Json) {
        for container in containers(json) {
            let names = port_names(container);
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                for action in ["httpGet", "tcpSocket"] {
                    let Some(port) = container[probe][action]["port"].as_str() else { continue };
                    if names.contains(port) || port.parse::<u16>().is_ok() {
                        continue;
                    }
                    let of = container["name"].as_str().unwrap_or_default();
                    let near = nearest(port, names.iter().map(String::as_str));
                    self.report(
                        object,
                        port,
                        &format!("the container `{of}` has no port `{port}`"),
                        near,
                        true,
                    );
                }
            }
        }
    }

    /// Checks that a Service names ports of the pods that it selects.
    fn service(&mut self, object: &Object, json: &Json) {
        let Some(selector) = json["spec"]["selector"].as_object() else { return };
        if object.type_meta().1 != "Service" {
            return;
        }
        let labels = |json: &Json| json["spec"]["template"]["metadata"]["labels"].clone();
        let selected = self.all.iter().filter(|(_, json)| {
            let labels = labels(json);
            labels.is_object() && selector.iter().all(|(key, value)| &labels[key] == value)
        });
        let names: BTreeSet<String> =
            selected.flat_map(|(_, json)| containers(json)).flat_map(port_names).collect();
        if names.is_empty() {
            return;
        }
        for port in json["spec"]["ports"].as_array().into_iter().flatten() {
            let Some(target) = port["targetPort"].as_str() else { continue };
            if !names.contains(target) && target.parse::<u16>().is_err() {
                let near = nearest(target, names.iter().map(String::as_str));
                self.report(
                    object,
                    target,
                    &format!("none of its pods has a port `{target}`"),
                    near,
                    true,
                );
            }
        }
    }

    /// Checks that an Ingress or HTTPRoute names existing Services and ports.
    fn routes(&mut self, object: &Object, json: &Json) {
        let mut backends = Vec::new();
        for rule in json["spec"]["rules"].as_array().into_iter().flatten() {
            for path in rule["http"]["paths"].as_array().into_iter().flatten() {
                let service = &path["backend"]["service"];
                let port = &service["port"];
                let port = if port["name"].is_string() { &port["name"] } else { &port["number"] };
                backends.push((&service["name"], port));
            }
            for backend in rule["backendRefs"].as_array().into_iter().flatten() {
                let elsewhere = backend["namespace"].is_string()
                    || backend["kind"].as_str().is_some_and(|kind| kind != "Service");
                if !elsewhere {
                    backends.push((&backend["name"], &backend["port"]));
                }
            }
        }
        for (name, port) in backends {
            let Some(name) = name.as_str() else { continue };
            if !self.known(object, "Service", name) {
                continue;
            }
            let is_it =
                |object: &Object| object.type_meta().1 == "Service" && object.name() == name;
            let ports = self.all.iter().filter(|(object, _)| is_it(object));
            let ports: Vec<&Json> = ports
                .flat_map(|(_, json)| json["spec"]["ports"].as_array().into_iter().flatten())
                .collect();
            let has = ports.iter().any(|declared| {
                &declared["port"] == port || (port.is_string() && &declared["name"] == port)
            });
            if !port.is_null() && !has {
                let port = port.as_str().map_or_else(|| port.to_string(), str::to_owned);
                let names: Vec<&str> =
                    ports.iter().filter_map(|port| port["name"].as_str()).collect();
                let near = nearest(&port, names).map(str::to_owned);
                self.report(
                    object,
                    &port,
                    &format!("the Service `{name}` has no port `{port}`"),
                    near.as_deref(),
                    true,
                );
            }
        }
    }
}

fn containers(json: &Json) -> impl Iterator<Item = &Json> {
    let spec = match json.pointer("/spec/jobTemplate/spec/template/spec") {
        Some(spec) => spec,
        None => &json["spec"]["template"]["spec"],
    };
    let list = |key: &str| spec[key].as_array().into_iter().flatten();
    list("containers").chain(list("initContainers"))
}

fn port_names(container: &Json) -> BTreeSet<String> {
    let ports = container["ports"].as_array().into_iter().flatten();
    ports.filter_map(|port| port["name"].as_str().map(str::to_owned)).collect()
}

/// Returns the place of a name in the app's patches, or the place that it is derived from.
fn place_of(app: &App, name: &str) -> Place {
    let patches = app.document.get("spec").and_then(|spec| spec.get("patches"));
    let in_patches = patches.and_then(|patches| place_of_text(patches, name));
    let holds = |(json, _): &&(Json, Place)| json.to_string().contains(&format!("\"{name}\""));
    let in_manifests = || app.manifests.iter().find(holds).map(|(_, place)| *place);
    in_patches.or_else(in_manifests).unwrap_or_else(|| app.place("kind"))
}

fn place_of_text(node: &Node, text: &str) -> Option<Place> {
    match &node.value {
        Value::Scalar(scalar) => (scalar.text() == text).then_some(node.place),
        Value::List(items) => items.iter().find_map(|item| place_of_text(item, text)),
        Value::Map(entries) => entries.iter().find_map(|entry| place_of_text(&entry.value, text)),
    }
}
