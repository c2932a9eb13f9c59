//! Faults that lose data or mount another volume's, each by name: what the node service does about it.

use std::time::Duration;

use pso_gen::contract::BlockTransport;
use pso_gen::node::{FsType, NodeErrorKind};

use super::kernel::{On, ROOT_DISK};
use super::lab::{GIB, Lab, handle, staging};

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
        assert_eq!(lab.kernel().mounts.len(), 0);
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
    for state in lab.kernel().states.values_mut() {
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
    assert_eq!(lab.kernel().mounts.len(), 0);
    lab.faults(|faults| faults.no_record = false);
    lab.start("data");
}

#[test]
fn fault_01_a_raw_block_volume_is_never_formatted_later() {
    let mut lab = ready("data").block(true);
    lab.faults(|faults| faults.no_record = true);
    let error = lab.stage_once("data").expect_err("no record");
    assert_eq!(error.kind, NodeErrorKind::Unavailable);
    lab.faults(|faults| faults.no_record = false);
    lab.start("data");
    // A pod writes to the middle of the device, and both ends stay zeros.
    lab.write("data", "raw").expect("a device that works");
    lab.stop("data");
    lab.connect("data");
    let mut lab = lab.block(false);
    let error = lab.stage_once("data").expect_err("refused");
    assert!(error.message.contains("as a raw block volume"), "{error}");
    assert_eq!(lab.volume("data").data.as_deref(), Some("raw"));
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
    assert_eq!(lab.kernel().disks.len(), 2);
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
    assert_eq!((lab.volume("new").data, lab.kernel().disks.len()), (None, 2));
}

#[test]
fn fault_02_a_disk_that_changes_its_volume_while_it_is_unused_is_removed() {
    let mut lab = ready("old");
    lab.stage("old");
    lab.kill();
    lab.kernel().power_cut();
    // After the boot the disks of the old LUN are there without a map.
    lab.stage("old");
    let name = staging("old");
    lab.kernel().mounts.retain(|mount| mount.path != name);
    lab.kernel().maps.clear();
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
    lab.kernel().mounts.push(mount.clone());
    lab.stage("data");
    assert_eq!(lab.kernel().mounts.len(), 1);
    // The device below is gone, and its number belongs to another one.
    lab.kernel().mounts[0].number = ROOT_DISK;
    lab.stage("data");
    lab.publish("data", "pod");
    // A pod's path has another device.
    lab.kernel().mounts.last_mut().expect("a mount").number = ROOT_DISK;
    lab.publish("data", "pod");
    lab.stop("data");
    lab.must_be_empty();
}

#[test]
fn fault_03_another_volume_at_the_staging_path_is_not_taken_for_it() {
    let mut lab = ready("data");
    lab.create("other");
    lab.connect("other");
    lab.stage("data");
    lab.stage("other");
    let other = lab.kernel().top(&staging("other")).expect("a mount").number;
    for mount in &mut lab.kernel().mounts {
        mount.number = other;
    }
    lab.stage_once("data").expect("unmounted, and the right one mounted");
}

#[test]
fn fault_03_what_is_staged_is_checked_before_a_pod_gets_it() {
    let mut lab = ready("data");
    lab.stage("data");
    lab.kernel().mounts[0].number = ROOT_DISK;
    let error = lab.publish_once("data", "pod").expect_err("another device");
    assert!(error.message.contains("is not given to a pod"), "{error}");
    lab.kernel().mounts.clear();
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
    let again = lab.kernel().mounts[0].clone();
    lab.kernel().mounts.push(again);
    lab.unstage("data");
    lab.must_be_empty();
}

#[test]
fn fault_04_a_node_that_comes_back_logs_in_to_nothing() {
    let mut lab = ready("data");
    lab.start("data");
    // The model stops at a record that logs in at boot.
    lab.kernel().power_cut();
    assert!(lab.kernel().records.values().all(|at_boot| !at_boot));
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
    assert!(error.message.contains("pso-gen node check"), "{error}");
    lab.faults(|faults| faults.private = false);
    lab.stage("data");
    lab.faults(|faults| faults.private = true);
    let error = lab.publish_once("data", "pod").expect_err("not mounted");
    assert!(error.message.contains("pso-gen node check"), "{error}");
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
    assert_eq!(lab.kernel().mounts.len(), 0);
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
    assert_eq!(lab.kernel().maps.values().next().expect("a map").slaves.len(), 2);

    let mut lab = ready("data");
    lab.faults(|faults| faults.no_map = true);
    let error = lab.stage_once("data").expect_err("no map");
    assert!(error.message.contains("find_multipaths"), "{error}");
    assert_eq!(lab.volume("data").on, On::Zeros, "no path is formatted beside multipathd");
}

#[test]
fn without_any_path_each_port_is_named_with_its_error() {
    let mut lab = ready("data");
    for portal in lab.kernel().portals.values_mut() {
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
