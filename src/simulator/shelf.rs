//! The objects of one kind on an array, by name, and how they are listed: filter, sort, pages.
//!
//! A page costs what it holds, however many objects there are: the token is the last name given out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::ops::Bound;

use serde_json::{Value as Json, json};

use super::filter::Filter;
use super::rest::{Outcome, Refusal, Request};

/// Objects of one kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    /// By name in lower case: names differ by more than case.
    objects: BTreeMap<String, Json>,
    /// Keys by `id`.
    ids: HashMap<String, String>,
    /// When a destroyed one is eradicated by the array, and its key.
    graves: BTreeSet<(u64, String)>,
}

/// Field of a destroyed object that only we see: when it is eradicated, in milliseconds.
const DUE: &str = "_due";
/// Field that only we see, too: the key of an object that has no name.
pub(super) const KEY: &str = "_key";

/// A page of a list.
#[derive(Debug)]
pub(super) struct Page {
    /// The objects.
    pub(super) items: Vec<Json>,
    /// What to ask with for the next page, if there is one.
    pub(super) token: Option<String>,
    /// All objects after the filter, when that was asked for or costs nothing.
    pub(super) total: Option<usize>,
}

impl Shelf {
    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Returns the object of a name.
    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        self.objects.get(&name.to_lowercase())
    }

    /// Returns the object of a name, to change it.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        self.objects.get_mut(&name.to_lowercase())
    }

    /// Adds an object with a `name` and an `id`.
    pub(super) fn insert(&mut self, object: Json) {
        let key = match object[KEY].as_str() {
            Some(key) => key.to_owned(),
            None => text(&object, "name").to_lowercase(),
        };
        if let Some(id) = object["id"].as_str() {
            self.ids.insert(id.to_owned(), key.clone());
        }
        self.objects.insert(key, object);
    }

    /// Takes an object away.
    pub(super) fn remove(&mut self, name: &str) -> Option<Json> {
        let key = name.to_lowercase();
        let object = self.objects.remove(&key)?;
        self.ids.remove(text(&object, "id"));
        if let Some(due) = object[DUE].as_u64() {
            self.graves.remove(&(due, key));
        }
        Some(object)
    }

    /// Destroys an object: it stays until `due`, in milliseconds since 1970.
    pub(super) fn destroy(&mut self, name: &str, due: u64) {
        let key = name.to_lowercase();
        if let Some(object) = self.objects.get_mut(&key).filter(|object| !is_destroyed(object)) {
            object["destroyed"] = true.into();
            object[DUE] = due.into();
            self.graves.insert((due, key));
        }
    }

    /// Takes a destroyed object back.
    pub(super) fn recover(&mut self, name: &str) {
        let key = name.to_lowercase();
        if let Some(object) = self.objects.get_mut(&key).and_then(Json::as_object_mut) {
            object.insert("destroyed".to_owned(), false.into());
            if let Some(due) = object.remove(DUE).and_then(|due| due.as_u64()) {
                self.graves.remove(&(due, key));
            }
        }
    }

    /// The array's own timer: what was destroyed for long enough is gone. Returns it.
    pub(super) fn bury(&mut self, now: u64) -> Vec<Json> {
        let due: Vec<String> =
            self.graves.iter().take_while(|(due, _)| *due <= now).map(|(_, k)| k.clone()).collect();
        due.iter().filter_map(|key| self.remove(key)).collect()
    }

    /// Destroys or takes back what a request names, as its body says.
    pub(super) fn set_destroyed(
        &mut self,
        request: &Request,
        what: &str,
        now: u64,
        delay: u64,
    ) -> Outcome {
        let names = self.named(request, what)?;
        for name in &names {
            match request.body["destroyed"].as_bool() {
                Some(true) => self.destroy(name, now + delay),
                Some(false) => self.recover(name),
                None => {}
            }
        }
        let items: Vec<Json> =
            names.iter().filter_map(|name| self.get(name)).map(|o| shown(o, now)).collect();
        Ok(json!({ "items": items }))
    }

    /// Eradicates what a request names: all of it, or nothing. Returns it.
    pub(super) fn eradicate(
        &mut self,
        request: &Request,
        what: &str,
        safe_mode: bool,
    ) -> Result<Vec<Json>, Refusal> {
        let names = self.named(request, what)?;
        let live = |name: &&String| self.get(name).is_some_and(|object| !is_destroyed(object));
        if let Some(name) = names.iter().find(live) {
            return Err(Refusal::of(name, format!("{what} has not been destroyed.")));
        }
        if safe_mode {
            return Err(Refusal::whole(400, "Eradication is disabled."));
        }
        Ok(names.iter().filter_map(|name| self.remove(name)).collect())
    }

    /// Takes away all objects for which something holds.
    pub(super) fn remove_where(&mut self, holds: impl Fn(&Json) -> bool) {
        let gone = self.objects.iter().filter(|(_, object)| holds(object));
        let keys: Vec<String> = gone.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.remove(&key);
        }
    }

    /// Gives an object another name.
    pub(super) fn rename(&mut self, name: &str, new: &str) {
        if let Some(mut object) = self.remove(name) {
            object["name"] = new.into();
            self.insert(object);
        }
    }

    /// Returns all objects, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Json> {
        self.objects.values()
    }

    /// Returns the names that `names` or `ids` of a request mean; every one must exist.
    pub(super) fn named(&self, request: &Request, what: &str) -> Result<Vec<String>, Refusal> {
        let (names, ids) = (request.list("names"), request.list("ids"));
        if !names.is_empty() && !ids.is_empty() {
            return Err(Refusal::whole(400, "Parameters 'names' and 'ids' exclude each other."));
        }
        let keys = names.iter().map(|name| (*name, Some(name.to_lowercase())));
        let keys = keys.chain(ids.iter().map(|id| (*id, self.ids.get(*id).cloned())));
        keys.map(|(asked, key)| {
            let object = key.and_then(|key| self.objects.get(&key));
            let object = object.ok_or_else(|| Refusal::missing(asked, what))?;
            Ok(text(object, "name").to_owned())
        })
        .collect()
    }

    /// Lists what a request asks for. `pages` is the largest page that the array gives out.
    pub(super) fn list(
        &self,
        request: &Request,
        what: &str,
        pages: usize,
        now: u64,
    ) -> Result<Page, Refusal> {
        let filter = request.parameter("filter").map(Filter::parse).transpose();
        let filter = filter.map_err(|message| Refusal::whole(400, message))?;
        let destroyed = request.flag("destroyed")?;
        let limit = request.number("limit")?.unwrap_or(pages).min(pages);
        let wanted = |object: &&Json| {
            destroyed.is_none_or(|wanted| object["destroyed"].as_bool() == Some(wanted))
                && filter.as_ref().is_none_or(|filter| filter.holds(object))
        };
        let named = self.named(request, what)?;
        if !named.is_empty() || request.parameter("sort").is_some() {
            // Named objects are few; sorted lists have no token, and are paged by offset.
            let mut items: Vec<&Json> = if named.is_empty() {
                self.objects.values().filter(wanted).collect()
            } else {
                named.iter().filter_map(|name| self.get(name)).filter(wanted).collect()
            };
            sort(&mut items, request);
            let total = items.len();
            let offset = request.number("offset")?.unwrap_or(0);
            let items = items.into_iter().skip(offset).take(limit);
            let items = items.map(|object| shown(object, now)).collect();
            return Ok(Page { items, token: None, total: Some(total) });
        }
        let after = request.parameter("continuation_token").map(untoken).transpose()?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.objects.range::<String, _>((start, Bound::Unbounded));
        let offset = request.number("offset")?.unwrap_or(0);
        let mut found = rest.filter(|(_, object)| wanted(object)).skip(offset);
        let mut items = Vec::new();
        let mut last = None;
        for (key, object) in found.by_ref().take(limit) {
            items.push(shown(object, now));
            last = Some(key);
        }
        let more = limit > 0 && found.next().is_some();
        let all = filter.is_none() && destroyed.is_none();
        let count = limit == 0 || request.flag("total_item_count")? == Some(true);
        let total = match (all, count) {
            (true, _) => Some(self.objects.len()),
            (false, true) => Some(self.objects.values().filter(wanted).count()),
            (false, false) => None,
        };
        let token = last.filter(|_| more).map(|key| token(key));
        Ok(Page { items, token, total })
    }
}

