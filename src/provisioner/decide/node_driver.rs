//! Decides whether a block volume can be mounted at all: kubelet can mount it only on a node whose CSINode lists the
//! driver. The result is only reported, by `status` and by events on claims; no other effect follows from it. Clients and
//! clocks are unknown here.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::CSINode;

use super::effect::Severity;
use super::reason::Reason;
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

/// Claims of block volumes with an event that no node has the driver.
#[derive(Debug, Clone, Default)]
pub struct DriverReports {
    /// Whether the last look found the driver on no node.
    was_missing: bool,
    /// The names of their PersistentVolumes.
    reported: BTreeSet<String>,
}

/// An event for the claims of several PersistentVolumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverEvent {
    /// The names of the PersistentVolumes.
    pub volumes: BTreeSet<String>,
    /// Normal or warning.
    pub severity: Severity,
    /// Why.
    pub reason: Reason,
    /// Text for events and logs.
    pub message: String,
}

impl DriverReports {
    /// Returns the event that is due at this look, once for each claim until the driver is there again. The driver must be
    /// missing at two looks in a row, because nodes register one after the other when the node service is installed.
    ///
    /// `bound` lists the bound PersistentVolumes of block volumes. It is called only if an event may be due.
    pub fn update(
        &mut self,
        has_driver: bool,
        bound: impl FnOnce() -> BTreeSet<String>,
    ) -> Option<DriverEvent> {
        let was_missing = std::mem::replace(&mut self.was_missing, !has_driver);
        let (volumes, severity, reason, message) = if has_driver {
            let reported = std::mem::take(&mut self.reported);
            if reported.is_empty() {
                return None;
            }
            let message = "the node service runs on a node again: its volume can be mounted there";
            let volumes = &reported & &bound();
            (volumes, Severity::Normal, Reason::NodeServiceAvailable, message.to_owned())
        } else if was_missing {
            let bound = bound();
            let volumes = &bound - &self.reported;
            self.reported = bound;
            let missing = MissingDriver::Everywhere;
            let message = format!("{}; {}", missing.what(), missing.remedy());
            (volumes, Severity::Warning, Reason::NodeServiceMissing, message)
        } else {
            return None;
        };
        (!volumes.is_empty()).then_some(DriverEvent { volumes, severity, reason, message })
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

    /// A look at the bound volumes of these names; returns the reason and the volumes of the event.
    fn look(
        reports: &mut DriverReports,
        has_driver: bool,
        bound: &[&str],
    ) -> Option<(Reason, Vec<String>)> {
        let bound = || bound.iter().map(|name| (*name).to_owned()).collect();
        let event = reports.update(has_driver, bound)?;
        Some((event.reason, event.volumes.into_iter().collect()))
    }

    #[test]
    fn each_claim_has_one_event_when_the_driver_is_missing_and_one_when_it_is_back() {
        let mut reports = DriverReports::default();
        let missing = |names: &[&str]| {
            Some((Reason::NodeServiceMissing, names.iter().map(|it| (*it).to_owned()).collect()))
        };
        assert_eq!(look(&mut reports, false, &["a", "b"]), None, "the first node may register now");
        assert_eq!(look(&mut reports, false, &["a", "b"]), missing(&["a", "b"]));
        assert_eq!(look(&mut reports, false, &["a", "b"]), None);
        assert_eq!(look(&mut reports, false, &["b", "c"]), missing(&["c"]));
        let back = Some((Reason::NodeServiceAvailable, vec!["c".to_owned()]));
        assert_eq!(look(&mut reports, true, &["c", "d"]), back, "b is gone, d has no report");
        assert_eq!(look(&mut reports, true, &["c", "d"]), None);
    }

    #[test]
    fn a_driver_that_is_missing_for_a_moment_is_no_event() {
        let mut reports = DriverReports::default();
        for has_driver in [true, false, true, false, true] {
            assert_eq!(look(&mut reports, has_driver, &["a"]), None);
        }
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
