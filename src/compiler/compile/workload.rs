//! Deployments, and `StatefulSets` for programs that must never run twice at the same time.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, StatefulSet, StatefulSetSpec,
};

use super::names::{label_selector, selector, version_label};
use super::{Context, pod};
use crate::compiler::blueprint::{ClassKind, Component, Pods, Update};
use crate::compiler::manifest::Object;

/// Longest time for a rollout with steps before the start, in seconds.
const PREPARING: i32 = 3600;

/// Returns one workload for each component.
pub(super) fn workloads(context: &Context<'_>) -> Vec<Object> {
    let components = context.app.components.iter();
    components.map(|(name, component)| workload(context, name, component)).collect()
}

fn workload(context: &Context<'_>, name: &str, component: &Component) -> Object {
    let app = context.app;
    let mut metadata = context.metadata(app.object_name(name), name, context.waves.of(name));
    metadata.labels.get_or_insert_default().extend(version_label(&component.program.image));
    let template = pod::of_component(context, name, component);
    let selector = label_selector(selector(app, name));
    if component.serving.pods == Pods::One {
        // A StatefulSet ends the old pod before it starts the next one, even if a node is lost. The claim is a
        // separate object, because templates in a StatefulSet can never be expanded.
        let has_service = !component.serving.ports.is_empty();
        return Object::from(StatefulSet {
            metadata,
            spec: Some(StatefulSetSpec {
                replicas: Some(1),
                selector,
                service_name: has_service.then(|| app.object_name(name)),
                template,
                ..StatefulSetSpec::default()
            }),
            status: None,
        });
    }
    let replicas = match component.serving.pods {
        Pods::Count(count) => i32::try_from(count).ok(),
        // With a number here, every sync would undo the autoscaler's changes.
        Pods::One | Pods::Scale(_) => None,
    };
    let attached =
        app.mounted(&component.program).any(|(_, volume)| volume.class.kind == ClassKind::Block);
    let recreate = attached || component.serving.update == Update::Recreate;
    let strategy = recreate
        .then(|| DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None });
    // An installation or upgrade before the start may take longer than the 10 minutes after which a rollout
    // counts as failed.
    let prepares = !component.serving.before.is_empty();
    Object::from(Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas,
            progress_deadline_seconds: prepares.then_some(PREPARING),
            selector,
            strategy,
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    })
}
