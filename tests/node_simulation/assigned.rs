//! A LUN that the array assigns again while a path of the old volume is cut: the path reaches another volume when it
//! comes back.

use pso_gen::contract::BlockTransport;

use super::lab::Lab;

fn ready(name: &str) -> Lab {
    let lab = Lab::iscsi();
    lab.create(name);
    lab.connect(name);
    lab
}

#[test]
fn fault_02_a_path_that_is_cut_while_its_lun_is_assigned_again_is_not_used_when_it_comes_back() {
    for portal in 0..2 {
        let mut lab = ready("data");
        lab.start("data");
        lab.write("data", "first").expect("a volume that works");
        let set = |lab: &Lab, is_up| {
            lab.kernel().portals.values_mut().nth(portal).expect("a portal").is_up = is_up;
        };
        set(&lab, false);
        // The volume comes back at another LUN, and its first one leads to a volume that is not staged.
        lab.disconnect("data");
        lab.create("other");
        lab.connect("other");
        lab.connect("data");
        lab.stage_once("data").expect("one path is enough");
        set(&lab, true);
        // The model stops at I/O of a map that leads to several volumes, and at a write to another volume.
        lab.write("data", "second").expect("the path that is left");
        lab.heal();
        assert_eq!(lab.kernel().maps.values().next().expect("a map").slaves.len(), 2);
        lab.write("data", "third").expect("both paths");
        assert_eq!(lab.volume("other").data, None);
        assert_eq!(lab.volume("data").data.as_deref(), Some("third"));
    }
}

#[test]
fn fault_02_a_silent_path_that_cannot_be_removed_is_no_success() {
    let mut lab = ready("data");
    lab.start("data");
    lab.kernel().portals.values_mut().next().expect("a portal").is_up = false;
    lab.faults(|faults| faults.delete_lies = true);
    let error = lab.stage_once("data").expect_err("the path is left");
    assert!(error.message.contains("which does not answer"), "{error}");
    lab.faults(|faults| faults.delete_lies = false);
    lab.stage_once("data").expect("one path is enough");
    assert_eq!(lab.kernel().maps.values().next().expect("a map").slaves.len(), 1);
}

#[test]
fn fault_02_healing_removes_a_path_whose_lun_was_assigned_again() {
    for has_multipath in [true, false] {
        let mut lab = Lab::new(BlockTransport::Iscsi, has_multipath);
        lab.create("data");
        lab.start("data");
        lab.disconnect("data");
        lab.create("other");
        lab.connect("other");
        lab.heal();
        assert_eq!(lab.write("data", "lost"), Err("EIO".to_owned()));
        assert_eq!(lab.volume("other").data, None);
    }
}
