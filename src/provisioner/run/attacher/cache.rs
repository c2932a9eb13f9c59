//! The VolumeAttachments and nodes as the watches show them, with an index by volume. Decides nothing.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::api::storage::v1::{CSINode, VolumeAttachment};
use kube::Resource;
use kube::runtime::watcher::Event;

use super::super::cache::Store;
use crate::contract::{DRIVER, NodeId};
use crate::provisioner::decide::{AttachmentView, NodeIds, node_id, recorded_volume};

/// The cache of the attacher.
#[derive(Debug)]
pub(super) struct AttachmentCache {
    cluster: String,
    attachments: Store<Box<VolumeAttachment>>,
    nodes: Store<Option<NodeId>>,
    /// Names of the VolumeAttachments of each volume, by the key of the volume.
    of_volume: HashMap<String, BTreeSet<String>>,
    /// The keys of each VolumeAttachment, by its name.
    keys: HashMap<String, Vec<String>>,
}

impl AttachmentCache {
    pub(super) fn new(cluster: String) -> Self {
        Self {
            cluster,
            attachments: Store::default(),
            nodes: Store::default(),
            of_volume: HashMap::new(),
            keys: HashMap::new(),
        }
    }

    /// Returns whether all objects were seen once.
    pub(super) fn is_ready(&self) -> bool {
        self.attachments.complete && self.nodes.complete
    }

    /// Returns whether the node service is registered on a node; none while the nodes are unknown.
    pub(super) fn has_node_service(&self) -> Option<bool> {
        self.nodes.complete.then(|| self.nodes.objects.values().any(Option::is_some))
    }

    /// Returns the kinds of objects that were not seen yet.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let kinds =
            [(self.attachments.complete, "VolumeAttachments"), (self.nodes.complete, "CSINodes")];
        kinds.into_iter().filter(|(is_known, _)| !is_known).map(|(_, kind)| kind).collect()
    }

    /// Returns the names of all VolumeAttachments.
    pub(super) fn all(&self) -> Vec<String> {
        self.attachments.objects.keys().cloned().collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &VolumeAttachment)> {
        self.attachments.objects.iter().map(|(name, attachment)| (name, attachment.as_ref()))
    }

    pub(super) fn get(&self, name: &str) -> Option<&VolumeAttachment> {
        self.attachments.objects.get(name).map(Box::as_ref)
    }

    /// Processes an event. Returns the VolumeAttachments that it concerns: the object's, and the others of the volume.
    pub(super) fn attachments(&mut self, event: Event<VolumeAttachment>) -> Vec<String> {
        let event = match event {
            // Those of other drivers are dropped at once.
            Event::Apply(it) | Event::InitApply(it) if it.spec.attacher != DRIVER => {
                drop(it);
                return Vec::new();
            }
            event => event,
        };
        let changed = self.attachments.apply_event(event, name, Box::new);
        let mut touched = BTreeSet::new();
        for name in changed {
            touched.extend(self.neighbours(&name));
            self.note(&name);
            touched.extend(self.neighbours(&name));
            touched.insert(name);
        }
        touched.into_iter().collect()
    }

    /// Processes an event. Returns the VolumeAttachments of the node, and the nodes that are gone and have none: the
    /// hosts of the others are deleted with their last connection.
    pub(super) fn nodes(&mut self, event: Event<CSINode>) -> (Vec<String>, Vec<NodeId>) {
        // A list shows only at its end which nodes are gone.
        let before: NodeIds = match &event {
            Event::InitDone => self.nodes.objects.clone(),
            Event::Delete(node) => {
                let cached = self.nodes.objects.get_key_value(&name(node));
                cached.map(|(name, id)| (name.clone(), id.clone())).into_iter().collect()
            }
            _ => NodeIds::new(),
        };
        let mut of = String::new();
        let mut read = |node: CSINode| {
            of = name(&node);
            node_id(&node)
        };
        let event = match event {
            Event::Apply(node) => Event::Apply(read(node)),
            Event::Delete(node) => Event::Delete(read(node)),
            Event::InitApply(node) => Event::InitApply(read(node)),
            Event::Init => Event::Init,
            Event::InitDone => Event::InitDone,
        };
        let changed = self.nodes.apply_event(event, |_| of.clone(), |node| node);
        let changed: BTreeSet<String> = changed.into_iter().collect();
        let all = self.attachments.objects.iter();
        let of_them = all.filter(|(_, attachment)| changed.contains(&attachment.spec.node_name));
        let touched: Vec<String> = of_them.map(|(name, _)| name.clone()).collect();
        let gone = before.into_iter().filter_map(|(name, id)| {
            let all = self.attachments.objects.values();
            let is_there = self.nodes.objects.contains_key(&name)
                || all.into_iter().any(|attachment| attachment.spec.node_name == name);
            let id = id.filter(|_| !is_there)?;
            Some(NodeId { node: name, ..id })
        });
        (touched, gone.collect())
    }

    /// Calls `read` with the view of a VolumeAttachment.
    pub(super) fn with<R>(&self, name: &str, read: impl FnOnce(AttachmentView<'_>) -> R) -> R {
        let others = self.neighbours(name);
        let others: Vec<&VolumeAttachment> = others
            .iter()
            .filter(|other| *other != name)
            .filter_map(|other| self.get(other))
            .collect();
        let nodes: &NodeIds = &self.nodes.objects;
        let attachment = self.get(name);
        read(AttachmentView { cluster: &self.cluster, attachment, others: &others, nodes })
    }

    /// Returns the names of the VolumeAttachments of the same volume.
    fn neighbours(&self, name: &str) -> BTreeSet<String> {
        let keys = self.keys.get(name).into_iter().flatten();
        keys.filter_map(|key| self.of_volume.get(key)).flatten().cloned().collect()
    }

    /// Updates the index.
    fn note(&mut self, name: &str) {
        for key in self.keys.remove(name).into_iter().flatten() {
            if let Some(names) = self.of_volume.get_mut(&key) {
                names.remove(name);
                if names.is_empty() {
                    self.of_volume.remove(&key);
                }
            }
        }
        let keys = self.get(name).map(keys).unwrap_or_default();
        for key in &keys {
            self.of_volume.entry(key.clone()).or_default().insert(name.to_owned());
        }
        if !keys.is_empty() {
            self.keys.insert(name.to_owned(), keys);
        }
    }
}

