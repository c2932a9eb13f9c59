//! One run: the next actor, the faults on the way, and the invariants that must hold at all times.

#[path = "changes.rs"]
mod changes;
#[path = "keeping.rs"]
mod keeping;
#[path = "people.rs"]
mod people;
#[path = "restoring.rs"]
mod restoring;
#[path = "rivals.rs"]
mod rivals;
#[path = "waiting.rs"]
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use pso_gen::contract::SnapshotPolicy;
use pso_gen::contract::name::persistent_volume;
use pso_gen::contract::{ArrayKind, FINALIZER};
use pso_gen::contract::{Capacity, Retry, Transport};
use pso_gen::provisioner::decide::{
    ArrayState, ArrayTraits, Backlog, BarrierEffect, Barriers, ClaimState, ClaimView, ClassSetup,
    Effect, EffectError, Health, Input, Orphans, Outcome, ReclaimState, ReclaimView, Setup,
    SnapshotState, SnapshotView, SourceView, VALID, backing_ids, is_barrier, is_handed_over,
    is_match, quantity, reserved_for, source_of,
};

use super::binder::Binder;
use super::cluster::{Arrays, Change, Cluster, phase_of};

/// Time between two scheduled snapshots, in seconds.
pub(crate) const EVERY: u64 = 600;

/// The moment at which a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Before the effect.
    Before,
    /// After the effect, before its outcome arrives.
    Unheard,
    /// After the outcome has arrived.
    After,
}

/// The subject of a state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Claim(String),
    Volume(String),
    /// Of the second leader.
    Snapshots(usize, String),
}

/// A process of the provisioner.
struct Process {
    /// Its position in the history of claims, and in that of PersistentVolumes: each watch is in order, and one may be
    /// far behind the other.
    positions: [usize; 2],
    claims: BTreeMap<String, PersistentVolumeClaim>,
    volumes: BTreeMap<String, PersistentVolume>,
    claim_works: BTreeMap<String, ClaimState>,
    volume_works: BTreeMap<String, ReclaimState>,
    /// The second of two leaders with the same view: one wrongly believes that it leads.
    snapshot_works: [BTreeMap<String, SnapshotState>; 2],
    orphans: Orphans,
    /// Requested effects.
    asked: VecDeque<(Key, Effect)>,
    /// Effects that wait for their turn.
    waiting: Vec<(Key, Effect)>,
    timers: Vec<Key>,
    barriers: Barriers<Key>,
    /// Barriers of its watch of PersistentVolumes.
    watch_barriers: Barriers<Key>,
    asked_of_marks: VecDeque<(BarrierOf, BarrierEffect)>,
    crowd: Backlog,
}

/// The observer whose progress a barrier proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BarrierOf {
    Controller,
    Watch,
}

impl Process {
    fn new(number: usize, crowd: usize) -> Self {
        Self {
            positions: [0; 2],
            claims: BTreeMap::new(),
            volumes: BTreeMap::new(),
            claim_works: BTreeMap::new(),
            volume_works: BTreeMap::new(),
            snapshot_works: Default::default(),
            orphans: Orphans::default(),
            asked: VecDeque::new(),
            waiting: Vec::new(),
            timers: Vec::new(),
            barriers: Barriers::new(&format!("p{number}")),
            watch_barriers: Barriers::of_watch(&format!("p{number}")),
            crowd: Backlog::of(crowd),
            asked_of_marks: VecDeque::new(),
        }
    }

    /// Requests an effect. The creation of a PersistentVolume serves as a barrier for other claims.
    fn ask(&mut self, key: &Key, effect: Effect) {
        if matches!(effect, Effect::CreatePersistentVolume(_)) {
            self.watch_barriers.creation_begins(key.clone());
        }
        self.asked.push_back((key.clone(), effect));
    }
}

/// A run with its models.
pub(crate) struct Run {
    cluster: Cluster,
    binder: Binder,
    /// The number of processes so far.
    processes: usize,
    arrays: Arrays,
    process: Process,
    /// Requests of earlier processes that have not arrived yet.
    late: Vec<Effect>,
    /// Whether volumes may be created late; then no array is ever full.
    late_volumes: bool,
    /// UIDs of claims for which a volume was created or found late.
    late_made: BTreeSet<String>,
    /// UIDs of claims whose finalizer was removed.
    torn_off: BTreeSet<String>,
    /// The time when a user last set the policy of a PersistentVolume, by name.
    policies: BTreeMap<String, u64>,
    /// UIDs of claims whose PersistentVolume was deleted with `Retain`.
    kept: BTreeSet<String>,
    /// By UID of a claim, the PersistentVolumes that named it at its creation, and those that fitted it.
    promised: BTreeMap<String, BTreeSet<String>>,
    fitting: BTreeMap<String, BTreeSet<String>>,
    /// The number of claims that may wait for kube-controller-manager before they are started without it.
    crowd: usize,
    /// Whether the process's watch of PersistentVolumes is stopped.
    volumes_lag: bool,
    /// The lead of the second leader's clock, in seconds.
    skew: u64,
    setup: Setup,
    class: Result<ClassSetup, String>,
    has_class: bool,
    states: Vec<ArrayState>,
    /// Arrays that reject new volumes.
    full: BTreeSet<String>,
    /// The PersistentVolumes that were read as released, by name.
    read_released: BTreeSet<String>,
    crashes: Vec<(usize, Crash)>,
    done: usize,
    dice: fastrand::Rng,
    /// The number of snapshots to keep.
    pub(crate) keep: usize,
    /// The minimum of the class: seconds between two slots, and their number.
    pub(crate) floor: Option<(u64, usize)>,
    /// The numbers of scheduled snapshots that were taken and destroyed.
    taken: usize,
    destroyed: usize,
    /// Share of effects that fail, or whose answer is lost, in random runs.
    faults: f64,
    trace: Vec<String>,
    seed: u64,
}

