//! A registry of metrics by their full names. What they measure is unknown here.

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Metric, Registry};

/// A registry that collects the full names of its metrics.
#[derive(Default)]
pub(crate) struct Register {
    /// The registry.
    pub(crate) registry: Registry,
    /// The full names, in the order of their registration.
    pub(crate) names: Vec<String>,
}

impl Register {
    /// Registers a metric by its full name, and returns the metric.
    pub(crate) fn add<M>(&mut self, name: &str, help: &str, metric: M) -> M
    where
        M: Metric + Clone + prometheus_client::encoding::EncodeMetric,
    {
        self.names.push(name.to_owned());
        // The encoder appends `_total` to counters.
        let stem = match metric.metric_type() {
            MetricType::Counter => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        // The registry appends a full stop to every help text.
        self.registry.register(stem, help, metric.clone());
        metric
    }
}
