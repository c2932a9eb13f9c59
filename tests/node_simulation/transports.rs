//! What differs between the transports.

use std::time::Duration;

use pso_gen::contract::BlockTransport;

use super::kernel::{Crash, KernelSession};
use super::lab::{Lab, TARGET, serial};

#[test]
fn fault_18_the_node_reports_its_name_and_its_initiators() {
    let id = Lab::iscsi().identity().id;
    assert_eq!(id.format().as_deref(), Some("n1;iqn.2026-11.example:n1"));
}

#[test]
fn fault_26_nvme_controllers_stay_as_long_as_a_namespace_of_the_array_is_left() {
    let mut lab = Lab::new(BlockTransport::NvmeTcp, false);
    lab.create("one");
    lab.create("two");
    lab.start("one");
    lab.start("two");
    lab.stop("one");
    assert_eq!(lab.kernel().sessions.len(), 2);
    lab.write("two", "two").expect("still there");
    lab.stop("two");
    lab.must_be_empty();
}

/// The array disconnects a volume after it was unstaged, so the last volume to leave still sees the namespace of the one
/// before.
#[test]
fn fault_26_nvme_controllers_end_when_the_last_namespace_has_left_after_its_volume() {
    let both = || {
        let mut lab = Lab::new(BlockTransport::NvmeTcp, false);
        for name in ["one", "two"] {
            lab.create(name);
            lab.start(name);
        }
        for name in ["one", "two"] {
            lab.unpublish(name, "pod");
            lab.unstage(name);
        }
        lab
    };
    let mut lab = both();
    assert_eq!(lab.sessions_and_records(), (2, 2), "a namespace of the array is left");
    lab.heal();
    assert_eq!(lab.sessions_and_records(), (2, 2), "a namespace of the array is left");
    lab.disconnect("one");
    lab.heal();
    assert_eq!(lab.sessions_and_records(), (2, 2), "a namespace of the array is left");
    lab.disconnect("two");
    let before = lab.kernel().effects;
    lab.heal();
    lab.must_be_empty();
    let effects = lab.kernel().effects - before;
    assert_eq!(effects, 4, "two log-outs and two records");
    for at in 0..effects {
        for kind in [Crash::Before, Crash::Midway, Crash::After] {
            let mut lab = both();
            lab.disconnect("one");
            lab.disconnect("two");
            let first = lab.kernel().effects;
            lab.crash_at(&[(first + at, kind)]);
            lab.heal_with_crash();
            // A volume that comes in between gets its connections.
            lab.create("three");
            lab.start("three");
            lab.heal();
            lab.write("three", "three").expect("connected");
            assert_eq!(lab.sessions_and_records(), (2, 2));
            lab.stop("three");
            lab.heal();
            lab.must_be_empty();
        }
    }
}

#[test]
fn fault_26_nvme_controllers_that_others_have_connected_stay() {
    let mut lab = Lab::new(BlockTransport::NvmeTcp, false);
    let portal = lab.kernel().portals.keys().next().expect("a port").clone();
    let session = KernelSession { target: TARGET.to_owned(), portal, bus: None, is_admins: true };
    lab.kernel().sessions.insert("session0".to_owned(), session);
    lab.create("data");
    lab.start("data");
    assert_eq!(lab.sessions_and_records(), (2, 1), "the port is connected already");
    // The model stops at the end of a session of others.
    lab.stop("data");
    assert_eq!(lab.sessions_and_records(), (1, 0));
    lab.heal();
    assert_eq!(lab.sessions_and_records(), (1, 0));
}

/// The record of the node service's own log-in is written before it.
#[test]
fn fault_26_nvme_controllers_that_others_connect_before_a_log_in_stay() {
    let new = || {
        let lab = Lab::new(BlockTransport::NvmeTcp, false);
        lab.create("data");
        lab.connect("data");
        lab
    };
    let mut lab = new();
    lab.faults(|faults| faults.overtaken = true);
    lab.start("data");
    assert_eq!(lab.sessions_and_records(), (2, 1), "one connection is its own");
    // The model stops at the end of a session of others.
    lab.stop("data");
    lab.heal();
    assert_eq!(lab.sessions_and_records(), (1, 0));

    // The process ends between record and log-in, and the admin connects then.
    let mut lab = new();
    let is_log_in = |step: &String| step.contains(" LogIn {");
    let at = {
        let mut whole = new();
        whole.stage("data");
        let kernel = whole.kernel();
        let steps = kernel.trace.iter().filter(|step| step.contains("None")).collect::<Vec<_>>();
        steps.iter().position(|step| is_log_in(step)).expect("a log-in")
    };
    lab.crash_at(&[(at, Crash::Before)]);
    lab.stage_once("data").expect_err("the process has ended");
    assert_eq!(lab.sessions_and_records(), (0, 1));
    let portal = lab.kernel().records.keys().next().expect("a record").clone();
    let session = KernelSession { target: TARGET.to_owned(), portal, bus: None, is_admins: true };
    lab.kernel().sessions.insert("session0".to_owned(), session);
    lab.start("data");
    lab.stop("data");
    lab.heal();
    assert_eq!(lab.sessions_and_records(), (1, 0));
}

