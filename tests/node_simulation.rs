//! Runs the node service against a model of a kernel and an array whose devices can lie, with a crash at every effect:
//! before it, after it, and in the midst of the creation of a file system.
//!
//! The model stops the test at the effect that would format data, mount another volume, or take a path away from a
//! volume in use; after each success the lab looks whether it is true.

#[path = "node_simulation/assigned.rs"]
mod assigned;
#[path = "node_simulation/chap.rs"]
mod chap;
#[path = "node_simulation/effects.rs"]
mod effects;
#[path = "node_simulation/expansion.rs"]
mod expansion;
#[path = "node_simulation/faults.rs"]
mod faults;
#[path = "node_simulation/hangs.rs"]
mod hangs;
#[path = "node_simulation/host.rs"]
mod host;
#[path = "node_simulation/kernel.rs"]
mod kernel;
#[path = "node_simulation/lab.rs"]
mod lab;
#[path = "node_simulation/mounts.rs"]
mod mounts;
#[path = "node_simulation/observation.rs"]
mod observation;
#[path = "node_simulation/sharing.rs"]
mod sharing;
#[path = "node_simulation/transports.rs"]
mod transports;

use kernel::{Crash, On};
use lab::{GIB, Lab};
use pso_gen::contract::BlockTransport;
use pso_gen::node::FsType;

const KINDS: [Crash; 3] = [Crash::Before, Crash::Midway, Crash::After];

/// A volume is staged, published, written, expanded, unpublished and unstaged. Returns the number of effects.
fn round(lab: &mut Lab, crashes: &[(usize, Crash)]) -> usize {
    lab.crash_at(crashes);
    lab.create("data");
    lab.start("data");
    lab.write("data", "first").expect("a volume that works");
    lab.change("data", |volume| volume.size = 2 * GIB);
    assert!(lab.expand("data", 2 * GIB) >= 2 * GIB);
    lab.stop("data");
    lab.must_be_empty();
    assert_eq!(lab.volume("data").data.as_deref(), Some("first"));
    lab.kernel().effects
}

/// Such a round, and a second one after the volume has grown while it was detached.
fn life(mut lab: Lab, crashes: &[(usize, Crash)]) -> usize {
    round(&mut lab, crashes);
    lab.change("data", |volume| volume.size = 3 * GIB);
    lab.start("data");
    let volume = lab.volume("data");
    assert_eq!(volume.data.as_deref(), Some("first"));
    lab.stop("data");
    lab.must_be_empty();
    lab.kernel().effects
}

fn labs() -> Vec<fn() -> Lab> {
    vec![
        Lab::iscsi,
        || Lab::new(BlockTransport::Iscsi, false),
        || Lab::iscsi().with(FsType::Xfs),
        || Lab::iscsi().block(true),
        || Lab::new(BlockTransport::NvmeTcp, false),
        || Lab::new(BlockTransport::FibreChannel, true),
    ]
}

#[test]
fn a_crash_at_any_effect_changes_nothing_in_the_end() {
    for lab in labs() {
        let effects = life(lab(), &[]);
        assert!(effects > 25, "{effects}");
        for at in 0..effects {
            for kind in KINDS {
                life(lab(), &[(at, kind)]);
            }
        }
    }
}

#[test]
fn two_crashes_at_any_effects_change_nothing_in_the_end() {
    for lab in [Lab::iscsi, || Lab::new(BlockTransport::NvmeTcp, false).block(true)] {
        let effects = round(&mut lab(), &[]);
        for first in 0..effects {
            for second in first + 1..effects + 6 {
                // Only one effect has a midst; the test above ends the process there.
                for kinds in
                    [KINDS[0], KINDS[2]].iter().flat_map(|a| [(*a, KINDS[0]), (*a, KINDS[2])])
                {
                    round(&mut lab(), &[(first, kinds.0), (second, kinds.1)]);
                }
            }
        }
    }
}

/// The call that creates the file system is given up at each effect; the volume is unstaged and staged again.
#[test]
fn a_file_system_that_was_cut_off_is_created_again_on_this_node_only() {
    for fs_type in FsType::ALL {
        let new = || Lab::iscsi().with(fs_type);
        let mut lab = new();
        lab.create("data");
        lab.connect("data");
        lab.stage("data");
        let effects = lab.kernel().effects;
        for at in 0..effects {
            for kind in KINDS {
                let mut lab = new();
                lab.crash_at(&[(at, kind)]);
                lab.create("data");
                lab.connect("data");
                lab.stage_once("data").expect_err("the process has ended");
                lab.unstage("data");
                lab.must_be_empty();
                let is_partial = lab.volume("data").on == On::Partial;
                // Another node, which knows nothing of it, refuses.
                let states = std::mem::take(&mut lab.kernel().states);
                if is_partial {
                    let error = lab.stage_once("data").expect_err("data");
                    assert!(error.message.contains("does not overwrite"), "{error}");
                    lab.unstage("data");
                }
                lab.kernel().states = states;
                lab.stage("data");
                assert_eq!(lab.volume("data").on, On::FileSystem(fs_type));
            }
        }
    }
}

#[test]
fn the_node_loses_power_at_any_effect() {
    let effects = {
        let mut lab = Lab::iscsi();
        lab.create("data");
        lab.start("data");
        lab.kernel().effects
    };
    for at in 0..effects {
        for kind in KINDS {
            let mut lab = Lab::iscsi();
            lab.crash_at(&[(at, kind)]);
            lab.create("data");
            lab.connect("data");
            let _ = lab.stage_once("data").and_then(|()| lab.publish_once("data", "pod"));
            lab.kernel().power_cut();
            lab.start("data");
            lab.write("data", "after").expect("a volume that works");
            lab.stop("data");
            lab.must_be_empty();
        }
    }
}
