//! The deciding task: takes what was seen and done, one message after the other, asks
//! [`volume`](crate::provisioner::decide) what is to be done, and has it done by others.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::cache::{Cache, Subject};
use super::executor::Executor;
use super::metrics::{Tally, array};
use super::start_queue::StartQueue;
use super::{Key, Message, log, now};
use crate::concurrency::on_behalf;
use crate::contract::Volume;
use crate::provisioner::decide::{
    AbnormalVolume, BarrierEffect, Barriers, ClaimState, Effect, EffectError, Input, Listed,
    Orphan, Orphans, Reason, ReclaimState, Severity, SnapshotState, SnapshotView, is_barrier,
};

/// How long a claim waits for Kubernetes' own controller to bind it before a mark is made.
const MARK_SOON: Duration = Duration::from_millis(100);

/// The same before a mark is made by which the watch of PersistentVolumes shows that it has caught up. A claim that
/// comes alone has its volume on the array a little later.
const WATCH_MARK_SOON: Duration = Duration::from_millis(5);

/// How long a mark is waited for before another is made: it may be gone without a word.
const BARRIER_LOST: Duration = Duration::from_secs(60);

/// What a mark shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BarrierOf {
    /// How far Kubernetes' own controller is.
    Controller,
    /// How far our own watch is.
    Watch,
}

/// The deciding task's own.
pub(super) struct Reconciler {
    cache: Cache,
    claims: HashMap<String, ClaimState>,
    volumes: HashMap<String, ReclaimState>,
    barriers: Barriers<Key>,
    /// Those by which it is known that the watch of PersistentVolumes has caught up.
    watch_barriers: Barriers<Key>,
    /// When the last of them was made.
    watch_marked: Instant,
    snapshots: HashMap<String, SnapshotState>,
    /// What of the arrays nobody knows, and how much of it there is on each.
    orphans: Orphans,
    /// Bound volumes that are not as they should be, by the names of their array and their PersistentVolumes.
    abnormal: HashMap<String, BTreeMap<String, AbnormalVolume>>,
    /// Whether the last mark could not be made.
    marks_fail: Arc<AtomicBool>,
    /// Claims whose first write is under way, or waits.
    start_queue: StartQueue,
    executor: Arc<Executor>,
    /// The number of the newest timer of each work that waits for one, and how many there have been.
    timers: HashMap<Key, u64>,
    made_timers: u64,
    /// Effects that are under way.
    doing: JoinSet<()>,
    tally: Tally,
    sender: mpsc::UnboundedSender<Message>,
}

impl Reconciler {
    pub(super) fn new(
        cache: Cache,
        executor: Executor,
        tally: Tally,
        sender: mpsc::UnboundedSender<Message>,
    ) -> Self {
        let process = format!("{:08x}", fastrand::u32(..));
        Self {
            cache,
            claims: HashMap::new(),
            volumes: HashMap::new(),
            barriers: Barriers::new(&process),
            watch_barriers: Barriers::of_watch(&process),
            watch_marked: Instant::now(),
            snapshots: HashMap::new(),
            orphans: Orphans::default(),
            abnormal: HashMap::new(),
            marks_fail: Arc::default(),
            start_queue: StartQueue::default(),
            executor: Arc::new(executor),
            timers: HashMap::new(),
            made_timers: 0,
            doing: JoinSet::new(),
            tally,
            sender,
        }
    }

