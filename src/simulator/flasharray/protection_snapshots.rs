//! Snapshots of protection groups: one for the group, and one for each member.

use serde_json::{Value as Json, json};

use super::protection_groups::is_locked;
use super::volume_snapshots::{GROUP, name_in};
use super::{FlashArray, tags};
use crate::simulator::collection::{
    Scope, id, is_destroyed, reference, set_destroyed, shown, text,
};
use crate::simulator::fields::{self, Field, Takes};
use crate::simulator::names;
use crate::simulator::rest::{Outcome, Refusal, Request};

const MADE_WITH: &[Field] = &[("suffix", Takes::Text), ("tags", Takes::Handler)];
const CHANGED_WITH: &[Field] = &[("destroyed", Takes::Boolean), ("name", Takes::Text)];

impl FlashArray {
    pub(super) fn group_snapshots_scope(&self, request: &Request) -> Result<Scope, Refusal> {
        let mut scope = Scope::new();
        self.groups.narrow(&mut scope, "source", request, ("source_names", "source_ids"))?;
        Ok(scope)
    }

    pub(super) fn make_group_snapshots(&mut self, request: &Request, now: u64) -> Outcome {
        let sources = self.groups.selected_required(request, "source_names", "source_ids")?;
        let suffix = self.suffix(request, &[MADE_WITH])?;
        tags::read(request.body.get("tags"))?;
        let mut new = Vec::new();
        for source in sources {
            let group = self.groups.live(text(source, "name"))?;
            self.group_snapshots.free(&format!("{}.{suffix}", text(group, "name")))?;
            new.push(group.clone());
        }
        let mut items = Vec::new();
        for group in new {
            let name = format!("{}.{suffix}", text(&group, "name"));
            let mut object = json!({
                "name": name, "id": self.id(), "created": now, "destroyed": false, "suffix": suffix,
                "eradication_config": group["eradication_config"], "source": reference(&group),
            });
            if let Some(pod) = group.get("pod") {
                object["pod"] = pod.clone();
            }
            let members = self.members.of("group", id(&group));
            let volumes = members.filter_map(|member| self.volumes.by_id(id(&member["member"])));
            let live: Vec<Json> = volumes.filter(|volume| !is_destroyed(volume)).cloned().collect();
            for volume in live {
                let name = name_in(&name, text(&volume, "name"));
                let mut snapshot = self.snapshot(&name, &suffix, &volume, now);
                snapshot[GROUP] = object["id"].clone();
                self.snapshots.insert(snapshot);
            }
            items.push(shown(&object, now));
            self.group_snapshots.add(object)?;
        }
        Ok(json!({ "items": items }))
    }

    pub(super) fn change_group_snapshots(&mut self, request: &Request, now: u64) -> Outcome {
        let due = now + self.settings.eradication_delay;
        let changed_copies = self.group_snapshots.changed_copies(request, |snapshot| {
            let old = text(snapshot, "name").to_owned();
            fields::set(snapshot, &request.body, &[CHANGED_WITH])?;
            let group = text(&snapshot["source"], "name").to_owned();
            if text(snapshot, "name") != old {
                let new = text(snapshot, "name");
                let suffix = new.strip_prefix(&format!("{group}.")).unwrap_or(new).to_owned();
                names::check(&suffix, false)?;
                snapshot["name"] = format!("{group}.{suffix}").into();
                snapshot["suffix"] = suffix.into();
            }
            if request.body["destroyed"] == false {
                self.groups.live(&group)?;
            }
            set_destroyed(snapshot, &request.body, due);
            Ok(())
        })?;
        for (old, new) in &changed_copies {
            self.group_snapshots.replace(old, new);
            if old["name"] != new["name"] {
                self.rename_parts(new);
            }
            match request.body["destroyed"].as_bool() {
                Some(true) => self.snapshots.destroy_of(GROUP, id(new), due),
                Some(false) => self.snapshots.recover_of(GROUP, id(new)),
                None => {}
            }
        }
        Ok(
            json!({"items": changed_copies.iter().map(|(_, new)| shown(new, now)).collect::<Vec<_>>()}),
        )
    }

    /// Destroys or recovers the snapshots of a group together with it.
    pub(super) fn destroy_snapshots_of(&mut self, group: &str, due: Option<u64>) {
        match due {
            Some(due) => self.group_snapshots.destroy_of("source", group, due),
            None => self.group_snapshots.recover_of("source", group),
        }
        let snapshots: Vec<(String, bool)> = self
            .group_snapshots
            .of("source", group)
            .map(|snapshot| (id(snapshot).to_owned(), is_destroyed(snapshot)))
            .collect();
        for (snapshot, destroyed) in snapshots {
            match due {
                Some(due) => self.snapshots.destroy_of(GROUP, &snapshot, due),
                None if !destroyed => self.snapshots.recover_of(GROUP, &snapshot),
                None => {}
            }
        }
    }

    pub(super) fn eradicate_group_snapshots(&mut self, request: &Request) -> Outcome {
        for snapshot in self.group_snapshots.required(request)? {
            if self.groups.by_id(id(&snapshot["source"])).is_some_and(is_locked) {
                return Err(Refusal::of(text(snapshot, "name"), "Eradication is disabled."));
            }
        }
        for snapshot in self.group_snapshots.eradicate(request, self.settings.safe_mode)? {
            self.forget_group_snapshot(&snapshot);
        }
        Ok(json!({}))
    }

    /// Removes the volume snapshots of a group snapshot.
    pub(super) fn forget_group_snapshot(&mut self, snapshot: &Json) {
        self.snapshots.remove_of(GROUP, id(snapshot));
    }

    /// Renames the snapshots of a group.
    pub(super) fn rename_group_snapshots(&mut self, group: &Json) {
        self.group_snapshots.change_of("source", id(group), |snapshot| {
            snapshot["source"]["name"] = group["name"].clone();
            let name = format!("{}.{}", text(group, "name"), text(snapshot, "suffix"));
            snapshot["name"] = name.into();
        });
        let renamed: Vec<Json> = self.group_snapshots.of("source", id(group)).cloned().collect();
        for snapshot in renamed {
            self.rename_parts(&snapshot);
        }
    }

    fn rename_parts(&mut self, group: &Json) {
        self.snapshots.change_of(GROUP, id(group), |snapshot| {
            snapshot["suffix"] = group["suffix"].clone();
            let name = name_in(text(group, "name"), text(&snapshot["source"], "name"));
            snapshot["name"] = name.into();
        });
    }
}
