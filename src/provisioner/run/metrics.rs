//! Registers and encodes the metrics of the provisioner for Prometheus. Other modules report the events that are
//! counted; how the provisioner decides is unknown here, and so are tokens and the names and UIDs of claims, because
//! a label must have few values.
//!
//! Metrics that other provisioners have too keep the names of `sig-storage-lib-external-provisioner`, so that
//! existing dashboards work:
//! <https://github.com/kubernetes-sigs/sig-storage-lib-external-provisioner/blob/master/controller/metrics/metrics.go>.
//! `docs/provisioner.md` explains each metric.

mod effect_metrics;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::contract::Capacity;
use crate::monitoring::Register;
use crate::provisioner::decide::{Reason, Severity};
pub(super) use effect_metrics::{EffectMetrics, array};

/// Upper bounds of the buckets of provisioning and deletion, in seconds.
const LONG: [f64; 12] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0];
/// Upper bounds of the buckets of one operation on an array, in seconds. An operation ends after 90 s, a list of all
/// volumes after 300 s.
const SHORT: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 90.0];

type Labels<const N: usize> = [(&'static str, String); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Gauges<const N: usize> = Family<Labels<N>, Gauge>;
type Bytes = Family<Labels<1>, Gauge<u64, AtomicU64>>;
type Seconds<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// The metrics of one provisioner. Clones share their values.
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
    expanded: Counters<1>,
    expansion_failed: Counters<1>,
    snapshots: Counters<1>,
    snapshots_failed: Counters<1>,
    orphans: Gauges<1>,
    attachments: Gauges<1>,
    attach_duration: Seconds<1>,
    attach_failed: Counters<1>,
    requests: Counters<2>,
    operations: Counters<3>,
    operation_duration: Seconds<2>,
    in_flight: Gauges<1>,
    oldest_effect: Gauge<f64, AtomicU64>,
    retries: Gauge,
    queue_depth: Gauge,
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
    leader_changes: Counter,
    /// Held while values that belong together are written or read.
    consistency: Mutex<()>,
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
    /// Returns metrics without any values.
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
        all.add("pso_gen_build_info", "Always 1, with the version of the program", build);
        let metrics = All {
            provisioned: all.add(
                "controller_persistentvolumeclaim_provision_total",
                "Number of claims that were bound to the volume created for them",
                Counters::default(),
            ),
            provision_failed: all.add(
                "controller_persistentvolumeclaim_provision_failed_total",
                "Number of failed attempts to provision a claim",
                Counters::default(),
            ),
            provision_duration: all.add(
                "controller_persistentvolumeclaim_provision_duration_seconds",
                "Seconds from the first effect for a claim until the claim was bound",
                seconds(long),
            ),
            deleted: all.add(
                "controller_persistentvolume_delete_total",
                "Number of deleted PersistentVolumes whose volume was destroyed on its array",
                Counters::default(),
            ),
            delete_failed: all.add(
                "controller_persistentvolume_delete_failed_total",
                "Number of failed attempts to destroy the volume of a PersistentVolume",
                Counters::default(),
            ),
            delete_duration: all.add(
                "controller_persistentvolume_delete_duration_seconds",
                "Seconds from the release of a PersistentVolume until its deletion",
                seconds(long),
            ),
            expanded: all.add(
                "pso_gen_expansions_total",
                "Number of volumes that were expanded on their arrays",
                Counters::default(),
            ),
            expansion_failed: all.add(
                "pso_gen_expansions_failed_total",
                "Number of failed attempts to expand a bound volume",
                Counters::default(),
            ),
            snapshots: all.add(
                "pso_gen_snapshots_total",
                "Number of snapshots that were taken by schedule",
                Counters::default(),
            ),
            snapshots_failed: all.add(
                "pso_gen_snapshots_failed_total",
                "Number of failed attempts to list, take or destroy snapshots",
                Counters::default(),
            ),
            orphans: all.add(
                "pso_gen_orphaned_volumes",
                "Number of volumes of this cluster without claim and PersistentVolume; absent while unknown",
                Gauges::default(),
            ),
            requests: all.add(
                "rest_client_requests_total",
                "Number of requests to the Kubernetes API, by status code and method",
                Counters::default(),
            ),
            operations: all.add(
                "pso_gen_array_operations_total",
                "Number of operations on arrays, by outcome: ok or the reason of the error",
                Counters::default(),
            ),
            operation_duration: all.add(
                "pso_gen_array_operation_duration_seconds",
                "Seconds that an operation on an array took, with all its requests and waits",
                seconds(short),
            ),
            attachments: all.add(
                "pso_gen_attachments",
                "Number of VolumeAttachments of block volumes, by state: attached, attaching, detaching or failing",
                Gauges::default(),
            ),
            attach_duration: all.add(
                "pso_gen_attach_duration_seconds",
                "Seconds from the first effect for a VolumeAttachment until it was attached or detached",
                seconds(long),
            ),
            attach_failed: all.add(
                "pso_gen_attach_failed_total",
                "Number of failed attempts to attach or detach a block volume",
                Counters::default(),
            ),
            in_flight: all.add(
                "pso_gen_effects_in_flight",
                "Number of effects that are being executed",
                Gauges::default(),
            ),
            oldest_effect: all.add(
                "pso_gen_oldest_effect_age_seconds",
                "Seconds since the oldest effect in flight started",
                Gauge::default(),
            ),
            retries: all.add(
                "pso_gen_retries_pending",
                "Number of claims and PersistentVolumes that wait for their next attempt",
                Gauge::default(),
            ),
            queue_depth: all.add(
                "pso_gen_queue_depth",
                "Number of messages that wait for the reconciler",
                Gauge::default(),
            ),
            claims: all.add(
                "pso_gen_claims",
                "Number of claims of the provisioner's classes, by state: bound, pending, failing or waiting for the first pod",
                Gauges::default(),
            ),
            oldest_claim: all.add(
                "pso_gen_oldest_pending_claim_age_seconds",
                "Age in seconds of the oldest pending or failing claim without a volume; 0 without such a claim",
                Family::default(),
            ),
            array_up: all.add(
                "pso_gen_array_up",
                "1 if the array answered the last capacity request, otherwise 0",
                Gauges::default(),
            ),
            array_size: all.add(
                "pso_gen_array_capacity_bytes",
                "Capacity of an array in bytes; absent while the array is unreachable",
                Bytes::default(),
            ),
            array_used: all.add(
                "pso_gen_array_used_bytes",
                "Used bytes of an array, after data reduction; absent while the array is unreachable",
                Bytes::default(),
            ),
            array_provisioned: all.add(
                "pso_gen_array_provisioned_bytes",
                "Sum of the sizes of all volumes of an array in bytes; absent if the array does not report it",
                Bytes::default(),
            ),
            registered: all.add(
                "pso_gen_array_registered",
                "1 if the name of this cluster is registered on the array for this cluster, otherwise 0",
                Gauges::default(),
            ),
            registrations_lost: all.add(
                "pso_gen_array_registrations_lost_total",
                "Number of times that another provisioner took the registration while this one led",
                Counters::default(),
            ),
            missing: all.add(
                "pso_gen_missing_volumes",
                "Number of bound volumes that are missing or changed on their array; absent while unknown",
                Gauges::default(),
            ),
            events: all.add(
                "pso_gen_events_total",
                "Number of events on claims and PersistentVolumes",
                Counters::default(),
            ),
            watch_restarts: all.add(
                "pso_gen_watch_restarts_total",
                "Number of watches that ended with an error and were restarted",
                Counters::default(),
            ),
            leading: all.add("pso_gen_leader", "1 if this process leads, otherwise 0", Gauge::default()),
            leader_changes: all.add(
                "pso_gen_leader_changes_total",
                "Number of times that this process saw the holder of the lease change",
                Counter::default(),
            ),
            names: std::mem::take(&mut all.names),
            registry: all.registry,
            consistency: Mutex::default(),
        };
        Self(Arc::new(metrics))
    }

    /// Returns the full names of all metrics.
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    /// Returns all values in the text format of `OpenMetrics` 1.0.
    pub fn text(&self) -> String {
        let _guard = self.0.consistency.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = encode(&mut text, &self.0.registry);
        text
    }

    /// Counts an operation on an array that ended with an outcome: `ok` or the reason of the error.
    pub(super) fn called(&self, array: &str, operation: &str, outcome: &str, took: Duration) {
        let (array, operation) = (array.to_owned(), operation.to_owned());
        let labels = [("array", array.clone()), ("operation", operation.clone())];
        self.0.operation_duration.get_or_create(&labels).observe(took.as_secs_f64());
        let labels = [("array", array), ("operation", operation), ("outcome", outcome.to_owned())];
        self.0.operations.get_or_create(&labels).inc();
    }

    /// Counts a request to the Kubernetes API. Without an answer there is no status.
    pub(super) fn requested(&self, method: &str, status: Option<u16>) {
        // The value that client-go uses.
        let code = status.map_or_else(|| "<error>".to_owned(), |status| status.to_string());
        self.0.requests.get_or_create(&[("code", code), ("method", method.to_owned())]).inc();
    }

    /// Sets the capacity that an array reported; none if the array is unreachable.
    pub(super) fn array(&self, name: &str, capacity: Option<Capacity>) {
        let _guard = self.0.consistency.lock().unwrap_or_else(PoisonError::into_inner);
        let labels = [("array", name.to_owned())];
        self.0.array_up.get_or_create(&labels).set(i64::from(capacity.is_some()));
        let set = |bytes: &Bytes, value: Option<u64>| match value {
            Some(value) => {
                bytes.get_or_create(&labels).set(value);
            }
            // A stale value would look current.
            None => {
                bytes.remove(&labels);
            }
        };
        set(&self.0.array_size, capacity.map(|capacity| capacity.total));
        set(&self.0.array_used, capacity.map(|capacity| capacity.used));
        set(&self.0.array_provisioned, capacity.and_then(|capacity| capacity.provisioned));
    }

    /// Adds restarts of a watch. With 0, the series appears with its current value.
    pub(super) fn watch_restarted(&self, resource: &str, times: u64) {
        let labels = [("resource", resource.to_owned())];
        self.0.watch_restarts.get_or_create(&labels).inc_by(times);
    }

    /// Sets whether this process leads.
    pub(super) fn leads(&self, leads: bool) {
        self.0.leading.set(i64::from(leads));
    }

    /// Sets whether an array is registered for this cluster, and adds the registrations lost.
    pub(super) fn registered(&self, array: &str, is_ours: bool, lost: u32) {
        let labels = [("array", array.to_owned())];
        self.0.registered.get_or_create(&labels).set(i64::from(is_ours));
        self.0.registrations_lost.get_or_create(&labels).inc_by(u64::from(lost));
    }

    /// Sets the number of missing volumes of an array; none if it is unknown.
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

    /// Adds to the number of effects in flight.
    pub(super) fn effect_in_flight(&self, label: &str, by: i64) {
        self.0.in_flight.get_or_create(&[("effect", label.to_owned())]).inc_by(by);
    }

    /// Counts an event.
    pub(super) fn event(&self, severity: Severity, reason: Reason) {
        let severity = match severity {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        };
        let labels = [("reason", reason.as_str().to_owned()), ("type", severity.to_owned())];
        self.0.events.get_or_create(&labels).inc();
    }

    /// Counts a volume that was attached or detached after some time.
    pub(super) fn attached(&self, operation: &str, took: Duration) {
        let labels = [("operation", operation.to_owned())];
        self.0.attach_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts a failed attempt to attach or detach a volume.
    pub(super) fn attach_failed(&self, operation: &str) {
        self.0.attach_failed.get_or_create(&[("operation", operation.to_owned())]).inc();
    }

    /// Sets the number of VolumeAttachments by state.
    pub(super) fn attachments(&self, counts: &HashMap<&str, i64>) {
        for (state, count) in counts {
            self.0.attachments.get_or_create(&[("state", (*state).to_owned())]).set(*count);
        }
    }

    /// Counts a change of the lease's holder.
    pub(super) fn lease_changed(&self) {
        self.0.leader_changes.inc();
    }

    /// Sets the number of claims by class and state, and the age of the oldest pending claim by class, in seconds.
    fn claims(&self, counts: HashMap<(String, &'static str), i64>, oldest: HashMap<String, f64>) {
        let _guard = self.0.consistency.lock().unwrap_or_else(PoisonError::into_inner);
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
    fn the_text_has_the_names_that_dashboards_use() {
        let metrics = Metrics::new();
        metrics.requested("GET", Some(200));
        metrics.requested("GET", None);
        metrics.called("fb1", "ensure", "ok", Duration::from_millis(30));
        metrics.called("fb1", "ensure", "Busy", Duration::from_secs(2));
        let text = metrics.text();
        for (start, value) in [
            (r#"rest_client_requests_total{code="200",method="GET"}"#, " 1"),
            (r#"rest_client_requests_total{code="<error>",method="GET"}"#, " 1"),
            (
                r#"pso_gen_array_operations_total{array="fb1",operation="ensure",outcome="Busy"}"#,
                " 1",
            ),
            (
                r#"pso_gen_array_operation_duration_seconds_count{array="fb1",operation="ensure"}"#,
                " 2",
            ),
            (
                r#"pso_gen_array_operation_duration_seconds_bucket{le="0.05",array="fb1",operation="ensure"}"#,
                " 1",
            ),
            ("pso_gen_leader", " 0"),
        ] {
            assert_eq!(line(&text, start), Some(value), "{start}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn an_unreachable_array_has_no_stale_capacity() {
        let metrics = Metrics::new();
        let capacity = Capacity { total: 100, used: 10, provisioned: None };
        metrics.array("fb1", Some(capacity));
        let text = metrics.text();
        assert_eq!(line(&text, r#"pso_gen_array_up{array="fb1"}"#), Some(" 1"));
        assert_eq!(line(&text, r#"pso_gen_array_capacity_bytes{array="fb1"}"#), Some(" 100"));
        assert_eq!(line(&text, r#"pso_gen_array_used_bytes{array="fb1"}"#), Some(" 10"));
        assert!(!text.contains("pso_gen_array_provisioned_bytes{"), "the array reported none");
        metrics.array("fb1", None);
        let text = metrics.text();
        assert_eq!(line(&text, r#"pso_gen_array_up{array="fb1"}"#), Some(" 0"));
        assert!(!text.contains("_bytes{"), "{text}");
    }
}
