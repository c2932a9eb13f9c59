//! Decisions about one VolumeAttachment at a time; `tests/simulation` has several at once, and crashes.

use serde_json::{Value as Json, json};

use super::object::recorded_node;
use super::*;
use crate::contract::{BlockTransport, Initiators, VolumeId, VolumeName};
use crate::provisioner::decide::persistent_volume::BackingVolume;

const SERIAL: &str = "0123456789ABCDEF01234567";

fn attachment(fields: &Json) -> VolumeAttachment {
    let mut whole = json!({
        "metadata": {"name": "csi-1", "uid": "u1", "resourceVersion": "1"},
        "spec": {
            "attacher": "pso-gen.io", "nodeName": "n1", "source": {"persistentVolumeName": "pvc-1"},
        },
    });
    merge(&mut whole, fields);
    serde_json::from_value(whole).expect("typed")
}

fn merge(into: &mut Json, fields: &Json) {
    match (into, fields) {
        (Json::Object(into), Json::Object(fields)) => {
            for (key, value) in fields {
                merge(into.entry(key).or_insert(Json::Null), value);
            }
        }
        (into, fields) => *into = fields.clone(),
    }
}

fn recorded() -> Json {
    json!({"metadata": {
        "finalizers": ["external-attacher/pso-gen-io"],
        "annotations": {
            "pso-gen.io/array": "fa1", "pso-gen.io/array-id": "a", "pso-gen.io/volume": "prod-pvc-1",
            "pso-gen.io/volume-id": "v", "pso-gen.io/node-id": "n1;iqn.2026-01.com.example:n1",
        },
    }})
}

fn with(base: &Json, fields: &Json) -> VolumeAttachment {
    let mut both = base.clone();
    merge(&mut both, fields);
    attachment(&both)
}

fn going(fields: &Json) -> VolumeAttachment {
    let mut both = recorded();
    merge(&mut both, &json!({"metadata": {"deletionTimestamp": "2026-11-30T12:00:00Z"}}));
    with(&both, fields)
}

fn backing_volume() -> BackingVolume {
    let name = VolumeName::new("prod-pvc-1").expect("a name");
    let volume = VolumeId { name, id: "v".to_owned() };
    BackingVolume { array: "fa1".to_owned(), array_id: "a".to_owned(), volume }
}

fn persistent_volume(modes: &[&str]) -> AttachmentOutcome {
    let volume = json!({
        "metadata": {"name": "pvc-1"},
        "spec": {"accessModes": modes, "csi": {
            "driver": "pso-gen.io", "volumeHandle": "a/v",
            "volumeAttributes": {"array": "fa1", "name": "prod-pvc-1", "serial": SERIAL},
        }},
    });
    AttachmentOutcome::PersistentVolume(Some(serde_json::from_value(volume).expect("typed")))
}

fn node(name: &str) -> NodeId {
    NodeId {
        node: name.to_owned(),
        iqn: Some(format!("iqn.2026-01.com.example:{name}")),
        ..NodeId::default()
    }
}

fn nodes(names: &[&str]) -> NodeIds {
    names.iter().map(|name| ((*name).to_owned(), Some(node(name)))).collect()
}

fn attached() -> Attachment {
    Attachment {
        transport: BlockTransport::Iscsi,
        target: "iqn.array".to_owned(),
        portals: vec!["10.0.0.1:3260".to_owned()],
        lun: 1,
        serial: SERIAL.to_owned(),
        size: 1 << 30,
        never_formatted: true,
    }
}

fn host(name: &str) -> BlockHost {
    let iqns = vec![format!("iqn.2026-01.com.example:{name}")];
    let initiators = Initiators { iqns, ..Initiators::default() };
    BlockHost { name: format!("prod-{name}"), initiators, connections: 1 }
}

/// One VolumeAttachment with its memory.
struct Fixture {
    state: AttachmentState,
    nodes: NodeIds,
    others: Vec<VolumeAttachment>,
}

impl Fixture {
    fn new() -> Self {
        let nodes = nodes(&["n1", "n2"]);
        Self { state: AttachmentState::default(), nodes, others: Vec::new() }
    }

    fn step(
        &mut self,
        attachment: &VolumeAttachment,
        input: AttachmentInput,
    ) -> Vec<AttachmentEffect> {
        let others: Vec<&VolumeAttachment> = self.others.iter().collect();
        let view = AttachmentView {
            cluster: "prod",
            attachment: Some(attachment),
            others: &others,
            nodes: &self.nodes,
        };
        self.state.step(view, input)
    }

