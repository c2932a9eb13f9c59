//! Runs the provisioner's decisions against models of a cluster and of arrays, with a crash at every effect: before the
//! effect, after it but before its outcome arrives, and after the outcome has arrived.
//!
//! `PSO_GEN_SEEDS=N` runs that many seeds; a failing seed prints its last steps, and `PSO_GEN_SEED=S` runs it again.

#[path = "simulation/attaching.rs"]
mod attaching;
#[path = "simulation/binder.rs"]
mod binder;
#[path = "simulation/cluster.rs"]
mod cluster;
#[path = "simulation/run.rs"]
mod run;

use run::{Crash, EVERY, Run};

/// A claim is created, bound, expanded and deleted.
fn life(policy: &str, crashes: &[(usize, Crash)]) -> (usize, String) {
    let mut run = Run::new(1, policy);
    run.crash_at(crashes);
    run.create("data");
    run.settle();
    run.check_settled();
    run.grow("data", 3);
    run.settle();
    run.check_settled();
    run.delete("data");
    run.settle();
    run.check_settled();
    (run.effects(), run.trace())
}

/// A claim is deleted while its volume is being created, after a number of effects.
fn change_of_mind(after: usize, crashes: &[(usize, Crash)]) -> usize {
    let mut run = Run::new(1, "Delete");
    run.crash_at(crashes);
    run.create("data");
    run.steps_until_effect(after);
    run.delete("data");
    run.create("data");
    run.settle();
    run.check_settled();
    run.effects()
}

const KINDS: [Crash; 3] = [Crash::Before, Crash::Unheard, Crash::After];

#[test]
fn a_crash_at_any_effect_changes_nothing_in_the_end() {
    for policy in ["Delete", "Retain"] {
        let (effects, _) = life(policy, &[]);
        assert!(effects >= 3, "{effects}");
        for at in 0..effects {
            for kind in KINDS {
                life(policy, &[(at, kind)]);
            }
        }
    }
}

#[test]
fn two_crashes_at_any_effects_change_nothing_in_the_end() {
    for policy in ["Delete", "Retain"] {
        let (effects, _) = life(policy, &[]);
        // A crash causes further effects; the second crash may happen at one of those.
        for first in 0..effects {
            for second in first + 1..effects + 6 {
                for kinds in KINDS.iter().flat_map(|a| KINDS.iter().map(move |b| (*a, *b))) {
                    life(policy, &[(first, kinds.0), (second, kinds.1)]);
                }
            }
        }
    }
}

#[test]
fn a_claim_may_be_deleted_and_made_again_at_any_moment() {
    for after in 0..8 {
        let effects = change_of_mind(after, &[]);
        for at in 0..effects {
            for kind in KINDS {
                change_of_mind(after, &[(at, kind)]);
            }
        }
    }
}

/// A volume has scheduled snapshots for five slots; no process runs in the fourth.
fn snapshots(crashes: &[(usize, Crash)]) -> usize {
    let mut run = Run::new(1, "Delete");
    run.schedule("every 10m, keep 2");
    run.crash_at(crashes);
    run.create("data");
    run.settle();
    run.check_settled();
    for slots in [1, 1, 2, 1] {
        run.pass(slots * EVERY);
        run.settle();
        run.check_snapshots();
    }
    assert_eq!(run.snapshots("data"), 2);
    run.effects()
}

#[test]
fn snapshots_are_one_in_a_slot_whatever_crashes() {
    let effects = snapshots(&[]);
    assert!(effects > 12, "{effects}");
    for first in 0..effects {
        for kind in KINDS {
            snapshots(&[(first, kind)]);
            for second in first + 1..effects + 6 {
                snapshots(&[(first, kind), (second, KINDS[second % 3])]);
            }
        }
    }
}

