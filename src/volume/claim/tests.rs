//! Steps on one claim that the simulation comes upon too seldom, or not in every way.

use serde_json::{Value, json};

use super::*;
use crate::array::{Capacity, Reach};
use crate::volume::setup::{ArrayKind, ArrayTraits, Binding, Health};

const GIB: u64 = 1 << 30;

/// One claim of 1 GiB, and what there is around it.
struct Stage {
    setup: Setup,
    claim: Value,
    volume: Option<Value>,
    /// The claim to copy, and its PersistentVolume.
    source: Option<(Value, Value)>,
    class: Result<ClassSetup, String>,
    arrays: Vec<ArrayState>,
    /// The volume of the claim, on the arrays that have one.
    there: BTreeSet<&'static str>,
    /// How the arrays call what they have.
    called: &'static str,
    /// An array that says it has no room.
    full: Option<&'static str>,
    work: ClaimWork,
}

impl Stage {
    fn new() -> Self {
        let class = json!({
            "metadata": {"name": "pure-file"}, "provisioner": "pso-gen.io/provisioner",
            "parameters": {"backend": "file"},
        });
        Self {
            setup: Setup {
                cluster: "prod".to_owned(),
                exports: Vec::new(),
                binding: Binding::Direct,
                imports: HashMap::new(),
            },
            claim: json!({
                "metadata": {"namespace": "files", "name": "data", "uid": "1", "resourceVersion": "10"},
                "spec": {"storageClassName": "pure-file", "resources": {"requests": {"storage": "1Gi"}}},
            }),
            volume: None,
            source: None,
            class: ClassSetup::read(&typed(&class)).expect("ours"),
            arrays: vec![array("fb1", 500), array("fb2", 100)],
            there: BTreeSet::new(),
            called: "prod-pvc-1",
            full: None,
            work: ClaimWork::default(),
        }
    }

    /// The claim as it is after these arrays have been asked.
    fn asked(mut self, arrays: &str) -> Self {
        self.ask(arrays);
        self
    }

    fn ask(&mut self, arrays: &str) {
        let meta = &mut self.claim["metadata"];
        meta["annotations"] = json!({"pso-gen.io/array": arrays});
        meta["finalizers"] = json!(["pso-gen.io/volume"]);
        let version = meta["resourceVersion"].as_str().and_then(|text| text.parse().ok());
        meta["resourceVersion"] = json!((version.unwrap_or(0_u64) + 1).to_string());
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        let claim = typed(&self.claim);
        let volume = self.volume.as_ref().map(typed);
        let source = self.source.as_ref().map(|(claim, volume)| (typed(claim), typed(volume)));
        let view = View {
            setup: &self.setup,
            claim: Some(&claim),
            volume: volume.as_ref(),
            class: Some(&self.class),
            arrays: &self.arrays,
            node: None,
            source: source
                .as_ref()
                .map(|(claim, volume)| SourceView { claim, volume: Some(volume) }),
            behind: &HashMap::new(),
        };
        self.work.step(view, event)
    }

