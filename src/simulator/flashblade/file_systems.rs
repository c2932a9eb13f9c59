//! File systems: create, change, destroy, recover, eradicate.

use serde_json::{Value as Json, json};

use super::FlashBlade;
use super::nfs::{self, EVERYBODY};
use crate::simulator::collection::{
    Sums, USED, bytes, id, is_destroyed, reference, set_destroyed, shown, text,
};
use crate::simulator::fields::{self, BYTES, Field, Takes};
use crate::simulator::names;
use crate::simulator::rest::{Outcome, Refusal, Request};

/// Fields of requests that create or change a file system.
const FIELDS: &[Field] = &[
    ("default_group_quota", BYTES),
    ("default_user_quota", BYTES),
    ("fast_remove_directory_enabled", Takes::Boolean),
    ("group_ownership", Takes::OneOf(&["creator", "parent-directory"])),
    ("hard_limit_enabled", Takes::Boolean),
    ("http", Takes::Fields(&[("enabled", Takes::Boolean)])),
    ("multi_protocol", Takes::Fields(MULTI_PROTOCOL)),
    ("nfs", Takes::Handler),
    ("node_group", Takes::Handler),
    ("provisioned", BYTES),
    ("qos_policy", Takes::Handler),
    ("smb", Takes::Fields(SMB)),
    ("snapshot_directory_enabled", Takes::Boolean),
    ("workload", Takes::Handler),
    ("writable", Takes::Boolean),
];
const MADE_WITH: &[Field] = &[
    ("eradication_config", Takes::Fields(&[("eradication_mode", Takes::OneOf(ERADICATION_MODES))])),
    ("source", Takes::Handler),
];
const CHANGED_WITH: &[Field] =
    &[("destroyed", Takes::Boolean), ("name", Takes::Text), ("storage_class", Takes::Handler)];
const MULTI_PROTOCOL: &[Field] = &[
    ("access_control_style", Takes::OneOf(&["nfs", "smb", "shared", "independent", "mode-bits"])),
    ("safeguard_acls", Takes::Boolean),
];
const SMB: &[Field] = &[
    ("client_policy", Takes::Handler),
    ("continuous_availability_enabled", Takes::Boolean),
    ("enabled", Takes::Boolean),
    ("share_policy", Takes::Handler),
];
const ERADICATION_MODES: &[&str] = &["permission-based", "retention-based"];
/// Fields that refer to objects which are not simulated, with the objects' name in messages.
const NONE_OF: [(&str, &str); 4] = [
    ("node_group", "Node group"),
    ("qos_policy", "QoS policy"),
    ("storage_class", "Storage class"),
    ("workload", "Workload"),
];

impl FlashBlade {
    pub(super) fn make_file_system(&mut self, request: &Request, now: u64) -> Outcome {
        let name = request.one("names")?.to_owned();
        names::check(&name, true)?;
        let body = &request.body;
        let source = body.get("source").map(|source| text(source, "name"));
        if let (Some(source), Some(true)) = (source, request.flag("overwrite")?) {
            return self.restore(&name, source, request, now);
        }
        // A destroyed file system keeps its name until it is eradicated.
        self.file_systems.free(&name)?;
        if self.file_systems.len() >= self.settings.limit {
            return Err(Refusal::of(&name, "File system limit reached."));
        }
        let policies = self.policies.selected(request, "policy_names", "policy_ids")?;
        let policies: Vec<Json> = policies.into_iter().cloned().collect();
        let manual = if self.settings.safe_mode { "disabled" } else { "enabled" };
        let mut object = json!({
            "name": name, "created": now, "destroyed": false, "promotion_status": "promoted",
            "requested_promotion_state": "promoted", "provisioned": 0, "hard_limit_enabled": false,
            "snapshot_directory_enabled": true, "fast_remove_directory_enabled": false, "writable": true,
            "group_ownership": "creator", "default_group_quota": 0, "default_user_quota": 0, "realms": [],
            "eradication_config": {
                "eradication_mode": "permission-based", "manual_eradication": manual,
            },
            "nfs": {"v3_enabled": false, "v4_1_enabled": false, "rules": ""},
            "smb": {"enabled": false}, "http": {"enabled": false},
        });
        if let Some(source) = source {
            self.copy(&mut object, source, request)?;
        }
        let defaults = nfs::default_exports(request)?;
        if defaults.nfs {
            object["nfs"]["rules"] = EVERYBODY.into();
        }
        set(&mut object, body, MADE_WITH)?;
        let policy = self.set_nfs(&mut object, &body["nfs"])?;
        let by_nfs = policy.is_some() || object["nfs"]["rules"] != "";
        self.check_exports(&object, by_nfs, defaults.smb)?;
        object["id"] = self.id().into();
        measure(&mut object);
        self.file_systems.insert(object.clone());
        self.export(&object, policy.as_ref());
        if defaults.smb {
            self.export_by_smb(&object);
        }
        for policy in &policies {
            self.attach(policy, &object);
        }
        Ok(json!({"items": [shown(self.file_systems.live(&name)?, now)]}))
    }

    /// Sets the fields that a clone takes from its snapshot.
    fn copy(&self, object: &mut Json, source: &str, request: &Request) -> Result<(), Refusal> {
        let snapshot = self.snapshots.live(source)?;
        if request.flag("include_snapshot")? != Some(true) {
            let message = "A file system cannot be created from a snapshot.";
            return Err(Refusal::of(text(object, "name"), message));
        }
        object["source"] = reference(snapshot);
        if let Some(owner) = self.file_systems.by_id(id(&snapshot["owner"])) {
            object["provisioned"] = owner["provisioned"].clone();
            object[USED] = owner[USED].clone();
        }
        Ok(())
    }

