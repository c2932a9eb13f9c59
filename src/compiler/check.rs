//! Rules over apps and their objects: one rule, one code, one message.
//!
//! [`compile`](crate::compiler::compile) checks which volumes an app may have, because the same decision creates
//! the objects. The rules of this folder need finished objects, several apps, or a baseline. They know neither
//! files nor Kubernetes' API server.

mod across_apps;
mod additions;
mod baseline;
mod claims;
mod folders;
mod foreign;
mod images;
mod names;
mod networks;
mod no_effect;
mod node_service;
mod references;
mod refused;
mod secrets;
mod storage;
mod storage_since;
mod tenant;

pub use across_apps::{AcrossApps, Facts, Reference, SharedNamespace};
pub use baseline::{Change, Owner, changes, since};
pub use claims::claims_since;
pub use references::references;
pub use refused::{refused, refused_storage};
pub use secrets::{app_secrets, object_secrets, secrets};
pub use storage::{
    LONGEST_CLUSTER, Storages, is_block_option, is_file_option, storage, storage_advice, tokens,
};
pub use tenant::{tenant, tenant_blueprints, tenant_objects, tenant_storage};

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::compiler::blueprint::{App, Secret};
use crate::compiler::compile::{Compiled, OWN_LABELS};
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::manifest::{Object, pod_security};
use crate::compiler::spec::{Format, Profile, Tls, Via};
use crate::compiler::yaml::Node;
use crate::contract::annotation;
use crate::contract::{ClassSnapshots, SnapshotPolicy, SnapshotSchedule};
use crate::sanitize::quoted;

/// Returns the errors and warnings of one app. `today` is the day of the run, such as `2026-12-24`.
pub fn app(app: &App, today: &str) -> Vec<Diagnostic> {
    let mut found = Vec::from_iter(expired(app, today));
    found.extend(namespace(app));
    found.extend(expose(app));
    found.extend(labels(app));
    found.extend(scales(app));
    found.extend(sizes(app));
    found.extend(snapshots(app));
    found.extend(additions::additions(app));
    found.extend(networks::networks(app));
    found.extend(networks::servers(app));
    found.extend(claims::within(app));
    found.extend(no_effect::no_effect(app));
    found.extend(node_service::missing(app));
    found
}

/// Returns the errors and warnings of an app's objects.
pub fn objects(app: &App, compiled: &Compiled) -> Vec<Diagnostic> {
    let mut found = Vec::from_iter(names::names(app, &compiled.objects));
    found.extend(names::services(app, &compiled.objects));
    found.extend(images::images(app, &compiled.objects));
    found.extend(profile(app, compiled));
    found.extend(twice(app, &compiled.objects));
    found.extend(foreign::foreign(app, &compiled.objects));
    found
}

/// Checks that the objects meet the profile of the file: patches and blueprints can need a weaker one.
fn profile(app: &App, compiled: &Compiled) -> Option<Diagnostic> {
    // An app file without a profile must not weaken the Pod Security labels of a whole Namespace.
    let wanted = app.common.security.profile.unwrap_or(Profile::Baseline);
    (compiled.profile < wanted).then(|| {
        let path = "spec.security.profile";
        let message = format!(
            "the app meets `{}`, not `{}`: {}",
            compiled.profile.word(),
            wanted.word(),
            pod_security::reasons(&compiled.objects, wanted).join("; "),
        );
        Diagnostic::new(Code::SecurityProfile, app.place(path), message).at(path).fix(format!(
            "write `profile: {}`, or change the fields that need more",
            compiled.profile.word()
        ))
    })
}

/// Checks that a blueprint's manifests do not repeat an object of the compiler.
fn twice(app: &App, objects: &[Object]) -> Vec<Diagnostic> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for object in objects {
        let mut identity = String::new();
        object.describe(&mut identity);
        if !seen.insert(identity.clone()) {
            let message = format!("the app renders {identity} twice");
            found.push(
                Diagnostic::new(Code::Collision, app.place("kind"), message)
                    .at("kind")
                    .fix("give the object in the blueprint's `manifests` another name, or use `spec.patches`"),
            );
        }
    }
    found
}

