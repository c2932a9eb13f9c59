//! Reports which block volume is attached to which node, and what keeps one from being attached or detached.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use serde::Serialize;

use super::{Inventory, PATIENCE, Problem, ReportFilter, age};
use crate::contract::DRIVER;
use crate::provisioner::decide::{AttachmentState, AttachmentWork, behind};

/// A VolumeAttachment of a block volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentLine {
    /// Its name.
    pub name: String,
    /// The PersistentVolume.
    pub volume: String,
    /// The claim, `namespace/name`; empty if the PersistentVolume is gone.
    pub claim: String,
    /// The node.
    pub node: String,
    /// The array; empty if the PersistentVolume is gone.
    pub array: String,
    /// `attached`, `attaching` or `detaching`.
    pub state: &'static str,
    /// Seconds since Kubernetes asked for it, or for its end.
    pub age: u64,
    /// What keeps it from being attached or detached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

pub(super) fn attachments(
    inventory: &Inventory,
    scope: &ReportFilter,
) -> (Vec<AttachmentLine>, Vec<Problem>) {
    let volumes: HashMap<&str, &PersistentVolume> = inventory
        .volumes
        .iter()
        .filter_map(|it| Some((it.metadata.name.as_deref()?, it)))
        .collect();
    let (mut lines, mut problems) = (Vec::new(), Vec::new());
    for attachment in inventory.attachments.iter().filter(|it| it.spec.attacher == DRIVER) {
        let (line, problem) = line(inventory, &volumes, attachment);
        let (namespace, name) = line.claim.split_once('/').unwrap_or_default();
        let is =
            |wanted: &Option<String>, there| wanted.as_deref().is_none_or(|wanted| wanted == there);
        if is(&scope.namespace, namespace) && is(&scope.claim, name) {
            lines.push(line);
        }
        problems.extend(problem);
    }
    lines.sort_by(|a, b| (&a.volume, &a.node).cmp(&(&b.volume, &b.node)));
    problems.sort_by(|a, b| a.about.cmp(&b.about));
    (lines, problems)
}

fn line(
    inventory: &Inventory,
    volumes: &HashMap<&str, &PersistentVolume>,
    attachment: &VolumeAttachment,
) -> (AttachmentLine, Option<Problem>) {
    let (metadata, status) = (&attachment.metadata, attachment.status.as_ref());
    let work = AttachmentState::work(attachment);
    let since = metadata.deletion_timestamp.as_ref().or(metadata.creation_timestamp.as_ref());
    let age = age(inventory, since);
    let (state, error) = match work {
        AttachmentWork::Attached => ("attached", None),
        AttachmentWork::Attaching => ("attaching", status.and_then(|it| it.attach_error.as_ref())),
        AttachmentWork::Detaching => ("detaching", status.and_then(|it| it.detach_error.as_ref())),
    };
    let error = error.and_then(|error| error.message.clone());
    let problem = match error {
        Some(message) => Some((message, "what the message names; it is tried again every 30 s")),
        None if state != "attached" && age > PATIENCE => Some((
            format!("it has been {state} for {age} s"),
            "check that a provisioner is leading, reaches the array, and has the required permissions: see its log and `/readyz`",
        )),
        None => None,
    };
    let volume = attachment.spec.source.persistent_volume_name.clone().unwrap_or_default();
    let there = volumes.get(volume.as_str());
    let claim = there.and_then(|it| it.spec.as_ref()?.claim_ref.as_ref()).map(|claim| {
        let word = |word: &Option<String>| word.clone().unwrap_or_default();
        format!("{}/{}", word(&claim.namespace), word(&claim.name))
    });
    let line = AttachmentLine {
        name: metadata.name.clone().unwrap_or_default(),
        claim: claim.unwrap_or_default(),
        node: attachment.spec.node_name.clone(),
        array: there.and_then(|it| behind(it)).map(|it| it.array).unwrap_or_default(),
        state,
        age,
        problem: problem.as_ref().map(|(what, _)| what.clone()),
        volume,
    };
    let problem = problem.map(|(what, remedy)| Problem {
        about: format!("VolumeAttachment {} of {} on node {}", line.name, line.volume, line.node),
        what,
        remedy: remedy.to_owned(),
        page: "docs/provisioner.md#attachments",
    });
    (line, problem)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn inventory(attachments: &[Json]) -> Inventory {
        let volume = json!({
            "metadata": {"name": "pvc-1", "annotations": {
                "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fa1",
                "pso-gen.io/array-id": "a", "pso-gen.io/volume": "prod-pvc-1", "pso-gen.io/volume-id": "1",
            }},
            "spec": {"claimRef": {"namespace": "files", "name": "data"}},
        });
        let attachments = attachments.iter().enumerate().map(|(number, fields)| {
            let mut whole = json!({
                "metadata": {"name": format!("csi-{number}"), "creationTimestamp": "1970-01-01T00:01:40Z"},
                "spec": {
                    "attacher": "pso-gen.io", "nodeName": "n1", "source": {"persistentVolumeName": "pvc-1"},
                },
            });
            json_patch(&mut whole, fields);
            serde_json::from_value(whole).expect("typed")
        });
        Inventory {
            volumes: vec![serde_json::from_value(volume).expect("typed")],
            attachments: attachments.collect(),
            now: 300,
            ..Inventory::default()
        }
    }

    fn json_patch(into: &mut Json, fields: &Json) {
        for (key, value) in fields.as_object().expect("fields") {
            match (into.get_mut(key), value) {
                (Some(there), Json::Object(_)) => json_patch(there, value),
                _ => into[key] = value.clone(),
            }
        }
    }

    #[test]
    fn a_line_says_where_a_volume_is_and_a_problem_what_keeps_it() {
        let inventory = inventory(&[
            json!({"status": {"attached": true}}),
            json!({"status": {"attached": false, "attachError": {"message": "two nodes"}}}),
            json!({"metadata": {"deletionTimestamp": "1970-01-01T00:04:50Z"}, "status": {"attached": true}}),
            json!({}),
            json!({"spec": {"attacher": "example.com"}}),
        ]);
        let (lines, problems) = attachments(&inventory, &ReportFilter::default());
        let seen: Vec<_> =
            lines.iter().map(|it| (it.state, it.age, it.problem.as_deref())).collect();
        let waits = Some("it has been attaching for 200 s");
        let expected = [
            ("attached", 200, None),
            ("attaching", 200, Some("two nodes")),
            ("detaching", 10, None),
            ("attaching", 200, waits),
        ];
        assert_eq!(seen, expected);
        assert_eq!((lines[0].claim.as_str(), lines[0].array.as_str()), ("files/data", "fa1"));
        assert_eq!(problems.len(), 2);
        assert_eq!(problems[0].about, "VolumeAttachment csi-1 of pvc-1 on node n1");
        let other = ReportFilter { namespace: Some("other".to_owned()), claim: None };
        let (lines, problems) = attachments(&inventory, &other);
        assert_eq!((lines.len(), problems.len()), (0, 2), "problems cover everything");
    }
}
