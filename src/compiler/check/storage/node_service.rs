//! Rules for installing the node service: settings that would keep its pods from starting or from reaching kubelet, and
//! settings without effect.

use tracing_subscriber::EnvFilter;

use super::provisioner::excessive_requests;
use crate::compiler::compile::node_service_resources;
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::manifest::image;
use crate::compiler::yaml::Node;
use crate::contract::StorageSpec;
use crate::contract::storage::{LONGEST_KUBELET_DIRECTORY, NodeServiceSpec};
use crate::sanitize::quoted;

/// Directories of the operating system. The node service would share the whole of it with its pods.
const SYSTEM: [&str; 19] = [
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/mnt", "/opt", "/proc", "/root",
    "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib",
];

/// Returns the errors of the installation, if there is one.
pub(super) fn node_service(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let Some(own) = spec.node_service.as_ref().filter(|own| own.install) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if own.image.is_none() && spec.provisioner.is_none() {
        let message =
            "the node service needs an image, because this document installs no provisioner";
        found.push(
            Diagnostic::new(Code::MissingField, node.place_of(["spec", "nodeService"]), message)
                .at("spec.nodeService.image")
                .fix("write `image: registry.example.com/pso-gen:0.1.0`"),
        );
    }
    found.extend(namespace(own, node));
    if let Some(why) = unfit(&own.kubelet_directory) {
        let message = format!("{} {why}", quoted(&own.kubelet_directory));
        found.push(wrong(node, "kubeletDirectory", message).fix(
            "write kubelet's `--root-dir`, such as `/var/lib/kubelet`: `ps -ww -C kubelet -o args` shows it on a node",
        ));
    }
    if let Err(error) = EnvFilter::try_new(&own.log) {
        let message = format!("{} is not a log filter: {error}", quoted(&own.log));
        found.push(
            wrong(node, "log", message)
                .fix("write error, warn, info, debug, or a filter such as `pso_gen=debug`"),
        );
    }
    let more = excessive_requests(&node_service_resources(&own.resources)).into_iter();
    found.extend(more.map(|(name, request, limit)| {
        let message = format!(
            "the node service requests {request} of `{name}`, more than its limit {limit}; Kubernetes refuses such pods"
        );
        wrong(node, "resources", message)
            .fix(format!("raise the limit (`limits: {{{name}: {request}}}`), or lower the request"))
    }));
    found
}

/// Returns advice on the installation that does not prevent rendering.
pub(super) fn advice(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let Some(own) = &spec.node_service else { return Vec::new() };
    let mut found = Vec::new();
    if let Some(image) = own.image.as_deref().filter(|image| image::is_mutable(image)) {
        let message = format!("`{image}` may refer to a different image tomorrow");
        found.push(
            at(Code::MutableImage, node, "image", message)
                .fix("pin a full version, or better a digest: `image:1.2.3@sha256:…`"),
        );
    }
    if !spec.has_block_array() {
        let message =
            "it has no effect without a FlashArray: the node service mounts block volumes";
        let place = node.place_of(["spec", "nodeService"]);
        found.push(
            Diagnostic::new(Code::NoEffect, place, message)
                .at("spec.nodeService")
                .fix("remove it, or add a FlashArray under `arrays`"),
        );
    } else if !own.install {
        let fields = node.get("spec").and_then(|spec| spec.get("nodeService")?.entries());
        let others = fields.unwrap_or_default().iter().filter(|entry| entry.key != "install");
        found.extend(others.map(|entry| {
            let message = "it has no effect with `install: false`".to_owned();
            at(Code::NoEffect, node, &entry.key, message)
                .fix("remove it, or install the node service")
        }));
    }
    found
}

/// Checks the namespace. It is labelled for privileged pods, so it must not be one that contains anything else.
fn namespace(own: &NodeServiceSpec, node: &Node) -> Option<Diagnostic> {
    let metadata = node.get("metadata").and_then(|metadata| metadata.get("namespace"));
    let document = metadata.and_then(Node::text);
    let name = own.namespace.as_str();
    let message = if Some(name) == document {
        format!("{} is the document's namespace, which takes no privileged pods", quoted(name))
    } else if name == "default" || name.starts_with("kube-") {
        format!("{} belongs to Kubernetes and contains other pods", quoted(name))
    } else {
        return None;
    };
    let fix = "choose a namespace that contains nothing else, such as `pso-gen-node`";
    Some(wrong(node, "namespace", message).fix(fix))
}

/// Returns why a path cannot be kubelet's directory.
fn unfit(path: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    let Some(parts) = path.strip_prefix('/') else {
        return Some("is not an absolute path".to_owned());
    };
    if parts.split('/').any(odd) || !path.chars().all(plain) {
        return Some(
            "is not a plain path: `//`, `.`, `..`, a final `/` and special characters are refused"
                .to_owned(),
        );
    }
    if SYSTEM.contains(&path) {
        return Some("is a directory of the operating system, not of kubelet".to_owned());
    }
    (path.len() > LONGEST_KUBELET_DIRECTORY).then(|| {
        format!(
            "has {} characters; at most {LONGEST_KUBELET_DIRECTORY} leave room for the path of kubelet's socket below it",
            path.len()
        )
    })
}

fn wrong(node: &Node, field: &str, message: String) -> Diagnostic {
    at(Code::BadValue, node, field, message)
}

fn at(code: Code, node: &Node, field: &str, message: String) -> Diagnostic {
    let place = node.place_of(["spec", "nodeService", field]);
    Diagnostic::new(code, place, message).at(format!("spec.nodeService.{field}"))
}
