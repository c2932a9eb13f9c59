//! The provisioner's hands: watches the cluster, asks [`volume`](crate::volume) what is to be done, does
//! it, and tells it what came of it.
//!
//! All decisions are taken one after the other by one task; what they ask for is done by many at once.
//! Alone talks to the Kubernetes API.

mod apply;
mod arrays;
mod beginnings;
mod census;
mod counted;
mod hands;
mod held;
mod journal;
mod lease;
mod metrics;
mod serve;
mod setup;
mod snapshots;
mod turns;
mod world;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::jiff::Timestamp;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};
use tracing::{debug, info, warn};

use crate::array::Volume;
use crate::volume::{
    ArrayState, ClaimWork, Effect, Event, Listed, MarkEffect, Marks, Orphan, Orphans, Outcome,
    ReleaseWork, SnapshotView, SnapshotWork, Trouble, is_mark,
};
pub use apply::{Applied, Before, before};
pub use arrays::Arrays;
use arrays::Lookout;
use beginnings::Beginnings;
pub use census::{Kept, census, destroy_orphan};
pub use counted::{CountRequests, CountedRequests};
use hands::Hands;
use lease::{Candidate, Leadership};
pub use metrics::Metrics;
use metrics::{Tally, array};
use serve::BEAT;
pub use serve::{Status, serve};
pub use setup::{SetupError, set_up};
use world::{Subject, World};

/// How often arrays are asked how they are.
const LOOK: Duration = Duration::from_secs(30);

/// How long a claim waits for Kubernetes' own controller to bind it before a mark is made.
const MARK_SOON: Duration = Duration::from_millis(100);

/// How long a mark is waited for before another is made: it may be gone without a word.
const MARK_LOST: Duration = Duration::from_secs(60);

/// How often it is seen whether snapshots are due.
const TICK: Duration = Duration::from_secs(30);

/// When and how often arrays are asked for all that they have.
const FIRST_LIST: Duration = Duration::from_secs(60);
const LIST: Duration = Duration::from_secs(600);

/// How many objects a list brings at once: more of them take more memory at the start than ever after.
const PAGE: u32 = 100;

/// How many objects that watches have told of may wait to be looked at.
const SEEN: usize = 256;

/// How long what is under way may take at the end, before the lease is given back.
const DRAIN: Duration = Duration::from_secs(20);

/// What a work is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// The claim with a UID.
    Claim(String),
    /// The PersistentVolume of a name.
    Volume(String),
    /// The snapshots of the volume behind it.
    Snapshots(String),
}

/// What the deciding task hears of.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is alive for a moment; a box for each would not pay"
)]
enum Message {
    Claims(watcher::Event<PersistentVolumeClaim>),
    Volumes(watcher::Event<PersistentVolume>),
    Classes(watcher::Event<StorageClass>),
    Nodes(watcher::Event<PartialObjectMeta<Node>>),
    Arrays(Vec<ArrayState>),
    /// What is on the arrays.
    Listed(Vec<Listed>),
    /// Time has passed.
    Tick,
    Done(Key, Result<Outcome, Trouble>),
    Due(Key),
    /// It is time for a mark.
    MarkDue,
    /// The mark of a name is not there, or will not be any more.
    MarkGone(String),
}

/// How the provisioner ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    Asked,
    /// Somebody else leads now.
    LeaseLost,
}

/// The Lease by which processes agree on who leads.
#[derive(Clone)]
pub struct LeaseName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// A client for it alone, so that no other traffic keeps it waiting.
    pub client: Client,
}

/// Runs the provisioner until `end` comes or its lease is lost; what has been begun by then is finished
/// by the next one. Without a lease it must be the only one. How it goes is written down in `status`.
pub async fn run(
    client: Client,
    arrays: Arrays,
    lease: Option<LeaseName>,
    status: &Status,
    end: impl Future<Output = ()>,
) -> End {
    let mut end = std::pin::pin!(end);
    let arrays = arrays.counted(status.metrics());
    let Some(LeaseName { namespace, name, client: own }) = lease else {
        warn!("without a lease: no other provisioner may run");
        lead(client, arrays, Leadership::alone(), status, &mut end).await;
        return End::Asked;
    };
    let mut candidate = Candidate::new(own, &namespace, &name, status.clone());
    let leadership = tokio::select! {
        () = &mut end => return End::Asked,
        leadership = candidate.wait() => leadership,
    };
    let how = tokio::select! {
        () = lead(client, arrays, leadership, status, &mut end) => End::Asked,
        // All that is under way ends with the process: it must not do anything more.
        () = candidate.keep() => End::LeaseLost,
    };
    if how == End::Asked {
        candidate.release().await;
    }
    how
}

