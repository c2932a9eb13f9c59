//! Objects for components with several pods: a disruption budget, and an autoscaler if there are bounds.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::names::{label_selector, selector};
use super::{Context, wave};
use crate::compiler::blueprint::{Pods, Scale};
use crate::compiler::manifest::Object;

/// Returns the budgets and autoscalers of all components.
pub(super) fn scaling(context: &Context<'_>) -> Vec<Object> {
    let mut objects = Vec::new();
    for (name, component) in &context.app.components {
        let pods = component.serving.pods;
        // With one pod, a budget would only block node drains.
        if pods.fewest() > 1 {
            objects.push(budget(context, name));
        }
        if let Pods::Scale(scale) = pods {
            objects.push(autoscaler(context, name, scale));
        }
    }
    objects
}

fn budget(context: &Context<'_>, name: &str) -> Object {
    let app = context.app;
    Object::from(PodDisruptionBudget {
        metadata: context.metadata(app.object_name(name), name, context.waves.of(name)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(label_selector(selector(app, name))),
            // A pod that is already unhealthy must not block a node drain.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}

fn autoscaler(context: &Context<'_>, name: &str, scale: Scale) -> Object {
    let app = context.app;
    let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    Object::from(HorizontalPodAutoscaler {
        metadata: context.metadata(app.object_name(name), name, wave::LAST),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: app.object_name(name),
            },
            min_replicas: Some(number(scale.min)),
            max_replicas: number(scale.max),
            metrics: Some(vec![MetricSpec {
                type_: "Resource".to_owned(),
                resource: Some(ResourceMetricSource {
                    name: "cpu".to_owned(),
                    target: MetricTarget {
                        type_: "Utilization".to_owned(),
                        average_utilization: Some(number(scale.cpu)),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            ..HorizontalPodAutoscalerSpec::default()
        }),
        status: None,
    })
}
