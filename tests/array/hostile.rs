//! Arrays that answer without end, too much, or with texts that steer a terminal: what is read stays small, and
//! what is reported is one short line. Bounds are counts of requests and bytes.

use std::time::Duration;

use pso_gen::arrays::Error;
use pso_gen::contract::{SnapshotSuffix, VolumeName};
use pso_gen::sanitize;
use pso_gen::simulator::Method;
use serde_json::{Value as Json, json};

use super::bench::{Bench, block, file};

const MIB: u64 = 1 << 20;
const LONG: Duration = Duration::from_secs(600);

async fn both() -> [Bench; 2] {
    [Bench::flashblade().await, Bench::flasharray().await]
        .map(|bench| bench.with_timeouts(LONG, LONG))
}

fn volumes(bench: &Bench) -> &'static str {
    if bench.is_flashblade() { "file-systems" } else { "volumes" }
}

/// Makes a volume of a name on an array.
async fn make(bench: &Bench, name: &str) -> Result<pso_gen::contract::Volume, Error> {
    let wanted = if bench.is_flashblade() { file(name, 1 << 30) } else { block(name, 1 << 30) };
    bench.client().ensure(&wanted).await
}

async fn set(bench: &Bench, fault: Json, resource: &str) {
    let rules = json!([{"fault": fault, "resource": resource}]);
    bench.control("PUT", "/faults", rules).await;
}

fn name() -> VolumeName {
    VolumeName::new("prod-pvc-1").expect("a name")
}

/// Holds of an error that it is fit to be shown.
fn assert_plain(error: &Error) {
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.chars().any(sanitize::steers), "{text:?}");
        assert!(text.chars().count() < 450, "{} characters", text.chars().count());
    }
}

#[tokio::test]
async fn a_list_without_an_end_is_read_up_to_a_number_of_pages() {
    for bench in both().await {
        let array = bench.client();
        let made = make(&bench, "prod-pvc-1").await.expect("made");
        let id = made.volume_id().expect("a name of ours");
        array.snapshot(&id, &SnapshotSuffix::new("s1").expect("a suffix")).await.expect("taken");
        let snapshots =
            if bench.is_flashblade() { "file-system-snapshots" } else { "volume-snapshots" };
        let before = bench.calls(Method::Get, snapshots);
        set(&bench, json!("endlessPages"), snapshots).await;
        let error = array.snapshots(&id).await.expect_err("no end");
        assert_eq!(error.reason(), "Malformed");
        assert!(error.to_string().ends_with("does not end after 500 pages"), "{error}");
        assert_eq!(bench.calls(Method::Get, snapshots) - before, 500);

        let before = bench.calls(Method::Get, volumes(&bench));
        set(&bench, json!("endlessPages"), volumes(&bench)).await;
        let error = array.describe(&name()).await.expect_err("no end");
        assert_eq!(error.reason(), "Malformed");
        assert_eq!(bench.calls(Method::Get, volumes(&bench)) - before, 2, "one was asked for");
    }
}

#[tokio::test]
async fn an_endless_list_ends_at_the_timeout() {
    let bench = Bench::flashblade().await.with_timeouts(LONG, LONG);
    make(&bench, "prod-pvc-1").await.expect("made");
    // Real time, of the client and of a server on sockets: only what comes of it is held, not when.
    let bench = bench.with_timeouts(LONG, Duration::from_millis(300));
    set(&bench, json!("endlessPages"), "file-systems").await;
    let error = bench.client().list("prod-pvc-").await.expect_err("no end");
    // Between two requests, or during one; not because all pages have been read that are read at most.
    assert!(["Busy", "Unreachable"].contains(&error.reason()), "{error}");
    assert!(bench.calls(Method::Get, "file-systems") < 5000);
}

#[tokio::test]
async fn of_a_large_error_little_is_read() {
    for bench in both().await {
        let array = bench.client();
        array.identity().await.expect("a session");
        set(&bench, json!({"largeError": {"bytes": 300 * MIB}}), volumes(&bench)).await;
        let error = array.describe(&name()).await.expect_err("refused");
        assert_eq!(error.reason(), "Refused");
        assert!(error.to_string().ends_with("status 400 Bad Request"), "{error}");
        assert_plain(&error);
        // What has been read is 64 KiB; the rest is in buffers of both ends of the connection.
        assert!(bench.sent().await < 30 * MIB, "{} bytes", bench.sent().await);
        assert_eq!(bench.calls(Method::Get, volumes(&bench)), 1);
    }
}

