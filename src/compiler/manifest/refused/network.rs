//! Rules for Services, Ingresses, `HTTPRoutes`, `NetworkPolicies`.

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::container::{port_name, target};
use super::{Found, Path};
use crate::compiler::manifest::HttpRoute;
use crate::compiler::spec::Format;

/// Largest number of host names of one HTTPRoute: `maxItems` of its schema.
pub(super) const HOSTS: usize = 16;
/// Largest number of Gateways of one HTTPRoute.
const PARENTS: usize = 32;

/// Returns the transport protocol of a port.
fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

pub(super) fn service(object: &Service, found: &mut Found) {
    let Some(spec) = &object.spec else { return };
    let at = Path::new("spec");
    let kind = spec.type_.as_deref().unwrap_or("ClusterIP");
    found.choice(
        &at.child("type"),
        Some(kind),
        &["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"],
    );
    found.choice(
        &at.child("sessionAffinity"),
        spec.session_affinity.as_deref(),
        &["ClientIP", "None"],
    );
    let ports = spec.ports.as_deref().unwrap_or_default();
    let is_headless = spec.cluster_ip.as_deref() == Some("None");
    if ports.is_empty() && !is_headless && kind != "ExternalName" {
        found.add(&at.child("ports"), "a Service needs a port, and none is left", "keep one");
    }
    if is_headless && matches!(kind, "NodePort" | "LoadBalancer") {
        let message = format!("a Service without an address (`None`) cannot be a `{kind}`");
        found.add(&at.index("clusterIPs", 0), message, "write `clusterIP: null` as well");
    }
    let all = || ports.iter().enumerate().map(|(index, port)| (at.index("ports", index), port));
    for (at, port) in all() {
        found.bounds(&at.child("port"), Some(port.port.into()), 1, 65535);
        found.choice(&at.child("protocol"), port.protocol.as_deref(), &["TCP", "UDP", "SCTP"]);
        match &port.name {
            Some(name) => found.format(&at.child("name"), name, Format::Name),
            None if ports.len() > 1 => {
                found.add(&at.child("name"), "each of several ports needs a name", "write `name`");
            }
            None => {}
        }
        match &port.target_port {
            Some(IntOrString::Int(number)) => {
                found.bounds(&at.child("targetPort"), Some((*number).into()), 1, 65535);
            }
            Some(IntOrString::String(name)) => port_name(name, &at.child("targetPort"), found),
            None => {}
        }
        if port.node_port.is_some() && kind == "ClusterIP" {
            let message = "a Service of the type `ClusterIP` has no port on the nodes";
            found.add(
                &at.child("nodePort"),
                message,
                "write `type: NodePort` as well, or remove `nodePort`",
            );
        }
    }
    found.unique(
        all().filter_map(|(at, port)| {
            Some((at.child("name"), port.name.as_ref()?, port.name.as_deref()?))
        }),
        "name",
    );
    let numbers: Vec<(Path, (i32, &str), String)> =
        all().map(|(at, port)| (at, (port.port, protocol(port)), port.port.to_string())).collect();
    found.unique(numbers.iter().map(|(at, key, word)| (at.clone(), *key, word.as_str())), "port");
    let nodes: Vec<(Path, (i32, &str), String)> = all()
        .filter_map(|(at, port)| {
            Some((
                at.child("nodePort"),
                (port.node_port?, protocol(port)),
                port.node_port?.to_string(),
            ))
        })
        .collect();
    found
        .unique(nodes.iter().map(|(at, key, word)| (at.clone(), *key, word.as_str())), "node port");
}

