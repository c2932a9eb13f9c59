//! A tree of sysfs as a kernel shows it, with two iSCSI sessions, a map, and an NVMe subsystem.

use std::os::unix::fs::symlink;

use super::*;

const SERIAL: &str = "0123456789ABCDEF01234567";
const IDENTITY: &str = "naa.624a93700123456789abcdef01234567";

struct Tree(tempfile::TempDir);

impl Tree {
    fn file(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, format!("{text}\n")).expect("written");
    }

    fn link(&self, path: &str, to: &str) {
        let (path, to) = (self.0.path().join(path), self.0.path().join(to));
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::create_dir_all(&to).expect("created");
        symlink(to, path).expect("linked");
    }

    fn disk(&self, address: &str, name: &str, number: &str, wwid: &str) {
        let unit = format!("devices/{address}");
        self.file(&format!("{unit}/wwid"), wwid);
        self.file(&format!("{unit}/state"), "running");
        self.file(&format!("{unit}/block/{name}/dev"), number);
        self.link(&format!("class/scsi_disk/{address}/device"), &unit);
        self.link(&format!("class/scsi_device/{address}/device"), &unit);
        self.file(&format!("block/{name}/dev"), number);
        self.file(&format!("block/{name}/size"), "2097152");
    }

    fn session(&self, number: u32, host: u32, address: &str, state: &str) {
        let class = format!("class/iscsi_session/session{number}");
        self.file(&format!("{class}/targetname"), "iqn.a");
        self.file(&format!("{class}/state"), state);
        self.link(
            &format!("{class}/device"),
            &format!("devices/platform/host{host}/session{number}"),
        );
        let connection = format!("class/iscsi_connection/connection{number}:0");
        self.file(&format!("{connection}/persistent_address"), address);
        self.file(&format!("{connection}/persistent_port"), "3260");
    }
}

fn tree() -> (Tree, Sysfs) {
    let tree = Tree(tempfile::tempdir().expect("a folder"));
    tree.session(1, 3, "10.0.0.1", "LOGGED_IN");
    tree.session(2, 4, "fd00::1", "FAILED");
    // The kernel shows the target after the first scan.
    tree.file("devices/platform/host3/session1/target3:0:0/uevent", "");
    tree.disk("3:0:0:7", "sdb", "8:16", IDENTITY);
    tree.disk("4:0:0:7", "sdc", "8:32", "naa.624a9370ffffffffffffffffffffffff");
    tree.disk("9:0:0:1", "sdd", "8:48", IDENTITY);
    tree.disk("0:0:0:0", "sda", "8:0", "t10.ATA disk");
    let map = "block/dm-0";
    tree.file(&format!("{map}/dm/uuid"), "mpath-3624a93700123456789abcdef01234567");
    tree.file(&format!("{map}/dm/name"), "mpatha");
    tree.file(&format!("{map}/dm/suspended"), "1");
    tree.file(&format!("{map}/dev"), "254:0");
    tree.file(&format!("{map}/size"), "2097152");
    tree.file(&format!("{map}/slaves/sdb"), "");
    tree.file(&format!("{map}/holders/dm-1"), "");
    tree.file("block/dm-1/dm/uuid", "LVM-x");
    tree.file("block/dm-1/dev", "254:1");
    tree.file("block/sdb/holders/dm-0", "");
    let sysfs = Sysfs { root: tree.0.path().to_owned() };
    (tree, sysfs)
}

fn query() -> HostQuery {
    HostQuery {
        transport: Some(BlockTransport::Iscsi),
        target: "iqn.a".to_owned(),
        lun: Some(7),
        serial: Some(SERIAL.to_owned()),
        ..HostQuery::default()
    }
}

#[test]
fn sessions_have_their_portal_and_their_place() {
    let (_tree, sysfs) = tree();
    let sessions = sysfs.sessions(&query());
    let bus = |host| Some(Bus { host, channel: 0, target: 0 });
    let portal = "10.0.0.1:3260".to_owned();
    let first = Session { name: "session1".to_owned(), portal, live: true, bus: bus(3), disks: 1 };
    let portal = "[fd00::1]:3260".to_owned();
    let second =
        Session { name: "session2".to_owned(), portal, live: false, bus: bus(4), disks: 1 };
    assert_eq!(sessions, [first, second]);
    assert_eq!(sysfs.sessions(&HostQuery { target: "iqn.b".to_owned(), ..query() }), []);
    assert_eq!(sysfs.sessions(&HostQuery { target: String::new(), ..query() }), []);
}

