//! Deserializes typed values from a template within a scope. Expressions are evaluated on demand.

use std::borrow::Cow;

use minijinja::Value as Evaluated;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::{Condition, Key, Piece, Template, print};
use crate::compiler::blueprint::scope::Variables;
use crate::compiler::blueprint::value::Computed;
use crate::compiler::diagnostic::Place;
use crate::compiler::yaml::{Node, ReadError};

/// Largest number of items that one loop may produce.
const MAX_ITEMS: usize = 10_000;

/// A template with the names that its expressions see.
#[derive(Debug, Clone)]
pub(in crate::compiler::blueprint) struct Scoped<'t> {
    template: &'t Template,
    scope: Variables,
}

/// A value with conditions decided and loops unrolled.
enum Ready<'t> {
    Node(&'t Node),
    Computed(Computed),
    List(Vec<Ready<'t>>, Place),
    Map(Vec<(Cow<'t, str>, Place, Ready<'t>)>, Place),
    /// Evaluated when its type is requested.
    Later(Scoped<'t>),
}

impl Template {
    /// Returns the template, to be deserialized within a scope.
    pub(in crate::compiler::blueprint) fn within(&self, scope: &Variables) -> Scoped<'_> {
        Scoped { template: self, scope: scope.clone() }
    }
}

impl Condition {
    fn holds(&self, scope: &Variables) -> Result<bool, ReadError> {
        match self {
            Self::Constant(holds) => Ok(*holds),
            Self::Expression(expression) => Ok(expression.evaluate(scope)?.is_true()),
        }
    }
}

impl<'t> Scoped<'t> {
    /// Deserializes the template as a `T`.
    pub(in crate::compiler::blueprint) fn read<T: de::Deserialize<'t>>(
        self,
    ) -> Result<T, ReadError> {
        T::deserialize(Ready::Later(self))
    }

    /// Follows conditions to the chosen value. Returns none if a condition removes it.
    fn decided(self) -> Result<Option<Self>, ReadError> {
        let mut at = self;
        while let Template::If { when, then, otherwise, .. } = at.template {
            let next = if when.holds(&at.scope)? { Some(then) } else { otherwise.as_ref() };
            let Some(next) = next else { return Ok(None) };
            at.template = next;
        }
        Ok(Some(at))
    }

    fn ready(self) -> Result<Ready<'t>, ReadError> {
        let Self { template, scope } = self;
        Ok(match template {
            Template::Constant(node) => Ready::Node(node),
            Template::Expression(expression, place) => {
                Ready::Computed(Computed::new(expression.evaluate(&scope)?, *place))
            }
            Template::Text(text, place) => {
                Ready::Computed(Computed::new(Evaluated::from(joined(text, &scope)?), *place))
            }
            Template::List(items, place) => {
                let mut out = Vec::with_capacity(items.len());
                for item in items {
                    Scoped { template: item, scope: scope.clone() }.into_items(&mut out)?;
                }
                Ready::List(out, *place)
            }
            Template::Map(entries, place) => {
                let mut out = Vec::with_capacity(entries.len());
                for (key, key_place, value) in entries {
                    let value = Scoped { template: value, scope: scope.clone() };
                    let Some(value) = value.decided()? else {
                        continue;
                    };
                    let key = match key {
                        Key::Constant(key) => Cow::Borrowed(key.as_str()),
                        Key::Text(text) => Cow::Owned(joined(text, &scope)?),
                        Key::Merge => {
                            value.into_entries(&mut out)?;
                            continue;
                        }
                    };
                    out.push((key, *key_place, Ready::Later(value)));
                }
                Ready::Map(out, *place)
            }
            Template::For { place, .. } => {
                let mut out = Vec::new();
                Scoped { template, scope }.into_items(&mut out)?;
                Ready::List(out, *place)
            }
            Template::If { place, .. } => match (Scoped { template, scope }).decided()? {
                Some(decided) => decided.ready()?,
                None => Ready::Computed(Computed::new(Evaluated::from(()), *place)),
            },
        })
    }

    /// Appends the template's items to a list: none, one, or one for each round of a loop.
    fn into_items(self, out: &mut Vec<Ready<'t>>) -> Result<(), ReadError> {
        let Some(decided) = self.decided()? else {
            return Ok(());
        };
        if let Template::For { .. } = decided.template {
            for round in decided.rounds()? {
                round.into_items(out)?;
            }
        } else {
            out.push(Ready::Later(decided));
        }
        Ok(())
    }

    /// Adds the template's entries to a mapping.
    fn into_entries(
        self,
        out: &mut Vec<(Cow<'t, str>, Place, Ready<'t>)>,
    ) -> Result<(), ReadError> {
        let Some(decided) = self.decided()? else {
            return Ok(());
        };
        let place = decided.template.place();
        if let Template::For { .. } = decided.template {
            for round in decided.rounds()? {
                round.into_entries(out)?;
            }
            return Ok(());
        }
        match decided.ready()? {
            Ready::Map(entries, _) => out.extend(entries),
            Ready::Node(node) => {
                let Some(entries) = node.entries() else {
                    return Err(no_mapping(&node.found(), place));
                };
                let ready = |entry: &'t crate::compiler::yaml::Entry| {
                    (Cow::Borrowed(entry.key.as_str()), entry.place, Ready::Node(&entry.value))
                };
                out.extend(entries.iter().map(ready));
            }
            Ready::Computed(computed) => {
                for (key, value) in computed.entries()? {
                    out.push((Cow::Owned(key), place, Ready::Computed(value)));
                }
            }
            Ready::List(..) => return Err(no_mapping("a list", place)),
            Ready::Later(later) => later.into_entries(out)?,
        }
        Ok(())
    }

    /// Returns the loop's body, once for each combination of its names.
    fn rounds(self) -> Result<Vec<Self>, ReadError> {
        let Template::For { bind, when, each, place } = self.template else {
            return Ok(vec![self]);
        };
        let mut scopes = vec![self.scope];
        for (name, list) in bind {
            let mut next = Vec::new();
            for scope in scopes {
                let list: Evaluated = match list.within(&scope).ready()? {
                    Ready::Computed(computed) => computed.into_value(),
                    other => Evaluated::from(minijinja::value::Serde(
                        serde_json::Value::deserialize_ready(other)?,
                    )),
                };
                for item in items_of(&list, *place)? {
                    next.push(scope.with(name, item));
                    if next.len() > MAX_ITEMS {
                        let message = format!("the loop produces more than {MAX_ITEMS} items");
                        return Err(ReadError { message, place: Some(*place) });
                    }
                }
            }
            scopes = next;
        }
        let mut rounds = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let wanted = when.as_ref().map(|when| when.holds(&scope)).transpose()?;
            if wanted.unwrap_or(true) {
                rounds.push(Scoped { template: each, scope });
            }
        }
        Ok(rounds)
    }
}