pub(super) fn ingress(object: &Ingress, found: &mut Found) {
    let Some(spec) = &object.spec else { return };
    let at = Path::new("spec");
    if spec.default_backend.is_none() && spec.rules.as_ref().is_none_or(Vec::is_empty) {
        found.add(&at, "an Ingress needs a rule, and none is left", "keep one");
    }
    if let Some(of) = &spec.default_backend {
        backend(of, &at.child("defaultBackend"), found);
    }
    if let Some(class) = &spec.ingress_class_name {
        found.format(&at.child("ingressClassName"), class, Format::Subdomain);
    }
    for (index, rule) in spec.rules.iter().flatten().enumerate() {
        let at = at.index("rules", index);
        if let Some(host) = rule.host.as_deref().filter(|host| !host.is_empty()) {
            host_of(host, &at.child("host"), found);
        }
        let Some(http) = &rule.http else { continue };
        if http.paths.is_empty() {
            found.add(
                &at.child("http").child("paths"),
                "a rule needs a path",
                "write a path such as `/`",
            );
        }
        for (index, path) in http.paths.iter().enumerate() {
            path_of(path, &at.child("http").index("paths", index), found);
        }
    }
    for (index, tls) in spec.tls.iter().flatten().enumerate() {
        let at = at.index("tls", index);
        for (index, host) in tls.hosts.iter().flatten().enumerate() {
            // A certificate may name an address.
            name_of(host, &at.index("hosts", index), found);
        }
    }
}

fn path_of(path: &HTTPIngressPath, at: &Path, found: &mut Found) {
    found.choice(
        &at.child("pathType"),
        Some(&path.path_type),
        &["Exact", "Prefix", "ImplementationSpecific"],
    );
    let text = path.path.as_deref().unwrap_or_default();
    if !text.starts_with('/') && path.path_type != "ImplementationSpecific" {
        let message = format!("`{text}` is not an absolute path");
        found.add(&at.child("path"), message, format!("write `/{text}`"));
    }
    backend(&path.backend, &at.child("backend"), found);
}

fn backend(backend: &IngressBackend, at: &Path, found: &mut Found) {
    match (&backend.service, &backend.resource) {
        (Some(_), Some(_)) => {
            found.add(at, "a backend is a `service` or a `resource`, not both", "remove one");
        }
        (None, None) => found.add(at, "a backend needs a `service`", "write its `name` and `port`"),
        (Some(service), None) => {
            let port = service.port.as_ref();
            let (name, number) = (port.and_then(|p| p.name.as_ref()), port.and_then(|p| p.number));
            let whole = at;
            found.format(&at.child("service").child("name"), &service.name, Format::Name);
            let at = at.child("service").child("port");
            match (name, number) {
                (Some(_), Some(_)) => found.add(
                    whole,
                    "a port has a `name` or a `number`, not both",
                    "remove one; in a patch, write `name: null`",
                ),
                (None, None) => {
                    found.add(&at, "the port is missing", "write its `name` or `number`");
                }
                (None, Some(number)) => {
                    found.bounds(&at.child("number"), Some(number.into()), 1, 65535);
                }
                (Some(name), None) => port_name(name, &at.child("name"), found),
            }
        }
        (None, Some(_)) => {}
    }
}

/// Checks a host name, which may start with `*.` for all names below it.
fn name_of(host: &str, at: &Path, found: &mut Found) {
    let bare = host.strip_prefix("*.").unwrap_or(host);
    // The star counts as well.
    let checked = if host.len() > 253 { host } else { bare };
    found.format(at, checked, Format::Subdomain);
}

/// Whether a host is an address, also one with zeros in front, as Kubernetes reads it here.
fn is_address_of_host(host: &str) -> bool {
    let octet = |octet: &str| match octet.trim_start_matches('0') {
        "" if octet.is_empty() => String::new(),
        "" => "0".to_owned(),
        rest => rest.to_owned(),
    };
    let plain: Vec<String> = host.split('.').map(octet).collect();
    plain.join(".").parse::<IpAddr>().is_ok()
}

/// The same, but for an address.
fn host_of(host: &str, at: &Path, found: &mut Found) {
    if is_address_of_host(host) {
        found.add(
            at,
            format!("`{host}` is an address, and a name is needed"),
            "write a name such as `files.example.com`",
        );
    } else {
        name_of(host, at, found);
    }
}

