//! Hosts and their initiators.

use serde_json::{Value as Json, json};

use super::{FlashArray, tags};
use crate::simulator::collection::{KEY, id, shown, text};
use crate::simulator::fields::{self, Field, Takes};
use crate::simulator::names;
use crate::simulator::rest::{Outcome, Refusal, Request};

const FIELDS: &[Field] = &[
    ("chap", Takes::Handler),
    ("iqns", Takes::Handler),
    ("nqns", Takes::Handler),
    ("nvme_stretch", Takes::OneOf(&["disallow", "allow", "allow-only-with-fleet"])),
    ("personality", Takes::OneOf(PERSONALITIES)),
    ("preferred_arrays", Takes::Handler),
    ("qos", Takes::Fields(super::QOS)),
    ("vlan", Takes::Text),
    ("wwns", Takes::Handler),
];
const MADE_WITH: &[Field] = &[("tags", Takes::Handler)];
const CHANGED_WITH: &[Field] = &[
    ("add_iqns", Takes::Handler),
    ("add_nqns", Takes::Handler),
    ("add_wwns", Takes::Handler),
    ("host_group", Takes::Handler),
    ("name", Takes::Text),
    ("remove_iqns", Takes::Handler),
    ("remove_nqns", Takes::Handler),
    ("remove_wwns", Takes::Handler),
];
const CHAP: &[Field] = &[
    ("host_password", Takes::Text),
    ("host_user", Takes::Text),
    ("target_password", Takes::Text),
    ("target_user", Takes::Text),
];
const PERSONALITIES: &[&str] = &[
    "aix",
    "esxi",
    "hitachi-vsp",
    "hpux",
    "nutanix-cluster",
    "nutanix-mgmt",
    "oracle-vm-server",
    "solaris",
    "vms",
];
/// Fields of a host with its initiators, by kind.
pub(super) const INITIATORS: [&str; 3] = ["iqns", "nqns", "wwns"];
/// Allowed characters of a CHAP password.
const PASSWORD: std::ops::RangeInclusive<usize> = 12..=255;

impl FlashArray {
    pub(super) fn make_host(&mut self, request: &Request) -> Outcome {
        let name = request.one("names")?;
        names::check(name, false)?;
        self.hosts.free(name)?;
        if self.hosts.len() >= self.settings.hosts {
            return Err(Refusal::of(name, "Host limit reached."));
        }
        let mut object = json!({
            "name": name, "connection_count": 0, "destroyed": false, "is_local": true, "iqns": [],
            "nqns": [], "vlan": "any", "wwns": [],
        });
        self.set_host(&mut object, &request.body, MADE_WITH)?;
        tags::read(request.body.get("tags"))?;
        let items = json!([shown(&object, 0)]);
        self.hosts.add(object)?;
        Ok(json!({ "items": items }))
    }

    pub(super) fn change_hosts(&mut self, request: &Request) -> Outcome {
        let body = &request.body;
        let changed_copies = self.hosts.changed_copies(request, |host| {
            self.set_host(host, body, CHANGED_WITH)?;
            names::check(text(host, "name"), false)?;
            if let Some(group) = body.get("host_group") {
                return Err(Refusal::missing(text(group, "name"), "Host group"));
            }
            Ok(())
        })?;
        for (old, new) in &changed_copies {
            self.hosts.replace(old, new);
            self.connections.change_of("host", text(old, "name"), |connection| {
                connection["host"]["name"] = new["name"].clone();
                connection[KEY] = super::connections::key(new, id(&connection["volume"])).into();
            });
        }
        Ok(
            json!({"items": changed_copies.iter().map(|(_, new)| shown(new, 0)).collect::<Vec<_>>()}),
        )
    }

    fn set_host(&self, host: &mut Json, body: &Json, more: &[Field]) -> Result<(), Refusal> {
        let name = text(host, "name").to_owned();
        fields::set(host, body, &[FIELDS, more])?;
        for kind in INITIATORS {
            host[kind] = self.initiators(&name, kind, &host[kind], body)?.into();
        }
        // An array does not mix hosts of different protocols.
        let has = |kind: &str| host[kind].as_array().is_some_and(|all| !all.is_empty());
        if has("nqns") && (has("iqns") || has("wwns")) {
            return Err(Refusal::of(name, "A host with NQNs cannot have IQNs or WWNs."));
        }
        if let Some(chap) = body.get("chap") {
            let chap = chap_of(&name, &host["chap"], chap)?;
            if chap.is_object() {
                host["chap"] = chap;
            }
        }
        if let Some(arrays) = body.get("preferred_arrays") {
            let own = |array: &Json| array["name"] == self.settings.name.as_str();
            if !arrays.as_array().is_some_and(|arrays| arrays.iter().all(own)) {
                return Err(Refusal::missing(&name, "Array"));
            }
            host["preferred_arrays"] = arrays.clone();
        }
        let vlan = text(host, "vlan");
        let number = vlan.parse().is_ok_and(|vlan: u16| (1..=4094).contains(&vlan));
        if number || ["any", "untagged"].contains(&vlan) {
            Ok(())
        } else {
            Err(Refusal::of(name, "Invalid value of 'vlan'."))
        }
    }

