//! Volumes and their snapshots: made, copied, changed, destroyed, recovered, eradicated.

use serde_json::{Value as Json, json};

use super::FlashArray;
use crate::simulator::names;
use crate::simulator::rest::{Outcome, Refusal, Request};
use crate::simulator::shelf::{is_destroyed, reference, shown, text};

/// What messages call them.
pub(super) const WHAT: &str = "Volume";
pub(super) const SNAPSHOT: &str = "Volume snapshot";

/// Sizes in bytes that a volume may have, and what they must be a multiple of.
const SMALLEST: u64 = 1 << 20;
const LARGEST: u64 = 1 << 52;
const SECTOR: u64 = 512;

impl FlashArray {
    pub(super) fn make_volume(&mut self, request: &Request, version: &str, now: u64) -> Outcome {
        let name = request.one("names")?.to_owned();
        names::check(&name, true)?;
        known(
            &name,
            &request.body,
            &["provisioned", "source", "subtype", "tags", "qos", "destroyed"],
        )?;
        let protects = request.flag("with_default_protection")?;
        let minor: Option<u32> = version.rsplit('.').next().and_then(|minor| minor.parse().ok());
        if protects.is_some() && minor < Some(16) {
            return Err(Refusal::whole(400, "Unknown parameter 'with_default_protection'."));
        }
        let source = request.body.get("source").map(|source| self.source(source)).transpose()?;
        let size = match &source {
            Some(source) => source["provisioned"].as_u64().unwrap_or_default(),
            None => size(&name, &request.body)?,
        };
        if let Some(there) = self.volumes.get(&name) {
            let overwrites = request.flag("overwrite")? == Some(true);
            if source.is_none() || !overwrites || is_destroyed(there) {
                return Err(Refusal::exists(&name, WHAT));
            }
        } else if self.volumes.len() >= self.settings.limit {
            return Err(Refusal::of(&name, "Volume limit reached."));
        }
        let from = source.as_ref().map(reference);
        if let Some(there) = self.volumes.get_mut(&name) {
            // The serial stays, so that hosts go on with the same device.
            there["provisioned"] = size.into();
            there["source"] = from.unwrap_or_default();
        } else {
            let id = self.id();
            let serial = format!("{:08X}{:016X}", self.settings.number, self.made);
            let mut object = json!({
                "name": name, "id": id, "serial": serial, "created": now, "destroyed": false,
                "provisioned": size, "connection_count": 0, "subtype": "regular",
                "promotion_status": "promoted", "requested_promotion_state": "promoted",
            });
            if let Some(from) = from {
                object["source"] = from;
            }
            self.volumes.insert(object);
        }
        let items = self.volumes.get(&name).map(|object| shown(object, now));
        Ok(json!({"items": Vec::from_iter(items)}))
    }

    /// What a volume is copied from: a volume or a snapshot that is there.
    fn source(&self, source: &Json) -> Result<Json, Refusal> {
        let name = text(source, "name");
        let there = self.volumes.get(name).or_else(|| self.snapshots.get(name));
        let there = there.filter(|object| !is_destroyed(object)).cloned();
        there.ok_or_else(|| Refusal::of(name, "No such volume or snapshot."))
    }

    pub(super) fn change_volumes(&mut self, request: &Request, now: u64) -> Outcome {
        let names = self.volumes.named(request, WHAT)?;
        if names.is_empty() {
            return Err(Refusal::whole(400, "Missing required parameter 'names'."));
        }
        let body = &request.body;
        for name in &names {
            known(name, body, &["provisioned", "name", "destroyed", "qos"])?;
            let Some(object) = self.volumes.get(name) else { continue };
            if is_destroyed(object) && body["destroyed"] != false {
                return Err(Refusal::of(name, "Volume has been destroyed."));
            }
            if body["destroyed"] == true && object["connection_count"] != 0 {
                let why = "Volume cannot be deleted due to existing connections.";
                return Err(Refusal::of(name, why));
            }
            if body.get("provisioned").is_some() {
                let new = size(name, body)?;
                let truncates = request.flag("truncate")? == Some(true);
                if Some(new) < object["provisioned"].as_u64() && !truncates {
                    return Err(Refusal::of(name, "Size can only be reduced with truncate."));
                }
            }
            if let Some(new) = body["name"].as_str() {
                names::check(new, true)?;
                if !new.eq_ignore_ascii_case(name) && self.volumes.get(new).is_some() {
                    return Err(Refusal::exists(new, WHAT));
                }
            }
        }
        let mut items = Vec::new();
        for name in &names {
            if let (Some(object), Some(size)) =
                (self.volumes.get_mut(name), body["provisioned"].as_u64())
            {
                object["provisioned"] = size.into();
            }
            match body["destroyed"].as_bool() {
                Some(true) => self.destroy_volume(name, now),
                Some(false) => self.volumes.recover(name),
                None => {}
            }
            let new = body["name"].as_str().unwrap_or(name);
            if new != name {
                self.volumes.rename(name, new);
                self.follow(name, new);
            }
            items.extend(self.volumes.get(new).map(|object| shown(object, now)));
        }
        Ok(json!({ "items": items }))
    }