/// Checks that an autoscaler's maximum is at least its minimum.
fn scales(app: &App) -> Vec<Diagnostic> {
    let pods = app.components.iter().map(|(name, component)| (name, component.serving.pods));
    let invalid = pods.filter(|(_, pods)| pods.fewest() > pods.most());
    invalid
        .map(|(name, pods)| {
            let (min, max) = (pods.fewest(), pods.most());
            let message = format!("`{name}` has a minimum of {min} pods and a maximum of {max}");
            let path = app.scaled_by.get(name).map_or_else(
                || format!("components.{name}.pods"),
                |parameter| format!("spec.{parameter}"),
            );
            Diagnostic::new(Code::BadValue, app.place(&path), message)
                .at(path)
                .fix(format!("write `{{min: {max}, max: {min}}}`"))
        })
        .collect()
}

/// A size without a unit is in bytes, most often by mistake.
fn sizes(app: &App) -> Vec<Diagnostic> {
    const SMALLEST: u64 = 1 << 20;
    let small = app.volumes.iter().filter(|(_, volume)| volume.size.bytes() < SMALLEST);
    small
        .map(|(name, volume)| {
            let path = format!("spec.volumes.{name}");
            let place = app.document.place_of(path.split('.').chain(["size"]));
            let message = format!("`{}` is less than 1Mi", volume.size);
            let diagnostic = Diagnostic::new(Code::BadSize, place, message).at(path);
            let digits = volume.size.text().trim_end_matches(|c: char| !c.is_ascii_digit());
            diagnostic.fix(format!("did you mean `{digits}Gi`?"))
        })
        .collect()
}

/// Checks snapshot schedules: those that cannot be met, and those of existing claims, which have no effect.
fn snapshots(app: &App) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (name, volume) in &app.volumes {
        let Some(snapshots) = volume.snapshots else { continue };
        let path = ["spec", "volumes", name, "snapshots"];
        if let Some(claim) = &volume.claim {
            let place = app.document.place_of(path);
            let message =
                format!("`{claim}` is an existing claim, whose own annotation sets its snapshots");
            let fix = format!(
                "remove it, and annotate the claim: `{}: {snapshots}`",
                annotation::SNAPSHOTS
            );
            found.push(Diagnostic::new(Code::BadValue, place, message).at(path.join(".")).fix(fix));
        }
        let floor = volume.class.snapshots.filter(|floor| !floor.claims_may_reduce);
        if let Some(floor) = floor.map(ClassSnapshots::schedule)
            && volume.claim.is_none()
            && snapshots.is_below(floor)
        {
            let place = app.document.place_of(path);
            let message = format!(
                "`{snapshots}` keeps less than the class `{}` requires: {}",
                volume.class.name,
                SnapshotPolicy::Every(floor),
            );
            let fix = format!(
                "remove it, or keep {} or more; the platform admin can set `claimsMayReduce: true` on the class",
                floor.keep
            );
            found.push(Diagnostic::new(Code::BadValue, place, message).at(path.join(".")).fix(fix));
        }
        if let SnapshotPolicy::Every(schedule) = snapshots {
            found.extend(schedule_at(schedule, &app.document, &path));
        }
    }
    found
}

/// Returns the error of a schedule at a path, if it has one.
fn schedule_at(schedule: SnapshotSchedule, document: &Node, path: &[&str]) -> Option<Diagnostic> {
    let (field, message) = schedule.out_of_range()?;
    let place = document.place_of(path.iter().copied().chain([field]));
    let path = format!("{}.{field}", path.join("."));
    let fix = "write for example `{every: 15m, keep: 96}`, `{every: 6h, keep: 28}` or `{every: 1d, keep: 30}`";
    Some(Diagnostic::new(Code::BadValue, place, message).at(path).fix(fix))
}

