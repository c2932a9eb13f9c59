//! Destinations outside an app: the cluster's pods and external networks, except those that are always blocked.

use std::collections::BTreeSet;

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyEgressRule, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{instance, pods};
use crate::compiler::blueprint::App;
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
