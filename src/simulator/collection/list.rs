//! Lists of objects of a collection: filters, sorting, pages.
//!
//! The cost of a page depends only on its size: the continuation token is the last key of the page before.

use std::collections::BTreeSet;
use std::ops::Bound;

use serde_json::Value as Json;

use super::sums::total;
use super::{Collection, at, is_destroyed, shown, text, values};
use crate::simulator::filter::Filter;
use crate::simulator::names;
use crate::simulator::rest::{Refusal, Request};

/// A page of a list.
#[derive(Debug)]
pub(in crate::simulator) struct Page {
    /// The objects.
    pub(in crate::simulator) items: Vec<Json>,
    /// Whether there are more objects.
    pub(in crate::simulator) more: bool,
    /// Continuation token of the next page. Sorted lists have none: clients page by offset.
    pub(in crate::simulator) token: Option<String>,
    /// Number of all objects that match the filter, when it was requested or costs nothing.
    pub(in crate::simulator) count: Option<usize>,
    /// Totals of all objects that match the filter, when only totals were requested.
    pub(in crate::simulator) total: Option<Json>,
}

/// When a list contains a count of all matching objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) enum Counts {
    /// In every response, as on a FlashBlade.
    Always,
    /// When requested, as on a FlashArray.
    Asked,
}

/// Restricts a list before its filter: indexed fields, each with values of which an object must have one.
pub(in crate::simulator) type Scope = Vec<(&'static str, Vec<String>)>;

impl Page {
    /// Returns a page with one object.
    pub(in crate::simulator) fn of(object: Json) -> Self {
        Self { items: vec![object], more: false, token: None, count: Some(1), total: None }
    }
}

impl Collection {
    /// Restricts a list to objects that refer, in a field, to the objects of this collection in a request's parameter of
    /// names or of ids, if the request has one.
    pub(in crate::simulator) fn narrow(
        &self,
        scope: &mut Scope,
        field: &'static str,
        request: &Request,
        (names, ids): (&str, &str),
    ) -> Result<(), Refusal> {
        let selected = self.selected(request, names, ids)?;
        if !selected.is_empty() {
            let wanted = selected.into_iter().flat_map(values).map(str::to_owned).collect();
            scope.push((field, wanted));
        }
        Ok(())
    }

    /// Lists the objects of a request. `pages` is the array's largest page.
    pub(in crate::simulator) fn list(
        &self,
        request: &Request,
        scope: &Scope,
        (pages, counts): (usize, Counts),
        now: u64,
    ) -> Result<Page, Refusal> {
        let filter = request.parameter("filter").map(Filter::parse).transpose();
        let filter = filter.map_err(|message| Refusal::whole(400, message))?;
        let destroyed = request.flag("destroyed")?;
        let asked = request.number("limit")?;
        let offset = request.number("offset")?.unwrap_or(0);
        let named = self.selected(request, "names", "ids")?;
        let fits = |object: &Json| destroyed.is_none_or(|wanted| is_destroyed(object) == wanted);
        if let Some(object) = named.iter().find(|object| !fits(object)) {
            return Err(Refusal::missing(text(object, "name"), self.kind));
        }
        let wanted = |object: &&Json| {
            fits(object)
                && scope.iter().all(|(field, wanted)| has_one(&object[*field], wanted))
                && filter.as_ref().is_none_or(|filter| filter.holds(object))
        };
        let sums_only = request.flag("total_only")? == Some(true);
        if !named.is_empty() && sums_only {
            return Ok(summed(named.into_iter().filter(wanted)));
        }
        if !named.is_empty() {
            let mut items: Vec<&Json> = named.into_iter().filter(wanted).collect();
            sort(&mut items, request);
            return Ok(cut(&items, offset, asked.unwrap_or(usize::MAX), now));
        }
        let limit = asked.unwrap_or(pages).min(pages);
        // A filter on an indexed field restricts the list too.
        let pinned = filter.as_ref().and_then(|filter| filter.pinned(self.fields));
        let pinned: Scope =
            pinned.map(|(field, text)| (field, vec![text.to_owned()])).into_iter().collect();
        let narrowest = if scope.is_empty() { &pinned } else { scope };
        let candidates = |after: &str| self.candidates(narrowest, after);
        if sums_only {
            return Ok(summed(candidates("").map(|(_, object)| object).filter(wanted)));
        }
        if request.parameter("sort").is_some() {
            let all = candidates("").map(|(_, object)| object);
            let mut items: Vec<&Json> = all.filter(wanted).collect();
            sort(&mut items, request);
            return Ok(cut(&items, offset, limit, now));
        }
        let after = request.parameter("continuation_token").map(untoken).transpose()?;
        let mut found = candidates(after.as_deref().unwrap_or_default())
            .filter(|(_, object)| wanted(object))
            .skip(offset);
        let mut items = Vec::new();
        let mut last = None;
        for (key, object) in found.by_ref().take(limit) {
            items.push(shown(object, now));
            last = Some(key);
        }
        let more = limit > 0 && found.next().is_some();
        let all = filter.is_none() && destroyed.is_none() && scope.is_empty();
        let is_asked = limit == 0 || request.flag("total_item_count")? == Some(true);
        let count = match (all, is_asked || counts == Counts::Always) {
            (true, _) => Some(self.len()),
            (false, true) => Some(candidates("").filter(|(_, object)| wanted(object)).count()),
            (false, false) => None,
        };
        // Opaque to clients.
        let token = last.filter(|_| more).map(|key| names::hex(key.as_bytes()));
        Ok(Page { items, more, token, count, total: None })
    }

    /// Returns the objects after a key with one of the values in the first field of a scope.
    fn candidates<'s>(
        &'s self,
        scope: &Scope,
        after: &str,
    ) -> Box<dyn Iterator<Item = (&'s String, &'s Json)> + 's> {
        let found = |key: &'s String| self.objects.get_key_value(key);
        match scope.first().map(|(field, values)| (field, values.as_slice())) {
            None => {
                let start = (Bound::Excluded(after.to_owned()), Bound::Unbounded);
                Box::new(self.objects.range(start))
            }
            Some((field, [value])) => Box::new(self.keys_of(field, value, after).filter_map(found)),
            Some((field, values)) => {
                let keys = values.iter().flat_map(|value| self.keys_of(field, value, after));
                let keys: BTreeSet<&String> = keys.collect();
                Box::new(keys.into_iter().filter_map(found))
            }
        }
    }
}