/// Returns the items of a list, or the entries of a mapping as objects with `key` and `value`.
fn items_of(list: &Evaluated, place: Place) -> Result<Vec<Evaluated>, ReadError> {
    use minijinja::value::ValueKind;
    let unreadable = |_| ReadError {
        message: format!("`for` needs a list or a mapping, found {}", list.kind()),
        place: Some(place),
    };
    match list.kind() {
        ValueKind::Map => list
            .try_iter()
            .map_err(unreadable)?
            .checked()
            .map(|key| {
                let key = key.map_err(unreadable)?;
                let value = list.get_item(&key).map_err(unreadable)?;
                Ok(Evaluated::from_pairs([("key", key), ("value", value)]))
            })
            .collect(),
        ValueKind::Seq | ValueKind::Iterable => list
            .try_iter()
            .map_err(unreadable)?
            .checked()
            .map(|item| item.map_err(unreadable))
            .collect(),
        _ => Err(ReadError {
            message: format!("`for` needs a list or a mapping, found {}", list.kind()),
            place: Some(place),
        }),
    }
}

fn no_mapping(found: &str, place: Place) -> ReadError {
    ReadError { message: format!("`+` needs a mapping, found {found}"), place: Some(place) }
}

fn joined(pieces: &[Piece], scope: &Variables) -> Result<String, ReadError> {
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Expression(expression) => out.push_str(&print(&expression.evaluate(scope)?)),
        }
    }
    Ok(out)
}

