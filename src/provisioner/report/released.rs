//! Reports PersistentVolumes of the provisioner whose claim is gone: kept by their policy, or waiting for deletion.

use k8s_openapi::api::core::v1::PersistentVolume;
use serde::Serialize;

use super::{Inventory, PATIENCE, Problem, ReportFilter, age, failure_event, remedy};
use crate::provisioner::decide::backing_volume;

/// A released PersistentVolume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleasedLine {
    /// The PersistentVolume's name.
    pub name: String,
    /// The claim that it was for, `namespace/name`.
    pub claim: String,
    /// `Retain` or `Delete`.
    pub policy: String,
    /// The array.
    pub array: String,
    /// The volume's name there.
    pub volume: String,
    /// The problem, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

pub(super) fn released(
    inventory: &Inventory,
    scope: &ReportFilter,
) -> (Vec<ReleasedLine>, Vec<Problem>) {
    let (mut lines, mut problems) = (Vec::new(), Vec::new());
    for volume in &inventory.volumes {
        let Some((line, problem)) = line(inventory, volume) else { continue };
        let (namespace, name) = line.claim.split_once('/').unwrap_or_default();
        let is =
            |wanted: &Option<String>, there| wanted.as_deref().is_none_or(|wanted| wanted == there);
        if is(&scope.namespace, namespace) && is(&scope.claim, name) {
            lines.push(line);
            problems.extend(problem);
        }
    }
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    (lines, problems)
}

fn line(
    inventory: &Inventory,
    volume: &PersistentVolume,
) -> Option<(ReleasedLine, Option<Problem>)> {
    let phase = volume.status.as_ref()?.phase.as_deref()?;
    if !["Released", "Failed"].contains(&phase) {
        return None;
    }
    let made = backing_volume(volume)?;
    let spec = volume.spec.as_ref()?;
    let claim = spec.claim_ref.as_ref()?;
    let mut line = ReleasedLine {
        name: volume.metadata.name.clone()?,
        claim: format!("{}/{}", claim.namespace.as_deref()?, claim.name.as_deref()?),
        policy: spec.persistent_volume_reclaim_policy.clone().unwrap_or_default(),
        array: made.array,
        volume: made.volume.name.to_string(),
        problem: None,
    };
    let event = failure_event(inventory, volume.metadata.uid.as_deref().unwrap_or_default());
    let changed = volume.status.as_ref()?.last_phase_transition_time.as_ref();
    let wrong = match event {
        Some(event) => {
            let reason = event.reason.as_deref().unwrap_or_default();
            Some((event.note.clone().unwrap_or_default(), remedy(reason)))
        }
        None if line.policy == "Delete" && age(inventory, changed) > PATIENCE => Some((
            "no provisioner has destroyed its volume yet".to_owned(),
            "check that a provisioner is leading and has the required permissions: see its log and `/readyz`",
        )),
        None => None,
    };
    line.problem = wrong.as_ref().map(|(what, _)| what.clone());
    let problem = wrong.map(|(what, remedy)| Problem {
        about: format!("PersistentVolume {}", line.name),
        what,
        remedy: remedy.to_owned(),
        page: "docs/provisioner.md#events",
    });
    Some((line, problem))
}
