//! Registrations over time: one process, its successor, two of one identity, and another cluster.

use super::*;

const UID: &str = "3f2a9c1e-7b4d-4e1a-9c55-70867728950e";

fn at(seconds: u64) -> ReadTime {
    let since = Duration::from_secs(seconds);
    ReadTime { steady: since, wall: since }
}

fn me(term: u64) -> Registration {
    Registration::new(UID, term).expect("an identity")
}

fn registration(term: u64) -> ClusterRegistration {
    ClusterRegistration::new("prod", me(term), Vec::new())
}

/// The objects on an array.
#[derive(Default)]
struct ArrayModel(Vec<Volume>, u32);

impl ArrayModel {
    fn put(&mut self, name: &str) {
        self.1 += 1;
        self.0.push(Volume {
            name: name.to_owned(),
            id: format!("id-{}", self.1),
            size: 1,
            destroyed: false,
            created: None,
            ..Volume::default()
        });
    }

    fn take(&mut self, step: Option<RegistrationStep>) {
        match step {
            Some(RegistrationStep::Create(name)) => self.put(name.as_str()),
            Some(RegistrationStep::Rename { from, to }) => {
                let volumes = self.0.iter_mut().find(|volume| from.is(&volume.name));
                volumes.expect("the old name").name = to.to_string();
            }
            Some(RegistrationStep::Remove(volume)) => {
                self.0.retain(|each| each.id != volume.id);
            }
            None => {}
        }
    }

    /// Takes all steps of one check.
    fn next_step(&mut self, registration: &mut ClusterRegistration, seconds: u64) {
        while let Some(step) = registration.next_step(&self.0, at(seconds)).expect("ours") {
            self.take(Some(step));
        }
    }
}

#[test]
fn the_longest_cluster_fits() {
    let cluster = "c".repeat(22);
    let name = me(u64::MAX).name(&cluster).expect("a name");
    assert_eq!(Registration::parse(&cluster, name.as_str()), Some(me(u64::MAX)));
    assert_eq!(Registration::parse(&cluster, &name.as_str().to_uppercase()), Some(me(u64::MAX)));
    assert_eq!(me(0).term, "0000000000000001");
    for odd in
        ["prod-is-", "prod-is-3f2a9c1e7b4d4e1a", "prod-is-x-y", "prod-pvc-1", "p", "prod-is-ä"]
    {
        assert_eq!(Registration::parse("prod", odd), None, "{odd}");
    }
    for odd in ["", "3f2a", "zzzzzzzz-7b4d-4e1a-9c55-70867728950e"] {
        assert_eq!(identity(odd), None, "{odd}");
    }
}

#[test]
fn the_first_of_a_name_may_destroy_at_once() {
    let (mut array, mut registration) = (ArrayModel::default(), registration(7));
    assert!(registration.check(&array.0, at(0)).is_err() && !registration.is_registered());
    array.next_step(&mut registration, 0);
    assert_eq!(array.0[0].name, "prod-is-3f2a9c1e7b4d4e1a-0000000000000007");
    assert_eq!(registration.check(&array.0, at(0)), Ok(()));
    assert!(registration.is_registered());
    // A registration that was removed is created again, with the full delay.
    array.0.clear();
    assert!(registration.check(&array.0, at(1)).is_err());
    array.next_step(&mut registration, 1);
    assert!(registration.check(&array.0, at(2)).is_err());
    array.next_step(&mut registration, 31);
    assert_eq!(registration.check(&array.0, at(31)), Ok(()));
}

#[test]
fn no_volume_is_created_before_the_array_shows_the_registration() {
    let (mut array, mut registration) = (ArrayModel::default(), registration(7));
    let step = registration.next_step(&array.0, at(0)).expect("ours");
    assert!(step.is_some() && !registration.is_registered(), "the array has not created it yet");
    let why = registration.check(&array.0, at(1)).expect_err("not registered");
    assert_eq!(why.reason, "Registering");
    assert!(why.why.contains("is being registered"), "{}", why.why);
    // The array rejected the request, and accepts it at the next check.
    registration.failed();
    assert!(!registration.is_registered());
    let why = registration.check(&array.0, at(2)).expect_err("not registered");
    assert!(why.why.contains("is not registered on this array"), "{}", why.why);
    array.next_step(&mut registration, 10);
    assert!(registration.is_registered());
    assert_eq!(registration.check(&array.0, at(10)), Ok(()));
    // A failed list changes nothing: the process keeps its state.
    registration.failed();
    assert_eq!(registration.check(&array.0, at(11)), Ok(()));
    array.0.clear();
    let why = registration.check(&array.0, at(12)).expect_err("removed");
    assert!(why.why.contains("has been removed"), "{}", why.why);
}

