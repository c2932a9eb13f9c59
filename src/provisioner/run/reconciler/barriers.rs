//! Executes the effects on barriers, and applies their events to the state of the reconciler. When a barrier is needed is
//! decided in [`decide`](crate::provisioner::decide).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::runtime::watcher;
use tracing::{debug, warn};

use super::{BarrierOf, Reconciler};
use crate::contract::name::made_for;
use crate::provisioner::decide::{
    BarrierEffect, Barriers, EffectError, Input, Outcome, is_barrier,
};
use crate::provisioner::run::{Key, Message};

/// The time that a claim waits for kube-controller-manager to bind it before a barrier is created.
const BARRIER_DELAY: Duration = Duration::from_millis(100);

/// The same for the barrier of the watch of PersistentVolumes. The array of a single claim takes longer than this to
/// create its volume.
const WATCH_BARRIER_DELAY: Duration = Duration::from_millis(5);

/// The same while a PersistentVolume is being created that serves as a barrier.
const WATCH_BARRIER_SPARED: Duration = Duration::from_millis(500);

/// The time after which a barrier is replaced: the watch may miss its deletion.
const BARRIER_LOST: Duration = Duration::from_secs(60);

impl Reconciler {
    /// Processes an event of a barrier; returns an event of any other PersistentVolume.
    pub(super) fn apply_barrier(
        &mut self,
        event: watcher::Event<PersistentVolume>,
    ) -> Option<watcher::Event<PersistentVolume>> {
        use watcher::Event::{Apply, Delete, InitApply};
        let name = match &event {
            Apply(volume) | InitApply(volume) | Delete(volume) => volume.metadata.name.as_deref(),
            _ => None,
        };
        if !name.is_some_and(is_barrier) {
            return Some(event);
        }
        match event {
            // A list in progress has not shown all objects yet.
            InitApply(volume) if self.barriers_of(&name_of(&volume)).0 == BarrierOf::Watch => {
                let name = name_of(&volume);
                let effect = self.watch_barriers.deleted(&name);
                self.act_on_barriers(
                    BarrierOf::Watch,
                    [Some(BarrierEffect::Delete(name)), effect].into_iter().flatten(),
                );
            }
            Apply(volume) | InitApply(volume) => {
                let (of, barriers) = self.barriers_of(&name_of(&volume));
                let (waiting, effects) = barriers.observe(&volume);
                self.act_on_barriers(of, effects);
                let event = match of {
                    BarrierOf::Controller => Input::ControllerCaughtUp,
                    BarrierOf::Watch => Input::WatchCaughtUp,
                };
                for key in waiting {
                    self.step(&key, event.clone());
                }
            }
            Delete(volume) => {
                let name = name_of(&volume);
                let (of, barriers) = self.barriers_of(&name);
                let effect = barriers.deleted(&name);
                self.act_on_barriers(of, effect);
            }
            _ => {}
        }
        None
    }

    /// Returns the barriers to which a name belongs.
    pub(super) fn barriers_of(&mut self, name: &str) -> (BarrierOf, &mut Barriers<Key>) {
        if self.watch_barriers.are_of(name) {
            (BarrierOf::Watch, &mut self.watch_barriers)
        } else {
            (BarrierOf::Controller, &mut self.barriers)
        }
    }

    /// Returns the claims for which a PersistentVolume of another claim serves as the barrier of the watch.
    pub(super) fn creation_shown(&mut self, event: &watcher::Event<PersistentVolume>) -> Vec<Key> {
        let volume = match event {
            watcher::Event::Apply(volume) => volume,
            watcher::Event::Init => {
                self.watch_barriers.forget_creations();
                return Vec::new();
            }
            _ => return Vec::new(),
        };
        let uid = volume.metadata.uid.as_deref();
        match (volume.metadata.name.as_deref().and_then(made_for), uid) {
            (Some(of), Some(uid)) => {
                self.watch_barriers.creation_shown(&Key::Claim(of.to_owned()), uid)
            }
            _ => Vec::new(),
        }
    }

    /// The same when a request of a claim ends, which may be the creation of its PersistentVolume.
    pub(super) fn creation_ends(
        &mut self,
        key: &Key,
        done: &Result<Outcome, EffectError>,
    ) -> Vec<Key> {
        let created = match done {
            Ok(Outcome::PersistentVolume(Some(volume))) => volume.metadata.uid.as_deref(),
            _ => None,
        };
        self.watch_barriers.creation_ends(key, created)
    }

    /// Continues with claims for which the watch has caught up.
    pub(super) fn watch_caught_up(&mut self, passed: Vec<Key>) {
        for key in passed {
            self.step(&key, Input::WatchCaughtUp);
        }
    }

    /// Executes effects on barriers.
    pub(super) fn act_on_barriers(
        &mut self,
        of: BarrierOf,
        effects: impl IntoIterator<Item = BarrierEffect>,
    ) {
        for effect in effects {
            let (sender, executor) = (self.sender.clone(), Arc::clone(&self.executor));
            let failing = Arc::clone(&self.creation_fails);
            let soon = match of {
                // While many claims arrive, one barrier serves more of them.
                BarrierOf::Watch if self.watch_barriers.expects_creation() => WATCH_BARRIER_SPARED,
                BarrierOf::Watch if self.watch_barrier_created.elapsed() > 2 * BARRIER_DELAY => {
                    WATCH_BARRIER_DELAY
                }
                BarrierOf::Watch | BarrierOf::Controller => BARRIER_DELAY,
            };
            if of == BarrierOf::Watch && matches!(effect, BarrierEffect::Create(_)) {
                self.watch_barrier_created = Instant::now();
            }
            self.in_flight.spawn(async move {
                match &effect {
                    BarrierEffect::Soon => {
                        tokio::time::sleep(soon).await;
                        let _ = sender.send(Message::BarrierDue(of));
                    }
                    BarrierEffect::Create(name) => {
                        let deleted = Message::BarrierGone(name.clone());
                        let wait = match executor.execute_barrier(effect).await {
                            Ok(()) => {
                                failing.store(false, Ordering::Relaxed);
                                BARRIER_LOST
                            }
                            Err(error) => {
                                // The retry comes every second: one warning is enough.
                                if failing.swap(true, Ordering::Relaxed) {
                                    debug!(?error, "barrier not created again");
                                } else {
                                    warn!(?error, "barrier not created");
                                }
                                Duration::from_secs(1)
                            }
                        };
                        tokio::spawn(async move {
                            tokio::time::sleep(wait).await;
                            let _ = sender.send(deleted);
                        });
                    }
                    BarrierEffect::Delete(name) => {
                        let name = name.clone();
                        if let Err(error) = executor.execute_barrier(effect).await {
                            warn!(?error, name, "barrier not deleted; the next process deletes it");
                        }
                    }
                }
            });
        }
    }
}

fn name_of(volume: &PersistentVolume) -> String {
    volume.metadata.name.clone().unwrap_or_default()
}
