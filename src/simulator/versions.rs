//! The REST versions that an array offers, and the features that older ones lack.
//!
//! Handlers implement only the newest version. The tables here check requests and adapt responses.

mod table;

use serde_json::Value as Json;

use super::rest::{Refusal, Request};

/// A feature with the version that introduced it.
#[derive(Debug)]
struct Since {
    /// Resource; `*` means every one.
    resource: &'static str,
    place: Position,
    /// Parameter, or field with dots between the steps. Empty for a resource.
    name: &'static str,
    /// The `n` of `2.n`.
    minor: u32,
}

/// The part of the API that a feature belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// The whole resource.
    Resource,
    /// A parameter of requests.
    Parameter,
    /// A field of bodies, in requests and responses.
    Field,
}

/// The versions of one kind of array.
#[derive(Debug, Clone, Copy)]
pub(super) struct Versions {
    /// The newest version that is offered.
    newest: u32,
    /// Versions that were never published.
    gaps: &'static [u32],
    table: &'static [Since],
}

impl Versions {
    /// Returns those of a FlashBlade, up to the given one or the newest.
    pub(super) fn of_flashblade(newest: Option<u32>) -> Self {
        Self { newest: newest.unwrap_or(28).min(28), gaps: &[], table: table::FLASHBLADE }
    }

    /// Returns those of a FlashArray, up to the given one or the newest.
    pub(super) fn of_flasharray(newest: Option<u32>) -> Self {
        Self { newest: newest.unwrap_or(56).min(56), gaps: &[12, 18], table: table::FLASHARRAY }
    }

    /// Returns all versions, oldest first, as arrays list them.
    pub(super) fn announced(&self) -> Vec<String> {
        (0..=self.newest).filter(|n| !self.gaps.contains(n)).map(|n| format!("2.{n}")).collect()
    }

    /// Parses the version and the resource of a path, `/api/2.3/arrays/space`.
    pub(super) fn resource<'p>(&self, path: &'p str) -> Result<(u32, &'p str), Refusal> {
        let rest = path.strip_prefix("/api/2.").and_then(|path| path.split_once('/'));
        let found = rest.and_then(|(minor, resource)| {
            let number: u32 = minor.parse().ok()?;
            let announced = number <= self.newest && !self.gaps.contains(&number);
            (announced && number.to_string() == minor).then_some((number, resource))
        });
        found.ok_or_else(not_found)
    }

    /// Refuses a request with features that its version lacks.
    pub(super) fn admit(
        &self,
        minor: u32,
        resource: &str,
        request: &Request,
    ) -> Result<(), Refusal> {
        for Since { place, name, .. } in self.unknown(minor, resource) {
            match place {
                Position::Resource => return Err(not_found()),
                Position::Parameter if request.query.contains_key(*name) => {
                    return Err(Refusal::whole(400, format!("Unknown parameter '{name}'.")));
                }
                Position::Field if has(&request.body, name) => {
                    return Err(Refusal::whole(400, format!("Unknown field '{name}'.")));
                }
                Position::Parameter | Position::Field => {}
            }
        }
        Ok(())
    }

    /// Removes fields from a response that its version lacks.
    pub(super) fn trim(&self, minor: u32, resource: &str, answer: &mut Json) {
        for since in self.unknown(minor, resource).filter(|since| since.place == Position::Field) {
            remove(&mut answer["items"], since.name);
            if let Some(total) = answer.get_mut("total") {
                remove(total, since.name);
            }
        }
    }

    fn unknown(&self, minor: u32, resource: &str) -> impl Iterator<Item = &'static Since> {
        let applies = move |since: &&Since| {
            since.minor > minor && (since.resource == resource || since.resource == "*")
        };
        self.table.iter().filter(applies)
    }
}

/// Returns the refusal for a resource that does not exist.
pub(super) fn not_found() -> Refusal {
    Refusal::whole(404, "The requested resource was not found.")
}

/// Returns whether an object, or one of a list, has a field.
fn has(value: &Json, path: &str) -> bool {
    if let Json::Array(items) = value {
        return items.iter().any(|item| has(item, path));
    }
    match path.split_once('.') {
        Some((step, rest)) => value.get(step).is_some_and(|value| has(value, rest)),
        None => value.get(path).is_some(),
    }
}

/// Removes a field from an object, or from all objects of a list.
fn remove(value: &mut Json, path: &str) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(|item| remove(item, path)),
        Json::Object(fields) => match path.split_once('.') {
            Some((step, rest)) => {
                if let Some(value) = fields.get_mut(step) {
                    remove(value, rest);
                }
            }
            None => {
                fields.shift_remove(path);
            }
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::simulator::Method;

    #[test]
    fn the_list_ends_at_the_newest_and_leaves_out_what_never_was() {
        let versions = Versions::of_flasharray(Some(13));
        assert_eq!(versions.announced().last().map(String::as_str), Some("2.13"));
        assert!(!versions.announced().contains(&"2.12".to_owned()));
        assert_eq!(versions.resource("/api/2.13/arrays/space"), Ok((13, "arrays/space")));
        for path in ["/api/2.12/arrays", "/api/2.14/arrays", "/api/2.013/arrays", "/api/arrays"] {
            assert_eq!(versions.resource(path), Err(not_found()), "{path}");
        }
        assert_eq!(Versions::of_flashblade(None).announced().len(), 29);
    }

    #[test]
    fn what_came_later_is_refused_and_left_out() {
        let versions = Versions::of_flashblade(None);
        let admit = |minor, resource, query: &[(&str, &str)], body| {
            let query: BTreeMap<_, _> =
                query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let path = String::new();
            let request =
                Request { method: Method::Post, path, query, api_token: None, session: None, body };
            versions.admit(minor, resource, &request)
        };
        assert_eq!(admit(15, "servers", &[], json!({})), Err(not_found()));
        assert_eq!(admit(16, "servers", &[], json!({})), Ok(()));
        assert!(admit(24, "file-systems", &[("include_snapshot", "true")], json!({})).is_err());
        let nested = json!({"nfs": {"export_policy": {"name": "p"}}});
        assert!(admit(2, "file-systems", &[], nested.clone()).is_err());
        assert_eq!(admit(3, "file-systems", &[], nested), Ok(()));
        let in_list = json!({"rules": [{}, {"required_transport_security": "tls"}]});
        assert!(admit(17, "nfs-export-policies", &[], in_list).is_err());

        let mut answer =
            json!({"items": [{"group_ownership": "creator", "space": {"shared": 0, "unique": 1}}]});
        versions.trim(12, "file-systems", &mut answer);
        assert_eq!(answer, json!({"items": [{"space": {"unique": 1}}]}));
    }
}
