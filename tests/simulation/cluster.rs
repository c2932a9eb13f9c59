//! A model of a cluster, whose watches may lag behind its history, and of arrays.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec,
    PersistentVolumeClaimStatus, PersistentVolumeSpec, PersistentVolumeStatus,
    TypedLocalObjectReference, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use pso_gen::contract::FINALIZER;
use pso_gen::contract::annotation;
use pso_gen::contract::{CloneSource, Snapshot, Volume, VolumeId, VolumeRequest};
use pso_gen::provisioner::decide::{EffectError, ObjectVersion, barrier, quantity};

/// A change of an object, as a watch event.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Claim(String, Option<Box<PersistentVolumeClaim>>),
    Volume(String, Option<Box<PersistentVolume>>),
}

/// The state of the API server, and its history.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    /// By name.
    pub(crate) claims: BTreeMap<String, PersistentVolumeClaim>,
    pub(crate) volumes: BTreeMap<String, PersistentVolume>,
    pub(crate) history: Vec<Change>,
    /// UIDs of claims that were bound while they existed: only pods of those can have used the volume.
    pub(crate) used: BTreeSet<String>,
    /// UIDs of claims to which an admin bound the volume of another claim, and that claim.
    pub(crate) saved: BTreeMap<String, String>,
    /// The version of each claim, by its UID, that the provisioner wrote last.
    pub(crate) ours_wrote: BTreeMap<String, u64>,
    /// UIDs of the claims that each PersistentVolume was bound to at some time.
    pub(crate) ever_claimed: BTreeMap<String, BTreeSet<String>>,
    /// Whether claims are for block volumes, with a file system for one node.
    pub(crate) has_block_claims: bool,
    version: u64,
}

