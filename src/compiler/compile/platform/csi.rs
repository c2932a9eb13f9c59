//! The CSI services in the cluster: `pso-gen csi` and the sidecars of the Kubernetes storage group, their Deployment and the
//! VolumeSnapshotClass. Their rights are in `csi_rights.rs`, the pod is in `csi_pod.rs`, and decision 34 says which program
//! acts on what.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::csi_platform::{CsiPlatform, NAME, selector};
use super::{Platform, admission, config, csi_pod, csi_rights, network};
use crate::compiler::blueprint::PURE_BLOCK;
use crate::compiler::compile::names::label_selector;
use crate::compiler::compile::storage_class::Storage;
use crate::compiler::compile::wave;
use crate::compiler::manifest::{Object, Other};
use crate::contract::storage::ReclaimPolicy;
use crate::contract::{DRIVER, annotation, label};

/// API version of the snapshots' objects.
const SNAPSHOTS: &str = "snapshot.storage.k8s.io/v1";

/// Returns the objects of the CSI services; none if the document does not install them.
pub(in super::super) fn csi_services(storage: &Storage<'_>) -> Vec<Object> {
    let (Some(own), Some(provisioner)) = (storage.spec.installed_csi(), &storage.spec.provisioner)
    else {
        return Vec::new();
    };
    let platform = CsiPlatform { provisioner: Platform::of(storage, provisioner), own };
    let account = format!("system:serviceaccount:{}:{NAME}", platform.provisioner.namespace);
    let mut objects = admission::csi_policies(&account, own.resizer.is_some(), &|name| {
        platform.of_cluster(name, wave::ADMISSION)
    });
    objects.extend(csi_rights::rights(&platform));
    objects.push(network_policy(&platform));
    objects.extend(workload(&platform));
    objects.push(snapshot_class(&platform));
    objects
}

/// Allows connections to DNS, the Kubernetes API and the arrays, and none from other pods. Probes come from the node.
fn network_policy(platform: &CsiPlatform<'_>) -> Object {
    Object::from(NetworkPolicy {
        metadata: platform.metadata(wave::PLATFORM),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(label_selector(selector())),
            policy_types: Some(["Ingress", "Egress"].map(str::to_owned).to_vec()),
            ingress: None,
            egress: Some(network::egress(&platform.provisioner)),
        }),
    })
}

fn workload(platform: &CsiPlatform<'_>) -> Vec<Object> {
    let replicas = i32::from(platform.own.replicas);
    // The pods read the provisioner's copy of the document.
    let hash = config::config_map(&platform.provisioner).hash;
    let mut objects = vec![Object::from(Deployment {
        metadata: platform.metadata(wave::PROVISIONER),
        spec: Some(DeploymentSpec {
            replicas: Some(replicas),
            selector: label_selector(selector()),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: csi_pod::template(platform, &hash),
            ..DeploymentSpec::default()
        }),
        status: None,
    })];
    // With one pod, a budget would only block node drains.
    if replicas > 1 {
        objects.push(Object::from(PodDisruptionBudget {
            metadata: platform.metadata(wave::PROVISIONER),
            spec: Some(PodDisruptionBudgetSpec {
                max_unavailable: Some(IntOrString::Int(1)),
                selector: Some(label_selector(selector())),
                unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
                ..PodDisruptionBudgetSpec::default()
            }),
            status: None,
        }));
    }
    objects
}

/// Returns the class of the driver's VolumeSnapshots. It comes last: in a cluster without the CustomResourceDefinitions of
/// snapshots, this object alone fails.
fn snapshot_class(platform: &CsiPlatform<'_>) -> Object {
    let mut metadata = platform.of_cluster(PURE_BLOCK, wave::LAST);
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(annotation::DEFAULT_SNAPSHOT_CLASS.to_owned(), "true".to_owned());
    let velero = (label::VELERO_CLASS.to_owned(), "true".to_owned());
    metadata.labels.get_or_insert_default().extend([velero]);
    let policy = match platform.own.deletion_policy {
        ReclaimPolicy::Delete => "Delete",
        ReclaimPolicy::Retain => "Retain",
    };
    let fields = [("driver", json!(DRIVER)), ("deletionPolicy", json!(policy))];
    let fields = fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
    Other::with_fields(SNAPSHOTS, "VolumeSnapshotClass", metadata, fields).into()
}
