//! How many paths a staged volume has, and how many it should have. Only reported.

use super::identity::{map_uuid, wwid};
use super::view::{Disk, HostView, StagedVolume};
use crate::contract::BlockTransport;

/// Returns the number of paths that a staged volume has, and the number that it should have; none if a newer version has
/// staged it. It counts what the kernel has recorded, and asks no device.
pub fn paths(state: &StagedVolume, view: &HostView) -> Option<(usize, usize)> {
    let transport = state.transport()?;
    let wwid = wwid(transport, &state.serial);
    let mut live = view.disks.iter().filter(|it| it.live && it.wwid.as_ref() == Some(&wwid));
    let sessions = view.sessions.iter().filter(|session| session.live).count();
    let ports = state.portals.len();
    Some(match transport {
        // The kernel combines the paths: each controller is one.
        BlockTransport::NvmeTcp => (if live.next().is_some() { sessions } else { 0 }, ports),
        BlockTransport::Iscsi => (scsi(state, view, live), ports),
        // The fabric decides which ports of the array this host sees.
        BlockTransport::FibreChannel => {
            (scsi(state, view, live), view.sessions.len().clamp(1, ports.max(1)))
        }
    })
}

fn scsi<'v>(
    state: &StagedVolume,
    view: &HostView,
    mut live: impl Iterator<Item = &'v Disk>,
) -> usize {
    let uuid = map_uuid(&state.serial);
    match view.maps.iter().find(|map| map.uuid == uuid) {
        Some(map) => live.filter(|disk| map.slaves.contains(&disk.name)).count(),
        // Without a map, one disk is in use, and the others stay idle.
        None => usize::from(live.next().is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::decide::view::{DeviceNumber, Map, Session};

    const SERIAL: &str = "0123456789ABCDEF01234567";

    fn state(transport: BlockTransport) -> StagedVolume {
        StagedVolume {
            volume: "a/1".to_owned(),
            staging: "/staging".into(),
            transport: transport.word().to_owned(),
            target: "iqn.2010-06.com.purestorage:1".to_owned(),
            portals: (1..=4).map(|number| format!("10.0.0.{number}:3260")).collect(),
            lun: 1,
            serial: SERIAL.to_owned(),
            block: false,
            formatting: false,
            chap: false,
            released: false,
        }
    }

    fn disk(name: &str, transport: BlockTransport, live: bool) -> Disk {
        Disk {
            name: name.to_owned(),
            number: DeviceNumber::default(),
            address: None,
            wwid: Some(wwid(transport, SERIAL)),
            size: 1 << 30,
            live,
            holders: Vec::new(),
        }
    }

    fn session(number: u8, live: bool) -> Session {
        let portal = format!("10.0.0.{number}:3260");
        Session { name: format!("session{number}"), portal, live, bus: None, disks: 1 }
    }

    fn map(slaves: &[&str]) -> Map {
        Map {
            name: "dm-1".to_owned(),
            alias: "mpatha".to_owned(),
            number: DeviceNumber::default(),
            uuid: map_uuid(SERIAL),
            size: 1 << 30,
            suspended: false,
            slaves: slaves.iter().map(|name| (*name).to_owned()).collect(),
            holders: Vec::new(),
        }
    }

    #[test]
    fn a_path_is_a_live_disk_of_the_volume_in_its_map() {
        let transport = BlockTransport::Iscsi;
        let foreign = Disk { wwid: Some("naa.6".to_owned()), ..disk("sdd", transport, true) };
        let disks = vec![
            disk("sda", transport, true),
            disk("sdb", transport, false),
            disk("sdc", transport, true),
            foreign,
        ];
        let of = |maps: Vec<Map>| {
            paths(
                &state(transport),
                &HostView { disks: disks.clone(), maps, ..HostView::default() },
            )
        };
        assert_eq!(of(vec![map(&["sda", "sdb", "sdd"])]), Some((1, 4)));
        assert_eq!(of(vec![map(&["sda", "sdb", "sdc", "sdd"])]), Some((2, 4)));
        assert_eq!(of(vec![]), Some((1, 4)), "one disk is in use");
        assert_eq!(paths(&state(transport), &HostView::default()), Some((0, 4)));
    }

    #[test]
    fn the_paths_of_nvme_are_its_controllers_and_those_of_fibre_channel_what_the_fabric_shows() {
        let transport = BlockTransport::NvmeTcp;
        let sessions = vec![session(1, true), session(2, false), session(3, true)];
        let disks = vec![disk("nvme0n1", transport, true)];
        let view = HostView { sessions: sessions.clone(), disks, ..HostView::default() };
        assert_eq!(paths(&state(transport), &view), Some((2, 4)));
        let gone = HostView { disks: Vec::new(), ..view };
        assert_eq!(paths(&state(transport), &gone), Some((0, 4)), "the namespace is gone");
        let transport = BlockTransport::FibreChannel;
        let disks = vec![disk("sda", transport, true), disk("sdb", transport, true)];
        let maps = vec![map(&["sda", "sdb"])];
        let view = HostView { sessions, disks, maps, ..HostView::default() };
        assert_eq!(paths(&state(transport), &view), Some((2, 3)));
        let newer = StagedVolume { transport: "rdma".to_owned(), ..state(transport) };
        assert_eq!(paths(&newer, &view), None);
    }
}
