//! Attachments of block volumes: the attacher's decisions against a model, with a crash at every effect and at every
//! request of one, stale watches, a former leader that goes on for a moment, and answers that come late.

#[path = "attaching/state.rs"]
mod state;

use std::collections::BTreeMap;

use k8s_openapi::api::storage::v1::VolumeAttachment;
use pso_gen::provisioner::decide::{
    AttachmentEffect, AttachmentInput, AttachmentOutcome, AttachmentState, AttachmentView,
    EffectError, NodeIds, is_attached,
};
use state::{CLUSTER, Change, ClusterAndArrays};

/// An effect that a process executes, and how many of its requests it has sent.
#[derive(Debug)]
struct Running {
    name: String,
    effect: AttachmentEffect,
    parts: usize,
    /// The answer, while it is on its way.
    answer: Option<Result<AttachmentOutcome, EffectError>>,
}

/// One process of the provisioner.
#[derive(Debug, Default)]
struct Process {
    seen: usize,
    attachments: BTreeMap<String, VolumeAttachment>,
    nodes: NodeIds,
    states: BTreeMap<String, AttachmentState>,
    running: Vec<Running>,
    /// Attachments that wait for a retry.
    timers: Vec<String>,
}

impl Process {
    /// A process begins with a complete list.
    fn new(state: &ClusterAndArrays) -> Self {
        let mut process = Self { seen: state.history.len(), ..Self::default() };
        process.attachments = state.attachments.clone();
        let nodes = state.nodes.iter();
        process.nodes = nodes.map(|(name, node)| (name.clone(), Some(node.clone()))).collect();
        for name in state.attachments.keys() {
            process.step(name, AttachmentInput::Changed);
        }
        process
    }

    /// Sees the next change. Returns whether there was one.
    fn see(&mut self, state: &ClusterAndArrays) -> bool {
        let Some(change) = state.history.get(self.seen) else { return false };
        self.seen += 1;
        let names: Vec<String> = match change.clone() {
            Change::Attachment(name, now) => {
                let volume = now.as_deref().or_else(|| self.attachments.get(&name)).cloned();
                let volume = volume.and_then(|it| it.spec.source.persistent_volume_name);
                match now {
                    Some(now) => self.attachments.insert(name.clone(), *now),
                    None => self.attachments.remove(&name),
                };
                let same = |it: &&VolumeAttachment| it.spec.source.persistent_volume_name == volume;
                let others = self.attachments.values().filter(same);
                let others = others.filter_map(|it| it.metadata.name.clone());
                others.filter(|other| *other != name).chain([name.clone()]).collect()
            }
            Change::Node(name, now) => {
                match now {
                    Some(now) => self.nodes.insert(name.clone(), Some(now)),
                    None => self.nodes.remove(&name),
                };
                let of_node = self.attachments.values().filter(|it| it.spec.node_name == name);
                of_node.filter_map(|it| it.metadata.name.clone()).collect()
            }
        };
        for name in names {
            self.step(&name, AttachmentInput::Changed);
        }
        true
    }

    fn step(&mut self, name: &str, input: AttachmentInput) {
        let attachment = self.attachments.get(name);
        let volume = attachment.and_then(|it| it.spec.source.persistent_volume_name.clone());
        let others: Vec<&VolumeAttachment> = self
            .attachments
            .values()
            .filter(|it| it.metadata.name.as_deref() != Some(name))
            .filter(|it| it.spec.source.persistent_volume_name == volume)
            .collect();
        let view =
            AttachmentView { cluster: CLUSTER, attachment, others: &others, nodes: &self.nodes };
        let effects = self.states.entry(name.to_owned()).or_default().step(view, input);
        for effect in effects {
            match effect {
                AttachmentEffect::Requeue(_) => self.timers.push(name.to_owned()),
                AttachmentEffect::RecordEvent { .. } => {}
                effect => {
                    let running = Running { name: name.to_owned(), effect, parts: 0, answer: None };
                    self.running.push(running);
                }
            }
        }
    }

    /// Returns the effects that may go on: one at a time changes a volume.
    fn runnable(&self) -> Vec<usize> {
        let volume = |running: &Running| running.effect.on_array().map(|it| it.volume.id.clone());
        let first = |(index, running): (usize, &Running)| {
            let before = self.running[..index].iter();
            let free = volume(running).is_none()
                || before.filter(|it| it.answer.is_none()).all(|it| volume(it) != volume(running));
            free.then_some(index)
        };
        self.running.iter().enumerate().filter_map(first).collect()
    }

