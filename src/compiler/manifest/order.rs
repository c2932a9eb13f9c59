//! The order of objects: by sync wave, then by kind as in Argo CD, then by name.
//!
//! <https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/>

use super::Object;
use crate::contract::annotation;

/// Kinds in the order in which Argo CD applies them within a wave. All others come later.
const KINDS: [&str; 28] = [
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "HTTPRoute",
];

/// Returns an object's sync wave.
pub fn wave(object: &Object) -> i32 {
    let annotation =
        object.metadata().annotations.as_ref().and_then(|all| all.get(annotation::SYNC_WAVE));
    annotation.and_then(|wave| wave.parse().ok()).unwrap_or(0)
}

/// Sorts objects in the order in which they are applied.
pub fn sort(objects: &mut [Object]) {
    objects.sort_by_cached_key(|object| {
        let (_, kind) = object.type_meta();
        let rank = KINDS.iter().position(|known| *known == kind).unwrap_or(KINDS.len());
        let namespace = object.metadata().namespace.clone().unwrap_or_default();
        (wave(object), rank, namespace, object.name().to_owned())
    });
}