/// Whether an object has been destroyed.
pub(super) fn is_destroyed(object: &Json) -> bool {
    object["destroyed"] == true
}

/// An object as clients see it.
pub(super) fn shown(object: &Json, now: u64) -> Json {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove(KEY);
        if let Some(due) = fields.remove(DUE).and_then(|due| due.as_u64()) {
            fields.insert("time_remaining".to_owned(), due.saturating_sub(now).into());
        }
    }
    object
}

/// Sorts by `field,other-`.
fn sort(items: &mut [&Json], request: &Request) {
    for key in request.list("sort").into_iter().rev() {
        let (field, backwards) = key.strip_suffix('-').map_or((key, false), |field| (field, true));
        let value = |object: &Json| {
            let value = field.split('.').fold(object, |value, step| &value[step]);
            (value.as_f64(), value.as_str().unwrap_or_default().to_lowercase())
        };
        items.sort_by(|a, b| {
            let order = value(a).partial_cmp(&value(b)).unwrap_or(std::cmp::Ordering::Equal);
            if backwards { order.reverse() } else { order }
        });
    }
}

/// Returns a field that is text, or nothing.
pub(super) fn text<'o>(object: &'o Json, field: &str) -> &'o str {
    object[field].as_str().unwrap_or_default()
}

/// A name as an opaque token: clients must not look into it.
fn token(key: &str) -> String {
    key.bytes().fold(String::new(), |mut token, byte| {
        // Writing to a String cannot fail.
        let _ = write!(token, "{byte:02x}");
        token
    })
}

fn untoken(token: &str) -> Result<String, Refusal> {
    let bytes: Option<Vec<u8>> = (0..token.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(token.get(at..at + 2)?, 16).ok())
        .collect();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| Refusal::whole(400, "Invalid continuation token."))
}

/// Returns an object that refers to another by name and id.
pub(super) fn reference(object: &Json) -> Json {
    json!({"name": object["name"], "id": object["id"]})
}
