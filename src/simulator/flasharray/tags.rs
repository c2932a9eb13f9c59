//! Tags of volumes: a key and a value in a namespace.

use serde_json::{Value as Json, json};

use super::FlashArray;
use crate::simulator::collection::{KEY, Scope, id, is_destroyed, reference, shown, text};
use crate::simulator::fields::{self, Field, Takes};
use crate::simulator::names;
use crate::simulator::rest::{Outcome, Refusal, Request};

const FIELDS: &[Field] = &[
    ("copyable", Takes::Boolean),
    ("key", Takes::Text),
    ("namespace", Takes::Text),
    ("resource", Takes::Handler),
    ("value", Takes::Text),
];
/// The namespace of requests without one.
const DEFAULT: &str = "default";
/// Largest key and value in characters, and largest number of tags in a request.
const LONGEST_KEY: usize = 64;
const LONGEST_VALUE: usize = 256;
const MOST: usize = 30;

impl FlashArray {
    pub(super) fn tags_scope(&self, request: &Request) -> Result<Scope, Refusal> {
        let volumes = self.volumes.selected_required(request, "resource_names", "resource_ids")?;
        let destroyed = request.flag("resource_destroyed")?;
        let unfit =
            |volume: &&&Json| destroyed.is_some_and(|wanted| is_destroyed(volume) != wanted);
        if let Some(volume) = volumes.iter().find(unfit) {
            return Err(Refusal::missing(text(volume, "name"), "Volume"));
        }
        let volumes = volumes.into_iter().map(|volume| id(volume).to_owned()).collect();
        Ok(vec![("resource", volumes), ("namespace", namespaces(request))])
    }

    pub(super) fn change_tags(&mut self, request: &Request, now: u64) -> Outcome {
        let volumes = self.volumes.selected_required(request, "resource_names", "resource_ids")?;
        let volumes: Vec<Json> = volumes.into_iter().cloned().collect();
        let tags = read(Some(&request.body))?;
        if tags.is_empty() {
            return Err(Refusal::whole(400, "A request must have 1 to 30 tags."));
        }
        let mut items = Vec::new();
        for volume in &volumes {
            self.put_tags(volume, &tags);
            let made = tags.iter().filter_map(|tag| self.tags.get(&key(volume, tag)));
            items.extend(made.map(|tag| shown(tag, now)));
        }
        Ok(json!({ "items": items }))
    }

    pub(super) fn delete_tags(&mut self, request: &Request) -> Outcome {
        let volumes = self.volumes.selected_required(request, "resource_names", "resource_ids")?;
        let namespaces = namespaces(request);
        let [namespace] = namespaces.as_slice() else {
            return Err(Refusal::whole(400, "Only one value is allowed in 'namespaces'."));
        };
        let keys = request.list("keys");
        if keys.is_empty() {
            return Err(Refusal::lacks("keys"));
        }
        let mut gone = Vec::new();
        for volume in volumes {
            for name in &keys {
                let key = key(volume, &json!({"namespace": namespace, "key": name}));
                self.tags.get(&key).ok_or_else(|| Refusal::missing(name, "Tag"))?;
                gone.push(key);
            }
        }
        for key in gone {
            self.tags.remove(&key);
        }
        Ok(json!({}))
    }

    /// Sets tags of a volume, and replaces tags with the same keys.
    pub(super) fn put_tags(&mut self, volume: &Json, tags: &[Json]) {
        for tag in tags {
            let mut tag = tag.clone();
            tag["resource"] = reference(volume);
            tag[KEY] = key(volume, &tag).into();
            self.tags.insert(tag);
        }
    }

    /// Returns the tags that are copied to a clone of a volume.
    pub(super) fn copied_tags(&self, volume: &Json) -> Vec<Json> {
        let tags = self.tags.of("resource", id(volume));
        tags.filter(|tag| tag["copyable"] == true).cloned().collect()
    }
}

/// Parses the tags of a request, if it has any.
pub(super) fn read(given: Option<&Json>) -> Result<Vec<Json>, Refusal> {
    let Some(given) = given else {
        return Ok(Vec::new());
    };
    let wrong = || Refusal::whole(400, "A request must have 1 to 30 tags.");
    let given = given.as_array().filter(|tags| (1..=MOST).contains(&tags.len()));
    let mut tags: Vec<Json> = Vec::new();
    for body in given.ok_or_else(wrong)? {
        let mut tag = json!({"namespace": DEFAULT, "copyable": true});
        fields::set(&mut tag, body, &[FIELDS])?;
        let (key, value) = (text(&tag, "key"), text(&tag, "value"));
        if key.is_empty() || key.chars().count() > LONGEST_KEY {
            return Err(Refusal::of(key, "A tag's key must have 1 to 64 characters."));
        }
        if value.chars().count() > LONGEST_VALUE {
            return Err(Refusal::of(key, "A tag's value must have at most 256 characters."));
        }
        let same = |other: &Json| ["namespace", "key"].iter().all(|f| other[*f] == tag[*f]);
        if tags.iter().any(same) {
            return Err(Refusal::of(key, "A tag is given twice."));
        }
        tags.push(tag);
    }
    Ok(tags)
}

fn namespaces(request: &Request) -> Vec<String> {
    match request.list("namespaces") {
        none if none.is_empty() => vec![DEFAULT.to_owned()],
        some => some.into_iter().map(str::to_owned).collect(),
    }
}

/// Returns the key of a tag: volume, namespace and key. Namespace and key are case-sensitive, so the key contains their
/// bytes.
fn key(volume: &Json, tag: &Json) -> String {
    let bytes = [text(tag, "namespace"), text(tag, "key")].map(|part| names::hex(part.as_bytes()));
    format!("{} {} {}", id(volume), bytes[0], bytes[1])
}
