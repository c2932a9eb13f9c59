//! Checks of the networks in app files.

use ipnet::IpNet;

use crate::compiler::blueprint::App;
use crate::compiler::compile::{is_never, never};
use crate::compiler::diagnostic::{Code, Diagnostic};

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
