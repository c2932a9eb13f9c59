//! A model of a cluster's VolumeAttachments, nodes and PersistentVolumes, and of an array's hosts and connections. It
//! notes what must never happen at the moment when it happens.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use pso_gen::contract::annotation::{ARRAY, ARRAY_ID, FORMATTED, NODE_ID, VOLUME, VOLUME_ID};
use pso_gen::contract::{
    ATTACHER_FINALIZER, Attachment, BlockHost, BlockTransport, Initiators, NodeHost, NodeId,
};
use pso_gen::provisioner::decide::{
    AttachmentEffect, AttachmentOutcome, BackingVolume, EffectError, ObjectVersion, ReadTime,
    is_attached,
};
use serde_json::{Value as Json, json};

pub(super) const CLUSTER: &str = "prod";

/// A change of a VolumeAttachment or a node, as a watch event.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Attachment(String, Option<Box<VolumeAttachment>>),
    Node(String, Option<NodeId>),
}

/// A volume on the array.
#[derive(Debug, Default)]
pub(super) struct OnArray {
    /// The names of connected hosts.
    pub(super) hosts: BTreeSet<String>,
    /// Whether the tag says that nothing has ever formatted it.
    never_formatted: bool,
    /// Whether a node has formatted it.
    formatted: bool,
    /// Whether several nodes may have it.
    is_shared: bool,
}

/// The cluster and the array.
#[derive(Debug, Default)]
pub(super) struct ClusterAndArrays {
    pub(super) attachments: BTreeMap<String, VolumeAttachment>,
    pub(super) nodes: BTreeMap<String, NodeId>,
    pub(super) volumes: BTreeMap<String, PersistentVolume>,
    pub(super) array: BTreeMap<String, OnArray>,
    hosts: BTreeMap<String, Initiators>,
    pub(super) history: Vec<Change>,
    version: u64,
    pub(super) wrong: Option<String>,
    /// How often the array was asked.
    pub(super) array_calls: usize,
}

pub(super) fn node(name: &str) -> NodeId {
    let iqn = Some(format!("iqn.2026-01.com.example:{name}"));
    NodeId { node: name.to_owned(), iqn, ..NodeId::default() }
}

fn host_of(node: NodeId) -> NodeHost {
    NodeHost { cluster: CLUSTER.to_owned(), node }
}

fn typed<K: serde::de::DeserializeOwned>(object: Json) -> K {
    serde_json::from_value(object).expect("typed")
}

