//! Snapshot policies: schedules, and the file systems that follow them.
//!
//! Policies are stored but not executed: the simulator takes no snapshots by itself.

use serde_json::{Value as Json, json};

use super::FlashBlade;
use crate::simulator::collection::{KEY, Scope, id, reference, shown, text};
use crate::simulator::fields::{self, BYTES, Field, Takes};
use crate::simulator::names;
use crate::simulator::rest::{Outcome, Refusal, Request};

const MADE_WITH: &[Field] =
    &[("enabled", Takes::Boolean), ("name", Takes::Handler), ("rules", Takes::Handler)];
const CHANGED_WITH: &[Field] = &[
    ("add_rules", Takes::Handler),
    ("enabled", Takes::Boolean),
    ("remove_rules", Takes::Handler),
    ("rules", Takes::Handler),
];
const RULE: &[Field] =
    &[("at", BYTES), ("every", BYTES), ("keep_for", BYTES), ("time_zone", Takes::Text)];

/// A day in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;

impl FlashBlade {
    pub(super) fn make_policy(&mut self, request: &Request, now: u64) -> Outcome {
        let name = request.one("names")?;
        names::check(name, true)?;
        self.policies.free(name)?;
        let mut object = json!({
            "name": name, "enabled": true, "is_local": true, "location": self.location(),
            "policy_type": "snapshot", "realms": [], "retention_lock": "unlocked", "rules": [],
        });
        fields::set(&mut object, &request.body, &[MADE_WITH])?;
        object["rules"] = rules(name, &request.body["rules"])?.into();
        object["id"] = self.id().into();
        let items = json!([shown(&object, now)]);
        self.policies.add(object)?;
        Ok(json!({ "items": items }))
    }

    pub(super) fn change_policies(&mut self, request: &Request, now: u64) -> Outcome {
        let body = &request.body;
        let changed_copies = self.policies.changed_copies(request, |object| {
            fields::set(object, body, &[CHANGED_WITH])?;
            let name = text(object, "name").to_owned();
            let mut left = object["rules"].as_array().cloned().unwrap_or_default();
            if body.get("rules").is_some() {
                left = rules(&name, &body["rules"])?;
            }
            for gone in rules(&name, &body["remove_rules"])? {
                let at = left.iter().position(|rule| *rule == gone);
                left.remove(at.ok_or_else(|| Refusal::missing(&name, "Policy rule"))?);
            }
            left.extend(rules(&name, &body["add_rules"])?);
            object["rules"] = left.into();
            Ok(())
        })?;
        for (old, new) in &changed_copies {
            self.policies.replace(old, new);
        }
        Ok(
            json!({"items": changed_copies.iter().map(|(_, new)| shown(new, now)).collect::<Vec<_>>()}),
        )
    }

    pub(super) fn delete_policies(&mut self, request: &Request) -> Outcome {
        let members = &self.members;
        self.policies.delete(request, |policy| {
            if members.has("policy", id(policy)) {
                return Err(Refusal::of(
                    text(policy, "name"),
                    "Policy is in use by a file system.",
                ));
            }
            Ok(())
        })?;
        Ok(json!({}))
    }

    pub(super) fn members_scope(&self, request: &Request) -> Result<Scope, Refusal> {
        let mut scope = Scope::new();
        self.file_systems.narrow(&mut scope, "member", request, MEMBERS)?;
        self.policies.narrow(&mut scope, "policy", request, POLICIES)?;
        Ok(scope)
    }

    pub(super) fn attach_policies(&mut self, request: &Request, now: u64) -> Outcome {
        let pairs = self.pairs(request)?;
        for (policy, member) in &pairs {
            self.file_systems.live(text(member, "name"))?;
            if self.members.get(&key(policy, member)).is_some() {
                return Err(Refusal::exists(text(member, "name"), "Policy member"));
            }
        }
        for (policy, member) in &pairs {
            self.attach(policy, member);
        }
        let items =
            pairs.iter().filter_map(|(policy, member)| self.members.get(&key(policy, member)));
        Ok(json!({"items": items.map(|object| shown(object, now)).collect::<Vec<_>>()}))
    }

    pub(super) fn attach(&mut self, policy: &Json, member: &Json) {
        self.members.insert(json!({
            KEY: key(policy, member), "policy": reference(policy), "member": reference(member),
        }));
    }

    pub(super) fn detach_policies(&mut self, request: &Request) -> Outcome {
        let pairs = self.pairs(request)?;
        for (policy, member) in &pairs {
            if self.members.get(&key(policy, member)).is_none() {
                return Err(Refusal::missing(text(member, "name"), "Policy member"));
            }
        }
        for (policy, member) in &pairs {
            self.members.remove(&key(policy, member));
        }
        Ok(json!({}))
    }

    /// Returns the pairs of policies and file systems of a request.
    fn pairs(&self, request: &Request) -> Result<Vec<(Json, Json)>, Refusal> {
        let policies = self.policies.selected_required(request, POLICIES.0, POLICIES.1)?;
        let members = self.file_systems.selected_required(request, MEMBERS.0, MEMBERS.1)?;
        let with_each = |policy: &&Json| {
            let policy = (*policy).clone();
            members.iter().map(move |member| (policy.clone(), (*member).clone()))
        };
        Ok(policies.iter().flat_map(with_each).collect())
    }
}

/// Parameters for names and for ids.
const POLICIES: (&str, &str) = ("policy_names", "policy_ids");
const MEMBERS: (&str, &str) = ("member_names", "member_ids");

fn key(policy: &Json, member: &Json) -> String {
    format!("{} {}", id(policy), id(member))
}

/// Parses rules. A missing list means no rules.
fn rules(policy: &str, given: &Json) -> Result<Vec<Json>, Refusal> {
    if given.is_null() {
        return Ok(Vec::new());
    }
    let wrong = || Refusal::of(policy, "Invalid value of 'rules'.");
    let given = given.as_array().ok_or_else(wrong)?;
    let read = given.iter().map(|body| {
        let mut rule = json!({});
        fields::set_at(policy, "rules.", &mut rule, body, &[RULE])?;
        let every = rule["every"].as_u64().unwrap_or_default();
        let in_days = every > 0 && every.is_multiple_of(DAY);
        if rule.get("at").is_some() && !in_days {
            return Err(Refusal::of(policy, "'at' is only valid when 'every' is in days."));
        }
        if rule.get("keep_for").is_none() || rule.get("every").is_some_and(|every| *every == 0) {
            return Err(wrong());
        }
        Ok(rule)
    });
    read.collect()
}
