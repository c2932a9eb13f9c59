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

use super::beginnings::Beginnings;
use super::hands::Hands;
use super::metrics::{Tally, array};
use super::world::{Subject, World};
use super::{Key, Message, journal, now};
use crate::concurrency::on_behalf;
use crate::contract::Volume;
use crate::provisioner::decide::{
    AbnormalVolume, ClaimWork, Effect, Event, Listed, MarkEffect, Marks, Orphan, Orphans, Reason,
    ReleaseWork, Severity, SnapshotView, SnapshotWork, Trouble, is_mark,
};

/// How long a claim waits for Kubernetes' own controller to bind it before a mark is made.
const MARK_SOON: Duration = Duration::from_millis(100);

/// The same before a mark is made by which the watch of PersistentVolumes shows that it has caught up. A claim that
/// comes alone has its volume on the array a little later.
const WATCH_MARK_SOON: Duration = Duration::from_millis(5);

/// How long a mark is waited for before another is made: it may be gone without a word.
const MARK_LOST: Duration = Duration::from_secs(60);

/// What a mark shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkOf {
    /// How far Kubernetes' own controller is.
    Controller,
    /// How far our own watch is.
    Watch,
}

/// The deciding task's own.
pub(super) struct Brain {
    world: World,
    claims: HashMap<String, ClaimWork>,
    volumes: HashMap<String, ReleaseWork>,
    marks: Marks<Key>,
    /// Those by which it is known that the watch of PersistentVolumes has caught up.
    watch_marks: Marks<Key>,
    /// When the last of them was made.
    watch_marked: Instant,
    snapshots: HashMap<String, SnapshotWork>,
    /// What of the arrays nobody knows, and how much of it there is on each.
    orphans: Orphans,
    /// Bound volumes that are not as they should be, by the names of their array and their PersistentVolumes.
    abnormal: HashMap<String, BTreeMap<String, AbnormalVolume>>,
    /// Whether the last mark could not be made.
    marks_fail: Arc<AtomicBool>,
    /// Claims whose first write is under way, or waits.
    beginnings: Beginnings,
    hands: Arc<Hands>,
    /// The number of the newest timer of each work that waits for one, and how many there have been.
    timers: HashMap<Key, u64>,
    made_timers: u64,
    /// Effects that are under way.
    doing: JoinSet<()>,
    tally: Tally,
    sender: mpsc::UnboundedSender<Message>,
}

impl Brain {
    pub(super) fn new(
        world: World,
        hands: Hands,
        tally: Tally,
        sender: mpsc::UnboundedSender<Message>,
    ) -> Self {
        let process = format!("{:08x}", fastrand::u32(..));
        Self {
            world,
            claims: HashMap::new(),
            volumes: HashMap::new(),
            marks: Marks::new(&process),
            watch_marks: Marks::of_watch(&process),
            watch_marked: Instant::now(),
            snapshots: HashMap::new(),
            orphans: Orphans::default(),
            abnormal: HashMap::new(),
            marks_fail: Arc::default(),
            beginnings: Beginnings::default(),
            hands: Arc::new(hands),
            timers: HashMap::new(),
            made_timers: 0,
            doing: JoinSet::new(),
            tally,
            sender,
        }
    }

