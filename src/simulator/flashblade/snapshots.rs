//! Snapshots of file systems.

use serde_json::{Value as Json, json};

use super::FlashBlade;
use crate::simulator::collection::{
    Scope, id, is_destroyed, reference, set_destroyed, shown, text,
};
use crate::simulator::fields::{self, Field, Takes};
use crate::simulator::names;
use crate::simulator::rest::{Outcome, Refusal, Request};

const FIELDS: &[Field] = &[("destroyed", Takes::Boolean), ("name", Takes::Text)];

impl FlashBlade {
    /// Narrows a list by names of snapshots or of their file systems.
    pub(super) fn snapshots_scope(&self, request: &Request) -> Result<Scope, Refusal> {
        let mut scope = Scope::new();
        self.file_systems.narrow(&mut scope, "owner", request, ("", "owner_ids"))?;
        let (mut owners, mut names) = (Vec::new(), Vec::new());
        for name in request.list("names_or_owner_names") {
            match (self.file_systems.get(name), self.snapshots.get(name)) {
                (Some(owner), _) => owners.push(id(owner).to_owned()),
                (None, Some(_)) => names.push(name.to_owned()),
                (None, None) => return Err(Refusal::missing(name, "Snapshot")),
            }
        }
        // One field decides for both: either all names are file systems, or none is.
        let of_owners = owners.iter().flat_map(|owner| self.snapshots.of("owner", owner));
        names.extend(of_owners.map(|snapshot| text(snapshot, "name").to_owned()));
        if request.parameter("names_or_owner_names").is_some() {
            scope.push(("name", names));
        }
        Ok(scope)
    }

    pub(super) fn make_snapshots(&mut self, request: &Request, now: u64) -> Outcome {
        let sources = self.file_systems.selected_required(request, "source_names", "source_ids")?;
        if request.flag("send")? == Some(true) || request.parameter("targets").is_some() {
            return Err(Refusal::missing(&self.settings.name, "Array connection"));
        }
        let mut new = Vec::new();
        for source in sources {
            let owner = reference(self.file_systems.live(text(source, "name"))?);
            let suffix = match request.body["suffix"].as_str() {
                Some(suffix) => suffix.to_owned(),
                None => format!("s{}", self.made + 1),
            };
            names::check(&suffix, false)?;
            let name = format!("{}.{suffix}", text(&owner, "name"));
            self.snapshots.free(&name)?;
            new.push(json!({
                "name": name, "created": now, "destroyed": false, "suffix": suffix, "owner": owner,
                "owner_destroyed": false, "policies": [], "source": owner,
            }));
        }
        let mut items = Vec::new();
        for mut object in new {
            object["id"] = self.id().into();
            items.push(shown(&object, now));
            self.snapshots.add(object)?;
        }
        Ok(json!({ "items": items }))
    }

    pub(super) fn change_snapshots(&mut self, request: &Request, now: u64) -> Outcome {
        request.flag("latest_replica")?;
        let due = now + self.settings.eradication_delay;
        let changed_copies = self.snapshots.changed_copies(request, |snapshot| {
            let owner = text(&snapshot["owner"], "name").to_owned();
            let old = text(snapshot, "name").to_owned();
            fields::set(snapshot, &request.body, &[FIELDS])?;
            if text(snapshot, "name") != old {
                let suffix = text(snapshot, "name").strip_prefix(&format!("{owner}."));
                let suffix = suffix.ok_or_else(|| Refusal::of(&old, "Invalid name."))?.to_owned();
                names::check(&suffix, false)?;
                snapshot["suffix"] = suffix.into();
            }
            if request.body["destroyed"] == false && snapshot["owner_destroyed"] == true {
                return Err(Refusal::of(owner, "File system has been destroyed."));
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

    /// Returns the name of a file system's newest snapshot.
    pub(super) fn newest_snapshot(&self, system: &str) -> Option<&str> {
        let live = self.snapshots.of("owner", system).filter(|snapshot| !is_destroyed(snapshot));
        live.max_by_key(|snapshot| (snapshot["created"].as_u64(), text(snapshot, "id")))
            .map(|snapshot| text(snapshot, "name"))
    }

    /// Renames the snapshots of a file system.
    pub(super) fn rename_snapshots(&mut self, owner: &Json) {
        self.snapshots.change_of("owner", id(owner), |snapshot| {
            for role in ["owner", "source"] {
                snapshot[role]["name"] = owner["name"].clone();
            }
            let name = format!("{}.{}", text(owner, "name"), text(snapshot, "suffix"));
            snapshot["name"] = name.into();
        });
    }
}
