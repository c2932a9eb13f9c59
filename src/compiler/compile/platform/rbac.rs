//! The provisioner's rights in the cluster: exactly the requests that it sends. `tests/controlplane/platform.rs`
//! checks with a real API server that none of them is refused, and that each right is used.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};

use super::{NAME, Platform};
use crate::compiler::compile::wave::PLATFORM;
use crate::compiler::manifest::Object;

pub(super) const API_GROUP: &str = "rbac.authorization.k8s.io";

/// Returns the account and its rights.
pub(super) fn rights(platform: &Platform<'_>) -> Vec<Object> {
    let account = Object::from(ServiceAccount {
        metadata: platform.metadata(PLATFORM),
        // The pod mounts the token explicitly.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    });
    let everywhere = Object::from(ClusterRole {
        metadata: platform.of_cluster(NAME, PLATFORM),
        rules: Some(everywhere(platform)),
        aggregation_rule: None,
    });
    let bound_everywhere = Object::from(ClusterRoleBinding {
        metadata: platform.of_cluster(NAME, PLATFORM),
        role_ref: role("ClusterRole"),
        subjects: Some(vec![subject(platform)]),
    });
    let here = Object::from(Role { metadata: platform.metadata(PLATFORM), rules: Some(here()) });
    let bound_here = Object::from(RoleBinding {
        metadata: platform.metadata(PLATFORM),
        role_ref: role("Role"),
        subjects: Some(vec![subject(platform)]),
    });
    vec![account, everywhere, bound_everywhere, here, bound_here]
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
        let group = "snapshot.storage.k8s.io";
        rules.push(rule(group, "volumesnapshots", &["get"]));
        rules.push(rule(group, "volumesnapshotcontents", &["get"]));
    }
    rules
}

fn here() -> Vec<PolicyRule> {
    let leases = |verbs: &[&str]| rule("coordination.k8s.io", "leases", verbs);
    let ours = Some(vec![NAME.to_owned()]);
    // A rule for creation cannot name the object.
    vec![leases(&["create"]), PolicyRule { resource_names: ours, ..leases(&["get", "update"]) }]
}

pub(super) fn rule(group: &str, resource: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}

fn role(kind: &str) -> RoleRef {
    let (api_group, kind, name) = (API_GROUP.to_owned(), kind.to_owned(), NAME.to_owned());
    RoleRef { api_group, kind, name }
}

fn subject(platform: &Platform<'_>) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: NAME.to_owned(),
        namespace: Some(platform.namespace.to_owned()),
        ..Subject::default()
    }
}
