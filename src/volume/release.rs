//! PersistentVolumes: what is behind one is destroyed when its claim is gone and its policy says so, and
//! not before that has been read anew.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::chain::Chain;
use super::claim::seen_volume;
use super::effect::{About, Asked, Effect, Event, Outcome, Trouble};
use super::name::{self, FINALIZER};
use super::persistent::{Behind, behind};
use super::reason::Reason;
use super::retry::Tries;
use super::setup::{ArrayState, Health, Setup};
use crate::array::Owner;

/// What people are told of PersistentVolumes.
const FAILED: Reason = Reason::VolumeFailedDelete;

/// What is known when a PersistentVolume is looked at.
#[derive(Debug, Clone, Copy)]
pub struct View<'v> {
    /// What the admin has set.
    pub setup: &'v Setup,
    /// The PersistentVolume; none when it is gone.
    pub volume: Option<&'v PersistentVolume>,
    /// Whether another PersistentVolume tells of the same volume on the same array.
    pub is_shared: bool,
    /// The arrays.
    pub arrays: &'v [ArrayState],
}

/// The work on one PersistentVolume: what a crash takes away.
#[derive(Debug, Clone, Default)]
pub struct ReleaseWork {
    doing: Option<Effect>,
    /// The PersistentVolume and its claim, as the API server itself told; read again for each try.
    fresh: Option<Box<PersistentVolume>>,
    claim: Asked<Box<PersistentVolumeClaim>>,
    destroyed: bool,
    waiting: bool,
    tries: Tries,
    chain: Chain,
}

enum Next {
    Nothing,
    Do(Effect),
    Stuck(String),
}

impl ReleaseWork {
    /// Returns whether nothing of it needs to be remembered.
    pub fn is_idle(&self) -> bool {
        self.doing.is_none() && !self.waiting
    }

    /// Takes an event, and returns what is to be done.
    pub fn step(&mut self, view: View<'_>, event: Event) -> Vec<Effect> {
        match event {
            Event::Changed if self.waiting => return Vec::new(),
            Event::Changed | Event::Known => {}
            Event::Due => self.waiting = false,
            Event::Done(done) => {
                let Some(effect) = self.doing.take() else { return Vec::new() };
                match done {
                    Ok(outcome) => {
                        self.chain.done(&effect);
                        self.learn(&effect, outcome);
                    }
                    Err(trouble) => {
                        self.chain.waits();
                        return self.fail(&trouble);
                    }
                }
            }
        }
        if self.doing.is_some() || self.waiting {
            return Vec::new();
        }
        match self.next(view) {
            Next::Nothing => {
                self.chain.ended();
                self.forget();
                Vec::new()
            }
            Next::Do(effect) => {
                if let Some(trouble) = self.chain.repeats(&effect) {
                    return self.fail(&trouble);
                }
                self.doing = Some(effect.clone());
                vec![effect]
            }
            Next::Stuck(message) => self.fail(&Trouble::Cluster(message)),
        }
    }

