//! Exports: the name, protocol and server under which clients find a file system.

use serde_json::{Value as Json, json};

use super::servers::DEFAULT_SERVER;
use super::{FlashBlade, nfs};
use crate::simulator::collection::{id, is_destroyed, reference, shown, text};
use crate::simulator::fields::{self, Field, Takes};
use crate::simulator::rest::{Outcome, Refusal, Request};

const FIELDS: &[Field] = &[
    ("export_name", Takes::Text),
    ("policy", Takes::Handler),
    ("server", Takes::Handler),
    ("share_policy", Takes::Handler),
];
/// The two default policies of SMB exports. No others are simulated.
const SMB_CLIENTS: &str = "_smb_client_allow_everyone";
const SMB_SHARE: &str = "_smb_share_allow_everyone";

impl FlashBlade {
    pub(super) fn make_exports(&mut self, request: &Request, now: u64) -> Outcome {
        let members = self.file_systems.selected_required(request, "member_names", "member_ids")?;
        let (names, ids) = (request.list("policy_names"), request.list("policy_ids"));
        let policies = names.iter().map(|name| (*name, "")).chain(ids.iter().map(|id| ("", *id)));
        let policies: Vec<(&str, &str)> = policies.collect();
        if policies.is_empty() {
            return Err(Refusal::lacks("policy_names"));
        }
        let mut new = Vec::new();
        for member in members {
            let member = self.file_systems.live(text(member, "name"))?;
            for (name, id) in &policies {
                let mut object = json!({"name": member["name"], "member": reference(member)});
                self.put_policy(&mut object, &json!({"name": name, "id": id}))?;
                object["export_name"] = member["name"].clone();
                object["server"] = self.server(&json!({"name": DEFAULT_SERVER}))?;
                self.set_export(&mut object, &request.body)?;
                self.exports.free(text(&object, "name"))?;
                if new.iter().any(|other: &Json| other["name"] == object["name"]) {
                    return Err(Refusal::exists(text(&object, "name"), "File system export"));
                }
                new.push(object);
            }
        }
        let mut items = Vec::new();
        for mut object in new {
            object["id"] = self.id().into();
            let (name, member) = (text(&object, "name").to_owned(), object["member"].clone());
            self.exports.add(object)?;
            self.settle(id(&member));
            items.extend(self.exports.get(&name).map(|object| shown(object, now)));
        }
        Ok(json!({ "items": items }))
    }

    pub(super) fn change_exports(&mut self, request: &Request, now: u64) -> Outcome {
        let changed_copies = self.exports.changed_copies(request, |object| {
            if let Some(policy) = request.body.get("policy") {
                self.put_policy(object, policy)?;
            }
            self.set_export(object, &request.body)
        })?;
        let mut items = Vec::new();
        for (old, new) in changed_copies {
            self.exports.replace(&old, &new);
            self.settle(id(&new["member"]));
            items.extend(self.exports.by_id(id(&new)).map(|object| shown(object, now)));
        }
        Ok(json!({ "items": items }))
    }

    pub(super) fn delete_exports(&mut self, request: &Request) -> Outcome {
        for export in self.exports.delete(request, |_| Ok(()))? {
            self.settle(id(&export["member"]));
        }
        Ok(json!({}))
    }

