//! Reports the attachments of block volumes to nodes, and the nodes that cannot mount them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::{VolumeAttachment, VolumeError};
use serde::Serialize;

use super::{Inventory, PATIENCE, Problem, ReportFilter, age};
use crate::contract::{DRIVER, annotation};
use crate::provisioner::decide::{MissingDriver, NodeDrivers, backing_volume, is_block};

/// The page about the node service.
const PAGE: &str = "docs/node.md#a-node-lacks-the-driver";

/// The attachment of a volume to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentLine {
    /// The claim, `namespace/name`.
    pub claim: String,
    /// The PersistentVolume.
    pub volume: String,
    /// The array; empty if the PersistentVolume is gone.
    pub array: String,
    /// The node.
    pub node: String,
    /// `Attaching`, `Attached` or `Detaching`.
    pub state: &'static str,
    /// Whether the node service has recorded that it formatted the volume.
    pub formatted: bool,
    /// Its age in seconds.
    pub age: u64,
    /// The problem, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Returns the attachments, and the problems of attachments and of nodes without the driver.
pub(super) fn attachments(
    inventory: &Inventory,
    scope: &ReportFilter,
) -> (Vec<AttachmentLine>, Vec<Problem>) {
    let block: BTreeMap<&str, &PersistentVolume> = inventory
        .volumes
        .iter()
        .filter(|volume| is_block(volume))
        .filter_map(|volume| Some((volume.metadata.name.as_deref()?, volume)))
        .collect();
    let (mut lines, mut problems) = (Vec::new(), Vec::new());
    for attachment in &inventory.attachments {
        let Some((line, problem)) = line(inventory, attachment, &block) else { continue };
        problems.extend(problem);
        let (namespace, name) = line.claim.split_once('/').unwrap_or_default();
        let is =
            |wanted: &Option<String>, there| wanted.as_deref().is_none_or(|wanted| wanted == there);
        if is(&scope.namespace, namespace) && is(&scope.claim, name) {
            lines.push(line);
        }
    }
    lines.sort_by(|a, b| (&a.claim, &a.node).cmp(&(&b.claim, &b.node)));
    problems.extend(without_driver(inventory, &block));
    problems.sort_by(|a, b| a.about.cmp(&b.about));
    (lines, problems)
}

fn line(
    inventory: &Inventory,
    attachment: &VolumeAttachment,
    block: &BTreeMap<&str, &PersistentVolume>,
) -> Option<(AttachmentLine, Option<Problem>)> {
    let (volume, node) = of(attachment)?;
    let (meta, status) = (&attachment.metadata, attachment.status.as_ref());
    let is_attached = status.is_some_and(|status| status.attached);
    let state = match meta.deletion_timestamp {
        Some(_) => "Detaching",
        None if is_attached => "Attached",
        None => "Attaching",
    };
    let annotations = meta.annotations.as_ref();
    let recorded = annotations.and_then(|all| all.get(annotation::FORMATTED));
    let message = |error: Option<&VolumeError>| error.and_then(|error| error.message.clone());
    let failed = match state {
        "Detaching" => message(status.and_then(|status| status.detach_error.as_ref())),
        "Attaching" => message(status.and_then(|status| status.attach_error.as_ref())),
        _ => None,
    };
    let since = meta.deletion_timestamp.as_ref().or(meta.creation_timestamp.as_ref());
    let is_late = state != "Attached" && age(inventory, since) > PATIENCE;
    let late = || is_late.then(|| "no provisioner has processed it yet".to_owned());
    let line = AttachmentLine {
        claim: block.get(volume).copied().map(claim_of).unwrap_or_default(),
        volume: volume.to_owned(),
        array: block
            .get(volume)
            .and_then(|it| backing_volume(it))
            .map(|it| it.array)
            .unwrap_or_default(),
        node: node.to_owned(),
        state,
        formatted: recorded.is_some_and(|recorded| recorded == "true"),
        age: age(inventory, meta.creation_timestamp.as_ref()),
        problem: failed.or_else(late),
    };
    let problem = line.problem.clone().map(|what| Problem {
        about: format!(
            "attachment of {} to {node}",
            if line.claim.is_empty() { volume } else { &line.claim }
        ),
        what,
        remedy: format!(
            "see `kubectl describe volumeattachment {}` and the provisioner's log",
            meta.name.as_deref().unwrap_or_default()
        ),
        page: "docs/node.md#an-attachment-does-not-end",
    });
    Some((line, problem))
}