    /// Returns the words for the effects that a change leads to.
    fn changed(&mut self, attachment: &VolumeAttachment) -> Vec<&'static str> {
        labels(&self.step(attachment, AttachmentInput::Changed))
    }

    fn done(
        &mut self,
        attachment: &VolumeAttachment,
        outcome: AttachmentOutcome,
    ) -> Vec<AttachmentEffect> {
        self.step(attachment, AttachmentInput::Done(Ok(outcome)))
    }
}

fn labels(effects: &[AttachmentEffect]) -> Vec<&'static str> {
    effects.iter().map(|effect| effect.label().unwrap_or("-")).collect()
}

fn written(attachment: &VolumeAttachment, version: &str) -> VolumeAttachment {
    let mut newer = attachment.clone();
    newer.metadata.resource_version = Some(version.to_owned());
    newer
}

#[test]
fn a_volume_is_attached_after_it_was_recorded() {
    let mut fixture = Fixture::new();
    let new = attachment(&json!({}));
    assert_eq!(fixture.changed(&new), ["read-persistent-volume"]);
    let effects = fixture.done(&new, persistent_volume(&["ReadWriteOnce"]));
    let node_id = "n1;iqn.2026-01.com.example:n1".to_owned();
    let record = AttachmentEffect::Record {
        attachment: object_version(&new),
        volume: Box::new(backing_volume()),
        node_id,
    };
    assert_eq!(effects, [record]);
    let noted = written(&attachment(&recorded()), "2");
    let answer = AttachmentOutcome::Written(Some(Box::new(noted.clone())));
    // The watch is behind: the answer counts.
    let effects = fixture.done(&new, answer);
    let attach = AttachmentEffect::Attach {
        volume: Box::new(backing_volume()),
        node: node("n1"),
        exclusive: true,
    };
    assert_eq!(effects, [attach]);
    let effects = fixture.done(&noted, AttachmentOutcome::Attached(Box::new(attached())));
    let set = AttachmentEffect::SetAttached {
        attachment: object_version(&noted),
        context: attached().to_context(),
    };
    assert_eq!(effects, [set]);
    let status =
        json!({"status": {"attached": true, "attachmentMetadata": attached().to_context()}});
    let done = written(&with(&recorded(), &status), "3");
    let answer = AttachmentOutcome::Written(Some(Box::new(done.clone())));
    assert_eq!(fixture.done(&noted, answer), []);
    assert!(fixture.state.is_idle());
    assert_eq!(AttachmentState::work(&done), AttachmentWork::Attached);
}

#[test]
fn a_volume_of_several_nodes_is_not_exclusive_and_one_without_modes_is() {
    for (modes, expected) in [
        (&["ReadWriteOnce"][..], true),
        (&["ReadWriteOncePod"], true),
        (&["ReadWriteMany"], false),
        (&["ReadWriteOnce", "ReadOnlyMany"], false),
        (&[], true),
    ] {
        let mut fixture = Fixture::new();
        let noted = attachment(&recorded());
        fixture.changed(&noted);
        let effects = fixture.done(&noted, persistent_volume(modes));
        let [AttachmentEffect::Attach { exclusive, .. }] = effects.as_slice() else {
            panic!("{effects:?}");
        };
        assert_eq!(*exclusive, expected, "{modes:?}");
    }
}

#[test]
fn what_keeps_a_volume_from_being_attached_is_written_into_the_status() {
    let twins = || {
        let mut nodes = nodes(&["n1", "n2"]);
        nodes.insert("n2".to_owned(), Some(NodeId { node: "n2".to_owned(), ..node("n1") }));
        nodes
    };
    for (nodes, answer, expected) in [
        (
            nodes(&["n2"]),
            persistent_volume(&[]),
            "the node service of pso-gen is not registered on node n1",
        ),
        (
            twins(),
            persistent_volume(&[]),
            "nodes n1 and n2 have one initiator name, iqn.2026-01.com.example:n1",
        ),
        (
            nodes(&["n1"]),
            AttachmentOutcome::PersistentVolume(None),
            "PersistentVolume pvc-1 does not exist",
        ),
    ] {
        let mut fixture = Fixture { nodes, ..Fixture::new() };
        let new = attachment(&json!({}));
        fixture.changed(&new);
        let effects = fixture.done(&new, answer);
        let message = effects.iter().find_map(|effect| match effect {
            AttachmentEffect::SetError { message, detaching: false, .. } => Some(message.as_str()),
            _ => None,
        });
        assert!(message.is_some_and(|message| message.starts_with(expected)), "{effects:?}");
        assert!(labels(&effects).contains(&"-"), "it is tried again");
        // The same once more is not written again, and the wait goes on.
        let status = json!({"status": {"attached": false, "attachError": {"message": message}}});
        let answered = written(&attachment(&status), "2");
        let answer = AttachmentOutcome::Written(Some(Box::new(answered.clone())));
        assert_eq!(fixture.done(&new, answer), []);
        assert_eq!(fixture.changed(&answered), Vec::<&str>::new());
        assert!(fixture.state.is_failing());
        assert_eq!(
            labels(&fixture.step(&answered, AttachmentInput::Due)),
            ["read-persistent-volume"]
        );
    }
}

