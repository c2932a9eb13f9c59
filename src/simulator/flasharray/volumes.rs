//! Volumes: create, clone, change, move, destroy, recover, eradicate.

use serde_json::{Value as Json, json};

use super::volume_names::check_rename;
use super::{FlashArray, tags};
use crate::simulator::collection::{USED, id, is_destroyed, reference, set_destroyed, shown, text};
use crate::simulator::fields::{self, Field, Takes};
use crate::simulator::names::{self, Parts};
use crate::simulator::rest::{Outcome, Refusal, Request};

const FIELDS: &[Field] = &[
    ("priority_adjustment", Takes::Fields(super::PRIORITY_ADJUSTMENT)),
    ("protocol_endpoint", Takes::Fields(&[("container_version", Takes::Text)])),
    ("provisioned", Takes::Handler),
    ("qos", Takes::Fields(super::QOS)),
];
const MADE_WITH: &[Field] = &[
    ("source", Takes::Handler),
    ("subtype", Takes::OneOf(&["regular", "protocol_endpoint"])),
    ("tags", Takes::Handler),
];
const CHANGED_WITH: &[Field] = &[
    ("destroyed", Takes::Boolean),
    ("name", Takes::Text),
    ("pod", Takes::Handler),
    ("requested_promotion_state", Takes::OneOf(&["promoted", "demoted"])),
    ("volume_group", Takes::Handler),
];

/// Allowed sizes in bytes, and their unit.
const SMALLEST: u64 = 1 << 20;
const LARGEST: u64 = 1 << 52;
const SECTOR: u64 = 512;

impl FlashArray {
    pub(super) fn make_volume(&mut self, request: &Request, now: u64) -> Outcome {
        let name = request.one("names")?.to_owned();
        let body = &request.body;
        let mut object = self.contained(&name)?;
        fields::set(&mut object, body, &[FIELDS, MADE_WITH])?;
        let source = body.get("source").map(|source| self.source(source)).transpose()?;
        let size = match &source {
            Some(source) => source["provisioned"].as_u64().unwrap_or_default(),
            None if body["subtype"] == "protocol_endpoint" => 0,
            None => size(&name, body)?.unwrap_or(SMALLEST),
        };
        let mut tags = tags::read(body.get("tags"))?;
        if let Some(source) = &source {
            tags.splice(0..0, self.copied_tags(source));
        }
        let overwrites = request.flag("overwrite")? == Some(true);
        let groups = self.protection_of_new(request, &name, overwrites)?;
        let existing = self.volumes.get(&name).filter(|_| source.is_some() && overwrites);
        if let Some(existing) = existing {
            // The serial stays the same, so that hosts keep the device.
            let (old, mut new) = (existing.clone(), self.volumes.live(&name)?.clone());
            new["provisioned"] = size.into();
            new["source"] = source.as_ref().map(reference).into();
            measure(&mut new);
            self.volumes.replace(&old, &new);
        } else {
            self.volumes.free(&name)?;
            if self.volumes.len() >= self.settings.limit {
                return Err(Refusal::of(&name, "Volume limit reached."));
            }
            object["id"] = self.id().into();
            object["serial"] = self.serial().into();
            object["created"] = now.into();
            object["provisioned"] = size.into();
            if let Some(source) = &source {
                object["source"] = reference(source);
            }
            measure(&mut object);
            self.volumes.add(object.clone())?;
            self.count_in_group(&object, 1);
            for group in groups {
                self.join(&group, &object);
            }
        }
        let volume = self.volumes.live(&name)?.clone();
        self.put_tags(&volume, &tags);
        Ok(json!({"items": [shown(&volume, now)]}))
    }

    /// Returns a new volume without a size, in the pod and volume group of its name.
    fn contained(&self, name: &str) -> Result<Json, Refusal> {
        let parts = Parts::of(name);
        names::check(parts.own, true)?;
        let mut object = json!({
            "name": name, "destroyed": false, "connection_count": 0, "subtype": "regular", "qos": {},
            "priority_adjustment": {
                "priority_adjustment_operator": "+", "priority_adjustment_value": 0,
            },
            "promotion_status": "promoted", "requested_promotion_state": "promoted",
        });
        if let Some(pod) = parts.pod {
            object["pod"] = reference(self.pods.live(pod)?);
        }
        if let Some(group) = parts.group() {
            object["volume_group"] = reference(self.volume_groups.live(&group)?);
        }
        Ok(object)
    }

    /// Returns the source of a clone: an existing volume or snapshot.
    fn source(&self, source: &Json) -> Result<Json, Refusal> {
        let (name, id) = (text(source, "name"), text(source, "id"));
        let existing = self.volumes.get(name).or_else(|| self.snapshots.get(name));
        let existing =
            existing.or_else(|| self.volumes.by_id(id)).or_else(|| self.snapshots.by_id(id));
        let existing = existing.filter(|object| !is_destroyed(object)).cloned();
        existing.ok_or_else(|| Refusal::of(name, "No such volume or snapshot."))
    }

