//! Reports the objects that the API server would refuse, at the field of the app that causes it.

use super::across_apps::NodePort;
use crate::compiler::blueprint::App;
use crate::compiler::compile::Compiled;
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::manifest::Object;
use crate::compiler::manifest::refused::{Refusal, refused as of};
use crate::compiler::yaml::Node;
use crate::contract::label;

/// Returns the reasons for which the API server would refuse an app's objects. Patches are checked separately.
pub fn refused(app: &App, compiled: &Compiled) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for object in &compiled.objects {
        for refusal in of(object) {
            let diagnostic = diagnostic_of(app, object, &refusal);
            // The same toleration is in every pod.
            if !found.iter().any(|other: &Diagnostic| {
                other.place == diagnostic.place && other.path == diagnostic.path
            }) {
                found.push(diagnostic);
            }
        }
    }
    found.extend(ports(app, &compiled.objects));
    found
}

fn diagnostic_of(app: &App, object: &Object, refusal: &Refusal) -> Diagnostic {
    let kind = object.type_meta().1;
    let message = format!(
        "{} refuses {kind} {}: `{}`: {}",
        refusal.by,
        object.name(),
        refusal.field,
        refusal.message
    );
    let manifest = app
        .manifests
        .iter()
        .find(|(json, _)| json["kind"] == kind && json["metadata"]["name"] == object.name());
    if let Some((_, place)) = manifest {
        return Diagnostic::new(Code::Refused, *place, message)
            .at("manifests")
            .fix(refusal.fix.clone());
    }
    let path = origin(app, object, &refusal.field);
    let place = app.document.place_of(path.iter().map(String::as_str));
    let steps: Vec<&str> = path.iter().map(String::as_str).collect();
    Diagnostic::new(Code::Refused, place, message).at(shown(&steps)).fix(refusal.fix.clone())
}

/// Returns the path in the app file that a field of an object is derived from.
fn origin(app: &App, object: &Object, field: &str) -> Vec<String> {
    let steps: Vec<&str> = field.split(['.', '[', ']']).filter(|step| !step.is_empty()).collect();
    let after = |word: &str| steps.iter().position(|step| *step == word).map(|at| &steps[at + 1..]);
    let path = |steps: &[&str]| steps.iter().map(|step| (*step).to_owned()).collect();
    let labels = object.metadata().labels.as_ref();
    let component = labels.and_then(|labels| labels.get(label::COMPONENT));
    let component = component.map_or("", String::as_str);
    if let Some(added) = origin_of_an_addition(app, component, field) {
        return added;
    }
    if let Some(rest) = after("tolerations") {
        return path(&[&["spec", "place", "tolerations"], rest].concat());
    }
    if let Some(rest) = after("resources") {
        // Names of devices contain dots.
        let tail = field.rsplit_once(".resources").map_or("", |(_, tail)| tail);
        let resource = tail.split_once('[').map_or("", |(_, key)| key.trim_end_matches(']'));
        let kind = rest.first().copied().unwrap_or_default();
        let whole = ["spec", "resources", component, kind, resource];
        return path(
            whole.into_iter().filter(|step| !step.is_empty()).collect::<Vec<_>>().as_slice(),
        );
    }
    let pods = match app.scaled_by.get(component) {
        Some(parameter) => vec!["spec", parameter.as_str()],
        None => vec!["components", component, "pods"],
    };
    let known = [
        ("nodeSelector", &["spec", "place", "nodeSelector"][..]),
        ("priorityClassName", &["spec", "place", "priorityClass"]),
        ("imagePullSecrets", &["spec", "pullSecrets"]),
        ("hostnames", &["spec", "hosts"]),
        ("rules", &["spec", "hosts"]),
        ("nodePort", &["spec", "expose", "nodePort"]),
        ("ingressClassName", &["spec", "expose", "class"]),
        ("ipBlock", &["spec", "network"]),
        ("image", &["spec", "images", component]),
        ("minReplicas", &pods[..]),
        ("maxReplicas", &pods[..]),
        ("replicas", &pods[..]),
        ("accessModes", &["spec", "volumes"]),
        ("schedule", &["spec"]),
        ("labels", &["metadata", "labels"]),
    ];
    if let Some((_, known)) = known.iter().find(|(word, _)| steps.contains(word)) {
        return path(known);
    }
    if steps.contains(&"annotations") {
        let is_route = matches!(object, Object::Ingress(_) | Object::HttpRoute(_))
            && !app.common.expose.annotations.is_empty();
        return path(if is_route {
            &["spec", "expose", "annotations"]
        } else {
            &["metadata", "annotations"]
        });
    }
    path(&["kind"])
}