#[test]
fn disks_are_those_at_the_lun_and_those_with_the_identity() {
    let (_tree, sysfs) = tree();
    let sessions = sysfs.sessions(&query());
    let disks = sysfs.disks(&query(), &sessions, &BTreeSet::new());
    let names: Vec<_> = disks.iter().map(|disk| disk.name.as_str()).collect();
    assert_eq!(names, ["sdb", "sdc", "sdd"]);
    assert_eq!(disks[0].wwid.as_deref(), Some(IDENTITY));
    assert_eq!((disks[0].size, disks[0].live), (1 << 30, true));
    assert_eq!(disks[0].holders[0].uuid, map_uuid(SERIAL));
    // A device at one of the query's paths, whatever it is.
    let numbers = BTreeSet::from([DeviceNumber { major: 8, minor: 0 }]);
    let disks = sysfs.disks(&HostQuery::default(), &[], &numbers);
    assert_eq!(disks.iter().map(|disk| disk.name.as_str()).collect::<Vec<_>>(), ["sda"]);
    assert_eq!(sysfs.disk_at(address("3:0:0:7").expect("an address")).as_deref(), Some("sdb"));
    assert_eq!(sysfs.disk_at(address("3:0:0:8").expect("an address")), None);
}

#[test]
fn a_map_has_its_state_its_paths_and_its_holders() {
    let (_tree, sysfs) = tree();
    let maps = sysfs.maps(&query(), &[], &BTreeSet::new());
    assert_eq!(maps.len(), 1, "a logical volume is no multipath map");
    assert_eq!((maps[0].alias.as_str(), maps[0].suspended), ("mpatha", true));
    assert_eq!((maps[0].slaves.join(","), maps[0].size), ("sdb".to_owned(), 1 << 30));
    assert_eq!(maps[0].holders[0].uuid, "LVM-x");
    let other = HostQuery { serial: Some("F".repeat(24)), ..query() };
    assert_eq!(sysfs.maps(&other, &[], &BTreeSet::new()), []);
}

#[test]
fn file_systems_with_errors_are_known_by_their_device() {
    let (tree, sysfs) = tree();
    for (name, count) in [("sdb", "0"), ("dm-0", "6"), ("sda1", "1")] {
        tree.file(&format!("fs/ext4/{name}/errors_count"), count);
    }
    tree.file("fs/ext4/features/batched_discard", "supported");
    assert_eq!(sysfs.with_errors(), BTreeSet::from([DeviceNumber { major: 254, minor: 0 }]));
}

#[test]
fn namespaces_are_found_by_identity_and_their_hidden_paths_are_not() {
    let (tree, sysfs) = tree();
    let nvme = "class/nvme/nvme0";
    tree.file(&format!("{nvme}/subsysnqn"), "nqn.a");
    tree.file(&format!("{nvme}/state"), "live");
    tree.file(&format!("{nvme}/address"), "traddr=10.0.0.1,trsvcid=4420,src_addr=10.0.0.9");
    tree.file("class/nvme-subsystem/nvme-subsys0/subsysnqn", "nqn.a");
    for (name, hidden) in [("nvme0n1", "0"), ("nvme0c0n1", "1")] {
        tree.file(&format!("class/nvme-subsystem/nvme-subsys0/{name}/x"), "");
        tree.file(&format!("block/{name}/hidden"), hidden);
        tree.file(&format!("block/{name}/wwid"), "eui.000123456789abcd24a937ef01234567");
        tree.file(&format!("block/{name}/dev"), "259:0");
        tree.file(&format!("block/{name}/size"), "2048");
    }
    let query = HostQuery {
        transport: Some(BlockTransport::NvmeTcp),
        target: "nqn.a".to_owned(),
        ..query()
    };
    let sessions = sysfs.sessions(&query);
    let (name, portal) = ("nvme0".to_owned(), "10.0.0.1:4420".to_owned());
    assert_eq!(sessions, [Session { name, portal, live: true, bus: None, disks: 1 }]);
    let disks = sysfs.disks(&query, &sessions, &BTreeSet::new());
    assert_eq!(disks.iter().map(|disk| disk.name.as_str()).collect::<Vec<_>>(), ["nvme0n1"]);
}

#[test]
fn ports_of_fibre_channel_are_those_that_are_asked_for() {
    let (tree, sysfs) = tree();
    for (name, port, state, target) in [
        ("rport-7:0-1", "0x5200000000000001", "Online", "2"),
        ("rport-7:0-2", "0x5200000000000002", "Not Present", "3"),
        ("rport-7:0-3", "0x2100000000000009", "Online", "-1"),
    ] {
        tree.file(&format!("class/fc_remote_ports/{name}/port_name"), port);
        tree.file(&format!("class/fc_remote_ports/{name}/port_state"), state);
        tree.file(&format!("class/fc_remote_ports/{name}/scsi_target_id"), target);
    }
    let portals = ["5200000000000001", "5200000000000002", "2100000000000009"];
    let query = HostQuery {
        transport: Some(BlockTransport::FibreChannel),
        portals: portals.map(str::to_owned).to_vec(),
        ..HostQuery::default()
    };
    let sessions = sysfs.sessions(&query);
    let seen: Vec<_> = sessions.iter().map(|it| (it.portal.as_str(), it.live, it.bus)).collect();
    let bus = |target| Some(Bus { host: 7, channel: 0, target });
    assert_eq!(seen, [(portals[0], true, bus(2)), (portals[1], false, bus(3))]);
}
