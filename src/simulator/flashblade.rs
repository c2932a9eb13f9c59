//! A FlashBlade: what its REST service does with file systems and their snapshots.
//!
//! Sources: the official REST 2.28 document, and the SDK's behaviour where that is silent.

mod file_systems;
mod snapshots;

use serde_json::{Value as Json, json};

use super::names;
use super::rest::{Answer, Method, Outcome, Refusal, Request};
use super::session::Sessions;
use super::settings::Settings;
use super::shelf::{Page, Shelf};

/// REST versions that it speaks, oldest first, as the array lists them.
const VERSIONS: [&str; 8] = ["2.0", "2.3", "2.12", "2.15", "2.16", "2.20", "2.25", "2.28"];

/// One simulated FlashBlade.
#[derive(Debug, Clone)]
pub struct FlashBlade {
    settings: Settings,
    sessions: Sessions,
    file_systems: Shelf,
    snapshots: Shelf,
    interfaces: Shelf,
    made: u64,
}

impl FlashBlade {
    /// Returns an empty array.
    pub fn new(settings: Settings) -> Self {
        let sessions = Sessions::new(&settings.token, settings.idle_timeout, 403);
        let mut interfaces = Shelf::default();
        for (index, address) in settings.data.iter().enumerate() {
            interfaces.insert(json!({
                "name": format!("data{}", index + 1), "id": names::id(settings.number, 1 << 40 | index as u64),
                "address": address, "enabled": true, "services": ["data"], "type": "vip", "mtu": 1500, "vlan": 0,
            }));
        }
        Self {
            settings,
            sessions,
            file_systems: Shelf::default(),
            snapshots: Shelf::default(),
            interfaces,
            made: 0,
        }
    }

    /// Answers a request at a time in milliseconds since 1970.
    pub fn answer(&mut self, request: &Request, now: u64) -> Answer {
        for system in self.file_systems.bury(now) {
            self.bury_snapshots_of(&system);
        }
        self.snapshots.bury(now);
        match (request.method, request.path.as_str()) {
            (Method::Get, "/api/api_version") => {
                return Answer::good(json!({"versions": VERSIONS}));
            }
            (Method::Post, "/api/login") => {
                return self.sessions.login(request, now, json!({"username": "pso"}));
            }
            (Method::Post, "/api/logout") => return self.sessions.logout(request),
            _ => {}
        }
        let outcome = self.sessions.check(request, now).and_then(|()| self.resource(request, now));
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

    fn resource(&mut self, request: &Request, now: u64) -> Outcome {
        let rest = request.path.strip_prefix("/api/").and_then(|path| path.split_once('/'));
        let known = rest.filter(|(version, _)| VERSIONS.contains(version));
        let Some((version, resource)) = known else {
            return Err(Refusal::whole(404, "The requested resource was not found."));
        };
        match (request.method, resource) {
            (Method::Get, "arrays") => Ok(listed(one(self.array(now)))),
            (Method::Get, "arrays/space") => Ok(listed(one(self.space(request, now)?))),
            (Method::Get, "network-interfaces") => {
                let page = self.settings.page;
                Ok(listed(self.interfaces.list(request, "Network interface", page, now)?))
            }
            (Method::Get, "file-systems") => {
                let page = self.settings.page;
                Ok(listed(self.file_systems.list(request, file_systems::WHAT, page, now)?))
            }
            (Method::Post, "file-systems") => self.make_file_system(request, version, now),
            (Method::Patch, "file-systems") => self.change_file_systems(request, now),
            (Method::Delete, "file-systems") => self.eradicate_file_systems(request),
            (Method::Get, "file-system-snapshots") => self.list_snapshots(request, now),
            (Method::Post, "file-system-snapshots") => self.make_snapshots(request, now),
            (Method::Patch, "file-system-snapshots") => {
                let delay = self.settings.eradication_delay;
                self.snapshots.set_destroyed(request, snapshots::WHAT, now, delay)
            }
            (Method::Delete, "file-system-snapshots") => {
                self.snapshots.eradicate(request, snapshots::WHAT, self.settings.safe_mode)?;
                Ok(json!({}))
            }
            _ => Err(Refusal::whole(404, "The requested resource was not found.")),
        }
    }

    fn array(&self, now: u64) -> Json {
        json!({
            "name": self.settings.name, "id": names::id(self.settings.number, 0), "_as_of": now,
            "os": "Purity//FB", "version": "4.6.5", "idle_timeout": self.sessions.idle_timeout(),
            "time_zone": "UTC",
            "eradication_config": {
                "eradication_delay": self.settings.eradication_delay,
                "manual_eradication": if self.settings.safe_mode { "all-disabled" } else { "all-enabled" },
            },
        })
    }

    fn space(&self, request: &Request, now: u64) -> Outcome {
        match request.parameter("type") {
            None | Some("array" | "file-system" | "object-store") => {}
            Some(other) => return Err(Refusal::of(other, "Invalid type.")),
        }
        let provisioned: u64 =
            self.file_systems.iter().filter_map(|system| system["provisioned"].as_u64()).sum();
        Ok(json!({
            "name": self.settings.name, "id": names::id(self.settings.number, 0), "time": now,
            "capacity": self.settings.capacity, "parity": 1.0,
            "space": {
                "data_reduction": 1.0, "snapshots": 0, "total_physical": 0, "unique": 0, "virtual": 0,
                "total_provisioned": provisioned, "total_used": 0,
            },
        }))
    }

    /// The settings, and the kinds of object that people want to see, the largest first.
    pub(super) fn shelves(&self) -> (&Settings, Vec<(&'static str, &Shelf)>) {
        let kinds = vec![("file systems", &self.file_systems), ("snapshots", &self.snapshots)];
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

/// A list as a FlashBlade writes it: a token only when there is more.
fn listed(page: Page) -> Json {
    let mut body = json!({"items": page.items});
    if let Some(total) = page.total {
        body["total_item_count"] = total.into();
    }
    if let Some(token) = page.token {
        body["continuation_token"] = token.into();
    }
    body
}
