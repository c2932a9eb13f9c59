//! The reconciler: processes one message after the other, lets [`decide`](crate::provisioner::decide) choose the next
//! effects, and passes them to the executor. Requests are unknown here.

mod announcements;
mod barriers;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{info, warn};

use announcements::{Announcement, Announcements};

use super::cache::{Cache, Subject};
use super::executor::Executor;
use super::metrics::{EffectMetrics, array};
use super::start_queue::StartQueue;
use super::{Key, Message, log, now};
use crate::concurrency::with_flow;
use crate::contract::Volume;
use crate::provisioner::decide::{
    AbnormalVolume, Barriers, ClaimState, DriverEvent, DriverReports, Effect, EffectError, Input,
    Listed, Orphan, Orphans, Reason, ReclaimState, Severity, SnapshotState, SnapshotView,
};

/// The observer whose progress a barrier proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BarrierOf {
    /// kube-controller-manager.
    Controller,
    /// The watch of PersistentVolumes.
    Watch,
}

/// The state of the reconciler.
pub(super) struct Reconciler {
    cache: Cache,
    claims: HashMap<String, ClaimState>,
    volumes: HashMap<String, ReclaimState>,
    barriers: Barriers<Key>,
    /// Barriers of the watch of PersistentVolumes.
    watch_barriers: Barriers<Key>,
    /// The time when the last of them was created.
    watch_barrier_created: Instant,
    snapshots: HashMap<String, SnapshotState>,
    /// Orphaned volumes on the arrays.
    orphans: Orphans,
    /// Bound volumes that differ from their PersistentVolumes, by the names of their array and their PersistentVolumes.
    abnormal: HashMap<String, BTreeMap<String, AbnormalVolume>>,
    /// Whether the node service is registered on a node; none without block volumes, or while it is unknown.
    has_node_service: Option<bool>,
    driver_reports: DriverReports,
    /// Whether the creation of the last barrier failed.
    creation_fails: Arc<AtomicBool>,
    announcements: Announcements,
    /// Claims whose first write is in flight or waits.
    start_queue: StartQueue,
    executor: Arc<Executor>,
    /// The number of the newest timer of each subject that waits, and the number of timers so far.
    timers: HashMap<Key, u64>,
    timer_count: u64,
    /// Effects in flight.
    in_flight: JoinSet<()>,
    effect_metrics: EffectMetrics,
    sender: mpsc::UnboundedSender<Message>,
}

impl Reconciler {
    pub(super) fn new(
        cache: Cache,
        executor: Arc<Executor>,
        effect_metrics: EffectMetrics,
        sender: mpsc::UnboundedSender<Message>,
    ) -> Self {
        let process = format!("{:08x}", fastrand::u32(..));
        Self {
            cache,
            claims: HashMap::new(),
            volumes: HashMap::new(),
            barriers: Barriers::new(&process),
            watch_barriers: Barriers::of_watch(&process),
            watch_barrier_created: Instant::now(),
            snapshots: HashMap::new(),
            orphans: Orphans::default(),
            abnormal: HashMap::new(),
            creation_fails: Arc::default(),
            has_node_service: None,
            driver_reports: DriverReports::default(),
            announcements: Announcements::default(),
            start_queue: StartQueue::default(),
            executor,
            timers: HashMap::new(),
            timer_count: 0,
            in_flight: JoinSet::new(),
            effect_metrics,
            sender,
        }
    }

