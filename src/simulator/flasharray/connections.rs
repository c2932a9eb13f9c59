//! Connections between hosts and volumes.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::FlashArray;
use crate::simulator::collection::{KEY, Scope, id, reference, shown, text};
use crate::simulator::fields::{self, Field, Takes};
use crate::simulator::rest::{Outcome, Refusal, Request};

/// Allowed LUNs of a host's connections.
const LUNS: std::ops::RangeInclusive<i64> = 1..=4095;
const FIELDS: &[Field] = &[("lun", Takes::Number(*LUNS.start(), *LUNS.end()))];
/// Parameters for names and for ids. Hosts have no ids.
const HOSTS: (&str, &str) = ("host_names", "");
const VOLUMES: (&str, &str) = ("volume_names", "volume_ids");

impl FlashArray {
    pub(super) fn connections_scope(&self, request: &Request) -> Result<Scope, Refusal> {
        no_groups(request)?;
        let mut scope = Scope::new();
        self.hosts.narrow(&mut scope, "host", request, HOSTS)?;
        self.volumes.narrow(&mut scope, "volume", request, VOLUMES)?;
        Ok(scope)
    }

    pub(super) fn connect(&mut self, request: &Request) -> Outcome {
        let pairs = self.pairs(request)?;
        let mut asked = json!({"name": text(&pairs[0].0, "name")});
        fields::set(&mut asked, &request.body, &[FIELDS])?;
        if asked.get("lun").is_some() && pairs.len() > 1 {
            return Err(Refusal::whole(400, "'lun' is for one connection only."));
        }
        let mut new: Vec<Json> = Vec::new();
        for (host, volume) in &pairs {
            let name = text(host, "name");
            self.volumes.live(text(volume, "name"))?;
            let key = key(host, id(volume));
            if self.connections.get(&key).is_some() {
                return Err(Refusal::exists(text(volume, "name"), "Connection"));
            }
            // A host for NVMe sees namespaces, and no logical units.
            let is_nvme = host["nqns"].as_array().is_some_and(|nqns| !nqns.is_empty());
            if is_nvme && asked.get("lun").is_some() {
                return Err(Refusal::of(name, "'lun' is not for an NVMe host."));
            }
            let planned = new.iter().filter(|c| c["host"]["name"] == name);
            let used: BTreeSet<i64> = self
                .connections
                .of("host", name)
                .chain(planned)
                .filter_map(|connection| connection["lun"].as_i64().or(connection["nsid"].as_i64()))
                .collect();
            let lun =
                asked["lun"].as_i64().or_else(|| LUNS.clone().find(|lun| !used.contains(lun)));
            if used.len() >= self.settings.connections || lun.is_none() {
                return Err(Refusal::of(name, "Connection limit reached."));
            }
            if lun.is_some_and(|lun| used.contains(&lun)) {
                return Err(Refusal::of(name, "The LUN is already in use."));
            }
            new.push(json!({
                KEY: key, "host": {"name": name}, "volume": reference(volume),
                (if is_nvme { "nsid" } else { "lun" }): lun,
            }));
        }
        let items: Vec<Json> = new.iter().map(|connection| shown(connection, 0)).collect();
        for connection in new {
            self.count_connection(&connection, 1);
            self.connections.insert(connection);
        }
        Ok(json!({ "items": items }))
    }

    pub(super) fn disconnect(&mut self, request: &Request) -> Outcome {
        let pairs = self.pairs(request)?;
        let keys = pairs.iter().map(|(host, volume)| {
            let key = key(host, id(volume));
            let there = self.connections.get(&key).is_some();
            there.then_some(key).ok_or_else(|| Refusal::missing(text(volume, "name"), "Connection"))
        });
        for key in keys.collect::<Result<Vec<String>, Refusal>>()? {
            if let Some(connection) = self.connections.remove(&key) {
                self.count_connection(&connection, -1);
            }
        }
        Ok(json!({}))
    }

    /// Returns the pairs of hosts and volumes of a request. One side must be a single object.
    fn pairs(&self, request: &Request) -> Result<Vec<(Json, Json)>, Refusal> {
        no_groups(request)?;
        let hosts = self.hosts.selected_required(request, HOSTS.0, HOSTS.1)?;
        let volumes = self.volumes.selected_required(request, VOLUMES.0, VOLUMES.1)?;
        if hosts.len() > 1 && volumes.len() > 1 {
            return Err(Refusal::whole(400, "Several hosts with several volumes."));
        }
        let with_each = |host: &&Json| {
            let host = (*host).clone();
            volumes.iter().map(move |volume| (host.clone(), (*volume).clone()))
        };
        Ok(hosts.iter().flat_map(with_each).collect())
    }

    fn count_connection(&mut self, connection: &Json, by: i64) {
        super::count(&mut self.hosts, &connection["host"], "connection_count", by);
        super::count(&mut self.volumes, &connection["volume"], "connection_count", by);
    }
}

/// Refuses host groups, which are not simulated.
fn no_groups(request: &Request) -> Result<(), Refusal> {
    match request.list("host_group_names").first() {
        Some(group) => Err(Refusal::missing(group, "Host group")),
        None => Ok(()),
    }
}

/// Returns the key of a connection.
pub(super) fn key(host: &Json, volume: &str) -> String {
    format!("{} {volume}", text(host, "name").to_lowercase())
}