/// Returns the keys of the volume of a VolumeAttachment: two PersistentVolumes may name one volume.
fn keys(attachment: &VolumeAttachment) -> Vec<String> {
    let volume = attachment.spec.source.persistent_volume_name.as_ref();
    let recorded = recorded_volume(attachment);
    let recorded = recorded.map(|it| format!("volume {}/{}", it.array_id, it.volume.id));
    volume.map(|name| format!("PersistentVolume {name}")).into_iter().chain(recorded).collect()
}

fn name<K: Resource>(object: &K) -> String {
    object.meta().name.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attachment(name: &str, volume: &str, driver: &str) -> VolumeAttachment {
        serde_json::from_value(json!({
            "metadata": {"name": name, "uid": name, "resourceVersion": "1"},
            "spec": {"attacher": driver, "nodeName": name, "source": {"persistentVolumeName": volume}},
        }))
        .expect("typed")
    }

    #[test]
    fn a_change_concerns_the_others_of_the_same_volume() {
        let mut cache = AttachmentCache::new("prod".to_owned());
        assert_eq!(cache.missing(), ["VolumeAttachments", "CSINodes"]);
        for (name, volume) in [("a", "pvc-1"), ("b", "pvc-1"), ("c", "pvc-2")] {
            cache.attachments(Event::Apply(attachment(name, volume, DRIVER)));
        }
        let others =
            |cache: &AttachmentCache, name: &str| cache.with(name, |view| view.others.len());
        assert_eq!((others(&cache, "a"), others(&cache, "c")), (1, 0));
        let gone = attachment("a", "pvc-1", DRIVER);
        assert_eq!(cache.attachments(Event::Delete(gone)), ["a", "b"], "b may go on");
        assert_eq!((others(&cache, "a"), others(&cache, "b")), (0, 0));
        let foreign = attachment("d", "pvc-2", "example.com");
        assert_eq!(cache.attachments(Event::Apply(foreign)), Vec::<String>::new());
        assert!(cache.get("d").is_none());
    }

    #[test]
    fn a_node_without_the_node_service_is_there_and_has_no_id() {
        let mut cache = AttachmentCache::new("prod".to_owned());
        cache.attachments(Event::Apply(attachment("n1", "pvc-1", DRIVER)));
        let node = |drivers| -> CSINode {
            let node = json!({"metadata": {"name": "n1"}, "spec": {"drivers": drivers}});
            serde_json::from_value(node).expect("typed")
        };
        assert_eq!(cache.nodes(Event::Apply(node(json!([])))).0, ["n1"]);
        let id = |cache: &AttachmentCache| cache.with("n1", |view| view.nodes.get("n1").cloned());
        assert_eq!(id(&cache), Some(None));
        assert_eq!(cache.has_node_service(), None, "other nodes may follow");
        for event in [Event::Init, Event::InitApply(node(json!([]))), Event::InitDone] {
            cache.nodes(event);
        }
        assert_eq!(cache.has_node_service(), Some(false));
        let ours = json!([{"name": DRIVER, "nodeID": "n1;iqn.2026-01.com.example:1"}]);
        cache.nodes(Event::Apply(node(ours)));
        assert!(id(&cache).flatten().is_some_and(|node| node.iqn.is_some()));
        assert_eq!(cache.has_node_service(), Some(true));
        let (touched, gone) = cache.nodes(Event::Delete(node(json!([]))));
        assert_eq!((id(&cache), touched, gone), (None, vec!["n1".to_owned()], vec![]));
    }

    #[test]
    fn a_node_that_goes_without_attachments_leaves_its_hosts() {
        let node = |name: &str| -> CSINode {
            let ours =
                json!([{"name": DRIVER, "nodeID": format!("{name};iqn.2026-01.com.example:1")}]);
            let node = json!({"metadata": {"name": name}, "spec": {"drivers": ours}});
            serde_json::from_value(node).expect("typed")
        };
        let mut cache = AttachmentCache::new("prod".to_owned());
        for event in [Event::Init, Event::InitApply(node("n1")), Event::InitApply(node("n2"))] {
            assert_eq!(cache.nodes(event).1, []);
        }
        assert_eq!(cache.nodes(Event::InitDone).1, []);
        let gone = |(_, gone): (Vec<String>, Vec<NodeId>)| -> Vec<String> {
            gone.into_iter().map(|node| node.node).collect()
        };
        assert_eq!(gone(cache.nodes(Event::Delete(node("n1")))), ["n1"]);
        cache.nodes(Event::Init);
        assert_eq!(gone(cache.nodes(Event::InitDone)), ["n2"], "while the watch was away");
    }
}
