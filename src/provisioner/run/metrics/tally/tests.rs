use super::*;
use crate::contract::Retry;
use crate::provisioner::decide::{ObjectVersion, Reason, Regarding};

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    tally: Tally,
    now: Instant,
}

fn claim() -> Key {
    Key::Claim("u".to_owned())
}

fn subject() -> Subject {
    Subject {
        claim: "apps/data".to_owned(),
        volume: None,
        array: None,
        class: "pure-file".to_owned(),
        source: "PersistentVolumeClaim",
        goes: false,
        is_settled: false,
    }
}

fn version() -> ObjectVersion {
    let word = "x".to_owned();
    ObjectVersion { namespace: None, name: word.clone(), uid: word.clone(), version: word }
}

fn record_intent() -> Effect {
    let asked = vec!["fb2".to_owned(), "fb1".to_owned()];
    Effect::RecordIntent { claim: version(), asked, ids: Vec::new(), import: None, size: 1 }
}

fn read() -> Effect {
    Effect::ReadPersistentVolume { name: "x".to_owned() }
}

fn away() -> EffectError {
    let message = "away".to_owned();
    EffectError::Array { reason: "Unreachable", message, retry: Retry::Soon }
}

fn announced() -> Vec<Effect> {
    let (severity, about) = (Severity::Warning, Regarding::Claim);
    let (reason, message) = (Reason::ProvisioningFailed, "away".to_owned());
    vec![
        Effect::RecordEvent { severity, regarding: about, reason, message },
        Effect::Requeue(SECOND),
    ]
}

impl Bench {
    fn new() -> Self {
        Self { tally: Tally::new(Metrics::new()), now: Instant::now() }
    }

    /// Takes a step a second later, and starts the effects that were decided.
    fn step(
        &mut self,
        key: &Key,
        subject: Option<&Subject>,
        error: Option<&EffectError>,
        effects: &[Effect],
    ) {
        self.now += SECOND;
        self.tally.stepped(key, subject, error, effects, self.now);
        for effect in effects {
            if let Effect::RecordEvent { severity, reason, .. } = effect {
                self.tally.publishes(*severity, *reason);
            }
            self.tally.begins(key, effect, self.now);
        }
    }

    fn value(&self, start: &str) -> Option<String> {
        let text = self.tally.metrics.text();
        text.lines().find_map(|line| line.strip_prefix(start)?.strip_prefix(' ').map(str::to_owned))
    }

    fn survey(&mut self, state: State) {
        let claims = [(claim(), state, "pure-file", 7 * SECOND)];
        self.tally.survey(claims.into_iter(), 3, self.now);
    }

    #[track_caller]
    fn holds(&self, start: &str, value: &str) {
        assert_eq!(self.value(start).as_deref(), Some(value), "{start}");
    }
}

