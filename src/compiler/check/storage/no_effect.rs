//! Settings of a storage document without effect.

use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::yaml::Node;
use crate::contract::StorageSpec;
use crate::contract::storage::ArrayType;

/// Returns the settings without effect, because another setting takes precedence.
pub(super) fn no_effect(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let mut found = crate::compiler::check::no_effect::empty(node);
    let mut report = |path: &[&str], why: &str, fix: &str| {
        let message = format!("it has no effect {why}");
        let place = node.place_of(path.iter().copied());
        found.push(
            Diagnostic::new(Code::NoEffect, place, message).at(super::written(path)).fix(fix),
        );
    };
    for (index, array) in spec.arrays.iter().enumerate() {
        if array.r#type == ArrayType::FlashArray && array.data.is_some() {
            let why = "on a FlashArray: nodes learn its portals from the array itself";
            report(
                &["spec", "arrays", &index.to_string(), "data"],
                why,
                "remove it; write the portals' networks under `networks`",
            );
        }
    }
    for (index, array) in spec.arrays.iter().enumerate() {
        if array.r#type == ArrayType::FlashBlade && array.transport.is_some() {
            report(
                &["spec", "arrays", &index.to_string(), "transport"],
                "on a FlashBlade, whose file systems are mounted over NFS",
                "remove it",
            );
        }
    }
    let Some(own) = &spec.provisioner else { return found };
    let monitoring = &own.monitoring;
    let path = |field| ["spec", "provisioner", "monitoring", field];
    if monitoring.runbooks.is_some() && !monitoring.alerts {
        report(
            &path("runbooks"),
            "without `alerts: true`: only alerts link to that page",
            "remove it, or write `alerts: true`",
        );
    }
    let makes_any = monitoring.alerts || monitoring.dashboard || monitoring.service_monitor;
    if !monitoring.labels.is_empty() && !makes_any {
        let why = "without `serviceMonitor`, `alerts` or `dashboard`: no object has these labels";
        report(&path("labels"), why, "remove it, or enable one of them");
    }
    found
}
