//! `NetworkPolicies`: they allow the connections of a blueprint's `talks` and `expose`, and block all others.

mod external;

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
pub(crate) use external::{Reach, is_never, never, reach};

/// Usual ports of the Kubernetes API servers.
const API_PORTS: [u16; 2] = [443, 6443];

/// Returns one policy that blocks all connections of the app's pods in both directions, and one for each
/// component and job with its allowed connections. Policies add up, so only a component's own policy allows
/// connections for it.
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
        let mut egress = match program.egress {
            Egress::Closed => talks(app, name),
            Egress::Open => external::egress(app),
        };
        if program.egress == Egress::Closed || app.common.network.egress == Egress::Closed {
            egress.extend(external::servers(app, name));
        }
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

/// Returns the allowed sources of a component: components that talk to it, and outside clients if it is exposed.
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
        if exposed {
            let mut from: Vec<_> =
                app.common.network.from.iter().map(|name| namespace(name)).collect();
            if from.is_empty() && app.common.expose.via == Via::None {
                from.push(every_pod());
            }
            rules.push(NetworkPolicyIngressRule { from: some(from), ports });
        }
    }
    rules
}

/// Returns the allowed destinations of a closed component: only those under its `talks`. Ports are numbers,
/// because some network plugins do not support named ports for egress.
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

/// Allows DNS. Servers may have any address: a cache on the node usually has a link-local one.
pub(super) fn dns() -> NetworkPolicyEgressRule {
    let ports = ["UDP", "TCP"].map(|protocol| port(IntOrString::Int(53), protocol)).to_vec();
    NetworkPolicyEgressRule { ports: Some(ports), to: None }
}

/// Returns the destinations of the step that fills Secrets. If no storage document names the networks of the
/// Kubernetes API, its ports are open to any address: network plugins do not treat the API servers as part of any
/// network.
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

/// All pods of the cluster, and no client outside.
fn every_pod() -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    }
}

pub(super) fn namespace(name: &str) -> NetworkPolicyPeer {
    // Since Kubernetes 1.21, every namespace has its own name as a label.
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
