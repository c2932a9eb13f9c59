//! Quotas of users and groups on a file system: the same resource under two names.

use std::collections::HashSet;

use serde_json::{Value as Json, json};

use super::FlashBlade;
use crate::simulator::collection::{Collection, KEY, Scope, id, reference, shown, text};
use crate::simulator::fields::{self, Field, Takes};
use crate::simulator::rest::{Outcome, Refusal, Request};

/// The subject of a quota.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuotaKind {
    /// Field of a quota.
    field: &'static str,
    /// Parameters of requests: numbers and names.
    numbers: &'static str,
    names: &'static str,
    /// Field of a file system with the default quota.
    default: &'static str,
}

pub(super) const USERS: QuotaKind = QuotaKind {
    field: "user",
    numbers: "uids",
    names: "user_names",
    default: "default_user_quota",
};
pub(super) const GROUPS: QuotaKind = QuotaKind {
    field: "group",
    numbers: "gids",
    names: "group_names",
    default: "default_group_quota",
};

const FIELDS: &[Field] = &[("quota", Takes::Number(1, i64::MAX))];
const FILE_SYSTEMS: (&str, &str) = ("file_system_names", "file_system_ids");
/// Internal field: the user or group, by number or name.
const WHO: &str = "_who";

impl FlashBlade {
    pub(super) fn quotas_scope(
        &self,
        kind: QuotaKind,
        request: &Request,
    ) -> Result<Scope, Refusal> {
        let mut scope = Scope::new();
        self.file_systems.narrow(&mut scope, "file_system", request, FILE_SYSTEMS)?;
        let who = kind.of(request)?;
        if !who.is_empty() {
            scope.push((WHO, who.iter().map(|who| text(who, WHO).to_owned()).collect()));
        }
        Ok(scope)
    }

    pub(super) fn make_quotas(&mut self, kind: QuotaKind, request: &Request, now: u64) -> Outcome {
        let systems =
            self.file_systems.selected_required(request, FILE_SYSTEMS.0, FILE_SYSTEMS.1)?;
        let who = kind.required(request)?;
        if request.body.get("quota").is_none() {
            return Err(Refusal::whole(400, "Missing required field 'quota'."));
        }
        let mut new = Vec::new();
        for system in systems {
            let system = self.file_systems.live(text(system, "name"))?;
            for who in &who {
                let mut object = json!({
                    KEY: key(system, who), WHO: who[WHO], "file_system": reference(system),
                    "file_system_default_quota": system[kind.default], "usage": 0,
                    kind.field: who["shown"],
                    "name": format!("{}/{}", text(system, "name"), text(who, WHO)),
                });
                fields::set(&mut object, &request.body, &[FIELDS])?;
                if kind.quotas(self).get(text(&object, KEY)).is_some() {
                    return Err(Refusal::exists(text(&object, "name"), "Quota"));
                }
                new.push(object);
            }
        }
        let items: Vec<Json> = new.iter().map(|object| shown(object, now)).collect();
        for object in new {
            kind.quotas_mut(self).insert(object);
        }
        Ok(json!({ "items": items }))
    }

    pub(super) fn change_quotas(
        &mut self,
        kind: QuotaKind,
        request: &Request,
        now: u64,
    ) -> Outcome {
        let mut changed = Vec::new();
        for mut object in self.quotas(kind, request)? {
            fields::set(&mut object, &request.body, &[FIELDS])?;
            changed.push(object);
        }
        let items: Vec<Json> = changed.iter().map(|object| shown(object, now)).collect();
        for object in changed {
            kind.quotas_mut(self).insert(object);
        }
        Ok(json!({ "items": items }))
    }

    pub(super) fn delete_quotas(&mut self, kind: QuotaKind, request: &Request) -> Outcome {
        for object in self.quotas(kind, request)? {
            kind.quotas_mut(self).remove(text(&object, KEY));
        }
        Ok(json!({}))
    }

    /// Returns the quotas of a request: by their names, or by file systems and users.
    fn quotas(&self, kind: QuotaKind, request: &Request) -> Result<Vec<Json>, Refusal> {
        let quotas = kind.quotas(self);
        if request.parameter("names").is_some() {
            return Ok(quotas.required(request)?.into_iter().cloned().collect());
        }
        let systems =
            self.file_systems.selected_required(request, FILE_SYSTEMS.0, FILE_SYSTEMS.1)?;
        let who = kind.required(request)?;
        let pairs = systems.iter().flat_map(|system| who.iter().map(move |who| (system, who)));
        let found = pairs.map(|(system, who)| {
            let quota = quotas.get(&key(system, who));
            quota.cloned().ok_or_else(|| Refusal::missing(text(who, WHO), "Quota"))
        });
        found.collect()
    }
}

impl QuotaKind {
    fn quotas(self, array: &FlashBlade) -> &Collection {
        if self.field == "user" { &array.user_quotas } else { &array.group_quotas }
    }

    fn quotas_mut(self, array: &mut FlashBlade) -> &mut Collection {
        if self.field == "user" { &mut array.user_quotas } else { &mut array.group_quotas }
    }

    fn required(self, request: &Request) -> Result<Vec<Json>, Refusal> {
        let who = self.of(request)?;
        if who.is_empty() { Err(Refusal::lacks(self.numbers)) } else { Ok(who) }
    }

    /// Returns the users or groups of a request: the internal key, and the value for clients.
    fn of(self, request: &Request) -> Result<Vec<Json>, Refusal> {
        let numbers = request.list(self.numbers).into_iter().map(|number| {
            let read: u32 = number.parse().map_err(|_| {
                Refusal::of(number, format!("Invalid value of parameter '{}'.", self.numbers))
            })?;
            Ok(json!({WHO: number, "shown": {"id": read}}))
        });
        let names = request.list(self.names).into_iter();
        let names = names.map(|name| Ok(json!({WHO: name, "shown": {"name": name}})));
        let mut all: Vec<Json> = numbers.chain(names).collect::<Result<_, Refusal>>()?;
        // Repeated users count once.
        let mut seen = HashSet::new();
        all.retain(|who| seen.insert(text(who, WHO).to_lowercase()));
        Ok(all)
    }
}

fn key(system: &Json, who: &Json) -> String {
    format!("{} {}", id(system), text(who, WHO).to_lowercase())
}
