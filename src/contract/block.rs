//! A node as a FlashArray knows it: a host object with initiators, and the ports over which the node reaches volumes.
//! Knows nothing about REST requests and Kubernetes objects.

use super::{BlockTransport, NodeId};

/// The longest name of a host on a FlashArray.
const LONGEST_HOST: usize = 63;

/// Names of initiators. Comparisons ignore case, and colons in WWPNs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Initiators {
    /// Names of iSCSI initiators.
    pub iqns: Vec<String>,
    /// Names of NVMe hosts.
    pub nqns: Vec<String>,
    /// WWPNs of Fibre Channel ports.
    pub wwns: Vec<String>,
}

/// A host object of an array.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockHost {
    /// Its name.
    pub name: String,
    /// Its initiators.
    pub initiators: Initiators,
    /// The number of its connections to volumes.
    pub connections: u64,
}

/// A node of a cluster, and the names that its host objects have on arrays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeHost {
    /// The cluster's name.
    pub cluster: String,
    /// The node and its initiators.
    pub node: NodeId,
}

/// The ports of an array for one transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockTarget {
    /// The transport.
    pub transport: BlockTransport,
    /// The array's name on it, see [`Attachment::target`](super::Attachment::target).
    pub target: String,
    /// Addresses or WWPNs, see [`Attachment::portals`](super::Attachment::portals).
    pub portals: Vec<String>,
}

/// Returns a WWPN as 16 lower-case hexadecimal digits.
pub fn wwpn(text: &str) -> String {
    text.replace(':', "").to_ascii_lowercase()
}

impl Initiators {
    /// Returns the initiators of a node.
    pub fn of(node: &NodeId) -> Self {
        Self {
            iqns: node.iqn.iter().cloned().collect(),
            nqns: node.nqn.iter().cloned().collect(),
            wwns: node.wwns.clone(),
        }
    }

    /// Returns those of them that a transport uses.
    #[must_use]
    pub fn of_transport(&self, transport: BlockTransport) -> Self {
        match transport {
            BlockTransport::Iscsi => Self { iqns: self.iqns.clone(), ..Self::default() },
            BlockTransport::NvmeTcp => Self { nqns: self.nqns.clone(), ..Self::default() },
            BlockTransport::FibreChannel => Self { wwns: self.wwns.clone(), ..Self::default() },
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.iqns.is_empty() && self.nqns.is_empty() && self.wwns.is_empty()
    }

    fn words(&self) -> impl Iterator<Item = String> {
        let named = self.iqns.iter().chain(&self.nqns).map(|name| name.to_ascii_lowercase());
        named.chain(self.wwns.iter().map(|name| wwpn(name)))
    }

    /// Returns an initiator that both have.
    pub fn shared(&self, other: &Self) -> Option<String> {
        self.words().find(|word| other.words().any(|other| other == *word))
    }

    /// Returns those of them that `other` lacks.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let lacks = |all: &[String], there: &[String]| {
            let known = |name: &str| there.iter().any(|each| wwpn(each) == wwpn(name));
            all.iter().filter(|name| !known(name)).cloned().collect()
        };
        Self {
            iqns: lacks(&self.iqns, &other.iqns),
            nqns: lacks(&self.nqns, &other.nqns),
            wwns: lacks(&self.wwns, &other.wwns),
        }
    }
}

impl std::fmt::Display for Initiators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<&str> =
            self.iqns.iter().chain(&self.nqns).chain(&self.wwns).map(String::as_str).collect();
        f.write_str(&all.join(", "))
    }
}

impl NodeHost {
    /// Returns the name of the node's host object for a transport: `<cluster>-<node>`. An array allows no host with
    /// both NQNs and other initiators, so the host for NVMe has a name of its own. A name that an array does not
    /// accept is shortened, its other characters become hyphens, and a hash of the whole name makes it unique.
    pub fn name(&self, transport: BlockTransport) -> String {
        let suffix = if transport == BlockTransport::NvmeTcp { "-nvme" } else { "" };
        let text = format!("{}-{}{suffix}", self.cluster, self.node.node);
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let is_valid = text.len() <= LONGEST_HOST
            && text.chars().all(allowed)
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
            && text.contains(|c: char| c.is_ascii_alphabetic());
        if is_valid {
            return text;
        }
        let end = format!("-h{:08x}", fnv(&text));
        let mut start: String = text.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
        start.truncate(LONGEST_HOST - end.len());
        format!("{}{end}", start.trim_end_matches('-'))
    }

    /// Returns whether a host has a name that pso-gen gives to a host of this node.
    pub fn is_named(&self, host: &str) -> bool {
        BlockTransport::ALL.iter().any(|each| self.name(*each).eq_ignore_ascii_case(host))
    }

