//! Registers and encodes the metrics of the node service for Prometheus. Devices are unknown here, and so are the names of
//! claims and volumes, because a label must have few values. `docs/node.md` explains each metric.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tonic::{Code, Status};

use crate::monitoring::Register;
use crate::node::NodeReport;

/// Upper bounds of the buckets of a call, in seconds. A stage waits up to 40 s for a path; creating or checking a file
/// system may take half an hour.
const BUCKETS: [f64; 10] = [0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 1800.0];

type Labels<const N: usize> = [(&'static str, String); N];

/// The metrics of one node service. Clones share their values.
#[derive(Clone)]
pub struct NodeMetrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    names: Vec<String>,
    operations: Family<Labels<2>, Counter>,
    duration: Family<Labels<2>, Histogram, fn() -> Histogram>,
    in_flight: Family<Labels<1>, Gauge>,
    staged: Family<Labels<1>, Gauge>,
    paths: Family<Labels<1>, Gauge>,
    expected: Family<Labels<1>, Gauge>,
    lacking: Family<Labels<1>, Gauge>,
    without: Family<Labels<1>, Gauge>,
    hanging: Gauge,
    registered: Gauge,
    /// The arrays of the last report. Held while values that belong together are written or read.
    arrays: Mutex<Vec<String>>,
}

/// A call at work. It is counted when it ends, also when its caller gives up waiting.
pub(super) struct Call<'m> {
    metrics: &'m NodeMetrics,
    operation: &'static str,
    begun: Instant,
    code: Code,
}

impl Default for NodeMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for NodeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeMetrics")
    }
}

impl NodeMetrics {
    /// Returns metrics without any values.
    pub fn new() -> Self {
        let buckets: fn() -> Histogram = || Histogram::new(BUCKETS);
        let mut all = Register::default();
        let build = Family::<Labels<1>, Gauge>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        all.add("pso_gen_node_build_info", "Always 1, with the version of the program", build);
        let metrics = Inner {
            operations: all.add(
                "pso_gen_node_operations_total",
                "Number of calls of CSI's Node service that ended, by gRPC code",
                Family::default(),
            ),
            duration: all.add(
                "pso_gen_node_operation_duration_seconds",
                "Seconds that a call of CSI's Node service took, by gRPC code",
                Family::new_with_constructor(buckets),
            ),
            in_flight: all.add(
                "pso_gen_node_operations_in_flight",
                "Number of calls of CSI's Node service at work",
                Family::default(),
            ),
            staged: all.add(
                "pso_gen_node_staged_volumes",
                "Number of volumes that are staged on this node",
                Family::default(),
            ),
            paths: all.add(
                "pso_gen_node_paths",
                "Number of paths that the staged volumes of an array have",
                Family::default(),
            ),
            expected: all.add(
                "pso_gen_node_paths_expected",
                "Number of paths that the staged volumes of an array should have",
                Family::default(),
            ),
            lacking: all.add(
                "pso_gen_node_volumes_with_missing_paths",
                "Number of staged volumes of an array with some paths, and not all of them",
                Family::default(),
            ),
            without: all.add(
                "pso_gen_node_volumes_without_path",
                "Number of staged volumes of an array without any path",
                Family::default(),
            ),
            hanging: all.add(
                "pso_gen_node_hanging_devices",
                "Number of devices, mounts and programs of the host that have not answered within their time limit",
                Gauge::default(),
            ),
            registered: all.add(
                "pso_gen_node_registered",
                "1 if kubelet has registered the driver since this process started, otherwise 0",
                Gauge::default(),
            ),
            names: std::mem::take(&mut all.names),
            registry: all.registry,
            arrays: Mutex::default(),
        };
        Self(Arc::new(metrics))
    }

    /// Returns the full names of all metrics.
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    /// Returns all values in the text format of `OpenMetrics` 1.0.
    pub fn text(&self) -> String {
        let _guard = self.0.arrays.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = encode(&mut text, &self.0.registry);
        text
    }

    /// Sets the state of the staged volumes. An array without any staged volume has no values, and so has every array if the
    /// state is unknown: the last values would look current.
    pub fn set_report(&self, report: &NodeReport) {
        let mut known = self.0.arrays.lock().unwrap_or_else(PoisonError::into_inner);
        let mut arrays: BTreeMap<&str, [i64; 5]> = BTreeMap::new();
        for volume in report.volumes.iter().flatten() {
            let [staged, paths, expected, lacking, without] =
                arrays.entry(&volume.array_id).or_default();
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            *staged += 1;
            *paths += number(volume.paths);
            *expected += number(volume.expected);
            *without += i64::from(volume.paths == 0);
            *lacking += i64::from(volume.paths > 0 && volume.paths < volume.expected);
        }
        let Inner { staged, paths, expected, lacking, without, .. } = &*self.0;
        let gauges = [staged, paths, expected, lacking, without];
        for gone in known.iter().filter(|array| !arrays.contains_key(array.as_str())) {
            for gauge in gauges {
                gauge.remove(&[("array_id", gone.clone())]);
            }
        }
        for (array, values) in &arrays {
            for (gauge, value) in gauges.into_iter().zip(values) {
                gauge.get_or_create(&[("array_id", (*array).to_owned())]).set(*value);
            }
        }
        self.0.hanging.set(i64::try_from(report.hanging).unwrap_or(i64::MAX));
        *known = arrays.into_keys().map(str::to_owned).collect();
    }

