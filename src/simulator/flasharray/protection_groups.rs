//! Protection groups: the volumes that are snapshotted together, schedules, and retention.
//!
//! Schedules are stored but not executed: the simulator takes no snapshots by itself.

use serde_json::{Value as Json, json};

use super::{FlashArray, tags};
use crate::simulator::collection::{id, reference, set_destroyed, shown, text};
use crate::simulator::fields::{self, BYTES, Field, Takes};
use crate::simulator::names::{self, Parts};
use crate::simulator::rest::{Outcome, Refusal, Request};

const MADE_WITH: &[Field] = &[("tags", Takes::Handler)];
const FIELDS: &[Field] = &[
    ("destroyed", Takes::Boolean),
    ("name", Takes::Text),
    ("replication_schedule", Takes::Fields(SCHEDULE)),
    ("retention_lock", Takes::OneOf(&["ratcheted", "unlocked"])),
    ("snapshot_schedule", Takes::Fields(SCHEDULE)),
    ("source_retention", Takes::Fields(RETENTION)),
    ("target_retention", Takes::Fields(RETENTION)),
];
const SCHEDULE: &[Field] = &[("at", BYTES), ("enabled", Takes::Boolean), ("frequency", BYTES)];
const RETENTION: &[Field] = &[
    ("all_for_sec", Takes::Number(60, i32::MAX as i64)),
    ("days", Takes::Number(-1, i32::MAX as i64)),
    ("per_day", Takes::Number(0, i32::MAX as i64)),
    ("per_period", Takes::Number(0, i32::MAX as i64)),
    ("period_length_ms", Takes::Number(86_400_000, i64::MAX)),
];

impl FlashArray {
    pub(super) fn make_group(&mut self, request: &Request, now: u64) -> Outcome {
        let name = request.one("names")?;
        if ["source_names", "source_ids"].iter().any(|from| request.parameter(from).is_some()) {
            return Err(Refusal::of(name, "Protection groups are not copied here."));
        }
        let mut object = self.group(name)?;
        fields::set(&mut object, &request.body, &[MADE_WITH])?;
        tags::read(request.body.get("tags"))?;
        self.groups.free(name)?;
        object["id"] = self.id().into();
        let items = json!([shown(&object, now)]);
        self.groups.add(object)?;
        Ok(json!({ "items": items }))
    }

    /// Creates a protection group.
    pub(super) fn group(&self, name: &str) -> Result<Json, Refusal> {
        let parts = Parts::of(name);
        names::check(parts.own, false)?;
        if parts.group.is_some() {
            return Err(Refusal::of(name, "Invalid name."));
        }
        let retention = json!({"all_for_sec": 86_400, "days": 7, "per_day": 4});
        let source = parts.pod.unwrap_or(&self.settings.name);
        let mut object = json!({
            "name": name, "destroyed": false, "eradication_config": self.eradication(),
            "host_count": 0, "host_group_count": 0, "is_local": true, "retention_lock": "unlocked",
            "replication_schedule": {"enabled": false, "frequency": 14_400_000},
            "snapshot_schedule": {"enabled": false, "frequency": 3_600_000},
            "source": {"name": source}, "source_retention": retention, "target_count": 0,
            "target_retention": retention, "volume_count": 0,
        });
        if let Some(pod) = parts.pod {
            object["pod"] = reference(self.pods.live(pod)?);
        }
        Ok(object)
    }

    pub(super) fn change_groups(&mut self, request: &Request, now: u64) -> Outcome {
        let body = &request.body;
        let due = now + self.settings.eradication_delay;
        let changed_copies = self.groups.changed_copies(request, |group| {
            let name = text(group, "name").to_owned();
            let locked = is_locked(group);
            fields::set(group, body, &[FIELDS])?;
            let stops = body["snapshot_schedule"]["enabled"] == false
                || body["replication_schedule"]["enabled"] == false;
            if locked && (!is_locked(group) || stops || body["destroyed"] == true) {
                return Err(Refusal::of(name, "Protection group is in retention lock."));
            }
            let (old, new) = (Parts::of(&name), Parts::of(text(group, "name")));
            names::check(new.own, false)?;
            if (old.pod, old.group) != (new.pod, new.group) {
                return Err(Refusal::of(name, "A new name does not move a protection group."));
            }
            set_destroyed(group, body, due);
            Ok(())
        })?;
        for (old, new) in &changed_copies {
            self.put_group(old, new);
            let due = match body["destroyed"].as_bool() {
                Some(true) => Some(due),
                Some(false) => None,
                None => continue,
            };
            self.destroy_snapshots_of(id(new), due);
        }
        Ok(
            json!({"items": changed_copies.iter().map(|(_, new)| shown(new, now)).collect::<Vec<_>>()}),
        )
    }

    /// Replaces a changed protection group, and renames the objects that belong to it.
    pub(super) fn put_group(&mut self, old: &Json, new: &Json) {
        self.groups.replace(old, new);
        if old["name"] != new["name"] {
            self.members.change_of("group", id(new), |member| {
                member["group"]["name"] = new["name"].clone();
            });
            self.rename_group_snapshots(new);
        }
    }

    pub(super) fn eradicate_groups(&mut self, request: &Request) -> Outcome {
        // A locked group has not been destroyed and cannot be destroyed.
        for group in self.groups.eradicate(request, self.settings.safe_mode)? {
            self.forget_group(&group);
        }
        Ok(json!({}))
    }

    /// Removes the objects that belong to a protection group.
    pub(super) fn forget_group(&mut self, group: &Json) {
        self.members.remove_of("group", id(group));
        for snapshot in self.group_snapshots.remove_of("source", id(group)) {
            self.forget_group_snapshot(&snapshot);
        }
    }
}

/// Returns whether a group protects its contents (`SafeMode`).
pub(super) fn is_locked(group: &Json) -> bool {
    group["retention_lock"] == "ratcheted"
}
