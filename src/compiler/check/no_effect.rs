//! Settings without effect, because another setting takes precedence.

use crate::compiler::blueprint::{App, ClassKind};
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::spec::{Egress, Tls, Via};
use crate::compiler::yaml::{Node, Value};

/// Returns the settings of an app that have no effect.
pub(super) fn no_effect(app: &App) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut report = |path: &str, why: String, fix: &str| {
        let written = path.split('.').try_fold(&app.document, |node, step| node.get(step));
        if written.is_some_and(|node| !node.is_null()) {
            let message = format!("it has no effect {why}");
            found.push(Diagnostic::new(Code::NoEffect, app.place(path), message).at(path).fix(fix));
        }
    };
    let expose = &app.common.expose;
    let all = ["class", "gateway", "tls", "issuer", "annotations", "nodePort"];
    if app.exposed.is_empty() {
        for field in ["via"].iter().chain(&all) {
            report(
                &format!("spec.expose.{field}"),
                "in an app that exposes no port".to_owned(),
                "remove it",
            );
        }
    } else {
        let useless: &[&str] = match expose.via {
            Via::Ingress => &["gateway", "nodePort"],
            Via::Gateway => &["class", "issuer", "nodePort"],
            Via::NodePort => &["class", "gateway", "tls", "issuer", "annotations"],
            Via::None => &all,
        };
        // That a proxy in front ends TLS counts for every `via`.
        let elsewhere = |field: &str| field == "tls" && expose.tls == Tls::Elsewhere;
        for field in useless.iter().filter(|field| !elsewhere(field)) {
            let why = format!("with `via: {}`", expose.via.word());
            report(&format!("spec.expose.{field}"), why, "remove it, or choose another `via`");
        }
        if expose.via == Via::Ingress && matches!(expose.tls, Tls::Off | Tls::Elsewhere) {
            report(
                "spec.expose.issuer",
                "without TLS at the Ingress: there is no certificate to fill".to_owned(),
                "remove it, or `tls`",
            );
        }
        if matches!(expose.via, Via::Gateway) && matches!(expose.tls, Tls::Secret(_)) {
            report(
                "spec.expose.tls",
                "with `via: gateway`: the certificate is that of the Gateway's listener".to_owned(),
                "remove it",
            );
        }
    }
    let network = &app.common.network;
    if network.egress == Egress::Open {
        report(
            "spec.network.to",
            "with `egress: open`: the pods may connect there already".to_owned(),
            "remove it, or write `egress: closed`",
        );
    }
    if app.exposed.is_empty() {
        report("spec.network.from", "in an app that exposes no port".to_owned(), "remove it");
    }
    let makes_files = app
        .volumes
        .values()
        .any(|volume| volume.class.kind == ClassKind::File && volume.owner.is_some());
    if !makes_files {
        report(
            "spec.security.ownership",
            "in an app without volumes on a file class".to_owned(),
            "remove it",
        );
    }
    for (name, _) in app.volumes.iter().filter(|(_, volume)| volume.claim.is_some()) {
        let path = format!("spec.volumes.{name}.size");
        report(&path, "on an existing claim, which has a size".to_owned(), "remove it");
    }
    let programs = || app.components.keys().chain(app.jobs.keys());
    let common = &app.common;
    let sections: [(&str, Vec<&String>); 3] = [
        ("images", common.images.keys().collect()),
        ("resources", common.resources.keys().collect()),
        ("components", common.components.keys().collect()),
    ];
    for (section, names) in sections {
        // The step that fills Secrets is no component.
        let absent = |name: &&&String| **name != "secrets" && !programs().any(|own| own == **name);
        for name in names.iter().filter(absent) {
            let path = format!("spec.{section}.{name}");
            report(&path, format!("in an app whose settings leave `{name}` out"), "remove it");
        }
    }
    found.extend(empty(&app.document));
    found
}

/// Returns the empty lists and mappings in the app file. In a layer, they remove the file's values.
pub(super) fn empty(document: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if let Some(spec) = document.get("spec") {
        gather(spec, "spec", document, &mut found);
    }
    found
}

/// Fields with free content, where no key is a setting of pso-gen.
const FREE: [&str; 4] = ["patches", "config", "env", "nodeSelector"];

fn gather(node: &Node, path: &str, document: &Node, found: &mut Vec<Diagnostic>) {
    for entry in node.entries().unwrap_or_default() {
        let at = format!("{path}.{}", entry.key);
        let value = &entry.value;
        // In place of that of the app, an empty one lifts it.
        let is_meant = entry.key == "place" && path.starts_with("spec.components.");
        let nothing = match &value.value {
            _ if is_meant => None,
            Value::List(items) if items.is_empty() => Some("list"),
            Value::Map(entries) if entries.is_empty() => Some("mapping"),
            _ => None,
        };
        match nothing {
            Some(what) if value.place.source == document.place.source => {
                let message = format!("an empty {what} is the same as none");
                found.push(
                    Diagnostic::new(Code::NoEffect, value.place, message).at(at).fix("remove it"),
                );
            }
            None if !FREE.contains(&entry.key.as_str()) => gather(value, &at, document, found),
            _ => {}
        }
    }
    for (index, item) in node.items().unwrap_or_default().iter().enumerate() {
        gather(item, &format!("{path}[{index}]"), document, found);
    }
}