trait DeserializeReady: Sized {
    fn deserialize_ready(ready: Ready<'_>) -> Result<Self, ReadError>;
}

impl DeserializeReady for serde_json::Value {
    fn deserialize_ready(ready: Ready<'_>) -> Result<Self, ReadError> {
        de::Deserialize::deserialize(ready)
    }
}

macro_rules! decide_then {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'t>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, ReadError> {
            match self {
                Ready::Node(node) => node.$method($($argument,)* visitor),
                Ready::Computed(computed) => computed.$method($($argument,)* visitor),
                Ready::List(items, place) => visitor
                    .visit_seq(Items(items.into_iter()))
                    .map_err(|error: ReadError| error.or_at(place)),
                Ready::Map(entries, place) => visitor
                    .visit_map(Entries { rest: entries.into_iter(), value: None })
                    .map_err(|error: ReadError| error.or_at(place)),
                Ready::Later(scoped) => scoped.ready()?.$method($($argument,)* visitor),
            }
        })*
    };
}

impl<'t> de::Deserializer<'t> for Ready<'t> {
    type Error = ReadError;

    decide_then! {
        deserialize_any()
        deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64()
        deserialize_f32() deserialize_f64() deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf() deserialize_unit() deserialize_seq()
        deserialize_map() deserialize_identifier()
        deserialize_unit_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self {
            Ready::Later(scoped) => match scoped.decided()? {
                Some(decided) => decided.ready()?.deserialize_option(visitor),
                None => visitor.visit_none(),
            },
            Ready::Node(node) => node.deserialize_option(visitor),
            Ready::Computed(computed) => computed.deserialize_option(visitor),
            other => visitor.visit_some(other),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self {
            Ready::Node(node) => node.deserialize_enum(name, variants, visitor),
            Ready::Computed(computed) => computed.deserialize_enum(name, variants, visitor),
            Ready::Later(scoped) => scoped.ready()?.deserialize_enum(name, variants, visitor),
            Ready::Map(entries, place) => visitor
                .visit_enum(de::value::MapAccessDeserializer::new(Entries {
                    rest: entries.into_iter(),
                    value: None,
                }))
                .map_err(|error: ReadError| error.or_at(place)),
            Ready::List(_, place) => Err(ReadError {
                message: "expected one word, found a list".to_owned(),
                place: Some(place),
            }),
        }
    }

    /// Ignored values are not evaluated.
    fn deserialize_ignored_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }
}

struct Items<'t>(std::vec::IntoIter<Ready<'t>>);

impl<'t> de::SeqAccess<'t> for Items<'t> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'t>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        self.0.next().map(|item| seed.deserialize(item)).transpose()
    }
}

struct Entries<'t> {
    rest: std::vec::IntoIter<(Cow<'t, str>, Place, Ready<'t>)>,
    value: Option<(Place, Ready<'t>)>,
}

impl<'t> de::MapAccess<'t> for Entries<'t> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'t>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        let Some((key, place, value)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some((place, value));
        let key: de::value::StrDeserializer<'_, ReadError> = key.as_ref().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| error.or_at(place))
    }

    fn next_value_seed<V: DeserializeSeed<'t>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        match self.value.take() {
            Some((place, value)) => seed.deserialize(value).map_err(|error| error.or_at(place)),
            None => Err(de::Error::custom("a value was requested before its key")),
        }
    }
}
