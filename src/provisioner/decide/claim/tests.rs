//! Tests of one claim for steps that the simulation reaches too seldom, or not in every variant.

mod arrays;
mod binding;
mod deletion;
mod refusals;
mod restoring;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::*;
use crate::contract::{ArrayKind, Capacity, FINALIZER, Transport, Volume};
use crate::provisioner::decide::claim_view::SourceView;
use crate::provisioner::decide::effect::Severity;
use crate::provisioner::decide::read_time::ReadTime;
use crate::provisioner::decide::setup::{
    ArrayState, ArrayTraits, Binding, ClassSetup, Health, Setup,
};

const GIB: u64 = 1 << 30;

/// One claim of 1 GiB, and its surroundings.
struct Stage {
    setup: Setup,
    claim: Value,
    volume: Option<Value>,
    /// The same as the API server itself has it.
    read: Option<Value>,
    /// A PersistentVolume of another name that the claim is bound to.
    bound: Option<Value>,
    /// Whether the claim has disappeared from the view and from the API server.
    gone: bool,
    /// The claim that the API server has after the first one disappeared.
    successor: Option<Value>,
    /// The claim to clone, and its PersistentVolume.
    source: Option<(Value, Value)>,
    /// None if the class is gone, or has another provisioner.
    class: Option<Result<ClassSetup, String>>,
    /// PersistentVolumes of other drivers.
    foreign: HashMap<String, BTreeSet<String>>,
    arrays: Vec<ArrayState>,
    /// The volume of the claim, on the arrays that have one.
    there: BTreeSet<&'static str>,
    /// The name of the volume on the arrays.
    called: &'static str,
    /// An array that reports that it has no room.
    full: Option<&'static str>,
    /// Another PersistentVolume that Kubernetes would bind the claim to.
    rival: Option<&'static str>,
    is_crowded: bool,
    node: Option<BTreeMap<String, String>>,
    /// Whether the stage reports that the view has caught up.
    catches_up: bool,
    work: ClaimState,
}

impl Stage {
    fn new() -> Self {
        let class = json!({
            "metadata": {"name": "pure-file"}, "provisioner": "pso-gen.io/provisioner",
            "parameters": {"backend": "file"},
        });
        Self {
            setup: Setup::of("prod"),
            claim: json!({
                "metadata": {
                    "namespace": "files", "name": "data", "uid": "1", "resourceVersion": "10",
                    "annotations": {"volume.kubernetes.io/storage-provisioner": "pso-gen.io/provisioner"},
                },
                "spec": {"storageClassName": "pure-file", "resources": {"requests": {"storage": "1Gi"}}},
            }),
            volume: None,
            read: None,
            bound: None,
            gone: false,
            successor: None,
            source: None,
            foreign: HashMap::new(),
            class: ClassSetup::read(&typed(&class)),
            arrays: vec![array("fb1", 500), array("fb2", 100)],
            there: BTreeSet::new(),
            called: "prod-pvc-1",
            full: None,
            rival: None,
            is_crowded: false,
            node: None,
            catches_up: false,
            work: ClaimState::default(),
        }
    }

    /// Sets the claim as it is after these arrays were asked.
    fn asked(mut self, arrays: &str) -> Self {
        self.ask(arrays);
        self
    }

    fn ask(&mut self, arrays: &str) {
        let meta = &mut self.claim["metadata"];
        meta["annotations"] = json!({"pso-gen.io/array": arrays});
        meta["finalizers"] = json!(["pso-gen.io/volume-protection"]);
        let version = meta["resourceVersion"].as_str().and_then(|text| text.parse().ok());
        meta["resourceVersion"] = json!((version.unwrap_or(0_u64) + 1).to_string());
    }

    fn step(&mut self, event: Input) -> Vec<Effect> {
        let claim = typed(&self.claim);
        let volume = self.volume.as_ref().map(typed);
        let bound = self.bound.as_ref().map(typed);
        let source = self.source.as_ref().map(|(claim, volume)| (typed(claim), typed(volume)));
        let view = ClaimView {
            setup: &self.setup,
            claim: Some(&claim).filter(|_| !self.gone),
            volume: volume.as_ref(),
            bound: bound.as_ref(),
            class: self.class.as_ref(),
            arrays: &self.arrays,
            node: self.node.as_ref(),
            rival: self.rival,
            is_crowded: self.is_crowded,
            source: source
                .as_ref()
                .map(|(claim, volume)| SourceView { claim, volume: Some(volume) }),
            persistent_volumes: &HashMap::new(),
            foreign: &self.foreign,
        };
        self.work.step(view, event)
    }

    /// Executes effects until none is left, and returns them in short form.
    fn run(&mut self, mut event: Input) -> Vec<String> {
        let mut steps = Vec::new();
        loop {
            let mut done = None;
            for effect in self.step(event) {
                done = done.or(self.does(&effect, &mut steps));
            }
            match done {
                Some(outcome) => event = Input::Done(outcome),
                None if std::mem::take(&mut self.catches_up) => event = Input::WatchCaughtUp,
                None => return steps,
            }
            assert!(steps.len() < 20, "no end: {steps:?}");
        }
    }

