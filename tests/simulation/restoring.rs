//! Block volumes with VolumeSnapshots: a user takes one, deletes it, and restores claims from it.

use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use pso_gen::contract::name::persistent_volume;
use pso_gen::contract::{
    ArrayKind, BlockTarget, BlockTransport, Capacity, CloneSource, Retry, Snapshot, SnapshotOf,
    Transport, VolumeRequest,
};
use pso_gen::provisioner::decide::{
    ArrayState, ArrayTraits, EffectError, Health, Outcome, backing_volume, content_of, snapshot_ids,
};

use serde_json::json;

use super::Run;

/// The array.
const ARRAY: &str = "fa1";
/// The suffix of the snapshot's name, of the form of the CSI services.
const SUFFIX: &str = "csi-0123456789abcdef0123456789abcdef";

impl Run {
    /// The cluster has block volumes, and VolumeSnapshots of them.
    pub(crate) fn have_snapshots(&mut self) {
        self.setup.snapshots = true;
        self.cluster.has_block_claims = true;
        let class = self.class.as_mut().expect("a class");
        (class.kind, class.file_system) = (ArrayKind::FlashArray, Some("xfs".to_owned()));
        class.mount_options.clear();
        let target = BlockTarget {
            transport: BlockTransport::Iscsi,
            target: "iqn.2010-06.com.purestorage:flasharray.1".to_owned(),
            portals: vec!["192.0.2.1:3260".to_owned()],
        };
        self.states = vec![ArrayState {
            name: ARRAY.to_owned(),
            kind: ArrayKind::FlashArray,
            traits: ArrayTraits::default(),
            health: Health::Up {
                id: format!("id-of-{ARRAY}"),
                capacity: Capacity { total: 1 << 50, used: 0, provisioned: Some(0) },
                transport: Transport::Block(vec![target]),
            },
        }];
    }

    /// A user takes a snapshot of a claim's volume.
    pub(crate) fn take_volume_snapshot(&mut self, of: &str) {
        let uid = self.cluster.claims[of].metadata.uid.clone().expect("a UID");
        let volume = backing_volume(&self.cluster.volumes[&persistent_volume(&uid)]);
        let volume = volume.expect("a volume").volume;
        let taken = self.arrays.snapshot(ARRAY, volume.name.as_str(), SUFFIX, None);
        self.must(taken.is_some(), "there is nothing to take a snapshot of");
        self.note("user: take a snapshot");
    }

    /// An admin destroys the snapshot on the array.
    pub(crate) fn destroy_volume_snapshot(&mut self) {
        for (_, snapshot, _) in &mut self.arrays.snapshots {
            snapshot.destroyed |= snapshot.name.ends_with(SUFFIX);
        }
        self.note("admin: destroy the snapshot");
    }

    /// A user requests a claim with the content of the snapshot.
    pub(crate) fn restore(&mut self, name: &str) {
        let source = TypedLocalObjectReference {
            api_group: Some("snapshot.storage.k8s.io".to_owned()),
            kind: "VolumeSnapshot".to_owned(),
            name: "before".to_owned(),
        };
        let made = self.cluster.create_from(name, "pure-file", source);
        self.note(format!("user: create {name} from the snapshot: {made}"));
    }

    /// Checks the content of a claim's volume.
    pub(crate) fn must_be_restored(&self, name: &str, what: &str) {
        let uid = self.cluster.claims[name].metadata.uid.clone();
        let mut own = self.arrays.volumes.iter();
        let own = own.find(|(_, (volume, of))| Some(of) == uid.as_ref() && !volume.destroyed);
        let holds = own.and_then(|(key, _)| self.arrays.holds.get(key));
        self.must(holds.map(String::as_str) == Some(what), &format!("{name} holds {holds:?}"));
        self.must(self.snapshot().is_some(), "the snapshot is gone");
    }

    /// Returns the snapshot that is on the array.
    fn snapshot(&self) -> Option<&Snapshot> {
        let mut all = self.arrays.snapshots.iter().map(|(_, snapshot, _)| snapshot);
        all.find(|snapshot| snapshot.name.ends_with(SUFFIX) && !snapshot.destroyed)
    }

    /// Returns the id of the volume that has a name.
    fn id_of(&self, volume: &str) -> Option<&str> {
        let (volume, _) = self.arrays.volumes.get(&(ARRAY.to_owned(), volume.to_owned()))?;
        Some(&volume.id)
    }

    /// Reads the VolumeSnapshot and its content, as the snapshot-controller and the CSI services wrote them.
    pub(super) fn read_volume_snapshot(&self) -> Outcome {
        let mut all = self.arrays.snapshots.iter().map(|(_, snapshot, _)| snapshot);
        let taken = all.find(|snapshot| snapshot.name.ends_with(SUFFIX));
        let handle = |id: &str| format!("id-of-{ARRAY}/{id}");
        let snapshot = taken.map(|_| {
            json!({
                "metadata": {"namespace": "files", "name": "before", "uid": "u1"},
                "status": {"readyToUse": true, "boundVolumeSnapshotContentName": "content"},
            })
        });
        let read = content_of(snapshot.as_ref()).and_then(|_| {
            let content = taken.map(|taken| {
                json!({
                    "spec": {
                        "driver": "pso-gen.io", "sourceVolumeMode": "Filesystem",
                        "source": {"volumeHandle": self.id_of(&taken.volume).map(handle)},
                        "volumeSnapshotRef": {"namespace": "files", "name": "before", "uid": "u1"},
                    },
                    "status": {"snapshotHandle": handle(&taken.id)},
                })
            });
            snapshot_ids(&snapshot.unwrap_or_default(), content.as_ref())
        });
        Outcome::VolumeSnapshot(read.map(Box::new))
    }

    pub(super) fn find_snapshot(&self, id: &str) -> Outcome {
        let mut all = self.arrays.snapshots.iter().map(|(_, snapshot, _)| snapshot);
        let found = all.find(|snapshot| snapshot.id == id).and_then(|found| {
            let snapshot = Snapshot { size: Some(1 << 30), ..found.clone() };
            let volume_id = self.id_of(&found.volume)?.to_owned();
            Some(Box::new(SnapshotOf { snapshot, volume_id }))
        });
        Outcome::FoundSnapshot(found)
    }

    /// Returns the answer of an array that does not have the snapshot of a request any more.
    pub(super) fn lost_source(&self, array: &str, wanted: &VolumeRequest) -> Option<EffectError> {
        let Some(CloneSource::Snapshot(name)) = &wanted.source else { return None };
        let is_lost = name.ends_with(SUFFIX)
            && self.snapshot().is_none()
            && self.arrays.find(array, wanted.name.as_str()).is_none();
        is_lost.then(|| EffectError::Array {
            reason: "NotFound",
            message: format!("{name} is not there"),
            retry: Retry::Later,
        })
    }
}