impl Cluster {
    fn next(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    /// Creates a claim that clones another.
    pub(crate) fn create_copy(&mut self, name: &str, class: &str, of: &str) -> bool {
        let source = TypedLocalObjectReference {
            kind: "PersistentVolumeClaim".to_owned(),
            name: of.to_owned(),
            api_group: None,
        };
        self.create_from(name, class, source)
    }

    /// Creates a claim with a source.
    pub(crate) fn create_from(
        &mut self,
        name: &str,
        class: &str,
        source: TypedLocalObjectReference,
    ) -> bool {
        if !self.create_claim(name, class) {
            return false;
        }
        let mut claim = self.claims[name].clone();
        claim.spec.get_or_insert_default().data_source = Some(source);
        // The field counts as present from the creation.
        self.history.pop();
        self.put_claim(claim);
        true
    }

    pub(crate) fn create_claim(&mut self, name: &str, class: &str) -> bool {
        if self.claims.contains_key(name) {
            return false;
        }
        let version = self.next();
        let requests = [("storage".to_owned(), Quantity("1Gi".to_owned()))];
        let mode = if self.has_block_claims { "ReadWriteOnce" } else { "ReadWriteMany" };
        let claim = PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some("files".to_owned()),
                uid: Some(format!("00000000-0000-4000-8000-{version:0>12}")),
                ..ObjectMeta::default()
            },
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: Some(vec![mode.to_owned()]),
                storage_class_name: Some(class.to_owned()),
                resources: Some(VolumeResourceRequirements {
                    requests: Some(requests.into()),
                    ..VolumeResourceRequirements::default()
                }),
                ..PersistentVolumeClaimSpec::default()
            }),
            status: None,
        };
        self.put_claim(claim);
        true
    }

    /// An admin creates a PersistentVolume: for a claim, by name and perhaps UID, or for any claim.
    pub(crate) fn create_static(
        &mut self,
        claim: Option<(&str, Option<String>)>,
        gibibytes: u32,
    ) -> String {
        let name = format!("static-{}", self.next());
        let claim_ref = claim.map(|(claim, uid)| ObjectReference {
            namespace: Some("files".to_owned()),
            name: Some(claim.to_owned()),
            uid,
            ..ObjectReference::default()
        });
        let capacity = Quantity(format!("{gibibytes}Gi"));
        let volume = PersistentVolume {
            metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
            spec: Some(PersistentVolumeSpec {
                access_modes: Some(vec!["ReadWriteMany".to_owned()]),
                capacity: Some([("storage".to_owned(), capacity)].into()),
                storage_class_name: Some("pure-file".to_owned()),
                persistent_volume_reclaim_policy: Some("Retain".to_owned()),
                claim_ref,
                ..PersistentVolumeSpec::default()
            }),
            status: None,
        };
        self.create_volume(&volume).expect("a new name");
        name
    }

    /// kube-controller-manager writes the claim of a PersistentVolume, or removes it; fails if the PersistentVolume has
    /// changed.
    pub(crate) fn write_claim_ref(
        &mut self,
        seen: &PersistentVolume,
        change: impl FnOnce(&mut PersistentVolume),
    ) -> Option<PersistentVolume> {
        let name = seen.metadata.name.as_deref().expect("a name");
        let volume = self.volumes.get(name).cloned()?;
        if !Self::has_version(&volume.metadata, &seen.metadata) {
            return None;
        }
        let mut changed = volume.clone();
        change(&mut changed);
        if changed != volume {
            self.put_volume(changed);
        }
        self.volumes.get(name).cloned()
    }

    /// Records a write of the provisioner on a claim.
    fn put_ours(&mut self, claim: PersistentVolumeClaim) {
        let uid = claim.metadata.uid.clone().expect("a UID");
        self.put_claim(claim);
        self.ours_wrote.insert(uid, self.version);
    }

    /// Stores a claim; a claim that is being deleted disappears with its last finalizer.
    fn put_claim(&mut self, mut claim: PersistentVolumeClaim) {
        claim.metadata.resource_version = Some(self.next());
        let name = claim.metadata.name.clone().expect("a name");
        let uid = claim.metadata.uid.clone().expect("a UID");
        let finalizers = claim.metadata.finalizers.as_ref().is_some_and(|all| !all.is_empty());
        if claim.metadata.deletion_timestamp.is_some() && !finalizers {
            self.claims.remove(&name);
            self.history.push(Change::Claim(uid, None));
        } else {
            self.claims.insert(name, claim.clone());
            self.history.push(Change::Claim(uid, Some(Box::new(claim))));
        }
    }

    fn put_volume(&mut self, mut volume: PersistentVolume) {
        volume.metadata.resource_version = Some(self.next());
        let name = volume.metadata.name.clone().expect("a name");
        let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()?.uid.as_ref());
        if let Some(uid) = claim.filter(|uid| !uid.is_empty()) {
            self.ever_claimed.entry(name.clone()).or_default().insert(uid.clone());
        }
        let finalizers = volume.metadata.finalizers.as_ref().is_some_and(|all| !all.is_empty());
        // Kubernetes protects bound objects with a finalizer of its own.
        let held = finalizers || phase_of(&volume) == Some("Bound");
        if volume.metadata.deletion_timestamp.is_some() && !held {
            self.volumes.remove(&name);
            self.history.push(Change::Volume(name, None));
        } else {
            self.volumes.insert(name.clone(), volume.clone());
            self.history.push(Change::Volume(name, Some(Box::new(volume))));
        }
    }

    /// A user deletes a PersistentVolume.
    pub(crate) fn delete_by_hand(&mut self, name: &str) {
        if let Some(mut volume) = self.volumes.get(name).cloned()
            && volume.metadata.deletion_timestamp.is_none()
        {
            volume.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
            self.put_volume(volume);
        }
    }

    pub(crate) fn delete_claim(&mut self, name: &str) {
        if let Some(mut claim) = self.claims.get(name).cloned()
            && claim.metadata.deletion_timestamp.is_none()
        {
            claim.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
            self.put_claim(claim);
        }
    }

    fn claim(&self, seen: &ObjectVersion) -> Option<PersistentVolumeClaim> {
        self.claims.get(&seen.name).cloned()
    }

    pub(crate) fn intend(
        &mut self,
        seen: &ObjectVersion,
        asked: &[String],
        ids: &[String],
    ) -> Result<Option<PersistentVolumeClaim>, EffectError> {
        let Some(mut claim) = self.claim(seen) else { return Ok(None) };
        let same = claim.metadata.uid.as_ref() == Some(&seen.uid)
            && claim.metadata.resource_version.as_ref() == Some(&seen.version);
        // The API server rejects new finalizers on an object that is being deleted.
        if !same || claim.metadata.deletion_timestamp.is_some() {
            return Err(EffectError::Conflict);
        }
        let finalizers = claim.metadata.finalizers.get_or_insert_default();
        if !finalizers.iter().any(|each| each == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
        let annotations = claim.metadata.annotations.get_or_insert_default();
        annotations.insert(annotation::ARRAY.to_owned(), asked.join(","));
        annotations.insert(annotation::ARRAY_ID.to_owned(), ids.join(","));
        self.put_ours(claim.clone());
        Ok(self.claims.get(&seen.name).cloned())
    }

    pub(crate) fn finish(
        &mut self,
        seen: &ObjectVersion,
    ) -> Result<Option<PersistentVolumeClaim>, EffectError> {
        let Some(mut claim) = self.claim(seen) else { return Ok(None) };
        if claim.metadata.uid.as_ref() != Some(&seen.uid) {
            return Err(EffectError::Conflict);
        }
        if let Some(finalizers) = &mut claim.metadata.finalizers {
            finalizers.retain(|each| each != FINALIZER);
        }
        self.put_ours(claim);
        Ok(self.claims.get(&seen.name).cloned())
    }

    pub(crate) fn create_volume(
        &mut self,
        volume: &PersistentVolume,
    ) -> Result<PersistentVolume, EffectError> {
        let name = volume.metadata.name.clone().expect("a name");
        if self.volumes.contains_key(&name) {
            return Err(EffectError::Exists);
        }
        let mut volume = volume.clone();
        volume.metadata.uid = Some(format!("pv-{}", self.next()));
        let phase = Some("Pending".to_owned());
        volume.status = Some(PersistentVolumeStatus { phase, ..PersistentVolumeStatus::default() });
        self.put_volume(volume);
        Ok(self.volumes[&name].clone())
    }

    pub(crate) fn delete_volume(&mut self, seen: &ObjectVersion) -> Result<(), EffectError> {
        let Some(mut volume) = self.volumes.get(&seen.name).cloned() else { return Ok(()) };
        let same = volume.metadata.uid.as_ref() == Some(&seen.uid)
            && volume.metadata.resource_version.as_ref() == Some(&seen.version);
        if !same {
            return Err(EffectError::Conflict);
        }
        volume.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        self.put_volume(volume);
        Ok(())
    }

    pub(crate) fn release_volume(&mut self, seen: &ObjectVersion) -> Result<(), EffectError> {
        let Some(mut volume) = self.volumes.get(&seen.name).cloned() else { return Ok(()) };
        let same = volume.metadata.uid.as_ref() == Some(&seen.uid)
            && volume.metadata.resource_version.as_ref() == Some(&seen.version);
        if !same {
            return Err(EffectError::Conflict);
        }
        if let Some(finalizers) = &mut volume.metadata.finalizers {
            finalizers.retain(|each| each != FINALIZER);
        }
        self.put_volume(volume);
        Ok(())
    }

    pub(crate) fn adopt_volume(&mut self, seen: &ObjectVersion) -> Result<(), EffectError> {
        let Some(mut volume) = self.volumes.get(&seen.name).cloned() else { return Ok(()) };
        let same = volume.metadata.uid.as_ref() == Some(&seen.uid)
            && volume.metadata.resource_version.as_ref() == Some(&seen.version);
        // The API server rejects new finalizers on an object that is being deleted.
        if !same || volume.metadata.deletion_timestamp.is_some() {
            return Err(EffectError::Conflict);
        }
        volume.metadata.finalizers.get_or_insert_default().push(FINALIZER.to_owned());
        self.put_volume(volume);
        Ok(())
    }

    /// A user removes the provisioner's finalizer from all PersistentVolumes.
    pub(crate) fn strip_volumes(&mut self) {
        for mut volume in self.volumes.values().cloned().collect::<Vec<_>>() {
            volume.metadata.finalizers = None;
            self.put_volume(volume);
        }
    }

    /// A user removes all finalizers from a claim and deletes it.
    pub(crate) fn tear_off_claim(&mut self, name: &str) {
        if let Some(mut claim) = self.claims.get(name).cloned() {
            claim.metadata.finalizers = None;
            claim.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
            self.put_claim(claim);
        }
    }

    /// An admin binds a released PersistentVolume to a claim, which names it.
    pub(crate) fn bind_again(&mut self, volume: &str, claim: &str, policy: &str) {
        let mut volume = self.volumes[volume].clone();
        let mut claim = self.claims[claim].clone();
        let uid = claim.metadata.uid.clone().expect("a UID");
        let spec = volume.spec.get_or_insert_default();
        spec.persistent_volume_reclaim_policy = Some(policy.to_owned());
        spec.claim_ref.get_or_insert_default().name.clone_from(&claim.metadata.name);
        spec.claim_ref.get_or_insert_default().uid = Some(uid.clone());
        let capacity = spec.capacity.clone();
        let name = volume.metadata.name.clone().expect("a name");
        self.saved.insert(uid, name.trim_start_matches("pvc-").to_owned());
        let claimed = claim.spec.get_or_insert_default();
        claimed.volume_name = Some(name);
        // The claim requests the existing size.
        claimed.resources.get_or_insert_default().requests.clone_from(&capacity);
        // The fields count as present from the creation. kube-controller-manager does the rest.
        self.history.pop();
        self.set_phase(volume, "Available");
        self.note_used(&claim);
        self.put_claim(claim);
    }

    /// A user requests a larger size; Kubernetes accepts that of a bound claim.
    pub(crate) fn grow_claim(&mut self, name: &str, gibibytes: u32) {
        let Some(mut claim) = self.claims.get(name).cloned() else { return };
        let spec = claim.spec.as_mut().expect("a spec");
        if spec.volume_name.is_none() {
            return;
        }
        let requests = spec.resources.as_mut().and_then(|r| r.requests.as_mut()).expect("requests");
        let there = requests["storage"].0.trim_end_matches("Gi").parse().unwrap_or(0);
        if there < gibibytes {
            requests.insert("storage".to_owned(), Quantity(format!("{gibibytes}Gi")));
            self.put_claim(claim);
        }
    }

    /// A user annotates a claim.
    pub(crate) fn annotate_claim(&mut self, name: &str, key: &str, value: &str) {
        let mut claim = self.claims[name].clone();
        let annotations = claim.metadata.annotations.get_or_insert_default();
        annotations.insert(key.to_owned(), value.to_owned());
        self.put_claim(claim);
    }

    /// Changes a claim's status, if the claim has not changed since.
    pub(crate) fn change_status(
        &mut self,
        seen: &ObjectVersion,
        change: impl FnOnce(&mut PersistentVolumeClaimStatus),
    ) -> Result<Option<PersistentVolumeClaim>, EffectError> {
        let mut claim = self.claim(seen).ok_or(EffectError::Conflict)?;
        if claim.metadata.resource_version.as_ref() != Some(&seen.version) {
            return Err(EffectError::Conflict);
        }
        change(claim.status.get_or_insert_default());
        self.put_ours(claim);
        Ok(self.claims.get(&seen.name).cloned())
    }

    /// Sets a PersistentVolume's capacity, if it has not changed since.
    pub(crate) fn set_capacity(
        &mut self,
        seen: &ObjectVersion,
        size: u64,
    ) -> Result<Option<PersistentVolume>, EffectError> {
        let mut volume = self.volumes.get(&seen.name).cloned().ok_or(EffectError::Conflict)?;
        if volume.metadata.resource_version.as_ref() != Some(&seen.version) {
            return Err(EffectError::Conflict);
        }
        let capacity = volume.spec.get_or_insert_default().capacity.get_or_insert_default();
        capacity.insert("storage".to_owned(), quantity(size));
        self.put_volume(volume);
        Ok(self.volumes.get(&seen.name).cloned())
    }

    /// Writes status and spec of both sides, each only if it has not changed since.
    fn has_version(meta: &ObjectMeta, seen: &ObjectMeta) -> bool {
        meta.uid == seen.uid && meta.resource_version == seen.resource_version
    }

    /// kube-controller-manager writes a PersistentVolume's phase; fails if it has changed.
    pub(crate) fn write_phase(&mut self, seen: &PersistentVolume, phase: &str) -> bool {
        let name = seen.metadata.name.as_deref().expect("a name");
        let Some(volume) = self.volumes.get(name).cloned() else { return false };
        if !Self::has_version(&volume.metadata, &seen.metadata) {
            return false;
        }
        if phase_of(&volume) != Some(phase) {
            self.set_phase(volume, phase);
        }
        true
    }

    /// kube-controller-manager writes the claim's side; fails if it has changed.
    pub(crate) fn write_claim(
        &mut self,
        seen: &PersistentVolumeClaim,
        change: impl FnOnce(&mut PersistentVolumeClaim),
    ) -> Option<PersistentVolumeClaim> {
        let name = seen.metadata.name.as_deref().expect("a name");
        let claim = self.claims.get(name).cloned()?;
        if !Self::has_version(&claim.metadata, &seen.metadata) {
            return None;
        }
        let mut changed = claim.clone();
        change(&mut changed);
        if changed != claim {
            self.note_used(&changed);
            self.put_claim(changed);
        }
        self.claims.get(name).cloned()
    }

    /// Records that pods can use a claim, once it is bound and not being deleted.
    fn note_used(&mut self, claim: &PersistentVolumeClaim) {
        let bound = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
        if bound.is_some_and(|bound| bound.starts_with("pvc-"))
            && claim.metadata.deletion_timestamp.is_none()
        {
            self.used.extend(claim.metadata.uid.clone());
        }
    }

    /// The provisioner sets a PersistentVolume to bound.
    pub(crate) fn set_bound(
        &mut self,
        seen: &ObjectVersion,
    ) -> Result<Option<PersistentVolume>, EffectError> {
        let volume = self.volumes.get(&seen.name).cloned().ok_or(EffectError::Conflict)?;
        if volume.metadata.uid.as_ref() != Some(&seen.uid) {
            return Err(EffectError::Conflict);
        }
        self.set_phase(volume, "Bound");
        Ok(self.volumes.get(&seen.name).cloned())
    }

    /// The provisioner binds a claim, and removes its finalizer.
    pub(crate) fn bind(
        &mut self,
        seen: &ObjectVersion,
        volume: &str,
    ) -> Result<Option<PersistentVolumeClaim>, EffectError> {
        let mut claim = self.claim(seen).ok_or(EffectError::Conflict)?;
        let spec = claim.spec.get_or_insert_default();
        if claim.metadata.uid.as_ref() != Some(&seen.uid) {
            return Err(EffectError::Conflict);
        }
        if spec.volume_name.as_ref().is_some_and(|bound| bound != volume) {
            // The API server rejects it, and the executor reads the claim to see why.
            return Ok(Some(claim));
        }
        spec.volume_name = Some(volume.to_owned());
        let annotations = claim.metadata.annotations.get_or_insert_default();
        annotations.insert(annotation::BIND_COMPLETED.to_owned(), "yes".to_owned());
        if let Some(finalizers) = &mut claim.metadata.finalizers {
            finalizers.retain(|each| each != FINALIZER);
        }
        self.note_used(&claim);
        self.put_ours(claim);
        Ok(self.claims.get(&seen.name).cloned())
    }

    /// The provisioner creates or deletes a barrier.
    pub(crate) fn create_mark(&mut self, name: &str) {
        let _ = self.create_volume(&barrier(name));
    }

    pub(crate) fn delete_mark(&mut self, name: &str) {
        if self.volumes.remove(name).is_some() {
            self.history.push(Change::Volume(name.to_owned(), None));
        }
    }

    /// kube-controller-manager, from a stale view, releases a PersistentVolume whose claim exists.
    pub(crate) fn mistake(&mut self) -> bool {
        let bound = self.volumes.values().find(|volume| {
            let phase = phase_of(volume);
            let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
            let uid = claim.and_then(|claim| claim.uid.as_ref());
            phase == Some("Bound")
                && volume.metadata.name.as_ref().is_some_and(|name| name.starts_with("pvc-"))
                && self.claims.values().any(|claim| {
                    claim.metadata.uid.as_ref() == uid
                        && claim.metadata.deletion_timestamp.is_none()
                })
        });
        let Some(volume) = bound.cloned() else { return false };
        self.set_phase(volume, "Released");
        true
    }

    pub(crate) fn set_policy(&mut self, name: &str, policy: &str) {
        if let Some(mut volume) = self.volumes.get(name).cloned() {
            let spec = volume.spec.get_or_insert_default();
            spec.persistent_volume_reclaim_policy = Some(policy.to_owned());
            self.put_volume(volume);
        }
    }

    fn set_phase(&mut self, mut volume: PersistentVolume, phase: &str) {
        volume.status.get_or_insert_default().phase = Some(phase.to_owned());
        self.put_volume(volume);
    }
}

