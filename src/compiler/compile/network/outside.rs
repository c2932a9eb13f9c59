//! What lies outside an app: the cluster's pods and the networks beyond, except those that no app ever
//! reaches.

use std::collections::BTreeSet;

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyEgressRule, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{instance, pods};
use crate::compiler::blueprint::App;
use crate::compiler::spec::Egress;

/// Where machines and clouds hand out credentials and configuration to whoever asks from a node.
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

/// Returns the networks that an app never reaches, none of them inside another.
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

/// Returns whether all of a network is one that is never reached.
pub(crate) fn is_never(network: &IpNet, never: &[IpNet]) -> bool {
    never.iter().any(|each| each.contains(network))
}

/// Where a program goes that its blueprint leaves open.
pub(super) fn egress(app: &App) -> Vec<NetworkPolicyEgressRule> {
    let network = &app.common.network;
    let never = never(app);
    let (inside, outside): (_, Vec<_>) = match network.egress {
        // Pods are named besides: to some network plugins they are in no network.
        Egress::Open => (every_pod(), ALL.iter().filter_map(|all| all.parse().ok()).collect()),
        Egress::Closed => {
            let to = network.to.iter().filter_map(|to| to.0.parse::<IpNet>().ok());
            (pods(instance(app)), to.map(|to| to.trunc()).collect())
        }
    };
    let outside = outside.iter().filter(|network| !is_never(network, &never));
    let peers = outside.map(|network| block(network, &never));
    let to = std::iter::once(inside).chain(peers).collect();
    vec![NetworkPolicyEgressRule { ports: None, to: Some(to) }]
}

fn every_pod() -> NetworkPolicyPeer {
    let all = Some(LabelSelector::default());
    NetworkPolicyPeer { namespace_selector: all, ..NetworkPolicyPeer::default() }
}

/// A network without those parts of it that are never reached.
fn block(network: &IpNet, never: &[IpNet]) -> NetworkPolicyPeer {
    let except = never.iter().filter(|each| network.contains(*each)).map(IpNet::to_string);
    let except = super::some(except.collect());
    NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: network.to_string(), except }),
        ..NetworkPolicyPeer::default()
    }
}