    fn does(
        &mut self,
        effect: &Effect,
        steps: &mut Vec<String>,
    ) -> Option<Result<Outcome, EffectError>> {
        let (word, outcome) = match effect {
            Effect::RecordIntent { asked, import, .. } => {
                self.ask(&asked.join(","));
                if let Some(volume) = import {
                    let annotations = &mut self.claim["metadata"]["annotations"];
                    annotations["pso-gen.io/import"] = json!(volume.as_str());
                }
                let claim = Box::new(typed(&self.claim));
                (format!("ask {}", asked.join(",")), Ok(Outcome::Claim(Some(claim))))
            }
            Effect::FindVolume { array, .. } => {
                let called = |volume| Volume { name: self.called.to_owned(), ..volume };
                let found = self.there.contains(array.as_str()).then(|| called(made(array)));
                (format!("look at {array}"), Ok(Outcome::Volume(found)))
            }
            Effect::EnsureVolume { array, .. } if self.full == Some(array) => {
                let error = EffectError::Array {
                    reason: "NoRoom",
                    message: "no room".to_owned(),
                    retry: Retry::Elsewhere,
                };
                (format!("{array} is full"), Err(error))
            }
            Effect::EnsureVolume { array, .. } => {
                (format!("make on {array}"), Ok(Outcome::Volume(Some(made(array)))))
            }
            Effect::DestroyVolume { array, .. } => {
                (format!("destroy on {array}"), Ok(Outcome::Good))
            }
            Effect::CreatePersistentVolume(volume) => {
                let array = backing_volume(volume)
                    .map(|backing_volume| backing_volume.array)
                    .unwrap_or_default();
                let holds = volume.metadata.finalizers.iter().flatten();
                assert_eq!(holds.collect::<Vec<_>>(), [FINALIZER], "it may go without its volume");
                // Other effects are not simulated here.
                steps.push(format!("create for {array}"));
                return None;
            }
            Effect::ReadPersistentVolume { .. } => {
                let there = self.read.as_ref().map(|volume| Box::new(typed(volume)));
                ("read".to_owned(), Ok(Outcome::Read(ReadTime::default(), there)))
            }
            Effect::ReadClaim { .. } => {
                let there = self.successor.as_ref().map(|claim| Box::new(typed(claim)));
                ("read the claim".to_owned(), Ok(Outcome::Claim(there)))
            }
            Effect::ExpandVolume { array, .. } => {
                steps.push(format!("grow on {array}"));
                return None;
            }
            Effect::RemoveClaimFinalizer { .. } => {
                self.claim["metadata"]["finalizers"] = json!([]);
                ("finish".to_owned(), Ok(Outcome::Claim(None)))
            }
            Effect::RemovePersistentVolumeFinalizer { volume } => {
                (format!("let go of {}", volume.name), Ok(Outcome::Good))
            }
            Effect::AwaitWatch => {
                self.catches_up = true;
                return None;
            }
            Effect::Reschedule { .. } => {
                steps.push("choose another node".to_owned());
                return None;
            }
            Effect::RecordEvent { reason: SUCCEEDED, .. } => {
                steps.push("succeeded".to_owned());
                return None;
            }
            Effect::RecordEvent { severity: Severity::Warning, message, .. } => {
                steps.push(message.clone());
                return None;
            }
            Effect::RecordEvent { .. } | Effect::Requeue(_) => return None,
            other => {
                steps.push(format!("{other:?}"));
                return None;
            }
        };
        steps.push(word);
        Some(outcome)
    }
}

fn typed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("typed")
}

/// Returns an array of 1000 GiB with a provisioned size.
fn array(name: &str, given_out: u64) -> ArrayState {
    let capacity = Capacity { total: 1000 * GIB, used: 0, provisioned: Some(given_out * GIB) };
    let transport = Transport::Nfs { addresses: vec!["192.0.2.1".to_owned()] };
    let health = Health::Up { id: name.to_owned(), capacity, transport };
    let (kind, traits) = (ArrayKind::FlashBlade, ArrayTraits::default());
    ArrayState { name: name.to_owned(), kind, traits, health }
}

/// Returns the volume of the claim.
fn made(array: &str) -> Volume {
    Volume {
        name: "prod-pvc-1".to_owned(),
        id: format!("id on {array}"),
        size: GIB,
        destroyed: false,
        created: None,
        ..Volume::default()
    }
}

#[test]
fn two_claims_that_fail_at_once_come_again_at_different_times() {
    let wait = |uid: &str| {
        let mut stage = Stage::new();
        stage.claim["metadata"]["uid"] = json!(uid);
        stage.step(Input::Changed);
        let refused = Input::Done(Err(EffectError::Cluster("refused".to_owned())));
        let effects = stage.step(refused);
        let waits = effects.iter().filter_map(|effect| match effect {
            Effect::Requeue(wait) => Some(*wait),
            _ => None,
        });
        waits.collect::<Vec<_>>()
    };
    assert_eq!((wait("1").len(), wait("1")), (1, wait("1")));
    assert_ne!(wait("1"), wait("2"));
}
