//! The CSI services in the cluster: `pso-gen csi` and the sidecars of the Kubernetes storage group, their Deployment and the
//! VolumeSnapshotClass. Their rights are in `csi_rights.rs`, the pod is in `csi_pod.rs`, and decision 34 says which program
//! acts on what.

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use serde_json::json;

use super::csi_platform::{CsiPlatform, NAME, selector};
use super::{Platform, admission, config, csi_pod, csi_rights, deployment, network};
use crate::compiler::blueprint::PURE_BLOCK;
use crate::compiler::compile::names::label_selector;
use crate::compiler::compile::storage_class::Storage;
use crate::compiler::compile::wave;
use crate::compiler::manifest::{Object, Other};
use crate::contract::name::SNAPSHOT_GROUP;
use crate::contract::storage::ReclaimPolicy;
use crate::contract::{DRIVER, annotation, label};

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
    // The pods read the provisioner's copy of the document.
    let hash = config::config_map(&platform.provisioner).hash;
    let metadata = platform.metadata(wave::PROVISIONER);
    let template = csi_pod::template(platform, &hash);
    deployment::replicated(&metadata, platform.own.replicas, &selector, template)
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
    let version = format!("{SNAPSHOT_GROUP}/v1");
    Other::with_fields(&version, "VolumeSnapshotClass", metadata, fields).into()
}