/// The admin ends the connection of the node service, and connects by himself.
#[test]
fn fault_26_an_earlier_record_is_no_proof_for_a_later_nvme_controller() {
    let mut lab = Lab::new(BlockTransport::NvmeTcp, false);
    lab.create("data");
    lab.start("data");
    lab.kernel().sessions.pop_first();
    let next = lab.kernel().effects;
    lab.crash_at(&[(next + 1, Crash::Before)]);
    lab.heal_with_crash();
    let portal = {
        let kernel = lab.kernel();
        let used: Vec<_> = kernel.sessions.values().map(|session| &session.portal).collect();
        kernel.portals.keys().find(|portal| !used.contains(portal)).expect("a port").clone()
    };
    let session = KernelSession { target: TARGET.to_owned(), portal, bus: None, is_admins: true };
    lab.kernel().sessions.insert("session0".to_owned(), session);
    lab.stop("data");
    lab.heal();
    assert_eq!(lab.sessions_and_records(), (1, 0));
}

/// It is then unknown whose a connection is, and volumes are served nevertheless.
#[test]
fn fault_26_nvme_controllers_stay_while_their_records_cannot_be_read() {
    let mut lab = Lab::new(BlockTransport::NvmeTcp, false);
    lab.create("data");
    lab.start("data");
    lab.kernel().faults.unreadable_records = true;
    assert_eq!(lab.heal_errors().len(), 1, "healing reports it, and nothing else");
    lab.unpublish("data", "pod");
    lab.unstage("data");
    lab.disconnect("data");
    assert_eq!(lab.heal_errors().len(), 1);
    assert_eq!(lab.sessions_and_records(), (2, 2));
    lab.kernel().faults.unreadable_records = false;
    lab.heal();
    lab.must_be_empty();
}

#[test]
fn fault_26_a_namespace_of_another_volume_is_not_mistaken() {
    let mut lab = Lab::new(BlockTransport::NvmeTcp, false);
    lab.create("old");
    lab.start("old");
    // The namespace id is assigned again.
    lab.disconnect("old");
    lab.create("new");
    lab.connect("new");
    assert_eq!(lab.attachment("new").lun, 1);
    lab.start("new");
    lab.write("new", "new").expect("a volume that works");
}

#[test]
fn fault_26_a_namespace_that_the_kernel_takes_for_the_volume_is_asked_itself() {
    let mut lab = Lab::new(BlockTransport::NvmeTcp, false);
    lab.create("other");
    lab.connect("other");
    lab.create("data");
    lab.connect("data");
    let other = serial("other");
    lab.faults(|faults| faults.swapped = Some(other));
    let error = lab.stage_once("data").expect_err("another volume");
    assert!(error.message.contains("the device is refused"), "{error}");
    assert_eq!(lab.volume("other").data, None);
    lab.faults(|faults| faults.swapped = None);
    lab.stage("data");
    lab.unstage("data");
}

#[test]
fn fault_26_a_host_that_does_not_combine_the_paths_is_refused() {
    let mut lab = Lab::new(BlockTransport::NvmeTcp, false);
    lab.create("data");
    lab.connect("data");
    lab.stage("data");
    lab.unstage("data");
    lab.connect("data");
    let name = serial("data");
    let identity = pso_gen::node::decide::nvme_wwid(&name);
    lab.kernel().follow_namespaces();
    let error = {
        let attachment = lab.attachment("data");
        lab.stage("data");
        let twin = lab.kernel().disks.values().next().expect("a namespace").clone();
        assert_eq!(twin.wwid.as_ref(), Some(&identity));
        lab.kernel().disks.insert("nvme1n1".to_owned(), twin);
        lab.stage_with("data", attachment).expect_err("two devices")
    };
    assert!(error.message.contains("nvme_core.multipath"), "{error}");
}

#[test]
fn fault_27_fibre_channel_scans_the_ports_that_are_logged_in() {
    let mut lab = Lab::new(BlockTransport::FibreChannel, true);
    lab.create("data");
    lab.connect("data");
    lab.kernel().portals.values_mut().next().expect("a port").is_up = false;
    lab.stage_once("data").expect("one path is enough");
    assert!(lab.kernel().time < Duration::from_secs(15), "{:?}", lab.kernel().time);
    lab.unstage("data");
    assert_eq!(lab.kernel().sessions.len(), 2, "ports of the fabric are not ours to end");
    lab.must_be_empty();
}

#[test]
fn without_multipathd_one_disk_is_used() {
    let mut lab = Lab::new(BlockTransport::Iscsi, false);
    lab.create("data");
    lab.start("data");
    assert_eq!(lab.maps_and_disks(), (0, 2));
    lab.stage("data");
    lab.stop("data");
    lab.must_be_empty();
}

/// The array has no connection for the volume, or not yet.
#[test]
fn fault_14_a_session_without_a_disk_is_not_begun_again() {
    for transport in [BlockTransport::Iscsi, BlockTransport::NvmeTcp] {
        let mut lab = Lab::new(transport, true);
        lab.create("data");
        // The model stops at a second session to one portal.
        let error = lab.stage_once("data").expect_err("no disk");
        assert!(error.message.contains("no path to volume"), "{error}");
        assert_eq!(lab.sessions_and_disks(), (2, 0));
        lab.connect("data");
        lab.start("data");
        lab.stop("data");
        lab.must_be_empty();
    }
}