/// Returns the effects when other hosts are connected, and these VolumeAttachments exist.
fn occupied(hosts: Vec<BlockHost>, listed: Vec<VolumeAttachment>) -> Vec<AttachmentEffect> {
    let mut fixture = Fixture::new();
    let noted = attachment(&recorded());
    fixture.changed(&noted);
    fixture.done(&noted, persistent_volume(&["ReadWriteOnce"]));
    let effects = fixture.done(&noted, AttachmentOutcome::Elsewhere(hosts));
    assert_eq!(effects, [AttachmentEffect::ListAttachments], "the watch may be behind");
    let mut all = vec![noted.clone()];
    all.extend(listed);
    fixture.done(&noted, AttachmentOutcome::Attachments(ReadTime::default(), all))
}

fn other(node: &str) -> VolumeAttachment {
    attachment(&json!({"metadata": {"name": "csi-2", "uid": "u2"}, "spec": {"nodeName": node}}))
}

#[test]
fn a_connection_with_an_attachment_is_respected_and_one_without_is_cut() {
    let refusal = |effects: &[AttachmentEffect]| {
        effects.iter().find_map(|effect| match effect {
            AttachmentEffect::SetError { message, .. } => Some(message.clone()),
            _ => None,
        })
    };
    let effects = occupied(vec![host("n2")], vec![other("n2")]);
    let message = refusal(&effects).expect("refused");
    assert!(message.contains("connected to node n2 by VolumeAttachment csi-2"), "{message}");
    let effects = occupied(vec![host("n2")], vec![]);
    let (volume, read) = (Box::new(backing_volume()), ReadTime::default());
    let cut = AttachmentEffect::Disconnect { volume, host: "prod-n2".to_owned(), read };
    assert_eq!(effects, [cut]);
    // Of a node that is gone, with the cluster's name; and of a machine that is none of its nodes.
    assert_eq!(labels(&occupied(vec![host("n9")], vec![])), ["disconnect-host"]);
    let foreign = BlockHost { name: "backup".to_owned(), ..host("n9") };
    let message = refusal(&occupied(vec![foreign.clone()], vec![])).expect("refused");
    assert!(message.contains("connected to host backup on fa1"), "{message}");
    // None is cut before it is certain that all may be.
    assert!(refusal(&occupied(vec![host("n2"), foreign], vec![])).is_some());
    // An attachment of another volume does not matter.
    let mut another = other("n2");
    another.spec.source.persistent_volume_name = Some("pvc-2".to_owned());
    assert_eq!(labels(&occupied(vec![host("n2")], vec![another])), ["disconnect-host"]);
    // The node's own host of another transport.
    let own = BlockHost { name: "prod-n1-nvme".to_owned(), ..host("n1") };
    assert_eq!(labels(&occupied(vec![own], vec![])), ["disconnect-host"]);
}

#[test]
fn a_volume_waits_until_the_other_attachment_is_gone_and_not_only_disconnected() {
    for (mode, expected) in [("ReadWriteOnce", "-"), ("ReadWriteMany", "attach-volume")] {
        let mut fixture = Fixture::new();
        let noted = attachment(&recorded());
        let mut theirs = going(&json!({"metadata": {"name": "csi-2", "uid": "u2"}}));
        theirs.spec.node_name = "n2".to_owned();
        fixture.others = vec![theirs.clone()];
        fixture.changed(&noted);
        let effects = fixture.done(&noted, persistent_volume(&[mode]));
        assert_eq!(labels(&effects)[0], expected, "{mode}");
    }
    // Another one that is to be attached is not waited for: both would wait for each other.
    let mut fixture = Fixture::new();
    let noted = attachment(&recorded());
    fixture.others = vec![other("n2")];
    fixture.changed(&noted);
    assert_eq!(labels(&fixture.done(&noted, persistent_volume(&[]))), ["attach-volume"]);
}