/// Returns the path of an addition to a component or job that a field of its pods is derived from.
fn origin_of_an_addition(app: &App, component: &str, field: &str) -> Option<Vec<String>> {
    let additions = app.additions.get(component)?;
    let own = |part: &str, steps: &[&str]| {
        let steps = [&["spec", "components", part], steps].concat();
        steps.into_iter().map(str::to_owned).collect()
    };
    let steps: Vec<&str> = field.split(['.', '[', ']']).filter(|step| !step.is_empty()).collect();
    let after = |word: &str| steps.iter().position(|step| *step == word).map(|at| &steps[at + 1..]);
    if let Some([index, rest @ ..]) = after("containers")
        && let Some(beside) = index.parse::<usize>().ok().and_then(|index| index.checked_sub(1))
    {
        let at = beside.to_string();
        return Some(own(component, &[&["sidecars", at.as_str()], rest].concat()));
    }
    let places = [
        ("tolerations", "tolerations"),
        ("nodeSelector", "nodeSelector"),
        ("priorityClassName", "priorityClass"),
    ];
    let (word, placed) = places.iter().find(|(word, _)| steps.contains(word))?;
    additions.place.as_ref()?;
    // A job has the nodes of the component that it is like.
    let like = || app.jobs.get(component)?.schedule.like.as_deref();
    let writes =
        |part: &str| app.common.components.get(part).is_some_and(|own| own.place.is_some());
    let part = Some(component).filter(|part| writes(part)).or_else(like)?;
    let rest = after(word).unwrap_or_default();
    Some(own(part, &[&["place", *placed], rest].concat()))
}

/// Returns the reasons for which the API server would refuse the objects of a storage document.
pub fn refused_storage(objects: &[Object], document: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for object in objects {
        for refusal in of(object) {
            let steps: Vec<&str> =
                refusal.field.split(['.', '[', ']']).filter(|step| !step.is_empty()).collect();
            let after = |word: &str| {
                steps.iter().position(|step| *step == word).map(|at| steps[at..].to_vec())
            };
            let field = after("tolerations")
                .or_else(|| after("nodeSelector"))
                .map(|rest| [&["place"], rest.as_slice()].concat());
            let field =
                field.or_else(|| after("resources")).or_else(|| after("image")).unwrap_or_default();
            let path = [&["spec", "provisioner"], field.as_slice()].concat();
            let kind = object.type_meta().1;
            let message = format!(
                "{} refuses {kind} {}: `{}`: {}",
                refusal.by,
                object.name(),
                refusal.field,
                refusal.message
            );
            found.push(
                Diagnostic::new(Code::Refused, document.place_of(path.iter().copied()), message)
                    .at(shown(&path))
                    .fix(refusal.fix),
            );
        }
    }
    found
}

/// Formats steps as a path.
pub(super) fn shown(steps: &[&str]) -> String {
    steps.iter().fold(String::new(), |shown, step| match step.parse::<usize>() {
        Ok(_) => format!("{shown}[{step}]"),
        Err(_) if shown.is_empty() => (*step).to_owned(),
        Err(_) => format!("{shown}.{step}"),
    })
}

/// Returns an error if two Services of an app use the same port of the nodes.
fn ports(app: &App, objects: &[Object]) -> Option<Diagnostic> {
    let mut seen: Vec<NodePort> = Vec::new();
    for port in objects.iter().flat_map(NodePort::of) {
        let same = seen
            .iter()
            .find(|other| (other.number, &other.protocol) == (port.number, &port.protocol));
        if let Some(other) = same.filter(|other| other.service != port.service) {
            let path = "spec.expose.nodePort";
            let message = format!(
                "the Services `{}` and `{}` both use the node port {}",
                other.service, port.service, port.number
            );
            return Some(Diagnostic::new(Code::Refused, app.place(path), message).at(path).fix(
                "remove it, so that Kubernetes chooses one for each, or set them by `spec.patches`",
            ));
        }
        seen.push(port);
    }
    None
}
