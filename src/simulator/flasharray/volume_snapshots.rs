//! Snapshots of volumes, including those of protection groups.

use serde_json::{Value as Json, json};

use super::protection_groups::is_locked;
use super::{FlashArray, tags};
use crate::simulator::collection::{Scope, destroy, id, reference, set_destroyed, shown, text};
use crate::simulator::fields::{self, Field, Takes};
use crate::simulator::names;
use crate::simulator::rest::{Outcome, Refusal, Request};

const MADE_WITH: &[Field] = &[("suffix", Takes::Text), ("tags", Takes::Handler)];
const CHANGED_WITH: &[Field] = &[("destroyed", Takes::Boolean), ("name", Takes::Text)];

/// Time for which data lost by truncation can be recovered, in milliseconds.
const UNDO: u64 = 24 * 60 * 60 * 1000;
/// Internal field: the id of the protection group snapshot that it is part of.
pub(super) const GROUP: &str = "_group";

impl FlashArray {
    pub(super) fn snapshots_scope(&self, request: &Request) -> Result<Scope, Refusal> {
        let mut scope = Scope::new();
        self.volumes.narrow(&mut scope, "source", request, ("source_names", "source_ids"))?;
        Ok(scope)
    }

    pub(super) fn make_snapshots(&mut self, request: &Request, now: u64) -> Outcome {
        let sources = self.volumes.selected_required(request, "source_names", "source_ids")?;
        let suffix = self.suffix(request, &[MADE_WITH])?;
        tags::read(request.body.get("tags"))?;
        let mut new = Vec::new();
        for source in sources {
            let volume = self.volumes.live(text(source, "name"))?;
            let name = format!("{}.{suffix}", text(volume, "name"));
            self.snapshots.free(&name)?;
            new.push((name, volume.clone()));
        }
        let mut items = Vec::new();
        for (name, volume) in new {
            let object = self.snapshot(&name, &suffix, &volume, now);
            items.push(shown(&object, now));
            self.snapshots.insert(object);
        }
        Ok(json!({ "items": items }))
    }

    /// Returns the suffix in a request, or a number.
    pub(super) fn suffix(&self, request: &Request, tables: &[&[Field]]) -> Result<String, Refusal> {
        let mut read = json!({});
        fields::set(&mut read, &request.body, tables)?;
        let suffix = match read["suffix"].as_str() {
            Some(suffix) => suffix.to_owned(),
            None => (self.made + 1).to_string(),
        };
        // Numbers are reserved for the array.
        if suffix.parse::<u64>().is_err() {
            names::check(&suffix, false)?;
        }
        Ok(suffix)
    }

    /// Creates a snapshot of a volume.
    pub(super) fn snapshot(&mut self, name: &str, suffix: &str, volume: &Json, now: u64) -> Json {
        let mut object = json!({
            "name": name, "id": self.id(), "serial": self.serial(), "created": now, "destroyed": false,
            "suffix": suffix, "source": reference(volume), "provisioned": volume["provisioned"],
        });
        for field in ["pod", "volume_group"] {
            if let Some(container) = volume.get(field) {
                object[field] = container.clone();
            }
        }
        object
    }

    /// Saves a volume before truncation as a destroyed snapshot.
    pub(super) fn keep_undo(&mut self, volume: &Json, now: u64) {
        let suffix = format!("undo-{}", self.made + 1);
        let name = format!("{}.{suffix}", text(volume, "name"));
        let mut object = self.snapshot(&name, &suffix, volume, now);
        destroy(&mut object, now + UNDO);
        self.snapshots.insert(object);
    }

    pub(super) fn change_snapshots(&mut self, request: &Request, now: u64) -> Outcome {
        let due = now + self.settings.eradication_delay;
        let changed_copies = self.snapshots.changed_copies(request, |snapshot| {
            let old = text(snapshot, "name").to_owned();
            fields::set(snapshot, &request.body, &[CHANGED_WITH])?;
            let prefix = format!("{}.", text(&snapshot["source"], "name"));
            if text(snapshot, "name") != old {
                if snapshot[GROUP].is_string() {
                    let why = "The snapshot is part of a protection group snapshot.";
                    return Err(Refusal::of(old, why));
                }
                let new = text(snapshot, "name");
                let suffix = new.strip_prefix(&prefix).unwrap_or(new).to_owned();
                names::check(&suffix, false)?;
                snapshot["name"] = format!("{prefix}{suffix}").into();
                snapshot["suffix"] = suffix.into();
            }
            if request.body["destroyed"] == false {
                self.volumes.live(text(&snapshot["source"], "name"))?;
            }
            set_destroyed(snapshot, &request.body, due);
            Ok(())
        })?;
        for (old, new) in &changed_copies {
            self.snapshots.replace(old, new);
        }
        Ok(
            json!({"items": changed_copies.iter().map(|(_, new)| shown(new, now)).collect::<Vec<_>>()}),
        )
    }

    pub(super) fn eradicate_snapshots(&mut self, request: &Request) -> Outcome {
        for snapshot in self.snapshots.required(request)? {
            let group = self.group_snapshots.by_id(text(snapshot, GROUP));
            let group = group.and_then(|group| self.groups.by_id(id(&group["source"])));
            if group.is_some_and(is_locked) {
                return Err(Refusal::of(text(snapshot, "name"), "Eradication is disabled."));
            }
        }
        self.snapshots.eradicate(request, self.settings.safe_mode)?;
        Ok(json!({}))
    }

    /// Renames the snapshots of a volume, and moves them with it.
    pub(super) fn rename_snapshots_of(&mut self, volume: &Json) {
        let groups = &self.group_snapshots;
        self.snapshots.change_of("source", id(volume), |snapshot| {
            snapshot["source"]["name"] = volume["name"].clone();
            for field in ["pod", "volume_group"] {
                match (volume.get(field), snapshot.as_object_mut()) {
                    (Some(container), _) => snapshot[field] = container.clone(),
                    (None, Some(fields)) => {
                        fields.shift_remove(field);
                    }
                    (None, None) => {}
                }
            }
            let group = groups.by_id(text(snapshot, GROUP)).map(|group| text(group, "name"));
            let name = match group {
                Some(group) => name_in(group, text(volume, "name")),
                None => format!("{}.{}", text(volume, "name"), text(snapshot, "suffix")),
            };
            snapshot["name"] = name.into();
        });
    }
}

/// Returns the name of a volume's snapshot in a group snapshot: the pod is that of the group.
pub(super) fn name_in(group: &str, volume: &str) -> String {
    format!("{group}.{}", volume.split_once("::").map_or(volume, |(_, own)| own))
}