impl ClusterAndArrays {
    fn next(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    fn must(&mut self, holds: bool, what: impl Fn() -> String) {
        if !holds && self.wrong.is_none() {
            self.wrong = Some(what());
        }
    }

    pub(super) fn add_node(&mut self, name: &str) {
        self.nodes.insert(name.to_owned(), node(name));
        self.history.push(Change::Node(name.to_owned(), Some(node(name))));
    }

    pub(super) fn remove_node(&mut self, name: &str) {
        self.nodes.remove(name);
        self.history.push(Change::Node(name.to_owned(), None));
    }

    pub(super) fn add_volume(&mut self, name: &str, mode: &str) {
        self.volumes.insert(
            name.to_owned(),
            typed(json!({
                "metadata": {"name": name},
                "spec": {"accessModes": [mode], "csi": {
                    "driver": "pso-gen.io", "volumeHandle": format!("a/{name}"),
                    "volumeAttributes": {"array": "fa1", "name": format!("prod-{name}")},
                }},
            })),
        );
        let is_shared = mode == "ReadWriteMany";
        let volume = OnArray { never_formatted: true, is_shared, ..OnArray::default() };
        self.array.insert(name.to_owned(), volume);
    }

    fn put(&mut self, mut attachment: VolumeAttachment) -> VolumeAttachment {
        let name = attachment.metadata.name.clone().expect("a name");
        attachment.metadata.resource_version = Some(self.next());
        let goes = attachment.metadata.deletion_timestamp.is_some();
        let is_held = attachment.metadata.finalizers.iter().flatten().next().is_some();
        if goes && !is_held {
            self.remove(&name, &attachment);
        } else {
            self.attachments.insert(name.clone(), attachment.clone());
            let kept = Some(Box::new(attachment.clone()));
            self.history.push(Change::Attachment(name, kept));
        }
        attachment
    }

    fn remove(&mut self, name: &str, attachment: &VolumeAttachment) {
        self.attachments.remove(name);
        self.history.push(Change::Attachment(name.to_owned(), None));
        let volume = attachment.spec.source.persistent_volume_name.clone().unwrap_or_default();
        let host = format!("prod-{}", attachment.spec.node_name);
        let fenced = self.array.get(&volume).is_none_or(|volume| !volume.hosts.contains(&host));
        self.must(fenced, || format!("{name} is gone, and {volume} is connected to {host}"));
    }

    /// kube-controller-manager asks for a volume on a node. The name is the same each time, as the real one's is.
    pub(super) fn attach(&mut self, volume: &str, node: &str) {
        let name = format!("csi-{volume}-{node}");
        if !self.attachments.contains_key(&name) {
            let uid = format!("u{}", self.next());
            self.put(typed(json!({
                "metadata": {"name": name, "uid": uid},
                "spec": {
                    "attacher": "pso-gen.io", "nodeName": node,
                    "source": {"persistentVolumeName": volume},
                },
            })));
        }
    }

    /// kube-controller-manager, or a person, asks that it goes.
    pub(super) fn detach(&mut self, name: &str) {
        if let Some(mut attachment) = self.attachments.get(name).cloned()
            && attachment.metadata.deletion_timestamp.is_none()
        {
            attachment.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
            self.put(attachment);
        }
    }

    /// The node service formats a volume that it may format, and records it before any pod writes.
    pub(super) fn format(&mut self, name: &str) {
        let Some(mut attachment) = self.attachments.get(name).cloned() else { return };
        let status = attachment.status.clone().unwrap_or_default();
        let context = status.attachment_metadata.unwrap_or_default();
        let volume = attachment.spec.source.persistent_volume_name.clone().unwrap_or_default();
        let host = format!("prod-{}", attachment.spec.node_name);
        let annotations = attachment.metadata.annotations.get_or_insert_default();
        // A raw device of several nodes is never formatted by the node service.
        let there = self.array.get_mut(&volume).filter(|there| !there.is_shared);
        let Some(there) = there else { return };
        let may = status.attached
            && Attachment::allows_formatting(&context)
            && there.hosts.contains(&host)
            && !annotations.contains_key(FORMATTED);
        if may {
            let twice = std::mem::replace(&mut there.formatted, true);
            annotations.insert(FORMATTED.to_owned(), "true".to_owned());
            self.must(!twice, || format!("{volume} is formatted twice"));
            self.put(attachment);
        }
    }

    /// A person disconnects, or connects, by hand.
    pub(super) fn connect_by_hand(&mut self, volume: &str, host: &str) {
        if let Some(volume) = self.array.get_mut(volume) {
            volume.hosts.insert(host.to_owned());
        }
    }

    fn seen(&self, seen: &ObjectVersion) -> Result<VolumeAttachment, EffectError> {
        let there = self.attachments.get(&seen.name).ok_or(EffectError::Conflict)?;
        let same = there.metadata.uid.as_ref() == Some(&seen.uid)
            && there.metadata.resource_version.as_ref() == Some(&seen.version);
        same.then(|| there.clone()).ok_or(EffectError::Conflict)
    }

    fn write(
        &mut self,
        seen: &ObjectVersion,
        change: impl FnOnce(&mut VolumeAttachment),
    ) -> Result<AttachmentOutcome, EffectError> {
        let mut attachment = self.seen(seen)?;
        change(&mut attachment);
        let written = self.put(attachment);
        Ok(AttachmentOutcome::Written(Some(Box::new(written))))
    }

    /// Carries out the next part of an effect: an array's operation has several requests. `None` while it goes on.
    pub(super) fn apply(
        &mut self,
        effect: &AttachmentEffect,
        part: usize,
    ) -> Option<Result<AttachmentOutcome, EffectError>> {
        if let Some(volume) = effect.on_array() {
            self.array_calls += 1;
            return self.on_array(effect, &volume.clone(), part);
        }
        Some(match effect {
            AttachmentEffect::ReadPersistentVolume { name } => {
                let volume = self.volumes.get(name).cloned().map(Box::new);
                Ok(AttachmentOutcome::PersistentVolume(volume))
            }
            AttachmentEffect::ListAttachments => {
                let all = self.attachments.values().cloned().collect();
                Ok(AttachmentOutcome::Attachments(ReadTime::default(), all))
            }
            AttachmentEffect::Record { attachment, volume, node_id } => {
                self.write(attachment, |it| {
                    it.metadata.finalizers = Some(vec![ATTACHER_FINALIZER.to_owned()]);
                    let words = [
                        (ARRAY, &volume.array),
                        (ARRAY_ID, &volume.array_id),
                        (VOLUME, &volume.volume.name.to_string()),
                        (VOLUME_ID, &volume.volume.id),
                        (NODE_ID, node_id),
                    ]
                    .map(|(key, value)| (key.to_owned(), value.clone()));
                    it.metadata.annotations.get_or_insert_default().extend(words);
                })
            }
            AttachmentEffect::SetAttached { attachment, context } => {
                let done = self.write(attachment, |it| {
                    let status = it.status.get_or_insert_default();
                    status.attached = true;
                    status.attachment_metadata = Some(context.clone());
                    status.attach_error = None;
                });
                if done.is_ok() {
                    self.check_attached(&attachment.name);
                }
                done
            }
            AttachmentEffect::SetError { attachment, detaching, message } => {
                self.write(attachment, |it| {
                    let error = typed(json!({"message": message}));
                    let status = it.status.get_or_insert_default();
                    let field = if *detaching {
                        &mut status.detach_error
                    } else {
                        &mut status.attach_error
                    };
                    *field = Some(error);
                })
            }
            AttachmentEffect::RemoveFinalizer { attachment } => {
                self.write(attachment, |it| it.metadata.finalizers = None)
            }
            _ => Ok(AttachmentOutcome::Good),
        })
    }

    fn check_attached(&mut self, name: &str) {
        let attachment = self.attachments[name].clone();
        let volume = attachment.spec.source.persistent_volume_name.clone().unwrap_or_default();
        let host = format!("prod-{}", attachment.spec.node_name);
        let there = self.array.get(&volume).is_some_and(|it| it.hosts.contains(&host));
        self.must(there, || format!("{name} is attached, and {volume} is not connected to {host}"));
    }

    fn on_array(
        &mut self,
        effect: &AttachmentEffect,
        behind: &BackingVolume,
        part: usize,
    ) -> Option<Result<AttachmentOutcome, EffectError>> {
        let id = &behind.volume.id;
        let gone = Some(Ok(AttachmentOutcome::Good));
        match effect {
            AttachmentEffect::Attach { node, exclusive, .. } => {
                let host = host_of(node.clone()).name(BlockTransport::Iscsi);
                if part == 0 {
                    self.hosts.insert(host, Initiators::of(node));
                    return None;
                }
                let others = self.others(id, &host);
                if *exclusive && !others.is_empty() {
                    return Some(Ok(AttachmentOutcome::Elsewhere(others)));
                }
                if part == 1 {
                    return None;
                }
                let Some(volume) = self.array.get_mut(id) else {
                    let message = format!("{id} does not exist");
                    return Some(Err(EffectError::Cluster(message)));
                };
                volume.hosts.insert(host);
                let never_formatted = volume.never_formatted;
                let hosts = volume.hosts.clone();
                self.must(!exclusive || hosts.len() == 1, || format!("{id} is on {hosts:?}"));
                Some(Ok(AttachmentOutcome::Attached(Box::new(Attachment {
                    transport: BlockTransport::Iscsi,
                    target: "iqn.array".to_owned(),
                    portals: vec!["10.0.0.1:3260".to_owned()],
                    lun: 1,
                    serial: "0123456789ABCDEF01234567".to_owned(),
                    size: 1,
                    never_formatted,
                }))))
            }
            AttachmentEffect::Detach { nodes, .. } => {
                let Some(volume) = self.array.get(id) else { return gone };
                let hosts = volume.hosts.iter().map(|name| self.host(name));
                let is_its =
                    |host: &BlockHost| nodes.iter().any(|node| host_of(node.clone()).is(host));
                let of_node: Vec<BlockHost> = hosts.filter(is_its).collect();
                if part == 0 {
                    return None;
                }
                let volume = self.array.get_mut(id).expect("there");
                volume.hosts.retain(|name| of_node.iter().all(|host| host.name != *name));
                gone
            }
            AttachmentEffect::Disconnect { host, .. } => {
                let needs = self.attachments.values().find(|it| {
                    let volume = it.spec.source.persistent_volume_name.as_deref();
                    is_attached(it)
                        && volume == Some(id.as_str())
                        && format!("prod-{}", it.spec.node_name) == *host
                });
                let name = needs.and_then(|it| it.metadata.name.clone());
                self.must(name.is_none(), || format!("{name:?} is cut off from {id}"));
                if let Some(volume) = self.array.get_mut(id) {
                    volume.hosts.remove(host);
                }
                gone
            }
            AttachmentEffect::RecordFormatted { .. } => {
                if let Some(volume) = self.array.get_mut(id) {
                    volume.never_formatted = false;
                }
                gone
            }
            AttachmentEffect::DeleteHosts { nodes, .. } => {
                for node in nodes {
                    let name = host_of(node.clone()).name(BlockTransport::Iscsi);
                    let used = self.array.values().any(|volume| volume.hosts.contains(&name));
                    if !used {
                        self.hosts.remove(&name);
                    }
                }
                gone
            }
            _ => gone,
        }
    }

    fn host(&self, name: &str) -> BlockHost {
        let initiators = self.hosts.get(name).cloned().unwrap_or_default();
        BlockHost { name: name.to_owned(), initiators, connections: 1 }
    }

    fn others(&self, volume: &str, host: &str) -> Vec<BlockHost> {
        let hosts = self.array.get(volume).into_iter().flat_map(|volume| &volume.hosts);
        hosts.filter(|name| *name != host).map(|name| self.host(name)).collect()
    }

    /// Returns the number of hosts on the array.
    pub(super) fn host_count(&self) -> usize {
        self.hosts.len()
    }

    /// Fails when a formatted volume may be formatted again by whoever attaches it next.
    pub(super) fn check_formats(&self) {
        for (name, volume) in &self.array {
            let is_attached = self
                .attachments
                .values()
                .any(|it| it.spec.source.persistent_volume_name.as_ref() == Some(name));
            assert!(!volume.formatted || !volume.never_formatted || is_attached, "{name}");
        }
    }
}
