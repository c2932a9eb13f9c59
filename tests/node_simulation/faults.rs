//! Faults that users of block drivers have suffered, each by name: what the node service does about it.

use std::time::Duration;

use pso_gen::contract::BlockTransport;
use pso_gen::node::{FsType, NodeErrorKind};

use super::kernel::{On, ROOT_DISK};
use super::lab::{GIB, Lab, handle, serial, staging, target};

fn ready(name: &str) -> Lab {
    let lab = Lab::iscsi();
    lab.create(name);
    lab.connect(name);
    lab
}

#[test]
fn fault_01_a_device_that_cannot_be_read_is_not_formatted() {
    let mut lab = ready("data");
    lab.faults(|faults| faults.unreadable = 1);
    let error = lab.stage_once("data").expect_err("refused");
    assert_eq!(error.kind, NodeErrorKind::Unavailable);
    assert!(error.message.contains("nothing is formatted"), "{error}");
    assert_eq!(lab.volume("data").on, On::Zeros);
    lab.stage("data");
    assert_eq!(lab.volume("data").on, On::FileSystem(FsType::Ext4));
}

#[test]
fn fault_01_data_is_not_formatted_whatever_the_record_says() {
    for on in [On::Data, On::Partial, On::FileSystem(FsType::Xfs)] {
        let mut lab = ready("data");
        lab.change("data", |volume| volume.on = on);
        let error = lab.stage_once("data").expect_err("refused");
        assert_eq!(error.kind, NodeErrorKind::FailedPrecondition, "{error}");
        assert_eq!(lab.volume("data").on, on);
        assert_eq!(lab.world().mounts.len(), 0);
    }
}

#[test]
fn fault_01_a_volume_of_zeros_is_not_formatted_when_the_record_says_formatted() {
    let mut lab = ready("data");
    lab.change("data", |volume| volume.is_recorded = true);
    let error = lab.stage_once("data").expect_err("refused");
    assert!(error.message.contains("has been formatted before"), "{error}");
    assert_eq!(lab.volume("data").on, On::Zeros);
}

#[test]
fn fault_01_a_state_file_alone_allows_no_formatting() {
    // The creation was cut off here, another node completed it, a pod wrote there, and the volume comes back.
    let mut lab = ready("data");
    lab.change("data", |volume| volume.on = On::Partial);
    let _ = lab.stage_once("data");
    for state in lab.world().states.values_mut() {
        state.formatting = true;
    }
    lab.change("data", |volume| {
        (volume.on, volume.is_recorded) = (On::Data, true);
    });
    lab.stage_once("data").expect_err("refused");
    assert_eq!(lab.volume("data").on, On::Data);
}

#[test]
fn fault_01_no_pod_reaches_a_file_system_before_it_is_recorded() {
    let mut lab = ready("data");
    lab.faults(|faults| faults.no_record = true);
    let error = lab.stage_once("data").expect_err("refused");
    assert_eq!(error.kind, NodeErrorKind::Unavailable);
    assert_eq!(lab.world().mounts.len(), 0);
    lab.faults(|faults| faults.no_record = false);
    lab.start("data");
}

#[test]
fn fault_02_a_lun_that_is_assigned_again_leads_to_the_new_volume() {
    for transport in [BlockTransport::Iscsi, BlockTransport::FibreChannel, BlockTransport::NvmeTcp]
    {
        for has_multipath in [true, false] {
            let mut lab = Lab::new(transport, has_multipath);
            lab.create("old");
            lab.start("old");
            lab.write("old", "old").expect("a volume that works");
            // The array disconnects the old volume under its mount, and the new one gets its LUN.
            lab.disconnect("old");
            lab.create("new");
            lab.connect("new");
            lab.stage_once("new").expect("at the first attempt");
            lab.start("new");
            lab.write("new", "new").expect("a volume that works");
            let _ = lab.write("old", "lost");
            assert_eq!(lab.volume("old").data.as_deref(), Some("old"));
            assert_eq!(lab.volume("new").data.as_deref(), Some("new"));
            lab.unpublish("old", "pod");
            lab.unstage("old");
            lab.write("new", "again").expect("still there");
            lab.stop("new");
            lab.must_be_empty();
        }
    }
}