    /// Returns what has not been seen once.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        self.world.missing()
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
    pub(super) fn hear(&mut self, message: Message) {
        let was_ready = self.world.is_ready();
        let (touched, event) = match message {
            Message::Claims(event) => (self.world.claims(event), Event::Changed),
            Message::Volumes(event) => match self.hear_of_mark(event) {
                Some(event) => (self.world.volumes(event), Event::Changed),
                None => return,
            },
            Message::Classes(event) => (self.world.classes(event), Event::Changed),
            Message::Nodes(event) => {
                self.world.nodes(event);
                (Vec::new(), Event::Changed)
            }
            Message::Arrays(states) => {
                let mut touched = self.world.arrays(states);
                // What waits for an array that is back need not wait longer.
                touched.extend(self.volumes.keys().cloned().map(Key::Volume));
                let known: HashSet<Key> = touched.iter().cloned().collect();
                let others = self.claims.keys().cloned().map(Key::Claim);
                touched.extend(others.filter(|key| !known.contains(key)));
                (touched, Event::Changed)
            }
            Message::Listed(lists) => {
                self.report(&lists);
                return;
            }
            Message::Compared(listed) => {
                self.report_abnormal(&listed);
                return;
            }
            Message::Tick => (self.snapshots(), Event::Changed),
            Message::Done(key, done) => {
                let mut subject = self.world.subject(&key);
                if let Some(ended) = self.tally.ends(&key, &done, subject.as_ref()) {
                    if let Some(subject) = &mut subject {
                        subject.array = ended.array.or(subject.array.take());
                    }
                    journal::ends(&key, subject.as_ref(), ended.effect, &done);
                }
                self.beginnings.ended(&key);
                (vec![key], Event::Done(done))
            }
            Message::Due(key, number) => {
                // Only the newest timer counts: a wait that ended early may have left one.
                if self.timers.get(&key) != Some(&number) {
                    return;
                }
                self.timers.remove(&key);
                self.tally.due(&key);
                (vec![key], Event::Due)
            }
            Message::MarkDue(of) => {
                let (world, marks) = match of {
                    MarkOf::Controller => (&self.world, &mut self.marks),
                    MarkOf::Watch => (&self.world, &mut self.watch_marks),
                };
                let effect = marks.due(|key| match key {
                    Key::Claim(uid) => world.is_unbound(uid),
                    Key::Volume(_) | Key::Snapshots(_) => false,
                });
                return self.mark(of, effect);
            }
            Message::MarkGone(name) => {
                let (of, marks) = self.marks_of(&name);
                let effect = marks.gone(&name);
                return self.mark(of, effect);
            }
        };
        // What is known in part is no ground for a decision.
        if !self.world.is_ready() {
            return;
        }
        let touched = if was_ready { touched } else { self.world.all() };
        for key in touched {
            self.step(&key, event.clone());
        }
        self.begin();
    }

    /// Begins with those whose turn has come.
    fn begin(&mut self) {
        while let Some((key, effect)) = self.beginnings.next() {
            if let Effect::Intend { claim, asked, size, .. } = &effect
                && self.world.has_changed(claim)
            {
                // It would be refused: it is decided upon anew, without asking.
                if let Some(array) = asked.last() {
                    self.world.take_back(array, *size);
                }
                self.step(&key, Event::Done(Err(Trouble::Conflict)));
            } else {
                let subject = self.world.subject(&key);
                self.start(&key, subject.as_ref(), effect);
            }
        }
    }

    /// Counts what there is now.
    pub(super) fn survey(&mut self, messages: usize) {
        let now = Timestamp::now();
        let age = |made: Timestamp| Duration::try_from(now.duration_since(made));
        let claims = self.world.survey().map(|(key, state, class, made)| {
            let age = made.and_then(|made| age(made).ok()).unwrap_or_default();
            (key, state, class, age)
        });
        self.tally.survey(claims, messages, Instant::now());
    }

    /// Takes what a watch tells of a mark; gives back what is about another PersistentVolume.
    fn hear_of_mark(
        &mut self,
        event: watcher::Event<PersistentVolume>,
    ) -> Option<watcher::Event<PersistentVolume>> {
        use watcher::Event::{Apply, Delete, InitApply};
        let name = match &event {
            Apply(volume) | InitApply(volume) | Delete(volume) => volume.metadata.name.as_deref(),
            _ => None,
        };
        if !name.is_some_and(is_mark) {
            return Some(event);
        }
        match event {
            // A list that is under way has not shown all that there was.
            InitApply(mark) if self.marks_of(&name_of(&mark)).0 == MarkOf::Watch => {
                let name = name_of(&mark);
                let effect = self.watch_marks.gone(&name);
                self.mark(
                    MarkOf::Watch,
                    [Some(MarkEffect::Delete(name)), effect].into_iter().flatten(),
                );
            }
            Apply(mark) | InitApply(mark) => {
                let (of, marks) = self.marks_of(&name_of(&mark));
                let (known, effects) = marks.seen(&mark);
                self.mark(of, effects);
                let event = match of {
                    MarkOf::Controller => Event::Known,
                    MarkOf::Watch => Event::CaughtUp,
                };
                for key in known {
                    self.step(&key, event.clone());
                }
            }
            Delete(mark) => {
                let name = name_of(&mark);
                let (of, marks) = self.marks_of(&name);
                let effect = marks.gone(&name);
                self.mark(of, effect);
            }
            _ => {}
        }
        None
    }

