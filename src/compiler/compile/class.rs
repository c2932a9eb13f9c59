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
    diagnostics.extend(profile(app));
    diagnostics
}

/// Returns the path of the field that sets the class of a volume, or else of the setting that conflicts with it.
fn class_path(app: &App, volume: &str) -> String {
    let path = format!("spec.volumes.{volume}");
    let written = app.common.volumes.get(volume).is_some_and(|spec| spec.class.is_some());
    if written { path } else { "spec.replicas".to_owned() }
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
    let path = class_path(app, name);
    let class = &volume.class.name;
    for (component, user) in &users {
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
            Diagnostic::new(Code::BlockShared, at(app, &path), message).at(&path).fix(format!(
                "write `replicas: 1`, or give `{name}` a file class such as `pure-file`"
            )),
        );
    }
    if let [(first, _), (second, _), ..] = users.as_slice() {
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
            let path = class_path(app, name);
            let message = format!(
                "`{}` mounts with `nolock`, so the pods of `{component}` cannot prevent each other from installing at the same time",
                volume.class.name
            );
            diagnostics.push(
                Diagnostic::new(Code::NodeLocalLock, at(app, &path), message).at(&path).fix(
                    "remove `nolock` from the class, write `replicas: 1`, or use another class",
                ),
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
            .fix("write `ownership: array` if the array sets the owner, or `profile: baseline`")
    })
}