#[test]
fn a_claims_own_schedule_comes_on_top_of_that_of_its_class() {
    let mut run = Run::new(1, "Delete");
    run.schedule("every 10m, keep 2");
    run.floor = Some((EVERY, 2));
    run.create("data");
    run.settle();
    assert_eq!(run.snapshots("data"), 1, "the first comes at once");
    run.keep = 5;
    run.annotate("data", "every 10m, keep 5");
    let slots = |run: &mut Run, slots| {
        for _ in 0..slots {
            run.pass(EVERY);
            run.settle();
        }
        run.snapshots("data")
    };
    assert_eq!(slots(&mut run, 7), 5);
    // The schedule is shortened: surplus snapshots are destroyed one by one, down to the minimum of the class.
    run.keep = 2;
    for wish in ["never", "every 10m, keep 1", "daily"] {
        run.annotate("data", "every 10m, keep 5");
        assert_eq!(slots(&mut run, 4), 5);
        run.annotate("data", wish);
        let fewer: Vec<usize> = (0..5).map(|_| slots(&mut run, 1)).collect();
        // The second leader of the model finishes the last round.
        assert_eq!(fewer, [4, 2, 2, 2, 2], "{wish}");
    }
    run.let_claims_reduce();
    run.annotate("data", "never");
    assert_eq!(slots(&mut run, 3), 2, "what was taken stays");
    run.keep = 1;
    run.annotate("data", "every 10m, keep 1");
    assert_eq!(slots(&mut run, 1), 1);
    run.delete("data");
    run.settle();
    run.check_settled();
}

#[test]
fn no_wish_of_a_claim_destroys_what_its_class_keeps() {
    for crash in [None, Some(Crash::Before), Some(Crash::Unheard), Some(Crash::After)] {
        let mut run = Run::new(1, "Delete");
        run.keep = 1;
        run.schedule("every 20m, keep 20");
        run.floor = Some((2 * EVERY, 20));
        run.create("data");
        run.settle();
        for _ in 0..20 {
            run.pass(2 * EVERY);
            run.settle();
        }
        assert_eq!(run.snapshots("data"), 20);
        for wish in ["every 10m, keep 1", "never", "every 20m, keep 1", "every 10m, keep 1"] {
            run.annotate("data", wish);
            let next = run.effects();
            run.crash_at(&crash.map(|kind| (next + 2, kind)).into_iter().collect::<Vec<_>>());
            for _ in 0..3 {
                run.pass(EVERY);
                run.settle();
            }
            let there = run.snapshots("data");
            assert!((20..=22).contains(&there), "{wish}: {there}");
        }
        // The class is recreated with an invalid schedule.
        run.spoil_class();
        run.annotate("data", "every 10m, keep 1");
        let before = run.snapshots("data");
        run.pass(EVERY);
        run.settle();
        assert_eq!(run.snapshots("data"), before + 1);
    }
}

/// A claim clones another one, which is deleted during the cloning or afterwards.
fn copying(source_goes_after: usize, crashes: &[(usize, Crash)]) -> usize {
    let mut run = Run::new(1, "Delete");
    run.crash_at(crashes);
    run.create("data");
    run.settle();
    run.copy("copy", "data");
    run.steps_until_effect(source_goes_after);
    if source_goes_after == usize::MAX {
        run.settle();
        run.check_settled();
        run.must_hold("copy", "data");
        run.must_hold("data", "data");
    }
    run.delete("data");
    run.settle_but_for_timers();
    run.delete("copy");
    run.settle();
    run.check_settled();
    run.effects()
}

#[test]
fn copies_hold_what_they_are_copies_of() {
    let effects = copying(usize::MAX, &[]);
    for at in 0..effects {
        for kind in KINDS {
            copying(usize::MAX, &[(at, kind)]);
        }
        copying(at, &[]);
    }
}

/// A claim is restored from a VolumeSnapshot, which is destroyed meanwhile or afterwards.
fn restoring(snapshot_goes_after: usize, crashes: &[(usize, Crash)]) -> usize {
    let mut run = Run::new(1, "Delete");
    run.have_snapshots();
    run.create("data");
    run.settle();
    run.take_volume_snapshot("data");
    run.crash_at(crashes);
    run.restore("restored");
    run.steps_until_effect(snapshot_goes_after);
    if snapshot_goes_after == usize::MAX {
        run.settle();
        run.check_settled();
        run.must_be_restored("restored", "data");
    }
    run.destroy_volume_snapshot();
    run.settle_but_for_timers();
    run.delete("restored");
    run.delete("data");
    run.settle();
    run.check_settled();
    run.must_be_empty();
    run.effects()
}

#[test]
fn a_restored_claim_holds_what_its_snapshot_holds() {
    let effects = restoring(usize::MAX, &[]);
    for at in 0..effects {
        for kind in KINDS {
            restoring(usize::MAX, &[(at, kind)]);
            for second in at..effects {
                restoring(usize::MAX, &[(at, kind), (second, Crash::Unheard)]);
            }
        }
        restoring(at, &[]);
    }
}

