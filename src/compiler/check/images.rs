//! Images whose tag may later refer to a different image.

use super::refused::shown;
use crate::compiler::blueprint::App;
use crate::compiler::diagnostic::{Code, Diagnostic, Place};
use crate::compiler::manifest::{Object, image};
use crate::compiler::yaml::Node;

/// Returns a warning for each distinct image of the app that is not pinned.
pub(super) fn images(app: &App, objects: &[Object]) -> Vec<Diagnostic> {
    let mut seen = Vec::new();
    for object in objects {
        let Some(spec) = object.pod_template().and_then(|template| template.spec.as_ref()) else {
            continue;
        };
        let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
        for image in containers.filter_map(|container| container.image.as_deref()) {
            if image::is_mutable(image) && !seen.contains(&image) {
                seen.push(image);
            }
        }
    }
    seen.into_iter()
        .map(|image| {
            let written = app.common.images.iter().find(|(_, written)| *written == image);
            let mut components = app.components.iter();
            let of = components.find(|(_, component)| component.program.image == image);
            let component = written.map(|(name, _)| name).or(of.map(|(name, _)| name));
            let own = app.document.get("spec").and_then(|spec| spec.get("image"));
            let mut components = app.common.components.iter();
            let sidecar = components.find_map(|(name, additions)| {
                let at = additions.sidecars.iter().position(|sidecar| sidecar.image == image)?;
                Some((name, at.to_string()))
            });
            if let Some((name, at)) = sidecar {
                let steps = ["spec", "components", name, "sidecars", &at, "image"];
                return mutable(image, app.document.place_of(steps), shown(&steps));
            }
            let path = match component {
                // The value of a blueprint's parameter.
                _ if own.and_then(Node::text) == Some(image) => "spec.image".to_owned(),
                Some(component) => format!("spec.images.{component}"),
                None => "spec.images".to_owned(),
            };
            mutable(image, app.place(&path), path)
        })
        .collect()
}

fn mutable(image: &str, place: Place, path: String) -> Diagnostic {
    let message = format!("`{image}` may refer to a different image tomorrow");
    Diagnostic::new(Code::MutableImage, place, message)
        .at(path)
        .fix("pin a full version, or better a digest: `image:1.2.3@sha256:…`")
}
