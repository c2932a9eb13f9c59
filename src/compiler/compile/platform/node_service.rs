//! The node service in the cluster: its namespace, its rights and its DaemonSet. The pod itself is in `node_pod.rs`.

use k8s_openapi::api::apps::v1::{
    DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, RollingUpdateDaemonSet,
};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::node_platform::{NAME, NodePlatform, selector};
use super::rbac::{self, rule};
use super::{admission, csi_driver, network, node_pod, quota};
use crate::compiler::compile::names::label_selector;
use crate::compiler::compile::storage_class::Storage;
use crate::compiler::compile::{namespace, wave};
use crate::compiler::manifest::Object;
use crate::compiler::spec::Profile;
use crate::contract::{DRIVER, annotation};

/// PriorityClass of the pods, unless the document names another one.
const CRITICAL: &str = "system-node-critical";
/// Pods that the quota allows: more than a cluster has nodes.
const UNLIMITED: &str = "100k";

/// Returns the objects of the node service; none if the document does not install it.
pub(in super::super) fn node_service(storage: &Storage<'_>) -> Vec<Object> {
    let Some(own) = storage.spec.installed_node_service() else { return Vec::new() };
    let platform = NodePlatform { storage, own };
    let own = &platform.own.spec;
    let account = format!("system:serviceaccount:{}:{NAME}", own.namespace);
    let mut objects = vec![namespace::namespace(&own.namespace, Profile::Privileged, false)];
    objects.extend(admission::node_policies(NAME, &account, &|name| {
        platform.of_cluster(name, wave::ADMISSION)
    }));
    objects.extend(rights(&platform));
    objects.push(csi_driver::csi_driver(platform.of_cluster(DRIVER, wave::PLATFORM)));
    objects.push(network_policy(&platform));
    objects.push(network::metrics_service(platform.metadata(wave::PLATFORM), selector()));
    if own.place.priority_class == CRITICAL {
        objects.push(quota(platform.metadata(wave::PLATFORM), CRITICAL, UNLIMITED));
    }
    objects.push(daemon_set(&platform));
    objects
}

/// Returns the account and its rights: to read a VolumeAttachment by its name, and to record there that the volume was
/// formatted. The admission policies limit the second right to this annotation and to the account's own node.
fn rights(platform: &NodePlatform<'_>) -> Vec<Object> {
    let rules = vec![rule("storage.k8s.io", "volumeattachments", &["get", "patch"])];
    let own = platform.metadata(wave::PLATFORM);
    rbac::account(own, platform.of_cluster(NAME, wave::PLATFORM), rules, None)
}

/// Limits the pod's own connections to the Kubernetes API, and connections to it to its metrics. The tools that connect to
/// arrays run in the network namespace of the node, which a NetworkPolicy does not cover.
fn network_policy(platform: &NodePlatform<'_>) -> Object {
    let provisioner = platform.storage.spec.provisioner.as_ref();
    let own = provisioner.map(|own| own.network.clone()).unwrap_or_default();
    Object::from(NetworkPolicy {
        metadata: platform.metadata(wave::PLATFORM),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(label_selector(selector())),
            policy_types: Some(["Ingress", "Egress"].map(str::to_owned).to_vec()),
            ingress: Some(vec![network::metrics_from(&own.from)]),
            egress: Some(vec![network::kubernetes_api(&own.kubernetes_api)]),
        }),
    })
}

fn daemon_set(platform: &NodePlatform<'_>) -> Object {
    let mut metadata = platform.metadata(wave::PROVISIONER);
    let reasons = (annotation::PRIVILEGES.to_owned(), node_pod::reasons(&platform.own.spec));
    metadata.annotations.get_or_insert_default().extend([reasons]);
    Object::from(DaemonSet {
        metadata,
        spec: Some(DaemonSetSpec {
            selector: label_selector(selector()),
            // Mounts, sessions and multipath maps belong to the node's kernel and stay while a pod is replaced. Only
            // requests of kubelet to this node fail meanwhile, and kubelet repeats them. Two pods on one node would
            // listen on the same socket, so the old one ends first.
            update_strategy: Some(DaemonSetUpdateStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDaemonSet {
                    max_surge: Some(IntOrString::Int(0)),
                    max_unavailable: Some(IntOrString::String("10%".to_owned())),
                }),
            }),
            template: node_pod::template(platform),
            ..DaemonSetSpec::default()
        }),
        status: None,
    })
}
