//! Checks that no pod names storage that the cluster's admission policy would refuse.

use crate::compiler::blueprint::App;
use crate::compiler::compile::refused_volumes;
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::manifest::Object;

/// Returns the volumes that the policy of the run's storage document refuses. Without such a document, the policy
/// is unknown and the function returns nothing.
pub(super) fn foreign(app: &App, objects: &[Object]) -> Vec<Diagnostic> {
    let Some(foreign) = &app.networks.foreign else { return Vec::new() };
    let pods = objects.iter().filter_map(|object| {
        let spec = match object {
            Object::Pod(pod) => pod.spec.as_ref(),
            other => other.pod_template().and_then(|template| template.spec.as_ref()),
        };
        Some((object, spec?))
    });
    let refused = pods.flat_map(|(object, spec)| {
        refused_volumes(spec, foreign).into_iter().map(move |refused| (object, refused))
    });
    refused
        .map(|(object, (volume, what))| {
            let message = format!(
                "the volume `{volume}` of {} {} uses {what} without a claim, and the cluster's admission policy refuses that",
                object.type_meta().1,
                object.name(),
            );
            Diagnostic::new(Code::ForeignStorage, app.place("spec.patches"), message)
                .at("spec.patches")
                .fix("use a claim, or ask the platform admin to list it in the storage document, under `provisioner.foreign`")
        })
        .collect()
}
