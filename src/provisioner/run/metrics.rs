//! What is counted for Prometheus, and under which names. Knows what happens only by being told; must not
//! know how it is decided, and never hears of a token, nor of a name or UID of a claim: labels are of what
//! there are few of.
//!
//! What the usual provisioners count has their names, so that dashboards made for those work:
//! <https://github.com/kubernetes-sigs/sig-storage-lib-external-provisioner/blob/master/controller/metrics/metrics.go>.
//! `docs/provisioner.md` says what each means.

mod tally;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::contract::Capacity;
pub(super) use tally::{Tally, array};

/// Upper ends of the buckets of what concerns a whole volume, in seconds.
const LONG: [f64; 12] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0];
/// The same of one call of an array, which ends after 90 seconds; a list of all volumes after 300.
const SHORT: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 90.0];

type Labels<const N: usize> = [(&'static str, String); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Gauges<const N: usize> = Family<Labels<N>, Gauge>;
type Bytes = Family<Labels<1>, Gauge<u64, AtomicU64>>;
type Seconds<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// What is counted. A clone counts together with what it is a clone of.
#[derive(Clone)]
pub struct Metrics(Arc<All>);

struct All {
    registry: Registry,
    names: Vec<String>,
    provisioned: Counters<2>,
    provision_failed: Counters<2>,
    provision_duration: Seconds<2>,
    deleted: Counters<1>,
    delete_failed: Counters<1>,
    delete_duration: Seconds<1>,
    grown: Counters<1>,
    growth_failed: Counters<1>,
    snapshots: Counters<1>,
    snapshots_failed: Counters<1>,
    orphans: Gauges<1>,
    requests: Counters<2>,
    calls: Counters<3>,
    call_duration: Seconds<2>,
    under_way: Gauges<1>,
    oldest_effect: Gauge<f64, AtomicU64>,
    retries: Gauge,
    messages: Gauge,
    claims: Gauges<2>,
    oldest_claim: Family<Labels<1>, Gauge<f64, AtomicU64>>,
    array_up: Gauges<1>,
    array_size: Bytes,
    array_used: Bytes,
    array_provisioned: Bytes,
    registered: Gauges<1>,
    registrations_lost: Counters<1>,
    missing: Gauges<1>,
    events: Counters<2>,
    watch_restarts: Counters<1>,
    leading: Gauge,
    lease_changes: Counter,
    /// Serialized while several that belong together are written or read.
    together: Mutex<()>,
}

/// Registers metrics, and remembers their names.
#[derive(Default)]
struct Register {
    registry: Registry,
    names: Vec<String>,
}

impl Register {
    /// Registers one by its full name.
    fn add<M>(&mut self, name: &str, help: &str, metric: M) -> M
    where
        M: Metric + Clone + prometheus_client::encoding::EncodeMetric,
    {
        self.names.push(name.to_owned());
        // The text form gives a counter its ending.
        let stem = match metric.metric_type() {
            MetricType::Counter => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        // And every description its full stop.
        self.registry.register(stem, help, metric.clone());
        metric
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Returns metrics that have counted nothing yet.
    #[expect(clippy::too_many_lines, reason = "one list")]
    pub fn new() -> Self {
        fn seconds<const N: usize>(buckets: fn() -> Histogram) -> Seconds<N> {
            Family::new_with_constructor(buckets)
        }
        let long = || Histogram::new(LONG);
        let short = || Histogram::new(SHORT);
        let mut all = Register::default();
        let build = Gauges::<1>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        all.add("pso_gen_build_info", "1, with the version of the program", build);
        let metrics = All {
            provisioned: all.add(
                "controller_persistentvolumeclaim_provision_total",
                "Claims that got their volume",
                Counters::default(),
            ),
            provision_failed: all.add(
                "controller_persistentvolumeclaim_provision_failed_total",
                "Attempts to get a claim its volume that failed",
                Counters::default(),
            ),
            provision_duration: all.add(
                "controller_persistentvolumeclaim_provision_duration_seconds",
                "Time from a claim's first effect until it was bound",
                seconds(long),
            ),
            deleted: all.add(
                "controller_persistentvolume_delete_total",
                "PersistentVolumes that are gone, with the volume destroyed on its array",
                Counters::default(),
            ),
            delete_failed: all.add(
                "controller_persistentvolume_delete_failed_total",
                "Attempts to destroy the volume behind a PersistentVolume that failed",
                Counters::default(),
            ),
            delete_duration: all.add(
                "controller_persistentvolume_delete_duration_seconds",
                "Time from a PersistentVolume's release until it was gone",
                seconds(long),
            ),
            grown: all.add(
                "pso_gen_growths_total",
                "Volumes made larger on their arrays",
                Counters::default(),
            ),
            growth_failed: all.add(
                "pso_gen_growths_failed_total",
                "Attempts to make a bound volume larger that failed",
                Counters::default(),
            ),
            snapshots: all.add(
                "pso_gen_snapshots_total",
                "Snapshots taken by schedule",
                Counters::default(),
            ),
            snapshots_failed: all.add(
                "pso_gen_snapshots_failed_total",
                "Attempts to list, take or destroy snapshots that failed",
                Counters::default(),
            ),
            orphans: all.add(
                "pso_gen_orphans",
                "Volumes of this cluster that nobody in it knows; absent while that is not known",
                Gauges::default(),
            ),
            requests: all.add(
                "rest_client_requests_total",
                "Requests to the Kubernetes API, by status and method",
                Counters::default(),
            ),
            calls: all.add(
                "pso_gen_array_calls_total",
                "Operations on arrays, by how they ended: ok, or the word for what went wrong",
                Counters::default(),
            ),
            call_duration: all.add(
                "pso_gen_array_call_duration_seconds",
                "Time of an operation on an array, with all its requests and waiting",
                seconds(short),
            ),
            under_way: all.add(
                "pso_gen_effects_under_way",
                "What has been decided and is being done now",
                Gauges::default(),
            ),
            oldest_effect: all.add(
                "pso_gen_effects_oldest_seconds",
                "For how long the oldest of what is being done has been",
                Gauge::default(),
            ),
            retries: all.add(
                "pso_gen_retries_waiting",
                "Claims and PersistentVolumes that wait for their next attempt",
                Gauge::default(),
            ),
            messages: all.add(
                "pso_gen_messages_waiting",
                "What has been heard and not been decided upon",
                Gauge::default(),
            ),
            claims: all.add(
                "pso_gen_claims",
                "Claims of our classes: bound, pending, failing, or waiting for their first pod",
                Gauges::default(),
            ),
            oldest_claim: all.add(
                "pso_gen_claims_oldest_pending_seconds",
                "Age of the oldest claim that is pending or failing without a volume; 0 without one",
                Family::default(),
            ),
            array_up: all.add(
                "pso_gen_array_up",
                "Whether an array answered when it was last asked",
                Gauges::default(),
            ),
            array_size: all.add(
                "pso_gen_array_capacity_bytes",
                "What an array can hold; absent while it is away",
                Bytes::default(),
            ),
            array_used: all.add(
                "pso_gen_array_used_bytes",
                "What is used of an array, after data reduction; absent while it is away",
                Bytes::default(),
            ),
            array_provisioned: all.add(
                "pso_gen_array_provisioned_bytes",
                "What an array has given out in sizes of volumes; absent while it does not say",
                Bytes::default(),
            ),
            registered: all.add(
                "pso_gen_array_registered",
                "Whether this cluster's name is registered on an array as its own",
                Gauges::default(),
            ),
            registrations_lost: all.add(
                "pso_gen_array_registration_lost_total",
                "How often another provisioner took the registration on an array while this one led",
                Counters::default(),
            ),
            missing: all.add(
                "pso_gen_volumes_missing",
                "Bound volumes that are destroyed or gone on their array; absent while that is not known",
                Gauges::default(),
            ),
            events: all.add(
                "pso_gen_events_total",
                "Events written on claims and PersistentVolumes",
                Counters::default(),
            ),
            watch_restarts: all.add(
                "pso_gen_watch_restarts_total",
                "Watches of the Kubernetes API that ended and were started again",
                Counters::default(),
            ),
            leading: all.add("pso_gen_leading", "Whether this process leads", Gauge::default()),
            lease_changes: all.add(
                "pso_gen_lease_changes_total",
                "How often this process saw the lease change executor",
                Counter::default(),
            ),
            names: std::mem::take(&mut all.names),
            registry: all.registry,
            together: Mutex::default(),
        };
        Self(Arc::new(metrics))
    }

    /// Returns the full names of all there are.
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    /// Returns all that has been counted, in the text form of `OpenMetrics` 1.0.
    pub fn text(&self) -> String {
        let _together = self.0.together.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        // A `String` takes whatever is written.
        let _ = encode(&mut text, &self.0.registry);
        text
    }

    /// A call of an array has ended: `ok`, or the word for what went wrong.
    pub(super) fn called(&self, array: &str, operation: &str, outcome: &str, took: Duration) {
        let (array, operation) = (array.to_owned(), operation.to_owned());
        let labels = [("array", array.clone()), ("operation", operation.clone())];
        self.0.call_duration.get_or_create(&labels).observe(took.as_secs_f64());
        let labels = [("array", array), ("operation", operation), ("outcome", outcome.to_owned())];
        self.0.calls.get_or_create(&labels).inc();
    }

    /// The Kubernetes API has answered with a status, or not at all.
    pub(super) fn requested(&self, method: &str, status: Option<u16>) {
        // As client-go has it.
        let code = status.map_or_else(|| "<error>".to_owned(), |status| status.to_string());
        self.0.requests.get_or_create(&[("code", code), ("method", method.to_owned())]).inc();
    }

    /// An array has answered how full it is, or is away.
    pub(super) fn array(&self, name: &str, capacity: Option<Capacity>) {
        let _together = self.0.together.lock().unwrap_or_else(PoisonError::into_inner);
        let labels = [("array", name.to_owned())];
        self.0.array_up.get_or_create(&labels).set(i64::from(capacity.is_some()));
        let set = |bytes: &Bytes, value: Option<u64>| match value {
            Some(value) => {
                bytes.get_or_create(&labels).set(value);
            }
            // An old number would look like a new one.
            None => {
                bytes.remove(&labels);
            }
        };
        set(&self.0.array_size, capacity.map(|capacity| capacity.total));
        set(&self.0.array_used, capacity.map(|capacity| capacity.used));
        set(&self.0.array_provisioned, capacity.and_then(|capacity| capacity.provisioned));
    }

    /// A watch is there, and has ended so often.
    pub(super) fn watch_restarted(&self, resource: &str, times: u64) {
        let labels = [("resource", resource.to_owned())];
        self.0.watch_restarts.get_or_create(&labels).inc_by(times);
    }

    /// This process leads, or does not.
    pub(super) fn leads(&self, leads: bool) {
        self.0.leading.set(i64::from(leads));
    }

    /// How this cluster's registration on an array is.
    pub(super) fn registered(&self, array: &str, is_ours: bool, lost: u32) {
        let labels = [("array", array.to_owned())];
        self.0.registered.get_or_create(&labels).set(i64::from(is_ours));
        self.0.registrations_lost.get_or_create(&labels).inc_by(u64::from(lost));
    }

    /// How many bound volumes an array does not have any more; none when that is not known.
    pub(super) fn missing(&self, array: &str, count: Option<usize>) {
        let labels = [("array", array.to_owned())];
        match count.and_then(|count| i64::try_from(count).ok()) {
            Some(count) => {
                self.0.missing.get_or_create(&labels).set(count);
            }
            None => {
                self.0.missing.remove(&labels);
            }
        }
    }

    /// The lease has changed executor.
    pub(super) fn lease_changed(&self) {
        self.0.lease_changes.inc();
    }

    /// How many claims there are of each class in each state, and how old in seconds the oldest is that
    /// waits for its volume.
    fn claims(&self, counts: HashMap<(String, &'static str), i64>, oldest: HashMap<String, f64>) {
        let _together = self.0.together.lock().unwrap_or_else(PoisonError::into_inner);
        for ((class, state), count) in counts {
            let labels = [("class", class), ("state", state.to_owned())];
            self.0.claims.get_or_create(&labels).set(count);
        }
        for (class, seconds) in oldest {
            self.0.oldest_claim.get_or_create(&[("class", class)]).set(seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'t>(text: &'t str, start: &str) -> Option<&'t str> {
        text.lines().find_map(|line| line.strip_prefix(start))
    }

    #[test]
    fn the_text_has_the_names_that_dashboards_know() {
        let metrics = Metrics::new();
        metrics.requested("GET", Some(200));
        metrics.requested("GET", None);
        metrics.called("fb1", "ensure", "ok", Duration::from_millis(30));
        metrics.called("fb1", "ensure", "Busy", Duration::from_secs(2));
        let text = metrics.text();
        for (start, value) in [
            (r#"rest_client_requests_total{code="200",method="GET"}"#, " 1"),
            (r#"rest_client_requests_total{code="<error>",method="GET"}"#, " 1"),
            (r#"pso_gen_array_calls_total{array="fb1",operation="ensure",outcome="Busy"}"#, " 1"),
            (r#"pso_gen_array_call_duration_seconds_count{array="fb1",operation="ensure"}"#, " 2"),
            (
                r#"pso_gen_array_call_duration_seconds_bucket{le="0.05",array="fb1",operation="ensure"}"#,
                " 1",
            ),
            ("pso_gen_leading", " 0"),
        ] {
            assert_eq!(line(&text, start), Some(value), "{start}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn an_array_that_is_away_has_no_old_capacity() {
        let metrics = Metrics::new();
        let capacity = Capacity { total: 100, used: 10, provisioned: None };
        metrics.array("fb1", Some(capacity));
        let text = metrics.text();
        assert_eq!(line(&text, r#"pso_gen_array_up{array="fb1"}"#), Some(" 1"));
        assert_eq!(line(&text, r#"pso_gen_array_capacity_bytes{array="fb1"}"#), Some(" 100"));
        assert_eq!(line(&text, r#"pso_gen_array_used_bytes{array="fb1"}"#), Some(" 10"));
        assert!(!text.contains("pso_gen_array_provisioned_bytes{"), "it did not say");
        metrics.array("fb1", None);
        let text = metrics.text();
        assert_eq!(line(&text, r#"pso_gen_array_up{array="fb1"}"#), Some(" 0"));
        assert!(!text.contains("_bytes{"), "{text}");
    }
}
