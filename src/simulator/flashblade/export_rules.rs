//! The rules of NFS export policies as separate objects. The policy orders them: addresses, other clients, all clients.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Value as Json, json};

use super::FlashBlade;
use crate::simulator::collection::{Scope, id, shown, text};
use crate::simulator::fields::{self, Field, Takes};
use crate::simulator::rest::{Outcome, Refusal, Request};

const FIELDS: &[Field] = &[
    ("access", Takes::OneOf(&["root-squash", "all-squash", "no-squash"])),
    ("anongid", Takes::Id),
    ("anonuid", Takes::Id),
    ("atime", Takes::Boolean),
    ("client", Takes::Text),
    ("fileid_32bit", Takes::Boolean),
    ("index", Takes::Handler),
    ("permission", Takes::OneOf(&["ro", "rw"])),
    ("required_transport_security", Takes::OneOf(&["none", "tls", "mutual-tls"])),
    ("secure", Takes::Boolean),
    ("security", Takes::ListOf(&["sys", "krb5", "krb5i", "krb5p"])),
];

impl FlashBlade {
    pub(super) fn export_rules_scope(&self, request: &Request) -> Result<Scope, Refusal> {
        let mut scope = Scope::new();
        let parameters = ("policy_names", "policy_ids");
        self.export_policies.narrow(&mut scope, "policy", request, parameters)?;
        Ok(scope)
    }

    pub(super) fn make_export_rule(&mut self, request: &Request, now: u64) -> Outcome {
        let policies =
            self.export_policies.selected_required(request, "policy_names", "policy_ids")?;
        check_versions(request, policies.iter().map(|policy| text(policy, "version")))?;
        let [policy] = policies.as_slice() else {
            return Err(Refusal::whole(400, "Only one value is allowed in 'policy_names'."));
        };
        let mut policy = (*policy).clone();
        let rule = read(text(&policy, "name"), &request.body)?;
        let mut rules = policy["rules"].as_array().cloned().unwrap_or_default();
        let at = self.asked_place(&rules, &rule, request)?.unwrap_or_else(|| place(&rules, &rule));
        rules.insert(at, rule);
        policy["rules"] = rules.into();
        let policy = self.put_export_policy(policy);
        let made = self.export_rules.by_id(id(&policy["rules"][at]));
        Ok(json!({"items": Vec::from_iter(made.map(|rule| shown(rule, now)))}))
    }

    pub(super) fn change_export_rules(&mut self, request: &Request, now: u64) -> Outcome {
        let rules = self.export_rules.required(request)?;
        check_versions(request, rules.iter().map(|rule| text(rule, "policy_version")))?;
        let ids: Vec<String> = rules.iter().map(|rule| id(rule).to_owned()).collect();
        // All or nothing: changes copies first.
        let mut policies: BTreeMap<&str, Json> = BTreeMap::new();
        for rule in &rules {
            let policy = id(&rule["policy"]);
            let there = || self.export_policies.by_id(policy).cloned().unwrap_or_default();
            self.change_rule(policies.entry(policy).or_insert_with(there), id(rule), request)?;
        }
        let policies: Vec<Json> = policies.into_values().collect();
        for policy in policies {
            self.put_export_policy(policy);
        }
        let items = ids.iter().filter_map(|id| self.export_rules.by_id(id));
        Ok(json!({"items": items.map(|rule| shown(rule, now)).collect::<Vec<_>>()}))
    }

    fn change_rule(&self, policy: &mut Json, rule: &str, request: &Request) -> Result<(), Refusal> {
        let mut rules = policy["rules"].as_array().cloned().unwrap_or_default();
        let Some(old) = rules.iter().position(|other| id(other) == rule) else {
            return Ok(());
        };
        let mut rule = rules.remove(old);
        let group = rank(text(&rule, "client"));
        set(text(policy, "name"), &mut rule, &request.body)?;
        let asked = self.asked_place(&rules, &rule, request)?;
        let stays = rank(text(&rule, "client")) == group;
        let at = asked.unwrap_or_else(|| if stays { old } else { place(&rules, &rule) });
        rules.insert(at, rule);
        policy["rules"] = rules.into();
        Ok(())
    }