    /// The marks that one of a name is among, or would be.
    fn marks_of(&mut self, name: &str) -> (MarkOf, &mut Marks<Key>) {
        if self.watch_marks.are_of(name) {
            (MarkOf::Watch, &mut self.watch_marks)
        } else {
            (MarkOf::Controller, &mut self.marks)
        }
    }

    /// Has something done about marks.
    fn mark(&mut self, of: MarkOf, effects: impl IntoIterator<Item = MarkEffect>) {
        for effect in effects {
            let (sender, hands) = (self.sender.clone(), Arc::clone(&self.hands));
            let failing = Arc::clone(&self.marks_fail);
            let soon = match of {
                // Where many claims come, one mark serves more of them.
                MarkOf::Watch if self.watch_marked.elapsed() > 2 * MARK_SOON => WATCH_MARK_SOON,
                MarkOf::Watch | MarkOf::Controller => MARK_SOON,
            };
            if of == MarkOf::Watch && matches!(effect, MarkEffect::Create(_)) {
                self.watch_marked = Instant::now();
            }
            self.doing.spawn(async move {
                match &effect {
                    MarkEffect::Soon => {
                        tokio::time::sleep(soon).await;
                        let _ = sender.send(Message::MarkDue(of));
                    }
                    MarkEffect::Create(name) => {
                        let gone = Message::MarkGone(name.clone());
                        let wait = match hands.mark(effect).await {
                            Ok(()) => {
                                failing.store(false, Ordering::Relaxed);
                                MARK_LOST
                            }
                            Err(trouble) => {
                                // It is tried again every second: once is enough.
                                if failing.swap(true, Ordering::Relaxed) {
                                    debug!(?trouble, "mark not created again");
                                } else {
                                    warn!(?trouble, "mark not created");
                                }
                                Duration::from_secs(1)
                            }
                        };
                        tokio::spawn(async move {
                            tokio::time::sleep(wait).await;
                            let _ = sender.send(gone);
                        });
                    }
                    MarkEffect::Delete(name) => {
                        let name = name.clone();
                        if let Err(trouble) = hands.mark(effect).await {
                            warn!(?trouble, name, "mark not deleted; the next process does so");
                        }
                    }
                }
            });
        }
    }

    /// Returns whose snapshots are to be looked at: also those that are remembered, and are wanted no more.
    fn snapshots(&self) -> Vec<Key> {
        let mut names: HashSet<&String> = self.world.snapshots().collect();
        names.extend(self.snapshots.keys());
        names.into_iter().cloned().map(Key::Snapshots).collect()
    }

