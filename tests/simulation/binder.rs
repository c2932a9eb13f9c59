//! A model of Kubernetes' own controller of PersistentVolumes: what of its source
//! (`pkg/controller/volume/persistentvolume`, 1.37) matters to a provisioner that binds claims itself.
//!
//! It has seen PersistentVolumes and claims up to two moments of its own, takes each kind in order, and
//! writes only over what is still as it has seen it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use pso_gen::volume::BIND_COMPLETED;

use super::cluster::{Change, Cluster, phase_of};

/// The controller: what it knows, and how far it has got.
#[derive(Debug, Default)]
pub(crate) struct Binder {
    /// How far it is in the history: of claims, and of PersistentVolumes.
    positions: [usize; 2],
    /// By name.
    claims: BTreeMap<String, PersistentVolumeClaim>,
    volumes: BTreeMap<String, PersistentVolume>,
    /// Whether it has so much to do with other claims that it does not come to ours.
    pub(crate) has_no_time_for_claims: bool,
    /// UIDs of claims that it has called `Lost`.
    pub(crate) lost: Vec<String>,
}

impl Binder {
    /// Hears of the next change of claims (0) or PersistentVolumes (1), and does what follows.
    pub(crate) fn hear(&mut self, cluster: &mut Cluster, kind: usize) -> bool {
        let mut changes = cluster.history.iter().enumerate().skip(self.positions[kind]);
        let of_kind =
            changes.find(|(_, change)| usize::from(matches!(change, Change::Volume(..))) == kind);
        let Some((at, change)) = of_kind.map(|(at, change)| (at, change.clone())) else {
            return false;
        };
        self.positions[kind] = at + 1;
        match change {
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

    /// Looks at all again, as it does every 15 seconds. Returns whether it wrote anything.
    pub(crate) fn look_again(&mut self, cluster: &mut Cluster) -> bool {
        let before = cluster.history.len();
        for volume in self.volumes.values().cloned().collect::<Vec<_>>() {
            self.sync_volume(cluster, &volume);
        }
        for claim in self.claims.values().cloned().collect::<Vec<_>>() {
            self.sync_claim(cluster, &claim);
        }
        cluster.history.len() > before
    }

    fn sync_volume(&mut self, cluster: &mut Cluster, volume: &PersistentVolume) {
        let (name, uid) = claimed(volume);
        if uid.is_empty() {
            cluster.write_phase(volume, "Available");
            return;
        }
        // One that it does not know, or by another UID, it reads from the API server.
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
            Some(_) => {
                cluster.write_phase(volume, "Released");
            }
        }
    }

    fn sync_claim(&mut self, cluster: &mut Cluster, claim: &PersistentVolumeClaim) {
        if self.has_no_time_for_claims {
            return;
        }
        let complete = claim.metadata.annotations.as_ref();
        let complete = complete.is_some_and(|all| all.contains_key(BIND_COMPLETED));
        let volume = match bound(claim) {
            Some(name) => self.volumes.get(name).cloned(),
            None => self.volumes.values().find(|v| claimed(v).1 == uid_of(claim)).cloned(),
        };
        match volume {
            Some(volume) if claimed(&volume).1 == uid_of(claim) => {
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

    fn bind(cluster: &mut Cluster, volume: &PersistentVolume, claim: &PersistentVolumeClaim) {
        if !cluster.write_phase(volume, "Bound") {
            return;
        }
        let written = cluster.write_claim(claim, |claim| {
            let spec = claim.spec.get_or_insert_default();
            spec.volume_name.clone_from(&volume.metadata.name);
            let annotations = claim.metadata.annotations.get_or_insert_default();
            annotations.insert(BIND_COMPLETED.to_owned(), "yes".to_owned());
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

fn name_of(claim: &PersistentVolumeClaim) -> String {
    claim.metadata.name.clone().unwrap_or_default()
}

fn uid_of(claim: &PersistentVolumeClaim) -> String {
    claim.metadata.uid.clone().unwrap_or_default()
}

fn bound(claim: &PersistentVolumeClaim) -> Option<&String> {
    claim.spec.as_ref()?.volume_name.as_ref()
}

/// Name and UID of the claim that a PersistentVolume is for.
fn claimed(volume: &PersistentVolume) -> (String, String) {
    let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone()).unwrap_or_default();
    (claim.name.unwrap_or_default(), claim.uid.unwrap_or_default())
}