    /// Sends the next request of an effect, or receives its answer. Only a leader changes anything.
    fn advance(&mut self, index: usize, state: &mut ClusterAndArrays, leads: bool) {
        let running = &mut self.running[index];
        if let Some(answer) = running.answer.take() {
            let name = running.name.clone();
            self.running.remove(index);
            self.step(&name, AttachmentInput::Done(answer));
            return;
        }
        let reads = matches!(
            running.effect,
            AttachmentEffect::ReadPersistentVolume { .. } | AttachmentEffect::ListAttachments
        );
        running.answer = if leads || reads {
            let answer = state.apply(&running.effect, running.parts);
            running.parts += 1;
            answer
        } else {
            Some(Err(EffectError::NotLeading))
        };
    }

    fn due(&mut self) -> bool {
        let Some(name) = self.timers.pop() else { return false };
        self.step(&name, AttachmentInput::Due);
        true
    }
}

/// A run of one process, and perhaps of a former one, with its state of the cluster and the arrays.
struct Run {
    state: ClusterAndArrays,
    leader: Process,
    former: Option<Process>,
    /// Requests and answers so far, and those after which the process is killed.
    moments: usize,
    crashes: Vec<usize>,
}

impl Run {
    fn new(mode: &str, crashes: &[usize]) -> Self {
        let mut state = ClusterAndArrays::default();
        for node in ["n1", "n2"] {
            state.add_node(node);
        }
        state.add_volume("pvc-1", mode);
        let leader = Process::new(&state);
        Self { state, leader, former: None, moments: 0, crashes: crashes.to_vec() }
    }

    fn advance(&mut self, index: usize) {
        self.leader.advance(index, &mut self.state, true);
        self.check();
        if self.crashes.contains(&self.moments) {
            self.leader = Process::new(&self.state);
        }
        self.moments += 1;
    }

    fn check(&self) {
        if let Some(wrong) = &self.state.wrong {
            panic!("{wrong}");
        }
    }

    /// Lets everything happen that is still to happen.
    fn settle(&mut self) {
        self.former = None;
        for _ in 0..5000 {
            if self.leader.see(&self.state) {
                continue;
            }
            let goes_on = match self.leader.runnable().first() {
                Some(index) => {
                    self.advance(*index);
                    true
                }
                None => self.leader.due(),
            };
            if !goes_on {
                self.state.check_formats();
                return;
            }
        }
        panic!("it does not come to an end: {:#?}", self.leader);
    }

    /// Takes steps until nothing is left to do but to wait.
    fn until_it_waits(&mut self) {
        for _ in 0..500 {
            if self.leader.see(&self.state) {
                continue;
            }
            match self.leader.runnable().first() {
                Some(index) => self.advance(*index),
                None => return,
            }
        }
        panic!("it does not wait: {:#?}", self.leader);
    }

    fn is_attached(&self, node: &str) -> bool {
        self.state.attachments.get(&format!("csi-pvc-1-{node}")).is_some_and(is_attached)
    }

    fn hosts(&self) -> Vec<&str> {
        self.state.array["pvc-1"].hosts.iter().map(String::as_str).collect()
    }
}

/// A volume is attached, formatted, and moved to another node whose attachment comes before the first one is gone.
fn a_move(crashes: &[usize]) -> usize {
    let mut run = Run::new("ReadWriteOnce", crashes);
    run.state.attach("pvc-1", "n1");
    run.settle();
    assert!(run.is_attached("n1"));
    run.state.format("csi-pvc-1-n1");
    run.state.attach("pvc-1", "n2");
    run.until_it_waits();
    assert!(!run.is_attached("n2"), "refused");
    assert_eq!(run.hosts(), ["prod-n1"]);
    run.state.detach("csi-pvc-1-n1");
    run.settle();
    assert!(run.is_attached("n2"));
    assert_eq!(run.hosts(), ["prod-n2"]);
    run.state.format("csi-pvc-1-n2");
    run.state.remove_node("n2");
    run.state.detach("csi-pvc-1-n2");
    run.settle();
    assert!(run.state.attachments.is_empty());
    assert_eq!((run.hosts().len(), run.state.host_count()), (0, 1), "n1 is there still");
    run.moments
}

#[test]
fn a_crash_at_any_request_of_a_move_changes_nothing_in_the_end() {
    let moments = a_move(&[]);
    assert!(moments > 30, "{moments}");
    for first in 0..moments {
        a_move(&[first]);
        for second in first + 1..moments + 6 {
            a_move(&[first, second]);
        }
    }
}

/// A volume and its node are deleted while it is attached, and everything goes at any moment.
fn an_end(after: usize, crashes: &[usize]) -> usize {
    let mut run = Run::new("ReadWriteOnce", crashes);
    run.state.attach("pvc-1", "n1");
    for _ in 0..after {
        run.leader.see(&run.state);
        if let Some(index) = run.leader.runnable().first() {
            run.advance(*index);
        }
    }
    run.state.detach("csi-pvc-1-n1");
    run.state.volumes.clear();
    run.state.remove_node("n1");
    run.settle();
    assert!(run.state.attachments.is_empty());
    assert_eq!(run.hosts(), Vec::<&str>::new());
    run.moments
}

