//! Changes of objects of a collection: of a single one or all of a kind, by requests and by time, together with the objects
//! that depend on them.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::{Collection, ERADICATED_AT, is_destroyed, key, text};
use crate::simulator::rest::{Refusal, Request};

/// Internal field: the id of the object with which this one was destroyed and is recovered.
const DESTROYED_WITH: &str = "_along";

impl Collection {
    /// Changes an object, including its name.
    pub(in crate::simulator) fn change(&mut self, name: &str, change: impl FnOnce(&mut Json)) {
        if let Some(mut object) = self.remove(name) {
            change(&mut object);
            self.insert(object);
        }
    }

    /// Changes all objects with a value in a field.
    pub(in crate::simulator) fn change_of(
        &mut self,
        field: &str,
        value: &str,
        change: impl Fn(&mut Json),
    ) {
        for mut object in self.remove_of(field, value) {
            change(&mut object);
            self.insert(object);
        }
    }

    /// Destroys the objects that belong to a destroyed object.
    pub(in crate::simulator) fn destroy_of(&mut self, field: &str, id: &str, due: u64) {
        self.change_of(field, id, |object| {
            if !is_destroyed(object) {
                destroy(object, due);
                object[DESTROYED_WITH] = id.into();
            }
        });
    }

    /// Recovers the objects that were destroyed with the object that they belong to.
    pub(in crate::simulator) fn recover_of(&mut self, field: &str, id: &str) {
        self.change_of(field, id, |object| {
            if object[DESTROYED_WITH] == id {
                recover(object);
            }
        });
    }

    /// Removes the objects whose eradication is due, and returns them.
    pub(in crate::simulator) fn eradicate_due(&mut self, now: u64) -> Vec<Json> {
        let due = self.eradications.iter().take_while(|(due, _)| *due <= now);
        let due: Vec<String> = due.map(|(_, key)| key.clone()).collect();
        due.iter().filter_map(|key| self.remove(key)).collect()
    }

    /// Applies a change to a copy of each object in a request, and returns each object with its copy.
    ///
    /// When all changes succeed, [`Collection::replace`] stores them: a request changes all objects, or none.
    pub(in crate::simulator) fn changed_copies(
        &self,
        request: &Request,
        change: impl Fn(&mut Json) -> Result<(), Refusal>,
    ) -> Result<Vec<(Json, Json)>, Refusal> {
        let named = self.required(request)?;
        if let (Some(name), 2..) = (request.body.get("name"), named.len()) {
            return Err(Refusal::of(name.as_str().unwrap_or_default(), "One name for several."));
        }
        let mut changed_copies = Vec::new();
        let mut names = HashSet::new();
        for old in named {
            let name = text(old, "name");
            if is_destroyed(old) && request.body["destroyed"] != false {
                return Err(self.is_gone(name));
            }
            let mut new = old.clone();
            change(&mut new)?;
            if !text(&new, "name").eq_ignore_ascii_case(name) {
                self.free(text(&new, "name"))?;
            }
            if !names.insert(text(&new, "name").to_lowercase()) {
                return Err(Refusal::exists(text(&new, "name"), self.kind));
            }
            changed_copies.push((old.clone(), new));
        }
        Ok(changed_copies)
    }

    /// Replaces an object by its changed copy.
    pub(in crate::simulator) fn replace(&mut self, old: &Json, new: &Json) {
        self.take(&key(old));
        self.insert(new.clone());
    }

    /// Eradicates the objects in a request: all of them, or none. Returns them.
    pub(in crate::simulator) fn eradicate(
        &mut self,
        request: &Request,
        safe_mode: bool,
    ) -> Result<Vec<Json>, Refusal> {
        let named = self.required(request)?;
        if let Some(live) = named.iter().find(|object| !is_destroyed(object)) {
            let message = format!("{} has not been destroyed.", self.kind);
            return Err(Refusal::of(text(live, "name"), message));
        }
        if safe_mode {
            return Err(Refusal::whole(400, "Eradication is disabled."));
        }
        let keys: Vec<String> = named.into_iter().map(key).collect();
        Ok(keys.iter().filter_map(|key| self.take(key)).collect())
    }

    /// Deletes the objects in a request that are not in use: all of them, or none. Returns them.
    pub(in crate::simulator) fn delete(
        &mut self,
        request: &Request,
        holds: impl Fn(&Json) -> Result<(), Refusal>,
    ) -> Result<Vec<Json>, Refusal> {
        let named = self.required(request)?;
        named.iter().try_for_each(|object| holds(object))?;
        let keys: Vec<String> = named.into_iter().map(key).collect();
        Ok(keys.iter().filter_map(|key| self.take(key)).collect())
    }
}

/// Destroys an object. It remains until `due`, in milliseconds since 1970.
pub(in crate::simulator) fn destroy(object: &mut Json, due: u64) {
    object["destroyed"] = true.into();
    object[ERADICATED_AT] = due.into();
}

/// Recovers a destroyed object.
pub(in crate::simulator) fn recover(object: &mut Json) {
    object["destroyed"] = false.into();
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|field, _| field != ERADICATED_AT && field != DESTROYED_WITH);
    }
}

/// Destroys or recovers an object as the body of a request requires.
pub(in crate::simulator) fn set_destroyed(object: &mut Json, body: &Json, due: u64) {
    match body["destroyed"].as_bool() {
        Some(true) => destroy(object, due),
        Some(false) => recover(object),
        None => {}
    }
}