#[test]
fn fault_02_an_attachment_that_is_out_of_date_takes_no_path_of_a_volume_in_use() {
    let mut lab = ready("used");
    lab.start("used");
    lab.create("late");
    let mut attachment = lab.attachment("late");
    attachment.lun = lab.attachment("used").lun;
    let error = lab.stage_with("late", attachment).expect_err("another volume");
    assert_eq!(error.kind, NodeErrorKind::FailedPrecondition);
    assert!(error.message.contains("presents another volume"), "{error}");
    lab.write("used", "still").expect("still there");
    assert_eq!(lab.world().disks.len(), 2);
}

#[test]
fn fault_02_the_kernels_record_is_not_believed() {
    let mut lab = ready("old");
    lab.start("old");
    lab.write("old", "old").expect("a volume that works");
    // The old volume comes back at another LUN, and its first one leads to a new volume that is not staged.
    lab.disconnect("old");
    lab.create("new");
    lab.connect("new");
    lab.connect("old");
    assert_eq!(lab.attachment("old").lun, 2);
    lab.stage_once("old").expect("the paths of the first LUN are removed");
    lab.write("old", "again").expect("a volume that works");
    assert_eq!((lab.volume("new").data, lab.world().disks.len()), (None, 2));
}

#[test]
fn fault_02_a_disk_that_changes_its_volume_while_it_is_unused_is_removed() {
    let mut lab = ready("old");
    lab.stage("old");
    lab.kill();
    lab.world().power_cut();
    // After the boot the disks of the old LUN are there without a map.
    lab.stage("old");
    let name = staging("old");
    lab.world().mounts.retain(|mount| mount.path != name);
    lab.world().maps.clear();
    lab.disconnect("old");
    lab.create("new");
    lab.start("new");
    lab.write("new", "new").expect("a volume that works");
}

#[test]
fn fault_03_a_stale_mount_at_the_staging_path_is_not_taken_for_the_volume() {
    let mut lab = ready("data");
    lab.stage("data");
    let mount = super::kernel::KernelMount {
        path: staging("data"),
        number: ROOT_DISK,
        root: "/".into(),
        read_only: false,
        device: None,
    };
    // Something else is mounted over it.
    lab.world().mounts.push(mount.clone());
    lab.stage("data");
    assert_eq!(lab.world().mounts.len(), 1);
    // The device below is gone, and its number belongs to another one.
    lab.world().mounts[0].number = ROOT_DISK;
    lab.stage("data");
    lab.publish("data", "pod");
    // A pod's path has another device.
    lab.world().mounts.last_mut().expect("a mount").number = ROOT_DISK;
    lab.publish("data", "pod");
    lab.stop("data");
    lab.must_be_empty();
}

#[test]
fn fault_03_what_is_staged_is_checked_before_a_pod_gets_it() {
    let mut lab = ready("data");
    lab.stage("data");
    lab.world().mounts[0].number = ROOT_DISK;
    let error = lab.publish_once("data", "pod").expect_err("another device");
    assert!(error.message.contains("is not given to a pod"), "{error}");
    lab.world().mounts.clear();
    lab.publish_once("data", "pod").expect_err("nothing is staged");
}

#[test]
fn fault_03_unstaging_fails_rather_than_lies() {
    for change in
        [(|faults| faults.unmount_lies = true) as fn(&mut super::kernel::Faults), |faults| {
            faults.delete_lies = true;
        }]
    {
        let mut lab = ready("data");
        lab.stage("data");
        lab.faults(change);
        lab.unstage_once("data").expect_err("something is left");
        lab.faults(|faults| (faults.unmount_lies, faults.delete_lies) = (false, false));
        lab.unstage("data");
        lab.must_be_empty();
    }
}

#[test]
fn fault_03_two_mounts_at_one_path_are_both_unmounted() {
    let mut lab = ready("data");
    lab.stage("data");
    let again = lab.world().mounts[0].clone();
    lab.world().mounts.push(again);
    lab.unstage("data");
    lab.must_be_empty();
}

#[test]
fn fault_04_a_node_that_comes_back_logs_in_to_nothing() {
    let mut lab = ready("data");
    lab.start("data");
    // The model stops at a record that logs in at boot.
    lab.world().power_cut();
    assert!(lab.world().records.values().all(|at_boot| !at_boot));
    assert_eq!(lab.write("data", "late"), Err("EACCES".to_owned()));
    // The volume has moved. Its state is cleaned up, and so are the records.
    lab.disconnect("data");
    assert_eq!(lab.clean_up(&[]), [handle("data")]);
    lab.unpublish("data", "pod");
    lab.must_be_empty();
}