    fn learn(&mut self, effect: &Effect, outcome: Outcome) {
        match (effect, outcome) {
            (Effect::ReadVolume { .. }, Outcome::PersistentVolume(volume)) => self.fresh = volume,
            (Effect::ReadClaim { .. }, Outcome::Claim(claim)) => self.claim = claim.into(),
            (Effect::Destroy { .. }, _) => {
                self.destroyed = true;
                self.tries.good();
                // What follows is about the object as it is then.
                self.fresh = None;
            }
            (Effect::Delete { .. } | Effect::Release { .. }, _) => self.fresh = None,
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.fresh = None;
        self.claim = Asked::NotYet;
    }

    fn fail(&mut self, trouble: &Trouble) -> Vec<Effect> {
        self.forget();
        let effects = self.tries.failed(About::Volume, FAILED, trouble);
        self.waiting = effects.iter().any(|effect| matches!(effect, Effect::Later(_)));
        effects
    }

    fn next(&self, view: View<'_>) -> Next {
        let Some(cached) = view.volume else { return Next::Nothing };
        let Some(behind_it) = behind(cached) else { return Next::Nothing };
        if !wants_deletion(cached) {
            return Self::retained(cached);
        }
        if view.is_shared {
            let message = "another PersistentVolume has the same volume; remove one of them";
            return Next::Stuck(message.to_owned());
        }
        let name = cached.metadata.name.clone().unwrap_or_default();
        let Some(fresh) = &self.fresh else { return Next::Do(Effect::ReadVolume { name }) };
        // The same object, still released, and still of the same volume.
        let same =
            fresh.metadata.uid == cached.metadata.uid && behind(fresh).as_ref() == Some(&behind_it);
        if !same || !wants_deletion(fresh) {
            return Next::Nothing;
        }
        if self.destroyed {
            return Self::remove(fresh);
        }
        let claim_ref = fresh.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        let Some((namespace, claim, uid)) = claim_ref.and_then(|claim| {
            Some((claim.namespace.clone()?, claim.name.clone()?, claim.uid.clone()?))
        }) else {
            return Next::Stuck("it does not say whose claim it was for".to_owned());
        };
        match &self.claim {
            Asked::NotYet => Next::Do(Effect::ReadClaim { namespace, name: claim }),
            // The claim is there after all: Kubernetes has not finished with it.
            Asked::There(there) if there.metadata.uid.as_ref() == Some(&uid) => Next::Nothing,
            Asked::There(_) | Asked::Absent => {
                let Behind { array, array_id, volume } = behind_it;
                if is_another(view.arrays, &array, &array_id) {
                    let message = format!(
                        "{array} is not the array that has {}: that one's id is {array_id}",
                        volume.name
                    );
                    return Next::Stuck(message);
                }
                if name::volume(&view.setup.cluster, &uid).as_ref() != Some(&volume.name) {
                    let message = format!(
                        "{} on {array} was not made for its claim, but imported; set the reclaim policy to Retain",
                        volume.name
                    );
                    return Next::Stuck(message);
                }
                let cluster = view.setup.cluster.clone();
                let owner = Owner { cluster, namespace, claim, uid };
                Next::Do(Effect::Destroy { array, volume, owner })
            }
        }
    }

    /// The volume is destroyed: its PersistentVolume goes, and our finalizer last.
    fn remove(fresh: &PersistentVolume) -> Next {
        let volume = seen_volume(fresh);
        if fresh.metadata.deletion_timestamp.is_none() {
            return Next::Do(Effect::Delete { volume });
        }
        if has_finalizer(fresh) { Next::Do(Effect::Release { volume }) } else { Next::Nothing }
    }

    /// Somebody removes a PersistentVolume whose volume is to be kept: then ours is only to let go.
    fn retained(volume: &PersistentVolume) -> Next {
        let goes = volume.metadata.deletion_timestamp.is_some();
        if goes && policy(volume) == Some("Retain") && has_finalizer(volume) {
            Next::Do(Effect::Release { volume: seen_volume(volume) })
        } else {
            Next::Nothing
        }
    }
}

/// Whether there is another array where one was, which says of course that it has no such volume.
fn is_another(arrays: &[ArrayState], name: &str, id: &str) -> bool {
    arrays.iter().filter(|array| array.name == name).any(|array| match &array.health {
        Health::Up { id: now, .. } => now != id,
        Health::Down(_) => false,
    })
}

/// Whether its claim is gone and its policy is to delete.
fn wants_deletion(volume: &PersistentVolume) -> bool {
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Released") && policy(volume) == Some("Delete") && has_finalizer(volume)
}

fn policy(volume: &PersistentVolume) -> Option<&str> {
    volume.spec.as_ref()?.persistent_volume_reclaim_policy.as_deref()
}

fn has_finalizer(volume: &PersistentVolume) -> bool {
    volume.metadata.finalizers.iter().flatten().any(|each| each == FINALIZER)
}
