//! Checks that the classes of an app's volumes allow its settings. Errors are reported at the field that must
//! change.

use crate::compiler::blueprint::{App, AppVolume, ClassKind, Pods};
use crate::compiler::diagnostic::{Code, Diagnostic, Place};
use crate::compiler::spec::{Ownership, Profile};

/// Returns the errors of all volumes of an app.
pub(super) fn rules(app: &App) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for (name, volume) in &app.volumes {
        match volume.class.kind {
            ClassKind::Block => shared(app, name, volume, &mut diagnostics),
            ClassKind::File => node_local_locks(app, name, volume, &mut diagnostics),
        }
    }
    diagnostics.extend(jobs(app));
    diagnostics.extend(profile(app));
    diagnostics
}

/// Returns the path of the field that sets the class of a volume, or else of the number of pods that conflicts with it.
/// If the app file has neither, both are the blueprint's.
fn class_path(app: &App, volume: &str, component: &str) -> String {
    let path = format!("spec.volumes.{volume}");
    let written = app.common.volumes.get(volume).is_some_and(|spec| spec.class.is_some());
    let pods = app.scaled_by.get(component).map(|parameter| format!("spec.{parameter}"));
    let has = |path: &str| path.split('.').try_fold(&app.document, |node, step| node.get(step));
    pods.filter(|pods| !written && has(pods).is_some()).unwrap_or(path)
}

/// Returns the fix for a volume that only one pod may mount.
fn one_pod(app: &App, component: &str, other: &str) -> String {
    match app.scaled_by.get(component) {
        Some(parameter) => format!("write `{parameter}: 1`, or {other}"),
        None => other.to_owned(),
    }
}

/// A job that shares a block volume with a component runs on the node of that component's pod. Two components may run
/// on two nodes.
fn jobs(app: &App) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (name, job) in &app.jobs {
        let block = app.mounted(&job.program).filter(|(_, volume)| is_block(volume));
        let owned = block.filter_map(|(volume, _)| {
            let users = app.components.iter().filter(|(_, component)| {
                component.program.mounts.get(volume).is_some_and(Option::is_some)
            });
            Some((volume, users.map(|(component, _)| component).next()?))
        });
        let owned: Vec<(&str, &String)> = owned.collect();
        let Some((first, at_first)) = owned.first() else { continue };
        let Some((second, at_second)) = owned.iter().find(|(_, other)| other != at_first) else {
            continue;
        };
        let message = format!(
            "the job `{name}` mounts the block volumes `{first}` of `{at_first}` and `{second}` of `{at_second}`, and their pods may run on different nodes"
        );
        let path = class_path(app, second, at_second);
        found.push(
            Diagnostic::new(Code::BlockShared, at(app, &path), message)
                .at(&path)
                .fix(format!("give `{first}` or `{second}` a file class such as `pure-file`")),
        );
    }
    found
}

fn is_block(volume: &AppVolume) -> bool {
    volume.class.kind == ClassKind::Block
}

fn at(app: &App, path: &str) -> Place {
    // In the long form, the class is the relevant field.
    let class = path.starts_with("spec.volumes.").then_some("class");
    app.document.place_of(path.split('.').chain(class))
}

fn shared(app: &App, name: &str, volume: &AppVolume, diagnostics: &mut Vec<Diagnostic>) {
    let users: Vec<_> = app
        .components
        .iter()
        .filter(|(_, component)| component.program.mounts.get(name).is_some_and(Option::is_some))
        .collect();
    let class = &volume.class.name;
    for (component, user) in &users {
        let path = class_path(app, name, component);
        let pods = user.serving.pods;
        if pods.most() < 2 {
            continue;
        }
        let count = match pods {
            Pods::Scale(scale) => format!("up to {} pods", scale.max),
            _ => format!("{} pods", pods.most()),
        };
        let message = format!(
            "`{class}` is block storage, attached to one node at a time, and `{component}` mounts `{name}` in {count}"
        );
        diagnostics.push(
            Diagnostic::new(Code::BlockShared, at(app, &path), message).at(&path).fix(one_pod(
                app,
                component,
                &format!("give `{name}` a file class such as `pure-file`"),
            )),
        );
    }
    if let [(first, _), (second, _), ..] = users.as_slice() {
        let path = format!("spec.volumes.{name}");
        let message = format!(
            "`{class}` is block storage, attached to one node at a time, and both `{first}` and `{second}` mount `{name}`"
        );
        diagnostics.push(
            Diagnostic::new(Code::BlockShared, at(app, &path), message)
                .at(&path)
                .fix(format!("give `{name}` a file class such as `pure-file`")),
        );
    }
}

/// With `nolock`, a lock applies to one node only, so every pod would acquire it.
fn node_local_locks(app: &App, name: &str, volume: &AppVolume, diagnostics: &mut Vec<Diagnostic>) {
    if !volume.class.node_local_locks {
        return;
    }
    for (component, user) in &app.components {
        let locks = user.serving.before.iter().any(|step| step.lock.as_deref() == Some(name));
        if locks && user.serving.pods.most() > 1 {
            let path = class_path(app, name, component);
            let fix = one_pod(app, component, "use another class");
            let message = format!(
                "`{}` mounts with `nolock`, so the pods of `{component}` cannot prevent each other from installing at the same time",
                volume.class.name
            );
            diagnostics.push(
                Diagnostic::new(Code::NodeLocalLock, at(app, &path), message)
                    .at(&path)
                    .fix(format!("remove `nolock` from the class, {fix}")),
            );
        }
    }
}

/// Changing the owner of an NFS folder needs root once, and a restricted pod cannot run as root.
fn profile(app: &App) -> Option<Diagnostic> {
    let security = &app.common.security;
    if security.profile != Some(Profile::Restricted) || security.ownership != Ownership::Init {
        return None;
    }
    let given = app
        .volumes
        .iter()
        .filter(|(_, volume)| volume.class.kind == ClassKind::File && volume.owner.is_some());
    let names: Vec<&str> = given.map(|(name, _)| name.as_str()).collect();
    let path = "spec.security.profile";
    let message = format!(
        "`restricted` forbids the step that changes the owner of file volumes as root (`{}`)",
        names.join("`, `")
    );
    (!names.is_empty()).then(|| {
        Diagnostic::new(Code::SecurityProfile, at(app, path), message)
            .at(path)
            .fix("start the app once with `profile: baseline`, which sets the owner, and then write `ownership: check` with this profile")
    })
}