#[test]
fn fault_05_a_mount_that_does_not_reach_the_host_is_an_error() {
    let mut lab = ready("data");
    lab.faults(|faults| faults.private = true);
    let error = lab.stage_once("data").expect_err("not mounted");
    assert!(error.message.contains("mountPropagation"), "{error}");
    lab.faults(|faults| faults.private = false);
    lab.stage("data");
    lab.faults(|faults| faults.private = true);
    let error = lab.publish_once("data", "pod").expect_err("not mounted");
    assert!(error.message.contains("mountPropagation"), "{error}");
    // The pod's folder gives no access without its mount.
    assert_eq!(lab.write("data", "lost"), Err("EACCES".to_owned()));
}

#[test]
fn fault_06_a_clone_and_its_original_are_mounted_on_one_node() {
    let mut lab = ready("data").with(FsType::Xfs);
    lab.start("data");
    lab.write("data", "original").expect("a volume that works");
    lab.create("clone");
    let original = lab.volume("data");
    lab.change("clone", |volume| {
        *volume = original;
    });
    lab.start("clone");
    lab.write("clone", "clone").expect("a volume that works");
    assert_eq!(lab.volume("data").data.as_deref(), Some("original"));
}

#[test]
fn fault_07_a_damaged_file_system_is_refused_with_its_remedy() {
    let mut lab = ready("data");
    lab.start("data");
    lab.stop("data");
    lab.change("data", |volume| volume.is_damaged = true);
    lab.connect("data");
    let error = lab.stage_once("data").expect_err("damaged");
    assert_eq!(error.kind, NodeErrorKind::FailedPrecondition);
    assert!(error.message.contains("by hand"), "{error}");
    assert_eq!(lab.world().mounts.len(), 0);
}

#[test]
fn fault_08_all_paths_down_hold_up_no_unmount() {
    let mut lab = ready("data");
    lab.start("data");
    for portal in lab.world().portals.values_mut() {
        portal.is_up = false;
    }
    lab.unpublish("data", "pod");
    lab.unstage("data");
    lab.must_be_empty();
    assert!(lab.world().time < Duration::from_mins(1), "{:?}", lab.world().time);
}

#[test]
fn fault_09_a_map_in_use_is_an_error_and_a_moment_later_it_is_gone() {
    let mut lab = ready("data");
    lab.stage("data");
    let soon = lab.world().time + Duration::from_secs(3);
    let open = |lab: &Lab, until| {
        for map in lab.world().maps.values_mut() {
            map.open_until = until;
        }
    };
    open(&lab, Duration::MAX);
    lab.faults(|faults| faults.flush_suspends = true);
    let error = lab.unstage_once("data").expect_err("in use");
    assert!(error.message.contains("in use"), "{error}");
    assert_eq!(lab.world().disks.len(), 2, "no path is taken from a map that stays");
    let later = lab.world().time + soon;
    open(&lab, later);
    lab.unstage_once("data").expect("udev has closed it");
    lab.must_be_empty();
}

