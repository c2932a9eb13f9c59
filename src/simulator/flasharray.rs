//! Simulates a FlashArray's REST service: volumes, hosts, and the objects that belong to them.
//!
//! Sources: the official REST 2.56 specification and, where it is silent, the behaviour that public clients rely on.

mod about;
mod connections;
mod containers;
mod hosts;
mod protection_groups;
mod protection_members;
mod protection_snapshots;
mod tags;
mod volume_names;
mod volume_snapshots;
mod volumes;

use serde_json::{Value as Json, json};

use super::collection::{Collection, Counts, Page, Scope, text};
use super::fields::{Field, Takes};
use super::names;
use super::rest::{Answer, Method, Outcome, Refusal, Request};
use super::session::Sessions;
use super::settings::Settings;
use super::versions::{Versions, not_found};
use containers::Container;

/// Fields of `qos`, with their limits: bytes and operations per second.
const QOS: &[Field] = &[
    ("bandwidth_limit", Takes::Limit(1 << 20, 1 << 39)),
    ("iops_limit", Takes::Limit(100, 100_000_000)),
];
/// Fields of `priority_adjustment`.
const PRIORITY_ADJUSTMENT: &[Field] = &[
    ("priority_adjustment_operator", Takes::OneOf(&["+", "-", "="])),
    ("priority_adjustment_value", Takes::Number(-10, 10)),
];

/// One simulated FlashArray.
#[derive(Debug, Clone)]
pub struct FlashArray {
    settings: Settings,
    versions: Versions,
    sessions: Sessions,
    volumes: Collection,
    snapshots: Collection,
    tags: Collection,
    hosts: Collection,
    connections: Collection,
    /// Protection groups, their members, their snapshots.
    groups: Collection,
    members: Collection,
    group_snapshots: Collection,
    pods: Collection,
    volume_groups: Collection,
    ports: Collection,
    interfaces: Collection,
    controllers: Collection,
    made: u64,
}

impl FlashArray {
    /// Returns an empty array with two controllers and a port for each address and each WWPN.
    pub fn new(settings: Settings) -> Self {
        let sessions = Sessions::new(&settings.token, settings.idle_timeout, 401);
        let versions = Versions::of_flasharray(settings.rest);
        let mut array = Self {
            settings,
            versions,
            sessions,
            volumes: Collection::new("Volume", &["pod", "volume_group"]),
            snapshots: Collection::new("Volume snapshot", &[volume_snapshots::GROUP, "source"]),
            tags: Collection::new("Tag", &["resource"]),
            hosts: Collection::new("Host", &hosts::INITIATORS),
            connections: Collection::new("Connection", &["host", "volume"]),
            groups: Collection::new("Protection group", &["pod"]),
            members: Collection::new(
                "Protection group member",
                &[protection_members::DESTROYED, "group", "member"],
            ),
            group_snapshots: Collection::new("Protection group snapshot", &["source"]),
            pods: Collection::new("Pod", &[]),
            volume_groups: Collection::new("Volume group", &["pod"]),
            ports: Collection::new("Port", &[]),
            interfaces: Collection::new("Network interface", &[]),
            controllers: Collection::new("Controller", &[]),
            made: 0,
        };
        array.build();
        array
    }

    /// Creates the initial objects.
    fn build(&mut self) {
        let iqn = format!("iqn.2010-06.com.purestorage:flasharray.{:08x}", self.settings.number);
        for (index, address) in self.settings.data.iter().enumerate() {
            let name = format!("CT{}.ETH{}", index % 2, 4 + index / 2);
            self.ports
                .insert(json!({"name": name, "iqn": iqn, "portal": format!("{address}:3260")}));
            self.interfaces.insert(json!({
                "name": name, "enabled": true, "interface_type": "eth", "services": ["iscsi"],
                "speed": 25_000_000_000_u64,
                "eth": {"address": address, "mtu": 9000, "subtype": "physical", "vlan": 0},
            }));
        }
        self.build_other_ports();
        for (name, mode) in [("CT0", "primary"), ("CT1", "secondary")] {
            self.controllers.insert(json!({
                "name": name, "mode": mode, "model": "FA-X20R4", "status": "ready",
                "type": "array_controller", "version": "6.9.2",
            }));
        }
        if let Some(Ok(mut group)) =
            self.settings.default_protection.as_ref().map(|n| self.group(n))
        {
            group["id"] = self.id().into();
            self.groups.insert(group);
        }
    }

