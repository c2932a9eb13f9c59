//! Reports the claims of the provisioner's classes: the state of each, and the problem that keeps it there.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use serde::Serialize;

use super::{Inventory, PATIENCE, Problem, ReportFilter, age, failure_event, remedy};
use crate::contract::name::persistent_volume;
use crate::contract::{FINALIZER, Quantity, annotation, class_of};
use crate::provisioner::decide::{ClassSetup, backing_volume, is_handed_over, is_match};

/// One claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimLine {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its class.
    pub class: String,
    /// `Bound`, `Pending`, `Waiting` (for its first pod), `Growing`, `Going` or `Lost`.
    pub state: &'static str,
    /// The requested size, in bytes.
    pub asked: Option<u64>,
    /// The current size, in bytes.
    pub size: Option<u64>,
    /// The array that has its volume.
    pub array: Option<String>,
    /// The volume's name there.
    pub volume: Option<String>,
    /// Its age in seconds.
    pub age: u64,
    /// The problem, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

pub(super) fn claims(
    inventory: &Inventory,
    classes: &BTreeMap<&str, Result<ClassSetup, String>>,
    scope: &ReportFilter,
) -> (Vec<ClaimLine>, Vec<Problem>) {
    let (mut lines, mut problems) = (Vec::new(), Vec::new());
    let volumes: BTreeMap<&str, &PersistentVolume> = inventory
        .volumes
        .iter()
        .filter_map(|volume| Some((volume.metadata.name.as_deref()?, volume)))
        .collect();
    for claim in &inventory.claims {
        let Some((class, setup)) =
            class_of(claim).and_then(|class| Some((class, classes.get(class)?)))
        else {
            continue;
        };
        let meta = &claim.metadata;
        let is =
            |wanted: &Option<String>, there: &Option<String>| wanted.is_none() || wanted == there;
        if !is(&scope.namespace, &meta.namespace) || !is(&scope.claim, &meta.name) {
            continue;
        }
        let uid = meta.uid.as_deref().unwrap_or_default();
        let volume = volumes.get(persistent_volume(uid).as_str()).copied();
        let (line, problem) = line(inventory, claim, class, setup, volume);
        lines.push(line);
        problems.extend(problem);
    }
    lines.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    problems.sort_by(|a, b| a.about.cmp(&b.about));
    (lines, problems)
}

