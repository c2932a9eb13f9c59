//! Lists of the objects on a shelf: filter, sort, pages.
//!
//! A page costs what it holds, however many objects there are: the token is the last key given out.

use std::collections::BTreeSet;
use std::ops::Bound;

use serde_json::Value as Json;

use super::sums::total;
use super::{Shelf, at, is_destroyed, shown, text, values};
use crate::simulator::filter::Filter;
use crate::simulator::names;
use crate::simulator::rest::{Refusal, Request};

/// A page of a list.
#[derive(Debug)]
pub(in crate::simulator) struct Page {
    /// The objects.
    pub(in crate::simulator) items: Vec<Json>,
    /// Whether there are more.
    pub(in crate::simulator) more: bool,
    /// What to ask with for the next page. Sorted lists have none: they are paged by offset.
    pub(in crate::simulator) token: Option<String>,
    /// All objects after the filter, when that was asked for or costs nothing.
    pub(in crate::simulator) count: Option<usize>,
    /// What all objects after the filter add up to, when nothing else was asked for.
    pub(in crate::simulator) total: Option<Json>,
}

/// When a list has a count of all objects after the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) enum Counts {
    /// In every answer, as a FlashBlade's.
    Always,
    /// When it is asked for, as a FlashArray's.
    Asked,
}

/// What narrows a list before its filter: fields of the index, and the values of which an object must have
/// one in each.
pub(in crate::simulator) type Scope = Vec<(&'static str, Vec<String>)>;

impl Page {
    /// Returns a page of one object.
    pub(in crate::simulator) fn of(object: Json) -> Self {
        Self { items: vec![object], more: false, token: None, count: Some(1), total: None }
    }
}

impl Shelf {
    /// Narrows a list to what refers, in a field, to those objects of this shelf that a request means by a
    /// parameter of names or one of ids, if it means any.
    pub(in crate::simulator) fn narrow(
        &self,
        scope: &mut Scope,
        field: &'static str,
        request: &Request,
        (names, ids): (&str, &str),
    ) -> Result<(), Refusal> {
        let meant = self.meant(request, names, ids)?;
        if !meant.is_empty() {
            let wanted = meant.into_iter().flat_map(values).map(str::to_owned).collect();
            scope.push((field, wanted));
        }
        Ok(())
    }

    /// Lists what a request asks for. `pages` is the largest page that the array gives out.
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
        let named = self.meant(request, "names", "ids")?;
        let fits = |object: &Json| destroyed.is_none_or(|wanted| is_destroyed(object) == wanted);
        if let Some(object) = named.iter().find(|object| !fits(object)) {
            return Err(Refusal::missing(text(object, "name"), self.what));
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
        // A filter that pins an indexed field is a scope, too.
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
        // Opaque: clients must not look into it.
        let token = last.filter(|_| more).map(|key| names::hex(key.as_bytes()));
        Ok(Page { items, more, token, count, total: None })
    }

    /// The objects after a key that have one of the values in the first field of a scope.
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

/// A page without objects, with what they add up to.
fn summed<'o>(objects: impl Iterator<Item = &'o Json>) -> Page {
    let objects: Vec<&Json> = objects.collect();
    let (count, total) = (Some(objects.len()), Some(total(&objects)));
    Page { items: Vec::new(), more: false, token: None, count, total }
}

/// The part of a list that begins somewhere and has a length, all of it being known.
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

/// Reads the key back from a token.
fn untoken(token: &str) -> Result<String, Refusal> {
    let bytes: Option<Vec<u8>> = (0..token.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(token.get(at..at + 2)?, 16).ok())
        .collect();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| Refusal::whole(400, "Invalid continuation token."))
}