    pub(super) fn change_volumes(&mut self, request: &Request, now: u64) -> Outcome {
        let body = &request.body;
        let due = now + self.settings.eradication_delay;
        let truncates = request.flag("truncate")? == Some(true);
        let changed_copies = self.volumes.changed_copies(request, |volume| {
            let name = text(volume, "name").to_owned();
            fields::set(volume, body, &[FIELDS, CHANGED_WITH])?;
            if text(volume, "name") != name {
                check_rename(&name, text(volume, "name"))?;
            }
            self.move_to(volume, body)?;
            if body["destroyed"] == true && volume["connection_count"] != 0 {
                let why = "Volume cannot be deleted due to existing connections.";
                return Err(Refusal::of(name, why));
            }
            if body["destroyed"] == false {
                self.check_containers(volume)?;
            }
            if let Some(new) = size(&name, body)? {
                if Some(new) < volume["provisioned"].as_u64() && !truncates {
                    return Err(Refusal::of(name, "Size can only be reduced with truncate."));
                }
                volume["provisioned"] = new.into();
            }
            volume["promotion_status"] = volume["requested_promotion_state"].clone();
            set_destroyed(volume, body, due);
            measure(volume);
            Ok(())
        })?;
        let mut joins = Vec::new();
        for (old, new) in &changed_copies {
            joins.push(self.protection_of_moved(request, old, new)?);
        }
        let mut items = Vec::new();
        for ((old, new), joins) in changed_copies.iter().zip(joins) {
            if new["provisioned"].as_u64() < old["provisioned"].as_u64() {
                self.keep_undo(old, now);
            }
            self.put_volume(old, new);
            if new["pod"] != old["pod"] {
                self.leave_all(new);
            }
            for group in joins {
                self.join(&group, new);
            }
            match body["destroyed"].as_bool() {
                Some(true) => self.snapshots.destroy_of("source", id(new), due),
                Some(false) => self.snapshots.recover_of("source", id(new)),
                None => {}
            }
            items.extend(self.volumes.by_id(id(new)).map(|volume| shown(volume, now)));
        }
        Ok(json!({ "items": items }))
    }

    /// Replaces a changed volume, and renames the objects that belong to it.
    pub(super) fn put_volume(&mut self, old: &Json, new: &Json) {
        if id(&old["volume_group"]) != id(&new["volume_group"]) {
            self.count_in_group(old, -1);
            self.count_in_group(new, 1);
        }
        self.volumes.replace(old, new);
        self.mark_members(id(new), is_destroyed(new));
        if old["name"] == new["name"] {
            return;
        }
        for (collection, field) in [
            (&mut self.connections, "volume"),
            (&mut self.members, "member"),
            (&mut self.tags, "resource"),
        ] {
            collection
                .change_of(field, id(new), |object| object[field]["name"] = new["name"].clone());
        }
        self.rename_snapshots_of(new);
    }

    pub(super) fn eradicate_volumes(&mut self, request: &Request) -> Outcome {
        for volume in self.volumes.required(request)? {
            self.check_eradication(volume)?;
        }
        for volume in self.volumes.eradicate(request, self.settings.safe_mode)? {
            self.forget_volume(&volume);
        }
        Ok(json!({}))
    }

    /// Destroys or recovers the volumes of a container together with it, and the objects that belong to them.
    pub(super) fn destroy_volumes_of(&mut self, field: &str, container: &str, due: Option<u64>) {
        let volumes: Vec<String> =
            self.volumes.of(field, container).map(|volume| id(volume).to_owned()).collect();
        match due {
            Some(due) => self.volumes.destroy_of(field, container, due),
            None => self.volumes.recover_of(field, container),
        }
        for volume in volumes {
            let gone = self.volumes.by_id(&volume).is_some_and(is_destroyed);
            match due {
                Some(due) => self.snapshots.destroy_of("source", &volume, due),
                None if !gone => self.snapshots.recover_of("source", &volume),
                None => {}
            }
            self.mark_members(&volume, gone);
        }
    }

    /// Removes the objects that belong to a volume.
    pub(super) fn forget_volume(&mut self, volume: &Json) {
        self.leave_all(volume);
        self.count_in_group(volume, -1);
        self.snapshots.remove_of("source", id(volume));
        self.tags.remove_of("resource", id(volume));
    }

    fn count_in_group(&mut self, volume: &Json, by: i64) {
        super::count(&mut self.volume_groups, &volume["volume_group"], "volume_count", by);
    }

    /// Sets the number of bytes written to a volume, which no request can do.
    pub(in crate::simulator) fn fill(&mut self, name: &str, bytes: u64) -> bool {
        self.volumes.change(name, |volume| {
            volume[USED] = bytes.into();
            measure(volume);
        });
        self.volumes.get(name).is_some()
    }
}

/// Parses a size, if present.
fn size(name: &str, body: &Json) -> Result<Option<u64>, Refusal> {
    let Some(given) = body.get("provisioned") else {
        return Ok(None);
    };
    let good = |size: &u64| (SMALLEST..=LARGEST).contains(size) && size.is_multiple_of(SECTOR);
    let size = given.as_u64().filter(good);
    size.map(Some).ok_or_else(|| Refusal::of(name, "Invalid size."))
}

/// Updates the fields that depend on others: priority and space.
fn measure(volume: &mut Json) {
    let adjustment = &volume["priority_adjustment"];
    let value = adjustment["priority_adjustment_value"].as_i64().unwrap_or_default();
    let down = adjustment["priority_adjustment_operator"] == "-";
    volume["priority"] = if down { -value } else { value }.into();
    let bytes = |field: &str| volume[field].as_u64().unwrap_or_default();
    let (used, provisioned) = (bytes(USED), bytes("provisioned"));
    volume["space"] = json!({
        "data_reduction": 1.0, "shared": 0, "snapshots": 0, "system": 0, "total_physical": used,
        "total_provisioned": provisioned, "total_reduction": 1.0, "total_used": used, "unique": used,
        "used_provisioned": provisioned, "virtual": used,
    });
}