pub(crate) fn phase_of(volume: &PersistentVolume) -> Option<&str> {
    volume.status.as_ref()?.phase.as_deref()
}

/// The volumes on the arrays, by array and name.
#[derive(Debug, Default)]
pub(crate) struct Arrays {
    pub(crate) volumes: BTreeMap<(String, String), (Volume, String)>,
    /// With the array, and the time of the slot of a scheduled snapshot.
    pub(crate) snapshots: Vec<(String, Snapshot, Option<u64>)>,
    /// The claim whose data each volume has, by array and name.
    pub(crate) holds: BTreeMap<(String, String), String>,
    /// Arrays that are gone for good: their volumes do not count any more.
    pub(crate) out: BTreeSet<String>,
    /// The time, in seconds since 1970.
    pub(crate) now: u64,
    made: u64,
}

impl Arrays {
    pub(crate) fn at(now: u64) -> Self {
        Self { now, ..Self::default() }
    }

    pub(crate) fn ensure(&mut self, array: &str, wanted: &VolumeRequest) -> Result<Volume, String> {
        let key = (array.to_owned(), wanted.name.to_string());
        let uid = wanted.owner.uid.clone();
        if let Some((elsewhere, _)) =
            self.volumes.keys().find(|(a, n)| *n == key.1 && a != array && !self.out.contains(a))
        {
            return Err(format!("{} is made on {array}, and was on {elsewhere}", key.1));
        }
        let holds = match &wanted.source {
            None => Some(wanted.owner.claim.clone()),
            Some(CloneSource::Snapshot(name)) => {
                let mut there =
                    self.snapshots.iter().filter(|(on, s, _)| on == array && s.name == *name);
                let there = there.find(|(_, snapshot, _)| !snapshot.destroyed);
                let of = there.map(|(_, snapshot, _)| (array.to_owned(), snapshot.volume.clone()));
                of.and_then(|of| self.holds.get(&of).cloned())
            }
            Some(CloneSource::Volume(_)) => None,
        };
        let is_there = self.volumes.contains_key(&key);
        // A FlashBlade does not report the owner of a destroyed volume: the client rejects it.
        if self.volumes.get(&key).is_some_and(|(there, _)| there.destroyed) {
            return Err(format!("{} is destroyed, and is wanted back", key.1));
        }
        let Some(holds) = holds.filter(|_| !is_there).or_else(|| self.holds.get(&key).cloned())
        else {
            return Err(format!("{:?} is not there", wanted.source));
        };
        self.holds.insert(key.clone(), holds);
        self.made += 1;
        let id = format!("id-{}", self.made);
        let entry = self.volumes.entry(key).or_insert_with(|| {
            let volume = Volume {
                name: wanted.name.to_string(),
                id,
                size: wanted.size,
                destroyed: false,
                created: Some(self.now * 1000),
                ..Volume::default()
            };
            (volume, uid)
        });
        Ok(entry.0.clone())
    }