    /// Tells of volumes that nobody knows, in the log and by their number.
    fn report(&mut self, lists: &[Listed]) {
        // Claims that have not been seen are no claims that are not there.
        if !self.world.is_ready() {
            return;
        }
        for listed in lists {
            let world = &self.world;
            let array_id = listed.volumes.as_ref().map(|(id, _)| id.as_str()).unwrap_or_default();
            let is_known = |volume: &Volume, uid: &str| world.knows(array_id, &volume.id, uid);
            let report = self.orphans.look(world.cluster(), listed, now(), is_known);
            for Orphan { array, name, id } in &report.new {
                warn!(array, volume = name, id, "orphan: neither a claim nor a PersistentVolume");
            }
            for Orphan { array, name, id } in &report.gone {
                info!(array, volume = name, id, "no orphan any more");
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
        let ids = self.world.suspects(array_id, volumes);
        if ids.is_empty() {
            return self.report_abnormal(listed);
        }
        let (sender, hands) = (self.sender.clone(), Arc::clone(&self.hands));
        let listed = listed.clone();
        self.doing.spawn(async move {
            let _ = sender.send(Message::Compared(hands.look_up(listed, &ids).await));
        });
    }

    /// Says of bound volumes that they are not as they should be on their array, or are so again.
    fn report_abnormal(&mut self, listed: &Listed) {
        let array = listed.array.as_str();
        let Ok((array_id, volumes)) = &listed.volumes else {
            return self.tally.missing(array, None);
        };
        let now = self.world.abnormal(array_id, volumes);
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
        let subject = self.world.subject(&key);
        if let Some(object) = self.world.reference(&key) {
            journal::tells(subject.as_ref(), severity, reason, &message);
            let hands = Arc::clone(&self.hands);
            tokio::spawn(async move { hands.tell(object, severity, reason, message).await });
        }
    }

    fn step(&mut self, key: &Key, event: Event) {
        let trouble = match &event {
            Event::Done(Err(trouble)) => Some(trouble.clone()),
            _ => None,
        };
        let effects = match key {
            Key::Claim(uid) => {
                let work = self.claims.entry(uid.clone()).or_default();
                let effects = self.world.with_claim(uid, |view| work.step(view, event));
                if work.is_idle() && self.world.is_settled(uid) {
                    self.claims.remove(uid);
                }
                effects
            }
            Key::Volume(name) => {
                let work = self.volumes.entry(name.clone()).or_default();
                let effects = self.world.with_release(name, |view| work.step(view, event));
                if work.is_idle() && effects.is_empty() {
                    self.volumes.remove(name);
                }
                effects
            }
            Key::Snapshots(name) => {
                let work = self.snapshots.entry(name.clone()).or_default();
                let look = |view: SnapshotView<'_>| work.step(view, event);
                let effects = self.world.with_snapshots(name, now(), look);
                if work.is_idle() && effects.is_empty() {
                    self.snapshots.remove(name);
                }
                effects
            }
        };
        let mut subject = self.world.subject(key);
        if let Some(subject) = &mut subject {
            let now = effects.iter().find_map(array).map(str::to_owned);
            subject.array = now.or(subject.array.take());
        }
        let (subject, trouble) = (subject.as_ref(), trouble.as_ref());
        self.tally.stepped(key, subject, trouble, &effects, Instant::now());
        for effect in effects {
            if let Effect::Intend { asked, import: None, size, .. } = &effect
                && let Some(array) = asked.last()
            {
                self.world.give(array, *size);
            }
            self.start(key, subject, effect);
        }
    }

    /// Has an effect done by somebody else.
    fn start(&mut self, key: &Key, subject: Option<&Subject>, effect: Effect) {
        // Of several namespaces, each gets its turn: see `turns`.
        let party = subject.map(|subject| subject.namespace().to_owned()).unwrap_or_default();
        let effect = match effect {
            Effect::Intend { .. } => match self.beginnings.admit(&party, key, effect) {
                Some(effect) => effect,
                None => return,
            },
            effect => effect,
        };
        journal::begins(key, subject, &effect);
        self.tally.begins(key, &effect, Instant::now());
        let (key, sender, hands) = (key.clone(), self.sender.clone(), Arc::clone(&self.hands));
        match effect {
            Effect::Later(wait) => {
                self.made_timers += 1;
                let number = self.made_timers;
                self.timers.insert(key.clone(), number);
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let _ = sender.send(Message::Due(key, number));
                });
            }
            Effect::Mark => {
                let effect = self.marks.wait(key);
                self.mark(MarkOf::Controller, effect);
            }
            Effect::CatchUp => {
                let effect = self.watch_marks.wait(key);
                self.mark(MarkOf::Watch, effect);
            }
            Effect::Tell { severity, about: _, reason, message } => {
                if let Some(object) = self.world.reference(&key) {
                    journal::tells(subject, severity, reason, &message);
                    tokio::spawn(async move {
                        let told = hands.tell(object, severity, reason, message);
                        on_behalf(&party, told).await;
                    });
                }
            }
            effect => {
                self.doing.spawn(async move {
                    let done = on_behalf(&party, hands.act(effect)).await;
                    let _ = sender.send(Message::Done(key, done));
                });
            }
        }
    }
}

fn name_of(volume: &PersistentVolume) -> String {
    volume.metadata.name.clone().unwrap_or_default()
}
