//! Tests of one claim for steps that the simulation reaches too seldom, or not in every variant.

mod refusals;

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
            behind: &HashMap::new(),
            foreign: &self.foreign,
        };
        self.work.step(view, event)
    }

    /// Executes effects until none is left, and returns them in short form.
    fn run(&mut self, mut event: Input) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            let mut done = None;
            for effect in self.step(event) {
                done = done.or(self.does(&effect, &mut told));
            }
            match done {
                Some(outcome) => event = Input::Done(outcome),
                None if std::mem::take(&mut self.catches_up) => event = Input::WatchCaughtUp,
                None => return told,
            }
            assert!(told.len() < 20, "no end: {told:?}");
        }
    }

    fn does(
        &mut self,
        effect: &Effect,
        told: &mut Vec<String>,
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
                let trouble = EffectError::Array {
                    reason: "NoRoom",
                    message: "no room".to_owned(),
                    retry: Retry::Elsewhere,
                };
                (format!("{array} is full"), Err(trouble))
            }
            Effect::EnsureVolume { array, .. } => {
                (format!("make on {array}"), Ok(Outcome::Volume(Some(made(array)))))
            }
            Effect::DestroyVolume { array, .. } => {
                (format!("destroy on {array}"), Ok(Outcome::Good))
            }
            Effect::CreatePersistentVolume(volume) => {
                let array = behind(volume).map(|behind| behind.array).unwrap_or_default();
                let holds = volume.metadata.finalizers.iter().flatten();
                assert_eq!(holds.collect::<Vec<_>>(), [FINALIZER], "it may go without its volume");
                // Other effects are not simulated here.
                told.push(format!("create for {array}"));
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
                told.push(format!("grow on {array}"));
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
                told.push("choose another node".to_owned());
                return None;
            }
            Effect::RecordEvent { reason: SUCCEEDED, .. } => {
                told.push("succeeded".to_owned());
                return None;
            }
            Effect::RecordEvent { severity: Severity::Warning, message, .. } => {
                told.push(message.clone());
                return None;
            }
            Effect::RecordEvent { .. } | Effect::Requeue(_) => return None,
            other => {
                told.push(format!("{other:?}"));
                return None;
            }
        };
        told.push(word);
        Some(outcome)
    }
}

fn typed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("typed")
}

