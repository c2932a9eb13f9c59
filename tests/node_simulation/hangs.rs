//! Faults that hang nodes and pods or leave something behind, each by name: what the node service does about it.

use std::time::Duration;

use super::lab::{GIB, Lab, handle, serial, target};

fn ready(name: &str) -> Lab {
    let lab = Lab::iscsi();
    lab.create(name);
    lab.connect(name);
    lab
}

#[test]
fn fault_08_all_paths_down_hold_up_no_unmount() {
    let mut lab = ready("data");
    lab.start("data");
    for portal in lab.kernel().portals.values_mut() {
        portal.is_up = false;
    }
    lab.unpublish("data", "pod");
    lab.unstage("data");
    lab.must_be_empty();
    // An unmount that hangs takes 30 s of the model's time.
    assert!(lab.kernel().time < Duration::from_secs(10), "{:?}", lab.kernel().time);
}

#[test]
fn fault_08_a_lazy_unmount_is_the_last_resort() {
    let mut lab = ready("data");
    lab.start("data");
    lab.unpublish("data", "pod");
    for portal in lab.kernel().portals.values_mut() {
        portal.is_up = false;
    }
    lab.faults(|faults| faults.keeps_queueing = true);
    lab.unstage_once("data").expect("detached from the path");
    lab.must_be_empty();
    let lazy = lab.kernel().trace.iter().filter(|step| step.contains("lazy: true")).count();
    assert_eq!(lazy, 1);
}

#[test]
fn fault_09_a_map_in_use_is_an_error_and_a_moment_later_it_is_gone() {
    let mut lab = ready("data");
    lab.stage("data");
    let soon = lab.kernel().time + Duration::from_secs(3);
    let open = |lab: &Lab, until| {
        for map in lab.kernel().maps.values_mut() {
            map.open_until = until;
        }
    };
    open(&lab, Duration::MAX);
    lab.faults(|faults| faults.flush_suspends = true);
    let error = lab.unstage_once("data").expect_err("in use");
    assert!(error.message.contains("in use"), "{error}");
    assert_eq!(lab.kernel().disks.len(), 2, "no path is taken from a map that stays");
    let later = lab.kernel().time + soon;
    open(&lab, later);
    lab.unstage_once("data").expect("udev has closed it");
    lab.must_be_empty();
}

#[test]
fn fault_09_a_suspended_map_is_resumed_or_named() {
    let mut lab = ready("data");
    lab.stage("data");
    let suspend = |lab: &Lab| {
        for map in lab.kernel().maps.values_mut() {
            map.is_suspended = true;
        }
    };
    suspend(&lab);
    lab.stage_once("data").expect("resumed");
    suspend(&lab);
    lab.faults(|faults| faults.stays_suspended = true);
    let error = lab.stage_once("data").expect_err("suspended");
    assert!(error.message.contains("stays suspended"), "{error}");
    let error = lab.unstage_once("data").expect_err("suspended");
    assert!(error.message.contains("stays suspended"), "{error}");
    lab.faults(|faults| faults.stays_suspended = false);
    lab.unstage("data");
    lab.must_be_empty();
}

#[test]
fn fault_10_the_second_path_may_be_late_or_missing() {
    let mut lab = ready("late");
    lab.kernel().portals.values_mut().next_back().expect("a portal").from = Duration::from_secs(5);
    lab.stage("late");
    assert_eq!(lab.kernel().maps.values().next().expect("a map").slaves.len(), 2);
    lab.unstage("late");
    lab.must_be_empty();

    let mut lab = ready("dead");
    lab.kernel().portals.values_mut().next().expect("a portal").is_up = false;
    lab.stage_once("dead").expect("one path is enough");
    assert!(lab.kernel().time < Duration::from_secs(15), "{:?}", lab.kernel().time);
    // The second path comes while the volume is in use, by an admin's hand; unstaging finds it.
    lab.kernel().portals.values_mut().next().expect("a portal").is_up = true;
    let serial = serial("dead");
    let bus = lab.kernel().disks.values().next().and_then(|disk| disk.bus);
    lab.kernel().add_disk(
        bus.map(|bus| pso_gen::node::decide::Bus { target: 1, ..bus }),
        9,
        &serial,
    );
    lab.unstage("dead");
    lab.must_be_empty();
}

#[test]
fn fault_10_a_path_that_comes_back_is_added_and_nothing_is_removed() {
    let mut lab = ready("data");
    let set = |lab: &Lab, is_up| {
        lab.kernel().portals.values_mut().next().expect("a portal").is_up = is_up;
    };
    set(&lab, false);
    lab.start("data");
    lab.heal();
    assert_eq!(lab.sessions_and_disks(), (1, 1));
    set(&lab, true);
    lab.heal();
    assert_eq!(lab.sessions_and_disks(), (2, 2));
    assert_eq!(lab.kernel().maps.values().next().expect("a map").slaves.len(), 2);
    let effects = lab.kernel().effects;
    lab.heal();
    assert!(lab.kernel().effects <= effects + 2, "paths are asked and nothing else");
    // The array has assigned the LUN to a volume in use: its paths stay.
    lab.disconnect("data");
    lab.create("new");
    lab.connect("new");
    lab.stage("new");
    lab.kernel().states.values_mut().for_each(|state| state.lun = 1);
    let before = lab.sessions_and_disks();
    lab.heal();
    assert_eq!(lab.sessions_and_disks(), before);
    lab.publish("new", "pod");
    lab.write("new", "new").expect("still there");
}