impl Run {
    pub(crate) fn new(seed: u64, policy: &str) -> Self {
        let state = |name: &str| ArrayState {
            name: name.to_owned(),
            kind: ArrayKind::FlashBlade,
            traits: ArrayTraits::default(),
            health: Health::Up {
                id: format!("id-of-{name}"),
                capacity: Capacity { total: 1 << 50, used: 0, provisioned: Some(0) },
                transport: Transport::Nfs { addresses: vec!["192.0.2.1".to_owned()] },
            },
        };
        let class = ClassSetup {
            exports: None,
            qos: pso_gen::contract::Qos::default(),
            name: "pure-file".to_owned(),
            kind: ArrayKind::FlashBlade,
            file_system: None,
            mount_options: vec!["nfsvers=4.1".to_owned()],
            reclaim_policy: policy.to_owned(),
            waits: false,
            arrays: BTreeMap::new(),
            topologies: Vec::new(),
            snapshots: SnapshotPolicy::Never,
            claims_may_reduce: false,
        };
        Self {
            cluster: Cluster::default(),
            // 2026-11-23T00:00:00Z
            arrays: Arrays::at(1_795_392_000),
            binder: Binder::default(),
            processes: 1,
            process: Process::new(1, usize::MAX),
            promised: BTreeMap::new(),
            fitting: BTreeMap::new(),
            crowd: usize::MAX,
            volumes_lag: false,
            late: Vec::new(),
            late_volumes: true,
            late_made: BTreeSet::new(),
            torn_off: BTreeSet::new(),
            policies: BTreeMap::new(),
            kept: BTreeSet::new(),
            skew: 0,
            setup: Setup::of("prod"),
            class: Ok(class),
            has_class: true,
            states: vec![state("fb1"), state("fb2")],
            full: BTreeSet::new(),
            read_released: BTreeSet::new(),
            crashes: Vec::new(),
            done: 0,
            dice: fastrand::Rng::with_seed(seed),
            keep: 2,
            floor: None,
            taken: 0,
            destroyed: 0,
            faults: 0.0,
            trace: Vec::new(),
            seed,
        }
    }

    pub(crate) fn crash_at(&mut self, crashes: &[(usize, Crash)]) {
        self.crashes = crashes.to_vec();
    }

    pub(crate) fn effects(&self) -> usize {
        self.done
    }

    pub(crate) fn trace(&self) -> String {
        self.trace.iter().rev().take(60).rev().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
    }

    fn note(&mut self, line: impl Into<String>) {
        self.trace.push(line.into());
    }

    #[track_caller]
    fn must(&self, holds: bool, what: &str) {
        assert!(holds, "{what}\nseed {}, crashes {:?}\n{}", self.seed, self.crashes, self.trace());
    }

    pub(crate) fn create(&mut self, name: &str) {
        let made = self.cluster.create_claim(name, "pure-file");
        self.note(format!("user: create {name}: {made}"));
        if made {
            self.note_promised(name);
        }
    }

    /// A user requests a clone of another claim's volume.
    pub(crate) fn copy(&mut self, name: &str, of: &str) {
        let made = self.cluster.create_copy(name, "pure-file", of);
        self.note(format!("user: create {name} as a copy of {of}: {made}"));
    }

    /// Returns the data of a claim's volume: the name of the claim, or of the claim that it cloned.
    pub(crate) fn must_hold(&self, name: &str, what: &str) {
        let uid = self.cluster.claims.get(name).and_then(|claim| claim.metadata.uid.clone());
        let mut own = self
            .arrays
            .volumes
            .iter()
            .filter(|(_, (v, of))| Some(of) == uid.as_ref() && !v.destroyed);
        let holds = own.next().and_then(|(key, _)| self.arrays.holds.get(key));
        self.must(holds.map(String::as_str) == Some(what), &format!("{name} holds {holds:?}"));
        let left = self.arrays.snapshots.iter().filter(|(_, snapshot, _)| !snapshot.destroyed);
        self.must(left.count() == 0, "a snapshot is left");
    }

    pub(crate) fn grow(&mut self, name: &str, gibibytes: u32) {
        self.cluster.grow_claim(name, gibibytes);
        self.note(format!("user: grow {name} to {gibibytes}Gi"));
    }

    pub(crate) fn delete(&mut self, name: &str) {
        self.cluster.delete_claim(name);
        self.note(format!("user: delete {name}"));
    }

    /// kube-controller-manager sees PersistentVolumes, and does not bind claims.
    pub(crate) fn keep_binder_from_claims(&mut self, kept: bool) {
        self.binder.has_no_time_to_bind = kept;
    }