    /// Creates the ports for NVMe/TCP and Fibre Channel.
    fn build_other_ports(&mut self) {
        let nqn = format!("nqn.2010-06.com.purestorage:flasharray.{:08x}", self.settings.number);
        for (index, address) in self.settings.nvme.iter().enumerate() {
            let name = format!("CT{}.ETH{}", index % 2, 20 + index / 2);
            // Portals are shown for iSCSI only.
            self.ports.insert(json!({"name": name, "nqn": nqn}));
            self.interfaces.insert(json!({
                "name": name, "enabled": true, "interface_type": "eth", "services": ["nvme-tcp"],
                "speed": 25_000_000_000_u64,
                "eth": {"address": address, "mtu": 9000, "subtype": "physical", "vlan": 0},
            }));
        }
        for (index, wwn) in self.settings.fibre_channel.iter().enumerate() {
            let name = format!("CT{}.FC{}", index % 2, index / 2);
            self.ports.insert(json!({"name": name, "wwn": wwn}));
        }
    }

    /// Responds to a request at a time in milliseconds since 1970.
    pub fn answer(&mut self, request: &Request, now: u64) -> Answer {
        self.eradicate_due(now);
        // This key is singular here, and plural on a FlashBlade.
        if (request.method, request.path.as_str()) == (Method::Get, "/api/api_version") {
            return Answer::good(json!({"version": self.versions.announced()}));
        }
        let resource = match self.versions.resource(&request.path) {
            Ok((_, resource)) => resource,
            Err(refusal) => return refusal.into(),
        };
        match (request.method, resource) {
            (Method::Post, "login") => {
                let body = json!({"items": [{"username": "pso"}]});
                return self.sessions.login(request, now, body);
            }
            (Method::Post, "logout") => return self.sessions.logout(request),
            _ => {}
        }
        let outcome = self.sessions.check(request, now).and_then(|()| self.versioned(request, now));
        outcome.map_or_else(Answer::from, Answer::good)
    }

    /// Replays a request of a sender that was logged in.
    pub(super) fn repeat(&mut self, request: &Request, now: u64) {
        self.eradicate_due(now);
        // A request that is refused now was refused before.
        let _ = self.versioned(request, now);
    }

    /// Eradicates objects whose timer has ended.
    fn eradicate_due(&mut self, now: u64) {
        for kind in [Container::Pod, Container::VolumeGroup] {
            for container in kind.collection_mut(self).eradicate_due(now) {
                self.forget_contents(kind, &container);
            }
        }
        for volume in self.volumes.eradicate_due(now) {
            self.forget_volume(&volume);
        }
        for group in self.groups.eradicate_due(now) {
            self.forget_group(&group);
        }
        for snapshot in self.group_snapshots.eradicate_due(now) {
            self.forget_group_snapshot(&snapshot);
        }
        self.snapshots.eradicate_due(now);
    }

    /// Returns the number of log-ins.
    pub fn logins(&self) -> u64 {
        self.sessions.logins()
    }

    /// Ends all sessions.
    pub fn cut_sessions(&mut self) {
        self.sessions.cut();
    }

    /// Revokes the token.
    pub fn revoke_token(&mut self) {
        self.sessions.revoke();
    }

    /// Responds in the version of the request's path.
    fn versioned(&mut self, request: &Request, now: u64) -> Outcome {
        let versions = self.versions;
        let (minor, resource) = versions.resource(&request.path)?;
        versions.admit(minor, resource, request)?;
        let mut body = match request.method {
            Method::Get => listed(self.list(resource, request, now)?, request),
            method => self.change(method, resource, request, now)?,
        };
        versions.trim(minor, resource, &mut body);
        Ok(body)
    }