    /// Restores the newest snapshot.
    fn restore(&mut self, name: &str, source: &str, request: &Request, now: u64) -> Outcome {
        let object = self.file_systems.live(name)?;
        if request.flag("discard_non_snapshotted_data")? != Some(true) {
            return Err(Refusal::of(name, "Data that is not in the snapshot would be discarded."));
        }
        if self.newest_snapshot(id(object)).is_none_or(|newest| newest != source) {
            return Err(Refusal::of(source, "Only the newest snapshot can be restored."));
        }
        Ok(json!({"items": [shown(object, now)]}))
    }

    pub(super) fn change_file_systems(&mut self, request: &Request, now: u64) -> Outcome {
        let body = &request.body;
        let ignores_usage = request.flag("ignore_usage")? == Some(true);
        let limits = ["provisioned", "hard_limit_enabled"].iter().any(|f| body.get(*f).is_some());
        let due = now + self.settings.eradication_delay;
        let changed_copies = self.file_systems.changed_copies(request, |object| {
            let old = text(object, "name").to_owned();
            set(object, body, CHANGED_WITH)?;
            let name = text(object, "name");
            names::check(name, true)?;
            if limits && is_over(object) && !ignores_usage {
                return Err(Refusal::of(name, "The file system uses more than its hard limit."));
            }
            let by_smb = self.own_export(&old, id(object), "SMB").is_some();
            let policy = self.set_nfs(object, &body["nfs"])?;
            let by_nfs = policy.is_some() || object["nfs"]["rules"] != "";
            self.check_exports(object, by_nfs, by_smb)?;
            set_destroyed(object, body, due);
            measure(object);
            Ok(())
        })?;
        let mut items = Vec::new();
        for (old, new) in changed_copies {
            self.file_systems.replace(&old, &new);
            self.follow(&old, &new);
            match body["destroyed"].as_bool() {
                Some(true) => self.snapshots.destroy_of("owner", id(&old), due),
                Some(false) => self.snapshots.recover_of("owner", id(&old)),
                None => {}
            }
            self.snapshots.change_of("owner", id(&old), |snapshot| {
                snapshot["owner_destroyed"] = is_destroyed(&new).into();
            });
            let policy = self.policy_of(&body["nfs"])?;
            self.export_again(&new, &body["nfs"], policy.as_ref());
            items.extend(self.file_systems.by_id(id(&new)).map(|object| shown(object, now)));
        }
        Ok(json!({ "items": items }))
    }

    pub(super) fn eradicate_file_systems(&mut self, request: &Request) -> Outcome {
        for system in self.file_systems.eradicate(request, self.settings.safe_mode)? {
            self.forget(&system);
        }
        Ok(json!({}))
    }

    /// Renames the objects that belong to a file system.
    fn follow(&mut self, old: &Json, new: &Json) {
        if old["name"] == new["name"] {
            return;
        }
        self.rename_snapshots(new);
        self.rename_exports(old, new);
        let name = &new["name"];
        for (collection, field) in [
            (&mut self.members, "member"),
            (&mut self.user_quotas, "file_system"),
            (&mut self.group_quotas, "file_system"),
        ] {
            collection.change_of(field, id(new), |object| object[field]["name"] = name.clone());
        }
    }

    /// Removes the objects that belong to a file system.
    pub(super) fn forget(&mut self, system: &Json) {
        for (collection, field) in [
            (&mut self.snapshots, "owner"),
            (&mut self.exports, "member"),
            (&mut self.members, "member"),
            (&mut self.user_quotas, "file_system"),
            (&mut self.group_quotas, "file_system"),
        ] {
            collection.remove_of(field, id(system));
        }
    }

    /// Sets the number of bytes written to a file system, which no request can do.
    pub(in crate::simulator) fn fill(&mut self, name: &str, bytes: u64) -> bool {
        self.file_systems.change(name, |object| {
            object[USED] = bytes.into();
            measure(object);
        });
        self.file_systems.get(name).is_some()
    }
}

/// Sets the fields of a body, except those that handlers process.
fn set(object: &mut Json, body: &Json, more: &[Field]) -> Result<(), Refusal> {
    fields::set(object, body, &[FIELDS, more])?;
    for (field, kind) in NONE_OF {
        if let Some(given) = body.get(field) {
            return Err(Refusal::missing(text(given, "name"), kind));
        }
    }
    Ok(())
}

/// Returns whether a hard limit is below the used size.
fn is_over(object: &Json) -> bool {
    let bytes = |field: &str| object[field].as_u64().unwrap_or_default();
    object["hard_limit_enabled"] == true && bytes("provisioned") < bytes(USED)
}

/// Updates its space.
fn measure(object: &mut Json) {
    let bytes = |field: &str| object[field].as_u64().unwrap_or_default();
    let (used, provisioned) = (bytes(USED), bytes("provisioned"));
    object["space"] = json!({
        "available_provisioned": provisioned.saturating_sub(used), "data_reduction": 1.0, "destroyed": 0,
        "destroyed_virtual": 0, "shared": 0, "snapshots": 0, "total_physical": used,
        "total_provisioned": provisioned, "total_used": used, "unique": used, "virtual": used,
    });
}

/// Returns the space of the array.
pub(super) fn space_of(sums: Sums) -> Json {
    let Sums { live, destroyed } = sums;
    let used = bytes(live.used + destroyed.used);
    let available = u128::from(sums.provisioned()).saturating_sub(live.used);
    json!({
        "available_provisioned": bytes(available), "data_reduction": 1.0,
        "destroyed": bytes(destroyed.used), "destroyed_virtual": bytes(destroyed.used), "shared": 0,
        "snapshots": 0, "total_physical": used, "total_provisioned": sums.provisioned(),
        "total_used": used, "unique": bytes(live.used), "virtual": bytes(live.used),
    })
}