#[test]
fn what_another_array_does_not_have_is_not_gone() {
    let mut run = Run::new(1, "Delete");
    run.create("data");
    run.settle();
    for name in ["fb1", "fb2"] {
        run.swap_array(name, "another");
    }
    run.delete("data");
    run.settle_but_for_timers();
    run.must_still_tell_of_its_volume();
    for name in ["fb1", "fb2"] {
        run.swap_array(name, &format!("id-of-{name}"));
    }
    run.settle();
    run.check_settled();
}

#[test]
fn claims_are_bound_while_kubernetes_does_not_come_to_them() {
    for policy in ["Delete", "Retain"] {
        let mut run = Run::new(1, policy);
        run.keep_binder_from_claims(true);
        for name in ["a", "b", "c"] {
            run.create(name);
        }
        run.settle();
        run.check_settled();
    }
}

#[test]
fn orphans_are_reported_and_left() {
    for policy in ["Delete", "Retain"] {
        let mut run = Run::new(1, policy);
        run.create("living");
        run.create("deleted");
        run.settle();
        run.delete("deleted");
        run.leave_orphan("late");
        run.settle();
        run.check_settled();
        assert_eq!(run.check_orphans(), 1, "{policy}");
        // A claim with the same name is another claim.
        run.create("late");
        run.settle();
        run.check_settled();
        assert_eq!(run.check_orphans(), 1, "{policy}");
    }
}

/// A released volume waits for its destruction for some steps, and an admin rescues it meanwhile. Returns whether there
/// was a volume to rescue.
fn saving(waits: u64, steps: usize, policy: &str) -> bool {
    let mut run = Run::new(1, "Delete");
    run.create("data");
    run.settle();
    run.delete("data");
    for _ in 0..steps {
        run.go_on();
    }
    run.pass(waits);
    let saved = run.save_released("saved", policy);
    run.settle();
    run.check_settled();
    if saved {
        run.must_be_alive(1);
        run.grow("saved", 4);
        run.settle();
        run.check_settled();
        run.delete("saved");
        run.settle();
        run.check_settled();
        run.must_be_alive(usize::from(policy == "Retain"));
    }
    saved
}

#[test]
fn what_an_admin_saves_while_its_end_waits_is_kept_and_served() {
    for policy in ["Retain", "Delete"] {
        let saved = (0..60).filter(|steps| saving(30, *steps, policy)).count();
        assert!(saved > 5, "{saved}");
    }
}

#[test]
fn a_persistent_volume_that_has_lost_its_finalizer_gets_it_again() {
    let mut run = Run::new(1, "Delete");
    run.create("data");
    run.settle();
    run.strip_volumes();
    run.settle();
    run.must_all_be_held();
    run.delete("data");
    run.settle();
    run.check_settled();
    run.must_be_alive(0);
}

#[test]
fn a_claim_that_is_torn_off_at_any_moment_leaves_nothing() {
    for seed in 0..8 {
        for steps in 0..80 {
            let mut run = Run::new(seed, "Delete");
            run.create("data");
            for _ in 0..steps {
                run.go_on();
            }
            run.tear_off("data");
            run.settle();
            run.must_be_alive(0);
            run.check_settled();
        }
    }
}

/// The class of a claim is deleted after a number of effects, and is recreated later, or the claim is deleted.
fn class_goes(after: usize, comes_back: bool, crashes: &[(usize, Crash)]) -> usize {
    let mut run = Run::new(1, "Delete");
    run.crash_at(crashes);
    run.create("data");
    run.steps_until_effect(after);
    run.set_class(false);
    run.settle_but_for_timers();
    if comes_back {
        run.set_class(true);
        run.settle();
        run.check_settled();
    } else {
        run.delete("data");
        run.settle();
        run.must_be_empty();
        run.must_be_alive(0);
    }
    run.effects()
}

#[test]
fn a_class_that_goes_at_any_moment_leaves_nothing_half_done() {
    for (after, comes_back) in (0..8).flat_map(|after| [(after, true), (after, false)]) {
        let effects = class_goes(after, comes_back, &[]);
        for at in 0..effects {
            for kind in KINDS {
                class_goes(after, comes_back, &[(at, kind)]);
            }
        }
    }
}