    /// Returns what has not been seen once.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        self.cache.missing()
    }

    /// How many effects are under way.
    pub(super) fn under_way(&self) -> usize {
        self.doing.len()
    }

    /// Waits for an effect that is under way to end; for ever, when there is none.
    pub(super) async fn ended(&mut self) {
        if self.doing.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for all that is under way to end.
    pub(super) async fn drained(&mut self) {
        while self.doing.join_next().await.is_some() {}
    }

    /// Takes a message, and does what follows from it.
    pub(super) fn handle(&mut self, message: Message) {
        let was_ready = self.cache.is_ready();
        let (touched, event) = match message {
            Message::Claims(event) => (self.cache.claims(event), Input::Changed),
            Message::Volumes(event) => match self.apply_barrier(event) {
                Some(event) => (self.cache.volumes(event), Input::Changed),
                None => return,
            },
            Message::Classes(event) => (self.cache.classes(event), Input::Changed),
            Message::Nodes(event) => {
                self.cache.nodes(event);
                (Vec::new(), Input::Changed)
            }
            Message::Arrays(states) => {
                let mut touched = self.cache.arrays(states);
                // What waits for an array that is back need not wait longer.
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
            Message::Tick => (self.snapshots(), Input::Changed),
            Message::Done(key, done) => {
                let mut subject = self.cache.subject(&key);
                if let Some(ended) = self.tally.ends(&key, &done, subject.as_ref()) {
                    if let Some(subject) = &mut subject {
                        subject.array = ended.array.or(subject.array.take());
                    }
                    log::ends(&key, subject.as_ref(), ended.effect, &done);
                }
                self.start_queue.ended(&key);
                (vec![key], Input::Done(done))
            }
            Message::Due(key, number) => {
                // Only the newest timer counts: a wait that ended early may have left one.
                if self.timers.get(&key) != Some(&number) {
                    return;
                }
                self.timers.remove(&key);
                self.tally.due(&key);
                (vec![key], Input::Due)
            }
            Message::MarkDue(of) => {
                let (cache, barriers) = match of {
                    BarrierOf::Controller => (&self.cache, &mut self.barriers),
                    BarrierOf::Watch => (&self.cache, &mut self.watch_barriers),
                };
                let effect = barriers.due(|key| match key {
                    Key::Claim(uid) => cache.is_unbound(uid),
                    Key::Volume(_) | Key::Snapshots(_) => false,
                });
                return self.mark(of, effect);
            }
            Message::MarkGone(name) => {
                let (of, barriers) = self.marks_of(&name);
                let effect = barriers.gone(&name);
                return self.mark(of, effect);
            }
        };
        // What is known in part is no ground for a decision.
        if !self.cache.is_ready() {
            return;
        }
        let touched = if was_ready { touched } else { self.cache.all() };
        for key in touched {
            self.step(&key, event.clone());
        }
        self.begin();
    }

    /// Begins with those whose turn has come.
    fn begin(&mut self) {
        while let Some((key, effect)) = self.start_queue.next() {
            if let Effect::RecordIntent { claim, asked, size, .. } = &effect
                && self.cache.has_changed(claim)
            {
                // It would be refused: it is decided upon anew, without asking.
                if let Some(array) = asked.last() {
                    self.cache.take_back(array, *size);
                }
                self.step(&key, Input::Done(Err(EffectError::Conflict)));
            } else {
                let subject = self.cache.subject(&key);
                self.start(&key, subject.as_ref(), effect);
            }
        }
    }

    /// Counts what there is now.
    pub(super) fn survey(&mut self, messages: usize) {
        let now = Timestamp::now();
        let age = |made: Timestamp| Duration::try_from(now.duration_since(made));
        let claims = self.cache.survey().map(|(key, state, class, made)| {
            let age = made.and_then(|made| age(made).ok()).unwrap_or_default();
            (key, state, class, age)
        });
        self.tally.survey(claims, messages, Instant::now());
    }

    /// Takes what a watch tells of a mark; gives back what is about another PersistentVolume.
    fn apply_barrier(
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
            // A list that is under way has not shown all that there was.
            InitApply(mark) if self.marks_of(&name_of(&mark)).0 == BarrierOf::Watch => {
                let name = name_of(&mark);
                let effect = self.watch_barriers.gone(&name);
                self.mark(
                    BarrierOf::Watch,
                    [Some(BarrierEffect::Delete(name)), effect].into_iter().flatten(),
                );
            }
            Apply(mark) | InitApply(mark) => {
                let (of, barriers) = self.marks_of(&name_of(&mark));
                let (known, effects) = barriers.seen(&mark);
                self.mark(of, effects);
                let event = match of {
                    BarrierOf::Controller => Input::ControllerCaughtUp,
                    BarrierOf::Watch => Input::WatchCaughtUp,
                };
                for key in known {
                    self.step(&key, event.clone());
                }
            }
            Delete(mark) => {
                let name = name_of(&mark);
                let (of, barriers) = self.marks_of(&name);
                let effect = barriers.gone(&name);
                self.mark(of, effect);
            }
            _ => {}
        }
        None
    }

    /// The barriers that one of a name is among, or would be.
    fn marks_of(&mut self, name: &str) -> (BarrierOf, &mut Barriers<Key>) {
        if self.watch_barriers.are_of(name) {
            (BarrierOf::Watch, &mut self.watch_barriers)
        } else {
            (BarrierOf::Controller, &mut self.barriers)
        }
    }

    /// Has something done about barriers.
    fn mark(&mut self, of: BarrierOf, effects: impl IntoIterator<Item = BarrierEffect>) {
        for effect in effects {
            let (sender, executor) = (self.sender.clone(), Arc::clone(&self.executor));
            let failing = Arc::clone(&self.marks_fail);
            let soon = match of {
                // Where many claims come, one mark serves more of them.
                BarrierOf::Watch if self.watch_marked.elapsed() > 2 * MARK_SOON => WATCH_MARK_SOON,
                BarrierOf::Watch | BarrierOf::Controller => MARK_SOON,
            };
            if of == BarrierOf::Watch && matches!(effect, BarrierEffect::Create(_)) {
                self.watch_marked = Instant::now();
            }
            self.doing.spawn(async move {
                match &effect {
                    BarrierEffect::Soon => {
                        tokio::time::sleep(soon).await;
                        let _ = sender.send(Message::MarkDue(of));
                    }
                    BarrierEffect::Create(name) => {
                        let gone = Message::MarkGone(name.clone());
                        let wait = match executor.mark(effect).await {
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
                            let _ = sender.send(gone);
                        });
                    }
                    BarrierEffect::Delete(name) => {
                        let name = name.clone();
                        if let Err(error) = executor.mark(effect).await {
                            warn!(?error, name, "barrier not deleted; the next process deletes it");
                        }
                    }
                }
            });
        }
    }

    /// Returns whose snapshots are to be looked at: also those that are remembered, and are wanted no more.
    fn snapshots(&self) -> Vec<Key> {
        let mut names: HashSet<&String> = self.cache.snapshots().collect();
        names.extend(self.snapshots.keys());
        names.into_iter().cloned().map(Key::Snapshots).collect()
    }

    /// Tells of volumes that nobody knows, in the log and by their number.
    fn report(&mut self, lists: &[Listed]) {
        // Claims that have not been seen are no claims that are not there.
        if !self.cache.is_ready() {
            return;
        }
        for listed in lists {
            let cache = &self.cache;
            let array_id = listed.volumes.as_ref().map(|(id, _)| id.as_str()).unwrap_or_default();
            let is_known = |volume: &Volume, uid: &str| cache.knows(array_id, &volume.id, uid);
            let report = self.orphans.look(cache.cluster(), listed, now(), is_known);
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
        self.tally.orphans(self.orphans.counts());
        for listed in lists {
            self.compare(listed);
        }
    }

    /// Compares bound volumes with what their array has. What seems wrong is asked for once more, by id: it may have
    /// changed since the list, and a list has some names only.
    fn compare(&mut self, listed: &Listed) {
        let Ok((array_id, volumes)) = &listed.volumes else {
            return self.tally.missing(&listed.array, None);
        };
        let ids = self.cache.suspects(array_id, volumes);
        if ids.is_empty() {
            return self.report_abnormal(listed);
        }
        let (sender, executor) = (self.sender.clone(), Arc::clone(&self.executor));
        let listed = listed.clone();
        self.doing.spawn(async move {
            let _ = sender.send(Message::Compared(executor.look_up(listed, &ids).await));
        });
    }

    /// Says of bound volumes that they are not as they should be on their array, or are so again.
    fn report_abnormal(&mut self, listed: &Listed) {
        let array = listed.array.as_str();
        let Ok((array_id, volumes)) = &listed.volumes else {
            return self.tally.missing(array, None);
        };
        let now = self.cache.abnormal(array_id, volumes);
        self.tally.missing(array, Some(now.len()));
        let before = self.abnormal.insert(array.to_owned(), now.clone()).unwrap_or_default();
        for (volume, found) in &now {
            if !before.get(volume).is_some_and(|before| found.is_as(before)) {
                let message = format!("{}; {}", found.what(), found.remedy());
                let (severity, reason) = (Severity::Warning, Reason::VolumeConditionAbnormal);
                self.tell_of(volume, severity, reason, message);
            }
        }
        for (volume, AbnormalVolume { name, .. }) in &before {
            if !now.contains_key(volume) {
                let message = format!("its volume {name} on {array} is as it should be again");
                let (severity, reason) = (Severity::Normal, Reason::VolumeConditionNormal);
                self.tell_of(volume, severity, reason, message);
            }
        }
    }

    /// Tells of the volume behind a PersistentVolume by an event on its claim.
    fn tell_of(&self, volume: &str, severity: Severity, reason: Reason, message: String) {
        let key = Key::Snapshots(volume.to_owned());
        let subject = self.cache.subject(&key);
        if let Some(object) = self.cache.reference(&key) {
            log::event(subject.as_ref(), severity, reason, &message);
            let executor = Arc::clone(&self.executor);
            tokio::spawn(async move { executor.tell(object, severity, reason, message).await });
        }
    }

    fn step(&mut self, key: &Key, event: Input) {
        let trouble = match &event {
            Input::Done(Err(trouble)) => Some(trouble.clone()),
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
                let look = |view: SnapshotView<'_>| work.step(view, event);
                let effects = self.cache.with_snapshots(name, now(), look);
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
        let (subject, trouble) = (subject.as_ref(), trouble.as_ref());
        self.tally.stepped(key, subject, trouble, &effects, Instant::now());
        for effect in effects {
            if let Effect::RecordIntent { asked, import: None, size, .. } = &effect
                && let Some(array) = asked.last()
            {
                self.cache.give(array, *size);
            }
            self.start(key, subject, effect);
        }
    }

    /// Has an effect done by somebody else.
    fn start(&mut self, key: &Key, subject: Option<&Subject>, effect: Effect) {
        // Of several namespaces, each gets its turn: see `turns`.
        let party = subject.map(|subject| subject.namespace().to_owned()).unwrap_or_default();
        let effect = match effect {
            Effect::RecordIntent { .. } => match self.start_queue.admit(&party, key, effect) {
                Some(effect) => effect,
                None => return,
            },
            effect => effect,
        };
        log::begins(key, subject, &effect);
        self.tally.begins(key, &effect, Instant::now());
        let (key, sender, executor) =
            (key.clone(), self.sender.clone(), Arc::clone(&self.executor));
        match effect {
            Effect::Requeue(wait) => {
                self.made_timers += 1;
                let number = self.made_timers;
                self.timers.insert(key.clone(), number);
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let _ = sender.send(Message::Due(key, number));
                });
            }
            Effect::AwaitController => {
                let effect = self.barriers.wait(key);
                self.mark(BarrierOf::Controller, effect);
            }
            Effect::AwaitWatch => {
                let effect = self.watch_barriers.wait(key);
                self.mark(BarrierOf::Watch, effect);
            }
            Effect::RecordEvent { severity, regarding: _, reason, message } => {
                if let Some(object) = self.cache.reference(&key) {
                    log::event(subject, severity, reason, &message);
                    tokio::spawn(async move {
                        let told = executor.tell(object, severity, reason, message);
                        on_behalf(&party, told).await;
                    });
                }
            }
            effect => {
                self.doing.spawn(async move {
                    let done = on_behalf(&party, executor.act(effect)).await;
                    let _ = sender.send(Message::Done(key, done));
                });
            }
        }
    }
}

fn name_of(volume: &PersistentVolume) -> String {
    volume.metadata.name.clone().unwrap_or_default()
}
