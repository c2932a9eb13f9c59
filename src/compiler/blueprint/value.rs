//! Deserializes computed values of expressions, with errors at the expression's place.

use minijinja::Value;
use minijinja::value::ValueKind;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use crate::compiler::diagnostic::Place;
use crate::compiler::yaml::ReadError;

/// A computed value and the place of its expression.
#[derive(Debug, Clone)]
pub(super) struct Computed {
    value: Value,
    place: Place,
}

impl Computed {
    pub(super) fn new(value: Value, place: Place) -> Self {
        Self { value, place }
    }

    pub(super) fn into_value(self) -> Value {
        self.value
    }

    /// Returns the entries of a mapping.
    pub(super) fn entries(&self) -> Result<Vec<(String, Self)>, ReadError> {
        if self.value.kind() != ValueKind::Map {
            return Err(self.type_error("a mapping"));
        }
        self.items()?
            .into_iter()
            .map(|key| {
                let value = self.value.get_item(&key.value).map_err(|error| self.error(&error))?;
                Ok((key.value.to_string(), Self::new(value, self.place)))
            })
            .collect()
    }

    fn items(&self) -> Result<Vec<Self>, ReadError> {
        self.value
            .try_iter()
            .map_err(|error| self.error(&error))?
            .checked()
            .map(|item| {
                item.map(|item| Self::new(item, self.place)).map_err(|error| self.error(&error))
            })
            .collect()
    }

    fn error(&self, error: &minijinja::Error) -> ReadError {
        ReadError { message: error.to_string(), place: Some(self.place) }
    }

    fn type_error(&self, wanted: &str) -> ReadError {
        ReadError {
            message: format!(
                "expected {wanted}, but the value of the expression is {}",
                self.value.kind()
            ),
            place: Some(self.place),
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(self.value.kind(), ValueKind::None | ValueKind::Undefined)
    }
}

macro_rules! as_any {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, ReadError> {
            $(let _ = $argument;)*
            self.deserialize_any(visitor)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Computed {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let place = self.place;
        match self.value.kind() {
            ValueKind::None | ValueKind::Undefined => visitor.visit_unit(),
            ValueKind::Bool => visitor.visit_bool(self.value.is_true()),
            ValueKind::Number => match self.value.as_i64() {
                Some(number) => visitor.visit_i64(number),
                None => visitor
                    .visit_f64(f64::try_from(self.value.clone()).map_err(|e| self.error(&e))?),
            },
            ValueKind::String => visitor.visit_str(self.value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                visitor.visit_seq(de::value::SeqDeserializer::new(self.items()?.into_iter()))
            }
            ValueKind::Map => {
                let entries = self.entries()?.into_iter();
                visitor.visit_map(Entries { rest: entries, value: None })
            }
            _ => Err(self.type_error("a plain value")),
        }
        .map_err(|error: ReadError| error.or_at(place))
    }

    /// Numbers and booleans become text if text is expected, as in an environment variable.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let place = self.place;
        match self.value.kind() {
            ValueKind::Number => visitor.visit_string(self.value.to_string()),
            ValueKind::Bool => visitor.visit_string(self.value.is_true().to_string()),
            _ => return self.deserialize_any(visitor),
        }
        .map_err(|error: ReadError| error.or_at(place))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.is_nothing() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let place = self.place;
        match self.value.as_str() {
            Some(word) => {
                let word: de::value::StrDeserializer<'_, ReadError> = word.into_deserializer();
                visitor.visit_enum(word)
            }
            None => Err(self.type_error("one word")),
        }
        .map_err(|error: ReadError| error.or_at(place))
    }

    as_any! {
        deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64()
        deserialize_f32() deserialize_f64() deserialize_char()
        deserialize_bytes() deserialize_byte_buf() deserialize_unit() deserialize_seq()
        deserialize_map() deserialize_identifier() deserialize_ignored_any()
        deserialize_unit_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
    }
}

impl IntoDeserializer<'_, ReadError> for Computed {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

struct Entries {
    rest: std::vec::IntoIter<(String, Computed)>,
    value: Option<Computed>,
}

impl<'de> de::MapAccess<'de> for Entries {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        let Some((key, value)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        let key: de::value::StringDeserializer<ReadError> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        match self.value.take() {
            Some(value) => seed.deserialize(value),
            None => Err(de::Error::custom("a value was requested before its key")),
        }
    }
}
