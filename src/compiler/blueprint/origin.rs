//! Where a setting of an app comes from that its file does not have: the place in its blueprint.

use std::collections::BTreeSet;

use super::app::App;
use super::load::Blueprint;
use crate::compiler::diagnostic::{Code, Diagnostic, Place};

/// Start of the path of a setting that only the blueprint has.
const COMPONENTS: &str = "components.";
/// Diagnostics of the compiler and of Kubernetes. Rules of the blueprint itself are about the app file.
const OF_SETTINGS: [Code; 4] =
    [Code::BlockShared, Code::NodeLocalLock, Code::BadSize, Code::Refused];

/// Moves diagnostics about a setting that the app file does not have to the blueprint, which has it. A job with
/// `like` has the settings of its component: what is reported of both is reported once.
pub fn at_the_blueprint(found: &mut Vec<Diagnostic>, app: &App, blueprint: &Blueprint) {
    let mut moved = BTreeSet::new();
    found.retain_mut(|diagnostic| {
        let fixed = diagnostic.path.starts_with(COMPONENTS);
        if !fixed && !OF_SETTINGS.contains(&diagnostic.code) {
            return true;
        }
        let about_class = matches!(diagnostic.code, Code::BlockShared | Code::NodeLocalLock);
        let Some(place) = origin(&diagnostic.path, about_class, app, blueprint) else {
            return true;
        };
        diagnostic.place = Some(place);
        diagnostic.related.push((app.place("kind"), "in this app".to_owned()));
        moved.insert((diagnostic.code, place, diagnostic.fix.clone()))
    });
}

/// Returns the place in the blueprint of a setting that the document does not have.
fn origin(path: &str, about_class: bool, app: &App, blueprint: &Blueprint) -> Option<Place> {
    if let Some(fixed) = path.strip_prefix(COMPONENTS) {
        let (component, field) = fixed.split_once('.')?;
        return blueprint.place_of(component, &[field]);
    }
    let (section, rest) = path.strip_prefix("spec.")?.split_once('.')?;
    let (name, rest) = rest.split_once('.').unwrap_or((rest, ""));
    // Names of devices contain dots.
    let mut steps: Vec<&str> = rest.splitn(2, '.').filter(|step| !step.is_empty()).collect();
    let spec = app.document.get("spec").and_then(|spec| spec.get(section)?.get(name));
    let written = if section == "volumes" && about_class {
        app.common.volumes.get(name).is_some_and(|volume| volume.class.is_some())
    } else {
        spec.is_some_and(|node| steps.iter().try_fold(node, |node, step| node.get(step)).is_some())
    };
    if written {
        return None;
    }
    match section {
        "volumes" => blueprint.place_of("volumes", &[name]),
        "images" => blueprint.place_of(name, &["image"]),
        "resources" => {
            steps.insert(0, "resources");
            blueprint.place_of(name, &steps)
        }
        _ => None,
    }
}