#[test]
fn a_volume_is_detached_before_the_finalizer_goes() {
    let mut fixture = Fixture::new();
    let is_being_deleted = going(
        &json!({"status": {"attached": true, "attachmentMetadata": attached().to_context()}}),
    );
    assert_eq!(fixture.changed(&is_being_deleted), ["read-persistent-volume"]);
    let effects = fixture.done(&is_being_deleted, persistent_volume(&["ReadWriteOnce"]));
    let detach =
        AttachmentEffect::Detach { volume: Box::new(backing_volume()), nodes: vec![node("n1")] };
    assert_eq!(effects, [detach]);
    let effects = fixture.done(&is_being_deleted, AttachmentOutcome::Good);
    assert_eq!(
        effects,
        [AttachmentEffect::RemoveFinalizer { attachment: object_version(&is_being_deleted) }]
    );
    assert_eq!(
        fixture.done(&is_being_deleted, AttachmentOutcome::Written(None)),
        [],
        "the watch is behind"
    );
}

#[test]
fn a_volume_is_detached_when_volume_node_and_claim_are_gone() {
    let mut fixture = Fixture::new();
    fixture.nodes = nodes(&["n2"]);
    let is_being_deleted = going(&json!({}));
    fixture.changed(&is_being_deleted);
    let effects = fixture.done(&is_being_deleted, AttachmentOutcome::PersistentVolume(None));
    let detach =
        AttachmentEffect::Detach { volume: Box::new(backing_volume()), nodes: vec![node("n1")] };
    assert_eq!(effects, [detach], "by the record");
    assert_eq!(labels(&fixture.done(&is_being_deleted, AttachmentOutcome::Good)), ["delete-hosts"]);
    // That it fails keeps nothing.
    let error = EffectError::Array { reason: "Busy", message: "no".to_owned(), retry: Retry::Soon };
    let effects = fixture.step(&is_being_deleted, AttachmentInput::Done(Err(error)));
    assert_eq!(labels(&effects), ["remove-attachment-finalizer"]);
    // One that was never recorded was never connected.
    let mut fixture = Fixture::new();
    let mut bare = is_being_deleted.clone();
    bare.metadata.annotations = None;
    fixture.changed(&bare);
    let effects = fixture.done(&bare, AttachmentOutcome::PersistentVolume(None));
    assert_eq!(labels(&effects), ["remove-attachment-finalizer"]);
    // Without the finalizer it is not ours to wait for.
    bare.metadata.finalizers = None;
    assert_eq!(Fixture::new().changed(&bare), Vec::<&str>::new());
}

#[test]
fn a_record_that_contradicts_the_volume_hides_no_connection() {
    let mut fixture = Fixture::new();
    let is_being_deleted =
        going(&json!({"metadata": {"annotations": {"pso-gen.io/volume-id": "other"}}}));
    fixture.changed(&is_being_deleted);
    let mut ids = Vec::new();
    let mut effects = fixture.done(&is_being_deleted, persistent_volume(&[]));
    while let [AttachmentEffect::Detach { volume, .. }] = effects.as_slice() {
        ids.push(volume.volume.id.clone());
        effects = fixture.done(&is_being_deleted, AttachmentOutcome::Good);
    }
    assert_eq!(ids, ["v", "other"]);
    assert_eq!(labels(&effects), ["remove-attachment-finalizer"]);
    // Nor does one with another node: the name is the object's own.
    let renamed = going(&json!({"metadata": {"annotations": {"pso-gen.io/node-id": "n2"}}}));
    assert_eq!(recorded_node(&renamed).map(|node| node.node).as_deref(), Some("n1"));
}