#[test]
fn fault_10_a_map_contains_no_path_of_another_volume() {
    let mut lab = ready("other");
    lab.start("other");
    lab.create("data");
    lab.connect("data");
    lab.faults(|faults| faults.wrong_slave = Some("sdb".to_owned()));
    lab.stage_once("data").expect("the path is taken out");
    lab.write("other", "mine").expect("still there");
    assert_eq!(lab.volume("data").data, None);
}

#[test]
fn fault_13_what_kubelet_forgot_is_unstaged_at_the_start() {
    let mut lab = ready("forgotten");
    lab.start("forgotten");
    lab.create("attached");
    lab.start("attached");
    lab.create("used");
    lab.start("used");
    lab.unpublish("forgotten", "pod");
    lab.unpublish("attached", "pod");
    lab.kill();
    assert_eq!(lab.clean_up(&["attached"]), [handle("forgotten")]);
    lab.must_be_gone("forgotten");
    lab.publish("attached", "pod");
    lab.write("used", "mine").expect("still there");
}

#[test]
fn fault_14_sessions_and_records_end_with_the_last_volume_of_the_array() {
    let mut lab = ready("one");
    lab.create("two");
    lab.start("one");
    lab.start("two");
    assert_eq!(lab.sessions_and_records(), (2, 2));
    lab.stop("one");
    assert_eq!(lab.sessions_and_records(), (2, 2));
    lab.write("two", "two").expect("still there");
    lab.stop("two");
    lab.must_be_empty();
}

#[test]
fn fault_14_a_session_that_others_use_stays() {
    let mut lab = ready("data");
    lab.stage("data");
    // A LUN that pso-gen has not staged: the node boots from it.
    lab.create("boot");
    let boot = serial("boot");
    let bus = lab.kernel().disks.values().next().and_then(|disk| disk.bus);
    lab.kernel().add_disk(bus, 200, &boot);
    lab.unstage("data");
    assert_eq!(lab.sessions_and_disks(), (2, 1));
}

#[test]
fn fault_15_a_new_process_unstages_what_the_old_one_staged() {
    let mut lab = ready("data");
    lab.start("data");
    lab.kill();
    lab.stop("data");
    lab.must_be_empty();
    // Even the state file is lost: what is mounted says which volume it is.
    lab.connect("data");
    lab.stage("data");
    lab.kill();
    lab.kernel().states.clear();
    lab.unstage("data");
    lab.must_be_gone("data");
}

#[test]
fn fault_16_a_raw_block_device_that_is_gone_can_be_unpublished() {
    let mut lab = ready("data").block(true);
    lab.start("data");
    lab.write("data", "raw").expect("a device that works");
    for portal in lab.kernel().portals.values_mut() {
        portal.is_up = false;
    }
    lab.unpublish("data", "pod");
    assert!(!lab.kernel().nodes.contains_key(&target("data", "pod")));
    // Buffers that no path can take are lost with the device; the model knows no other way to say so.
    lab.kernel().dirty.clear();
    lab.unstage("data");
    lab.must_be_empty();
}

#[test]
fn fault_16_a_device_in_use_by_a_pod_is_not_unstaged() {
    for block in [true, false] {
        let mut lab = ready("data").block(block);
        lab.start("data");
        let error = lab.unstage_once("data").expect_err("in use");
        assert!(error.message.contains("is still mounted at"), "{error}");
        lab.write("data", "mine").expect("still there");
    }
}

#[test]
fn fault_17_an_aborted_file_system_is_abnormal_and_mends_with_the_next_pod() {
    let mut lab = ready("data");
    lab.start("data");
    assert_eq!(lab.stats("data").expect("published").abnormal, None);
    let set = |lab: &Lab, is_up| {
        for portal in lab.kernel().portals.values_mut() {
            portal.is_up = is_up;
        }
    };
    set(&lab, false);
    // The model stops when a file system is asked that does not answer.
    let abnormal = lab.stats("data").expect("published").abnormal.expect("abnormal");
    assert!(abnormal.contains("path"), "{abnormal}");
    assert_eq!(lab.write("data", "lost"), Err("EIO".to_owned()));
    let abnormal = lab.stats("data").expect("published").abnormal.expect("abnormal");
    assert!(abnormal.contains("path"), "{abnormal}");
    set(&lab, true);
    let abnormal = lab.stats("data").expect("published").abnormal.expect("abnormal");
    assert!(abnormal.contains("read-only"), "{abnormal}");
    // While the pod runs, nothing is unmounted below it.
    let error = lab.stage_once("data").expect_err("in use");
    assert!(error.message.contains("delete these pods"), "{error}");
    lab.publish_once("data", "second").expect_err("read-only");
    lab.unpublish("data", "pod");
    lab.stage("data");
    lab.publish("data", "pod");
    lab.write("data", "again").expect("mended");
}