    /// Runs until nothing is left to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..2000 {
            if !(self.go_on() || self.look(0) || self.look(1)) {
                return;
            }
        }
        self.must(false, "it does not come to rest");
    }

    /// Runs until only timers are left.
    pub(crate) fn settle_but_for_timers(&mut self) {
        while self.watch() || self.act() || self.act_on_marks() || self.bind() {}
    }

    /// Checks the number of volumes on the arrays.
    pub(crate) fn must_be_alive(&self, count: usize) {
        let alive = self.arrays.volumes.values().filter(|(volume, _)| !volume.destroyed).count();
        self.must(alive == count, &format!("{alive} volumes are on the arrays, not {count}"));
    }

    /// Checks that a PersistentVolume of an unreachable array is kept, and its volume too.
    pub(crate) fn must_still_tell_of_its_volume(&self) {
        self.must(self.cluster.volumes.len() == 1, "the PersistentVolume is gone");
        let goes = |volume: &PersistentVolume| volume.metadata.deletion_timestamp.is_some();
        self.must(!self.cluster.volumes.values().any(goes), "the PersistentVolume goes");
        let alive = self.arrays.volumes.values().filter(|(volume, _)| !volume.destroyed).count();
        self.must(alive == 1, "the volume is destroyed");
    }

    /// Executes any next step.
    pub(crate) fn go_on(&mut self) -> bool {
        self.watch()
            || self.act()
            || self.act_on_marks()
            || self.bind()
            || self.tick()
            || self.binder.look_again(&mut self.cluster)
    }

    /// Executes a step of kube-controller-manager.
    fn bind(&mut self) -> bool {
        // It processes claims and PersistentVolumes concurrently; either may be far behind.
        let turns = if self.seed.is_multiple_of(7) { 12 } else { 2 };
        let first = usize::from(self.dice.u8(0..turns) == 0);
        let turn = self.dice.usize(0..4);
        let heard = (turn == 0 && self.binder.ask(&mut self.cluster, turn))
            || self.binder.hear(&mut self.cluster, first)
            || self.binder.hear(&mut self.cluster, 1 - first)
            || self.binder.ask(&mut self.cluster, turn);
        self.must(self.binder.lost.is_empty(), "a claim is called Lost");
        let healthy = self.binder.warned.is_empty() || self.crowd < usize::MAX;
        self.must(healthy, "Kubernetes writes a Warning on a healthy claim");
        heard
    }

    /// Executes an effect on barriers.
    fn act_on_marks(&mut self) -> bool {
        let Some((of, effect)) = self.process.asked_of_marks.pop_front() else { return false };
        self.note(format!("{effect:?}"));
        let process = &mut self.process;
        let barriers = match of {
            BarrierOf::Controller => &mut process.barriers,
            BarrierOf::Watch => &mut process.watch_barriers,
        };
        match effect {
            BarrierEffect::Soon => {
                let unbound = |key: &Key| match key {
                    Key::Claim(uid) => process.claims.get(uid).is_some_and(|claim| {
                        claim.spec.as_ref().is_some_and(|spec| spec.volume_name.is_none())
                    }),
                    Key::Volume(_) | Key::Snapshots(..) => false,
                };
                let effect = barriers.due(unbound);
                process.asked_of_marks.extend(effect.map(|effect| (of, effect)));
            }
            BarrierEffect::Create(name) => {
                // A creation that seemed to fail may have succeeded.
                let lost = self.dice.f64() < self.faults;
                if !lost || self.dice.bool() {
                    self.cluster.create_mark(&name);
                }
                if lost {
                    let effect = barriers.deleted(&name);
                    process.asked_of_marks.extend(effect.map(|effect| (of, effect)));
                }
            }
            BarrierEffect::Delete(name) => self.cluster.delete_mark(&name),
        }
        true
    }

    /// Delivers a barrier to the process.
    fn observe_barrier(&mut self, name: &str, barrier: Option<&PersistentVolume>) {
        let process = &mut self.process;
        let (of, barriers, event) = if process.watch_barriers.are_of(name) {
            (BarrierOf::Watch, &mut process.watch_barriers, Input::WatchCaughtUp)
        } else {
            (BarrierOf::Controller, &mut process.barriers, Input::ControllerCaughtUp)
        };
        let (known, effects) = match barrier {
            Some(barrier) => barriers.observe(barrier),
            None => (Vec::new(), barriers.deleted(name).into_iter().collect()),
        };
        process.asked_of_marks.extend(effects.into_iter().map(|effect| (of, effect)));
        for key in known {
            self.step(&key, event.clone());
        }
    }

    /// Runs until a number of effects were executed, or nothing is left to do.
    pub(crate) fn steps_until_effect(&mut self, effects: usize) {
        for _ in 0..500 {
            if self.done >= effects {
                return;
            }
            if !self.go_on() {
                return;
            }
        }
    }

    /// Delivers one change to the process.
    fn watch(&mut self) -> bool {
        // In some runs, the watch of PersistentVolumes is far slower than that of claims.
        let turns = if self.seed.is_multiple_of(5) { 8 } else { 2 };
        let first = usize::from(self.dice.u8(0..turns) == 0);
        let next = |kind: usize| {
            if kind == 1 && self.volumes_lag {
                return None;
            }
            let history =
                self.cluster.history.iter().enumerate().skip(self.process.positions[kind]);
            let mut of_kind = history
                .filter(|(_, change)| usize::from(matches!(change, Change::Volume(..))) == kind);
            of_kind.next().map(|(at, change)| (kind, at, change.clone()))
        };
        let Some((kind, at, change)) = next(first).or_else(|| next(1 - first)) else {
            return false;
        };
        self.process.positions[kind] = at + 1;
        if let Change::Volume(name, barrier) = &change
            && is_barrier(name)
        {
            self.observe_barrier(name, barrier.as_deref());
            return true;
        }
        let mut others = Vec::new();
        let mut passed = Vec::new();
        let touched = match change {
            Change::Claim(uid, claim) => {
                match claim {
                    Some(claim) => self.process.claims.insert(uid.clone(), *claim),
                    None => self.process.claims.remove(&uid),
                };
                uid
            }
            Change::Volume(name, volume) => {
                let claim = volume.as_ref().and_then(|volume| volume.spec.clone()?.claim_ref?.uid);
                // An admin may have bound it to another claim than it was created for.
                let other = claim.filter(|uid| persistent_volume(uid) != name);
                others.extend(other.map(Key::Claim));
                // The set of PersistentVolumes that Kubernetes may bind has changed.
                let before = self.process.volumes.get(&name).and_then(reserved_for);
                if before.is_some()
                    || volume.as_deref().is_some_and(|now| reserved_for(now).is_some())
                {
                    others.extend(self.process.claims.keys().cloned().map(Key::Claim));
                }
                if let Some(shown) = volume.as_ref().and_then(|volume| volume.metadata.uid.clone())
                {
                    let of = Key::Claim(name.trim_start_matches("pvc-").to_owned());
                    passed = self.process.watch_barriers.creation_shown(&of, &shown);
                }
                match volume {
                    Some(volume) => self.process.volumes.insert(name.clone(), *volume),
                    None => self.process.volumes.remove(&name),
                };
                name.trim_start_matches("pvc-").to_owned()
            }
        };
        for key in passed {
            self.step(&key, Input::WatchCaughtUp);
        }
        self.step(&Key::Volume(persistent_volume(&touched)), Input::Changed);
        self.step(&Key::Claim(touched), Input::Changed);
        for other in others {
            self.step(&other, Input::Changed);
        }
        true
    }

    /// Fires a timer.
    fn tick(&mut self) -> bool {
        if self.process.timers.is_empty() {
            return false;
        }
        let key = self.process.timers.remove(0);
        self.step(&key, Input::Due);
        true
    }

    fn step(&mut self, key: &Key, event: Input) {
        let process = &mut self.process;
        let effects = match key {
            Key::Claim(uid) => {
                let claim = process.claims.get(uid);
                let source = claim.and_then(source_of).and_then(|(_, source)| {
                    let named = |claim: &&PersistentVolumeClaim| {
                        claim.metadata.name.as_deref() == Some(source)
                    };
                    let claim = process.claims.values().find(named)?;
                    let bound = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_ref());
                    let volume = bound.and_then(|bound| process.volumes.get(bound));
                    Some(SourceView { claim, volume })
                });
                let own = persistent_volume(uid);
                let bound = claim.and_then(|claim| claim.spec.as_ref()?.volume_name.as_ref());
                let bound = bound.filter(|bound| **bound != own);
                let unanswered = process.claims.values().filter(|claim| {
                    let spec = claim.spec.as_ref().expect("a spec");
                    spec.volume_name.is_none() && !is_handed_over(claim)
                });
                let is_crowded = process.crowd.update(unanswered.count());
                let rival = claim.filter(|claim| {
                    claim.spec.as_ref().is_some_and(|spec| spec.volume_name.is_none())
                });
                let rival = rival.and_then(|claim| {
                    process.volumes.values().find(|volume| is_match(volume, claim, false))
                });
                let view = ClaimView {
                    rival: rival.and_then(|rival| rival.metadata.name.as_deref()),
                    is_crowded,
                    setup: &self.setup,
                    claim,
                    source,
                    bound: bound.and_then(|bound| process.volumes.get(bound)),
                    volume: process.volumes.get(&own),
                    class: Some(&self.class).filter(|_| self.has_class),
                    arrays: &self.states,
                    node: None,
                    persistent_volumes: &HashMap::new(),
                    foreign: &HashMap::new(),
                };
                process.claim_works.entry(uid.clone()).or_default().step(view, event)
            }
            Key::Volume(name) => {
                let volume = process.volumes.get(name);
                let backing_volume = volume.and_then(backing_ids);
                let same = |other: &&PersistentVolume| backing_ids(other) == backing_volume;
                let is_shared =
                    backing_volume.is_some() && process.volumes.values().filter(same).count() > 1;
                let arrays = &self.states;
                let view = ReclaimView { setup: &self.setup, volume, is_shared, arrays };
                process.volume_works.entry(name.clone()).or_default().step(view, event)
            }
            Key::Snapshots(leader, name) => {
                let volume = process.volumes.get(name);
                let claim = process.claims.get(name.trim_start_matches("pvc-"));
                let now = self.arrays.now + if *leader == 1 { self.skew } else { 0 };
                let class = Some(&self.class);
                let view = SnapshotView { now, volume, is_shared: false, claim, class };
                let works = &mut process.snapshot_works[*leader];
                let work = works.entry(name.clone()).or_default();
                let effects = work.step(view, event);
                if work.is_idle() && effects.is_empty() {
                    works.remove(name);
                }
                let takes = |effect: &Effect| matches!(effect, Effect::TakeSnapshot { .. });
                let status = volume.and_then(|volume| volume.status.as_ref());
                let bound = status.and_then(|status| status.phase.as_deref()) == Some("Bound");
                let deleted = claim.is_none_or(|c| c.metadata.deletion_timestamp.is_some());
                let good = !effects.iter().any(takes) || (bound && !deleted);
                self.must(good, "a snapshot is taken of what is on its way out");
                effects
            }
        };
        for effect in effects {
            match effect {
                Effect::Requeue(wait) => {
                    let good =
                        (Duration::from_millis(750)..=Duration::from_secs(300)).contains(&wait);
                    self.must(good, "a try comes at once, or after more than five minutes");
                    self.process.timers.push(key.clone());
                }
                Effect::RecordEvent { .. } => {}
                Effect::AwaitController => {
                    let effect = self.process.barriers.wait(key.clone());
                    let effect = effect.map(|effect| (BarrierOf::Controller, effect));
                    self.process.asked_of_marks.extend(effect);
                }
                Effect::AwaitWatch => {
                    let effect = self.process.watch_barriers.wait(key.clone());
                    let effect = effect.map(|effect| (BarrierOf::Watch, effect));
                    self.process.asked_of_marks.extend(effect);
                }
                effect => self.process.ask(key, effect),
            }
        }
    }

    fn trouble(effect: &Effect) -> EffectError {
        if effect.is_for_array() {
            let message = "no answer".to_owned();
            EffectError::Array { reason: "UnknownOutcome", message, retry: Retry::Soon }
        } else {
            EffectError::Cluster("no answer".to_owned())
        }
    }

    /// Executes a request of a process that has ended.
    fn act_late(&mut self) {
        if !self.late.is_empty() {
            let effect = self.late.swap_remove(self.dice.usize(0..self.late.len()));
            let line = format!("LATE {effect:?}");
            self.note(&line[..line.len().min(160)]);
            if let Effect::EnsureVolume { array, wanted, .. } = &effect {
                // S5 held when it was sent. If the claim is gone meanwhile, this leaves an orphan.
                self.late_made.insert(wanted.owner.uid.clone());
                let made = self.arrays.ensure(array, wanted);
                // Its name may belong to the volume that was created and destroyed meanwhile.
                let name = wanted.name.as_str();
                let taken = self.arrays.find(array, name).is_some_and(|there| there.destroyed);
                self.must(made.is_ok() || taken, "a volume is made late on another array");
                return;
            }
            let _ = self.apply(effect);
        }
    }

    /// Another array answers at an array's address, or the original again.
    pub(crate) fn swap_array(&mut self, name: &str, id: &str) {
        for state in self.states.iter_mut().filter(|state| state.name == name) {
            if let Health::Up { id: now, .. } = &mut state.health {
                id.clone_into(now);
            }
        }
    }

    /// An array is full from now on, or has room again.
    fn fill(&mut self) {
        if self.late_volumes {
            return;
        }
        let array = ["fb1", "fb2"][self.dice.usize(0..2)].to_owned();
        self.note(format!("{array} is full, or has room again"));
        if !self.full.remove(&array) {
            self.full.insert(array);
        }
    }

    /// The process ends, and another one starts from lists, which are read from the API server.
    fn crash(&mut self) {
        self.note("crash");
        self.processes += 1;
        self.process = Process::new(self.processes, self.crowd);
        self.process.positions = [self.cluster.history.len(); 2];
        for claim in self.cluster.claims.values() {
            let uid = claim.metadata.uid.clone().expect("a UID");
            self.process.claims.insert(uid, claim.clone());
        }
        for (name, volume) in self.cluster.volumes.clone() {
            if is_barrier(&name) {
                self.observe_barrier(&name, Some(&volume));
            } else {
                self.process.volumes.insert(name, volume);
            }
        }
        let claims: Vec<Key> = self.process.claims.keys().cloned().map(Key::Claim).collect();
        let volumes: Vec<Key> = self.process.volumes.keys().cloned().map(Key::Volume).collect();
        for key in claims.into_iter().chain(volumes) {
            self.step(&key, Input::Changed);
        }
    }

    /// A watch breaks, and starts again with a list: the changes in between are never delivered.
    fn list_again(&mut self) {
        self.note("watches begin again");
        self.process.watch_barriers.forget_creations();
        self.process.positions = [self.cluster.history.len(); 2];
        let process = &mut self.process;
        let old = process.claims.keys().cloned().map(Key::Claim);
        let old = old.chain(process.volumes.keys().cloned().map(Key::Volume));
        let mut touched: BTreeSet<Key> = old.collect();
        process.claims.clear();
        for claim in self.cluster.claims.values() {
            let uid = claim.metadata.uid.clone().expect("a UID");
            touched.insert(Key::Claim(uid.clone()));
            process.claims.insert(uid, claim.clone());
        }
        process.volumes.clear();
        for (name, volume) in self.cluster.volumes.clone() {
            if is_barrier(&name) {
                self.observe_barrier(&name, Some(&volume));
            } else {
                touched.insert(Key::Volume(name.clone()));
                self.process.volumes.insert(name, volume);
            }
        }
        for key in touched {
            self.step(&key, Input::Changed);
        }
    }

    /// A user deletes a PersistentVolume, whose claim may exist.
    fn delete_volume_by_hand(&mut self) {
        let deletes = |volume: &&PersistentVolume| {
            let policy = volume
                .spec
                .as_ref()
                .and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
            policy == Some("Delete")
        };
        let names = self.cluster.volumes.values().filter(deletes);
        let names: Vec<String> = names.filter_map(|volume| volume.metadata.name.clone()).collect();
        if let Some(name) = self.dice.choice(names) {
            self.note(format!("user: delete {name}"));
            self.cluster.delete_by_hand(&name);
        }
    }

    fn apply(&mut self, effect: Effect) -> Result<Outcome, EffectError> {
        let boxed = |claim: Option<PersistentVolumeClaim>| Outcome::Claim(claim.map(Box::new));
        match effect {
            Effect::RecordIntent { claim, asked, ids, .. } => {
                self.cluster.intend(&claim, &asked, &ids).map(boxed)
            }
            Effect::RemoveClaimFinalizer { claim } => self.cluster.finish(&claim).map(boxed),
            Effect::CreatePersistentVolume(volume) => {
                // S10 starts here: the volume has the policy of the class.
                let spec = volume.spec.as_ref().expect("a spec");
                let policy = spec.persistent_volume_reclaim_policy.as_ref();
                let class = self.class.as_ref().map(|class| &class.reclaim_policy).ok();
                self.must(policy == class, "a PersistentVolume has another policy than its class");
                let made = self.cluster.create_volume(&volume)?;
                Ok(Outcome::PersistentVolume(Some(Box::new(made))))
            }
            Effect::ReadPersistentVolume { name } => {
                let read = self.cluster.volumes.get(&name).cloned();
                if read.as_ref().and_then(phase_of) == Some("Released") {
                    self.read_released.insert(name);
                }
                Ok(Outcome::Read(self.moment(), read.map(Box::new)))
            }
            Effect::ReadVolumeSnapshot { .. } => Ok(self.read_volume_snapshot()),
            Effect::FindSnapshot { id, .. } => Ok(self.find_snapshot(&id)),
            Effect::ReadClaim { name, .. } => Ok(boxed(self.cluster.claims.get(&name).cloned())),
            Effect::SetPersistentVolumeBound { volume } => {
                let written = self.cluster.set_bound(&volume)?;
                Ok(Outcome::PersistentVolume(written.map(Box::new)))
            }
            Effect::BindClaim { claim, volume } => self.cluster.bind(&claim, &volume).map(boxed),
            Effect::SetClaimBound { claim, volume } => {
                let written = self.cluster.change_status(&claim, |status| {
                    status.phase = Some("Bound".to_owned());
                    status.capacity = volume.spec.and_then(|spec| spec.capacity);
                });
                written.map(boxed)
            }
            Effect::DeletePersistentVolume { volume } => {
                self.cluster.delete_volume(&volume).map(|()| Outcome::Good)
            }
            Effect::RestoreFinalizer { volume } => {
                self.cluster.adopt_volume(&volume).map(|()| Outcome::Good)
            }
            Effect::RemovePersistentVolumeFinalizer { volume } => {
                self.cluster.release_volume(&volume).map(|()| Outcome::Good)
            }
            Effect::SetResizing { claim, size } => {
                let marked = self.cluster.change_status(&claim, |status| {
                    let storage = || "storage".to_owned();
                    status.allocated_resources = Some([(storage(), quantity(size))].into());
                    let word = "ControllerResizeInProgress".to_owned();
                    status.allocated_resource_statuses = Some([(storage(), word)].into());
                });
                marked.map(boxed)
            }
            Effect::SetCapacity { volume, size } => {
                let written = self.cluster.set_capacity(&volume, size)?;
                Ok(Outcome::PersistentVolume(written.map(Box::new)))
            }
            Effect::SetResized { claim, size, .. } => {
                let written = self.cluster.change_status(&claim, |status| {
                    status.capacity = Some([("storage".to_owned(), quantity(size))].into());
                    status.allocated_resource_statuses = None;
                });
                written.map(boxed)
            }
            Effect::Requeue(_)
            | Effect::RecordEvent { .. }
            | Effect::AwaitController
            | Effect::AwaitWatch
            | Effect::Reschedule { .. } => Ok(Outcome::Good),
            on_array => self.apply_to_array(on_array),
        }
    }

    fn apply_to_array(&mut self, effect: Effect) -> Result<Outcome, EffectError> {
        if let Some(unknown) = self.unknown_array(&effect) {
            return unknown;
        }
        match effect {
            Effect::EnsureVolume { array, wanted, .. } => {
                // S5: no volume is created that is not recorded on its claim.
                let uid = &wanted.owner.uid;
                let claim =
                    self.cluster.claims.values().find(|c| c.metadata.uid.as_ref() == Some(uid));
                let intended = claim.is_some_and(|claim| {
                    claim.metadata.finalizers.iter().flatten().any(|each| each == FINALIZER)
                });
                let bound = self.cluster.volumes.contains_key(&persistent_volume(uid));
                let torn = self.torn_off.contains(uid);
                self.must(
                    intended || bound || torn,
                    "a volume is made for a claim that does not say so",
                );
                if self.full.contains(&array)
                    && self.arrays.find(&array, wanted.name.as_str()).is_none()
                {
                    let message = "no space".to_owned();
                    let retry = Retry::Elsewhere;
                    return Err(EffectError::Array { reason: "Exhausted", message, retry });
                }
                if let Some(lost) = self.lost_source(&array, &wanted) {
                    return Err(lost);
                }
                match self.arrays.ensure(&array, &wanted) {
                    Ok(volume) => Ok(Outcome::Volume(Some(volume))),
                    Err(wrong) => {
                        self.must(false, &wrong);
                        Ok(Outcome::Good)
                    }
                }
            }
            Effect::FindVolume { array, name, .. } => {
                Ok(Outcome::Volume(self.arrays.find(&array, name.as_str())))
            }
            Effect::DestroyVolume { array, volume, .. } => {
                if let Some(uid) = self.arrays.destroy(&array, &volume) {
                    self.check_destroyed(&uid);
                }
                Ok(Outcome::Good)
            }
            Effect::ExpandVolume { ref array, ref volume, size, .. } => {
                match self.arrays.grow(array, volume, size) {
                    Some(grown) => Ok(Outcome::Volume(Some(grown))),
                    None => Err(Self::trouble(&effect)),
                }
            }
            of_snapshots => self.apply_to_snapshots(of_snapshots),
        }
    }

    /// S1, S10: a destroyed volume has no claim that is not being deleted, and no PersistentVolume that keeps it.
    fn check_destroyed(&self, uid: &str) {
        let claims = self.cluster.claims.values();
        let lives = claims.filter(|claim| claim.metadata.uid.as_deref() == Some(uid));
        // A claim that is bound to another PersistentVolume does not need it, and never used it.
        let needs = |claim: &&PersistentVolumeClaim| {
            let bound = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_ref());
            claim.metadata.deletion_timestamp.is_none()
                && bound.is_none_or(|bound| *bound == persistent_volume(uid))
        };
        self.must(lives.filter(needs).count() == 0, "the volume of a living claim is destroyed");
        // Its owner is the claim to which an admin bound it since.
        let now = self.cluster.volumes.get(&persistent_volume(uid));
        let now = now.and_then(|volume| volume.spec.as_ref()?.claim_ref.as_ref()?.uid.as_ref());
        let claims = self.cluster.claims.values();
        let lives = claims.filter(|claim| {
            let bound = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_ref());
            now.is_some()
                && claim.metadata.uid.as_ref() == now
                && claim.metadata.deletion_timestamp.is_none()
                && bound.is_none_or(|bound| *bound == persistent_volume(uid))
        });
        self.must(lives.count() == 0, "the volume of a claim is destroyed that an admin gave it");
        // A volume that no pod can have used has no data, whatever its PersistentVolume says.
        if !self.cluster.used.contains(uid) {
            return;
        }
        if let Some(volume) = self.cluster.volumes.get(&persistent_volume(uid)) {
            let spec = volume.spec.as_ref().expect("a spec");
            let retained = spec.persistent_volume_reclaim_policy.as_deref() == Some("Retain");
            // A request that is sent at the same moment cannot be recalled.
            let set = self.policies.get(&persistent_volume(uid)).copied().unwrap_or_default();
            let in_time = set + VALID.as_secs() <= self.arrays.now;
            self.must(!(retained && in_time), "a volume is destroyed that is to be kept");
            // kube-controller-manager may report it bound for a moment after its claim is gone.
            let name = volume.metadata.name.as_ref().expect("a name");
            let read = self.read_released.contains(name);
            self.must(read, "a volume is destroyed that was not read as released");
        }
    }

    /// L1 to L3: every claim has its volume, and nothing else is left.
    #[track_caller]
    pub(crate) fn check_settled(&self) {
        let retains = |uid: &str| {
            let volume = self.cluster.volumes.get(&persistent_volume(uid));
            let policy =
                volume.and_then(|v| v.spec.as_ref()?.persistent_volume_reclaim_policy.as_deref());
            policy == Some("Retain")
        };
        for claim in self.cluster.claims.values() {
            let uid = claim.metadata.uid.as_deref().expect("a UID");
            let bound = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone());
            // An admin may have bound it to another claim's volume.
            let saved = self.cluster.saved.get(uid);
            let of = saved.map_or(uid, String::as_str);
            if self.check_rivals(uid, bound.as_deref()) {
                let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
                self.must(phase == Some("Bound"), "a claim's status does not say so");
                let finalizers = claim.metadata.finalizers.iter().flatten().count();
                self.must(finalizers == 0, "a finalizer is left on a claim");
                continue;
            }
            self.must(bound == Some(persistent_volume(of)), "a claim is not bound");
            let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
            self.must(phase == Some("Bound"), "a claim's status does not say that it is bound");
            let finalizers = claim.metadata.finalizers.iter().flatten().count();
            self.must(finalizers == 0, "a finalizer is left on a claim");
            let own = self.arrays.volumes.values().filter(|(v, made)| made == of && !v.destroyed);
            let own: Vec<u64> = own.map(|(volume, _)| volume.size).collect();
            self.must(own.len() == 1, "a claim has not one volume on the arrays");
            // L4: it has the requested size, and all objects agree.
            let storage = |all: Option<&BTreeMap<String, Quantity>>| {
                let quantity = all.and_then(|all| all.get("storage").cloned());
                quantity.map(|quantity| quantity.0).unwrap_or_default()
            };
            let spec =
                claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
            let status = claim.status.as_ref().and_then(|status| status.capacity.as_ref());
            let volume = self.cluster.volumes.get(&persistent_volume(of));
            let volume = volume.and_then(|v| v.spec.as_ref()?.capacity.as_ref());
            // A volume that was rescued during an expansion is larger than its objects say, which is harmless.
            let there = if saved.is_some() { storage(volume) } else { quantity(own[0]).0 };
            let sizes = [storage(spec), storage(status), storage(volume), there];
            self.must(sizes.iter().all(|size| *size == sizes[0]), &format!("sizes {sizes:?}"));
        }
        let lives = |uid: &str| {
            self.cluster.claims.values().any(|claim| {
                let own = claim.metadata.uid.as_deref().expect("a UID");
                own == uid || self.cluster.saved.get(own).is_some_and(|saved| saved == uid)
            })
        };
        for (volume, uid) in self.arrays.volumes.values().filter(|(v, _)| !v.destroyed) {
            let orphan = self.late_made.contains(uid);
            let known = lives(uid) || retains(uid) || orphan || self.kept.contains(uid);
            self.must(known, &format!("{} is left on an array", volume.name));
        }
        for name in self.cluster.volumes.keys().filter(|name| name.starts_with("pvc-")) {
            let uid = name.trim_start_matches("pvc-");
            self.must(lives(uid) || retains(uid), &format!("{name} is left"));
        }
    }
}

