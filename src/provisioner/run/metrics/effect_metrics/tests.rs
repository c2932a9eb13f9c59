use super::*;
use crate::contract::Retry;
use crate::provisioner::decide::{ObjectVersion, Reason, Regarding};

const SECOND: Duration = Duration::from_secs(1);

struct Fixture {
    effect_metrics: EffectMetrics,
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
        is_being_deleted: false,
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

impl Fixture {
    fn new() -> Self {
        Self { effect_metrics: EffectMetrics::new(Metrics::new()), now: Instant::now() }
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
        self.effect_metrics.record_step(key, subject, error, effects, self.now);
        for effect in effects {
            if let Effect::RecordEvent { severity, reason, .. } = effect {
                self.effect_metrics.event_published(*severity, *reason);
            }
            self.effect_metrics.effect_started(key, effect, self.now);
        }
    }

    fn value(&self, start: &str) -> Option<String> {
        let text = self.effect_metrics.metrics.text();
        text.lines().find_map(|line| line.strip_prefix(start)?.strip_prefix(' ').map(str::to_owned))
    }

    fn update_gauges(&mut self, state: State) {
        let claims = [(claim(), state, "pure-file", 7 * SECOND)];
        self.effect_metrics.update_gauges(claims.into_iter(), 3, self.now);
    }

