//! A model of kube-controller-manager's PersistentVolume controller: the parts of its source
//! (`pkg/controller/volume/persistentvolume`, 1.37) that matter to a provisioner that binds claims itself.
//!
//! It has seen PersistentVolumes and claims up to two independent moments, processes each kind in order, and a write
//! fails if the object has changed since. It requests a claim's volume some time after it has found no
//! PersistentVolume, because its writes are rate-limited.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use pso_gen::contract::PROVISIONER;
use pso_gen::contract::annotation;

use super::cluster::{Change, Cluster, phase_of};

/// The controller: its knowledge, and its progress.
#[derive(Debug, Default)]
pub(crate) struct Binder {
    /// Its position in the history of claims, and in that of PersistentVolumes.
    positions: [usize; 2],
    /// By name.
    claims: BTreeMap<String, PersistentVolumeClaim>,
    volumes: BTreeMap<String, PersistentVolume>,
    /// Claims whose volumes it will request, as it has seen them.
    asking: Vec<PersistentVolumeClaim>,
    /// Whether other claims keep it too busy to bind the model's claims.
    pub(crate) has_no_time_to_bind: bool,
    /// UIDs of claims that it has set to `Lost`.
    pub(crate) lost: Vec<String>,
    /// UIDs of claims on which it has written a Warning, because the provisioner had changed them.
    pub(crate) warned: Vec<String>,
}

impl Binder {
    /// Processes the next change of claims (0) or PersistentVolumes (1).
    pub(crate) fn hear(&mut self, cluster: &mut Cluster, kind: usize) -> bool {
        let mut changes = cluster.history.iter().enumerate().skip(self.positions[kind]);
        let of_kind =
            changes.find(|(_, change)| usize::from(matches!(change, Change::Volume(..))) == kind);
        let Some((at, change)) = of_kind.map(|(at, change)| (at, change.clone())) else {
            return false;
        };
        self.positions[kind] = at + 1;
        match change {
            // It remembers its own writes, and ignores older versions.
            Change::Claim(_, Some(claim)) if self.knows_newer(&claim) => {}
            Change::Claim(_, Some(claim)) => {
                self.claims.insert(name_of(&claim), *claim.clone());
                self.sync_claim(cluster, &claim);
            }
            Change::Claim(uid, None) => {
                self.claims.retain(|_, claim| claim.metadata.uid.as_ref() != Some(&uid));
                let of_claim = |volume: &&PersistentVolume| claimed(volume).1 == uid;
                for volume in self.volumes.values().filter(of_claim).cloned().collect::<Vec<_>>() {
                    self.sync_volume(cluster, &volume);
                }
            }
            Change::Volume(name, Some(volume)) => {
                self.volumes.insert(name, *volume.clone());
                self.sync_volume(cluster, &volume);
            }
            Change::Volume(name, None) => {
                self.volumes.remove(&name);
                let of_volume = |claim: &&PersistentVolumeClaim| bound(claim) == Some(&name);
                for claim in self.claims.values().filter(of_volume).cloned().collect::<Vec<_>>() {
                    self.sync_claim(cluster, &claim);
                }
            }
        }
        true
    }

    /// Processes all objects again, as it does every 15 seconds. Returns whether it wrote anything.
    pub(crate) fn look_again(&mut self, cluster: &mut Cluster) -> bool {
        let before = (cluster.history.len(), self.asking.len());
        for volume in self.volumes.values().cloned().collect::<Vec<_>>() {
            self.sync_volume(cluster, &volume);
        }
        for claim in self.claims.values().cloned().collect::<Vec<_>>() {
            self.sync_claim(cluster, &claim);
        }
        (cluster.history.len(), self.asking.len()) > before
    }

    /// Requests a claim's volume from the provisioner: `setClaimProvisioner`. `turn` selects the claim.
    pub(crate) fn ask(&mut self, cluster: &mut Cluster, turn: usize) -> bool {
        if self.asking.is_empty() {
            return false;
        }
        let seen = self.asking.swap_remove(turn % self.asking.len());
        let written = cluster.write_claim(&seen, |claim| {
            let annotations = claim.metadata.annotations.get_or_insert_default();
            annotations.insert(annotation::STORAGE_PROVISIONER.to_owned(), PROVISIONER.to_owned());
        });
        let ours = cluster.ours_wrote.get(&uid_of(&seen)).copied();
        match written {
            Some(written) => {
                self.claims.insert(name_of(&written), written);
            }
            None if ours > version(&seen) => self.warned.push(uid_of(&seen)),
            None => {}
        }
        true
    }