    /// Returns the kinds of objects that were not seen yet.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        self.cache.missing()
    }

    /// Returns the number of effects in flight.
    pub(super) fn in_flight_count(&self) -> usize {
        self.in_flight.len()
    }

    /// Waits until an effect in flight ends; without one, it waits forever.
    pub(super) async fn ended(&mut self) {
        if self.in_flight.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until all effects in flight have ended.
    pub(super) async fn drained(&mut self) {
        while self.in_flight.join_next().await.is_some() {}
    }

    /// Processes a message, and starts the effects that follow from it.
    pub(super) fn handle(&mut self, message: Message) {
        let was_ready = self.cache.is_ready();
        let (touched, event) = match message {
            Message::Claims(event) => (self.cache.claims(event), Input::Changed),
            Message::Volumes(event) => match self.apply_barrier(event) {
                Some(event) => {
                    let passed = self.creation_shown(&event);
                    let touched = self.cache.volumes(event);
                    self.watch_caught_up(passed);
                    (touched, Input::Changed)
                }
                None => return,
            },
            Message::Classes(event) => (self.cache.classes(event), Input::Changed),
            Message::Nodes(event) => {
                self.cache.nodes(event);
                (Vec::new(), Input::Changed)
            }
            Message::Arrays(states) => {
                let mut touched = self.cache.arrays(states);
                // A subject that waits for an array retries when the array is reachable again.
                touched.extend(self.volumes.keys().cloned().map(Key::Volume));
                let known: HashSet<Key> = touched.iter().cloned().collect();
                let others = self.claims.keys().cloned().map(Key::Claim);
                touched.extend(others.filter(|key| !known.contains(key)));
                (touched, Input::Changed)
            }
            Message::Listed(lists) => {
                self.report(&lists);
                return;
            }
            Message::Compared(listed) => {
                self.report_abnormal(&listed);
                return;
            }
            Message::Tick => {
                self.report_driver();
                (self.snapshots(), Input::Changed)
            }
            Message::Done(key, done) => {
                let mut subject = self.cache.subject(&key);
                if let Some(ended) = self.effect_metrics.effect_ended(&key, &done, subject.as_ref())
                {
                    if let Some(subject) = &mut subject {
                        subject.array = ended.array.or(subject.array.take());
                    }
                    log::effect_ended(&key, subject.as_ref(), ended.effect, &done);
                }
                self.start_queue.ended(&key);
                let passed = self.creation_ends(&key, &done);
                self.watch_caught_up(passed);
                (vec![key], Input::Done(done))
            }
            Message::Due(key, number) => {
                // Only the newest timer counts: a wait that ended early leaves its timer behind.
                if self.timers.get(&key) != Some(&number) {
                    return;
                }
                self.timers.remove(&key);
                self.effect_metrics.due(&key);
                (vec![key], Input::Due)
            }
            Message::Announce(key) => {
                if let Some(announcement) = self.announcements.due(&key) {
                    self.publish(&key, announcement);
                }
                return;
            }
            Message::BarrierDue(of) => {
                let (cache, barriers) = match of {
                    BarrierOf::Controller => (&self.cache, &mut self.barriers),
                    BarrierOf::Watch => (&self.cache, &mut self.watch_barriers),
                };
                let effect = barriers.due(|key| match key {
                    Key::Claim(uid) => cache.is_unbound(uid),
                    Key::Volume(_) | Key::Snapshots(_) => false,
                });
                return self.act_on_barriers(of, effect);
            }
            Message::BarrierGone(name) => {
                let (of, barriers) = self.barriers_of(&name);
                let effect = barriers.deleted(&name);
                return self.act_on_barriers(of, effect);
            }
        };
        // An incomplete view allows no decision.
        if !self.cache.is_ready() {
            return;
        }
        let touched = if was_ready { touched } else { self.cache.all() };
        for key in touched {
            self.step(&key, event.clone());
        }
        self.begin();
    }

    /// Starts the claims whose turn has come.
    fn begin(&mut self) {
        while let Some((key, effect)) = self.start_queue.next() {
            if let Effect::RecordIntent { claim, asked, size, .. } = &effect
                && self.cache.has_changed(claim)
            {
                // The API server would reject the write: the claim is reconciled again instead.
                if let Some(array) = asked.last() {
                    self.cache.release_capacity(array, *size);
                }
                self.step(&key, Input::Done(Err(EffectError::Conflict)));
            } else {
                let subject = self.cache.subject(&key);
                self.start(&key, subject.as_ref(), effect);
            }
        }
    }

    /// Updates the gauges.
    pub(super) fn update_gauges(&mut self, messages: usize) {
        let now = Timestamp::now();
        let age = |created_at: Timestamp| Duration::try_from(now.duration_since(created_at));
        let claims = self.cache.states().map(|(key, state, class, created_at)| {
            let age = created_at.and_then(|created_at| age(created_at).ok()).unwrap_or_default();
            (key, state, class, age)
        });
        self.effect_metrics.update_gauges(claims, messages, Instant::now());
    }

    /// Returns the subjects whose snapshots have to be reconciled, including those with a state that no longer need
    /// any.
    fn snapshots(&self) -> Vec<Key> {
        let mut names: HashSet<&String> = self.cache.snapshots().collect();
        names.extend(self.snapshots.keys());
        names.into_iter().cloned().map(Key::Snapshots).collect()
    }

    /// Reports orphaned volumes, in the log and by their number.
    fn report(&mut self, lists: &[Listed]) {
        // Before the first complete list, an unknown claim may exist.
        if !self.cache.is_ready() {
            return;
        }
        for listed in lists {
            let cache = &self.cache;
            let array_id = listed.volumes.as_ref().map(|(id, _)| id.as_str()).unwrap_or_default();
            let is_known = |volume: &Volume, uid: &str| cache.knows(array_id, &volume.id, uid);
            let report = self.orphans.update(cache.cluster(), listed, now(), is_known);
            for Orphan { array, name, id } in &report.new {
                warn!(
                    array,
                    volume = name,
                    id,
                    "orphaned volume: it has neither a claim nor a PersistentVolume"
                );
            }
            for Orphan { array, name, id } in &report.gone {
                info!(array, volume = name, id, "volume is no longer orphaned");
            }
        }
        self.effect_metrics.orphans(self.orphans.counts());
        for listed in lists {
            self.compare(listed);
        }
    }

    /// Compares bound volumes with the volumes of their array. The array is asked again, by id, for those that differ:
    /// they may have changed since the list, and a list has only some names.
    fn compare(&mut self, listed: &Listed) {
        let Ok((array_id, volumes)) = &listed.volumes else {
            return self.effect_metrics.missing(&listed.array, None);
        };
        let ids = self.cache.suspects(array_id, volumes);
        if ids.is_empty() {
            return self.report_abnormal(listed);
        }
        let (sender, executor) = (self.sender.clone(), Arc::clone(&self.executor));
        let listed = listed.clone();
        self.in_flight.spawn(async move {
            let _ = sender.send(Message::Compared(executor.look_up(listed, &ids).await));
        });
    }

    /// Reports bound volumes that differ from their PersistentVolumes, or that agree with them again.
    fn report_abnormal(&mut self, listed: &Listed) {
        let array = listed.array.as_str();
        let Ok((array_id, volumes)) = &listed.volumes else {
            return self.effect_metrics.missing(array, None);
        };
        let now = self.cache.abnormal(array_id, volumes);
        self.effect_metrics.missing(array, Some(now.len()));
        let before = self.abnormal.insert(array.to_owned(), now.clone()).unwrap_or_default();
        for (volume, abnormal) in &now {
            if !before.get(volume).is_some_and(|before| abnormal.is_same(before)) {
                let message = format!("{}; {}", abnormal.description(), abnormal.remedy());
                let (severity, reason) = (Severity::Warning, Reason::VolumeConditionAbnormal);
                self.record_volume_event(volume, severity, reason, message);
            }
        }
        for (volume, AbnormalVolume { name, .. }) in &before {
            if !now.contains_key(volume) {
                let message = format!("its volume {name} on {array} is as it should be again");
                let (severity, reason) = (Severity::Normal, Reason::VolumeConditionNormal);
                self.record_volume_event(volume, severity, reason, message);
            }
        }
    }

    /// Sets whether the node service is registered on a node.
    pub(super) fn set_node_service(&mut self, is_there: Option<bool>) {
        self.has_node_service = is_there;
    }

    /// Reports to the claims of block volumes that no node has the driver, or that one has it again.
    fn report_driver(&mut self) {
        let Some(has_driver) = self.has_node_service.filter(|_| self.cache.is_ready()) else {
            return;
        };
        let bound = || self.cache.bound_block_volumes();
        if let Some(event) = self.driver_reports.update(has_driver, bound) {
            let DriverEvent { volumes, severity, reason, message } = event;
            for volume in volumes {
                self.record_volume_event(&volume, severity, reason, message.clone());
            }
        }
    }

    /// Records an event about the volume of a PersistentVolume on its claim.
    fn record_volume_event(
        &mut self,
        volume: &str,
        severity: Severity,
        reason: Reason,
        message: String,
    ) {
        let key = Key::Snapshots(volume.to_owned());
        let subject = self.cache.subject(&key);
        self.publish(&key, Announcement { subject, severity, reason, message });
    }

    fn step(&mut self, key: &Key, event: Input) {
        let error = match &event {
            Input::Done(Err(error)) => Some(error.clone()),
            _ => None,
        };
        let effects = match key {
            Key::Claim(uid) => {
                let work = self.claims.entry(uid.clone()).or_default();
                let effects = self.cache.with_claim(uid, |view| work.step(view, event));
                if work.is_idle() && self.cache.is_settled(uid) {
                    self.claims.remove(uid);
                }
                effects
            }
            Key::Volume(name) => {
                let work = self.volumes.entry(name.clone()).or_default();
                let effects = self.cache.with_release(name, |view| work.step(view, event));
                if work.is_idle() && effects.is_empty() {
                    self.volumes.remove(name);
                }
                effects
            }
            Key::Snapshots(name) => {
                let work = self.snapshots.entry(name.clone()).or_default();
                let read = |view: SnapshotView<'_>| work.step(view, event);
                let effects = self.cache.with_snapshots(name, now(), read);
                if work.is_idle() && effects.is_empty() {
                    self.snapshots.remove(name);
                }
                effects
            }
        };
        let mut subject = self.cache.subject(key);
        if let Some(subject) = &mut subject {
            let now = effects.iter().find_map(array).map(str::to_owned);
            subject.array = now.or(subject.array.take());
        }
        let (subject, error) = (subject.as_ref(), error.as_ref());
        self.effect_metrics.record_step(key, subject, error, &effects, Instant::now());
        for effect in effects {
            if let Effect::RecordIntent { asked, import: None, size, .. } = &effect
                && let Some(array) = asked.last()
            {
                self.cache.reserve_capacity(array, *size);
            }
            self.start(key, subject, effect);
        }
    }

    /// Passes an effect to the executor.
    fn start(&mut self, key: &Key, subject: Option<&Subject>, effect: Effect) {
        // First writes are queued by namespace: see `start_queue`.
        let flow = subject.map(|subject| subject.namespace().to_owned()).unwrap_or_default();
        let effect = match effect {
            Effect::RecordIntent { .. } => match self.start_queue.admit(&flow, key, effect) {
                Some(effect) => effect,
                None => return,
            },
            effect => effect,
        };
        log::effect_started(key, subject, &effect);
        self.effect_metrics.effect_started(key, &effect, Instant::now());
        let (key, sender, executor) =
            (key.clone(), self.sender.clone(), Arc::clone(&self.executor));
        match effect {
            Effect::Requeue(wait) => {
                self.timer_count += 1;
                let number = self.timer_count;
                self.timers.insert(key.clone(), number);
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let _ = sender.send(Message::Due(key, number));
                });
            }
            Effect::AwaitController => {
                let effect = self.barriers.wait(key);
                self.act_on_barriers(BarrierOf::Controller, effect);
            }
            Effect::AwaitWatch => {
                let effect = self.watch_barriers.wait(key);
                self.act_on_barriers(BarrierOf::Watch, effect);
            }
            Effect::RecordEvent { severity, regarding: _, reason, message } => {
                let subject = subject.cloned();
                self.announce(&key, Announcement { subject, severity, reason, message });
            }
            effect => {
                if matches!(effect, Effect::CreatePersistentVolume(_)) {
                    self.watch_barriers.creation_begins(key.clone());
                }
                self.in_flight.spawn(async move {
                    let done = with_flow(&flow, executor.act(effect)).await;
                    let _ = sender.send(Message::Done(key, done));
                });
            }
        }
    }
}