fn line(
    inventory: &Inventory,
    claim: &PersistentVolumeClaim,
    class: &str,
    setup: &Result<ClassSetup, String>,
    volume: Option<&PersistentVolume>,
) -> (ClaimLine, Option<Problem>) {
    let meta = &claim.metadata;
    let made = volume.and_then(backing_volume);
    let mut line = ClaimLine {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        class: class.to_owned(),
        state: "Pending",
        asked: asked(claim),
        size: size(claim),
        array: made.as_ref().map(|made| made.array.clone()),
        volume: made.map(|made| made.volume.name.to_string()),
        age: age(inventory, meta.creation_timestamp.as_ref()),
        problem: None,
    };
    let waits = setup.as_ref().is_ok_and(|setup| setup.waits)
        && !meta
            .annotations
            .as_ref()
            .is_some_and(|all| all.contains_key(annotation::SELECTED_NODE));
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    line.state = match phase {
        _ if meta.deletion_timestamp.is_some() => "Going",
        Some("Lost") => "Lost",
        Some("Bound") if line.asked > line.size => "Growing",
        Some("Bound") => "Bound",
        _ if waits => "Waiting",
        _ => "Pending",
    };
    let event = failure_event(inventory, meta.uid.as_deref().unwrap_or_default());
    let event = event.map(|event| {
        let note = event.note.clone().unwrap_or_default();
        (note, remedy(event.reason.as_deref().unwrap_or_default()).to_owned())
    });
    let is_late = line.state == "Pending" && line.age > PATIENCE;
    let other = setup.as_ref().ok().filter(|_| is_late);
    let other = other.and_then(|setup| waits_for_another(inventory, claim, setup));
    let going = age(inventory, meta.deletion_timestamp.as_ref());
    let wrong = match line.state {
        "Lost" => Some((
            format!(
                "its PersistentVolume {} is gone",
                claim
                    .spec
                    .as_ref()
                    .and_then(|spec| spec.volume_name.as_deref())
                    .unwrap_or_default()
            ),
            "the volume may still be on its array: see `pso-gen orphans`; import it for a new claim"
                .to_owned(),
        )),
        // While one exists, an earlier event is not the reason for the wait.
        _ if other.is_some() => other,
        _ if event.is_some() => event,
        "Pending" if setup.is_err() => Some((
            setup.as_ref().err().cloned().unwrap_or_default(),
            "a class cannot be changed: declare another one, and create the claim again".to_owned(),
        )),
        "Pending" if is_late && !is_begun(claim) && !is_handed_over(claim) => Some((
            "it waits for kube-controller-manager, which has not asked the provisioner for a volume yet".to_owned(),
            "check that kube-controller-manager runs, and read its log and events about this claim; a higher \
             `--kube-api-qps` shortens a queue of claims".to_owned(),
        )),
        "Pending" if is_late => Some((
            "no provisioner has processed it yet".to_owned(),
            "check that a provisioner is leading and has the required permissions: see its log and `/readyz`".to_owned(),
        )),
        "Going" if going > PATIENCE => Some((
            "it is being deleted, and is still there".to_owned(),
            "find out which pods use it (`kubectl describe pvc`), and see the provisioner's log".to_owned(),
        )),
        _ => None,
    };
    line.problem = wrong.as_ref().map(|(what, _)| what.clone());
    let problem = wrong.map(|(what, remedy)| Problem {
        about: format!("claim {}/{}", line.namespace, line.name),
        what,
        remedy,
        page: "docs/provisioner.md#events",
    });
    (line, problem)
}

/// Returns which other PersistentVolume a claim waits for, and the remedy: one that it names, or one that
/// Kubernetes may bind it to. While there is one, the provisioner creates none.
fn waits_for_another(
    inventory: &Inventory,
    claim: &PersistentVolumeClaim,
    class: &ClassSetup,
) -> Option<(String, String)> {
    let volumes = || inventory.volumes.iter();
    let name = |volume: &PersistentVolume| volume.metadata.name.clone().unwrap_or_default();
    let own = persistent_volume(claim.metadata.uid.as_deref().unwrap_or_default());
    let named = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone());
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        let is_there = volumes().any(|volume| name(volume) == named);
        let (state, remedy) = if is_there {
            (
                "to which Kubernetes has not bound it yet",
                format!("see `kubectl describe pv {named}`"),
            )
        } else {
            ("which does not exist", format!("create {named}"))
        };
        let what = format!("it asks for the PersistentVolume {named} by name, {state}");
        let remedy = format!("{remedy}, or create the claim again without `volumeName`");
        return (named != own).then_some((what, remedy));
    }
    let other = volumes().find(|volume| is_match(volume, claim, class.waits)).map(name)?;
    let what = format!(
        "it waits for the PersistentVolume {other}, which Kubernetes may bind it to; the provisioner creates none meanwhile"
    );
    let remedy = format!(
        "see `kubectl describe pv {other}` and the claim's events for why they are not bound; for a new volume, delete \
         {other} or give it another class"
    );
    Some((what, remedy))
}

/// Whether the provisioner has begun to create a volume for a claim.
fn is_begun(claim: &PersistentVolumeClaim) -> bool {
    claim.metadata.finalizers.iter().flatten().any(|each| each == FINALIZER)
}

fn asked(claim: &PersistentVolumeClaim) -> Option<u64> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    Quantity::bytes_of(&requests.get("storage")?.0)
}

fn size(claim: &PersistentVolumeClaim) -> Option<u64> {
    let capacity = claim.status.as_ref()?.capacity.as_ref()?;
    Quantity::bytes_of(&capacity.get("storage")?.0)
}
