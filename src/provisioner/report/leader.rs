//! Reports the leader, by the lease.

use serde::Serialize;

use super::{Inventory, Problem};

/// The leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leader {
    /// The lease, `namespace/name`.
    pub lease: String,
    /// The holder: usually a pod's name.
    pub holder: Option<String>,
    /// Seconds since it was renewed.
    pub renewed: Option<u64>,
    /// The problem, if there is one.
    #[serde(skip)]
    pub(super) problem: Option<Problem>,
}

pub(super) fn leader(inventory: &Inventory, lease: &str) -> Leader {
    let spec = inventory.lease.as_ref().and_then(|lease| lease.spec.as_ref());
    let holder = spec.and_then(|spec| spec.holder_identity.clone());
    let holder = holder.filter(|holder| !holder.is_empty());
    let renewed = spec.and_then(|spec| spec.renew_time.as_ref());
    let renewed = renewed.and_then(|time| u64::try_from(time.0.as_second()).ok());
    let renewed = renewed.map(|time| inventory.now.saturating_sub(time));
    let lasts = spec.and_then(|spec| spec.lease_duration_seconds);
    let lasts = lasts.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default();
    let what = match (&holder, renewed) {
        (None, _) => Some(
            "no provisioner is leading: no volume is created, expanded or destroyed".to_owned(),
        ),
        (Some(holder), Some(renewed)) if renewed > lasts => {
            Some(format!("{holder} led, and has not said so for {renewed} s"))
        }
        _ => None,
    };
    let problem = what.map(|what| Problem {
        about: format!("lease {lease}"),
        what,
        remedy: "see that the provisioner's pods run: `kubectl get pods`, their log, `/readyz`"
            .to_owned(),
        page: "docs/provisioner.md#probes",
    });
    Leader { lease: lease.to_owned(), holder, renewed, problem }
}
