//! A FlashArray: what its REST service does with volumes, snapshots, hosts and connections.
//!
//! Sources: the official REST 2.56 document, and what public clients rely on where that is silent.

mod hosts;
mod volumes;

use serde_json::{Value as Json, json};

use super::names;
use super::rest::{Answer, Method, Outcome, Refusal, Request};
use super::session::Sessions;
use super::settings::Settings;
use super::shelf::{Page, Shelf};

/// REST versions that it speaks, oldest first, as the array lists them.
const VERSIONS: [&str; 8] = ["2.0", "2.2", "2.4", "2.16", "2.20", "2.36", "2.42", "2.56"];

/// One simulated FlashArray.
#[derive(Debug, Clone)]
pub struct FlashArray {
    settings: Settings,
    sessions: Sessions,
    volumes: Shelf,
    snapshots: Shelf,
    hosts: Shelf,
    connections: Shelf,
    ports: Shelf,
    interfaces: Shelf,
    controllers: Shelf,
    made: u64,
}

impl FlashArray {
    /// Returns an empty array with two controllers and a portal for each address.
    pub fn new(settings: Settings) -> Self {
        let sessions = Sessions::new(&settings.token, settings.idle_timeout, 401);
        let (mut ports, mut interfaces, mut controllers) =
            (Shelf::default(), Shelf::default(), Shelf::default());
        for (index, address) in settings.data.iter().enumerate() {
            let name = format!("CT{}.ETH{}", index % 2, 4 + index / 2);
            let iqn = format!("iqn.2010-06.com.purestorage:flasharray.{:08x}", settings.number);
            ports.insert(json!({"name": name, "iqn": iqn, "portal": format!("{address}:3260")}));
            interfaces.insert(json!({
                "name": name, "enabled": true, "interface_type": "eth", "services": ["iscsi"],
                "speed": 25_000_000_000_u64,
                "eth": {"address": address, "mtu": 9000, "subtype": "physical", "vlan": 0},
            }));
        }
        for (name, mode) in [("CT0", "primary"), ("CT1", "secondary")] {
            controllers.insert(json!({
                "name": name, "mode": mode, "model": "FA-X20R4", "status": "ready",
                "type": "array_controller", "version": "6.9.2",
            }));
        }
        Self {
            settings,
            sessions,
            volumes: Shelf::default(),
            snapshots: Shelf::default(),
            hosts: Shelf::default(),
            connections: Shelf::default(),
            ports,
            interfaces,
            controllers,
            made: 0,
        }
    }

    /// Answers a request at a time in milliseconds since 1970.
    pub fn answer(&mut self, request: &Request, now: u64) -> Answer {
        for volume in self.volumes.bury(now) {
            self.bury_snapshots_of(&volume);
        }
        self.snapshots.bury(now);
        // The key is singular here, and plural on a FlashBlade.
        if (request.method, request.path.as_str()) == (Method::Get, "/api/api_version") {
            return Answer::good(json!({"version": VERSIONS}));
        }
        let rest = request.path.strip_prefix("/api/").and_then(|path| path.split_once('/'));
        let known = rest.filter(|(version, _)| VERSIONS.contains(version));
        let Some((version, resource)) = known else {
            return Refusal::whole(404, "The requested resource was not found.").into();
        };
        match (request.method, resource) {
            (Method::Post, "login") => {
                let body = json!({"items": [{"username": "pso"}]});
                return self.sessions.login(request, now, body);
            }
            (Method::Post, "logout") => return self.sessions.logout(request),
            _ => {}
        }
        let outcome = self.sessions.check(request, now);
        let outcome = outcome.and_then(|()| self.resource(request, resource, version, now));
        outcome.map_or_else(Answer::from, Answer::good)
    }

    /// Returns how often somebody has logged in.
    pub fn logins(&self) -> u64 {
        self.sessions.logins()
    }

    /// Ends all sessions.
    pub fn cut_sessions(&mut self) {
        self.sessions.cut();
    }

    /// Lets nobody in any more.
    pub fn revoke_token(&mut self) {
        self.sessions.revoke();
    }

