//! File systems: made, changed, destroyed, recovered, eradicated.

use serde_json::{Map, Value as Json, json};

use super::FlashBlade;
use crate::simulator::names;
use crate::simulator::rest::{Outcome, Refusal, Request};
use crate::simulator::shelf::{is_destroyed, shown, text};

/// What messages call it.
pub(super) const WHAT: &str = "File system";

/// What the array exports when nobody says otherwise.
const EVERYBODY: &str = "*(rw,no_root_squash)";
/// Fields that a request may set, beside `nfs`.
const SETTABLE: [&str; 11] = [
    "default_group_quota",
    "default_user_quota",
    "fast_remove_directory_enabled",
    "group_ownership",
    "hard_limit_enabled",
    "http",
    "multi_protocol",
    "provisioned",
    "smb",
    "snapshot_directory_enabled",
    "writable",
];
const NFS: [&str; 4] = ["v3_enabled", "v4_1_enabled", "rules", "export_policy"];

impl FlashBlade {
    pub(super) fn make_file_system(
        &mut self,
        request: &Request,
        version: &str,
        now: u64,
    ) -> Outcome {
        let name = request.one("names")?.to_owned();
        names::check(&name, true)?;
        let source = request.body.get("source").map(|source| text(source, "name").to_owned());
        let overwrites = request.flag("overwrite")? == Some(true);
        if let (Some(source), true) = (&source, overwrites) {
            return self.restore(&name, source, request, now);
        }
        // A destroyed one keeps its name until it is eradicated.
        if self.file_systems.get(&name).is_some() {
            return Err(Refusal::exists(&name, WHAT));
        }
        if self.file_systems.len() >= self.settings.limit {
            return Err(Refusal::of(&name, "File system limit reached."));
        }
        let mut object = json!({
            "name": name, "id": "", "created": now, "destroyed": false, "promotion_status": "promoted",
            "provisioned": 0, "hard_limit_enabled": false, "snapshot_directory_enabled": true,
            "fast_remove_directory_enabled": false, "writable": true, "group_ownership": "creator",
            "nfs": {"v3_enabled": false, "v4_1_enabled": false, "rules": EVERYBODY},
            "smb": {"enabled": false}, "http": {"enabled": false},
        });
        if let Some(source) = source {
            let new_from_snapshot = request.flag("include_snapshot")? == Some(true)
                && version.rsplit('.').next().and_then(|minor| minor.parse().ok()) >= Some(25);
            let snapshot = self.snapshots.get(&source).filter(|snapshot| !is_destroyed(snapshot));
            let snapshot = snapshot.ok_or_else(|| Refusal::missing(&source, "Snapshot"))?;
            if !new_from_snapshot {
                return Err(Refusal::of(&name, "A file system cannot be created from a snapshot."));
            }
            object["source"] = json!({"name": source, "id": snapshot["id"]});
            let owner = self.file_systems.get(text(&snapshot["owner"], "name"));
            object["provisioned"] = owner.map_or(json!(0), |owner| owner["provisioned"].clone());
        }
        set(&mut object, &request.body, &["source"])?;
        object["space"] = space(&object);
        object["id"] = self.id().into();
        let items = json!([shown(&object, now)]);
        self.file_systems.insert(object);
        Ok(json!({ "items": items }))
    }

    /// Puts the newest snapshot back in place.
    fn restore(&mut self, name: &str, source: &str, request: &Request, now: u64) -> Outcome {
        let live = self.file_systems.get(name).filter(|system| !is_destroyed(system));
        let object = live.cloned().ok_or_else(|| Refusal::missing(name, WHAT))?;
        if request.flag("discard_non_snapshotted_data")? != Some(true) {
            return Err(Refusal::of(name, "Data that is not in the snapshot would be discarded."));
        }
        if self.newest_snapshot(name).is_none_or(|newest| newest != source) {
            return Err(Refusal::of(source, "Only the newest snapshot can be restored."));
        }
        Ok(json!({"items": [shown(&object, now)]}))
    }

    pub(super) fn change_file_systems(&mut self, request: &Request, now: u64) -> Outcome {
        let names = self.file_systems.named(request, WHAT)?;
        if names.is_empty() {
            return Err(Refusal::whole(400, "Missing required parameter 'names'."));
        }
        // All or none: every one is tried on a copy first.
        let mut changed = Vec::new();
        for name in &names {
            let mut object = self.file_systems.get(name).cloned().unwrap_or_default();
            self.check_change(&object, request)?;
            let allowed = ["destroyed", "name"];
            set(&mut object, &request.body, &allowed)?;
            object["space"] = space(&object);
            changed.push(object);
        }
        let mut items = Vec::new();
        for (name, object) in names.iter().zip(changed) {
            if let Some(there) = self.file_systems.get_mut(name) {
                *there = object;
            }
            match request.body["destroyed"].as_bool() {
                Some(true) => self.destroy_file_system(name, now),
                Some(false) => self.file_systems.recover(name),
                None => {}
            }
            let mut name = name.clone();
            if let Some(new) = request.body["name"].as_str().filter(|new| *new != name) {
                self.file_systems.rename(&name, new);
                self.follow(&name, new);
                name = new.to_owned();
            }
            items.extend(self.file_systems.get(&name).map(|object| shown(object, now)));
        }
        Ok(json!({ "items": items }))
    }

