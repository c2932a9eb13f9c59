//! The NFS export settings in a file system: `nfs.rules`, `nfs.export_policy`, `default_exports`.
//!
//! They all refer to the one export under its own name on the default server, which `exports` stores.

use serde_json::Value as Json;

use super::FlashBlade;
use crate::simulator::collection::text;
use crate::simulator::fields::{self, Field, Takes};
use crate::simulator::rest::{Refusal, Request};

/// The array's default exports.
pub(super) const EVERYBODY: &str = "*(rw,no_root_squash)";

const FIELDS: &[Field] = &[
    ("add_rules", Takes::Text),
    ("after", Takes::Text),
    ("export_policy", Takes::Handler),
    ("remove_rules", Takes::Text),
    ("rules", Takes::Text),
    ("v3_enabled", Takes::Boolean),
    ("v4_1_enabled", Takes::Boolean),
];

/// Fields that change the rules and are not stored in a file system.
const EDITS: [&str; 3] = ["add_rules", "after", "remove_rules"];

/// The exports that a new file system gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct DefaultExports {
    pub(super) nfs: bool,
    pub(super) smb: bool,
}

/// Parses the exports that a new file system gets: those of the parameter, and those in its body.
pub(super) fn default_exports(request: &Request) -> Result<DefaultExports, Refusal> {
    // An empty parameter differs from a missing one.
    let requested = request.query.get("default_exports").map_or("nfs,smb", String::as_str);
    let requested: Vec<&str> = requested.split(',').filter(|kind| !kind.is_empty()).collect();
    if let Some(other) = requested.iter().find(|kind| !["nfs", "smb"].contains(kind)) {
        return Err(Refusal::of(*other, "Invalid value of parameter 'default_exports'."));
    }
    let smb = &request.body["smb"];
    let by_smb = smb.get("client_policy").is_some() || smb.get("share_policy").is_some();
    Ok(DefaultExports {
        nfs: requested.contains(&"nfs"),
        smb: by_smb || requested.contains(&"smb"),
    })
}

impl FlashBlade {
    /// Returns the export policy in the `nfs` of a body.
    pub(super) fn policy_of(&self, nfs: &Json) -> Result<Option<Json>, Refusal> {
        let Some(requested) = nfs.get("export_policy") else {
            return Ok(None);
        };
        let (name, id) = (text(requested, "name"), text(requested, "id"));
        let found = self.export_policies.get(name).or_else(|| self.export_policies.by_id(id));
        found.cloned().map(Some).ok_or_else(|| Refusal::missing(name, "NFS export policy"))
    }

    /// Sets the `nfs` of a body on a file system, and returns the export policy in it.
    pub(super) fn set_nfs(&self, object: &mut Json, body: &Json) -> Result<Option<Json>, Refusal> {
        let name = text(object, "name").to_owned();
        let policy = self.policy_of(body)?;
        let edits = EDITS.iter().any(|field| body.get(*field).is_some());
        if policy.is_some() && (body.get("rules").is_some() || edits) {
            return Err(Refusal::of(name, "'rules' and 'export_policy' exclude each other."));
        }
        let mut nfs = object["nfs"].clone();
        if edits && nfs.get("export_policy").is_some() {
            return Err(Refusal::of(name, "The file system is exported by a policy."));
        }
        fields::set_at(&name, "nfs.", &mut nfs, body, &[FIELDS])?;
        let rules = edited(text(&nfs, "rules"), body);
        if !rules.split_whitespace().all(is_rule) {
            return Err(Refusal::of(name, "Invalid NFS rules."));
        }
        if let Some(fields) = nfs.as_object_mut() {
            fields.retain(|field, _| !EDITS.contains(&field.as_str()));
        }
        nfs["rules"] = if policy.is_some() { "".into() } else { rules.into() };
        object["nfs"] = nfs;
        Ok(policy)
    }

    /// Updates a file system's fields about the export under its own name.
    pub(super) fn mirror(&mut self, system: &str) {
        let Some(name) = self.file_systems.by_id(system).map(|s| text(s, "name").to_owned()) else {
            return;
        };
        let export = self.own_export(&name, system, "NFS").cloned();
        self.file_systems.change(&name, |object| {
            let nfs = &mut object["nfs"];
            let policy = export.as_ref().and_then(|export| export.get("policy"));
            if policy.is_some() || export.is_none() {
                nfs["rules"] = "".into();
            }
            match (policy, nfs.as_object_mut()) {
                (Some(policy), _) => nfs["export_policy"] = policy.clone(),
                (None, Some(fields)) => {
                    fields.shift_remove("export_policy");
                }
                (None, None) => {}
            }
        });
    }
}

/// Returns the rules after removing and adding those of a body, in that order.
fn edited(rules: &str, body: &Json) -> String {
    let words = |field: &str| text(body, field).split_whitespace().collect::<Vec<_>>();
    let mut rules: Vec<&str> = rules.split_whitespace().collect();
    let after = words("after");
    let behind = |rules: &[&str]| find(rules, &after, 0).map_or(0, |at| at + after.len());
    let gone = words("remove_rules");
    if let Some(at) = find(&rules, &gone, behind(&rules)) {
        rules.drain(at..at + gone.len());
    }
    let at = if after.is_empty() { rules.len() } else { behind(&rules) };
    rules.splice(at..at, words("add_rules"));
    rules.join(" ")
}

/// Returns the position of a sequence of rules among others.
fn find(rules: &[&str], wanted: &[&str], from: usize) -> Option<usize> {
    if wanted.is_empty() {
        return None;
    }
    let found = rules.get(from..)?.windows(wanted.len()).position(|some| some == wanted);
    found.map(|at| at + from)
}

/// Returns whether a text has the format `client(options)`.
fn is_rule(rule: &str) -> bool {
    rule.split_once('(')
        .is_none_or(|(client, options)| !client.is_empty() && options.ends_with(')'))
}

/// Returns whether a file system has one of the protocols of an export enabled.
pub(super) fn is_served(system: &Json, policy_type: &str) -> bool {
    match policy_type {
        "NFS" => system["nfs"]["v3_enabled"] == true || system["nfs"]["v4_1_enabled"] == true,
        _ => system["smb"]["enabled"] == true,
    }
}
