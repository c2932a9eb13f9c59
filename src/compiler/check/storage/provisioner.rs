//! Rules for installing the provisioner: settings that would keep its pods from starting or working.

use tracing_subscriber::EnvFilter;

use crate::compiler::compile::with_amounts;
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::manifest::image;
use crate::compiler::yaml::Node;
use crate::contract::storage::{ArraySpec, ProvisionerSpec};
use crate::contract::{Resources, StorageSpec, thousandths};
use crate::sanitize::quoted;

/// Returns the errors of the installation, if there is one.
pub(super) fn provisioner(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let Some(own) = &spec.provisioner else { return Vec::new() };
    let mut found = Vec::new();
    let namespace = node.get("metadata").and_then(|metadata| metadata.get("namespace"));
    if namespace.is_none() {
        let message = "the provisioner needs a namespace, which also contains the arrays' Secrets";
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
        let message = format!("{} is not a log filter: {error}", quoted(&own.log));
        found.push(
            field_error(node, "log", message)
                .fix("write error, warn, info, debug, or a filter such as `pso_gen=debug`"),
        );
    }
    found.extend(amounts(own, node));
    found
}

/// Returns advice on the installation that does not prevent rendering.
pub(super) fn advice(spec: &StorageSpec, node: &Node) -> Option<Diagnostic> {
    let image = &spec.provisioner.as_ref()?.image;
    image::is_mutable(image).then(|| {
        let place = node.place_of(["spec", "provisioner", "image"]);
        let message = format!("`{image}` may refer to a different image tomorrow");
        Diagnostic::new(Code::MutableImage, place, message)
            .at("spec.provisioner.image")
            .fix("pin a full version, or better a digest: `image:1.2.3@sha256:…`")
    })
}

fn field_error(node: &Node, field: &str, message: String) -> Diagnostic {
    let place = node.place_of(["spec", "provisioner", field]);
    Diagnostic::new(Code::BadValue, place, message).at(format!("spec.provisioner.{field}"))
}

/// Refuses `file` sources: in the cluster, a provisioner can read only Secrets.
fn files(array: &ArraySpec, index: usize, node: &Node) -> Vec<Diagnostic> {
    let source = [("token", Some(&array.token)), ("ca", array.ca.as_ref())];
    let of_file =
        source.into_iter().filter(|(_, source)| source.is_some_and(|source| source.file.is_some()));
    let report = |(field, _): (&str, _)| {
        let place = node.place_of(["spec", "arrays", &index.to_string(), field]);
        let message = "a provisioner in the cluster cannot read files beside its document";
        Diagnostic::new(Code::BadValue, place, message)
            .at(format!("spec.arrays[{index}].{field}"))
            .fix(format!("write `{field}: {{secret: NAME, key: KEY}}`, or remove `provisioner` and run it outside the cluster"))
    };
    of_file.map(report).collect()
}

/// Checks requests against limits. Kubernetes refuses pods whose requests exceed their limits.
fn amounts(own: &ProvisionerSpec, node: &Node) -> Vec<Diagnostic> {
    let report = |(name, request, limit): (String, String, String)| {
        let message = format!(
            "the provisioner requests {request} of `{name}`, more than its limit {limit}; Kubernetes refuses such pods"
        );
        field_error(node, "resources", message)
            .fix(format!("raise the limit (`limits: {{{name}: {request}}}`), or lower the request"))
    };
    excessive_requests(&with_amounts(&own.resources)).into_iter().map(report).collect()
}

/// Returns the resources whose request exceeds the limit: name, request, limit.
pub(super) fn excessive_requests(all: &Resources) -> Vec<(String, String, String)> {
    let more = all.requests.iter().filter_map(|(name, request)| {
        let limit = all.limits.get(name)?;
        let exceeds = thousandths(request) > thousandths(limit);
        exceeds.then(|| (name.clone(), request.clone(), limit.clone()))
    });
    more.collect()
}