/// Returns an array of 1000 GiB with a provisioned size.
fn array(name: &str, given_out: u64) -> ArrayState {
    let capacity = Capacity { total: 1000 * GIB, used: 0, provisioned: Some(given_out * GIB) };
    let reach = Transport::Nfs { addresses: vec!["192.0.2.1".to_owned()] };
    let health = Health::Up { id: name.to_owned(), capacity, reach };
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

#[test]
fn a_volume_is_created_on_the_array_with_the_lowest_provisioned_share() {
    let mut stage = Stage::new();
    assert_eq!(stage.run(Input::Changed), ["ask fb2", "make on fb2", "create for fb2"]);
}

#[test]
fn a_copy_is_made_where_its_source_is_whatever_other_arrays_have_room() {
    let mut stage = Stage::new();
    stage.claim["spec"]["dataSource"] = json!({"kind": "PersistentVolumeClaim", "name": "old"});
    let source = json!({"metadata": {"namespace": "files", "name": "old", "uid": "0"}});
    let volume = json!({
        "metadata": {"name": "pvc-0", "annotations": {
            "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
            "pso-gen.io/array-id": "fb1", "pso-gen.io/volume": "prod-pvc-0", "pso-gen.io/volume-id": "0",
        }},
        "spec": {"claimRef": {"uid": "0"}, "nfs": {"server": "192.0.2.1", "path": "/prod-pvc-0"}},
    });
    stage.source = Some((source, volume));
    let told = stage.run(Input::Changed);
    assert_eq!(told.first().map(String::as_str), Some("ask fb1"), "{told:?}");
}

#[test]
fn a_full_array_is_looked_at_before_another_one_is_asked() {
    let mut stage = Stage::new().asked("fb2");
    stage.full = Some("fb2");
    assert_eq!(stage.run(Input::Changed), ["fb2 is full", "no room"]);
    let told = stage.run(Input::Due);
    assert_eq!(told, ["look at fb2", "ask fb2,fb1", "make on fb1", "create for fb1"]);

    // A request whose answer was lost had succeeded.
    let mut stage = Stage::new().asked("fb2");
    (stage.full, stage.there) = (Some("fb2"), ["fb2"].into());
    stage.run(Input::Changed);
    let told = stage.run(Input::Due);
    assert_eq!(told, ["look at fb2", "fb2 has the volume and reports that it has no room"]);
}

#[test]
fn a_volume_counts_for_the_array_that_it_was_made_on_alone() {
    let mut stage = Stage::new().asked("fb1");
    assert_eq!(stage.run(Input::Changed), ["make on fb1", "create for fb1"]);
    // The creation failed; before the next attempt, another array is written on the claim.
    stage.ask("fb2");
    let refused = Input::Done(Err(EffectError::Cluster("refused".to_owned())));
    assert_eq!(stage.run(refused), ["refused"]);
    assert_eq!(stage.run(Input::Due), ["make on fb2", "create for fb2"]);
}

#[test]
fn every_array_that_was_asked_is_cleaned_up() {
    let mut stage = Stage::new().asked("fb1,fb2");
    stage.claim["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:00:00Z");
    stage.there = ["fb1", "fb2"].into();
    let told = stage.run(Input::Changed);
    // Each volume that was found needs another read.
    let each = ["look at fb1", "read", "destroy on fb1", "look at fb2", "read", "destroy on fb2"];
    assert_eq!(told, [&["read"][..], &each, &["finish"]].concat());
}

#[test]
fn a_volume_that_an_admin_has_given_to_another_claim_stays_when_its_own_claim_goes() {
    let mut stage = Stage::new().asked("fb1");
    stage.claim["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:00:00Z");
    stage.there = ["fb1"].into();
    stage.read = Some(json!({
        "metadata": {"name": "pvc-1", "annotations": {
            "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
            "pso-gen.io/array-id": "fb1", "pso-gen.io/volume": "prod-pvc-1", "pso-gen.io/volume-id": "1",
        }},
        "spec": {"claimRef": {"uid": "2"}, "nfs": {"server": "192.0.2.1", "path": "/prod-pvc-1"}},
    }));
    assert_eq!(stage.run(Input::Changed), ["read", "finish"]);
    // One of that name which tells of another volume is no reason to keep this one.
    let mut other = Stage::new().asked("fb1");
    (other.claim, other.there) = (stage.claim.clone(), stage.there.clone());
    other.ask("fb1");
    other.read = stage.read.map(|mut volume| {
        volume["metadata"]["annotations"]["pso-gen.io/volume"] = json!("prod-pvc-3");
        volume
    });
    let told = other.run(Input::Changed);
    assert_eq!(told, ["read", "look at fb1", "read", "destroy on fb1", "finish"]);
}

#[test]
fn a_name_in_another_case_is_the_same_name() {
    let mut stage = Stage::new().asked("fb1");
    stage.claim["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:00:00Z");
    (stage.there, stage.called) = (["fb1"].into(), "PROD-pvc-1");
    let told = stage.run(Input::Changed);
    assert_eq!(told, ["read", "look at fb1", "read", "destroy on fb1", "finish"]);
}

#[test]
fn an_array_that_answers_for_another_name_is_asked_after_a_pause() {
    let mut stage = Stage::new().asked("fb1");
    stage.claim["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:00:00Z");
    (stage.there, stage.called) = (["fb1"].into(), "prod-pvc-2");
    assert_eq!(stage.run(Input::Changed), ["read", "look at fb1", "read"], "and then it waits");
    assert_eq!(stage.run(Input::Changed), [""; 0]);
    let told = stage.run(Input::Due);
    let useless = "fb1 answers for prod-pvc-1, and that is of no use";
    assert_eq!(told, ["read", "look at fb1", "read", useless]);
    assert_eq!(stage.run(Input::Due), ["read", "look at fb1", "read"], "which is reported once");
}

#[test]
fn a_persistent_volume_that_somebody_deletes_is_let_go_of_once() {
    let mut stage = Stage::new().asked("fb1");
    stage.volume = Some(json!({
        "metadata": {
            "name": "pvc-1", "uid": "v", "deletionTimestamp": "2026-11-23T06:00:00Z",
            "finalizers": ["pso-gen.io/volume-protection"],
            "annotations": {
                "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
                "pso-gen.io/array-id": "fb1", "pso-gen.io/volume": "prod-pvc-1", "pso-gen.io/volume-id": "1",
            },
        },
        "spec": {"claimRef": {"uid": "1"}, "nfs": {"server": "192.0.2.1", "path": "/prod-pvc-1"}},
        "status": {"phase": "Available"},
    }));
    assert_eq!(stage.run(Input::Changed), ["let go of pvc-1"]);
    assert_eq!(stage.run(Input::Changed), [""; 0], "the view has not caught up");
    stage.volume = None;
    assert_eq!(stage.run(Input::Changed), ["make on fb1", "create for fb1"]);
}

#[test]
fn what_was_made_for_a_claim_that_disappears_goes_as_far_as_it_is_remembered() {
    let mut stage = Stage::new();
    assert_eq!(stage.run(Input::Changed), ["ask fb2", "make on fb2", "create for fb2"]);
    // The provisioner's finalizer is removed by hand, and the claim disappears before its PersistentVolume exists.
    stage.gone = true;
    stage.there.insert("fb2");
    let refused = Input::Done(Err(EffectError::Cluster("refused".to_owned())));
    assert_eq!(stage.run(refused), ["refused"]);
    let cleans = ["read the claim", "read", "look at fb2", "read", "destroy on fb2"];
    assert_eq!(stage.run(Input::Due), cleans);
    stage.there.clear();
    assert_eq!(stage.run(Input::Changed), cleans[..3]);

    // The watch is stale: the API server still has the claim.
    let mut stage = Stage::new();
    stage.run(Input::Changed);
    stage.successor = Some(stage.claim.clone());
    stage.gone = true;
    stage.there.insert("fb2");
    stage.run(Input::Done(Err(EffectError::Cluster("refused".to_owned()))));
    assert_eq!(stage.run(Input::Due), ["read the claim"]);

    // Another process does not know the claim: the volume is an orphan, and reported.
    let mut stage = Stage::new();
    stage.gone = true;
    assert_eq!(stage.run(Input::Changed), [""; 0]);
}

#[test]
fn an_array_that_the_class_does_not_allow_gets_nothing_new_whatever_stands_on_the_claim() {
    // A tenant has written the provisioner's finalizer and an array on the claim.
    let mut stage = Stage::new();
    stage.arrays[1].traits.labels = [("tier".to_owned(), "gold".to_owned())].into();
    stage.arrays[0].traits.labels = [("tier".to_owned(), "silver".to_owned())].into();
    let class = stage.class.as_mut().and_then(|class| class.as_mut().ok()).expect("a class");
    class.arrays = [("tier".to_owned(), "silver".to_owned())].into();
    let mut stage = stage.asked("fb2");
    let told = stage.run(Input::Changed);
    assert_eq!(told, ["look at fb2", "ask fb2,fb1", "make on fb1", "create for fb1"]);
    // An existing volume stays where it is after a change of the class.
    let mut stage = stage.asked("fb2");
    stage.work = ClaimState::default();
    stage.there.insert("fb2");
    assert_eq!(stage.run(Input::Changed), ["look at fb2", "make on fb2", "create for fb2"]);
    // An array that is not in the document does not count.
    let mut stage = stage.asked("fb9");
    stage.work = ClaimState::default();
    let told = stage.run(Input::Changed);
    assert!(told[0].starts_with("the storage document does not have fb9 any more"), "{told:?}");
    assert_eq!(told[1], "ask fb1");
}

#[test]
fn wishes_that_no_new_volume_can_meet_are_refused() {
    for (field, value, why) in [
        ("selector", json!({"matchLabels": {"tier": "gold"}}), "a claim with a selector"),
        ("volumeAttributesClassName", json!("fast"), "VolumeAttributesClass fast"),
    ] {
        let mut stage = Stage::new();
        stage.claim["spec"][field] = value;
        let told = stage.run(Input::Changed);
        assert!(told.len() == 1 && told[0].contains(why), "{told:?}");
    }
    let mut stage = Stage::new();
    stage.claim["spec"]["volumeAttributesClassName"] = json!("");
    // A claim without a class can be bound to any PersistentVolume, also to a new one.
    stage.claim["spec"]["selector"] = json!({});
    assert_eq!(stage.run(Input::Changed)[0], "ask fb2");
}

#[test]
fn another_array_at_an_address_gets_no_persistent_volume_of_the_one_before() {
    let mut stage = Stage::new().asked("fb1");
    stage.claim["metadata"]["annotations"]["pso-gen.io/array-id"] = json!("former");
    let told = stage.run(Input::Changed);
    assert_eq!(told[0], "make on fb1", "the client compares the id");
    assert!(told[1].contains("fb1 is another array now: its id is fb1"), "{told:?}");
}

#[test]
fn a_claim_that_an_admin_has_bound_to_a_volume_of_ours_grows() {
    let mut stage = Stage::new();
    stage.claim["spec"]["volumeName"] = json!("pvc-former");
    stage.claim["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
    stage.claim["status"] = json!({
        "phase": "Bound", "capacity": {"storage": "1Gi"},
        "allocatedResources": {"storage": "2Gi"},
        "allocatedResourceStatuses": {"storage": "ControllerResizeInProgress"},
    });
    stage.bound = Some(json!({
        "metadata": {"name": "pvc-former", "annotations": {
            "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
            "pso-gen.io/array-id": "fb1", "pso-gen.io/volume": "prod-pvc-former",
            "pso-gen.io/volume-id": "id",
        }},
        "spec": {"claimRef": {"uid": "1"}, "capacity": {"storage": "1Gi"}},
    }));
    assert_eq!(stage.run(Input::Changed)[0], "grow on fb1");
    // The provisioner never changes a PersistentVolume of another driver.
    let mut stage = Stage { work: ClaimState::default(), ..stage };
    stage.bound.as_mut().expect("bound")["metadata"]["annotations"] = json!({});
    assert_eq!(stage.run(Input::Changed), [""; 0]);
}

#[test]
fn nothing_is_begun_before_kubernetes_has_found_nothing() {
    let none = [""; 0];
    let mut stage = Stage::new();
    let said = stage.claim["metadata"]["annotations"].take();
    assert_eq!(stage.run(Input::Changed), none);
    // Nothing is refused either: Kubernetes may find a PersistentVolume that satisfies the claim.
    stage.claim["spec"]["selector"] = json!({"matchLabels": {"tier": "gold"}});
    assert_eq!(stage.run(Input::Changed), none);
    stage.claim["spec"]["selector"].take();
    // While kube-controller-manager is too slow, claims are started unless Kubernetes would bind them.
    stage.is_crowded = true;
    stage.setup.binding = Binding::Controller;
    assert_eq!(stage.run(Input::Changed), none);
    stage.setup.binding = Binding::Direct;
    stage.rival = Some("pre-0");
    assert_eq!(stage.run(Input::Changed), none);
    stage.rival = None;
    assert_eq!(stage.run(Input::Changed), ["ask fb2", "make on fb2", "create for fb2"]);
    let mut stage = Stage { rival: Some("pre-0"), ..Stage::new() };
    stage.claim["metadata"]["annotations"] = said;
    assert_eq!(stage.run(Input::Changed), none, "what has come since may be taken at any moment");
}

#[test]
fn no_persistent_volume_is_created_beside_another_or_before_all_are_known() {
    let mut stage = Stage::new().asked("fb1");
    let effects = stage.step(Input::Changed);
    assert!(matches!(effects[..], [Effect::EnsureVolume { .. }]), "{effects:?}");
    let made = |array| Input::Done(Ok(Outcome::Volume(Some(made(array)))));
    assert_eq!(stage.step(made("fb1")), [Effect::AwaitWatch]);
    assert_eq!(stage.step(Input::Changed), [], "it is asked for once");
    stage.rival = Some("pre-0");
    assert_eq!(stage.step(Input::WatchCaughtUp), [], "Kubernetes binds the claim to that one");
    stage.rival = None;
    let effects = stage.step(Input::Changed);
    assert!(matches!(effects[..], [Effect::CreatePersistentVolume(_)]), "{effects:?}");
}

#[test]
fn a_claim_that_kubernetes_binds_to_another_one_has_not_got_ours() {
    let mut stage = Stage::new();
    let told = stage.run(Input::Changed);
    assert_eq!(told, ["ask fb2", "make on fb2", "create for fb2"]);
    stage.claim["spec"]["volumeName"] = json!("pre-0");
    stage.claim["metadata"]["resourceVersion"] = json!("99");
    stage.there.insert("fb2");
    let told = stage.run(Input::Done(Err(EffectError::Conflict)));
    let told: Vec<String> = told.into_iter().chain(stage.run(Input::Due)).collect();
    assert_eq!(told, ["read", "look at fb2", "read", "destroy on fb2", "finish"]);
}

#[test]
fn a_node_that_is_gone_gives_the_choice_back_unless_something_was_begun() {
    let zone = |zone: &str| BTreeMap::from([("zone".to_owned(), zone.to_owned())]);
    let waits = || {
        let mut stage = Stage::new();
        stage.class.as_mut().expect("a class").as_mut().expect("usable").waits = true;
        stage.arrays[0].traits.topology = zone("a");
        let annotations = &mut stage.claim["metadata"]["annotations"];
        annotations["volume.kubernetes.io/selected-node"] = json!("gone");
        stage.arrays.pop();
        stage
    };
    assert_eq!(waits().run(Input::Changed), ["choose another node"]);
    let mut stage = Stage { node: Some(zone("b")), ..waits() };
    assert_eq!(stage.run(Input::Changed), ["choose another node"], "no array is there");
    let mut stage = Stage { node: Some(zone("a")), ..waits() };
    assert_eq!(stage.run(Input::Changed)[0], "ask fb1");
    assert_eq!(waits().asked("fb1").run(Input::Changed), ["make on fb1", "create for fb1"]);
}