/// A random run: chance decides the next actor, the failures, the delays and the actions of users.
pub(crate) fn at_random(seed: u64) {
    let mut run = Run::new(seed, if seed.is_multiple_of(3) { "Retain" } else { "Delete" });
    run.faults = 0.12;
    // In some runs, kube-controller-manager does not process claims in time.
    if seed % 8 == 5 {
        run.expect_crowd(0);
    }
    run.late_volumes = seed % 4 < 2;
    if seed.is_multiple_of(2) {
        run.schedule(&format!("every {EVERY}s, keep {}", run.keep));
        run.floor = Some((EVERY, run.keep));
        run.skew = if seed.is_multiple_of(4) { 400 } else { 0 };
    }
    for _ in 0..120 {
        let name = ["a", "b", "c"][run.dice.usize(0..3)];
        match run.dice.u8(0..100) {
            0..4 => run.create(name),
            4..7 => run.delete(name),
            7..9 => run.crash_with_late_effect(),
            90..92 => run.create_static(name),
            92 => {
                run.create_static(name);
                run.create(name);
            }
            94 => {
                let lives = run.cluster.mistake();
                run.note(format!("Kubernetes takes a claim for gone that lives: {lives}"));
            }
            93 => run.fill(),
            98 => run.set_policy("Delete"),
            99 => run.set_policy("Retain"),
            95..97 => run.act_late(),
            97 => run.stall(),
            9..12 => {
                let size = run.dice.u32(1..6);
                run.grow(name, size);
            }
            12..37 => {
                run.watch();
            }
            37..65 => {
                // Of several effects, any may be first.
                let turn = run.dice.usize(0..run.process.asked.len().max(1));
                run.process.asked.rotate_left(turn.min(run.process.asked.len()));
                run.act();
            }
            65..75 => {
                run.bind();
            }
            75..78 => {
                run.act_on_marks();
            }
            78..81 => {
                let seconds = run.dice.u64(1..900);
                run.pass(seconds);
            }
            81..84 => {
                let leader = run.dice.usize(0..2);
                run.look(leader);
            }
            84 => {
                let policy = if run.dice.bool() { "Retain" } else { "Delete" };
                run.save_released(name, policy);
            }
            85 => run.take_foreign(),
            87 => run.list_again(),
            89 => run.wish_for_less(name),
            88 => run.delete_volume_by_hand(),
            86 => {
                let fails = run.dice.bool();
                run.list(fails);
            }
            _ => {
                run.tick();
            }
        }
    }
    run.faults = 0.0;
    // At least one array has room, and volumes are created there.
    if run.full.len() == 2 {
        run.full.pop_first();
    }
    while !run.late.is_empty() {
        run.act_late();
    }
    run.settle();
    run.check_settled();
    run.check_orphans();
    run.pass(EVERY);
    run.settle();
    if seed.is_multiple_of(2) {
        run.check_snapshots();
    }
    let writes = run.writes();
    run.pass(3 * EVERY);
    run.settle();
    run.must(run.writes() == writes, "snapshots are written of in the cluster");
}