/// Returns a page with totals and without objects.
fn summed<'o>(objects: impl Iterator<Item = &'o Json>) -> Page {
    let objects: Vec<&Json> = objects.collect();
    let (count, total) = (Some(objects.len()), Some(total(&objects)));
    Page { items: Vec::new(), more: false, token: None, count, total }
}

/// Returns a part of a complete list, by offset and length.
fn cut(items: &[&Json], offset: usize, limit: usize, now: u64) -> Page {
    let part: Vec<Json> =
        items.iter().skip(offset).take(limit).map(|object| shown(object, now)).collect();
    let more = limit > 0 && offset.saturating_add(part.len()) < items.len();
    Page { items: part, more, token: None, count: Some(items.len()), total: None }
}

fn has_one(field: &Json, wanted: &[String]) -> bool {
    values(field).iter().any(|value| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(value)))
}

/// Sorts by `field,other-`.
fn sort(items: &mut [&Json], request: &Request) {
    for key in request.list("sort").into_iter().rev() {
        let (field, backwards) = key.strip_suffix('-').map_or((key, false), |field| (field, true));
        let value = |object: &Json| {
            let value = at(object, field);
            (value.as_f64(), value.as_str().unwrap_or_default().to_lowercase())
        };
        items.sort_by(|a, b| {
            let order = value(a).partial_cmp(&value(b)).unwrap_or(std::cmp::Ordering::Equal);
            if backwards { order.reverse() } else { order }
        });
    }
}

/// Parses the key in a token.
fn untoken(token: &str) -> Result<String, Refusal> {
    let bytes: Option<Vec<u8>> = (0..token.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(token.get(at..at + 2)?, 16).ok())
        .collect();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| Refusal::whole(400, "Invalid continuation token."))
}