    /// Returns the host's initiators of one kind after a request. Each belongs to only one host.
    fn initiators(
        &self,
        host: &str,
        kind: &str,
        now: &Json,
        body: &Json,
    ) -> Result<Vec<String>, Refusal> {
        let wrong = |field: &str| Refusal::of(host, format!("Invalid value of '{field}'."));
        let words = |field: &str| match body.get(field) {
            None => Ok(None),
            Some(list) => words(list).map(Some).ok_or_else(|| wrong(field)),
        };
        let (add, gone) = (format!("add_{kind}"), format!("remove_{kind}"));
        let (all, more, gone) = (words(kind)?, words(&add)?, words(&gone)?);
        if all.is_some() && (more.is_some() || gone.is_some()) {
            let message = format!("'{kind}' excludes '{add}' and 'remove_{kind}'.");
            return Err(Refusal::of(host, message));
        }
        let in_use =
            |initiator: &str| Refusal::of(initiator, "The specified initiator is already in use.");
        let mut left = match all {
            Some(all) => all,
            None => self::words(now).unwrap_or_default(),
        };
        for initiator in gone.unwrap_or_default() {
            let at = left.iter().position(|other| other.eq_ignore_ascii_case(&initiator));
            left.remove(at.ok_or_else(|| Refusal::missing(&initiator, "Initiator"))?);
        }
        left.extend(more.unwrap_or_default());
        for (index, initiator) in left.iter().enumerate() {
            let same = |other: &String| other.eq_ignore_ascii_case(initiator);
            let other = |other: &Json| !text(other, "name").eq_ignore_ascii_case(host);
            if left[..index].iter().any(same) || self.hosts.of(kind, initiator).any(other) {
                return Err(in_use(initiator));
            }
            if !is_initiator(kind, initiator) {
                return Err(Refusal::of(initiator, "Invalid initiator."));
            }
        }
        Ok(left)
    }

    pub(super) fn delete_hosts(&mut self, request: &Request) -> Outcome {
        self.hosts.delete(request, |host| {
            if host["connection_count"] == 0 {
                return Ok(());
            }
            let why = "Host cannot be deleted due to existing connections.";
            Err(Refusal::of(text(host, "name"), why))
        })?;
        Ok(json!({}))
    }
}

/// Parses a list of texts.
fn words(list: &Json) -> Option<Vec<String>> {
    list.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Returns whether a text has the format of an initiator of a kind.
fn is_initiator(kind: &str, initiator: &str) -> bool {
    let clean = !initiator.contains(|c: char| c.is_whitespace() || matches!(c, '/' | ','));
    clean
        && match kind {
            "iqns" => ["iqn.", "eui.", "naa."].iter().any(|start| initiator.starts_with(start)),
            "nqns" => initiator.starts_with("nqn."),
            _ => {
                let digits = initiator.replace(':', "");
                digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            }
        }
}

/// Returns the CHAP settings after a request. Passwords are never returned.
fn chap_of(host: &str, now: &Json, body: &Json) -> Result<Json, Refusal> {
    let mut chap = now.clone();
    fields::set_at(host, "chap.", &mut chap, body, &[CHAP])?;
    let passwords = ["host_password", "target_password"].map(|field| body[field].as_str());
    if passwords.iter().flatten().any(|password| !PASSWORD.contains(&password.chars().count())) {
        return Err(Refusal::of(host, "A CHAP password must have 12 to 255 characters."));
    }
    if passwords[0].is_some() && passwords[0] == passwords[1] {
        return Err(Refusal::of(host, "The CHAP passwords of host and target must differ."));
    }
    for field in ["host_password", "target_password"] {
        if chap.get(field).is_some() {
            chap[field] = "****".into();
        }
    }
    Ok(chap)
}
