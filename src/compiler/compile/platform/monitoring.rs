//! Renders the monitoring objects that the storage document requests: a ServiceMonitor, a PrometheusRule and a
//! Grafana dashboard. Alerts and dashboard are files beside this one, usable without the Prometheus operator too. The
//! meaning of the metrics is unknown here.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value as Json, json};

use super::{METRICS, NAME, Platform, node_platform, selector};
use crate::compiler::compile::wave::LAST;
use crate::compiler::manifest::{Object, Other};

const GROUP: &str = "monitoring.coreos.com/v1";
/// A Prometheus rule file.
const ALERTS: &str = include_str!("alerts.yaml");
/// The alerts of the node service, for documents that install it.
const NODE_ALERTS: &str = include_str!("node-alerts.yaml");
const DASHBOARD: &str = include_str!("dashboard.json");

/// Returns the objects that `monitoring` requests.
pub(super) fn objects(platform: &Platform<'_>) -> Vec<Object> {
    let monitoring = &platform.own.monitoring;
    let mut objects = Vec::new();
    if monitoring.service_monitor {
        let endpoint = json!({"port": METRICS, "path": "/metrics", "interval": "30s"});
        let spec = json!({"selector": {"matchLabels": selector()}, "endpoints": [endpoint]});
        objects.push(Other::new(GROUP, "ServiceMonitor", metadata(platform), spec).into());
        objects.extend(of_nodes(platform));
    }
    if monitoring.alerts {
        let rule = Other::new(GROUP, "PrometheusRule", metadata(platform), rules(platform));
        objects.push(rule.into());
    }
    if monitoring.dashboard {
        let mut metadata = metadata(platform);
        metadata.name = Some(format!("{NAME}-dashboard"));
        // Grafana's sidecar selects dashboards by this label.
        let label = ("grafana_dashboard".to_owned(), "1".to_owned());
        metadata.labels.get_or_insert_default().extend([label]);
        objects.push(Object::from(ConfigMap {
            metadata,
            data: Some([("pso-gen.json".to_owned(), DASHBOARD.to_owned())].into()),
            ..ConfigMap::default()
        }));
    }
    objects
}

/// Returns the ServiceMonitor of the node service, if the document installs it. It is in the provisioner's namespace, where
/// Prometheus looks already; the namespace of the node service contains nothing that it does not need.
fn of_nodes(platform: &Platform<'_>) -> Option<Object> {
    let own = platform.storage.spec.installed_node_service()?.spec;
    let mut metadata = metadata(platform);
    metadata.name = Some(node_platform::NAME.to_owned());
    metadata.labels.get_or_insert_default().extend(node_platform::selector());
    // The alerts name the node, and not the address of its pod.
    let node = json!({"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"});
    let endpoint = json!({
        "port": METRICS, "path": "/metrics", "interval": "30s", "relabelings": [node],
    });
    let spec = json!({
        "selector": {"matchLabels": node_platform::selector()},
        "namespaceSelector": {"matchNames": [own.namespace]}, "endpoints": [endpoint],
    });
    Some(Other::new(GROUP, "ServiceMonitor", metadata, spec).into())
}

/// Returns metadata of the last wave: in clusters without the Prometheus operator only these objects fail.
fn metadata(platform: &Platform<'_>) -> ObjectMeta {
    let mut metadata = platform.metadata(LAST);
    let labels = platform.own.monitoring.labels.clone();
    metadata.labels.get_or_insert_default().extend(labels);
    metadata
}

/// Returns the alert rules, each with its `runbook_url` if the document has `runbooks`.
fn rules(platform: &Platform<'_>) -> Json {
    // A test parses the files.
    let read = |text| serde_yaml::from_str::<Json>(text).unwrap_or_default();
    let mut rules = read(ALERTS);
    let of_nodes = read(NODE_ALERTS)["groups"].as_array().cloned().unwrap_or_default();
    if let (Some(groups), Some(_)) =
        (rules["groups"].as_array_mut(), platform.storage.spec.installed_node_service())
    {
        groups.extend(of_nodes);
    }
    let Some(page) = &platform.own.monitoring.runbooks else { return rules };
    let groups = rules["groups"].as_array_mut().into_iter().flatten();
    for rule in groups.flat_map(|group| group["rules"].as_array_mut().into_iter().flatten()) {
        let anchor = rule["alert"].as_str().unwrap_or_default().to_lowercase();
        rule["annotations"]["runbook_url"] = json!(format!("{page}#{anchor}"));
    }
    rules
}