#[test]
fn what_goes_at_any_moment_leaves_nothing_connected() {
    for after in 0..14 {
        let moments = an_end(after, &[]);
        for crash in 0..moments {
            an_end(after, &[crash]);
        }
    }
}

#[test]
fn a_connection_without_an_attachment_is_cut_first_and_a_foreign_one_is_not() {
    for (host, expected) in [("prod-n2", true), ("prod-n9", true), ("backup", false)] {
        let mut run = Run::new("ReadWriteOnce", &[]);
        run.state.connect_by_hand("pvc-1", host);
        run.state.attach("pvc-1", "n1");
        run.until_it_waits();
        assert_eq!(run.is_attached("n1"), expected, "{host}");
        assert_eq!(run.hosts(), [if expected { "prod-n1" } else { host }]);
    }
}

#[test]
fn a_volume_of_several_nodes_is_attached_to_each() {
    let mut run = Run::new("ReadWriteMany", &[]);
    for node in ["n1", "n2"] {
        run.state.attach("pvc-1", node);
    }
    run.settle();
    assert_eq!(run.hosts(), ["prod-n1", "prod-n2"]);
    run.state.detach("csi-pvc-1-n1");
    run.settle();
    assert_eq!(run.hosts(), ["prod-n2"], "the other one keeps it");
    assert!(run.is_attached("n2"));
}

#[test]
fn an_attached_volume_costs_nothing_and_a_refused_one_little() {
    let mut run = Run::new("ReadWriteOnce", &[]);
    run.state.attach("pvc-1", "n1");
    run.settle();
    let (calls, changes) = (run.state.array_calls, run.state.history.len());
    run.leader = Process::new(&run.state);
    run.settle();
    assert_eq!((run.state.array_calls, run.state.history.len()), (calls, changes));
    run.state.attach("pvc-1", "n2");
    run.until_it_waits();
    let changes = run.state.history.len();
    for _ in 0..20 {
        run.leader.due();
        run.until_it_waits();
    }
    assert_eq!(run.state.history.len(), changes, "the same refusal is written once");
}

/// Everything at random: steps of the leader and of a former one, people, kube-controller-manager, nodes.
fn by_chance(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut run =
        Run::new(if seed.is_multiple_of(4) { "ReadWriteMany" } else { "ReadWriteOnce" }, &[]);
    run.state.add_volume("pvc-2", "ReadWriteOncePod");
    for _ in 0..400 {
        let volume = ["pvc-1", "pvc-2"][random.usize(..2)];
        let node = ["n1", "n2", "n3"][random.usize(..3)];
        let name = format!("csi-{volume}-{node}");
        match random.usize(..40) {
            0 | 1 => run.state.attach(volume, node),
            2 => run.state.detach(&name),
            3 => run.state.format(&name),
            4 if run.state.nodes.contains_key(node) => run.state.remove_node(node),
            4 | 5 => run.state.add_node(node),
            6 if random.usize(..6) == 0 => {
                run.state.volumes.remove(volume);
            }
            7 => run.leader = Process::new(&run.state),
            8 => {
                // Another process leads; the former one does not know yet.
                let former = std::mem::replace(&mut run.leader, Process::new(&run.state));
                run.former = Some(former);
            }
            9..=14 => {
                run.leader.see(&run.state);
            }
            15 => {
                run.leader.due();
            }
            16..=20 => {
                if let Some(former) = &mut run.former {
                    former.see(&run.state);
                    let runnable = former.runnable();
                    if let Some(index) = runnable.get(random.usize(..runnable.len().max(1))) {
                        former.advance(*index, &mut run.state, false);
                    }
                }
            }
            _ => {
                let runnable = run.leader.runnable();
                if let Some(index) = runnable.get(random.usize(..runnable.len().max(1))) {
                    run.advance(*index);
                }
            }
        }
        run.check();
    }
    // In the end all nodes are there, and nothing is asked for.
    for node in ["n1", "n2", "n3"] {
        run.state.add_node(node);
    }
    for name in run.state.attachments.keys().cloned().collect::<Vec<_>>() {
        run.state.detach(&name);
    }
    run.settle();
    assert!(run.state.attachments.is_empty(), "{:#?}", run.state.attachments);
    for (name, volume) in &run.state.array {
        assert!(volume.hosts.is_empty(), "{name}: {:?}", volume.hosts);
    }
}

#[test]
fn no_order_of_events_connects_a_volume_twice_or_leaves_one_behind() {
    let number = |name: &str| std::env::var(name).ok().and_then(|word| word.parse::<u64>().ok());
    let (one, many) = (number("PSO_GEN_SEED"), number("PSO_GEN_SEEDS").unwrap_or(1000));
    for seed in one.map_or(0..many, |seed| seed..seed + 1) {
        let run = std::panic::catch_unwind(|| by_chance(seed));
        assert!(run.is_ok(), "seed {seed}");
    }
}