    pub(crate) fn find(&self, array: &str, name: &str) -> Option<Volume> {
        let key = (array.to_owned(), name.to_owned());
        self.volumes.get(&key).map(|(volume, _)| volume.clone())
    }

    /// Expands a volume; nothing if it does not exist.
    pub(crate) fn grow(&mut self, array: &str, volume: &VolumeId, size: u64) -> Option<Volume> {
        let key = (array.to_owned(), volume.name.to_string());
        let (there, _) = self.volumes.get_mut(&key).filter(|(v, _)| v.id == volume.id)?;
        there.size = there.size.max(size);
        Some(there.clone())
    }

    /// Destroys a volume; returns the UID of the claim that it was created for.
    pub(crate) fn destroy(&mut self, array: &str, volume: &VolumeId) -> Option<String> {
        let key = (array.to_owned(), volume.name.to_string());
        let (there, uid) = self.volumes.get_mut(&key).filter(|(v, _)| v.id == volume.id)?;
        there.destroyed = true;
        let uid = uid.clone();
        // An array destroys a volume together with all its snapshots.
        for (on, snapshot, _) in &mut self.snapshots {
            snapshot.destroyed |= on == array && snapshot.volume == volume.name.as_str();
        }
        Some(uid)
    }

    /// Takes a snapshot, or finds the existing one of that name; nothing if the volume does not exist.
    pub(crate) fn snapshot(
        &mut self,
        array: &str,
        volume: &str,
        suffix: &str,
        slot: Option<u64>,
    ) -> Option<Snapshot> {
        let key = (array.to_owned(), volume.to_owned());
        self.volumes.get(&key).filter(|(there, _)| !there.destroyed)?;
        let name = format!("{volume}.{suffix}");
        let there = self.snapshots.iter_mut().find(|(on, s, _)| on == array && s.name == name);
        if let Some((_, there, _)) = there {
            there.destroyed = false;
            return Some(there.clone());
        }
        self.made += 1;
        let taken = Snapshot {
            name,
            id: format!("id-{}", self.made),
            volume: volume.to_owned(),
            created: Some(self.now * 1000),
            destroyed: false,
            size: None,
        };
        self.snapshots.push((array.to_owned(), taken.clone(), slot));
        Some(taken)
    }

    /// Returns the snapshots of a volume, destroyed ones included.
    pub(crate) fn snapshots_of(&self, array: &str, volume: &str) -> Vec<Snapshot> {
        let of = self.snapshots.iter().filter(|(on, s, _)| on == array && s.volume == volume);
        of.map(|(_, snapshot, _)| snapshot.clone()).collect()
    }

    /// Returns the times of the slots for which a volume has a snapshot, the newest first.
    pub(crate) fn slots_of(&self, array: &str, volume: &str) -> Vec<u64> {
        let of = self.snapshots.iter().filter(|(on, s, _)| on == array && s.volume == volume);
        let live = of.filter(|(_, snapshot, _)| !snapshot.destroyed);
        let mut slots: Vec<u64> = live.filter_map(|(_, _, slot)| *slot).collect();
        slots.sort_by_key(|slot| std::cmp::Reverse(*slot));
        slots
    }
}
