//! The rights of the CSI services in the cluster: exactly the requests that `pso-gen csi` and the sidecars send. The
//! admission policies of `admission/csi.rs` limit the writes further. `tests/controlplane/sidecars.rs` checks with a real API server that none
//! of them is refused, and that each right is used.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};

use super::csi_platform::{CsiPlatform, NAME};
use super::rbac::{API_GROUP, rule};
use crate::compiler::compile::wave::PLATFORM;
use crate::compiler::manifest::Object;

const SNAPSHOTS: &str = "snapshot.storage.k8s.io";

/// Leases of the sidecars. external-snapshotter and external-resizer derive the names from that of the driver.
const SNAPSHOTTER_LEASE: &str = "external-snapshotter-leader-pso-gen-io";
const RESIZER_LEASE: &str = "external-resizer-pso-gen-io";

/// Returns the account and its rights.
pub(super) fn rights(platform: &CsiPlatform<'_>) -> Vec<Object> {
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
    let here =
        Object::from(Role { metadata: platform.metadata(PLATFORM), rules: Some(here(platform)) });
    let bound_here = Object::from(RoleBinding {
        metadata: platform.metadata(PLATFORM),
        role_ref: role("Role"),
        subjects: Some(vec![subject(platform)]),
    });
    vec![account, everywhere, bound_everywhere, here, bound_here]
}

fn everywhere(platform: &CsiPlatform<'_>) -> Vec<PolicyRule> {
    let mut rules = vec![
        // The service: its UID distinguishes this cluster from others with the same name.
        PolicyRule {
            resource_names: Some(vec!["kube-system".to_owned()]),
            ..rule("", "namespaces", &["get"])
        },
        // Sidecars report what they do, and who leads.
        rule("", "events", &["create", "patch"]),
        // The snapshotter takes the snapshot of a content, records it, and removes it.
        rule(SNAPSHOTS, "volumesnapshotcontents", &["get", "list", "watch", "patch"]),
        rule(SNAPSHOTS, "volumesnapshotcontents/status", &["update", "patch"]),
        // The class of a content may name parameters.
        rule(SNAPSHOTS, "volumesnapshotclasses", &["list", "watch"]),
    ];
    if platform.own.resizer.is_some() {
        rules.extend([
            // The resizer finds the volume of a claim, and records its class on both.
            rule("", "persistentvolumes", &["list", "watch", "patch"]),
            rule("", "persistentvolumeclaims", &["list", "watch"]),
            rule("", "persistentvolumeclaims/status", &["patch"]),
            rule("storage.k8s.io", "volumeattributesclasses", &["list", "watch"]),
        ]);
    }
    rules
}

fn here(platform: &CsiPlatform<'_>) -> Vec<PolicyRule> {
    let leases = |verbs: &[&str]| rule("coordination.k8s.io", "leases", verbs);
    let mut names = vec![SNAPSHOTTER_LEASE.to_owned()];
    names.extend(platform.own.resizer.as_ref().map(|_| RESIZER_LEASE.to_owned()));
    // A rule for creation cannot name the object.
    let ours = PolicyRule { resource_names: Some(names), ..leases(&["get", "update"]) };
    vec![leases(&["create"]), ours]
}

fn role(kind: &str) -> RoleRef {
    let (api_group, kind, name) = (API_GROUP.to_owned(), kind.to_owned(), NAME.to_owned());
    RoleRef { api_group, kind, name }
}

fn subject(platform: &CsiPlatform<'_>) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: NAME.to_owned(),
        namespace: Some(platform.provisioner.namespace.to_owned()),
        ..Subject::default()
    }
}