#[test]
fn formatting_is_recorded_on_the_array_before_the_volume_is_detached() {
    let context = attached().to_context();
    let formatted = json!({
        "metadata": {"annotations": {"pso-gen.io/formatted": "true"}},
        "status": {"attached": true, "attachmentMetadata": context},
    });
    // While it is attached.
    let mut fixture = Fixture::new();
    let mut here = recorded();
    merge(&mut here, &formatted);
    let here = attachment(&here);
    assert_eq!(fixture.changed(&here), ["record-formatted"]);
    let effects = fixture.done(&here, AttachmentOutcome::Good);
    let [AttachmentEffect::SetAttached { context, .. }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let answered = Attachment::from_context(context).expect("a context");
    assert_eq!(answered, Attachment { never_formatted: false, ..attached() });
    // When that was not done yet.
    let mut fixture = Fixture::new();
    let is_being_deleted = going(&formatted);
    fixture.changed(&is_being_deleted);
    assert_eq!(
        labels(&fixture.done(&is_being_deleted, persistent_volume(&[]))),
        ["record-formatted"]
    );
    assert_eq!(
        labels(&fixture.done(&is_being_deleted, AttachmentOutcome::Good)),
        ["detach-volume"]
    );
    // And once it was, not again.
    let mut is_being_deleted = going(&formatted);
    let metadata =
        is_being_deleted.status.as_mut().and_then(|status| status.attachment_metadata.as_mut());
    Attachment::forbid_formatting(metadata.expect("a context"));
    let mut fixture = Fixture::new();
    fixture.changed(&is_being_deleted);
    assert_eq!(labels(&fixture.done(&is_being_deleted, persistent_volume(&[]))), ["detach-volume"]);
}

#[test]
fn a_failed_detach_keeps_the_finalizer_and_is_tried_from_the_beginning() {
    let mut fixture = Fixture::new();
    let is_being_deleted = going(&json!({}));
    fixture.changed(&is_being_deleted);
    fixture.done(&is_being_deleted, persistent_volume(&[]));
    let error = EffectError::Array {
        reason: "Unreachable",
        message: "away".to_owned(),
        retry: Retry::Soon,
    };
    let effects = fixture.step(&is_being_deleted, AttachmentInput::Done(Err(error)));
    assert_eq!(labels(&effects), ["-", "-", "set-attachment-error"]);
    assert!(matches!(effects.last(), Some(AttachmentEffect::SetError { detaching: true, .. })));
    fixture.done(&is_being_deleted, AttachmentOutcome::Good);
    assert_eq!(
        labels(&fixture.step(&is_being_deleted, AttachmentInput::Due)),
        ["read-persistent-volume"]
    );
}

#[test]
fn a_wait_ends_when_the_other_node_lets_go_and_no_wait_is_long() {
    let mut fixture = Fixture::new();
    let noted = attachment(&recorded());
    let theirs = other("n2");
    fixture.others = vec![theirs.clone()];
    fixture.changed(&noted);
    fixture.done(&noted, persistent_volume(&["ReadWriteOnce"]));
    fixture.done(&noted, AttachmentOutcome::Elsewhere(vec![host("n2")]));
    let all = vec![noted.clone(), theirs];
    fixture.done(&noted, AttachmentOutcome::Attachments(ReadTime::default(), all));
    fixture.step(&noted, AttachmentInput::Done(Err(EffectError::Conflict)));
    assert_eq!(fixture.changed(&noted), Vec::<&str>::new(), "it waits");
    fixture.others.clear();
    assert_eq!(fixture.changed(&noted), ["read-persistent-volume"]);
    for _ in 0..20 {
        let error = EffectError::Cluster("no".to_owned());
        for effect in fixture.step(&noted, AttachmentInput::Done(Err(error))) {
            if let AttachmentEffect::Requeue(wait) = effect {
                assert!(wait <= MAX_WAIT, "{wait:?}");
            }
        }
        fixture.step(&noted, AttachmentInput::Done(Ok(AttachmentOutcome::Good)));
        fixture.step(&noted, AttachmentInput::Due);
    }
}

#[test]
fn another_object_of_the_same_name_begins_anew() {
    let mut fixture = Fixture::new();
    let is_being_deleted = going(&json!({}));
    fixture.changed(&is_being_deleted);
    fixture.done(&is_being_deleted, persistent_volume(&[]));
    fixture.done(&is_being_deleted, AttachmentOutcome::Good);
    fixture.done(&is_being_deleted, AttachmentOutcome::Written(None));
    let again = attachment(&json!({"metadata": {"uid": "u9", "resourceVersion": "9"}}));
    assert_eq!(fixture.changed(&again), ["read-persistent-volume"]);
    let foreign = attachment(&json!({"spec": {"attacher": "example.com"}}));
    assert_eq!(Fixture::new().changed(&foreign), Vec::<&str>::new());
}