    fn list(&self, resource: &str, request: &Request, now: u64) -> Result<Page, Refusal> {
        let (collection, scope) = match resource {
            "arrays" => return Ok(Page::of(self.array(now))),
            "arrays/performance" => return Ok(Page::of(self.performance(request, now)?)),
            "arrays/space" => return Ok(Page::of(self.space(now))),
            "connections" => (&self.connections, self.connections_scope(request)?),
            "controllers" => (&self.controllers, Scope::new()),
            "hosts" => (&self.hosts, Scope::new()),
            "network-interfaces" => (&self.interfaces, Scope::new()),
            "pods" => (&self.pods, Scope::new()),
            "ports" => (&self.ports, Scope::new()),
            "protection-group-snapshots" => {
                (&self.group_snapshots, self.group_snapshots_scope(request)?)
            }
            "protection-groups" => (&self.groups, Scope::new()),
            "protection-groups/volumes" => (&self.members, self.members_scope(request)?),
            "volume-groups" => (&self.volume_groups, Scope::new()),
            "volume-snapshots" => (&self.snapshots, self.snapshots_scope(request)?),
            "volumes" => (&self.volumes, Scope::new()),
            "volumes/tags" => (&self.tags, self.tags_scope(request)?),
            _ => return Err(not_found()),
        };
        collection.list(request, &scope, (self.settings.page, Counts::Asked), now)
    }

    fn change(&mut self, method: Method, resource: &str, request: &Request, now: u64) -> Outcome {
        use Method::{Delete, Patch, Post, Put};
        match (method, resource) {
            (Post, "connections") => self.connect(request),
            (Delete, "connections") => self.disconnect(request),
            (Post, "hosts") => self.make_host(request),
            (Patch, "hosts") => self.change_hosts(request),
            (Delete, "hosts") => self.delete_hosts(request),
            (Post, "pods") => self.make_pod(request, now),
            (Patch, "pods") => self.change_containers(Container::Pod, request, now),
            (Delete, "pods") => self.eradicate_containers(Container::Pod, request),
            (Post, "protection-group-snapshots") => self.make_group_snapshots(request, now),
            (Patch, "protection-group-snapshots") => self.change_group_snapshots(request, now),
            (Delete, "protection-group-snapshots") => self.eradicate_group_snapshots(request),
            (Post, "protection-groups") => self.make_group(request, now),
            (Patch, "protection-groups") => self.change_groups(request, now),
            (Delete, "protection-groups") => self.eradicate_groups(request),
            (Post, "protection-groups/volumes") => self.add_members(request, now),
            (Delete, "protection-groups/volumes") => self.remove_members(request),
            (Post, "volume-groups") => self.make_volume_group(request, now),
            (Patch, "volume-groups") => {
                self.change_containers(Container::VolumeGroup, request, now)
            }
            (Delete, "volume-groups") => self.eradicate_containers(Container::VolumeGroup, request),
            (Post, "volume-snapshots") => self.make_snapshots(request, now),
            (Patch, "volume-snapshots") => self.change_snapshots(request, now),
            (Delete, "volume-snapshots") => self.eradicate_snapshots(request),
            (Post, "volumes") => self.make_volume(request, now),
            (Patch, "volumes") => self.change_volumes(request, now),
            (Delete, "volumes") => self.eradicate_volumes(request),
            (Delete, "volumes/tags") => self.delete_tags(request),
            (Put, "volumes/tags/batch") => self.change_tags(request, now),
            _ => Err(not_found()),
        }
    }

    /// Returns the settings, and the kinds of object for display, the most frequent first.
    pub(super) fn collections(&self) -> (&Settings, Vec<(&'static str, &Collection)>) {
        let kinds = vec![
            ("volumes", &self.volumes),
            ("snapshots", &self.snapshots),
            ("hosts", &self.hosts),
            ("connections", &self.connections),
        ];
        (&self.settings, kinds)
    }

    fn array_id(&self) -> String {
        names::id(self.settings.number, 0)
    }

    fn id(&mut self) -> String {
        self.made += 1;
        names::id(self.settings.number, self.made)
    }

    /// Returns the serial of the newest object.
    fn serial(&self) -> String {
        format!("{:08X}{:016X}", self.settings.number, self.made)
    }
}

/// Changes a counter of the object that a reference refers to, if it exists.
fn count(collection: &mut Collection, to: &Json, field: &str, by: i64) {
    collection.change(text(to, "name"), |object| {
        object[field] = (object[field].as_i64().unwrap_or_default() + by).into();
    });
}

/// Returns a list in a FlashArray's format, with a count only if requested.
fn listed(page: Page, request: &Request) -> Json {
    let mut body = json!({"items": page.items, "more_items_remaining": page.more});
    if let (Some(count), Some("true")) = (page.count, request.parameter("total_item_count")) {
        body["total_item_count"] = count.into();
    }
    if let Some(total) = page.total {
        body["total"] = vec![total].into();
    }
    if let Some(token) = page.token {
        body["continuation_token"] = token.into();
    }
    body
}