    fn resource(&mut self, request: &Request, resource: &str, version: &str, now: u64) -> Outcome {
        let page = self.settings.page;
        let list = |shelf: &Shelf, what| Ok(listed(shelf.list(request, what, page, now)?, request));
        match (request.method, resource) {
            (Method::Get, "arrays") => Ok(listed(one(self.array(now)), request)),
            (Method::Get, "arrays/space") => Ok(listed(one(self.space(now)), request)),
            (Method::Get, "controllers") => list(&self.controllers, "Controller"),
            (Method::Get, "ports") => list(&self.ports, "Port"),
            (Method::Get, "network-interfaces") => list(&self.interfaces, "Network interface"),
            (Method::Get, "volumes") => list(&self.volumes, volumes::WHAT),
            (Method::Post, "volumes") => self.make_volume(request, version, now),
            (Method::Patch, "volumes") => self.change_volumes(request, now),
            (Method::Delete, "volumes") => self.eradicate_volumes(request),
            (Method::Get, "volume-snapshots") => {
                let mut found = self.snapshots.list(request, volumes::SNAPSHOT, page, now)?;
                only(&mut found, request, "source_names", |item| &item["source"]["name"]);
                Ok(listed(found, request))
            }
            (Method::Post, "volume-snapshots") => self.make_snapshots(request, now),
            (Method::Patch, "volume-snapshots") => {
                let delay = self.settings.eradication_delay;
                self.snapshots.set_destroyed(request, volumes::SNAPSHOT, now, delay)
            }
            (Method::Delete, "volume-snapshots") => {
                self.snapshots.eradicate(request, volumes::SNAPSHOT, self.settings.safe_mode)?;
                Ok(json!({}))
            }
            (Method::Get, "hosts") => list(&self.hosts, hosts::WHAT),
            (Method::Post, "hosts") => self.make_host(request),
            (Method::Patch, "hosts") => self.change_host(request),
            (Method::Delete, "hosts") => self.delete_hosts(request),
            (Method::Get, "connections") => {
                let mut found = self.connections.list(request, hosts::CONNECTION, page, now)?;
                only(&mut found, request, "host_names", |item| &item["host"]["name"]);
                only(&mut found, request, "volume_names", |item| &item["volume"]["name"]);
                Ok(listed(found, request))
            }
            (Method::Post, "connections") => self.connect(request),
            (Method::Delete, "connections") => self.disconnect(request),
            _ => Err(Refusal::whole(404, "The requested resource was not found.")),
        }
    }

    fn array(&self, now: u64) -> Json {
        let manual = if self.settings.safe_mode { "all-disabled" } else { "all-enabled" };
        json!({
            "name": self.settings.name, "id": names::id(self.settings.number, 0), "_as_of": now,
            "os": "Purity//FA", "version": "6.9.2", "capacity": self.settings.capacity, "parity": 1.0,
            "idle_timeout": self.sessions.idle_timeout(), "time_zone": "UTC",
            "eradication_config": {
                "enabled_delay": self.settings.eradication_delay,
                "disabled_delay": self.settings.eradication_delay, "manual_eradication": manual,
            },
        })
    }

    fn space(&self, now: u64) -> Json {
        let provisioned: u64 =
            self.volumes.iter().filter_map(|volume| volume["provisioned"].as_u64()).sum();
        json!({
            "name": self.settings.name, "id": names::id(self.settings.number, 0), "time": now,
            "capacity": self.settings.capacity, "parity": 1.0,
            "space": {
                "data_reduction": 1.0, "total_reduction": 1.0, "shared": 0, "snapshots": 0, "unique": 0,
                "total_physical": 0, "total_provisioned": provisioned, "total_used": 0,
            },
        })
    }

    /// The settings, and the kinds of object that people want to see, the largest first.
    pub(super) fn shelves(&self) -> (&Settings, Vec<(&'static str, &Shelf)>) {
        let kinds = vec![
            ("volumes", &self.volumes),
            ("snapshots", &self.snapshots),
            ("hosts", &self.hosts),
            ("connections", &self.connections),
        ];
        (&self.settings, kinds)
    }

    fn id(&mut self) -> String {
        self.made += 1;
        names::id(self.settings.number, self.made)
    }
}

fn one(object: Json) -> Page {
    Page { items: vec![object], token: None, total: Some(1) }
}

/// Keeps the items of which a field is among those that a parameter names.
fn only(page: &mut Page, request: &Request, parameter: &str, field: impl Fn(&Json) -> &Json) {
    let wanted = request.list(parameter);
    if !wanted.is_empty() {
        page.items.retain(|item| {
            let name = field(item).as_str().unwrap_or_default();
            wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        });
        page.total = Some(page.items.len());
    }
}

/// A list as a FlashArray writes it: whether there is more, and a count only when asked for.
fn listed(page: Page, request: &Request) -> Json {
    let mut body = json!({"items": page.items, "more_items_remaining": page.token.is_some()});
    if let (Some(total), Some("true")) = (page.total, request.parameter("total_item_count")) {
        body["total_item_count"] = total.into();
    }
    if let Some(token) = page.token {
        body["continuation_token"] = token.into();
    }
    body
}