/// Does the work, until `end` comes.
async fn lead(
    client: Client,
    arrays: Arrays,
    leadership: Leadership,
    status: &Status,
    end: &mut (impl Future<Output = ()> + Unpin),
) {
    let (sender, mut messages) = mpsc::unbounded_channel();
    // A list of thousands comes no faster than it is looked at.
    let (watched, mut seen) = mpsc::channel(SEEN);
    let metrics = status.metrics();
    let claims = Api::<PersistentVolumeClaim>::all(client.clone());
    let volumes = Api::<PersistentVolume>::all(client.clone());
    let classes = Api::<StorageClass>::all(client.clone());
    let mut tasks = vec![
        watch(claims, metrics.clone(), &watched, Message::Claims),
        watch(volumes, metrics.clone(), &watched, Message::Volumes),
        watch(classes, metrics.clone(), &watched, Message::Classes),
        look(Lookout::new(arrays.clone(), metrics.clone()), &sender),
        list(arrays.clone(), &sender),
        tick(&sender),
    ];
    // Who they are matters only when not every one reaches every array.
    let nodes = arrays.have_topology();
    if nodes {
        let nodes = Api::<PartialObjectMeta<Node>>::all(client.clone());
        tasks.push(watch(nodes, metrics.clone(), &watched, Message::Nodes));
    }
    let hands = Arc::new(Hands::new(client, arrays.clone(), leadership));
    let mut brain = Brain {
        world: World::new(arrays.setup().clone(), nodes),
        claims: HashMap::new(),
        volumes: HashMap::new(),
        marks: Marks::new(&format!("{:08x}", fastrand::u32(..))),
        snapshots: HashMap::new(),
        orphans: Orphans::default(),
        marks_fail: Arc::default(),
        beginnings: Beginnings::default(),
        hands,
        doing: JoinSet::new(),
        tally: Tally::new(metrics.clone()),
        sender,
    };
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            () = &mut *end => break,
            Some(_) = brain.doing.join_next() => {}
            _ = beat.tick() => {
                status.beats(Instant::now(), brain.world.missing());
                brain.survey(messages.len());
            }
            Some(message) = seen.recv() => brain.hear(message),
            message = messages.recv() => match message {
                Some(message) => brain.hear(message),
                None => break,
            },
        }
    }
    status.stops();
    for task in tasks {
        task.abort();
    }
    info!(under_way = brain.doing.len(), "stopping");
    // The next one need not find out what came of it; what takes longer, it does find out.
    let drained = async { while brain.doing.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN, drained).await;
    arrays.log_out().await;
}

/// Forwards what a watch sees.
fn watch<K>(
    api: Api<K>,
    metrics: Metrics,
    sender: &mpsc::Sender<Message>,
    message: fn(watcher::Event<K>) -> Message,
) -> tokio::task::JoinHandle<()>
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
{
    let sender = sender.clone();
    let resource = K::plural(&());
    metrics.watch_restarted(&resource, 0);
    tokio::spawn(async move {
        let mut ended = false;
        let stream = watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff();
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    // A list that begins may yet go wrong.
                    let begins = matches!(event, watcher::Event::Init);
                    if !begins && std::mem::take(&mut ended) {
                        info!(%resource, "watch goes on");
                    }
                    if sender.send(message(event)).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    metrics.watch_restarted(&resource, 1);
                    if std::mem::replace(&mut ended, true) {
                        debug!(%resource, %error, "watch ended again");
                    } else {
                        warn!(%resource, %error, "watch ended; it starts again");
                    }
                }
            }
        }
    })
}

/// Asks the arrays how they are, again and again.
fn look(
    mut lookout: Lookout,
    sender: &mpsc::UnboundedSender<Message>,
) -> tokio::task::JoinHandle<()> {
    let sender = sender.clone();
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(LOOK);
        loop {
            interval.tick().await;
            if sender.send(Message::Arrays(lookout.look().await)).is_err() {
                return;
            }
        }
    })
}