    /// Returns whether a host is one of this node: by its name, or by an initiator. A host with the name of another
    /// node of the cluster is that one's, although both may have one initiator name.
    pub fn is(&self, host: &BlockHost) -> bool {
        let has_initiator = || Initiators::of(&self.node).shared(&host.initiators).is_some();
        self.is_named(&host.name)
            || (!Self::is_of_cluster(&self.cluster, &host.name) && has_initiator())
    }

    /// Returns whether a host has a name that pso-gen gives to nodes of this cluster.
    pub fn is_of_cluster(cluster: &str, host: &str) -> bool {
        let prefix = cluster.len() + 1;
        host.get(..prefix).is_some_and(|start| {
            start.ends_with('-') && start[..cluster.len()].eq_ignore_ascii_case(cluster)
        })
    }
}

/// FNV-1a with 32 bits: the result is the same on every machine and in every version.
pub(crate) fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(node: &str) -> NodeHost {
        let node = NodeId { node: node.to_owned(), ..NodeId::default() };
        NodeHost { cluster: "prod".to_owned(), node }
    }

    #[test]
    fn a_node_has_a_host_of_its_name() {
        let name = |node: &str| host(node).name(BlockTransport::Iscsi);
        assert_eq!(name("worker-1"), "prod-worker-1");
        assert_eq!(host("worker-1").name(BlockTransport::FibreChannel), "prod-worker-1");
        assert_eq!(host("worker-1").name(BlockTransport::NvmeTcp), "prod-worker-1-nvme");
        assert!(
            host("worker-1").is_named("PROD-worker-1")
                && !host("worker-1").is_named("prod-worker-11")
        );
    }

    #[test]
    fn every_name_is_one_that_an_array_accepts_and_no_two_nodes_share_one() {
        let long = "n".repeat(253);
        let nodes = ["a.b", "a-b", "ip-10-0-0-1.ec2.internal", &long, &long[..252], "9"];
        let mut names = std::collections::BTreeSet::new();
        for node in nodes {
            for transport in BlockTransport::ALL {
                let name = host(node).name(transport);
                assert!(name.len() <= LONGEST_HOST, "{name}");
                assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
                assert!(name.ends_with(|c: char| c.is_ascii_alphanumeric()), "{name}");
                names.insert(name);
            }
        }
        // iSCSI and Fibre Channel share a host.
        assert_eq!(names.len(), nodes.len() * 2);
        let digits = NodeHost { cluster: "1".to_owned(), node: host("2").node };
        assert!(digits.name(BlockTransport::Iscsi).contains(|c: char| c.is_ascii_alphabetic()));
    }

    #[test]
    fn initiators_are_compared_as_arrays_compare_them() {
        let node = Initiators {
            iqns: vec!["iqn.1994-05.com.redhat:AB".to_owned()],
            nqns: Vec::new(),
            wwns: vec!["21000024ff3dfa1c".to_owned(), "21000024ff3dfa1d".to_owned()],
        };
        let there = Initiators {
            wwns: vec!["21:00:00:24:FF:3D:FA:1C".to_owned()],
            ..Initiators::default()
        };
        assert_eq!(node.shared(&there).as_deref(), Some("21000024ff3dfa1c"));
        assert_eq!(node.without(&there).wwns, ["21000024ff3dfa1d"]);
        let iqn = Initiators {
            iqns: vec!["iqn.1994-05.com.redhat:ab".to_owned()],
            ..Initiators::default()
        };
        assert_eq!(node.shared(&iqn).as_deref(), Some("iqn.1994-05.com.redhat:ab"));
        assert_eq!(iqn.shared(&there), None);
    }

    #[test]
    fn a_host_is_the_nodes_by_its_name_or_an_initiator_but_not_if_it_is_another_nodes() {
        let mut node = host("n1");
        node.node.iqn = Some("iqn.2026-01.com.example:n1".to_owned());
        let initiators = Initiators::of(&node.node);
        let there = |name: &str, initiators: &Initiators| {
            let (name, initiators) = (name.to_owned(), initiators.clone());
            node.is(&BlockHost { name, initiators, connections: 0 })
        };
        assert!(there("prod-n1", &Initiators::default()) && there("rack7", &initiators));
        assert!(!there("prod-n2", &initiators) && !there("rack7", &Initiators::default()));
    }

    #[test]
    fn a_cluster_is_the_whole_first_part_of_a_name() {
        assert!(NodeHost::is_of_cluster("prod", "PROD-worker"));
        for other in ["prod", "production-a", "pro", "test-prod-a", "ö"] {
            assert!(!NodeHost::is_of_cluster("prod", other), "{other}");
        }
    }
}