    fn destroy_volume(&mut self, name: &str, now: u64) {
        let due = now + self.settings.eradication_delay;
        self.volumes.destroy(name, due);
        let of_this =
            |snapshot: &&Json| text(&snapshot["source"], "name").eq_ignore_ascii_case(name);
        let snapshots: Vec<String> =
            self.snapshots.iter().filter(of_this).map(|s| text(s, "name").to_owned()).collect();
        for snapshot in snapshots {
            self.snapshots.destroy(&snapshot, due);
        }
    }

    pub(super) fn eradicate_volumes(&mut self, request: &Request) -> Outcome {
        for volume in self.volumes.eradicate(request, WHAT, self.settings.safe_mode)? {
            self.bury_snapshots_of(&volume);
        }
        Ok(json!({}))
    }

    pub(super) fn make_snapshots(&mut self, request: &Request, now: u64) -> Outcome {
        let sources = request.list("source_names");
        if sources.is_empty() {
            return Err(Refusal::whole(400, "Missing required parameter 'source_names'."));
        }
        let mut new = Vec::new();
        for source in sources {
            let live = self.volumes.get(source).filter(|volume| !is_destroyed(volume));
            let volume = live.ok_or_else(|| Refusal::missing(source, WHAT))?;
            let suffix = match request.body["suffix"].as_str() {
                Some(suffix) => suffix.to_owned(),
                None => (self.made + 1).to_string(),
            };
            // A number is what the array itself gives.
            if suffix.parse::<u64>().is_err() {
                names::check(&suffix, false)?;
            }
            let name = format!("{}.{suffix}", text(volume, "name"));
            if self.snapshots.get(&name).is_some() {
                return Err(Refusal::exists(&name, SNAPSHOT));
            }
            new.push((name, suffix, reference(volume), volume["provisioned"].clone()));
        }
        let mut items = Vec::new();
        for (name, suffix, source, provisioned) in new {
            let id = self.id();
            let serial = format!("{:08X}{:016X}", self.settings.number, self.made);
            let object = json!({
                "name": name, "id": id, "serial": serial, "created": now, "destroyed": false,
                "suffix": suffix, "source": source, "provisioned": provisioned,
            });
            items.push(shown(&object, now));
            self.snapshots.insert(object);
        }
        Ok(json!({ "items": items }))
    }

    /// Snapshots end with their volume.
    pub(super) fn bury_snapshots_of(&mut self, volume: &Json) {
        self.snapshots.remove_where(|snapshot| snapshot["source"]["id"] == volume["id"]);
    }
}

/// Refuses fields that the array does not know.
pub(super) fn known(name: &str, body: &Json, fields: &[&str]) -> Result<(), Refusal> {
    let given = body.as_object().into_iter().flatten();
    match given.map(|(field, _)| field).find(|field| !fields.contains(&field.as_str())) {
        Some(field) => Err(Refusal::of(name, format!("Unknown field '{field}'."))),
        None => Ok(()),
    }
}

fn size(name: &str, body: &Json) -> Result<u64, Refusal> {
    let size = body["provisioned"].as_u64();
    let good = |size: &u64| (SMALLEST..=LARGEST).contains(size) && size.is_multiple_of(SECTOR);
    size.filter(good).ok_or_else(|| Refusal::of(name, "Invalid size."))
}