/// The array of a claim's volume is removed from the storage document after a number of effects. Returns whether a
/// PersistentVolume of the array existed by then.
fn array_goes(after: usize, crashes: &[(usize, Crash)]) -> (usize, bool) {
    let mut run = Run::new(1, "Delete");
    run.crash_at(crashes);
    run.create("data");
    run.steps_until_effect(after);
    run.take_out("fb1");
    run.settle();
    let stays = run.array_of("data") == "fb1";
    run.delete("data");
    if stays {
        // The volume is kept until the admin declares the array gone.
        run.settle_but_for_timers();
        run.must_still_tell_of_its_volume();
    } else {
        run.settle();
        run.must_be_empty();
    }
    (run.effects(), stays)
}

#[test]
fn an_array_that_is_taken_out_at_any_moment_lets_claims_end() {
    let mut stayed = Vec::new();
    for after in 0..8 {
        let (effects, stays) = array_goes(after, &[]);
        stayed.push(stays);
        for at in 0..effects {
            for kind in KINDS {
                array_goes(after, &[(at, kind)]);
            }
        }
    }
    assert!(stayed.contains(&true) && stayed.contains(&false), "{stayed:?}");
}

/// A PersistentVolume that names a claim, or fits it, appears a number of steps after the claim. Returns whether the
/// claim was bound to it, and the number of effects.
fn arriving(
    seed: u64,
    named: bool,
    steps: usize,
    controller: bool,
    crashes: &[(usize, Crash)],
) -> (bool, usize) {
    let mut run = Run::new(seed, ["Delete", "Retain"][steps % 2]);
    if controller {
        run.leave_binding();
    }
    if seed % 3 == 1 && !controller {
        run.expect_crowd(0);
    }
    run.crash_at(crashes);
    if steps == 0 {
        run.create_static_for(named.then_some(("data", None)), 1);
    }
    run.create("data");
    for _ in 1..steps {
        run.go_on();
    }
    if steps > 0 {
        run.create_static_for(named.then_some(("data", None)), 1);
    }
    run.settle();
    run.check_settled();
    (run.got_static("data"), run.effects())
}

#[test]
fn a_claim_gets_the_persistent_volume_that_was_there_before_it() {
    // In these runs, one watch is far behind the other.
    for seed in [0, 1, 5, 7, 10, 35] {
        for (named, controller) in [(true, false), (false, false), (true, true), (false, true)] {
            let (got, effects) = arriving(seed, named, 0, controller, &[]);
            assert!(got && effects <= 12, "{seed} {named} {controller}: {effects}");
            for at in 0..effects {
                for kind in KINDS {
                    assert!(arriving(seed, named, 0, controller, &[(at, kind)]).0);
                }
            }
        }
    }
}

#[test]
fn a_watch_that_lags_undoes_no_claim_to_a_persistent_volume() {
    for seed in 0..40 {
        for named in [true, false] {
            let mut run = Run::new(seed, "Delete");
            // kube-controller-manager processes nothing, and the claim is started without it.
            run.expect_crowd(0);
            run.keep_binder_from_claims(true);
            run.create_static_for(named.then_some(("data", None)), 1);
            run.create("data");
            run.let_volumes_lag(60);
            run.keep_binder_from_claims(false);
            run.settle();
            run.check_settled();
            assert!(run.got_static("data"), "{seed} {named}");
        }
    }
}

#[test]
fn whenever_a_persistent_volume_comes_nothing_is_left_of_the_one_that_is_not_used() {
    let mut got = [0, 0];
    for seed in [0, 1, 5, 7] {
        for steps in 1..50 {
            for controller in [false, true] {
                let (static_, effects) = arriving(seed, true, steps, controller, &[]);
                got[usize::from(static_)] += 1;
                for at in 0..effects {
                    arriving(seed, true, steps, controller, &[(at, KINDS[(at + steps) % 3])]);
                }
            }
        }
    }
    assert!(got[0] > 10 && got[1] > 10, "either is bound, by when it came: {got:?}");
}

#[test]
fn seeds_beyond() {
    let number = |name: &str| std::env::var(name).ok().and_then(|word| word.parse::<u64>().ok());
    if let Some(seed) = number("PSO_GEN_SEED") {
        run::at_random(seed);
        return;
    }
    for seed in 0..number("PSO_GEN_SEEDS").unwrap_or(2000) {
        run::at_random(seed);
    }
}
