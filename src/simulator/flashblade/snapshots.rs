//! Snapshots of file systems.

use serde_json::{Value as Json, json};

use super::{FlashBlade, file_systems, listed};
use crate::simulator::names;
use crate::simulator::rest::{Outcome, Refusal, Request};
use crate::simulator::shelf::{is_destroyed, reference, shown, text};

/// What messages call it.
pub(super) const WHAT: &str = "Snapshot";

impl FlashBlade {
    pub(super) fn list_snapshots(&self, request: &Request, now: u64) -> Outcome {
        let mut page = self.snapshots.list(request, WHAT, self.settings.page, now)?;
        let wanted = request.list("names_or_owner_names");
        if !wanted.is_empty() {
            page.items.retain(|snapshot| {
                let names = [text(snapshot, "name"), text(&snapshot["owner"], "name")];
                wanted.iter().any(|name| names.contains(name))
            });
            page.total = Some(page.items.len());
        }
        Ok(listed(page))
    }

    pub(super) fn make_snapshots(&mut self, request: &Request, now: u64) -> Outcome {
        let mut new = Vec::new();
        for source in request.list("source_names") {
            let live = self.file_systems.get(source).filter(|system| !is_destroyed(system));
            let owner =
                reference(live.ok_or_else(|| Refusal::missing(source, file_systems::WHAT))?);
            let number = self.made;
            let suffix = match request.body["suffix"].as_str() {
                Some(suffix) => suffix.to_owned(),
                None => format!("s{number}"),
            };
            names::check(&suffix, false)?;
            let name = format!("{source}.{suffix}");
            if self.snapshots.get(&name).is_some() {
                return Err(Refusal::exists(&name, WHAT));
            }
            new.push((name, suffix, owner));
        }
        if new.is_empty() {
            return Err(Refusal::whole(400, "Missing required parameter 'source_names'."));
        }
        let mut items = Vec::new();
        for (name, suffix, owner) in new {
            let object = json!({
                "name": name, "id": self.id(), "created": now, "destroyed": false, "suffix": suffix,
                "owner": owner, "owner_destroyed": false, "source": owner,
            });
            items.push(shown(&object, now));
            self.snapshots.insert(object);
        }
        Ok(json!({ "items": items }))
    }

    /// Returns the name of a file system's newest snapshot.
    pub(super) fn newest_snapshot(&self, system: &str) -> Option<&str> {
        let of_this = |snapshot: &&Json| text(&snapshot["owner"], "name") == system;
        let live = self.snapshots.iter().filter(of_this).filter(|snapshot| !is_destroyed(snapshot));
        live.max_by_key(|snapshot| (snapshot["created"].as_u64(), text(snapshot, "id")))
            .map(|snapshot| text(snapshot, "name"))
    }

    /// Snapshots of a file system go by its new name.
    pub(super) fn follow(&mut self, old: &str, new: &str) {
        let of_this = |s: &&Json| text(&s["owner"], "name").eq_ignore_ascii_case(old);
        let snapshots: Vec<Json> = self.snapshots.iter().filter(of_this).cloned().collect();
        for mut snapshot in snapshots {
            self.snapshots.remove(text(&snapshot, "name"));
            for role in ["owner", "source"] {
                snapshot[role]["name"] = new.into();
            }
            snapshot["name"] = format!("{new}.{}", text(&snapshot, "suffix")).into();
            self.snapshots.insert(snapshot);
        }
    }

    /// Snapshots end with their file system.
    pub(super) fn bury_snapshots_of(&mut self, system: &Json) {
        self.snapshots.remove_where(|snapshot| snapshot["owner"]["id"] == system["id"]);
    }
}
