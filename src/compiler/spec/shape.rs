//! Shapes of documents: one declaration is the source of the check with places, the JSON Schema, `explain` and
//! the reference pages.
//!
//! A shape is derived from a Rust type (by its generated schema) or from a blueprint's parameters.

mod blank;
mod check;
mod explain;
mod from_rust;
mod repair;
mod schema;

use serde_json::Value as Json;

use super::Format;

pub use blank::drop_blank;
pub use check::{Expressions, check};
pub use explain::{bounds, explain, markdown};
pub use repair::{looks_like_a_size, repair};
pub use schema::{schema, schema_with_expressions};

/// The allowed values at one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Description, in a sentence or a paragraph.
    pub about: String,
    /// Type of the value.
    pub kind: Kind,
    /// Value if it is omitted, for documentation.
    pub default: Option<Json>,
    /// An example of a value.
    pub example: Option<Json>,
}

/// Type of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Any YAML value.
    Anything,
    /// `true` or `false`.
    Boolean,
    /// A whole number within bounds, both included.
    Integer {
        /// Smallest.
        min: Option<i64>,
        /// Largest.
        max: Option<i64>,
    },
    /// A word or text.
    Text {
        /// Format of the text.
        format: Format,
        /// The only allowed values; empty for any.
        choices: Vec<String>,
        /// Smallest value, in the format's unit (bytes, seconds).
        min: Option<u64>,
        /// Largest value, in the format's unit.
        max: Option<u64>,
    },
    /// A list.
    List(Box<Shape>),
    /// A mapping with keys that the user chooses.
    Map {
        /// Format of the keys.
        keys: Format,
        /// Shape of the values.
        values: Box<Shape>,
    },
    /// A mapping with known fields.
    Object(Vec<Field>),
    /// One of several forms: a short and a long one.
    Either(Vec<Shape>),
}

/// A field of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its key.
    pub name: String,
    /// Its allowed values.
    pub shape: Shape,
    /// Whether it must be written.
    pub required: bool,
}

impl Shape {
    /// Returns a shape without default or example.
    pub fn new(about: impl Into<String>, kind: Kind) -> Self {
        Self { about: about.into(), kind, default: None, example: None }
    }

    /// Returns the shape of a text with a format.
    pub fn text(about: impl Into<String>, format: Format) -> Self {
        Self::new(about, Kind::Text { format, choices: Vec::new(), min: None, max: None })
    }

    /// Returns the fields of a mapping with known ones; for alternatives, those of the long form.
    pub fn fields(&self) -> Option<&[Field]> {
        match &self.kind {
            Kind::Object(fields) => Some(fields),
            Kind::Either(shapes) => shapes.iter().find_map(Shape::fields),
            _ => None,
        }
    }

    /// Returns the field with a name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields()?.iter().find(|field| field.name == name)
    }

    /// Returns the shape of the value under a key of a mapping.
    pub fn inside(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Map { values, .. } => Some(values),
            Kind::Either(shapes) => shapes.iter().find_map(|shape| shape.inside(key)),
            _ => self.field(key).map(|field| &field.shape),
        }
    }

    /// Returns the shape of the value at a path, through lists and mappings too.
    pub fn at<'s>(&'s self, path: &[&str]) -> Option<&'s Shape> {
        let Some((first, rest)) = path.split_first() else {
            return Some(self);
        };
        let inner = match &self.kind {
            Kind::List(item) => return item.at(path),
            // Field names are accepted without the key between: `components.image`.
            Kind::Map { values, .. } if values.field(first).is_some() => return values.at(path),
            Kind::Map { values, .. } => values,
            Kind::Either(shapes) => return shapes.iter().find_map(|shape| shape.at(path)),
            _ => &self.field(first)?.shape,
        };
        inner.at(rest)
    }

    /// Returns the type in a word or two, as `explain` prints it.
    pub fn type_name(&self) -> String {
        match &self.kind {
            Kind::Anything => "any".to_owned(),
            Kind::Boolean => "boolean".to_owned(),
            Kind::Integer { .. } => "integer".to_owned(),
            Kind::Text { choices, .. } if !choices.is_empty() => choices.join(" | "),
            Kind::Text { format, .. } => format.name().to_owned(),
            Kind::List(item) => format!("list of {}", item.type_name()),
            Kind::Map { values, .. } => format!("map of {}", values.type_name()),
            Kind::Object(_) => "object".to_owned(),
            Kind::Either(shapes) => {
                shapes.iter().map(Self::type_name).collect::<Vec<_>>().join(" | ")
            }
        }
    }

    /// Returns a noun phrase for messages: "expected …".
    pub fn phrase(&self) -> String {
        match &self.kind {
            Kind::Anything => "anything".to_owned(),
            Kind::Boolean => "`true` or `false`".to_owned(),
            Kind::Integer { .. } => "a whole number".to_owned(),
            Kind::Text { choices, .. } if !choices.is_empty() => one_of(choices),
            Kind::Text { format, .. } => format.phrase().to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map { .. } => "a mapping".to_owned(),
            Kind::Object(fields) => {
                let names: Vec<&str> = fields.iter().take(6).map(|f| f.name.as_str()).collect();
                let more = if fields.len() > names.len() { ", …" } else { "" };
                format!("a mapping with `{}`{more}", names.join("`, `"))
            }
            Kind::Either(shapes) => {
                shapes.iter().map(Self::phrase).collect::<Vec<_>>().join(", or ")
            }
        }
    }
}

/// Returns "`a`, `b` or `c`", or "one of …" for many words.
pub(crate) fn one_of(words: &[String]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [only] => format!("`{only}`"),
        [before @ .., last] => format!("`{}` or `{last}`", before.join("`, `")),
    }
}
