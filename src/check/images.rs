//! Images whose tag can be moved to other contents.

use crate::blueprint::App;
use crate::diagnostic::{Code, Diagnostic};
use crate::manifest::{Object, image};

/// Returns a warning for each image of the app that can be moved, told once.
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
            let path = written.map_or_else(
                || "spec.image".to_owned(),
                |(component, _)| format!("spec.images.{component}"),
            );
            let message = format!("`{image}` can mean other contents tomorrow");
            Diagnostic::new(Code::MutableImage, app.place(&path), message)
                .at(path)
                .fix("pin a full version, better a digest: `image:1.2.3@sha256:…`")
        })
        .collect()
}
