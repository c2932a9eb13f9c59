//! NFS export policies: the clients that may mount exports.
//!
//! A policy contains its rules; `export_rules` serves each rule separately.

use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::export_rules::check_versions;
use super::{FlashBlade, export_rules};
use crate::simulator::collection::{KEY, id, reference, shown, text};
use crate::simulator::fields::{self, Field, Takes};
use crate::simulator::names;
use crate::simulator::rest::{Outcome, Refusal, Request};

const FIELDS: &[Field] =
    &[("enabled", Takes::Boolean), ("name", Takes::Text), ("rules", Takes::Handler)];

impl FlashBlade {
    pub(super) fn make_export_policy(&mut self, request: &Request, now: u64) -> Outcome {
        let name = request.one("names")?;
        let mut object = json!({"name": name, "enabled": true});
        fields::set(&mut object, &request.body, &[FIELDS])?;
        object["name"] = name.into();
        names::check(name, true)?;
        self.export_policies.free(name)?;
        let rules = rules(&object, &request.body["rules"])?.unwrap_or_default();
        let policy = json!({
            "name": name, "id": self.id(), "enabled": object["enabled"], "is_local": true,
            "location": self.location(), "policy_type": "nfs", "realms": [], "rules": rules,
        });
        let policy = self.put_export_policy(policy);
        Ok(json!({"items": [shown(&policy, now)]}))
    }

    pub(super) fn change_export_policies(&mut self, request: &Request, now: u64) -> Outcome {
        let policies = self.export_policies.required(request)?;
        check_versions(request, policies.iter().map(|policy| text(policy, "version")))?;
        let changed_copies = self.export_policies.changed_copies(request, |object| {
            fields::set(object, &request.body, &[FIELDS])?;
            names::check(text(object, "name"), true)?;
            if let Some(rules) = rules(object, &request.body["rules"])? {
                object["rules"] = rules.into();
            }
            Ok(())
        })?;
        let mut items = Vec::new();
        for (old, new) in changed_copies {
            self.export_policies.replace(&old, &new);
            let policy = self.put_export_policy(new);
            self.exports.change_of("policy", id(&policy), |export| {
                export["policy"]["name"] = policy["name"].clone();
            });
            let members =
                self.exports.of("policy", id(&policy)).map(|e| id(&e["member"]).to_owned());
            for member in members.collect::<Vec<String>>() {
                self.settle(&member);
            }
            items.push(shown(&policy, now));
        }
        Ok(json!({ "items": items }))
    }

    pub(super) fn delete_export_policies(&mut self, request: &Request) -> Outcome {
        let policies = self.export_policies.required(request)?;
        check_versions(request, policies.iter().map(|policy| text(policy, "version")))?;
        let exports = &self.exports;
        let deleted = self.export_policies.delete(request, |policy| {
            if exports.has("policy", id(policy)) {
                let message = "NFS export policy is in use by a file system.";
                return Err(Refusal::of(text(policy, "name"), message));
            }
            Ok(())
        })?;
        for policy in deleted {
            self.export_rules.remove_of("policy", id(&policy));
        }
        Ok(json!({}))
    }

    /// Inserts or replaces a policy and its rules. Returns the policy.
    pub(super) fn put_export_policy(&mut self, mut policy: Json) -> Json {
        let about = reference(&policy);
        let mut rules = policy["rules"].as_array().cloned().unwrap_or_default();
        let mut last = rules.iter().filter_map(number).max().unwrap_or(0);
        for (index, rule) in rules.iter_mut().enumerate() {
            let number = number(rule).unwrap_or_else(|| {
                last += 1;
                last
            });
            if rule.get("id").is_none() {
                rule["id"] = self.id().into();
            }
            rule["name"] = format!("{}.{number}", text(&about, "name")).into();
            rule["policy"] = about.clone();
            rule["index"] = (index + 1).into();
        }
        policy["rules"] = rules.clone().into();
        if let Some(fields) = policy.as_object_mut() {
            fields.shift_remove("version");
        }
        let version = names::hex(&Sha256::digest(policy.to_string())[..8]);
        policy["version"] = version.clone().into();
        self.export_rules.remove_of("policy", id(&policy));
        for (index, mut rule) in rules.into_iter().enumerate() {
            // By policy and index, which is the order of lists.
            rule[KEY] = format!("{} {index:08}", text(&policy, "name").to_lowercase()).into();
            rule["policy_version"] = version.clone().into();
            self.export_rules.insert(rule);
        }
        self.export_policies.insert(policy.clone());
        policy
    }
}

/// Returns the number in a rule's name, `policy.1`, which never changes.
fn number(rule: &Json) -> Option<u64> {
    text(rule, "name").rsplit_once('.')?.1.parse().ok()
}

/// Parses the rules in the body of a policy, if it has any.
fn rules(policy: &Json, given: &Json) -> Result<Option<Vec<Json>>, Refusal> {
    if given.is_null() {
        return Ok(None);
    }
    let name = text(policy, "name");
    let given = given.as_array().ok_or_else(|| Refusal::of(name, "Invalid value of 'rules'."))?;
    let mut rules = Vec::new();
    for rule in given {
        let rule = export_rules::read(name, rule)?;
        rules.insert(export_rules::place(&rules, &rule), rule);
    }
    Ok(Some(rules))
}
