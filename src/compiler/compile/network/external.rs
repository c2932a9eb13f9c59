//! Destinations outside an app: the cluster's pods and external networks, except those that are always blocked.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyEgressRule, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{instance, namespace, network_peer, pods, port};
use crate::compiler::blueprint::{App, Server};
use crate::compiler::spec::Egress;

/// Networks where machines and clouds return credentials and configuration to any client on a node.
const NEVER: [&str; 7] = [
    // Alibaba Cloud: <https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata>
    "100.100.100.200/32",
    // Azure's WireServer: <https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16>
    "168.63.129.16/32",
    // Link-local, RFC 3927: metadata of AWS, Google, Azure, Oracle, OpenStack and others.
    "169.254.0.0/16",
    // Oracle Cloud: <https://docs.oracle.com/iaas/Content/Compute/Tasks/gettingmetadata.htm>
    "fd00:c1::a9fe:a9fe/128",
    // AWS, metadata among others: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>
    "fd00:ec2::/32",
    // Google Cloud: <https://cloud.google.com/compute/docs/metadata/querying-metadata>
    "fd20:ce::254/128",
    // Link-local, RFC 4291.
    "fe80::/10",
];

/// All addresses.
const ALL: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// Returns the networks that are always blocked for an app. None contains another one.
pub(crate) fn never(app: &App) -> Vec<IpNet> {
    let own = app.common.network.except.iter().filter_map(|network| network.0.parse().ok());
    let fixed = NEVER.iter().filter_map(|network| network.parse().ok());
    let all: BTreeSet<IpNet> = fixed
        .chain(own.map(|network: IpNet| network.trunc()))
        .chain(app.networks.arrays.iter().copied())
        .collect();
    let inside =
        |network: &IpNet| all.iter().any(|other| other != network && other.contains(network));
    all.iter().filter(|network| !inside(network)).copied().collect()
}

/// Returns whether a network is entirely within a blocked one.
pub(crate) fn is_never(network: &IpNet, never: &[IpNet]) -> bool {
    never.iter().any(|each| each.contains(network))
}

/// Returns the destinations of a component that its blueprint does not close.
pub(super) fn egress(app: &App) -> Vec<NetworkPolicyEgressRule> {
    let network = &app.common.network;
    let never = never(app);
    let (inside, external): (_, Vec<_>) = match network.egress {
        // Pods are listed separately, because some network plugins treat them as part of no network.
        Egress::Open => (every_pod(), ALL.iter().filter_map(|all| all.parse().ok()).collect()),
        Egress::Closed => {
            let to = network.to.iter().filter_map(|to| to.0.parse::<IpNet>().ok());
            (pods(instance(app)), to.map(|to| to.trunc()).collect())
        }
    };
    let external = external.iter().filter(|network| !is_never(network, &never));
    let peers = external.map(|network| block(network, &never));
    let to = std::iter::once(inside).chain(peers).collect();
    vec![NetworkPolicyEgressRule { ports: None, to: Some(to) }]
}

/// Where the host of a server is, as far as its name shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach<'h> {
    /// At an address.
    Address(IpNet),
    /// Behind a Service of the app's own namespace.
    OwnNamespace,
    /// Behind a Service of another namespace.
    Namespace(&'h str),
    /// At an address that only DNS knows.
    Unknown,
}

/// Returns where a host is. A Service is `NAME` or `NAME.NAMESPACE.svc`, with the cluster's domain or without:
/// <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>
pub(crate) fn reach(host: &str) -> Reach<'_> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Reach::Address(IpNet::from(address));
    }
    let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    match labels.as_slice() {
        [_] => Reach::OwnNamespace,
        [_, .., namespace, "svc"] | [_, .., namespace, "svc", "cluster", "local"] => {
            Reach::Namespace(namespace)
        }
        _ => Reach::Unknown,
    }
}

/// Returns the destinations of a component outside the app. A server whose address only DNS knows has none: a policy
/// lists networks, and the app file lists that of the server in `to`. Network plugins judge a connection to a Service
/// after its translation to a pod, whose port (`targetPort`) may differ from the Service's, so those peers have all
/// ports: <https://kubernetes.io/docs/concepts/services-networking/network-policies/>
pub(super) fn servers(app: &App, name: &str) -> Vec<NetworkPolicyEgressRule> {
    let servers = app.servers.iter().filter(|server| server.from == name);
    let rules = servers.filter_map(|Server { host, port: number, .. }| {
        let (peer, ports) = match reach(host) {
            Reach::Address(address) => {
                let port = port(IntOrString::Int(i32::from(*number)), "TCP");
                (network_peer(&address.to_string()), Some(vec![port]))
            }
            Reach::OwnNamespace => {
                let all = Some(LabelSelector::default());
                (NetworkPolicyPeer { pod_selector: all, ..NetworkPolicyPeer::default() }, None)
            }
            Reach::Namespace(name) => (namespace(name), None),
            Reach::Unknown => return None,
        };
        Some(NetworkPolicyEgressRule { ports, to: Some(vec![peer]) })
    });
    rules.collect()
}

fn every_pod() -> NetworkPolicyPeer {
    let all = Some(LabelSelector::default());
    NetworkPolicyPeer { namespace_selector: all, ..NetworkPolicyPeer::default() }
}

/// Returns a network without its blocked parts.
fn block(network: &IpNet, never: &[IpNet]) -> NetworkPolicyPeer {
    let except = never.iter().filter(|each| network.contains(*each)).map(IpNet::to_string);
    let except = super::some(except.collect());
    NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: network.to_string(), except }),
        ..NetworkPolicyPeer::default()
    }
}