pub(super) fn route(object: &HttpRoute, found: &mut Found) {
    let at = Path::new("spec");
    let spec = &object.spec;
    let most = |field: &str, count: usize, most: usize, found: &mut Found| {
        if count > most {
            let message = format!("an HTTPRoute has at most {most} {field}, found {count}");
            found.add(&at.child(field), message, format!("keep {most}"));
        }
    };
    most("hostnames", spec.hostnames.len(), HOSTS, found);
    most("parentRefs", spec.parent_refs.len(), PARENTS, found);
    most("rules", spec.rules.len(), HOSTS, found);
    for (index, host) in spec.hostnames.iter().enumerate() {
        host_of(host, &at.index("hostnames", index), found);
    }
    for (index, rule) in spec.rules.iter().enumerate() {
        let at = at.index("rules", index);
        for (index, backend) in rule.backend_refs.iter().enumerate() {
            found.bounds(
                &at.index("backendRefs", index).child("port"),
                Some(backend.port.into()),
                1,
                65535,
            );
        }
        let Some(timeouts) = &rule.timeouts else { continue };
        for (field, text) in
            [("request", &timeouts.request), ("backendRequest", &timeouts.backend_request)]
        {
            if !is_gateway_duration(text) {
                let message = format!("`{text}` is not a duration of the Gateway API");
                found.add(
                    &at.child("timeouts").child(field),
                    message,
                    "write at most five digits with `h`, `m`, `s` or `ms`",
                );
            }
        }
    }
}

/// Returns whether a text is a duration of GEP-2257: one to four numbers of at most five digits, each with its
/// unit.
fn is_gateway_duration(text: &str) -> bool {
    let mut rest = text;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let after = &rest[digits..];
        let unit = ["ms", "h", "m", "s"].into_iter().find(|unit| after.starts_with(unit));
        let Some(unit) = unit.filter(|_| (1..=5).contains(&digits)) else { return false };
        rest = &after[unit.len()..];
        parts += 1;
    }
    (1..=4).contains(&parts)
}

pub(super) fn policy(object: &NetworkPolicy, found: &mut Found) {
    let Some(spec) = &object.spec else { return };
    let at = Path::new("spec");
    for (index, rule) in spec.ingress.iter().flatten().enumerate() {
        let at = at.index("ingress", index);
        peers(rule.from.as_deref().unwrap_or_default(), "from", &at, found);
        policy_ports(rule.ports.as_deref().unwrap_or_default(), &at, found);
    }
    for (index, rule) in spec.egress.iter().flatten().enumerate() {
        let at = at.index("egress", index);
        peers(rule.to.as_deref().unwrap_or_default(), "to", &at, found);
        policy_ports(rule.ports.as_deref().unwrap_or_default(), &at, found);
    }
}

fn policy_ports(ports: &[NetworkPolicyPort], at: &Path, found: &mut Found) {
    for (index, port) in ports.iter().enumerate() {
        let at = at.index("ports", index);
        found.choice(&at.child("protocol"), port.protocol.as_deref(), &["TCP", "UDP", "SCTP"]);
        if let Some(port) = &port.port {
            target(port, &at.child("port"), found);
        }
        if let (Some(end), Some(IntOrString::Int(begin))) = (port.end_port, &port.port)
            && end < *begin
        {
            found.add(
                &at.child("endPort"),
                format!("`{end}` is less than `port`, which is {begin}"),
                "write the larger one here",
            );
        }
    }
}

fn peers(peers: &[NetworkPolicyPeer], field: &str, at: &Path, found: &mut Found) {
    for (index, peer) in peers.iter().enumerate() {
        let at = at.index(field, index);
        let selects = peer.pod_selector.is_some() || peer.namespace_selector.is_some();
        let Some(block) = &peer.ip_block else {
            if !selects {
                found.add(
                    &at,
                    "a peer selects pods, namespaces or a network",
                    "write `podSelector`, `namespaceSelector` or `ipBlock`",
                );
            }
            continue;
        };
        if selects {
            found.add(
                &at,
                "a peer with `ipBlock` selects no pods or namespaces",
                "write two peers",
            );
        }
        let at = at.child("ipBlock");
        found.format(&at.child("cidr"), &block.cidr, Format::Cidr);
        let Ok(network) = block.cidr.parse::<IpNet>() else { continue };
        for (index, except) in block.except.iter().flatten().enumerate() {
            let at = at.index("except", index);
            found.format(&at, except, Format::Cidr);
            match except.parse::<IpNet>() {
                Ok(inner)
                    if !(network.contains(&inner) && inner.prefix_len() > network.prefix_len()) =>
                {
                    found.add(
                        &at,
                        format!("`{except}` is not inside `{}`", block.cidr),
                        "write a smaller network, or remove it",
                    );
                }
                _ => {}
            }
        }
    }
}
