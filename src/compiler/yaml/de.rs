//! Typed values from nodes, by serde. An error keeps the place of the value that did not fit.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor};

use super::node::{Entry, Node, Scalar, Typed, Value};
use crate::compiler::diagnostic::Place;
use crate::sanitize::quoted;

/// An error of deserialization, with the innermost known place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReadError {
    /// Cause.
    pub message: String,
    /// Place.
    pub place: Option<Place>,
}

impl ReadError {
    /// Adds the place, unless a more specific one is known.
    #[must_use]
    pub fn or_at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }
}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), place: None }
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::custom(format!("expected {}, found {}", wanted_in_words(wanted), in_words(&found)))
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::invalid_type(found, wanted)
    }

    fn invalid_length(found: usize, wanted: &dyn Expected) -> Self {
        Self::custom(format!("expected {}, found {found} items", wanted_in_words(wanted)))
    }

    fn unknown_variant(found: &str, wanted: &'static [&'static str]) -> Self {
        let wanted = wanted.join("`, `");
        Self::custom(format!("expected one of `{wanted}`, found {}", quoted(found)))
    }

    fn unknown_field(found: &str, wanted: &'static [&'static str]) -> Self {
        let wanted = wanted.join("`, `");
        Self::custom(format!("there is no field {}; expected one of `{wanted}`", quoted(found)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format!("`{field}` is missing"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::custom(format!("`{field}` appears twice"))
    }
}

/// Returns the found value in words.
fn in_words(found: &Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        Unexpected::Float(value) => format!("`{value}`"),
        Unexpected::Str(text) => quoted(text),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map | Unexpected::StructVariant => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

/// Returns the expected value in words, without the names of Rust types.
fn wanted_in_words(wanted: &dyn Expected) -> String {
    let words = wanted.to_string();
    match words.as_str() {
        "a string" | "a borrowed string" | "a character" => "text".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        "unit" => "nothing".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        other if other.starts_with("struct ") => "a mapping".to_owned(),
        other if other.starts_with("enum ") => "one word".to_owned(),
        other => other.to_owned(),
    }
}

impl Node {
    /// Deserializes the node as a `T`.
    pub fn read<'de, T: de::Deserialize<'de>>(&'de self) -> Result<T, ReadError> {
        T::deserialize(self)
    }
}

impl Scalar {
    fn visit_any<'de, V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, ReadError> {
        match self.typed() {
            Typed::Null => visitor.visit_unit(),
            Typed::Boolean(value) => visitor.visit_bool(value),
            Typed::Integer(value) => visitor.visit_i64(value),
            Typed::Float(value) => visitor.visit_f64(value),
            Typed::Text => visitor.visit_borrowed_str(self.text()),
        }
    }
}

macro_rules! scalar_by_type {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            self.deserialize_any(visitor)
        })*
    };
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.value {
            Value::Scalar(scalar) => scalar.visit_any(visitor),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => visitor.visit_map(Entries { rest: entries.iter(), value: None }),
        }
        .map_err(|error| error.or_at(self.place))
    }

    /// In a text field, every scalar is text: `11.10` stays `11.10`.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.text() {
            Some(text) => {
                visitor.visit_borrowed_str(text).map_err(|error: ReadError| error.or_at(self.place))
            }
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self).map_err(|error| error.or_at(self.place))
    }

    /// A bare word is a variant without content; a mapping with one key is a variant with content.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match &self.value {
            Value::Scalar(scalar) => visitor.visit_enum(scalar.text().into_deserializer()),
            Value::Map(entries) if entries.len() == 1 => {
                visitor.visit_enum(de::value::MapAccessDeserializer::new(Entries {
                    rest: entries.iter(),
                    value: None,
                }))
            }
            _ => Err(de::Error::custom(format!("expected one word, found {}", self.found()))),
        }
        .map_err(|error: ReadError| error.or_at(self.place))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }

    scalar_by_type! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32
        deserialize_f64 deserialize_unit deserialize_seq deserialize_map deserialize_bytes
        deserialize_byte_buf
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_any(visitor)
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        self.0.next().map(|node| seed.deserialize(node)).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'de> {
    rest: std::slice::Iter<'de, Entry>,
    value: Option<&'de Entry>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        let Some(entry) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(entry);
        let key: StrDeserializer<'_, ReadError> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| error.or_at(entry.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        match self.value.take() {
            Some(entry) => seed.deserialize(&entry.value),
            None => Err(de::Error::custom("a value was requested before its key")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use crate::compiler::diagnostic::Sources;
    use crate::compiler::yaml::read;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        version: String,
        replicas: u16,
        #[serde(default)]
        on: Option<bool>,
    }

    fn sample(text: &str) -> Result<Sample, (String, u32, u32)> {
        let sources = Sources::default();
        let documents = read(sources.add("t", text), &sources).documents;
        documents[0].read().map_err(|error| {
            let place = error.place.expect("a place");
            (error.message, place.line, place.column)
        })
    }

    #[test]
    fn text_fields_keep_what_was_written() {
        let read = sample("version: 11.10\nreplicas: 2\non: ~\n").expect("reads");
        assert_eq!(read, Sample { version: "11.10".to_owned(), replicas: 2, on: None });
    }

    #[test]
    fn errors_stand_at_the_value() {
        let (_, line, column) = sample("version: a\nreplicas: many\n").unwrap_err();
        assert_eq!((line, column), (2, 11));
        let (message, line, column) = sample("version: a\nreplica: 1\n").unwrap_err();
        assert!(message.contains("there is no field \"replica\""), "{message}");
        assert_eq!((line, column), (2, 1));
    }
}
