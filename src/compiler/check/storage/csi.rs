//! Rules for installing the CSI services: settings that would keep their pods from starting, and settings without effect.

use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::manifest::image;
use crate::compiler::yaml::Node;
use crate::contract::StorageSpec;

/// Returns the errors of the installation, if there is one.
pub(super) fn csi(spec: &StorageSpec, node: &Node) -> Option<Diagnostic> {
    let missing = spec.csi.is_some() && spec.provisioner.is_none();
    missing.then(|| {
        let message = "the CSI services run beside a provisioner in the cluster, and share its namespace, image and Secrets";
        Diagnostic::new(Code::MissingField, node.place_of(["spec", "csi"]), message)
            .at("spec.provisioner")
            .fix("write `provisioner: {image: …}`, or remove `csi` and run `pso-gen csi` by hand")
    })
}

/// Returns advice on the installation that does not prevent rendering.
pub(super) fn advice(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let Some(own) = &spec.csi else { return Vec::new() };
    let mut found = Vec::new();
    let images = [("snapshotter", Some(&own.snapshotter)), ("resizer", own.resizer.as_ref())];
    for (field, image) in images {
        if let Some(image) = image.filter(|image| image::is_mutable(image)) {
            let message = format!("`{image}` may refer to a different image tomorrow");
            let place = node.place_of(["spec", "csi", field]);
            found.push(
                Diagnostic::new(Code::MutableImage, place, message)
                    .at(format!("spec.csi.{field}"))
                    .fix("pin a full version, or better a digest: `image:1.2.3@sha256:…`"),
            );
        }
    }
    if !spec.has_block_array() {
        let message = "it has no effect without a FlashArray: the CSI services serve block volumes";
        found.push(
            Diagnostic::new(Code::NoEffect, node.place_of(["spec", "csi"]), message)
                .at("spec.csi")
                .fix("remove it, or add a FlashArray under `arrays`"),
        );
    }
    found
}