    /// Sets the fields of a body on an export, and the derived name.
    fn set_export(&self, object: &mut Json, body: &Json) -> Result<(), Refusal> {
        fields::set(object, body, &[FIELDS])?;
        if let Some(server) = body.get("server") {
            object["server"] = self.server(server)?;
        }
        let share = body.get("share_policy").map(|policy| text(policy, "name"));
        if let Some(other) =
            share.filter(|name| object["policy_type"] == "SMB" && *name != SMB_SHARE)
        {
            return Err(Refusal::missing(other, "SMB share policy"));
        }
        let name = text(object, "export_name");
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == ':') {
            return Err(Refusal::of(name, "Invalid export name."));
        }
        object["name"] = name_of(object).into();
        Ok(())
    }

    /// Sets the policy and the protocol of an export.
    fn put_policy(&self, object: &mut Json, requested: &Json) -> Result<(), Refusal> {
        if text(requested, "name") == SMB_CLIENTS {
            object["policy_type"] = "SMB".into();
            object["policy"] = json!({ "name": SMB_CLIENTS });
            object["share_policy"] = json!({ "name": SMB_SHARE });
            return Ok(());
        }
        let policy = self.policy_of(&json!({ "export_policy": requested }))?.unwrap_or_default();
        if object["policy_type"] == "SMB" {
            return Err(Refusal::missing(text(requested, "name"), "SMB client policy"));
        }
        object["policy_type"] = "NFS".into();
        object["policy"] = reference(&policy);
        Ok(())
    }

    fn server(&self, requested: &Json) -> Result<Json, Refusal> {
        let (name, id) = (text(requested, "name"), text(requested, "id"));
        let server = self.servers.get(name).or_else(|| self.servers.by_id(id));
        server.map(reference).ok_or_else(|| Refusal::missing(name, "Server"))
    }

    /// Returns the export under a file system's own name on the default server.
    pub(super) fn own_export(&self, name: &str, system: &str, policy_type: &str) -> Option<&Json> {
        let export = self.exports.get(&format!("{DEFAULT_SERVER}::{policy_type}::{name}"))?;
        (id(&export["member"]) == system).then_some(export)
    }

    /// Refuses to export a file system under its own name if another export has that name.
    pub(super) fn check_exports(
        &self,
        system: &Json,
        by_nfs: bool,
        by_smb: bool,
    ) -> Result<(), Refusal> {
        let name = text(system, "name");
        for (policy_type, exported) in [("NFS", by_nfs), ("SMB", by_smb)] {
            if exported && self.own_export(name, id(system), policy_type).is_none() {
                self.exports.free(&format!("{DEFAULT_SERVER}::{policy_type}::{name}"))?;
            }
        }
        Ok(())
    }

    /// Exports a file system under its own name on the default server, with a policy or with its own rules.
    pub(super) fn export(&mut self, system: &Json, policy: Option<&Json>) {
        if policy.is_none() && system["nfs"]["rules"] == "" {
            return;
        }
        let mut object = self.export_of(system, "NFS");
        if let Some(policy) = policy {
            object["policy"] = reference(policy);
        }
        self.exports.insert(object);
        self.settle(id(system));
    }

    pub(super) fn export_by_smb(&mut self, system: &Json) {
        let mut object = self.export_of(system, "SMB");
        object["policy"] = json!({ "name": SMB_CLIENTS });
        object["share_policy"] = json!({ "name": SMB_SHARE });
        self.exports.insert(object);
        self.settle(id(system));
    }

    fn export_of(&mut self, system: &Json, policy_type: &str) -> Json {
        let server = self.servers.get(DEFAULT_SERVER).map(reference);
        let mut object = json!({
            "id": self.id(), "export_name": system["name"], "member": reference(system),
            "policy_type": policy_type, "server": server,
        });
        object["name"] = name_of(&object).into();
        object
    }

    /// Updates the export of a file system after a change of its `nfs`.
    pub(super) fn export_again(&mut self, system: &Json, nfs: &Json, policy: Option<&Json>) {
        let own = self
            .own_export(text(system, "name"), id(system), "NFS")
            .map(|e| text(e, "name").to_owned());
        let by_rules = ["rules", "add_rules", "remove_rules"].iter().any(|f| nfs.get(*f).is_some());
        if policy.is_some() || by_rules {
            if let Some(own) = own {
                self.exports.remove(&own);
            }
            self.export(system, policy);
        }
        self.settle(id(system));
    }

    /// Renames the export under a file system's own name, and updates the references of all its exports.
    pub(super) fn rename_exports(&mut self, old: &Json, new: &Json) {
        self.exports.change_of("member", id(new), |export| {
            export["member"]["name"] = new["name"].clone();
            let own = export["server"]["name"] == DEFAULT_SERVER;
            if own && export["export_name"] == old["name"] {
                export["export_name"] = new["name"].clone();
                export["name"] = name_of(export).into();
            }
        });
    }

    /// Updates which exports of a file system are enabled, and the file system's fields about them.
    pub(super) fn settle(&mut self, system: &str) {
        let Some(served) = self.file_systems.by_id(system) else { return };
        let policies = &self.export_policies;
        self.exports.change_of("member", system, |export| {
            let by_policy = policies.by_id(id(&export["policy"]));
            let enabled = by_policy.is_none_or(|policy| policy["enabled"] == true);
            let on = !is_destroyed(served) && nfs::is_served(served, text(export, "policy_type"));
            export["enabled"] = (enabled && on).into();
            match (enabled, on) {
                (false, _) => export["status"] = "policy_disabled".into(),
                (true, false) => export["status"] = "protocol_disabled".into(),
                (true, true) => {
                    export.as_object_mut().map(|fields| fields.shift_remove("status"));
                }
            }
        });
        self.mirror(system);
    }
}

/// Returns the name of an export: server, protocol, export name.
fn name_of(export: &Json) -> String {
    let server = text(&export["server"], "name");
    format!("{server}::{}::{}", text(export, "policy_type"), text(export, "export_name"))
}
