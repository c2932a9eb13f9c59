//! Compares the folders of claims that an app uses with those of a baseline. The claims themselves are compared elsewhere.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::compiler::blueprint::App;
use crate::compiler::diagnostic::{Code, Diagnostic};

/// Returns the claims of which a pod now uses another folder, without those that are reported already.
pub(super) fn moved(
    before: &Json,
    after: &Json,
    app: Option<&App>,
    reported: &[Diagnostic],
) -> Vec<Diagnostic> {
    let (was, is) = (folders(before), folders(after));
    let mut found: Vec<Diagnostic> = Vec::new();
    for (mount, (claim, old)) in &was {
        let Some((_, new)) = is.get(mount).filter(|(same, new)| same == claim && new != old) else {
            continue;
        };
        let volume = app.and_then(|app| {
            let mut volumes = app.volumes.iter();
            let uses = |name: &str, own: Option<&String>| match own {
                Some(own) => own == claim,
                None => app.object_name(name) == *claim,
            };
            let (name, _) = volumes.find(|(name, volume)| {
                uses(name, volume.claim.as_ref()) && volume.folder(name).unwrap_or_default() == new
            })?;
            Some((format!("spec.volumes.{name}"), app))
        });
        let message = format!(
            "of the claim `{claim}`, the app used {}, and now uses {}",
            show(old),
            show(new)
        );
        let (path, place) = match volume {
            Some((path, app)) => (path.clone(), Some(app.place(&path))),
            None => (String::new(), None),
        };
        let diagnostic = Diagnostic::new(Code::FolderChanged, place, message)
            .at(path)
            .fix(format!("write `path: {}` to keep the data, or move it to the new folder while the app is stopped", if old.is_empty() { "." } else { old }));
        if !reported.contains(&diagnostic) && !found.contains(&diagnostic) {
            found.push(diagnostic);
        }
    }
    found
}

fn show(folder: &str) -> String {
    if folder.is_empty() { "its top".to_owned() } else { format!("the folder `{folder}`") }
}

/// Returns the claim and the folder of it at each path of each container.
fn folders(json: &Json) -> BTreeMap<(String, String), (String, String)> {
    let workload = &json["spec"]["template"]["spec"];
    let pod = if workload.is_null() {
        &json["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    } else {
        workload
    };
    let items = |value: &Json| value.as_array().cloned().unwrap_or_default();
    let word = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let claims: BTreeMap<String, String> = items(&pod["volumes"])
        .iter()
        .filter_map(|volume| {
            let claim = volume["persistentVolumeClaim"]["claimName"].as_str()?;
            Some((word(&volume["name"]), claim.to_owned()))
        })
        .collect();
    let mut folders = BTreeMap::new();
    for container in items(&pod["containers"]) {
        for mount in items(&container["volumeMounts"]) {
            if let Some(claim) = claims.get(&word(&mount["name"])) {
                let at = (word(&container["name"]), word(&mount["mountPath"]));
                folders.insert(at, (claim.clone(), word(&mount["subPath"])));
            }
        }
    }
    folders
}