    fn check_change(&self, object: &Json, request: &Request) -> Result<(), Refusal> {
        let (name, body) = (text(object, "name"), &request.body);
        if is_destroyed(object) && body["destroyed"] != false {
            return Err(Refusal::of(name, "File system has been destroyed."));
        }
        if let Some(new) = body["name"].as_str() {
            names::check(new, true)?;
            if !new.eq_ignore_ascii_case(name) && self.file_systems.get(new).is_some() {
                return Err(Refusal::exists(new, WHAT));
            }
        }
        Ok(())
    }

    fn destroy_file_system(&mut self, name: &str, now: u64) {
        let due = now + self.settings.eradication_delay;
        self.file_systems.destroy(name, due);
        let of_this =
            |snapshot: &&Json| text(&snapshot["owner"], "name").eq_ignore_ascii_case(name);
        let snapshots: Vec<String> =
            self.snapshots.iter().filter(of_this).map(|s| text(s, "name").to_owned()).collect();
        for snapshot in snapshots {
            if let Some(object) = self.snapshots.get_mut(&snapshot) {
                object["owner_destroyed"] = true.into();
            }
            self.snapshots.destroy(&snapshot, due);
        }
    }

    pub(super) fn eradicate_file_systems(&mut self, request: &Request) -> Outcome {
        for system in self.file_systems.eradicate(request, WHAT, self.settings.safe_mode)? {
            self.bury_snapshots_of(&system);
        }
        Ok(json!({}))
    }
}

/// Sets the fields of a body on an object; `more` are those that the caller sees to.
fn set(object: &mut Json, body: &Json, more: &[&str]) -> Result<(), Refusal> {
    let name = text(object, "name").to_owned();
    let nothing = Map::new();
    for (field, value) in body.as_object().unwrap_or(&nothing) {
        if field == "nfs" {
            set_nfs(&name, &mut object["nfs"], value)?;
        } else if SETTABLE.contains(&field.as_str()) {
            if object.get(field).is_some_and(|old| kind(old) != kind(value)) {
                return Err(Refusal::of(name, format!("Invalid value of '{field}'.")));
            }
            object[field] = value.clone();
        } else if !more.contains(&field.as_str()) {
            return Err(Refusal::of(name, format!("Unknown field '{field}'.")));
        }
    }
    if object["provisioned"].as_i64().is_none_or(|bytes| bytes < 0) {
        return Err(Refusal::of(name, "Invalid value of 'provisioned'."));
    }
    Ok(())
}

fn set_nfs(name: &str, nfs: &mut Json, body: &Json) -> Result<(), Refusal> {
    let nothing = Map::new();
    let fields = body.as_object().unwrap_or(&nothing);
    if fields.contains_key("rules") && fields.contains_key("export_policy") {
        return Err(Refusal::of(name, "'rules' and 'export_policy' exclude each other."));
    }
    for (field, value) in fields {
        match field.as_str() {
            "add_rules" => {
                let rules =
                    format!("{} {}", text(nfs, "rules"), value.as_str().unwrap_or_default());
                nfs["rules"] = rules.trim().into();
            }
            "remove_rules" => {
                let gone: Vec<&str> = value.as_str().unwrap_or_default().split(' ').collect();
                let left = text(nfs, "rules").split(' ').filter(|rule| !gone.contains(rule));
                nfs["rules"] = left.collect::<Vec<_>>().join(" ").into();
            }
            "rules" => check_rules(name, value)?,
            known if NFS.contains(&known) => {}
            unknown => return Err(Refusal::of(name, format!("Unknown field 'nfs.{unknown}'."))),
        }
        if NFS.contains(&field.as_str()) {
            nfs[field] = value.clone();
        }
    }
    Ok(())
}

/// Refuses what does not look like `client(options) client(options)`.
fn check_rules(name: &str, rules: &Json) -> Result<(), Refusal> {
    let text = rules.as_str().unwrap_or_default();
    let good = text.split(' ').filter(|rule| !rule.is_empty()).all(|rule| {
        let Some((client, options)) = rule.split_once('(') else {
            return true;
        };
        !client.is_empty() && options.ends_with(')')
    });
    if good && rules.is_string() { Ok(()) } else { Err(Refusal::of(name, "Invalid NFS rules.")) }
}

fn space(object: &Json) -> Json {
    json!({
        "data_reduction": 1.0, "snapshots": 0, "total_physical": 0, "unique": 0, "virtual": 0,
        "total_used": 0, "total_provisioned": object["provisioned"],
    })
}

fn kind(value: &Json) -> std::mem::Discriminant<Json> {
    std::mem::discriminant(value)
}
