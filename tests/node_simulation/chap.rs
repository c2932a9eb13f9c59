//! Arrays that ask a node for its password.

use pso_gen::contract::{ChapPassword, ChapSecret};
use pso_gen::node::NodeErrorKind;

use super::kernel::Crash;
use super::lab::Lab;

/// The Secret has this password for the node, and another one for another node.
fn secret(password: &str) -> ChapSecret {
    let of = |node: &str, password: &str| (node.to_owned(), password.to_owned());
    ChapSecret::new([of("n1", password), of("n2", "password-of-n2")].into())
}

/// The array and the Secret have the same password.
fn agree(lab: &mut Lab, password: &str) {
    lab.kernel().chap = ChapPassword::new(password);
    lab.passwords = secret(password);
}

fn asked(password: &str) -> Lab {
    let mut lab = Lab::iscsi();
    agree(&mut lab, password);
    lab.create("data");
    lab.connect("data");
    lab
}

/// All sessions end, as after an outage of the network that is longer than all patience.
fn lose_sessions(lab: &Lab) {
    let mut kernel = lab.kernel();
    kernel.sessions.clear();
    kernel.disks.clear();
    for map in kernel.maps.values_mut() {
        map.slaves.clear();
    }
}

#[test]
fn fault_25_every_port_gets_the_password_before_the_log_in() {
    let mut lab = asked("first-password");
    lab.stage("data");
    assert_eq!(lab.sessions_and_records(), (2, 2));
    let all = lab.kernel().passwords.values().map(|it| it.expose().to_owned()).collect::<Vec<_>>();
    assert_eq!(all, ["first-password", "first-password"]);
    lab.unstage("data");
    assert!(lab.kernel().passwords.is_empty(), "it goes with the records");
    lab.must_be_empty();
}

#[test]
fn fault_25_a_node_without_a_password_is_refused_before_any_effect() {
    let mut lab = asked("first-password");
    lab.passwords = ChapSecret::new([("n2".to_owned(), "password-of-n2".to_owned())].into());
    let error = lab.stage_once("data").expect_err("no key");
    assert_eq!(error.kind, NodeErrorKind::FailedPrecondition);
    assert!(error.message.contains("no key n1"), "{error}");
    lab.must_be_empty();
}

#[test]
fn fault_25_a_wrong_password_is_an_error_that_does_not_show_it() {
    let mut lab = asked("first-password");
    lab.passwords = secret("wrong-password");
    let error = lab.stage_once("data").expect_err("wrong");
    assert!(error.message.contains("authorization failure"), "{error}");
    assert!(!error.message.contains("wrong-password"), "{error}");
    let shown = lab.kernel().trace.join("\n");
    assert!(!shown.contains("wrong-password"), "{shown}");
    lab.passwords = secret("first-password");
    lab.stage("data");
}

#[test]
fn fault_25_healing_logs_in_with_the_password_of_the_record() {
    let mut lab = asked("first-password");
    lab.start("data");
    lose_sessions(&lab);
    lab.heal();
    assert_eq!(lab.sessions_and_records(), (2, 2));
    lab.write("data", "late").expect("the paths are back");
}

#[test]
fn fault_25_a_new_password_reaches_the_records_of_ports_in_use() {
    let mut lab = asked("first-password");
    lab.start("data");
    agree(&mut lab, "second-password");
    lab.create("other");
    lab.start("other");
    lose_sessions(&lab);
    lab.heal();
    assert_eq!(lab.sessions_and_records(), (2, 2), "they log in with the second password");
    lab.write("data", "late").expect("the paths are back");
}

/// A volume without a password in its PersistentVolume, and one with it, both in use.
fn older_and_newer() -> Lab {
    let mut lab = Lab::iscsi();
    lab.create("older");
    lab.create("z-newer");
    lab.start("older");
    agree(&mut lab, "first-password");
    lab.start("z-newer");
    lose_sessions(&lab);
    lab
}

#[test]
fn fault_25_healing_an_older_volume_keeps_the_password_of_the_others() {
    let mut lab = older_and_newer();
    lab.heal();
    assert_eq!(lab.kernel().passwords.len(), 2, "each record still has it");
    assert_eq!(lab.sessions_and_records(), (2, 2));
    lab.write("older", "late").expect("the paths are back");
}

#[test]
fn fault_25_staging_an_older_volume_keeps_the_password_of_the_others() {
    let mut lab = older_and_newer();
    lab.passwords = ChapSecret::default();
    lab.create("oldest");
    lab.start("oldest");
    assert_eq!(lab.kernel().passwords.len(), 2, "each record still has it");
    assert_eq!(lab.sessions_and_records(), (2, 2));
    for name in ["oldest", "older", "z-newer"] {
        lab.stage(name);
        lab.stop(name);
    }
    lab.must_be_empty();
    // Records that the last volume has removed are written again, and so is one that no volume has given a password.
    lab.kernel().chap = None;
    lab.start("oldest");
    assert_eq!(lab.kernel().passwords.len(), 0);
}

/// The state file of a volume with a password is written before the records: it does not prove that they are there.
#[test]
fn fault_25_a_record_that_a_failed_volume_has_not_written_is_written_by_the_next_one() {
    let mut lab = Lab::iscsi();
    lab.create("z-newer");
    lab.connect("z-newer");
    lab.passwords = secret("first-password");
    lab.crash_at(&[(1, Crash::Before)]);
    lab.stage_once("z-newer").expect_err("the process has ended");
    assert_eq!(lab.kernel().states.len(), 1);
    assert_eq!(lab.sessions_and_records(), (0, 0));
    lab.passwords = ChapSecret::default();
    lab.create("older");
    // The model stops at a log-in without a record.
    lab.start("older");
    assert_eq!(lab.sessions_and_records(), (2, 2));
}
