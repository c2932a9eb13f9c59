//! NetworkPolicy of the provisioner: it may connect to DNS, the Kubernetes API and the arrays, and serves
//! metrics.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{METRICS, PORT, Platform, selector};
use crate::compiler::compile::container::some;
use crate::compiler::compile::names::{Words, label_selector};
use crate::compiler::compile::network::{dns, namespace, network_peer, port};
use crate::compiler::compile::wave::PLATFORM;
use crate::compiler::manifest::Object;
use crate::contract::storage::KubernetesApi;
use crate::contract::{address, host_and_port};

/// Port of HTTPS.
const HTTPS: u16 = 443;

/// Returns the policy, and the Service for metrics.
pub(super) fn policy(platform: &Platform<'_>) -> [Object; 2] {
    let policy = Object::from(NetworkPolicy {
        metadata: platform.metadata(PLATFORM),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(label_selector(selector())),
            policy_types: Some(["Ingress", "Egress"].map(str::to_owned).to_vec()),
            ingress: Some(vec![metrics_from(&platform.own.network.from)]),
            egress: Some(egress(platform)),
        }),
    });
    [policy, metrics_service(platform.metadata(PLATFORM), selector())]
}

/// Returns a Service for the metrics of pods.
pub(super) fn metrics_service(metadata: ObjectMeta, pods: Words) -> Object {
    Object::from(Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(pods),
            ports: Some(vec![ServicePort {
                name: Some(METRICS.to_owned()),
                port: PORT,
                target_port: Some(IntOrString::String(METRICS.to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    })
}

/// Allows namespaces to read metrics; all clients if there is none. Probes come from the node, which is always allowed.
pub(super) fn metrics_from(namespaces: &[String]) -> NetworkPolicyIngressRule {
    let from = namespaces.iter().map(|name| namespace(name)).collect();
    let ports = vec![port(IntOrString::String(METRICS.to_owned()), "TCP")];
    NetworkPolicyIngressRule { from: some(from), ports: Some(ports) }
}

/// Returns the destinations of requests to DNS, the Kubernetes API and the arrays.
pub(super) fn egress(platform: &Platform<'_>) -> Vec<NetworkPolicyEgressRule> {
    let api = kubernetes_api(&platform.own.network.kubernetes_api);
    let (mut addresses, mut named) = (BTreeSet::new(), BTreeSet::new());
    for array in &platform.storage.spec.arrays {
        let (host, port) = host_and_port(&array.management);
        let port = port.unwrap_or(HTTPS);
        match address(host) {
            Some(address) => _ = addresses.insert((port, address)),
            // A policy cannot contain host names, so it allows the port at any address.
            None => _ = named.insert(port),
        }
    }
    let mut rules = vec![dns(), api];
    rules.extend(addresses.into_iter().map(|(port, address)| {
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let peer = network_peer(&format!("{address}/{whole}"));
        NetworkPolicyEgressRule { to: Some(vec![peer]), ports: Some(tcp([port])) }
    }));
    if !named.is_empty() {
        rules.push(NetworkPolicyEgressRule { to: None, ports: Some(tcp(named)) });
    }
    rules
}

/// Returns the destinations of requests to the Kubernetes API.
pub(super) fn kubernetes_api(api: &KubernetesApi) -> NetworkPolicyEgressRule {
    let networks = api.networks.iter().map(|network| network_peer(&network.0)).collect();
    let ports: BTreeSet<u16> = api.ports.iter().copied().collect();
    NetworkPolicyEgressRule { to: some(networks), ports: some(tcp(ports)) }
}

fn tcp(ports: impl IntoIterator<Item = u16>) -> Vec<NetworkPolicyPort> {
    let number = |number| port(IntOrString::Int(i32::from(number)), "TCP");
    ports.into_iter().map(number).collect()
}
