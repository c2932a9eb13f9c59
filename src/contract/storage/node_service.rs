//! Installation of the node service: the part of the storage document that becomes its DaemonSet.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ArrayType, StorageSpec};
use crate::contract::{Resources, Toleration};

/// Longest path of kubelet's directory, in bytes. kubelet connects to sockets below it, and the address of a socket has
/// at most 107 bytes. <https://man7.org/linux/man-pages/man7/unix.7.html>
pub const LONGEST_KUBELET_DIRECTORY: usize = 107 - SOCKET.len();

/// The longer path of the two sockets below kubelet's directory, with the dot that its name has until it is ready.
const SOCKET: &str = "/plugins_registry/.pso-gen.io-reg.sock";

/// The node service, which mounts block volumes on the nodes. It is installed together with the provisioner if the
/// document has a FlashArray.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NodeServiceSpec {
    /// Whether to install the node service. Without it, pods that use a block volume do not start.
    pub install: bool,
    /// Image with `pso-gen` as its entry point. The default is the provisioner's image. Required if the provisioner runs
    /// outside the cluster.
    #[schemars(extend("format" = "image"), example = "registry.example.com/pso-gen:0.1.0")]
    pub image: Option<String>,
    /// Namespace of its pods, which contains nothing else. Its Pod Security profile is `privileged`, so an account that
    /// may create pods in it is root on every node.
    #[schemars(extend("format" = "name"))]
    pub namespace: String,
    /// Directory of kubelet on the nodes (`--root-dir`). Some distributions use another one, for example
    /// `/var/snap/microk8s/common/var/lib/kubelet` (MicroK8s) or `/var/lib/k0s/kubelet` (k0s).
    pub kubelet_directory: String,
    /// Nodes that the pods run on, and their priority.
    pub place: NodeServicePlacement,
    /// Largest number of block volumes that Kubernetes attaches to a node at the same time. If omitted, there is no
    /// limit.
    #[schemars(range(min = 1, max = 4095))]
    pub max_volumes: Option<u16>,
    /// CPU, memory and other resources of each pod, in place of the defaults: requests of 20m and 32Mi, and a memory
    /// limit of 1Gi. `mkfs`, `fsck` and other tools of the host count towards them while they run.
    pub resources: Resources,
    /// Log level: error, warn, info, debug, or a filter such as `pso_gen=debug`.
    pub log: String,
    /// Names of Secrets with registry credentials in the namespace of the node service. The default is the provisioner's
    /// list.
    #[schemars(extend("items" = {"type": "string", "format": "subdomain"}))]
    pub pull_secrets: Option<Vec<String>>,
}

impl Default for NodeServiceSpec {
    fn default() -> Self {
        Self {
            install: true,
            image: None,
            namespace: "pso-gen-node".to_owned(),
            kubelet_directory: "/var/lib/kubelet".to_owned(),
            place: NodeServicePlacement::default(),
            max_volumes: None,
            resources: Resources::default(),
            log: "info".to_owned(),
            pull_secrets: None,
        }
    }
}

/// Nodes that the node service runs on. A pod with a block volume can only run on these nodes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NodeServicePlacement {
    /// Labels that a node must have. If omitted, the node service runs on all nodes with Linux.
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "label"},
    ))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate. The default is all taints, because a pod that tolerates a taint may use a block
    /// volume on that node.
    #[schemars(extend("default" = [{"operator": "Exists"}]))]
    pub tolerations: Vec<Toleration>,
    /// PriorityClass of the pods.
    #[schemars(extend("format" = "subdomain"))]
    pub priority_class: String,
}

impl Default for NodeServicePlacement {
    fn default() -> Self {
        let all = Toleration { operator: Some("Exists".to_owned()), ..Toleration::default() };
        Self {
            node_selector: BTreeMap::new(),
            tolerations: vec![all],
            priority_class: "system-node-critical".to_owned(),
        }
    }
}

/// An installed node service.
#[derive(Debug, Clone)]
pub struct NodeService {
    /// Its settings.
    pub spec: NodeServiceSpec,
    /// Its image.
    pub image: String,
}

/// The reason why a document with an array for block volumes installs no node service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoNodeService {
    /// `install` is false.
    NotWanted,
    /// It names no image, and installs no provisioner whose image could be used.
    NoImage,
}

impl StorageSpec {
    /// Returns whether the document has an array for block volumes.
    pub fn has_block_array(&self) -> bool {
        self.arrays.iter().any(|array| array.r#type == ArrayType::FlashArray)
    }

    /// Returns the node service that the document installs, or why it installs none; nothing without an array for block
    /// volumes.
    pub fn node_service_or_reason(&self) -> Option<Result<NodeService, NoNodeService>> {
        self.has_block_array().then(|| {
            let spec = self.node_service.clone().unwrap_or_default();
            let of_provisioner = self.provisioner.as_ref().map(|own| own.image.clone());
            if !spec.install {
                return Err(NoNodeService::NotWanted);
            }
            let image = spec.image.clone().or(of_provisioner).ok_or(NoNodeService::NoImage)?;
            Ok(NodeService { spec, image })
        })
    }

    /// Returns the node service, if the document installs it.
    pub fn installed_node_service(&self) -> Option<NodeService> {
        self.node_service_or_reason()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(fields: &str) -> StorageSpec {
        let text = format!("{{cluster: a, {fields}}}");
        serde_yaml::from_str(&text).expect("a document")
    }

    const FLASH_ARRAY: &str =
        "arrays: [{name: fa1, type: FlashArray, management: fa1.example.com, token: {file: t}}]";
    const FLASH_BLADE: &str =
        "arrays: [{name: fb1, type: FlashBlade, management: fb1.example.com, token: {file: t}}]";

    #[test]
    fn it_is_installed_with_an_array_for_block_volumes_and_an_image() {
        let image = |fields: &str| storage(fields).installed_node_service().map(|it| it.image);
        let with = |more: &str| image(&format!("{FLASH_ARRAY}, {more}"));
        let ours = Some("r/p:1".to_owned());
        assert_eq!(with("provisioner: {image: 'r/p:1'}"), ours);
        assert_eq!(with("nodeService: {image: 'r/p:1'}"), ours);
        let both = "provisioner: {image: 'r/other:1'}, nodeService: {image: 'r/p:1'}";
        assert_eq!(with(both), ours);
        assert_eq!(with("provisioner: {image: 'r/p:1'}, nodeService: {install: false}"), None);
        assert_eq!(with("nodeService: {}"), None, "without an image");
        assert_eq!(with("nodes: []"), None, "a provisioner outside the cluster");
        let files = format!("{FLASH_BLADE}, provisioner: {{image: 'r/p:1'}}");
        assert_eq!(image(&files), None, "without an array for block volumes");
    }

    #[test]
    fn the_longest_directory_leaves_room_for_the_socket() {
        let path = format!("{}{SOCKET}", "d".repeat(LONGEST_KUBELET_DIRECTORY));
        assert_eq!(path.len(), 107);
        assert!(SOCKET.contains(crate::contract::DRIVER));
    }
}