#[tokio::test]
async fn of_a_large_answer_no_more_is_read_than_a_page_has() {
    for bench in both().await {
        let array = bench.client();
        array.identity().await.expect("a session");
        let large = json!({"largeAnswer": {"bytes": 300 * MIB}});
        set(&bench, large.clone(), volumes(&bench)).await;
        let error = array.describe(&name()).await.expect_err("too large");
        assert_eq!(error.reason(), "Malformed", "{error}");
        assert!(bench.sent().await < 40 * MIB, "{} bytes", bench.sent().await);
        assert_eq!(bench.calls(Method::Get, volumes(&bench)), 1, "and not asked for again");

        // What was done is found out by reading it.
        let rule =
            json!([{"fault": large, "method": "POST", "resource": volumes(&bench), "times": 1}]);
        bench.control("PUT", "/faults", rule).await;
        let made = make(&bench, "prod-pvc-1").await.expect("made");
        assert_eq!((made.name.as_str(), made.destroyed), ("prod-pvc-1", false));
        assert_eq!(bench.calls(Method::Post, volumes(&bench)), 1);
    }
}

#[tokio::test]
async fn names_that_no_array_has_are_refused() {
    for bench in both().await {
        make(&bench, "prod-pvc-1").await.expect("made");
        let array = bench.client();
        for fault in [json!({"longNames": {"bytes": 2 * MIB}}), json!("steeringNames")] {
            set(&bench, fault.clone(), volumes(&bench)).await;
            for error in [
                array.describe(&name()).await.expect_err("no name"),
                array.list("prod-pvc-").await.expect_err("no name"),
                make(&bench, "prod-pvc-1").await.expect_err("no name"),
            ] {
                assert_eq!(error.reason(), "Malformed", "{fault}: {error}");
                assert_plain(&error);
            }
        }
        set(&bench, json!("steeringNames"), "arrays").await;
        let other = bench.client();
        assert_plain(&other.identity().await.expect_err("no name"));
    }
}

#[tokio::test]
async fn an_array_s_words_are_one_short_line() {
    for bench in both().await {
        let array = bench.client();
        array.identity().await.expect("a session");
        set(&bench, json!("steeringError"), volumes(&bench)).await;
        let error = array.describe(&name()).await.expect_err("refused");
        assert_plain(&error);
        let expected = "prod-pvc-1: \u{fffd}[2J wrong: nothing do: rm -rf\u{fffd}\u{fffd}2J";
        assert!(error.to_string().ends_with(expected), "{error}");
        // At the log-in, too, where no session is yet.
        set(&bench, json!("steeringError"), "login").await;
        let error = bench.client().identity().await.expect_err("refused");
        assert_eq!(error.reason(), "LoginRefused");
        assert_plain(&error);
    }
}

#[tokio::test]
async fn an_answer_byte_by_byte_does_not_hold_an_operation() {
    for bench in both().await {
        // Real time, of the client and of a server on sockets: only what comes of it is held, not when.
        let (request, patience) = (Duration::from_millis(250), Duration::from_secs(1));
        let bench = bench.with_timeouts(request, patience);
        let array = bench.client();
        set(&bench, json!({"drip": {"delay": 5}}), volumes(&bench)).await;
        let error = array.describe(&name()).await.expect_err("no end");
        assert!(["Unreachable", "Busy"].contains(&error.reason()), "{error}");
        let calls = bench.calls(Method::Get, volumes(&bench));
        assert!(calls <= 4, "{calls}");
    }
}

#[tokio::test]
async fn nothing_is_unpacked() {
    for bench in both().await {
        let array = bench.client();
        array.identity().await.expect("a session");
        set(&bench, json!("compressed"), volumes(&bench)).await;
        let error = array.describe(&name()).await.expect_err("packed");
        assert_eq!(error.reason(), "Malformed", "{error}");
        assert_plain(&error);
    }
}

#[tokio::test]
async fn an_array_with_as_many_volumes_as_it_takes_is_listed() {
    let bench = Bench::flasharray_full(100_000).await.with_timeouts(LONG, LONG);
    let all = bench.client().list("prod-pvc-").await.expect("listed");
    assert_eq!((all.len(), bench.calls(Method::Get, "volumes")), (100_000, 100));
}