/// A RoleBinding must name the namespace of its account; nothing adds it later.
fn namespace(app: &App) -> Option<Diagnostic> {
    let fills = app.secrets.values().any(Secret::is_filled);
    (fills && app.namespace.is_none()).then(|| {
        let path = "metadata";
        let message = "`namespace` is missing: the step that fills the app's Secrets gets its rights in one namespace";
        Diagnostic::new(Code::MissingField, app.place(path), message)
            .at(path)
            .fix("write `namespace: NAME` (or `--namespace`), or name existing Secrets under `spec.secrets`")
    })
}

/// pso-gen sets the labels that identify its objects.
fn labels(app: &App) -> Vec<Diagnostic> {
    let written = app.document.get("metadata").and_then(|metadata| metadata.get("labels"));
    let entries = written.and_then(Node::entries).unwrap_or_default().iter();
    let taken = entries.filter(|entry| OWN_LABELS.contains(&entry.key.as_str()));
    taken
        .map(|entry| {
            let path = format!("metadata.labels.{}", entry.key);
            let message = format!("`{}` is reserved: pso-gen finds its objects by it", entry.key);
            Diagnostic::new(Code::BadValue, entry.place, message).at(path).fix("remove it")
        })
        .collect()
}

/// Returns an error if an app's last day has passed. `today` is empty in runs that do not check it.
fn expired(app: &App, today: &str) -> Option<Diagnostic> {
    let last = app.expires.as_deref()?;
    let path = "spec.expires";
    // A blueprint may compute the day from any value.
    if !Format::Date.accepts(last) {
        let message = format!("expected {}, found {}", Format::Date.phrase(), quoted(last));
        return Some(Diagnostic::new(Code::BadValue, app.place(path), message).at(path));
    }
    let is_over = last.parse::<Date>().ok()? < today.parse().ok()?;
    is_over.then(|| {
        let message = format!("{} ended on {last}", app.name);
        Diagnostic::new(Code::Expired, app.place(path), message)
            .at(path)
            .fix("remove the file (`pso-gen expired --delete` does), or write a later day")
    })
}

fn expose(app: &App) -> Vec<Diagnostic> {
    let expose = &app.common.expose;
    let mut found = Vec::new();
    if app.exposed.is_empty() {
        return found;
    }
    let at = |code: Code, path: &str, message: String| {
        Diagnostic::new(code, app.place(path), message).at(path)
    };
    if expose.via == Via::Gateway && expose.gateway.is_none() {
        let message = "`via: gateway` needs the Gateway to attach to".to_owned();
        found.push(
            at(Code::MissingField, "spec.expose", message).fix("write `gateway: NAMESPACE/NAME`"),
        );
    }
    let plain = match expose.tls {
        Tls::Off => expose.via != Via::None,
        Tls::Elsewhere => false,
        Tls::Standard | Tls::Secret(_) => expose.via == Via::NodePort,
    };
    if plain {
        let message =
            format!("`{}` without TLS: passwords are sent unencrypted", expose.via.word());
        found.push(
            at(Code::PlainHttp, "spec.expose", message)
                .fix("use `via: ingress` or `via: gateway` with TLS, or write `tls: elsewhere` if a proxy in front of it ends TLS"),
        );
    }
    found.extend(ingress_limit(app));
    found
}

/// An Ingress has no fields for limits, so the default class of the cluster has its own.
fn ingress_limit(app: &App) -> Option<Diagnostic> {
    // That of nginx, the strictest of the widespread controllers.
    const USUAL: u64 = 1 << 20;
    let expose = &app.common.expose;
    if expose.via != Via::Ingress || expose.class.is_some() || !expose.annotations.is_empty() {
        return None;
    }
    let bodies = app.exposed.iter().filter_map(|exposed| exposed.max_body.as_ref());
    let largest = bodies.max_by_key(|body| body.bytes()).filter(|body| body.bytes() > USUAL)?;
    let path = "spec.expose.class";
    let message = format!(
        "uploads of up to {} pass through the cluster's default ingress class, whose limit is unknown here: nginx refuses more than 1Mi",
        largest.text()
    );
    let fix = "write `expose: {class: nginx}` or `haproxy`, whose limits are then set, or the `annotations` of your controller";
    Some(Diagnostic::new(Code::IngressLimit, app.place(path), message).at(path).fix(fix))
}
