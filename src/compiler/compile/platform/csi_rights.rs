//! The rights of the CSI services in the cluster: exactly the requests that `pso-gen csi` and the sidecars send. The
//! admission policies of `admission/csi.rs` limit the writes further. `tests/controlplane/sidecars.rs` checks with a real API server that none
//! of them is refused, and that each right is used.

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::csi_platform::{CsiPlatform, NAME};
use super::rbac::{self, rule};
use crate::compiler::compile::wave::PLATFORM;
use crate::compiler::manifest::Object;
use crate::contract::name::SNAPSHOT_GROUP;

/// Leases of the sidecars. external-snapshotter and external-resizer derive the names from that of the driver.
const SNAPSHOTTER_LEASE: &str = "external-snapshotter-leader-pso-gen-io";
const RESIZER_LEASE: &str = "external-resizer-pso-gen-io";

/// Returns the account and its rights.
pub(super) fn rights(platform: &CsiPlatform<'_>) -> Vec<Object> {
    let (own, of_cluster) = (platform.metadata(PLATFORM), platform.of_cluster(NAME, PLATFORM));
    let mut names = vec![SNAPSHOTTER_LEASE];
    names.extend(platform.own.resizer.as_ref().map(|_| RESIZER_LEASE));
    rbac::account(own, of_cluster, everywhere(platform), Some(rbac::leases(&names)))
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
        rule(SNAPSHOT_GROUP, "volumesnapshotcontents", &["get", "list", "watch", "patch"]),
        rule(SNAPSHOT_GROUP, "volumesnapshotcontents/status", &["update", "patch"]),
        // The class of a content may name parameters.
        rule(SNAPSHOT_GROUP, "volumesnapshotclasses", &["list", "watch"]),
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