/// Reports the nodes that have to mount block volumes and lack the driver. Without the right to read CSINodes, nothing is
/// known.
fn without_driver(
    inventory: &Inventory,
    block: &BTreeMap<&str, &PersistentVolume>,
) -> Vec<Problem> {
    let Some(nodes) = &inventory.csi_nodes else { return Vec::new() };
    let drivers = NodeDrivers::of(nodes);
    let mut missing: BTreeMap<MissingDriver, BTreeSet<String>> = BTreeMap::new();
    let is_bound = |volume: &PersistentVolume| {
        volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
    };
    for (name, volume) in block.iter().filter(|(_, volume)| is_bound(volume)) {
        let attached = inventory.attachments.iter().filter_map(of);
        let nodes = attached.filter(|(volume, _)| volume == name).map(|(_, node)| node);
        let found: BTreeSet<_> = match nodes.collect::<Vec<_>>().as_slice() {
            [] => drivers.missing(None).into_iter().collect(),
            nodes => nodes.iter().filter_map(|node| drivers.missing(Some(node))).collect(),
        };
        for place in found {
            missing.entry(place).or_default().insert(claim_of(volume));
        }
    }
    let problem = |(place, claims): (MissingDriver, BTreeSet<String>)| Problem {
        about: match &place {
            MissingDriver::Everywhere => format!("driver {DRIVER}"),
            MissingDriver::On(node) => format!("node {node}"),
        },
        what: format!("{}: {}", place.what(), listed(&claims)),
        remedy: place.remedy(),
        page: PAGE,
    };
    missing.into_iter().map(problem).collect()
}

