//! Stores the objects of one kind on an array by name: find, change, destroy, eradicate.
//!
//! Lookups have an index, and totals a running sum, so that the cost of a request depends only on the objects that it
//! affects. Knows JSON objects, but no kind of array.

mod change;
mod list;
mod sums;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;

use serde_json::{Value as Json, json};

use super::rest::{Refusal, Request};
pub(super) use change::{destroy, set_destroyed};
pub(super) use list::{Counts, Page, Scope};
pub(super) use sums::{Sums, bytes};

/// The objects of one kind.
#[derive(Debug, Clone)]
pub(super) struct Collection {
    /// Name of the kind in messages.
    kind: &'static str,
    /// By key, which is the name in lower case: names are unique regardless of case.
    objects: BTreeMap<String, Json>,
    /// Keys by `id`.
    ids: HashMap<String, String>,
    /// Keys by name in lower case, of objects whose key is not their name.
    names: HashMap<String, String>,
    /// Destroyed objects by time of eradication, with their keys.
    eradications: BTreeSet<(u64, String)>,
    /// Indexed fields, with dots between steps: references, texts, or lists of them.
    fields: &'static [&'static str],
    /// Index: field and value, with the key of each object.
    index: BTreeSet<(String, String)>,
    sums: Sums,
}

// Internal fields begin with an underscore.
/// Time when a destroyed object is eradicated, in milliseconds.
const ERADICATED_AT: &str = "_due";
/// The key of an object whose key is not its name.
pub(super) const KEY: &str = "_key";
/// Bytes written to an object.
pub(super) const USED: &str = "_used";

impl Collection {
    /// Returns an empty collection for a kind that messages call `kind`, with an index of some fields.
    pub(super) fn new(kind: &'static str, fields: &'static [&'static str]) -> Self {
        Self {
            kind,
            objects: BTreeMap::new(),
            ids: HashMap::new(),
            names: HashMap::new(),
            eradications: BTreeSet::new(),
            fields,
            index: BTreeSet::new(),
            sums: Sums::default(),
        }
    }

    /// Returns the number of objects.
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Returns the sums over all objects.
    pub(super) fn sums(&self) -> Sums {
        self.sums
    }

    /// Returns all objects, by key.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Json> {
        self.objects.values()
    }