    pub(super) fn delete_export_rules(&mut self, request: &Request) -> Outcome {
        let rules = self.export_rules.required(request)?;
        check_versions(request, rules.iter().map(|rule| text(rule, "policy_version")))?;
        let gone: Vec<(String, String)> =
            rules.iter().map(|r| (id(&r["policy"]).to_owned(), id(r).to_owned())).collect();
        for (policy, rule) in gone {
            let Some(mut policy) = self.export_policies.by_id(&policy).cloned() else { continue };
            if let Some(rules) = policy["rules"].as_array_mut() {
                rules.retain(|other| id(other) != rule);
            }
            self.put_export_policy(policy);
        }
        Ok(json!({}))
    }

    /// Returns the position that a request wants for a rule, if it has one.
    fn asked_place(
        &self,
        rules: &[Json],
        rule: &Json,
        request: &Request,
    ) -> Result<Option<usize>, Refusal> {
        let before = self.export_rules.selected(request, "before_rule_name", "before_rule_id")?;
        let at = match (before.first(), request.body.get("index")) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(Refusal::whole(
                    400,
                    "'index' and a rule to stand before exclude each other.",
                ));
            }
            (Some(before), None) => rules.iter().position(|other| id(other) == id(before)),
            (None, Some(index)) => {
                let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
                index.and_then(|index| index.checked_sub(1)).filter(|index| *index <= rules.len())
            }
        };
        let rank = |rule: &Json| rank(text(rule, "client"));
        let fits = |at: &usize| {
            let (before, after) = rules.split_at(*at);
            before.iter().all(|other| rank(other) <= rank(rule))
                && after.iter().all(|other| rank(other) >= rank(rule))
        };
        let at = at.filter(fits);
        at.map(Some)
            .ok_or_else(|| Refusal::of(text(rule, "client"), "The rule cannot stand there."))
    }
}

/// Parses a new rule of a policy.
pub(super) fn read(policy: &str, body: &Json) -> Result<Json, Refusal> {
    let mut rule = json!({
        "access": "root-squash", "atime": true, "client": "*", "fileid_32bit": false, "permission": "ro",
        "required_transport_security": "none", "secure": false, "security": ["sys"],
    });
    set(policy, &mut rule, body)?;
    Ok(rule)
}

fn set(policy: &str, rule: &mut Json, body: &Json) -> Result<(), Refusal> {
    fields::set_at(policy, "", rule, body, &[FIELDS])?;
    let client = text(rule, "client");
    let odd = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',');
    if client.is_empty() || client.contains(odd) {
        return Err(Refusal::of(policy, "Invalid value of 'client'."));
    }
    Ok(())
}

/// Returns the default position of a rule: the last one of its group.
pub(super) fn place(rules: &[Json], rule: &Json) -> usize {
    let own = rank(text(rule, "client"));
    rules.iter().position(|other| rank(text(other, "client")) > own).unwrap_or(rules.len())
}

/// Returns the group of a client: an address or network, another client, or all clients.
fn rank(client: &str) -> u8 {
    let address = client.split_once('/').map_or(client, |(address, _)| address);
    match address.parse::<IpAddr>() {
        Ok(_) => 0,
        Err(_) if client == "*" => 2,
        Err(_) => 1,
    }
}

/// Refuses a request whose versions differ from the current ones of the objects that it names.
pub(super) fn check_versions<'v>(
    request: &Request,
    current: impl Iterator<Item = &'v str>,
) -> Result<(), Refusal> {
    let versions = request.list("versions");
    if versions.is_empty() || versions.into_iter().eq(current) {
        Ok(())
    } else {
        Err(Refusal::whole(412, "The version does not match: the resource has changed."))
    }
}