    fn knows_newer(&self, claim: &PersistentVolumeClaim) -> bool {
        let known = self.claims.get(&name_of(claim));
        known.is_some_and(|known| version(known) > version(claim))
    }

    fn sync_volume(&mut self, cluster: &mut Cluster, volume: &PersistentVolume) {
        let (name, uid) = claimed(volume);
        if uid.is_empty() {
            cluster.write_phase(volume, "Available");
            return;
        }
        // It reads an unknown claim, or one with another UID, from the API server.
        let known = self.claims.get(&name).filter(|claim| uid_of(claim) == uid).cloned();
        let read = || cluster.claims.get(&name).filter(|claim| uid_of(claim) == uid).cloned();
        let Some(claim) = known.or_else(read) else {
            if !matches!(phase_of(volume), Some("Released" | "Failed")) {
                cluster.write_phase(volume, "Released");
            }
            return;
        };
        let own = volume.metadata.name.as_ref();
        match bound(&claim) {
            None => self.sync_claim(cluster, &claim),
            Some(name) if Some(name) == own => {
                cluster.write_phase(volume, "Bound");
            }
            Some(_) => Self::bound_elsewhere(cluster, volume),
        }
    }

    /// Processes a PersistentVolume whose claim is bound to another one: `syncVolume`, its last case.
    fn bound_elsewhere(cluster: &mut Cluster, volume: &PersistentVolume) {
        let annotations = volume.metadata.annotations.as_ref();
        let policy = volume.spec.as_ref().and_then(|s| s.persistent_volume_reclaim_policy.as_ref());
        if annotations.is_some_and(|all| all.contains_key(annotation::PROVISIONED_BY))
            && policy.is_some_and(|policy| policy == "Delete")
        {
            if !matches!(phase_of(volume), Some("Released" | "Failed")) {
                cluster.write_phase(volume, "Released");
            }
            return;
        }
        let by_us = annotations.is_some_and(|all| all.contains_key(BY_CONTROLLER));
        let unbound = cluster.write_claim_ref(volume, |volume| {
            let spec = volume.spec.get_or_insert_default();
            if by_us {
                spec.claim_ref = None;
                volume.metadata.annotations.get_or_insert_default().remove(BY_CONTROLLER);
            } else {
                spec.claim_ref.get_or_insert_default().uid = None;
            }
        });
        if let Some(unbound) = unbound {
            cluster.write_phase(&unbound, "Available");
        }
    }

    fn sync_claim(&mut self, cluster: &mut Cluster, claim: &PersistentVolumeClaim) {
        let complete = claim.metadata.annotations.as_ref();
        let complete = complete.is_some_and(|all| all.contains_key(annotation::BIND_COMPLETED));
        let volume = match bound(claim) {
            Some(name) => self.volumes.get(name).cloned(),
            None => self.best_match(claim),
        };
        match volume {
            None if bound(claim).is_none() && !complete => self.provision(claim),
            _ if self.has_no_time_to_bind => {}
            Some(volume) if is_kept_for(&volume, claim) || claimed(&volume).0.is_empty() => {
                Self::bind(cluster, &volume, claim);
            }
            _ if complete => {
                let lost = cluster.write_claim(claim, |claim| {
                    claim.status.get_or_insert_default().phase = Some("Lost".to_owned());
                });
                if lost.is_some() {
                    self.lost.push(uid_of(claim));
                }
            }
            _ => {}
        }
    }

    /// No PersistentVolume fits the claim: the provisioner gets the request later.
    fn provision(&mut self, claim: &PersistentVolumeClaim) {
        let annotations = claim.metadata.annotations.as_ref();
        let is_asked =
            annotations.is_some_and(|all| all.contains_key(annotation::STORAGE_PROVISIONER));
        let pending = self.asking.iter().any(|asking| uid_of(asking) == uid_of(claim));
        if !is_asked && !pending {
            self.asking.push(claim.clone());
        }
    }

