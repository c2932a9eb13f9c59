//! What Prometheus and Grafana are told, for those who ask for it. Alerts and dashboard are files beside this
//! one, that others may use as well.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value as Json, json};

use super::{METRICS, NAME, Platform, selector};
use crate::compiler::compile::wave::LAST;
use crate::compiler::manifest::{Object, Other};

const GROUP: &str = "monitoring.coreos.com/v1";
/// A file of rules, as Prometheus reads it.
const ALERTS: &str = include_str!("alerts.yaml");
const DASHBOARD: &str = include_str!("dashboard.json");

/// What is asked for of them.
pub(super) fn objects(platform: &Platform<'_>) -> Vec<Object> {
    let wanted = &platform.own.monitoring;
    let mut objects = Vec::new();
    if wanted.service_monitor {
        let endpoint = json!({"port": METRICS, "path": "/metrics", "interval": "30s"});
        let spec = json!({"selector": {"matchLabels": selector()}, "endpoints": [endpoint]});
        objects.push(Other::new(GROUP, "ServiceMonitor", metadata(platform), spec).into());
    }
    if wanted.alerts {
        let rule = Other::new(GROUP, "PrometheusRule", metadata(platform), rules(platform));
        objects.push(rule.into());
    }
    if wanted.dashboard {
        let mut metadata = metadata(platform);
        metadata.name = Some(format!("{NAME}-dashboard"));
        // By this label Grafana's sidecar finds it.
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

/// After everything else: in clusters without the operator these are the objects that fail.
fn metadata(platform: &Platform<'_>) -> ObjectMeta {
    let mut metadata = platform.metadata(LAST);
    let labels = platform.own.monitoring.labels.clone();
    metadata.labels.get_or_insert_default().extend(labels);
    metadata
}

/// The rules, each with where to read what to do, if that is known.
fn rules(platform: &Platform<'_>) -> Json {
    // That the file can be read is tested.
    let mut rules: Json = serde_yaml::from_str(ALERTS).unwrap_or_default();
    let Some(page) = &platform.own.monitoring.runbooks else { return rules };
    let groups = rules["groups"].as_array_mut().into_iter().flatten();
    for rule in groups.flat_map(|group| group["rules"].as_array_mut().into_iter().flatten()) {
        let anchor = rule["alert"].as_str().unwrap_or_default().to_lowercase();
        rule["annotations"]["runbook_url"] = json!(format!("{page}#{anchor}"));
    }
    rules
}
