//! The ports over which nodes reach volumes, by transport.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::FlashArray;
use crate::arrays::bounded::{maybe, words};
use crate::arrays::error::{Error, Kind};
use crate::arrays::rest::Operation;
use crate::contract::{BlockTarget, BlockTransport, wwpn};

/// The port of NVMe/TCP. <https://www.iana.org/assignments/service-names-port-numbers>
const NVME_PORT: u16 = 4420;
/// The service of network interfaces that serve NVMe/TCP.
const NVME_TCP: &str = "nvme-tcp";

impl FlashArray {
    /// Returns the ports by transport, in the order of [`BlockTransport::ALL`].
    pub(super) async fn targets(
        &self,
        operation: Operation<'_>,
    ) -> Result<Vec<BlockTarget>, Error> {
        let ports: Vec<Port> = operation.list("ports", &[]).await?;
        let mut targets = Vec::new();
        for transport in BlockTransport::ALL {
            let (target, mut portals) = match transport {
                BlockTransport::Iscsi => iscsi(&ports),
                BlockTransport::FibreChannel => (String::new(), fibre_channel(&ports)),
                BlockTransport::NvmeTcp => {
                    // The ports do not show which of them serve NVMe over TCP and which over RDMA.
                    match ports.iter().find_map(|port| port.nqn.clone()) {
                        Some(nqn) => (nqn, nvme_tcp(operation).await?),
                        None => continue,
                    }
                }
            };
            portals.sort();
            portals.dedup();
            if !portals.is_empty() {
                targets.push(BlockTarget { transport, target, portals });
            }
        }
        if targets.is_empty() {
            let name = "a port for iSCSI, NVMe/TCP or Fibre Channel".to_owned();
            return Err(self.rest.error(Kind::NotFound { name }));
        }
        Ok(targets)
    }
}

/// Returns target and portals for iSCSI. An array has one target name on all its ports.
fn iscsi(ports: &[Port]) -> (String, Vec<String>) {
    let mut targets: BTreeMap<&String, Vec<String>> = BTreeMap::new();
    for port in ports {
        if let (Some(iqn), Some(portal)) = (&port.iqn, &port.portal) {
            targets.entry(iqn).or_default().push(portal.clone());
        }
    }
    targets.pop_first().map(|(iqn, portals)| (iqn.clone(), portals)).unwrap_or_default()
}

/// Returns the WWPNs for SCSI over Fibre Channel; ports with an NQN too serve namespaces over Fibre Channel.
fn fibre_channel(ports: &[Port]) -> Vec<String> {
    let scsi = ports.iter().filter(|port| port.nqn.is_none());
    scsi.filter_map(|port| port.wwn.as_deref()).map(wwpn).collect()
}

/// Returns the portals for NVMe/TCP.
async fn nvme_tcp(operation: Operation<'_>) -> Result<Vec<String>, Error> {
    let filter = format!("services='{NVME_TCP}'");
    let query = [("filter", filter.as_str())];
    let interfaces: Vec<Interface> = operation.list("network-interfaces", &query).await?;
    let serves = |interface: &Interface| {
        interface.enabled != Some(false)
            && interface.services.iter().flatten().any(|service| service == NVME_TCP)
    };
    let addresses =
        interfaces.into_iter().filter(serves).filter_map(|interface| interface.eth?.address);
    Ok(addresses.map(|address| portal(&address)).collect())
}

/// Returns the portal at an address.
fn portal(address: &str) -> String {
    if address.contains(':') {
        format!("[{address}]:{NVME_PORT}")
    } else {
        format!("{address}:{NVME_PORT}")
    }
}

#[derive(Debug, Deserialize)]
struct Port {
    #[serde(default, deserialize_with = "maybe")]
    iqn: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    nqn: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    portal: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    wwn: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Interface {
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "words")]
    services: Option<Vec<String>>,
    eth: Option<Ethernet>,
}

#[derive(Debug, Deserialize)]
struct Ethernet {
    #[serde(default, deserialize_with = "maybe")]
    address: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_port_serves_the_transports_that_its_names_show() {
        let ports: Vec<Port> = serde_json::from_value(json!([
            {"name": "CT0.ETH4", "iqn": "iqn.a", "portal": "10.0.0.1:3260", "wwn": null, "nqn": null},
            {"name": "CT0.FC0", "iqn": null, "portal": null, "wwn": "52:4A:93:70:4E:E5:68:00"},
            {"name": "CT0.FC1", "wwn": "52:4A:93:70:4E:E5:68:01", "nqn": "nqn.a"},
            {"name": "CT0.ETH5", "nqn": "nqn.a", "portal": "10.0.0.2:4420"},
        ]))
        .expect("ports");
        assert_eq!(iscsi(&ports), ("iqn.a".to_owned(), vec!["10.0.0.1:3260".to_owned()]));
        assert_eq!(fibre_channel(&ports), ["524a93704ee56800"], "FC1 serves NVMe");
        assert_eq!(portal("fd00::1"), "[fd00::1]:4420");
    }
}
