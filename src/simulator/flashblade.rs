//! Simulates a FlashBlade's REST service: file systems and the objects that belong to them.
//!
//! Sources: the official REST 2.28 specification and, where it is silent, the behaviour of the SDK.

mod about;
mod export_policies;
mod export_rules;
mod exports;
mod file_systems;
mod nfs;
mod policies;
mod quotas;
mod servers;
mod snapshots;

use serde_json::{Value as Json, json};

use super::collection::{Collection, Counts, Page, Scope, reference};
use super::names;
use super::rest::{Answer, Method, Outcome, Refusal, Request};
use super::session::Sessions;
use super::settings::Settings;
use super::versions::{Versions, not_found};
use quotas::{GROUPS, USERS};

/// One simulated FlashBlade.
#[derive(Debug, Clone)]
pub struct FlashBlade {
    settings: Settings,
    versions: Versions,
    sessions: Sessions,
    file_systems: Collection,
    snapshots: Collection,
    exports: Collection,
    servers: Collection,
    export_policies: Collection,
    export_rules: Collection,
    policies: Collection,
    /// File systems with a snapshot policy.
    members: Collection,
    user_quotas: Collection,
    group_quotas: Collection,
    interfaces: Collection,
    made: u64,
}

impl FlashBlade {
    /// Returns an empty array.
    pub fn new(settings: Settings) -> Self {
        let sessions = Sessions::new(&settings.token, settings.idle_timeout, 403);
        let versions = Versions::of_flashblade(settings.rest);
        // The initial objects have ids beyond those of objects that are created.
        let id = |n: usize| names::id(settings.number, 1 << 40 | n as u64);
        let mut servers = Collection::new("Server", &[]);
        let mut server = servers::server(servers::DEFAULT_SERVER, 0);
        server["id"] = id(0).into();
        let attached = json!([reference(&server)]);
        servers.insert(server);
        let mut interfaces = Collection::new("Network interface", &[]);
        for (index, address) in settings.data.iter().enumerate() {
            // A single interface serves all servers. Of several, the second one serves the default server, so that
            // clients meet both cases.
            let attached = if index == 1 { attached.clone() } else { json!([]) };
            interfaces.insert(json!({
                "name": format!("data{}", index + 1), "id": id(index + 1), "address": address,
                "attached_servers": attached, "enabled": true, "mtu": 1500, "realms": [],
                "services": ["data"], "type": "vip", "vlan": 0,
            }));
        }
        Self {
            settings,
            versions,
            sessions,
            file_systems: Collection::new("File system", &[]),
            snapshots: Collection::new("Snapshot", &["name", "owner"]),
            exports: Collection::new(
                "File system export",
                &["member", "member.name", "policy", "server"],
            ),
            servers,
            export_policies: Collection::new("NFS export policy", &[]),
            export_rules: Collection::new("NFS export policy rule", &["policy"]),
            policies: Collection::new("Policy", &[]),
            members: Collection::new("Policy member", &["member", "policy"]),
            user_quotas: Collection::new("Quota", &["_who", "file_system"]),
            group_quotas: Collection::new("Quota", &["_who", "file_system"]),
            interfaces,
            made: 0,
        }
    }

