//! Checks of the networks in app files.

use ipnet::IpNet;

use crate::compiler::blueprint::{App, Server};
use crate::compiler::compile::{Reach, is_never, never, reach};
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::spec::Egress;

/// Returns the servers outside the app to which its own NetworkPolicies block connections.
pub(super) fn servers(app: &App) -> Vec<Diagnostic> {
    let never = never(app);
    let mut found: Vec<Diagnostic> = Vec::new();
    for server in &app.servers {
        let Some(Blocked { problem, fix, fix_of_blueprint }) = blocked(app, server, &never) else {
            continue;
        };
        let diagnostic = if let Some(field) = &server.field {
            let path = format!("spec.{field}");
            Diagnostic::new(Code::ServerBlocked, app.place(&path), problem).at(path).fix(fix)
        } else {
            let message = format!("in the blueprint's `talks`, {problem}");
            Diagnostic::new(Code::ServerBlocked, app.place("kind"), message)
                .at("kind")
                .fix(fix_of_blueprint)
        };
        // A job that is like a component connects to the same servers.
        if !found.contains(&diagnostic) {
            found.push(diagnostic);
        }
    }
    found
}

/// Why connections to a server are blocked.
struct Blocked {
    problem: String,
    /// The fix if the app file has the host.
    fix: String,
    /// The fix if the blueprint has it.
    fix_of_blueprint: String,
}

fn blocked(app: &App, server: &Server, never: &[IpNet]) -> Option<Blocked> {
    let Server { from, host, .. } = server;
    let unknown =
        format!("a NetworkPolicy lists networks, and the network of `{host}` is known to DNS only");
    match reach(host) {
        Reach::Address(address) if is_never(&address, never) => Some(Blocked {
            problem: format!(
                "{host} is always blocked: it is an array, link-local, the metadata service of a cloud, or in `except`"
            ),
            fix: "write the address of a server that the pods may reach".to_owned(),
            fix_of_blueprint: "let the blueprint name a server that the pods may reach".to_owned(),
        }),
        // The policy of a closed program has its `talks` and nothing of `network.to`.
        Reach::Unknown if egress(app, from) == Some(Egress::Closed) => Some(Blocked {
            problem: format!(
                "`{from}` has `egress: closed`, which blocks connections to `{host}`: {unknown}"
            ),
            fix: "write the address of the server, or its Service, `NAME.NAMESPACE.svc`".to_owned(),
            fix_of_blueprint: format!(
                "let the blueprint name the address of the server or its Service, `NAME.NAMESPACE.svc`, or remove `egress: closed` from `{from}`"
            ),
        }),
        Reach::Unknown
            if app.common.network.egress == Egress::Closed && app.common.network.to.is_empty() =>
        {
            let to = "add the server's network to `network.to`";
            Some(Blocked {
                problem: format!("`egress: closed` blocks connections to `{host}`: {unknown}"),
                fix: format!("{to}, or write its address"),
                fix_of_blueprint: to.to_owned(),
            })
        }
        _ => None,
    }
}

/// Returns whether the blueprint closes a component or job.
fn egress(app: &App, name: &str) -> Option<Egress> {
    let component = app.components.get(name).map(|component| &component.program);
    let program = component.or_else(|| app.jobs.get(name).map(|job| &job.program));
    program.map(|program| program.egress)
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
