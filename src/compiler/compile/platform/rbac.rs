//! The provisioner's rights in the cluster: exactly the requests that it sends. `tests/controlplane/platform.rs`
//! checks with a real API server that none of them is refused, and that each right is used.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{NAME, Platform};
use crate::compiler::compile::wave::PLATFORM;
use crate::compiler::manifest::Object;
use crate::contract::name::SNAPSHOT_GROUP;

const API_GROUP: &str = "rbac.authorization.k8s.io";

/// Returns the account and its rights.
pub(super) fn rights(platform: &Platform<'_>) -> Vec<Object> {
    let (own, of_cluster) = (platform.metadata(PLATFORM), platform.of_cluster(NAME, PLATFORM));
    account(own, of_cluster, everywhere(platform), Some(leases(&[NAME])))
}

/// Returns an account with rights in the whole cluster, and with others in its own namespace. The metadata are those of its
/// objects with a namespace, and of those without; all have the account's name.
pub(super) fn account(
    own: ObjectMeta,
    of_cluster: ObjectMeta,
    everywhere: Vec<PolicyRule>,
    here: Option<Vec<PolicyRule>>,
) -> Vec<Object> {
    let name = own.name.clone().unwrap_or_default();
    let role = |kind: &str| RoleRef {
        api_group: API_GROUP.to_owned(),
        kind: kind.to_owned(),
        name: name.clone(),
    };
    let subjects = vec![Subject {
        kind: "ServiceAccount".to_owned(),
        name: name.clone(),
        namespace: own.namespace.clone(),
        ..Subject::default()
    }];
    let mut objects = vec![
        Object::from(ServiceAccount {
            metadata: own.clone(),
            // The pod mounts the token explicitly.
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        }),
        Object::from(ClusterRole {
            metadata: of_cluster.clone(),
            rules: Some(everywhere),
            aggregation_rule: None,
        }),
        Object::from(ClusterRoleBinding {
            metadata: of_cluster,
            role_ref: role("ClusterRole"),
            subjects: Some(subjects.clone()),
        }),
    ];
    if let Some(here) = here {
        let (role_ref, subjects) = (role("Role"), Some(subjects));
        objects.push(Object::from(Role { metadata: own.clone(), rules: Some(here) }));
        objects.push(Object::from(RoleBinding { metadata: own, role_ref, subjects }));
    }
    objects
}

fn everywhere(platform: &Platform<'_>) -> Vec<PolicyRule> {
    let mut rules = vec![
        rule("", "persistentvolumes", &["get", "list", "watch", "create", "patch", "delete"]),
        rule("", "persistentvolumes/status", &["patch"]),
        rule("", "persistentvolumeclaims", &["get", "list", "watch", "patch"]),
        rule("", "persistentvolumeclaims/status", &["patch"]),
        rule("storage.k8s.io", "storageclasses", &["list", "watch"]),
        rule("events.k8s.io", "events", &["create"]),
        // Its UID distinguishes this cluster from others with the same name.
        PolicyRule {
            resource_names: Some(vec!["kube-system".to_owned()]),
            ..rule("", "namespaces", &["get"])
        },
    ];
    // The provisioner reads nodes only if some nodes cannot reach every array.
    if platform.storage.spec.arrays.iter().any(|array| !array.topology.is_empty()) {
        rules.push(rule("", "nodes", &["list", "watch"]));
    }
    // It attaches block volumes to nodes.
    if platform.attaches() {
        rules.push(rule("storage.k8s.io", "volumeattachments", &["list", "watch", "patch"]));
        rules.push(rule("storage.k8s.io", "volumeattachments/status", &["patch"]));
        rules.push(rule("storage.k8s.io", "csinodes", &["list", "watch"]));
    }
    // It restores claims from VolumeSnapshots.
    if platform.storage.spec.installed_csi().is_some() {
        rules.push(rule(SNAPSHOT_GROUP, "volumesnapshots", &["get"]));
        rules.push(rule(SNAPSHOT_GROUP, "volumesnapshotcontents", &["get"]));
    }
    rules
}

/// Returns the right to hold leases with certain names.
pub(super) fn leases(names: &[&str]) -> Vec<PolicyRule> {
    let leases = |verbs: &[&str]| rule("coordination.k8s.io", "leases", verbs);
    let names = Some(names.iter().map(|name| (*name).to_owned()).collect());
    // A rule for creation cannot name the object.
    vec![leases(&["create"]), PolicyRule { resource_names: names, ..leases(&["get", "update"]) }]
}

pub(super) fn rule(group: &str, resource: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}