/// Lists what is on the arrays, again and again.
fn list(arrays: Arrays, sender: &mpsc::UnboundedSender<Message>) -> tokio::task::JoinHandle<()> {
    let sender = sender.clone();
    tokio::spawn(async move {
        let mut interval = interval_at(tokio::time::Instant::now() + FIRST_LIST, LIST);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if sender.send(Message::Listed(arrays.list().await)).is_err() {
                return;
            }
        }
    })
}

/// Tells that time passes.
fn tick(sender: &mpsc::UnboundedSender<Message>) -> tokio::task::JoinHandle<()> {
    let sender = sender.clone();
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if sender.send(Message::Tick).is_err() {
                return;
            }
        }
    })
}

/// The time, in seconds since 1970.
fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}

/// The deciding task's own.
struct Brain {
    world: World,
    claims: HashMap<String, ClaimWork>,
    volumes: HashMap<String, ReleaseWork>,
    marks: Marks<Key>,
    snapshots: HashMap<String, SnapshotWork>,
    /// What of the arrays nobody knows, and how much of it there is on each.
    orphans: Orphans,
    /// Whether the last mark could not be made.
    marks_fail: Arc<AtomicBool>,
    /// Claims whose first write is under way, or waits.
    beginnings: Beginnings,
    hands: Arc<Hands>,
    /// Effects that are under way.
    doing: JoinSet<()>,
    tally: Tally,
    sender: mpsc::UnboundedSender<Message>,
}

impl Brain {
    fn hear(&mut self, message: Message) {
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
            Message::Arrays(states) => (self.world.arrays(states), Event::Changed),
            Message::Listed(lists) => {
                self.report(&lists);
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
            Message::Due(key) => {
                self.tally.due(&key);
                (vec![key], Event::Due)
            }
            Message::MarkDue => {
                let world = &self.world;
                let effect = self.marks.due(|key| match key {
                    Key::Claim(uid) => world.is_unbound(uid),
                    Key::Volume(_) | Key::Snapshots(_) => false,
                });
                return self.mark(effect);
            }
            Message::MarkGone(name) => {
                let effect = self.marks.gone(&name);
                return self.mark(effect);
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
    fn survey(&mut self, messages: usize) {
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
            Apply(mark) | InitApply(mark) => {
                let (known, effects) = self.marks.seen(&mark);
                self.mark(effects);
                for key in known {
                    self.step(&key, Event::Known);
                }
            }
            Delete(mark) => {
                let effect = self.marks.gone(mark.metadata.name.as_deref().unwrap_or_default());
                self.mark(effect);
            }
            _ => {}
        }
        None
    }

    /// Has something done about marks.
    fn mark(&mut self, effects: impl IntoIterator<Item = MarkEffect>) {
        for effect in effects {
            let (sender, hands) = (self.sender.clone(), Arc::clone(&self.hands));
            let failing = Arc::clone(&self.marks_fail);
            self.doing.spawn(async move {
                match &effect {
                    MarkEffect::Soon => {
                        tokio::time::sleep(MARK_SOON).await;
                        let _ = sender.send(Message::MarkDue);
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
            let array = listed.array.as_str();
            let world = &self.world;
            let is_known = |volume: &Volume, uid: &str| world.knows(array, &volume.id, uid);
            let report = self.orphans.look(world.cluster(), listed, now(), is_known);
            for Orphan { array, name, id } in &report.new {
                warn!(array, volume = name, id, "orphan: neither a claim nor a PersistentVolume");
            }
            for Orphan { array, name, id } in &report.gone {
                info!(array, volume = name, id, "no orphan any more");
            }
        }
        self.tally.orphans(self.orphans.counts());
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
        let effect = match effect {
            Effect::Intend { .. } => match self.beginnings.admit(key, effect) {
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
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let _ = sender.send(Message::Due(key));
                });
            }
            Effect::Mark => {
                let effect = self.marks.wait(key);
                self.mark(effect);
            }
            Effect::Tell { severity, about: _, reason, message } => {
                if let Some(object) = self.world.reference(&key) {
                    journal::tells(subject, severity, reason, &message);
                    tokio::spawn(
                        async move { hands.tell(object, severity, reason, message).await },
                    );
                }
            }
            effect => {
                self.doing.spawn(async move {
                    let done = hands.act(effect).await;
                    let _ = sender.send(Message::Done(key, done));
                });
            }
        }
    }
}