#[test]
fn fault_17_an_aborted_file_system_that_the_kernel_does_not_show_is_found_by_writing() {
    let mut lab = ready("data");
    lab.faults(|faults| faults.quiet_abort = true);
    lab.start("data");
    let set = |lab: &Lab, is_up| {
        for portal in lab.kernel().portals.values_mut() {
            portal.is_up = is_up;
        }
    };
    set(&lab, false);
    assert_eq!(lab.write("data", "lost"), Err("EIO".to_owned()));
    set(&lab, true);
    let abnormal = lab.stats("data").expect("published").abnormal.expect("abnormal");
    assert!(abnormal.contains("errors"), "{abnormal}");
    let error = lab.publish_once("data", "second").expect_err("kubelet does not stage it again");
    assert!(error.message.contains("staged again"), "{error}");
    let error = lab.stage_once("data").expect_err("a pod uses it");
    assert!(error.message.contains("delete these pods"), "{error}");
    lab.unpublish("data", "pod");
    lab.stage("data");
    lab.publish("data", "pod");
    lab.write("data", "again").expect("mended");
}

#[test]
fn fault_17_an_abnormal_volume_has_a_size_so_that_kubelet_reads_its_condition() {
    let mut lab = ready("data");
    lab.start("data");
    let set = |lab: &Lab, is_up| {
        for portal in lab.kernel().portals.values_mut() {
            portal.is_up = is_up;
        }
    };
    let size = |lab: &mut Lab| {
        let stats = lab.stats("data").expect("published");
        (stats.bytes.total, stats.inodes.is_some(), stats.abnormal.expect("abnormal"))
    };
    set(&lab, false);
    let (total, has_inodes, abnormal) = size(&mut lab);
    assert!(abnormal.contains("no live path"), "{abnormal}");
    assert_eq!((total, has_inodes), (GIB, false), "the map has its size");
    lab.write("data", "lost").expect_err("no path");
    // The file system is read-only, and answers.
    set(&lab, true);
    lab.change("data", |volume| volume.fs_size = GIB / 2);
    let (total, has_inodes, abnormal) = size(&mut lab);
    assert!(abnormal.contains("read-only"), "{abnormal}");
    assert_eq!((total, has_inodes), (GIB / 2, true), "the file system has its usage");
    lab.faults(|faults| faults.no_usage = true);
    let (total, has_inodes, abnormal) = size(&mut lab);
    assert!(abnormal.contains("read-only"), "the first cause: {abnormal}");
    assert_eq!((total, has_inodes), (GIB, false));
    lab.kernel().aborted.clear();
    let (total, _, abnormal) = size(&mut lab);
    assert!(abnormal.contains("cannot be read"), "{abnormal}");
    assert_eq!(total, GIB);
    // Nothing of the device is left but its mount.
    lab.kernel().disks.clear();
    lab.kernel().maps.clear();
    let (total, _, abnormal) = size(&mut lab);
    assert!(abnormal.contains("no path"), "{abnormal}");
    assert_eq!(total, 0);
}

#[test]
fn fault_17_a_file_system_with_old_errors_that_takes_writes_stays_in_use() {
    let mut lab = ready("data");
    lab.start("data");
    lab.faults(|faults| faults.old_errors = true);
    let stats = lab.stats("data").expect("published");
    let abnormal = stats.abnormal.expect("abnormal");
    assert!(abnormal.contains("errors") && !abnormal.contains("read-only"), "{abnormal}");
    assert_eq!(stats.bytes.total, GIB);
    lab.stage_once("data").expect("it takes writes");
    lab.publish_once("data", "second").expect("it takes writes");
    lab.write("data", "mine").expect("it takes writes");
}

#[test]
fn fault_22_a_holder_on_the_host_is_named_and_left() {
    let mut lab = ready("data");
    lab.stage("data");
    let hold = |lab: &Lab, name: &str, uuid: &str| {
        for map in lab.kernel().maps.values_mut() {
            map.holders = vec![(name.to_owned(), uuid.to_owned())];
        }
    };
    hold(&lab, "dm-9", "LVM-abc");
    let error = lab.unstage_once("data").expect_err("held");
    assert!(error.message.contains("dm-9") && error.message.contains("global_filter"), "{error}");
    assert_eq!(lab.maps_and_disks(), (1, 2));
    hold(&lab, "dm-9", "");
    lab.kernel().maps.values_mut().for_each(|map| map.holders.clear());
    lab.unstage("data");
    lab.must_be_empty();
}