#[test]
fn fault_09_a_suspended_map_is_resumed_or_named() {
    let mut lab = ready("data");
    lab.stage("data");
    let suspend = |lab: &Lab| {
        for map in lab.world().maps.values_mut() {
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
    lab.world().portals.values_mut().next_back().expect("a portal").from = Duration::from_secs(5);
    lab.stage("late");
    assert_eq!(lab.world().maps.values().next().expect("a map").slaves.len(), 2);
    lab.unstage("late");
    lab.must_be_empty();

    let mut lab = ready("dead");
    lab.world().portals.values_mut().next().expect("a portal").is_up = false;
    lab.stage_once("dead").expect("one path is enough");
    assert!(lab.world().time < Duration::from_secs(15), "{:?}", lab.world().time);
    // The second path comes while the volume is in use, by an admin's hand; unstaging finds it.
    lab.world().portals.values_mut().next().expect("a portal").is_up = true;
    let serial = serial("dead");
    let bus = lab.world().disks.values().next().and_then(|disk| disk.bus);
    lab.world().add_disk(
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
        lab.world().portals.values_mut().next().expect("a portal").is_up = is_up;
    };
    set(&lab, false);
    lab.start("data");
    lab.heal();
    assert_eq!(lab.sessions_and_disks(), (1, 1));
    set(&lab, true);
    lab.heal();
    assert_eq!(lab.sessions_and_disks(), (2, 2));
    assert_eq!(lab.world().maps.values().next().expect("a map").slaves.len(), 2);
    let effects = lab.world().effects;
    lab.heal();
    assert!(lab.world().effects <= effects + 2, "paths are asked and nothing else");
    // The array has assigned the LUN to a volume in use: its paths stay.
    lab.disconnect("data");
    lab.create("new");
    lab.connect("new");
    lab.stage("new");
    lab.world().states.values_mut().for_each(|state| state.lun = 1);
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
    let bus = lab.world().disks.values().next().and_then(|disk| disk.bus);
    lab.world().add_disk(bus, 200, &boot);
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
    lab.world().states.clear();
    lab.unstage("data");
    lab.must_be_gone("data");
}

#[test]
fn fault_16_a_raw_block_device_that_is_gone_can_be_unpublished() {
    let mut lab = ready("data").block(true);
    lab.start("data");
    lab.write("data", "raw").expect("a device that works");
    for portal in lab.world().portals.values_mut() {
        portal.is_up = false;
    }
    lab.unpublish("data", "pod");
    assert!(!lab.world().nodes.contains_key(&target("data", "pod")));
    // Buffers that no path can take are lost with the device; the model knows no other way to say so.
    lab.world().dirty.clear();
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
        for portal in lab.world().portals.values_mut() {
            portal.is_up = is_up;
        }
    };
    set(&lab, false);
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
fn fault_22_a_holder_on_the_host_is_named_and_left() {
    let mut lab = ready("data");
    lab.stage("data");
    let hold = |lab: &Lab, name: &str, uuid: &str| {
        for map in lab.world().maps.values_mut() {
            map.holders = vec![(name.to_owned(), uuid.to_owned())];
        }
    };
    hold(&lab, "dm-9", "LVM-abc");
    let error = lab.unstage_once("data").expect_err("held");
    assert!(error.message.contains("dm-9") && error.message.contains("global_filter"), "{error}");
    assert_eq!(lab.maps_and_disks(), (1, 2));
    hold(&lab, "dm-9", "");
    lab.world().maps.values_mut().for_each(|map| map.holders.clear());
    lab.unstage("data");
    lab.must_be_empty();
}

#[test]
fn a_device_that_is_too_short_is_refused() {
    for (transport, has_multipath) in [
        (BlockTransport::Iscsi, true),
        (BlockTransport::Iscsi, false),
        (BlockTransport::NvmeTcp, false),
    ] {
        let mut lab = Lab::new(transport, has_multipath);
        lab.create("data");
        lab.connect("data");
        lab.faults(|faults| faults.short = Some(GIB / 2));
        let error = lab.stage_once("data").expect_err("short");
        assert_eq!(error.kind, NodeErrorKind::FailedPrecondition);
        assert!(error.message.contains("the device is refused"), "{error}");
        assert_eq!(lab.volume("data").on, On::Zeros);
    }
}

#[test]
fn links_and_maps_may_appear_late_or_never() {
    let mut lab = ready("data");
    lab.faults(|faults| {
        faults.late = Duration::from_secs(8);
        faults.map_late = Duration::from_secs(5);
    });
    lab.stage_once("data").expect("it waits");
    assert_eq!(lab.world().maps.values().next().expect("a map").slaves.len(), 2);

    let mut lab = ready("data");
    lab.faults(|faults| faults.no_map = true);
    let error = lab.stage_once("data").expect_err("no map");
    assert!(error.message.contains("find_multipaths"), "{error}");
    assert_eq!(lab.volume("data").on, On::Zeros, "no path is formatted beside multipathd");
}

#[test]
fn without_any_path_each_port_is_named_with_its_error() {
    let mut lab = ready("data");
    for portal in lab.world().portals.values_mut() {
        portal.is_up = false;
    }
    let error = lab.stage_once("data").expect_err("no path");
    assert_eq!(error.kind, NodeErrorKind::Unavailable, "{error}");
    for portal in ["10.0.0.1:3260", "10.0.0.2:3260"] {
        assert!(error.message.contains(&format!("{portal}: connection timed out")), "{error}");
    }
}

#[test]
fn a_mount_that_cannot_be_read_is_no_success() {
    let mut lab = ready("data");
    lab.faults(|faults| faults.unreadable_mounts = true);
    let error = lab.stage_once("data").expect_err("unreadable");
    assert!(error.message.contains("not usable"), "{error}");
    lab.faults(|faults| faults.unreadable_mounts = false);
    lab.stage("data");
    lab.unstage("data");
    lab.must_be_empty();
}
