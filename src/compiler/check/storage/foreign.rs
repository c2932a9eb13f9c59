//! Rules of `provisioner.foreign`: it must not contain an array of the document.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::yaml::Node;
use crate::contract::DRIVER;
use crate::contract::address;
use crate::contract::storage::ArraySpec;
use crate::contract::{StorageSpec, host_and_port};
use crate::sanitize::quoted;

/// Returns the errors of `provisioner.foreign`.
pub(super) fn foreign(spec: &StorageSpec, node: &Node) -> Vec<Diagnostic> {
    let Some(own) = &spec.provisioner else { return Vec::new() };
    let error = |field: &str, index: usize, message: String, fix: &str| {
        let place = node.place_of(["spec", "provisioner", "foreign", field, &index.to_string()]);
        Diagnostic::new(Code::BadValue, place, message)
            .at(format!("spec.provisioner.foreign.{field}[{index}]"))
            .fix(fix)
    };
    let mut found = Vec::new();
    for (index, server) in own.foreign.servers.iter().enumerate() {
        if !is_word(server) {
            let message = format!(
                "{server} is not an NFS server, iSCSI portal or WWN",
                server = quoted(server)
            );
            let fix = "write a host name or an address, with `:port` for a portal, spelled as in the pods";
            found.push(error("servers", index, message, fix));
        } else if let Some(array) = spec.arrays.iter().find(|array| is_of(array, server)) {
            let message = format!(
                "{server} is the array {}, so any pod could mount the volume of any claim",
                array.name
            );
            let fix = "remove it: use claims to mount volumes of this array";
            found.push(error("servers", index, message, fix));
        }
    }
    for (index, driver) in own.foreign.drivers.iter().enumerate() {
        if !is_word(driver) || driver == DRIVER {
            let message =
                format!("{driver} is not a driver of other storage", driver = quoted(driver));
            let fix = "write the driver's name as in the pods, such as `nfs.csi.k8s.io`";
            found.push(error("drivers", index, message, fix));
        }
    }
    found
}

/// Returns whether a text has the form of a host, a host and port, a WWN, or `vendor/driver`.
fn is_word(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "-._:/[]".contains(c);
    !text.is_empty() && text.chars().all(good)
}

/// Returns whether a server is an array of the document.
fn is_of(array: &ArraySpec, server: &str) -> bool {
    let host = host_and_port(server).0;
    let own = std::iter::once(&array.management).chain(&array.data);
    let mut own = own.map(|own| host_and_port(own).0);
    let Some(asked) = address(host) else {
        let name = host.trim_end_matches('.');
        return own.any(|own| own.trim_end_matches('.').eq_ignore_ascii_case(name));
    };
    let inside = |address: &IpAddr| {
        let networks = array.networks.iter().filter_map(|network| network.0.parse::<IpNet>().ok());
        networks.into_iter().any(|network| network.contains(address))
    };
    own.any(|own| address(own) == Some(asked)) || inside(&asked)
}
