//! Routes from outside the cluster: an Ingress or an HTTPRoute.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};

use serde_json::json;

use super::{Context, wave};
use crate::compiler::blueprint::Exposed;
use crate::compiler::manifest::{
    BackendRef, HttpRoute, HttpRouteRule, HttpRouteSpec, HttpRouteTimeouts, Object, ParentReference,
};
use crate::compiler::spec::{Tls, Via};

/// Returns one object for each exposed port.
pub(super) fn routes(context: &Context<'_>) -> Vec<Object> {
    let exposed = context.app.exposed.iter();
    exposed
        .filter_map(|exposed| match context.app.common.expose.via {
            Via::Ingress => Some(ingress(context, exposed)),
            Via::Gateway => route(context, exposed),
            Via::NodePort | Via::None => None,
        })
        .collect()
}

fn ingress(context: &Context<'_>, exposed: &Exposed) -> Object {
    let app = context.app;
    let expose = &app.common.expose;
    let name = app.object_name(&exposed.component);
    let mut metadata = context.metadata(name.clone(), &exposed.component, wave::LAST);
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.extend(controller_annotations(expose.class.as_deref(), exposed));
    if let Some(issuer) = &expose.issuer {
        annotations.insert("cert-manager.io/cluster-issuer".to_owned(), issuer.clone());
    }
    annotations.extend(expose.annotations.clone());
    let secret = match &expose.tls {
        Tls::Off | Tls::Elsewhere => None,
        Tls::Standard => Some(format!("{}-tls", app.name)),
        Tls::Secret(secret) => Some(secret.clone()),
    };
    let rule = |host: &String| IngressRule {
        host: Some(host.clone()),
        http: Some(HTTPIngressRuleValue {
            paths: vec![HTTPIngressPath {
                path: Some("/".to_owned()),
                path_type: "Prefix".to_owned(),
                backend: IngressBackend {
                    service: Some(IngressServiceBackend {
                        name: name.clone(),
                        port: Some(ServiceBackendPort {
                            name: Some(exposed.port.clone()),
                            number: None,
                        }),
                    }),
                    resource: None,
                },
            }],
        }),
    };
    Object::from(Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: expose.class.clone(),
            rules: Some(exposed.hosts.iter().map(rule).collect()),
            tls: secret.map(|secret| {
                vec![IngressTLS { hosts: Some(exposed.hosts.clone()), secret_name: Some(secret) }]
            }),
            default_backend: None,
        }),
        status: None,
    })
}

/// Returns annotations for limits that Ingress has no fields for. Controllers use different annotations, so they
/// are set only for known ingress classes.
fn controller_annotations(class: Option<&str>, exposed: &Exposed) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    let mut add = |name: &str, value: String| annotations.insert(name.to_owned(), value);
    let seconds = exposed.timeout.map(|timeout| timeout.0);
    let bytes = exposed.max_body.as_ref().map(crate::contract::Quantity::bytes);
    match class {
        Some("nginx") => {
            if let Some(bytes) = bytes {
                // nginx accepts k, m and g, in powers of 1024.
                let megabytes = bytes.div_ceil(1 << 20);
                add("nginx.ingress.kubernetes.io/proxy-body-size", format!("{megabytes}m"));
                // Otherwise nginx stores a whole upload on its own disk before the app receives the first byte.
                add("nginx.ingress.kubernetes.io/proxy-request-buffering", "off".to_owned());
            }
            if let Some(seconds) = seconds {
                add("nginx.ingress.kubernetes.io/proxy-read-timeout", seconds.to_string());
                add("nginx.ingress.kubernetes.io/proxy-send-timeout", seconds.to_string());
            }
        }
        Some("haproxy") => {
            if let Some(seconds) = seconds {
                add("haproxy.org/timeout-server", format!("{seconds}s"));
            }
        }
        _ => {}
    }
    annotations
}

fn route(context: &Context<'_>, exposed: &Exposed) -> Option<Object> {
    let app = context.app;
    let expose = &app.common.expose;
    let mut steps = expose.gateway.as_deref()?.split('/');
    let (first, second, third) = (steps.next()?, steps.next(), steps.next());
    let parent = ParentReference {
        group: Some("gateway.networking.k8s.io".to_owned()),
        kind: Some("Gateway".to_owned()),
        namespace: second.map(|_| first.to_owned()),
        name: second.unwrap_or(first).to_owned(),
        section_name: third.map(str::to_owned),
    };
    let component = app.components.get(&exposed.component)?;
    let port = component.serving.ports.get(&exposed.port)?;
    let name = app.object_name(&exposed.component);
    let mut metadata = context.metadata(name.clone(), &exposed.component, wave::LAST);
    metadata.annotations.get_or_insert_default().extend(expose.annotations.clone());
    let backend = BackendRef {
        group: Some(String::new()),
        kind: Some("Service".to_owned()),
        name,
        port: i32::from(*port),
        weight: Some(1),
    };
    Some(Object::from(HttpRoute::new(
        metadata,
        HttpRouteSpec {
            parent_refs: vec![parent],
            hostnames: exposed.hosts.clone(),
            rules: vec![HttpRouteRule {
                matches: vec![json!({"path": {"type": "PathPrefix", "value": "/"}})],
                filters: Vec::new(),
                backend_refs: vec![backend],
                timeouts: exposed.timeout.map(|timeout| HttpRouteTimeouts {
                    request: format!("{}s", timeout.0),
                    backend_request: format!("{}s", timeout.0),
                }),
            }],
        },
    )))
}