#[test]
fn a_claim_counts_once_when_it_is_settled_and_each_failure_of_it() {
    let mut bench = Bench::new();
    let mut subject = subject();
    let of = r#"{class="pure-file",source="PersistentVolumeClaim"}"#;
    bench.step(&claim(), Some(&subject), None, &[]);
    bench.step(&claim(), Some(&subject), None, &[record_intent()]);
    bench.holds(r#"pso_gen_effects_in_flight{effect="record-intent"}"#, "1");
    bench.survey(State::Pending);
    bench.holds(r#"pso_gen_claims{class="pure-file",state="pending"}"#, "1");
    bench.holds(r#"pso_gen_claims{class="pure-file",state="failing"}"#, "0");
    bench.holds(r#"pso_gen_oldest_pending_claim_age_seconds{class="pure-file"}"#, "7.0");
    bench.holds("pso_gen_queue_depth", "3");

    let done = Err(away());
    let ended = bench.tally.ends(&claim(), &done, Some(&subject)).expect("an effect in flight");
    assert_eq!((ended.effect, ended.array.as_deref()), ("record-intent", Some("fb1")));
    bench.holds(r#"pso_gen_effects_in_flight{effect="record-intent"}"#, "0");
    bench.step(&claim(), Some(&subject), Some(&away()), &announced());
    bench.holds(&format!("controller_persistentvolumeclaim_provision_failed_total{of}"), "1");
    bench.holds(r#"pso_gen_events_total{reason="ProvisioningFailed",type="Warning"}"#, "1");
    bench.survey(State::Pending);
    bench.holds("pso_gen_retries_pending", "1");
    bench.holds(r#"pso_gen_claims{class="pure-file",state="failing"}"#, "1");
    bench.holds(r#"pso_gen_claims{class="pure-file",state="pending"}"#, "0");

    // A conflict with another writer is no failure.
    bench.tally.due(&claim());
    let later = [Effect::Requeue(SECOND)];
    bench.step(&claim(), Some(&subject), Some(&EffectError::Conflict), &later);
    bench.holds(&format!("controller_persistentvolumeclaim_provision_failed_total{of}"), "1");

    bench.tally.due(&claim());
    bench.step(&claim(), Some(&subject), None, &[record_intent()]);
    subject.is_settled = true;
    bench.step(&claim(), Some(&subject), None, &[]);
    bench.step(&claim(), Some(&subject), None, &[]);
    bench.holds(&format!("controller_persistentvolumeclaim_provision_total{of}"), "1");
    let took = "controller_persistentvolumeclaim_provision_duration_seconds";
    bench.holds(&format!("{took}_sum{of}"), "4.0");
    bench.survey(State::Bound);
    bench.holds(r#"pso_gen_claims{class="pure-file",state="bound"}"#, "1");
    bench.holds(r#"pso_gen_oldest_pending_claim_age_seconds{class="pure-file"}"#, "0.0");
    bench.holds("pso_gen_retries_pending", "0");
}

#[test]
fn claims_bound_before_the_start_or_deleted_on_the_way_do_not_count() {
    let mut bench = Bench::new();
    let (mut settled, mut going) = (subject(), subject());
    settled.is_settled = true;
    going.goes = true;
    // Bound before this process started.
    bench.step(&claim(), Some(&settled), None, &[]);
    // Deleted while it was provisioned.
    bench.step(&claim(), Some(&subject()), None, &[record_intent()]);
    bench.step(&claim(), Some(&going), None, &[read()]);
    going.is_settled = true;
    bench.step(&claim(), Some(&going), None, &[]);
    bench.step(&claim(), None, None, &[]);
    bench.step(&claim(), Some(&settled), None, &[]);
    assert!(!bench.tally.metrics.text().contains("provision_total{"));
}

#[test]
fn an_expansion_counts_when_the_array_has_done_it_and_has_its_own_failures() {
    let mut bench = Bench::new();
    let mut settled = subject();
    settled.is_settled = true;
    let name = crate::contract::VolumeName::new("v".to_owned()).expect("a name");
    let volume = crate::contract::VolumeId { name, id: "1".to_owned() };
    let (array, array_id) = ("fb1".to_owned(), "id".to_owned());
    let grow = Effect::ExpandVolume { array, array_id, volume, size: 2 };
    bench.step(&claim(), Some(&settled), None, std::slice::from_ref(&grow));
    bench.tally.ends(&claim(), &Err(away()), Some(&settled));
    bench.step(&claim(), Some(&settled), Some(&away()), &announced());
    bench.survey(State::Bound);
    bench.holds(r#"pso_gen_claims{class="pure-file",state="failing"}"#, "1");
    bench.holds(r#"pso_gen_oldest_pending_claim_age_seconds{class="pure-file"}"#, "0.0");
    bench.step(&claim(), Some(&settled), None, &[grow]);
    bench.tally.ends(&claim(), &Ok(Outcome::Volume(None)), Some(&settled));
    bench.step(&claim(), Some(&settled), None, &[read()]);
    // A failed read of a bound claim is no failed expansion.
    bench.tally.ends(&claim(), &Err(away()), Some(&settled));
    bench.step(&claim(), Some(&settled), Some(&away()), &announced());
    bench.step(&claim(), Some(&settled), None, &[record_intent()]);
    bench.survey(State::Bound);
    bench.holds(r#"pso_gen_claims{class="pure-file",state="bound"}"#, "1");
    bench.holds(r#"pso_gen_expansions_total{class="pure-file"}"#, "1");
    bench.holds(r#"pso_gen_expansions_failed_total{class="pure-file"}"#, "1");
    assert!(!bench.tally.metrics.text().contains("provision_failed_total{"));
}

#[test]
fn an_unknown_number_of_orphans_has_no_series() {
    let bench = Bench::new();
    bench.tally.orphans([("fb1", Some(2)), ("fa1", None)].into_iter());
    bench.holds(r#"pso_gen_orphaned_volumes{array="fb1"}"#, "2");
    assert_eq!(bench.value(r#"pso_gen_orphaned_volumes{array="fa1"}"#), None);
    bench.tally.orphans([("fb1", None)].into_iter());
    assert_eq!(bench.value(r#"pso_gen_orphaned_volumes{array="fb1"}"#), None);
}

#[test]
fn snapshots_count_by_class_and_do_not_mark_a_claim_as_failing() {
    let mut bench = Bench::new();
    let key = Key::Snapshots("pvc-u".to_owned());
    let name = crate::contract::VolumeName::new("v".to_owned()).expect("a name");
    let volume = crate::contract::VolumeId { name, id: "1".to_owned() };
    let suffix = crate::contract::SnapshotSuffix::new("s".to_owned()).expect("a suffix");
    let take = Effect::TakeSnapshot { array: "fb1".to_owned(), volume, suffix };
    bench.step(&key, Some(&subject()), None, std::slice::from_ref(&take));
    bench.tally.ends(&key, &Err(away()), Some(&subject()));
    bench.step(&key, Some(&subject()), Some(&away()), &announced());
    bench.step(&key, Some(&subject()), None, &[take]);
    bench.tally.ends(&key, &Ok(Outcome::Good), Some(&subject()));
    bench.step(&key, Some(&subject()), None, &[]);
    bench.survey(State::Bound);
    bench.holds(r#"pso_gen_snapshots_failed_total{class="pure-file"}"#, "1");
    bench.holds(r#"pso_gen_snapshots_total{class="pure-file"}"#, "1");
    bench.holds(r#"pso_gen_claims{class="pure-file",state="failing"}"#, "0");
}

#[test]
fn a_released_volume_counts_when_it_was_destroyed_and_its_persistent_volume_is_gone() {
    let key = Key::Volume("pvc-u".to_owned());
    let name = crate::contract::VolumeName::new("v".to_owned()).expect("a name");
    let volume = crate::contract::VolumeId { name, id: "1".to_owned() };
    let owner = Box::default();
    let (array, at) = ("fb1".to_owned(), crate::provisioner::decide::ReadTime::default());
    let destroy = Effect::DestroyVolume { array, array_id: None, volume, owner, read: at };
    let mut bench = Bench::new();
    let of = r#"{class="pure-file"}"#;
    bench.step(&key, Some(&subject()), None, &[read()]);
    bench.step(&key, Some(&subject()), Some(&away()), &announced());
    bench.holds(&format!("controller_persistentvolume_delete_failed_total{of}"), "1");
    bench.step(&key, Some(&subject()), None, &[destroy]);
    bench.tally.ends(&key, &Ok(Outcome::Good), Some(&subject()));
    bench.step(&key, None, None, &[]);
    bench.holds(&format!("controller_persistentvolume_delete_total{of}"), "1");
    let took = "controller_persistentvolume_delete_duration_seconds";
    bench.holds(&format!("{took}_sum{of}"), "3.0");

    // A volume with `Retain` loses only its finalizer, which does not count.
    bench.step(
        &key,
        Some(&subject()),
        None,
        &[Effect::RemovePersistentVolumeFinalizer { volume: version() }],
    );
    bench.tally.ends(&key, &Ok(Outcome::Good), Some(&subject()));
    bench.step(&key, None, None, &[]);
    bench.holds(&format!("controller_persistentvolume_delete_total{of}"), "1");
}
