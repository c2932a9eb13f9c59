//! Checks of the networks in app files.

use ipnet::IpNet;

use crate::compiler::blueprint::App;
use crate::compiler::compile::{Reach, is_never, never, reach};
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::spec::Egress;

/// Returns the servers outside the app to which its own NetworkPolicies block connections.
pub(super) fn servers(app: &App) -> Vec<Diagnostic> {
    let (never, network) = (never(app), &app.common.network);
    let mut found: Vec<Diagnostic> = Vec::new();
    for server in &app.servers {
        let host = &server.host;
        let (message, fix) = match reach(host) {
            Reach::Address(address) if is_never(&address, &never) => (
                format!(
                    "{host} is always blocked: it is an array, link-local, the metadata service of a cloud, or in `except`"
                ),
                "write the address of a server that the pods may reach",
            ),
            Reach::Unknown if network.egress == Egress::Closed && network.to.is_empty() => (
                format!(
                    "`egress: closed` blocks connections to `{host}`: a NetworkPolicy consists of networks, and DNS alone knows that of the server"
                ),
                "add the server's network to `network.to`, or write its address",
            ),
            _ => continue,
        };
        let (path, place) =
            app.field_with(host).unwrap_or_else(|| ("kind".to_owned(), app.place("kind")));
        let diagnostic = Diagnostic::new(Code::ServerBlocked, place, message).at(path).fix(fix);
        // A job that is like a component connects to the same servers.
        if !found.contains(&diagnostic) {
            found.push(diagnostic);
        }
    }
    found
}

/// Returns the networks of an app that its pods can never reach.
pub(super) fn networks(app: &App) -> Vec<Diagnostic> {
    let never = never(app);
    let to = app.common.network.to.iter().enumerate();
    let closed = to.filter(|(_, network)| {
        let network = network.0.parse::<IpNet>();
        network.is_ok_and(|network| is_never(&network.trunc(), &never))
    });
    closed
        .map(|(index, network)| {
            let path = format!("spec.network.to[{index}]");
            let place = app.document.place_of(["spec", "network", "to", &index.to_string()]);
            let message = format!(
                "{} is always blocked: it is an array, link-local, the metadata service of a cloud, or in `except`",
                network.0
            );
            Diagnostic::new(Code::BadValue, place, message)
                .at(path)
                .fix("remove it: the nodes mount volumes, so pods need no connection to an array")
        })
        .collect()
}
