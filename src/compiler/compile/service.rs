//! Services: the address of each component that has ports.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Context;
use super::names::selector;
use crate::compiler::blueprint::{Component, Pods};
use crate::compiler::manifest::Object;
use crate::compiler::spec::Via;

/// Returns one Service for each component with ports.
pub(super) fn services(context: &Context<'_>) -> Vec<Object> {
    let components = context.app.components.iter();
    let with_ports = components.filter(|(_, component)| !component.serving.ports.is_empty());
    with_ports.map(|(name, component)| service(context, name, component)).collect()
}

fn service(context: &Context<'_>, name: &str, component: &Component) -> Object {
    let app = context.app;
    let expose = &app.common.expose;
    let on_nodes =
        expose.via == Via::NodePort && app.exposed.iter().any(|exposed| exposed.component == name);
    let ports = component.serving.ports.iter().map(|(port, number)| {
        let exposed =
            on_nodes && app.exposed.iter().any(|e| e.component == name && e.port == *port);
        ServicePort {
            name: Some(port.clone()),
            port: i32::from(*number),
            target_port: Some(IntOrString::String(port.clone())),
            protocol: Some("TCP".to_owned()),
            node_port: expose.node_port.filter(|_| exposed).map(i32::from),
            ..ServicePort::default()
        }
    });
    // Clients use the address of a single pod directly: there is nothing to balance, and no stale address.
    let headless = component.serving.pods == Pods::One && !on_nodes;
    Object::from(Service {
        metadata: context.metadata(app.object_name(name), name, context.waves.of(name)),
        spec: Some(ServiceSpec {
            type_: Some(if on_nodes { "NodePort" } else { "ClusterIP" }.to_owned()),
            cluster_ip: headless.then(|| "None".to_owned()),
            selector: Some(selector(app, name)),
            ports: Some(ports.collect()),
            ..ServiceSpec::default()
        }),
        status: None,
    })
}
