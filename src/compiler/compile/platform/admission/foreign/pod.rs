//! The rules for pods in Rust, so that rendering reports pods that the cluster would refuse.

use k8s_openapi::api::core::v1::{PodSpec, Volume};

use super::{ATTRIBUTES, DRIVERS};
use crate::contract::storage::Foreign;

/// Returns the volumes of a pod that the policy refuses, each with the storage that it names.
pub(crate) fn refused<'p>(pod: &'p PodSpec, foreign: &Foreign) -> Vec<(&'p str, String)> {
    let volumes = pod.volumes.iter().flatten();
    volumes.filter_map(|volume| Some((volume.name.as_str(), names(volume, foreign)?))).collect()
}

/// Returns the network storage that a volume names, unless it is listed.
fn names(volume: &Volume, foreign: &Foreign) -> Option<String> {
    let server = |name: &String| !foreign.servers.contains(name);
    let driver = |name: &String| !foreign.drivers.contains(name);
    if let Some(nfs) = volume.nfs.as_ref().filter(|nfs| server(&nfs.server)) {
        return Some(format!("the NFS server {}", nfs.server));
    }
    if let Some(iscsi) = &volume.iscsi {
        let mut portals =
            std::iter::once(&iscsi.target_portal).chain(iscsi.portals.iter().flatten());
        return portals
            .find(|portal| server(portal))
            .map(|portal| format!("the iSCSI portal {portal}"));
    }
    if let Some(fc) = &volume.fc {
        let mut names = fc.target_wwns.iter().chain(&fc.wwids).flatten();
        return names
            .find(|name| server(name))
            .map(|name| format!("the Fibre Channel target {name}"));
    }
    if let Some(flex) = volume.flex_volume.as_ref().filter(|flex| driver(&flex.driver)) {
        return Some(format!("the FlexVolume driver {}", flex.driver));
    }
    let csi = volume.csi.as_ref().filter(|csi| driver(&csi.driver))?;
    let mut keys = csi.volume_attributes.iter().flatten().map(|(key, _)| key.to_ascii_lowercase());
    let is_network = DRIVERS.contains(&csi.driver.as_str())
        || keys.any(|key| ATTRIBUTES.contains(&key.as_str()));
    is_network.then(|| format!("the CSI driver {}", csi.driver))
}
