//! Expansion: every path, then the map, then the file system, each read back.

use pso_gen::contract::BlockTransport;
use pso_gen::node::NodeErrorKind;

use super::lab::{GIB, Lab};

fn grown() -> Lab {
    let mut lab = Lab::iscsi();
    lab.create("data");
    lab.start("data");
    lab.change("data", |volume| volume.size = 2 * GIB);
    lab
}

#[test]
fn fault_11_the_map_grows_only_when_every_path_has_the_new_size() {
    let mut lab = grown();
    lab.faults(|faults| {
        faults.stubborn.insert("sdc".to_owned());
    });
    let error = lab.expand_once("data", 2 * GIB).expect_err("one path is short");
    assert_eq!(error.kind, NodeErrorKind::Unavailable);
    assert!(error.message.starts_with("sdc still has"), "{error}");
    assert_eq!(lab.kernel().maps.values().next().expect("a map").size, GIB);
    lab.faults(|faults| faults.stubborn.clear());
    assert_eq!(lab.expand("data", 2 * GIB), 2 * GIB);
    assert_eq!(lab.expand("data", 2 * GIB), 2 * GIB, "again");
}

#[test]
fn fault_11_a_resize_that_only_reports_success_is_an_error() {
    let mut lab = grown();
    lab.faults(|faults| faults.resize_lies = true);
    let error = lab.expand_once("data", 2 * GIB).expect_err("the map is short");
    assert!(error.message.contains("the map"), "{error}");
    lab.faults(|faults| (faults.resize_lies, faults.grow_lies) = (false, true));
    let error = lab.expand_once("data", 2 * GIB).expect_err("the file system is short");
    assert!(error.message.contains("the file system"), "{error}");
    lab.faults(|faults| faults.grow_lies = false);
    lab.expand("data", 2 * GIB);
}

#[test]
fn fault_11_a_volume_that_grew_while_detached_is_expanded_when_it_is_staged() {
    let mut lab = grown();
    lab.stop("data");
    lab.start("data");
    assert_eq!(lab.volume("data").fs_size, 2 * GIB);
    // Grown while only the pod is away: the devices stay, with the old size.
    lab.unpublish("data", "pod");
    lab.change("data", |volume| volume.size = 4 * GIB);
    lab.stage_once("data").expect("staged");
    assert_eq!(lab.volume("data").fs_size, 4 * GIB);
}

#[test]
fn a_raw_block_device_grows_without_a_file_system() {
    let mut lab = Lab::iscsi().block(true);
    lab.create("data");
    lab.start("data");
    lab.change("data", |volume| volume.size = 2 * GIB);
    assert_eq!(lab.expand_once("data", 2 * GIB).expect("expanded"), 2 * GIB);
}

#[test]
fn a_volume_that_is_not_staged_is_not_expanded() {
    let mut lab = Lab::iscsi();
    lab.create("data");
    let error = lab.expand_once("data", GIB).expect_err("not staged");
    assert_eq!(error.kind, NodeErrorKind::NotFound);
}

#[test]
fn without_multipathd_the_disk_that_is_mounted_is_expanded() {
    let mut lab = Lab::new(BlockTransport::Iscsi, false);
    lab.create("data");
    lab.start("data");
    let number = lab.kernel().mounts[0].number;
    // The other disk comes first in the host's order.
    let mut kernel = lab.kernel();
    let disks = std::mem::take(&mut kernel.disks);
    kernel.disks = disks
        .into_iter()
        .map(|(name, disk)| (if disk.number == number { "sdz".to_owned() } else { name }, disk))
        .collect();
    drop(kernel);
    lab.change("data", |volume| volume.size = 2 * GIB);
    // The model stops at an expansion through another disk.
    assert_eq!(lab.expand_once("data", 2 * GIB).expect("expanded"), 2 * GIB);
}
