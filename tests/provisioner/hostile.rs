//! Tenants who write large objects, and arrays that say too much: memory stays small, and what is reported is plain.

use std::process::Command;

use pso_gen::sanitize;
use serde_json::json;

use super::{Api, Stage};

/// What a process may have had in memory at most, in KiB: a quarter of what its pod may have.
const MEMORY: u64 = 128 << 10;

/// Returns what the provisioner has had in memory at most, in KiB, without the pages of its program. Those are 60 MiB in a
/// build for tests, as many as the kernel has read ahead, and it takes them back when memory is short.
fn peak(stage: &Stage) -> u64 {
    let id = stage.provisioner.as_ref().expect("it runs").0.id();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
    let kibibytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    kibibytes("VmHWM:").saturating_sub(kibibytes("RssFile:"))
}

/// Returns what `pso-gen status` shows, which is that something is wrong.
fn status(stage: &Stage, format: &str) -> String {
    let path = |name: &str| stage.folder.path().join(name);
    let output = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .args(["status", "--format", format, "--storage"])
        .arg(path("storage.pso.yaml"))
        .arg("--kubeconfig")
        .arg(path("kubeconfig"))
        .output()
        .expect("runs");
    let shown = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "{shown}");
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_is_reported_with_what_to_do() {
    let mut stage = Stage::set(Api::new(""), &[]).await;
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
    let files = std::fs::read_dir(stage.folder.path()).expect("a folder");
    let files = files.map(|entry| entry.expect("an entry").path());
    let is_ca = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path).is_ok_and(|text| text.starts_with("-----BEGIN CERTIFICATE"))
    };
    let authorities: Vec<_> = files.filter(is_ca).collect();
    assert!(!authorities.is_empty());
    for path in authorities {
        std::fs::write(path, other.cert.pem()).expect("written");
    }
    stage.start(&[]).await;
    let away = async || stage.lines("array is unreachable").len() == 2;
    stage.until("both arrays are away", away).await;
    let expected =
        "the array is not trusted: no authority in the file `ca` has signed its certificate; put";
    for line in stage.lines("array is unreachable") {
        assert_eq!(line["fields"]["reason"], "Untrusted", "{line}");
        assert!(
            line["fields"]["error"].as_str().is_some_and(|text| text.starts_with(expected)),
            "{line}"
        );
    }
    let failed = async || {
        let events = stage.api.events.lock().expect("unharmed");
        events
            .iter()
            .any(|event| event["note"].as_str().is_some_and(|note| note.contains(expected)))
    };
    stage.until("the claim's event has it", failed).await;
    let shown = status(&stage, "table");
    for array in ["fa1", "fb1"] {
        assert!(shown.contains(&format!("\nproblem: array {array}: {expected}")), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_claims_of_others_take_little_memory() {
    let api = Api::new("");
    let large = "x".repeat(250 << 10);
    let others = (0..800).map(|number| {
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": format!("other-{number}"), "namespace": "others",
                "uid": format!("other-{number}"), "resourceVersion": "1",
                "annotations": {"example.com/large": large},
            },
            "spec": {"storageClassName": "other"},
        });
        claim.to_string()
    });
    *api.others.lock().expect("unharmed") = others.collect();
    let stage = Stage::of(api, &[], &[]).await;
    // Ours is the last of the list.
    stage.until("the volume is made", async || !stage.lines("volume created").is_empty()).await;
    assert!(peak(&stage) < MEMORY, "{} KiB", peak(&stage));
    let limits = stage.api.limits.lock().expect("unharmed").clone();
    assert_eq!(limits[..2], [100, 25], "a page that is too large is asked for again, in parts");
    assert_eq!(limits.len(), 1 + 801_usize.div_ceil(25), "and what was learnt is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_an_array_are_plain_and_few_wherever_they_are_reported() {
    let faults = [
        json!({"fault": {"largeError": {"bytes": 300 << 20}}, "resource": "file-systems"}),
        json!({"fault": "steeringError", "array": "fa1"}),
    ];
    let stage = Stage::of(Api::new(""), &faults, &[]).await;
    let failed = async || {
        let events = stage.api.events.lock().expect("unharmed");
        events.iter().any(|event| event["reason"] == "ProvisioningFailed")
    };
    stage.until("it is reported", failed).await;
    stage
        .until("the array is away", async || !stage.lines("array is unreachable").is_empty())
        .await;
    assert!(peak(&stage) < MEMORY, "{} KiB", peak(&stage));
    let log = stage.log();
    assert!(log.contains("status 400 Bad Request"), "the log has it");
    for line in log.lines() {
        assert!(line.len() < 20 << 10, "a line of {} bytes", line.len());
        assert!(!line.chars().any(sanitize::steers), "{line:?}");
    }
    for event in stage.api.events.lock().expect("unharmed").iter() {
        let note = event["note"].as_str().expect("a note");
        assert!(note.len() <= 1024 && !note.chars().any(sanitize::steers), "{note:?}");
    }

    // Anybody who may write events may say that they are the provisioner's.
    let forged = "no\n\nproblem: array fb1: gone\n  fix: rm -rf /\u{1b}[2J\u{9b}2J\u{202e}";
    stage.api.events.lock().expect("unharmed").push(json!({
        "metadata": {"name": "forged", "namespace": "apps"}, "type": "Warning", "note": forged,
        "reason": "ProvisioningFailed", "eventTime": "2099-01-01T00:00:00.000000Z",
        "regarding": {"uid": super::UID}, "reportingController": "pso-gen.io/provisioner",
    }));
    for format in ["table", "json"] {
        let shown = status(&stage, format);
        assert!(shown.contains("rm -rf"), "{shown}");
        assert!(!shown.chars().any(|c| c != '\n' && sanitize::steers(c)), "{shown:?}");
        let wrong: Vec<&str> =
            shown.lines().filter_map(|line| line.strip_prefix("problem: ")).collect();
        let abouts = ["array fa1: ", "claim apps/data: no problem: array fb1: gone fix: rm -rf /"];
        if format == "table" {
            assert_eq!(wrong.len(), abouts.len(), "{shown}");
            assert!(
                wrong.iter().zip(abouts).all(|(line, about)| line.starts_with(about)),
                "{shown}"
            );
        }
    }
}
