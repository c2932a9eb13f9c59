//! Rules of how the provisioner is installed: what would keep its pods from starting or working.

use tracing_subscriber::EnvFilter;

use crate::compiler::compile::with_amounts;
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::manifest::image;
use crate::compiler::yaml::Node;
use crate::contract::storage::{ArraySpec, ProvisionerSpec};
use crate::contract::{StorageSpec, thousandths};
use crate::sanitize::quoted;

/// Returns what is wrong with it, when it is installed.
pub(super) fn provisioner(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let Some(own) = &spec.provisioner else { return Vec::new() };
    let mut found = Vec::new();
    let namespace = node.get("metadata").and_then(|metadata| metadata.get("namespace"));
    if namespace.is_none() {
        let message = "the provisioner needs a namespace, where the arrays' Secrets are too";
        found.push(
            Diagnostic::new(Code::MissingField, node.place_of(["metadata"]), message)
                .at("metadata.namespace")
                .fix("write `namespace: pso-system`"),
        );
    }
    for (index, array) in spec.arrays.iter().enumerate() {
        found.extend(files(array, index, node));
    }
    if let Err(error) = EnvFilter::try_new(&own.log) {
        let message = format!("{} is no filter for a log: {error}", quoted(&own.log));
        found.push(
            wrong(node, "log", message)
                .fix("write error, warn, info, debug, or a filter such as `pso_gen=debug`"),
        );
    }
    found.extend(amounts(own, node));
    found
}

/// Returns what an admin should think about, which does not keep anything from being rendered.
pub(super) fn advice(spec: &StorageSpec, node: &Node) -> Option<Diagnostic> {
    let image = &spec.provisioner.as_ref()?.image;
    image::is_mutable(image).then(|| {
        let place = node.place_of(["spec", "provisioner", "image"]);
        let message = format!("`{image}` can mean other contents tomorrow");
        Diagnostic::new(Code::MutableImage, place, message)
            .at("spec.provisioner.image")
            .fix("pin a full version, better a digest: `image:1.2.3@sha256:…`")
    })
}

fn wrong(node: &Node, field: &str, message: String) -> Diagnostic {
    let place = node.place_of(["spec", "provisioner", field]);
    Diagnostic::new(Code::BadValue, place, message).at(format!("spec.provisioner.{field}"))
}

/// Files are beside the document, and in the cluster there are none but those of Secrets.
fn files(array: &ArraySpec, index: usize, node: &Node) -> Vec<Diagnostic> {
    let kept = [("token", Some(&array.token)), ("ca", array.ca.as_ref())];
    let of_file = kept.into_iter().filter(|(_, kept)| kept.is_some_and(|kept| kept.file.is_some()));
    let tell = |(field, _): (&str, _)| {
        let place = node.place_of(["spec", "arrays", &index.to_string(), field]);
        let message = "a provisioner in the cluster has no files beside its document";
        Diagnostic::new(Code::BadValue, place, message)
            .at(format!("spec.arrays[{index}].{field}"))
            .fix(format!("write `{field}: {{secret: NAME, key: KEY}}`, or leave `provisioner` out and run it beside the cluster"))
    };
    of_file.map(tell).collect()
}

/// Kubernetes refuses pods that set more aside than they may use.
fn amounts(own: &ProvisionerSpec, node: &Node) -> Vec<Diagnostic> {
    let all = with_amounts(&own.resources);
    let more = all.requests.iter().filter_map(|(name, request)| {
        let limit = all.limits.get(name)?;
        (thousandths(request) > thousandths(limit)).then_some((name, request, limit))
    });
    let tell = |(name, request, limit): (&String, &String, &String)| {
        let message = format!(
            "the provisioner sets {request} of `{name}` aside and may use {limit}: Kubernetes refuses that"
        );
        wrong(node, "resources", message)
            .fix(format!("write `limits: {{{name}: {request}}}` too, or less in `requests`"))
    };
    more.map(tell).collect()
}
