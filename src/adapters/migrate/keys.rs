//! Keys of the old files that have no counterpart, with their purpose and the alternative.

use crate::compiler::diagnostic::{Code, Diagnostic, nearest};
use crate::compiler::yaml::Entry;

/// Top-level keys that configure the deployment of the old driver, and neither arrays nor volumes.
pub(super) const OF_ITSELF: [&str; 27] = [
    "image",
    "images",
    "csi",
    "app",
    "clusterrolebinding",
    "nodeSelector",
    "tolerations",
    "affinity",
    "nodeServer",
    "controllerServer",
    "database",
    "DBTopology",
    "orchestrator",
    "mounter",
    "provisioner",
    "upgrade",
    "nameOverride",
    "fullnameOverride",
    "global",
    "flexPath",
    "priorityClassName",
    "imagePullSecrets",
    "serviceAccount",
    "rbac",
    "telemetry",
    "eulaAccepted",
    "logLevel",
];

/// Top-level keys that are read.
pub(super) const READ: [&str; 10] = [
    "arrays",
    "FlashArrays",
    "FlashBlades",
    "clusterID",
    "namespace",
    "flasharray",
    "flashblade",
    "storagetopology",
    "storageclass",
    "existingSecret",
];

/// Returns a warning about a key without a counterpart.
pub(super) fn lost(entry: &Entry, path: &str, did: &str, instead: &str) -> Diagnostic {
    Diagnostic::new(Code::NoCounterpart, entry.place, did).at(path).fix(instead)
}

/// Returns a warning about an unknown key. It does not contain the value, which may be secret.
pub(super) fn unknown(entry: &Entry, path: &str, known: &[&str]) -> Diagnostic {
    let message = "is not a key of the chart or of `pure.json`, and is left out";
    let wrong = Diagnostic::new(Code::NoCounterpart, entry.place, message).at(path);
    match nearest(&entry.key, known.iter().copied()) {
        Some(near) => wrong.fix(format!("did you mean `{near}`?")),
        None => wrong.fix(format!("expected one of `{}`", known.join("`, `"))),
    }
}