    /// Does what is asked for until nothing is, and returns it in short.
    fn run(&mut self, mut event: Event) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            let mut done = None;
            for effect in self.step(event) {
                done = done.or(self.does(&effect, &mut told));
            }
            match done {
                Some(outcome) => event = Event::Done(outcome),
                None => return told,
            }
            assert!(told.len() < 20, "no end: {told:?}");
        }
    }

    fn does(
        &mut self,
        effect: &Effect,
        told: &mut Vec<String>,
    ) -> Option<Result<Outcome, Trouble>> {
        let (word, outcome) = match effect {
            Effect::Intend { asked, .. } => {
                self.ask(&asked.join(","));
                let claim = Box::new(typed(&self.claim));
                (format!("ask {}", asked.join(",")), Ok(Outcome::Claim(Some(claim))))
            }
            Effect::Find { array, .. } => {
                let called = |volume| Volume { name: self.called.to_owned(), ..volume };
                let found = self.there.contains(array.as_str()).then(|| called(made(array)));
                (format!("look at {array}"), Ok(Outcome::Volume(found)))
            }
            Effect::Ensure { array, .. } if self.full == Some(array) => {
                let trouble = Trouble::Array {
                    reason: "NoRoom",
                    message: "no room".to_owned(),
                    retry: Retry::Elsewhere,
                };
                (format!("{array} is full"), Err(trouble))
            }
            Effect::Ensure { array, .. } => {
                (format!("make on {array}"), Ok(Outcome::Volume(Some(made(array)))))
            }
            Effect::Destroy { array, .. } => (format!("destroy on {array}"), Ok(Outcome::Good)),
            Effect::Create(volume) => {
                let array = behind(volume).map(|behind| behind.array).unwrap_or_default();
                // Nothing more is known of it; that is enough here.
                told.push(format!("create for {array}"));
                return None;
            }
            Effect::ReadVolume { .. } => ("read".to_owned(), Ok(Outcome::PersistentVolume(None))),
            Effect::Finish { .. } => {
                self.claim["metadata"]["finalizers"] = json!([]);
                ("finish".to_owned(), Ok(Outcome::Claim(None)))
            }
            Effect::Release { volume } => (format!("let go of {}", volume.name), Ok(Outcome::Good)),
            Effect::Tell { severity: Severity::Warning, message, .. } => {
                told.push(message.clone());
                return None;
            }
            Effect::Tell { .. } | Effect::Later(_) => return None,
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

/// An array that can hold 1000 GiB and has given out some.
fn array(name: &str, given_out: u64) -> ArrayState {
    let capacity = Capacity { total: 1000 * GIB, used: 0, provisioned: Some(given_out * GIB) };
    let reach = Reach::Nfs { addresses: vec!["192.0.2.1".to_owned()] };
    let health = Health::Up { id: name.to_owned(), capacity, reach };
    let (kind, traits) = (ArrayKind::FlashBlade, ArrayTraits::default());
    ArrayState { name: name.to_owned(), kind, traits, health }
}

/// The volume of the claim.
fn made(array: &str) -> Volume {
    Volume {
        name: "prod-pvc-1".to_owned(),
        id: format!("id on {array}"),
        size: GIB,
        destroyed: false,
        created: None,
        serial: None,
        connections: 0,
    }
}

#[test]
fn a_volume_is_made_on_the_array_with_the_least_given_out() {
    let mut stage = Stage::new();
    assert_eq!(stage.run(Event::Changed), ["ask fb2", "make on fb2", "create for fb2"]);
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
    let told = stage.run(Event::Changed);
    assert_eq!(told.first().map(String::as_str), Some("ask fb1"), "{told:?}");
}

#[test]
fn a_full_array_is_looked_at_before_another_one_is_asked() {
    let mut stage = Stage::new().asked("fb2");
    stage.full = Some("fb2");
    assert_eq!(stage.run(Event::Changed), ["fb2 is full", "no room"]);
    let told = stage.run(Event::Due);
    assert_eq!(told, ["look at fb2", "ask fb2,fb1", "make on fb1", "create for fb1"]);

    // A request that was thought to be lost had been done.
    let mut stage = Stage::new().asked("fb2");
    (stage.full, stage.there) = (Some("fb2"), ["fb2"].into());
    stage.run(Event::Changed);
    let told = stage.run(Event::Due);
    assert_eq!(told, ["look at fb2", "fb2 has the volume and says that it has no room"]);
}

#[test]
fn a_volume_counts_for_the_array_that_it_was_made_on_alone() {
    let mut stage = Stage::new().asked("fb1");
    assert_eq!(stage.run(Event::Changed), ["make on fb1", "create for fb1"]);
    // Creating went wrong; and before the next attempt somebody has written another array on the claim.
    stage.ask("fb2");
    let refused = Event::Done(Err(Trouble::Cluster("refused".to_owned())));
    assert_eq!(stage.run(refused), ["refused"]);
    assert_eq!(stage.run(Event::Due), ["make on fb2", "create for fb2"]);
}

#[test]
fn every_array_that_was_asked_is_cleaned_up() {
    let mut stage = Stage::new().asked("fb1,fb2");
    stage.claim["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:00:00Z");
    stage.there = ["fb1", "fb2"].into();
    let told = stage.run(Event::Changed);
    let each = ["look at fb1", "destroy on fb1", "look at fb2", "destroy on fb2"];
    assert_eq!(told, [&["read"][..], &each, &["finish"]].concat());
}

#[test]
fn a_name_in_another_case_is_the_same_name() {
    let mut stage = Stage::new().asked("fb1");
    stage.claim["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:00:00Z");
    (stage.there, stage.called) = (["fb1"].into(), "PROD-pvc-1");
    assert_eq!(stage.run(Event::Changed), ["read", "look at fb1", "destroy on fb1", "finish"]);
}

#[test]
fn an_array_that_answers_for_another_name_is_asked_after_a_pause() {
    let mut stage = Stage::new().asked("fb1");
    stage.claim["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:00:00Z");
    (stage.there, stage.called) = (["fb1"].into(), "prod-pvc-2");
    assert_eq!(stage.run(Event::Changed), ["read", "look at fb1"], "and then it waits");
    assert_eq!(stage.run(Event::Changed), [""; 0]);
    let told = stage.run(Event::Due);
    assert_eq!(told, ["read", "look at fb1", "fb1 answers for prod-pvc-1, and that is of no use"]);
    assert_eq!(stage.run(Event::Due), ["read", "look at fb1"], "which is told once");
}

#[test]
fn a_persistent_volume_that_somebody_deletes_is_let_go_of_once() {
    let mut stage = Stage::new().asked("fb1");
    stage.volume = Some(json!({
        "metadata": {
            "name": "pvc-1", "uid": "v", "deletionTimestamp": "2026-11-23T06:00:00Z",
            "finalizers": ["pso-gen.io/volume"],
            "annotations": {
                "pv.kubernetes.io/provisioned-by": "pso-gen.io/provisioner", "pso-gen.io/array": "fb1",
                "pso-gen.io/array-id": "fb1", "pso-gen.io/volume": "prod-pvc-1", "pso-gen.io/volume-id": "1",
            },
        },
        "spec": {"claimRef": {"uid": "1"}, "nfs": {"server": "192.0.2.1", "path": "/prod-pvc-1"}},
        "status": {"phase": "Available"},
    }));
    assert_eq!(stage.run(Event::Changed), ["let go of pvc-1"]);
    assert_eq!(stage.run(Event::Changed), [""; 0], "the view has not caught up");
    stage.volume = None;
    assert_eq!(stage.run(Event::Changed), ["make on fb1", "create for fb1"]);
}
