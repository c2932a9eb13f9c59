//! `NetworkPolicies`: what a blueprint's `talks` and `expose` say is open, and nothing else.

mod outside;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::container::some;
use super::names::{instance, label_selector, selector};
use super::{Context, secret, wave};
use crate::compiler::blueprint::App;
use crate::compiler::manifest::Object;
use crate::compiler::spec::{Egress, Via};
use crate::contract::label;
pub(crate) use outside::{is_never, never};

/// Usual ports of the Kubernetes API.
const API_PORTS: [u16; 2] = [443, 6443];

/// One policy that closes all pods of the app in both directions, and one for each component and job with
/// what is open for it. Policies add up, so what a component may reach stands in its own one alone.
pub(super) fn policies(context: &Context<'_>) -> Vec<Object> {
    let app = context.app;
    let mut policies = vec![policy(
        context,
        "default-deny",
        "",
        NetworkPolicySpec {
            pod_selector: Some(label_selector(instance(app))),
            policy_types: Some(types(true)),
            ..NetworkPolicySpec::default()
        },
    )];
    let components = app.components.iter().map(|(name, component)| (name, &component.program));
    let jobs = app.jobs.iter().map(|(name, job)| (name, &job.program));
    for (name, program) in components.chain(jobs) {
        let ingress = some(ingress(app, name));
        let egress = match program.egress {
            Egress::Closed => talks(app, name),
            Egress::Open => outside::egress(app),
        };
        policies.push(policy(
            context,
            name,
            name,
            NetworkPolicySpec {
                pod_selector: Some(label_selector(selector(app, name))),
                policy_types: Some(types(ingress.is_some())),
                ingress,
                egress: Some(std::iter::once(dns()).chain(egress).collect()),
            },
        ));
    }
    if secret::is_needed(app) {
        policies.push(policy(
            context,
            secret::PART,
            secret::PART,
            NetworkPolicySpec {
                pod_selector: Some(label_selector(selector(app, secret::PART))),
                policy_types: Some(types(false)),
                egress: Some(vec![dns(), api(app)]),
                ..NetworkPolicySpec::default()
            },
        ));
    }
    policies
}

fn policy(context: &Context<'_>, name: &str, component: &str, spec: NetworkPolicySpec) -> Object {
    Object::from(NetworkPolicy {
        metadata: context.metadata(context.app.object_name(name), component, wave::CONFIG),
        spec: Some(spec),
    })
}

fn types(ingress: bool) -> Vec<String> {
    let types = if ingress { vec!["Ingress", "Egress"] } else { vec!["Egress"] };
    types.into_iter().map(str::to_owned).collect()
}

/// Who reaches a component: those that talk to it, and the outside where it is exposed.
fn ingress(app: &App, name: &str) -> Vec<NetworkPolicyIngressRule> {
    let Some(component) = app.components.get(name) else {
        return Vec::new();
    };
    let mut rules = Vec::new();
    for number in component.serving.ports.keys() {
        let ports = Some(vec![port(IntOrString::String(number.clone()), "TCP")]);
        let talks = app.talks.iter().filter(|talk| talk.to == name && talk.port == *number);
        let from: Vec<_> = talks.map(|talk| pods(selector(app, &talk.from))).collect();
        if !from.is_empty() {
            rules.push(NetworkPolicyIngressRule { from: Some(from), ports: ports.clone() });
        }
        let exposed = app.exposed.iter().any(|e| e.component == name && e.port == *number);
        if exposed && app.common.expose.via != Via::None {
            let namespaces = app.common.network.from.iter().map(|name| namespace(name)).collect();
            rules.push(NetworkPolicyIngressRule { from: some(namespaces), ports });
        }
    }
    rules
}

/// Where a program goes that reaches nothing but what it talks to. Ports are numbers: not every
/// network plugin knows names on the way out.
fn talks(app: &App, name: &str) -> Vec<NetworkPolicyEgressRule> {
    let talks = app.talks.iter().filter(|talk| talk.from == name);
    let rules = talks.filter_map(|talk| {
        let number = *app.components.get(&talk.to)?.serving.ports.get(&talk.port)?;
        Some(NetworkPolicyEgressRule {
            ports: Some(vec![port(IntOrString::Int(i32::from(number)), "TCP")]),
            to: Some(vec![pods(selector(app, &talk.to))]),
        })
    });
    rules.collect()
}

/// DNS servers may be anywhere: a cache on the node usually has a link-local address.
pub(super) fn dns() -> NetworkPolicyEgressRule {
    let ports = ["UDP", "TCP"].map(|protocol| port(IntOrString::Int(53), protocol)).to_vec();
    NetworkPolicyEgressRule { ports: Some(ports), to: None }
}

/// Where the step goes that fills Secrets. When no storage document says where the Kubernetes API is, its
/// ports are open to anywhere: network plugins do not take the API's servers for a part of any network.
fn api(app: &App) -> NetworkPolicyEgressRule {
    let said = &app.networks.kubernetes_ports;
    let ports = if said.is_empty() { API_PORTS.into() } else { said.clone() };
    let ports = ports.into_iter().map(|number| port(IntOrString::Int(number.into()), "TCP"));
    let ports = ports.collect();
    let networks = app.networks.kubernetes_api.iter();
    let networks = networks.map(|network| network_peer(&network.to_string())).collect();
    NetworkPolicyEgressRule { ports: Some(ports), to: some(networks) }
}

pub(super) fn port(number: IntOrString, protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(number), protocol: Some(protocol.to_owned()), end_port: None }
}

fn pods(labels: super::names::Words) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(label_selector(labels)), ..NetworkPolicyPeer::default() }
}

pub(super) fn namespace(name: &str) -> NetworkPolicyPeer {
    // Every namespace has its own name as a label, since Kubernetes 1.21.
    let labels = [(label::NAMESPACE_NAME.to_owned(), name.to_owned())].into();
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(labels),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    }
}

pub(super) fn network_peer(cidr: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: cidr.to_owned(), except: None }),
        ..NetworkPolicyPeer::default()
    }
}
