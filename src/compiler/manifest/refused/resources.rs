//! Rules for CPU, memory and devices of a container.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;

use super::{Found, Path};
use crate::compiler::spec::{Format, repair};
use crate::contract::thousandths;

/// Resources of a container without a domain in their name.
const STANDARD: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
const PAGES: &str = "hugepages-";

pub(super) fn resources(resources: &ResourceRequirements, at: &Path, found: &mut Found) {
    let none = BTreeMap::new();
    let requests = resources.requests.as_ref().unwrap_or(&none);
    let limits = resources.limits.as_ref().unwrap_or(&none);
    for (field, amounts) in [("limits", limits), ("requests", requests)] {
        for (resource, amount) in amounts {
            let at = at.key(field, resource);
            if let Some((message, fix)) = unfit(resource, &amount.0) {
                found.add(&at, message, fix);
            }
        }
    }
    for (resource, request) in requests {
        let request_at = at.child("requests");
        let limit = limits.get(resource);
        // Unknown resources are reported elsewhere.
        let device = resource.contains('/') || resource.starts_with(PAGES);
        match limit {
            None if device => {
                let message = format!("`{resource}` cannot be shared, so its limit is needed");
                found.add(
                    &at.child("limits"),
                    message,
                    format!("write it under `limits` only: `{resource}: {}`", request.0),
                );
            }
            // An invalid amount was reported already.
            Some(limit) if thousandths(&limit.0).is_none() || thousandths(&request.0).is_none() => {
            }
            Some(limit) if device && thousandths(&limit.0) != thousandths(&request.0) => {
                let message = format!(
                    "`{resource}` cannot be shared: {} under `requests`, {} under `limits`",
                    request.0, limit.0
                );
                found.add(
                    &request_at,
                    message,
                    "write the same under both, or under `limits` only",
                );
            }
            Some(limit) if thousandths(&limit.0) < thousandths(&request.0) => {
                let message = format!(
                    "the request of {} for `{resource}` is above the limit of {}",
                    request.0, limit.0
                );
                found.add(&request_at, message, "raise the limit, or lower the request");
            }
            _ => {}
        }
    }
}

/// Returns why a container cannot have an amount of a resource, and the fix.
pub fn unfit(resource: &str, amount: &str) -> Option<(String, String)> {
    let is_device = resource.contains('/') && Format::LabelKey.accepts(resource);
    let is_native = resource
        .split_once('/')
        .is_some_and(|(domain, _)| domain == "kubernetes.io" || domain.ends_with(".kubernetes.io"));
    if !STANDARD.contains(&resource) && !resource.starts_with(PAGES) && !is_device || is_native {
        let near = crate::compiler::diagnostic::nearest(resource, STANDARD);
        let fix = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "use `cpu`, `memory`, `ephemeral-storage`, or devices such as `nvidia.com/gpu`"
                .to_owned(),
        };
        return Some((format!("a container has no resource `{resource}`"), fix));
    }
    let Some(number) = thousandths(amount) else {
        return Some((
            format!("`{amount}` is not an amount"),
            repair(Format::Amount, amount)
                .unwrap_or_else(|| "write an amount such as `250m`, `8Gi` or `2`".to_owned()),
        ));
    };
    // Kubernetes counts devices in thousandths, and these in 63 bits.
    if is_device && number > i64::MAX as u128 {
        return Some((
            format!("`{amount}` of `{resource}` are more than Kubernetes counts"),
            "write the number of devices, such as `1`".to_owned(),
        ));
    }
    if is_device && number % 1000 != 0 {
        let whole = number.div_ceil(1000);
        return Some((
            format!("the amount of `{resource}` must be a whole number, found `{amount}`"),
            format!("write `{whole}`"),
        ));
    }
    None
}