/// Returns the first claims of a list by name, and the number of the others.
fn listed(claims: &BTreeSet<String>) -> String {
    const MOST: usize = 5;
    let names: Vec<&str> = claims.iter().take(MOST).map(String::as_str).collect();
    match claims.len().saturating_sub(MOST) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Returns the volume and the node of an attachment by this driver.
fn of(attachment: &VolumeAttachment) -> Option<(&str, &str)> {
    let spec = &attachment.spec;
    let volume = spec.source.persistent_volume_name.as_deref()?;
    (spec.attacher == DRIVER).then_some((volume, spec.node_name.as_str()))
}

fn claim_of(volume: &PersistentVolume) -> String {
    let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let word = |word: Option<&String>| word.cloned().unwrap_or_default();
    format!(
        "{}/{}",
        word(claim.and_then(|claim| claim.namespace.as_ref())),
        word(claim.and_then(|claim| claim.name.as_ref()))
    )
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::provisioner::report::Report;

    /// 2026-11-23T07:00:00Z
    const NOW: u64 = 1_795_417_200;

    fn typed<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).expect("typed")
    }

    fn volume(name: &str, phase: &str, driver: &str) -> PersistentVolume {
        typed(json!({
            "metadata": {"name": name},
            "spec": {
                "claimRef": {"namespace": "files", "name": format!("claim-{name}")},
                "csi": {"driver": driver, "volumeHandle": "a/1"},
            },
            "status": {"phase": phase},
        }))
    }

    fn attachment(volume: &str, node: &str, more: &Value) -> VolumeAttachment {
        let mut object = json!({
            "metadata": {
                "name": format!("csi-{volume}"), "creationTimestamp": "2026-11-23T06:00:00Z",
            },
            "spec": {"attacher": DRIVER, "nodeName": node, "source": {"persistentVolumeName": volume}},
            "status": {"attached": true},
        });
        json_patch::merge(&mut object, more);
        typed(object)
    }

    fn node(name: &str, drivers: &[&str]) -> Value {
        let driver = |driver: &&str| json!({"name": driver, "nodeID": name});
        let drivers: Vec<_> = drivers.iter().map(driver).collect();
        json!({"metadata": {"name": name}, "spec": {"drivers": drivers}})
    }

    fn inventory(nodes: &[Value], attachments: Vec<VolumeAttachment>) -> Inventory {
        Inventory {
            volumes: vec![
                volume("one", "Bound", DRIVER),
                volume("two", "Bound", DRIVER),
                volume("old", "Released", DRIVER),
                volume("theirs", "Bound", "other.example.com"),
            ],
            csi_nodes: Some(nodes.iter().cloned().map(typed).collect()),
            attachments,
            now: NOW,
            ..Inventory::default()
        }
    }

    fn problems(inventory: &Inventory) -> Vec<String> {
        let report = Report::new(inventory, &ReportFilter::default(), None);
        report.problems.iter().map(|found| format!("{}: {}", found.about, found.what)).collect()
    }

    #[test]
    fn a_cluster_without_the_driver_is_one_problem_for_all_claims() {
        let found = problems(&inventory(&[node("a", &["other.example.com"])], vec![]));
        let [only] = found.as_slice() else { panic!("{found:?}") };
        assert!(only.starts_with("driver pso-gen.io: the node service runs on no node"), "{only}");
        assert!(only.ends_with(": files/claim-one, files/claim-two"), "{only}");
        let unknown = Inventory { csi_nodes: None, ..inventory(&[], vec![]) };
        assert_eq!(problems(&unknown), [""; 0], "without the right to read CSINodes");
        let files = Inventory { volumes: vec![], ..inventory(&[], vec![]) };
        assert_eq!(problems(&files), [""; 0], "no block volume is in use");
    }

    #[test]
    fn a_node_without_the_driver_is_reported_with_the_claims_of_its_pods() {
        let nodes = [node("a", &[DRIVER]), node("b", &[])];
        let attachments =
            || vec![attachment("one", "a", &json!({})), attachment("two", "b", &json!({}))];
        let found = problems(&inventory(&nodes, attachments()));
        let [only] = found.as_slice() else { panic!("{found:?}") };
        assert!(only.starts_with("node b: the node service does not run on b"), "{only}");
        assert!(only.ends_with(": files/claim-two"), "{only}");
        let all = [node("a", &[DRIVER]), node("b", &[DRIVER])];
        assert_eq!(problems(&inventory(&all, attachments())), [""; 0]);
        assert_eq!(problems(&inventory(&nodes, vec![])), [""; 0], "no pod is on b");
    }

    #[test]
    fn each_attachment_has_a_line_with_its_state() {
        let going = json!({"metadata": {"deletionTimestamp": "2026-11-23T06:59:00Z"}});
        let refused = json!({"status": {
            "attached": false, "attachError": {"message": "it is connected to node c"},
        }});
        let others = json!({"spec": {"attacher": "other.example.com"}});
        let formatted = json!({"metadata": {"annotations": {"pso-gen.io/formatted": "true"}}});
        let nodes = [node("a", &[DRIVER])];
        let inventory = inventory(
            &nodes,
            vec![
                attachment("two", "a", &refused),
                attachment("one", "a", &formatted),
                attachment("old", "a", &going),
                attachment("theirs", "a", &others),
            ],
        );
        let scope = ReportFilter::default();
        let (lines, found) = attachments(&inventory, &scope);
        let shown: Vec<_> = lines.iter().map(|line| (line.claim.as_str(), line.state)).collect();
        let expected = [
            ("files/claim-old", "Detaching"),
            ("files/claim-one", "Attached"),
            ("files/claim-two", "Attaching"),
        ];
        assert_eq!(shown, expected);
        let marks: Vec<bool> = lines.iter().map(|line| line.formatted).collect();
        assert_eq!(marks, [false, true, false]);
        let [only] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(only.what, "it is connected to node c");
        assert_eq!(only.about, "attachment of files/claim-two to a");
        let one = ReportFilter { claim: Some("claim-one".to_owned()), ..scope };
        assert_eq!(attachments(&inventory, &one).0.len(), 1);
    }

    #[test]
    fn an_attachment_that_nothing_processes_becomes_a_problem() {
        let state = |since: &str| {
            let waits = json!({
                "metadata": {"creationTimestamp": since}, "status": null,
            });
            problems(&inventory(&[node("a", &[DRIVER])], vec![attachment("one", "a", &waits)]))
        };
        assert_eq!(state("2026-11-23T06:59:00Z"), [""; 0]);
        assert_eq!(
            state("2026-11-23T06:57:00Z"),
            ["attachment of files/claim-one to a: no provisioner has processed it yet"]
        );
    }
}