    /// Responds to a request at a time in milliseconds since 1970.
    pub fn answer(&mut self, request: &Request, now: u64) -> Answer {
        self.eradicate_due(now);
        match (request.method, request.path.as_str()) {
            (Method::Get, "/api/api_version") => {
                return Answer::good(json!({"versions": self.versions.announced()}));
            }
            (Method::Post, "/api/login") => {
                return self.sessions.login(request, now, json!({"username": "pso"}));
            }
            (Method::Post, "/api/logout") => return self.sessions.logout(request),
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
        for system in self.file_systems.eradicate_due(now) {
            self.forget(&system);
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
            Method::Get => listed(self.list(resource, request, now)?),
            method => self.change(method, resource, request, now)?,
        };
        versions.trim(minor, resource, &mut body);
        Ok(body)
    }

    fn list(&self, resource: &str, request: &Request, now: u64) -> Result<Page, Refusal> {
        let (collection, scope) = match resource {
            "arrays" => return Ok(Page::of(self.array(now))),
            "arrays/performance" => return Ok(Page::of(self.performance(request, now)?)),
            "arrays/space" => return Ok(Page::of(self.space(request, now)?)),
            "file-system-exports" => (&self.exports, Scope::new()),
            "file-system-snapshots" => (&self.snapshots, self.snapshots_scope(request)?),
            "file-systems" => (&self.file_systems, Scope::new()),
            "file-systems/performance" => return self.performances(request, now),
            "file-systems/policies" | "policies/file-systems" => {
                (&self.members, self.members_scope(request)?)
            }
            "network-interfaces" => (&self.interfaces, Scope::new()),
            "nfs-export-policies" => (&self.export_policies, Scope::new()),
            "nfs-export-policies/rules" => (&self.export_rules, self.export_rules_scope(request)?),
            "policies" => (&self.policies, Scope::new()),
            "quotas/groups" => (&self.group_quotas, self.quotas_scope(GROUPS, request)?),
            "quotas/users" => (&self.user_quotas, self.quotas_scope(USERS, request)?),
            "servers" => (&self.servers, Scope::new()),
            _ => return Err(not_found()),
        };
        collection.list(request, &scope, (self.settings.page, Counts::Always), now)
    }

    fn change(&mut self, method: Method, resource: &str, request: &Request, now: u64) -> Outcome {
        use Method::{Delete, Patch, Post};
        match (method, resource) {
            (Post, "file-system-exports") => self.make_exports(request, now),
            (Patch, "file-system-exports") => self.change_exports(request, now),
            (Delete, "file-system-exports") => self.delete_exports(request),
            (Post, "file-system-snapshots") => self.make_snapshots(request, now),
            (Patch, "file-system-snapshots") => self.change_snapshots(request, now),
            (Delete, "file-system-snapshots") => {
                self.snapshots.eradicate(request, self.settings.safe_mode)?;
                Ok(json!({}))
            }
            (Post, "file-systems") => self.make_file_system(request, now),
            (Patch, "file-systems") => self.change_file_systems(request, now),
            (Delete, "file-systems") => self.eradicate_file_systems(request),
            (Post, "file-systems/policies" | "policies/file-systems") => {
                self.attach_policies(request, now)
            }
            (Delete, "file-systems/policies" | "policies/file-systems") => {
                self.detach_policies(request)
            }
            (Post, "nfs-export-policies") => self.make_export_policy(request, now),
            (Patch, "nfs-export-policies") => self.change_export_policies(request, now),
            (Delete, "nfs-export-policies") => self.delete_export_policies(request),
            (Post, "nfs-export-policies/rules") => self.make_export_rule(request, now),
            (Patch, "nfs-export-policies/rules") => self.change_export_rules(request, now),
            (Delete, "nfs-export-policies/rules") => self.delete_export_rules(request),
            (Post, "policies") => self.make_policy(request, now),
            (Patch, "policies") => self.change_policies(request, now),
            (Delete, "policies") => self.delete_policies(request),
            (Post, "quotas/groups") => self.make_quotas(GROUPS, request, now),
            (Patch, "quotas/groups") => self.change_quotas(GROUPS, request, now),
            (Delete, "quotas/groups") => self.delete_quotas(GROUPS, request),
            (Post, "quotas/users") => self.make_quotas(USERS, request, now),
            (Patch, "quotas/users") => self.change_quotas(USERS, request, now),
            (Delete, "quotas/users") => self.delete_quotas(USERS, request),
            (Post, "servers") => self.make_server(request, now),
            (Delete, "servers") => self.delete_servers(request),
            _ => Err(not_found()),
        }
    }

    /// Returns the settings, and the kinds of object for display, the most frequent first.
    pub(super) fn collections(&self) -> (&Settings, Vec<(&'static str, &Collection)>) {
        let kinds = vec![("file systems", &self.file_systems), ("snapshots", &self.snapshots)];
        (&self.settings, kinds)
    }

    fn id(&mut self) -> String {
        self.made += 1;
        names::id(self.settings.number, self.made)
    }
}

/// Returns a list in a FlashBlade's format, with a token only if there are more objects.
fn listed(page: Page) -> Json {
    let mut body = json!({"items": page.items});
    if let Some(count) = page.count {
        body["total_item_count"] = count.into();
    }
    if let Some(total) = page.total {
        body["total"] = total;
    }
    if let Some(token) = page.token {
        body["continuation_token"] = token.into();
    }
    body
}
