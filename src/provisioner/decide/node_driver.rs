//! Decides whether a block volume can be mounted at all: kubelet can mount it only on a node whose CSINode lists the
//! driver. The result is only reported; no effect follows from it. Clients are unknown here.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::CSINode;

use crate::contract::DRIVER;

/// The nodes on which the node service has registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeDrivers(BTreeSet<String>);

/// The place where the driver is missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum MissingDriver {
    /// No node has it.
    Everywhere,
    /// The named node lacks it, and others have it.
    On(String),
}

impl NodeDrivers {
    /// Reads all CSINodes of the cluster.
    pub fn of<'n>(nodes: impl IntoIterator<Item = &'n CSINode>) -> Self {
        let has = |node: &&CSINode| node.spec.drivers.iter().any(|driver| driver.name == DRIVER);
        Self(nodes.into_iter().filter(has).filter_map(|node| node.metadata.name.clone()).collect())
    }

    /// Returns where the driver is missing for a block volume. `node` is the node that a pod with the volume was
    /// scheduled to, if there is one.
    pub fn missing(&self, node: Option<&str>) -> Option<MissingDriver> {
        match node {
            _ if self.0.is_empty() => Some(MissingDriver::Everywhere),
            Some(node) if !self.0.contains(node) => Some(MissingDriver::On(node.to_owned())),
            _ => None,
        }
    }
}

impl MissingDriver {
    /// Returns the description for events and reports.
    pub fn what(&self) -> String {
        match self {
            Self::Everywhere => format!(
                "the node service runs on no node (no CSINode lists the driver {DRIVER}), so no pod can mount block volumes"
            ),
            Self::On(node) => format!(
                "the node service does not run on {node} (its CSINode does not list the driver {DRIVER}), so pods there \
                 cannot mount block volumes"
            ),
        }
    }

    /// Returns the remedy for the platform admin.
    pub fn remedy(&self) -> String {
        match self {
            Self::Everywhere => {
                "install the node service with the storage document (`nodeService`), and check its DaemonSet".to_owned()
            }
            Self::On(node) => format!(
                "see the pod of the DaemonSet pso-gen-node on {node}: its log lists what is missing on the host; or move the pods to \
                 another node"
            ),
        }
    }
}

/// Returns whether the node service mounts a PersistentVolume.
pub fn is_block(volume: &PersistentVolume) -> bool {
    let csi = volume.spec.as_ref().and_then(|spec| spec.csi.as_ref());
    csi.is_some_and(|csi| csi.driver == DRIVER)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, drivers: &[&str]) -> CSINode {
        let driver = |driver: &&str| json!({"name": driver, "nodeID": name});
        let drivers: Vec<_> = drivers.iter().map(driver).collect();
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"drivers": drivers}}))
            .expect("typed")
    }

    #[test]
    fn a_volume_can_be_mounted_where_the_driver_is() {
        let nodes = [node("a", &["other.example.com"]), node("b", &["other.example.com", DRIVER])];
        let drivers = NodeDrivers::of(&nodes);
        assert_eq!(drivers.missing(None), None);
        assert_eq!(drivers.missing(Some("b")), None);
        assert_eq!(drivers.missing(Some("a")), Some(MissingDriver::On("a".to_owned())));
        assert_eq!(drivers.missing(Some("new")), Some(MissingDriver::On("new".to_owned())));
    }

    #[test]
    fn without_any_node_the_place_is_everywhere() {
        for nodes in [vec![], vec![node("a", &["other.example.com"]), node("b", &[])]] {
            for at in [None, Some("a")] {
                assert_eq!(NodeDrivers::of(&nodes).missing(at), Some(MissingDriver::Everywhere));
            }
        }
    }
}
