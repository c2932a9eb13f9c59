//! A node's identity for the array: its name and the names of its initiators. The node service reports it to kubelet
//! as CSI's node id, kubelet stores it in the CSINode, and the attacher reads it there. So neither needs a permission
//! to write Kubernetes objects for it.

/// The longest node id that CSI allows, in bytes.
/// <https://github.com/container-storage-interface/spec/blob/master/spec.md#nodegetinfo>
pub const LONGEST_NODE_ID: usize = 256;

const SEPARATOR: char = ';';

/// A node and its initiators.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeId {
    /// The node's name in Kubernetes.
    pub node: String,
    /// The name of its iSCSI initiator.
    pub iqn: Option<String>,
    /// The name of its NVMe host.
    pub nqn: Option<String>,
    /// The WWPNs of its Fibre Channel ports: 16 lower-case hexadecimal digits each.
    pub wwns: Vec<String>,
}

impl NodeId {
    /// Returns the node id; none if it is longer than CSI allows.
    pub fn format(&self) -> Option<String> {
        let mut id = self.node.clone();
        for initiator in self.iqn.iter().chain(&self.nqn).chain(&self.wwns) {
            id.push(SEPARATOR);
            id.push_str(initiator);
        }
        Some(id).filter(|id| id.len() <= LONGEST_NODE_ID)
    }

    /// Parses a node id; none if it is not one of the node service.
    pub fn parse(id: &str) -> Option<Self> {
        let mut words = id.split(SEPARATOR);
        let node = words.next().filter(|node| !node.is_empty())?.to_owned();
        let mut parsed = Self { node, ..Self::default() };
        for word in words {
            let is_wwn = word.len() == 16 && word.chars().all(|c| c.is_ascii_hexdigit());
            if ["iqn.", "eui.", "naa."].iter().any(|prefix| word.starts_with(prefix)) {
                parsed.iqn = Some(word.to_owned());
            } else if word.starts_with("nqn.") {
                parsed.nqn = Some(word.to_owned());
            } else if is_wwn {
                parsed.wwns.push(word.to_ascii_lowercase());
            } else {
                return None;
            }
        }
        Some(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_is_read_as_it_was_written() {
        let id = NodeId {
            node: "worker-1".to_owned(),
            iqn: Some("iqn.1994-05.com.redhat:1a2b3c".to_owned()),
            nqn: Some("nqn.2014-08.org.nvmexpress:uuid:9c1c".to_owned()),
            wwns: vec!["21000024ff3dfa1c".to_owned(), "21000024ff3dfa1d".to_owned()],
        };
        let text = id.format().expect("short");
        assert_eq!(NodeId::parse(&text), Some(id));
    }

    #[test]
    fn what_is_no_node_id_is_refused() {
        for text in ["", ";iqn.1994-05.com.redhat:1", "worker-1;unknown"] {
            assert_eq!(NodeId::parse(text), None, "{text}");
        }
        let long = NodeId { node: "n".repeat(LONGEST_NODE_ID + 1), ..NodeId::default() };
        assert_eq!(long.format(), None);
    }
}