#[test]
fn a_registration_whose_answer_was_lost_waits_like_one_of_another_process() {
    let (mut array, mut registration) = (ArrayModel::default(), registration(7));
    let step = registration.next_step(&array.0, at(0)).expect("ours");
    array.take(step);
    registration.failed();
    array.next_step(&mut registration, 10);
    assert!(registration.is_registered());
    assert!(registration.check(&array.0, at(39)).is_err());
    assert_eq!(registration.check(&array.0, at(40)), Ok(()));
}

#[test]
fn the_next_leader_waits_for_the_former_one_unless_that_has_ended() {
    let (mut array, mut first, mut next) =
        (ArrayModel::default(), registration(1), registration(2));
    array.next_step(&mut first, 0);
    array.next_step(&mut next, 10);
    assert!(next.is_registered(), "it may make volumes");
    assert!(next.check(&array.0, at(39)).is_err(), "the former one may believe that it leads");
    assert_eq!(next.check(&array.0, at(40)), Ok(()));
    assert!(first.check(&array.0, at(10)).is_err(), "a former leader destroys nothing");
    let (from, to) = next.ending().expect("registered");
    array.take(Some(RegistrationStep::Rename { from, to }));
    let mut third = registration(3);
    array.next_step(&mut third, 50);
    assert_eq!(third.check(&array.0, at(50)), Ok(()));
    assert_eq!(array.0.len(), 1);
}

#[test]
fn of_two_with_one_identity_neither_destroys_anything() {
    let (mut array, mut one, mut copy) = (ArrayModel::default(), registration(1), registration(2));
    array.next_step(&mut one, 0);
    assert_eq!(one.check(&array.0, at(9)), Ok(()));
    for round in 1..20 {
        array.next_step(&mut copy, round * 10);
        assert!(one.check(&array.0, at(round * 10 + 5)).is_err(), "{round}");
        assert!(copy.check(&array.0, at(round * 10 + 5)).is_err(), "{round}");
        array.next_step(&mut one, round * 10 + 6);
        assert!(one.check(&array.0, at(round * 10 + 6)).is_err(), "{round}");
        assert!(copy.check(&array.0, at(round * 10 + 6)).is_err(), "{round}");
    }
    assert!(one.lost() > 10 && copy.lost() > 10);
    // The copy ends: the original continues.
    array.next_step(&mut one, 230);
    array.next_step(&mut one, 260);
    assert_eq!(one.check(&array.0, at(260)), Ok(()));
}

#[test]
fn another_cluster_of_the_name_is_refused_until_it_is_taken_over() {
    let mut array = ArrayModel::default();
    array.put("prod-is-aaaaaaaaaaaaaaaa-0000000000000001");
    let mut registration = registration(2);
    let why = registration.next_step(&array.0, at(0)).expect_err("another cluster");
    assert!(why.contains("by cluster aaaaaaaaaaaaaaaa") && why.contains("takeOver"), "{why}");
    assert!(registration.check(&array.0, at(99)).is_err() && !registration.is_registered());
    let mut heir = ClusterRegistration::new("prod", me(2), vec!["aaaaaaaaaaaaaaaa".to_owned()]);
    array.next_step(&mut heir, 0);
    assert_eq!(array.0[0].name, "prod-is-3f2a9c1e7b4d4e1a-0000000000000002");
    assert!(heir.check(&array.0, at(29)).is_err(), "that cluster may live after all");
    assert_eq!(heir.check(&array.0, at(30)), Ok(()));
    assert_eq!(heir.identities(), ["3f2a9c1e7b4d4e1a", "aaaaaaaaaaaaaaaa"]);
    // Destroyed objects and objects with other names do not count.
    let mut array = ArrayModel::default();
    array.put("prod-is-aaaaaaaaaaaaaaaa-0000000000000001");
    array.0[0].destroyed = true;
    array.put("prod2-is-aaaaaaaaaaaaaaaa-0000000000000001");
    array.next_step(&mut registration, 0);
    assert_eq!(array.0.len(), 3);
    assert_eq!(registration.check(&array.0, at(0)), Ok(()));
}

#[test]
fn two_that_were_first_at_once_become_one() {
    let (mut array, mut one, mut other) = (ArrayModel::default(), registration(1), registration(2));
    let steps = [&mut one, &mut other]
        .map(|registration| registration.next_step(&array.0, at(0)).expect("ours"));
    for step in steps {
        array.take(step);
    }
    assert_eq!(array.0.len(), 2);
    for registration in [&one, &other] {
        assert!(registration.check(&array.0, at(1)).is_err(), "which of them it is, is open");
    }
    array.next_step(&mut one, 10);
    assert_eq!(array.0.len(), 1);
    assert!(one.check(&array.0, at(11)).is_err());
    for seconds in [20, 30, 40] {
        array.next_step(&mut one, seconds);
    }
    assert_eq!(one.check(&array.0, at(40)), Ok(()));
    assert!(other.check(&array.0, at(40)).is_err());
}