    /// Sets whether kubelet has registered the driver.
    pub(super) fn registered(&self, is_registered: bool) {
        self.0.registered.set(i64::from(is_registered));
    }

    /// Returns whether kubelet has registered the driver.
    pub(super) fn is_registered(&self) -> bool {
        self.0.registered.get() == 1
    }

    /// Counts a call, and returns its result.
    pub(super) async fn measure<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let at_work = [("operation", operation.to_owned())];
        self.0.in_flight.get_or_create(&at_work).inc();
        let mut counted =
            Call { metrics: self, operation, begun: Instant::now(), code: Code::Cancelled };
        let done = call.await;
        counted.code = done.as_ref().err().map_or(Code::Ok, Status::code);
        done
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let Inner { operations, duration, in_flight, .. } = &*self.metrics.0;
        let operation = self.operation.to_owned();
        in_flight.get_or_create(&[("operation", operation.clone())]).dec();
        // The names that other gRPC metrics use, such as those of kubelet.
        let code = match self.code {
            Code::Ok => "OK".to_owned(),
            Code::Cancelled => "Canceled".to_owned(),
            code => format!("{code:?}"),
        };
        let labels = [("code", code), ("operation", operation)];
        duration.get_or_create(&labels).observe(self.begun.elapsed().as_secs_f64());
        operations.get_or_create(&labels).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{NodeError, NodeErrorKind, VolumePaths};

    fn value(metrics: &NodeMetrics, series: &str) -> Option<String> {
        let text = metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(str::to_owned)
    }

    #[tokio::test]
    async fn a_call_is_counted_by_its_code_also_when_its_caller_gives_up() {
        let metrics = NodeMetrics::new();
        let counted = |code: &str| {
            let series =
                format!(r#"pso_gen_node_operations_total{{code="{code}",operation="stage"}}"#);
            value(&metrics, &series)
        };
        metrics.measure("stage", async { Ok(()) }).await.expect("good");
        let refused = async { Err::<(), _>(Status::failed_precondition("no path")) };
        metrics.measure("stage", refused).await.expect_err("refused");
        let mut hangs = Box::pin(metrics.measure("stage", std::future::pending::<Result<(), _>>()));
        assert!(futures::poll!(&mut hangs).is_pending());
        let in_flight = r#"pso_gen_node_operations_in_flight{operation="stage"}"#;
        assert_eq!(value(&metrics, in_flight).as_deref(), Some("1"));
        drop(hangs);
        assert_eq!(value(&metrics, in_flight).as_deref(), Some("0"));
        for code in ["OK", "FailedPrecondition", "Canceled"] {
            assert_eq!(counted(code).as_deref(), Some("1"), "{code}");
        }
    }

    #[test]
    fn paths_are_summed_by_array_and_an_array_without_volumes_has_none() {
        let metrics = NodeMetrics::new();
        let volume = |array: &str, paths, expected| VolumePaths {
            array_id: array.to_owned(),
            paths,
            expected,
        };
        let volumes =
            vec![volume("a", 4, 4), volume("a", 1, 4), volume("a", 0, 4), volume("b", 2, 2)];
        metrics.set_report(&NodeReport { volumes: Ok(volumes), hanging: 2 });
        let of = |name: &str, array: &str| {
            value(&metrics, &format!(r#"pso_gen_node_{name}{{array_id="{array}"}}"#))
        };
        for (name, expected) in [
            ("staged_volumes", "3"),
            ("paths", "5"),
            ("paths_expected", "12"),
            ("volumes_with_missing_paths", "1"),
            ("volumes_without_path", "1"),
        ] {
            assert_eq!(of(name, "a").as_deref(), Some(expected), "{name}");
        }
        assert_eq!(of("volumes_with_missing_paths", "b").as_deref(), Some("0"));
        assert_eq!(value(&metrics, "pso_gen_node_hanging_devices").as_deref(), Some("2"));
        metrics.set_report(&NodeReport { volumes: Ok(vec![volume("b", 2, 2)]), hanging: 0 });
        assert_eq!(of("paths", "a"), None, "a stale value would look current");
        assert_eq!(of("paths", "b").as_deref(), Some("2"));
        let error = NodeError::new(NodeErrorKind::DeadlineExceeded, "state files: no answer");
        metrics.set_report(&NodeReport { volumes: Err(error), hanging: 3 });
        assert_eq!(of("staged_volumes", "b"), None, "a stale value would look current");
        assert_eq!(value(&metrics, "pso_gen_node_hanging_devices").as_deref(), Some("3"));
    }
}