    #[track_caller]
    fn holds(&self, start: &str, value: &str) {
        assert_eq!(self.value(start).as_deref(), Some(value), "{start}");
    }
}

#[test]
fn a_claim_counts_once_when_it_is_settled_and_each_failure_of_it() {
    let mut fixture = Fixture::new();
    let mut subject = subject();
    let of = r#"{class="pure-file",source="PersistentVolumeClaim"}"#;
    fixture.step(&claim(), Some(&subject), None, &[]);
    fixture.step(&claim(), Some(&subject), None, &[record_intent()]);
    fixture.holds(r#"pso_gen_effects_in_flight{effect="record-intent"}"#, "1");
    fixture.update_gauges(State::Pending);
    fixture.holds(r#"pso_gen_claims{class="pure-file",state="pending"}"#, "1");
    fixture.holds(r#"pso_gen_claims{class="pure-file",state="failing"}"#, "0");
    fixture.holds(r#"pso_gen_oldest_pending_claim_age_seconds{class="pure-file"}"#, "7.0");
    fixture.holds("pso_gen_queue_depth", "3");

    let done = Err(away());
    let ended = fixture
        .effect_metrics
        .effect_ended(&claim(), &done, Some(&subject))
        .expect("an effect in flight");
    assert_eq!((ended.effect, ended.array.as_deref()), ("record-intent", Some("fb1")));
    fixture.holds(r#"pso_gen_effects_in_flight{effect="record-intent"}"#, "0");
    fixture.step(&claim(), Some(&subject), Some(&away()), &announced());
    fixture.holds(&format!("controller_persistentvolumeclaim_provision_failed_total{of}"), "1");
    fixture.holds(r#"pso_gen_events_total{reason="ProvisioningFailed",type="Warning"}"#, "1");
    fixture.update_gauges(State::Pending);
    fixture.holds("pso_gen_retries_pending", "1");
    fixture.holds(r#"pso_gen_claims{class="pure-file",state="failing"}"#, "1");
    fixture.holds(r#"pso_gen_claims{class="pure-file",state="pending"}"#, "0");

    // A conflict with another writer is not a failure.
    fixture.effect_metrics.due(&claim());
    let later = [Effect::Requeue(SECOND)];
    fixture.step(&claim(), Some(&subject), Some(&EffectError::Conflict), &later);
    fixture.holds(&format!("controller_persistentvolumeclaim_provision_failed_total{of}"), "1");

    fixture.effect_metrics.due(&claim());
    fixture.step(&claim(), Some(&subject), None, &[record_intent()]);
    subject.is_settled = true;
    fixture.step(&claim(), Some(&subject), None, &[]);
    fixture.step(&claim(), Some(&subject), None, &[]);
    fixture.holds(&format!("controller_persistentvolumeclaim_provision_total{of}"), "1");
    let took = "controller_persistentvolumeclaim_provision_duration_seconds";
    fixture.holds(&format!("{took}_sum{of}"), "4.0");
    fixture.update_gauges(State::Bound);
    fixture.holds(r#"pso_gen_claims{class="pure-file",state="bound"}"#, "1");
    fixture.holds(r#"pso_gen_oldest_pending_claim_age_seconds{class="pure-file"}"#, "0.0");
    fixture.holds("pso_gen_retries_pending", "0");
}

#[test]
fn claims_bound_before_the_start_or_deleted_on_the_way_do_not_count() {
    let mut fixture = Fixture::new();
    let (mut settled, mut going) = (subject(), subject());
    settled.is_settled = true;
    going.is_being_deleted = true;
    // Bound before this process started.
    fixture.step(&claim(), Some(&settled), None, &[]);
    // Deleted while it was provisioned.
    fixture.step(&claim(), Some(&subject()), None, &[record_intent()]);
    fixture.step(&claim(), Some(&going), None, &[read()]);
    going.is_settled = true;
    fixture.step(&claim(), Some(&going), None, &[]);
    fixture.step(&claim(), None, None, &[]);
    fixture.step(&claim(), Some(&settled), None, &[]);
    assert!(!fixture.effect_metrics.metrics.text().contains("provision_total{"));
}

#[test]
fn an_expansion_counts_when_the_array_has_done_it_and_has_its_own_failures() {
    let mut fixture = Fixture::new();
    let mut settled = subject();
    settled.is_settled = true;
    let name = crate::contract::VolumeName::new("v".to_owned()).expect("a name");
    let volume = crate::contract::VolumeId { name, id: "1".to_owned() };
    let (array, array_id) = ("fb1".to_owned(), "id".to_owned());
    let grow = Effect::ExpandVolume { array, array_id, volume, size: 2 };
    fixture.step(&claim(), Some(&settled), None, std::slice::from_ref(&grow));
    fixture.effect_metrics.effect_ended(&claim(), &Err(away()), Some(&settled));
    fixture.step(&claim(), Some(&settled), Some(&away()), &announced());
    fixture.update_gauges(State::Bound);
    fixture.holds(r#"pso_gen_claims{class="pure-file",state="failing"}"#, "1");
    fixture.holds(r#"pso_gen_oldest_pending_claim_age_seconds{class="pure-file"}"#, "0.0");
    fixture.step(&claim(), Some(&settled), None, &[grow]);
    fixture.effect_metrics.effect_ended(&claim(), &Ok(Outcome::Volume(None)), Some(&settled));
    fixture.step(&claim(), Some(&settled), None, &[read()]);
    // A failed read of a bound claim is not a failed expansion.
    fixture.effect_metrics.effect_ended(&claim(), &Err(away()), Some(&settled));
    fixture.step(&claim(), Some(&settled), Some(&away()), &announced());
    fixture.step(&claim(), Some(&settled), None, &[record_intent()]);
    fixture.update_gauges(State::Bound);
    fixture.holds(r#"pso_gen_claims{class="pure-file",state="bound"}"#, "1");
    fixture.holds(r#"pso_gen_expansions_total{class="pure-file"}"#, "1");
    fixture.holds(r#"pso_gen_expansions_failed_total{class="pure-file"}"#, "1");
    assert!(!fixture.effect_metrics.metrics.text().contains("provision_failed_total{"));
}

#[test]
fn an_unknown_number_of_orphans_has_no_series() {
    let fixture = Fixture::new();
    fixture.effect_metrics.orphans([("fb1", Some(2)), ("fa1", None)].into_iter());
    fixture.holds(r#"pso_gen_orphaned_volumes{array="fb1"}"#, "2");
    assert_eq!(fixture.value(r#"pso_gen_orphaned_volumes{array="fa1"}"#), None);
    fixture.effect_metrics.orphans([("fb1", None)].into_iter());
    assert_eq!(fixture.value(r#"pso_gen_orphaned_volumes{array="fb1"}"#), None);
}

#[test]
fn snapshots_count_by_class_and_do_not_mark_a_claim_as_failing() {
    let mut fixture = Fixture::new();
    let key = Key::Snapshots("pvc-u".to_owned());
    let name = crate::contract::VolumeName::new("v".to_owned()).expect("a name");
    let volume = crate::contract::VolumeId { name, id: "1".to_owned() };
    let suffix = crate::contract::SnapshotSuffix::new("s".to_owned()).expect("a suffix");
    let take = Effect::TakeSnapshot { array: "fb1".to_owned(), volume, suffix };
    fixture.step(&key, Some(&subject()), None, std::slice::from_ref(&take));
    fixture.effect_metrics.effect_ended(&key, &Err(away()), Some(&subject()));
    fixture.step(&key, Some(&subject()), Some(&away()), &announced());
    fixture.step(&key, Some(&subject()), None, &[take]);
    fixture.effect_metrics.effect_ended(&key, &Ok(Outcome::Good), Some(&subject()));
    fixture.step(&key, Some(&subject()), None, &[]);
    fixture.update_gauges(State::Bound);
    fixture.holds(r#"pso_gen_snapshots_failed_total{class="pure-file"}"#, "1");
    fixture.holds(r#"pso_gen_snapshots_total{class="pure-file"}"#, "1");
    fixture.holds(r#"pso_gen_claims{class="pure-file",state="failing"}"#, "0");
}

#[test]
fn a_released_volume_counts_when_it_was_destroyed_and_its_persistent_volume_is_gone() {
    let key = Key::Volume("pvc-u".to_owned());
    let name = crate::contract::VolumeName::new("v".to_owned()).expect("a name");
    let volume = crate::contract::VolumeId { name, id: "1".to_owned() };
    let owner = Box::default();
    let (array, at) = ("fb1".to_owned(), crate::provisioner::decide::ReadTime::default());
    let destroy = Effect::DestroyVolume { array, array_id: None, volume, owner, read: at };
    let mut fixture = Fixture::new();
    let of = r#"{class="pure-file"}"#;
    fixture.step(&key, Some(&subject()), None, &[read()]);
    fixture.step(&key, Some(&subject()), Some(&away()), &announced());
    fixture.holds(&format!("controller_persistentvolume_delete_failed_total{of}"), "1");
    fixture.step(&key, Some(&subject()), None, &[destroy]);
    fixture.effect_metrics.effect_ended(&key, &Ok(Outcome::Good), Some(&subject()));
    fixture.step(&key, None, None, &[]);
    fixture.holds(&format!("controller_persistentvolume_delete_total{of}"), "1");
    let took = "controller_persistentvolume_delete_duration_seconds";
    fixture.holds(&format!("{took}_sum{of}"), "3.0");

    // A volume with `Retain` loses only its finalizer, which does not count.
    fixture.step(
        &key,
        Some(&subject()),
        None,
        &[Effect::RemovePersistentVolumeFinalizer { volume: version() }],
    );
    fixture.effect_metrics.effect_ended(&key, &Ok(Outcome::Good), Some(&subject()));
    fixture.step(&key, None, None, &[]);
    fixture.holds(&format!("controller_persistentvolume_delete_total{of}"), "1");
}