    /// Returns the PersistentVolume for a claim: one that is reserved for it, in any order, or the smallest of the
    /// others.
    fn best_match(&self, claim: &PersistentVolumeClaim) -> Option<PersistentVolume> {
        let requests =
            claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
        let wanted = gibibytes(requests);
        let size = |volume: &PersistentVolume| {
            gibibytes(volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref()))
        };
        let fitting = self.volumes.values().filter(|volume| {
            size(volume) >= wanted && volume.metadata.deletion_timestamp.is_none()
        });
        // Its own order is that of a hash table: of two, either may be first.
        let mut kept: Vec<_> = fitting.clone().filter(|v| is_kept_for(v, claim)).collect();
        if claim
            .metadata
            .resource_version
            .as_ref()
            .is_some_and(|v| v.ends_with(['1', '3', '5', '7', '9']))
        {
            kept.reverse();
        }
        let class = |volume: &PersistentVolume| volume.spec.as_ref()?.storage_class_name.clone();
        let own = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.clone());
        let others = fitting.filter(|volume| {
            claimed(volume).0.is_empty()
                && phase_of(volume) == Some("Available")
                && class(volume) == own
        });
        kept.first().copied().or_else(|| others.min_by_key(|volume| size(volume))).cloned()
    }

    fn bind(cluster: &mut Cluster, volume: &PersistentVolume, claim: &PersistentVolumeClaim) {
        let by_us = !is_kept_for(volume, claim);
        let of = ObjectReference {
            namespace: claim.metadata.namespace.clone(),
            name: claim.metadata.name.clone(),
            uid: claim.metadata.uid.clone(),
            ..ObjectReference::default()
        };
        let written = cluster.write_claim_ref(volume, |volume| {
            let spec = volume.spec.get_or_insert_default();
            if spec.claim_ref.as_ref().and_then(|of| of.uid.as_ref()) != of.uid.as_ref() {
                spec.claim_ref = Some(of);
            }
            if by_us {
                let annotations = volume.metadata.annotations.get_or_insert_default();
                annotations.insert(BY_CONTROLLER.to_owned(), "yes".to_owned());
            }
        });
        let Some(volume) = written else { return };
        if !cluster.write_phase(&volume, "Bound") {
            return;
        }
        let written = cluster.write_claim(claim, |claim| {
            let spec = claim.spec.get_or_insert_default();
            spec.volume_name.clone_from(&volume.metadata.name);
            let annotations = claim.metadata.annotations.get_or_insert_default();
            annotations.insert(annotation::BIND_COMPLETED.to_owned(), "yes".to_owned());
        });
        let Some(claim) = written else { return };
        if claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound") {
            return;
        }
        cluster.write_claim(&claim, |claim| {
            let status = claim.status.get_or_insert_default();
            status.phase = Some("Bound".to_owned());
            status.capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.clone());
        });
    }
}

/// Annotation of a PersistentVolume that the controller has chosen itself.
const BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";

fn name_of(claim: &PersistentVolumeClaim) -> String {
    claim.metadata.name.clone().unwrap_or_default()
}

fn uid_of(claim: &PersistentVolumeClaim) -> String {
    claim.metadata.uid.clone().unwrap_or_default()
}

fn version(claim: &PersistentVolumeClaim) -> Option<u64> {
    claim.metadata.resource_version.as_ref()?.parse().ok()
}

fn bound(claim: &PersistentVolumeClaim) -> Option<&String> {
    claim.spec.as_ref()?.volume_name.as_ref()
}

/// Returns name and UID of the claim that a PersistentVolume is for.
fn claimed(volume: &PersistentVolume) -> (String, String) {
    let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone()).unwrap_or_default();
    (claim.name.unwrap_or_default(), claim.uid.unwrap_or_default())
}

/// Returns whether a PersistentVolume names a claim: `IsVolumeBoundToClaim`.
fn is_kept_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let (name, uid) = claimed(volume);
    !name.is_empty() && name == name_of(claim) && (uid.is_empty() || uid == uid_of(claim))
}

/// Returns a size in GiB; all sizes in the model are whole GiB, except those of barriers.
fn gibibytes(
    sizes: Option<&BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>>,
) -> u64 {
    let text = sizes.and_then(|all| all.get("storage")).map(|size| size.0.as_str());
    text.and_then(|text| text.strip_suffix("Gi")?.parse().ok()).unwrap_or_default()
}