    /// Returns the object with a name or key.
    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        self.objects.get(&self.key(name))
    }

    /// Returns the object with an id.
    pub(super) fn by_id(&self, id: &str) -> Option<&Json> {
        self.ids.get(id).and_then(|key| self.objects.get(key))
    }

    /// Returns the object with a name. Fails when it is missing or destroyed.
    pub(super) fn live(&self, name: &str) -> Result<&Json, Refusal> {
        match self.get(name) {
            Some(object) if is_destroyed(object) => Err(self.is_gone(name)),
            Some(object) => Ok(object),
            None => Err(Refusal::missing(name, self.kind)),
        }
    }

    /// Returns the objects with a value in a field, by key.
    pub(super) fn of(&self, field: &str, value: &str) -> impl Iterator<Item = &Json> {
        self.keys_of(field, value, "").filter_map(|key| self.objects.get(key))
    }

    /// Returns whether an object has a value in a field.
    pub(super) fn has(&self, field: &str, value: &str) -> bool {
        self.keys_of(field, value, "").next().is_some()
    }

    /// Adds a new object. Fails when its name is taken, even by a destroyed object.
    pub(super) fn add(&mut self, object: Json) -> Result<(), Refusal> {
        self.free(text(&object, "name"))?;
        self.insert(object);
        Ok(())
    }

    /// Refuses a name that is taken.
    pub(super) fn free(&self, name: &str) -> Result<(), Refusal> {
        match self.get(name) {
            Some(_) => Err(Refusal::exists(name, self.kind)),
            None => Ok(()),
        }
    }

    /// Replaces the object with the same key, or adds the object.
    pub(super) fn insert(&mut self, object: Json) {
        let (key, name) = (key(&object), text(&object, "name").to_lowercase());
        self.take(&key);
        if key != name && !name.is_empty() {
            self.names.insert(name, key.clone());
        }
        if let Some(id) = object["id"].as_str() {
            self.ids.insert(id.to_owned(), key.clone());
        }
        if let Some(due) = object[ERADICATED_AT].as_u64() {
            self.eradications.insert((due, key.clone()));
        }
        for term in self.terms(&object) {
            self.index.insert((term, key.clone()));
        }
        self.sums.count(&object, u128::saturating_add);
        self.objects.insert(key, object);
    }

    /// Removes an object.
    pub(super) fn remove(&mut self, name: &str) -> Option<Json> {
        self.take(&self.key(name))
    }

    /// Removes all objects with a value in a field, and returns them.
    pub(super) fn remove_of(&mut self, field: &str, value: &str) -> Vec<Json> {
        let keys: Vec<String> = self.keys_of(field, value, "").cloned().collect();
        keys.iter().filter_map(|key| self.remove(key)).collect()
    }

    /// Returns the objects in `names` or `ids` of a request. Fails when there is none.
    pub(super) fn required(&self, request: &Request) -> Result<Vec<&Json>, Refusal> {
        self.selected_required(request, "names", "ids")
    }

    /// Returns the objects in a request's parameter of names or of ids. Fails when there is none.
    pub(super) fn selected_required(
        &self,
        request: &Request,
        names: &str,
        ids: &str,
    ) -> Result<Vec<&Json>, Refusal> {
        let selected = self.selected(request, names, ids)?;
        if selected.is_empty() { Err(Refusal::lacks(names)) } else { Ok(selected) }
    }

    /// Returns the objects in a request's parameter of names or of ids. Fails unless all exist.
    pub(super) fn selected(
        &self,
        request: &Request,
        names: &str,
        ids: &str,
    ) -> Result<Vec<&Json>, Refusal> {
        let (named, identified) = (request.list(names), request.list(ids));
        if !named.is_empty() && !identified.is_empty() {
            let message = format!("Parameters '{names}' and '{ids}' exclude each other.");
            return Err(Refusal::whole(400, message));
        }
        let found = named.iter().map(|name| (*name, self.get(name)));
        let found = found.chain(identified.iter().map(|id| (*id, self.by_id(id))));
        let mut selected = Vec::new();
        // Repeated names count once.
        let mut keys = HashSet::new();
        for (requested, object) in found {
            let object = object.ok_or_else(|| Refusal::missing(requested, self.kind))?;
            if keys.insert(key(object)) {
                selected.push(object);
            }
        }
        Ok(selected)
    }

    fn is_gone(&self, name: &str) -> Refusal {
        Refusal::of(name, format!("{} has been destroyed.", self.kind))
    }

    fn key(&self, name: &str) -> String {
        let lower = name.to_lowercase();
        self.names.get(&lower).cloned().unwrap_or(lower)
    }

    /// Returns the keys after one, of the objects with a value in a field. The empty key precedes all.
    fn keys_of<'s>(
        &'s self,
        field: &str,
        value: &str,
        after: &str,
    ) -> impl Iterator<Item = &'s String> + use<'s> {
        let term = term(field, value);
        let start = Bound::Excluded((term.clone(), after.to_owned()));
        let found = self.index.range((start, Bound::Unbounded));
        found.take_while(move |(other, _)| *other == term).map(|(_, key)| key)
    }

    fn terms(&self, object: &Json) -> Vec<String> {
        let values = self.fields.iter().map(|field| (field, values(at(object, field))));
        values.flat_map(|(field, values)| values.into_iter().map(|v| term(field, v))).collect()
    }

    fn take(&mut self, key: &str) -> Option<Json> {
        let object = self.objects.remove(key)?;
        self.ids.remove(text(&object, "id"));
        self.names.remove(&text(&object, "name").to_lowercase());
        if let Some(due) = object[ERADICATED_AT].as_u64() {
            self.eradications.remove(&(due, key.to_owned()));
        }
        for term in self.terms(&object) {
            self.index.remove(&(term, key.to_owned()));
        }
        self.sums.count(&object, u128::saturating_sub);
        Some(object)
    }
}

/// Returns the key of an object.
fn key(object: &Json) -> String {
    object[KEY].as_str().map_or_else(|| text(object, "name").to_lowercase(), str::to_owned)
}

/// Returns the index key of a field and value.
fn term(field: &str, value: &str) -> String {
    format!("{field} {}", value.to_lowercase())
}

/// Returns a field of an object, or of a nested one.
fn at<'o>(object: &'o Json, path: &str) -> &'o Json {
    path.split('.').fold(object, |value, step| &value[step])
}

/// Returns the index values of a field: texts, and for references the id or, without one, the name.
fn values(field: &Json) -> Vec<&str> {
    match field {
        Json::String(text) => vec![text],
        Json::Array(items) => items.iter().flat_map(values).collect(),
        Json::Object(_) => Vec::from_iter(field["id"].as_str().or_else(|| field["name"].as_str())),
        _ => Vec::new(),
    }
}

/// Returns whether an object has been destroyed.
pub(super) fn is_destroyed(object: &Json) -> bool {
    object["destroyed"] == true
}

/// Returns an object without internal fields.
pub(super) fn shown(object: &Json, now: u64) -> Json {
    let mut shown = object.clone();
    if let Some(fields) = shown.as_object_mut() {
        fields.retain(|field, _| !field.starts_with('_'));
        if let Some(due) = object[ERADICATED_AT].as_u64() {
            fields.insert("time_remaining".to_owned(), due.saturating_sub(now).into());
        }
    }
    shown
}

/// Returns a text field, or an empty text.
pub(super) fn text<'o>(object: &'o Json, field: &str) -> &'o str {
    object[field].as_str().unwrap_or_default()
}

/// Returns a reference to an object, with name and id.
pub(super) fn reference(object: &Json) -> Json {
    json!({"name": object["name"], "id": object["id"]})
}

/// Returns the id of an object or of a reference.
pub(super) fn id(object: &Json) -> &str {
    text(object, "id")
}
