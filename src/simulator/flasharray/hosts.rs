//! Hosts, their initiators, and the connections by which they see volumes.

use serde_json::{Value as Json, json};

use super::FlashArray;
use super::volumes::{WHAT as VOLUME, known};
use crate::simulator::names;
use crate::simulator::rest::{Outcome, Refusal, Request};
use crate::simulator::shelf::{KEY, is_destroyed, reference, shown, text};

/// What messages call them.
pub(super) const WHAT: &str = "Host";
pub(super) const CONNECTION: &str = "Connection";

const INITIATORS: [&str; 3] = ["iqns", "nqns", "wwns"];
/// Numbers that a connection may have on a host.
const LUNS: std::ops::RangeInclusive<u64> = 1..=4095;

impl FlashArray {
    pub(super) fn make_host(&mut self, request: &Request) -> Outcome {
        let name = request.one("names")?.to_owned();
        names::check(&name, false)?;
        known(&name, &request.body, &["iqns", "nqns", "wwns", "chap", "personality", "tags"])?;
        if self.hosts.get(&name).is_some() {
            return Err(Refusal::exists(&name, WHAT));
        }
        if self.hosts.len() >= self.settings.hosts {
            return Err(Refusal::of(&name, "Host limit reached."));
        }
        let mut object = json!({"name": name, "connection_count": 0, "is_local": true});
        for kind in INITIATORS {
            let given = words(&request.body[kind]);
            self.free(&name, &given)?;
            object[kind] = given.into();
        }
        if let Some(chap) = request.body.get("chap") {
            object["chap"] = masked(chap);
        }
        let items = json!([shown(&object, 0)]);
        self.hosts.insert(object);
        Ok(json!({ "items": items }))
    }

    pub(super) fn change_host(&mut self, request: &Request) -> Outcome {
        let name = request.one("names")?.to_owned();
        let fields =
            ["name", "iqns", "add_iqns", "remove_iqns", "nqns", "wwns", "chap", "personality"];
        known(&name, &request.body, &fields)?;
        let mut object =
            self.hosts.get(&name).cloned().ok_or_else(|| Refusal::missing(&name, WHAT))?;
        let body = &request.body;
        for kind in INITIATORS {
            let mut now = words(&object[kind]);
            if body.get(kind).is_some() {
                now = words(&body[kind]);
            }
            now.extend(words(&body[format!("add_{kind}")]));
            let gone = words(&body[format!("remove_{kind}")]);
            now.retain(|initiator| !gone.contains(initiator));
            now.dedup();
            self.free(&name, &now)?;
            object[kind] = now.into();
        }
        if let Some(chap) = body.get("chap") {
            object["chap"] = masked(chap);
        }
        let items = json!([shown(&object, 0)]);
        self.hosts.insert(object);
        Ok(json!({ "items": items }))
    }

    /// An initiator belongs to one host.
    fn free(&self, host: &str, initiators: &[String]) -> Result<(), Refusal> {
        let others =
            self.hosts.iter().filter(|other| !text(other, "name").eq_ignore_ascii_case(host));
        let mut taken =
            others.flat_map(|other| INITIATORS.map(|kind| words(&other[kind])).concat());
        match taken.find(|taken| initiators.contains(taken)) {
            Some(initiator) => {
                Err(Refusal::of(initiator, "The specified initiator is already in use."))
            }
            None => Ok(()),
        }
    }

    pub(super) fn delete_hosts(&mut self, request: &Request) -> Outcome {
        let names = self.hosts.named(request, WHAT)?;
        for name in &names {
            if self.hosts.get(name).is_some_and(|host| host["connection_count"] != 0) {
                let why = "Host cannot be deleted due to existing connections.";
                return Err(Refusal::of(name, why));
            }
        }
        for name in names {
            self.hosts.remove(&name);
        }
        Ok(json!({}))
    }

    pub(super) fn connect(&mut self, request: &Request) -> Outcome {
        let (host, volume) = (request.one("host_names")?, request.one("volume_names")?);
        let there = self.hosts.get(host).ok_or_else(|| Refusal::missing(host, WHAT))?;
        let host = text(there, "name").to_owned();
        let live = self.volumes.get(volume).filter(|volume| !is_destroyed(volume));
        let volume = reference(live.ok_or_else(|| Refusal::missing(volume, VOLUME))?);
        let key = key(&host, text(&volume, "name"));
        if self.connections.get(&key).is_some() {
            return Err(Refusal::exists(text(&volume, "name"), CONNECTION));
        }
        let of_host = self.connections.iter().filter(|c| text(&c["host"], "name") == host);
        let used: Vec<u64> = of_host.filter_map(|connection| connection["lun"].as_u64()).collect();
        let lun = match request.body["lun"].as_u64() {
            Some(lun) if used.contains(&lun) || !LUNS.contains(&lun) => {
                return Err(Refusal::of(&host, "The LUN is already in use or invalid."));
            }
            Some(lun) => lun,
            None => LUNS
                .clone()
                .find(|lun| !used.contains(lun))
                .ok_or_else(|| Refusal::of(&host, "Connection limit reached."))?,
        };
        let object = json!({KEY: key, "host": {"name": host}, "volume": volume, "lun": lun});
        let items = json!([shown(&object, 0)]);
        self.count(&host, text(&volume, "name"), 1);
        self.connections.insert(object);
        Ok(json!({ "items": items }))
    }

    pub(super) fn disconnect(&mut self, request: &Request) -> Outcome {
        let (host, volume) = (request.one("host_names")?, request.one("volume_names")?);
        if self.connections.remove(&key(host, volume)).is_none() {
            return Err(Refusal::missing(volume, CONNECTION));
        }
        self.count(host, volume, -1);
        Ok(json!({}))
    }

    /// Connections and snapshots of a volume go by its new name.
    pub(super) fn follow(&mut self, old: &str, new: &str) {
        let of_this = |c: &&Json| text(&c["volume"], "name").eq_ignore_ascii_case(old);
        let connections: Vec<Json> = self.connections.iter().filter(of_this).cloned().collect();
        for mut connection in connections {
            self.connections.remove(text(&connection, KEY));
            connection["volume"]["name"] = new.into();
            connection[KEY] = key(text(&connection["host"], "name"), new).into();
            self.connections.insert(connection);
        }
        let of_this = |s: &&Json| text(&s["source"], "name").eq_ignore_ascii_case(old);
        let snapshots: Vec<Json> = self.snapshots.iter().filter(of_this).cloned().collect();
        for mut snapshot in snapshots {
            self.snapshots.remove(text(&snapshot, "name"));
            snapshot["source"]["name"] = new.into();
            snapshot["name"] = format!("{new}.{}", text(&snapshot, "suffix")).into();
            self.snapshots.insert(snapshot);
        }
    }

    fn count(&mut self, host: &str, volume: &str, by: i64) {
        for object in [self.hosts.get_mut(host), self.volumes.get_mut(volume)].into_iter().flatten()
        {
            let count = object["connection_count"].as_i64().unwrap_or_default() + by;
            object["connection_count"] = count.into();
        }
    }
}

fn key(host: &str, volume: &str) -> String {
    format!("{host} {volume}").to_lowercase()
}

fn words(list: &Json) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Passwords are never read back.
fn masked(chap: &Json) -> Json {
    let fields = chap.as_object().into_iter().flatten().map(|(field, value)| {
        let hidden = field.ends_with("password");
        (field.clone(), if hidden { json!("****") } else { value.clone() })
    });
    fields.collect::<serde_json::Map<_, _>>().into()
}
