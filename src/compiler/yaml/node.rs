//! A YAML document as a tree in which every value and key has a place.

use serde_json::Value as Json;

use crate::compiler::diagnostic::Place;
use crate::sanitize::quoted;

/// A value and its place. The place of a mapping or list inside a mapping is that of its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Its place.
    pub place: Place,
}

/// Types of value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A word, number or text. Deserialization decides its type.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the text; keys are unique.
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Place of the key.
    pub place: Place,
    /// Its value.
    pub value: Node,
}

/// A scalar as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// Without quotes: may be a number, a boolean or null.
    Plain(String),
    /// In quotes or a block: always text.
    Text(String),
}

/// Type of a plain scalar if no other type is expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Typed {
    /// `null`, `~` or an empty value.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction or exponent.
    Float(f64),
    /// Text.
    Text,
}

impl Scalar {
    /// Returns the text as written, without quotes.
    pub fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Text(text) => text,
        }
    }

    /// Returns the type by the YAML 1.2 core schema, except that `0440` is octal, as in Kubernetes.
    pub fn typed(&self) -> Typed {
        let Self::Plain(text) = self else {
            return Typed::Text;
        };
        match text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => return Typed::Null,
            "true" | "True" | "TRUE" => return Typed::Boolean(true),
            "false" | "False" | "FALSE" => return Typed::Boolean(false),
            _ => {}
        }
        if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
            return Typed::Text;
        }
        integer(text)
            .map(Typed::Integer)
            .or_else(|| float(text).map(Typed::Float))
            .unwrap_or(Typed::Text)
    }
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number = if let Some(hex) = digits.strip_prefix("0x") {
        i64::from_str_radix(hex, 16)
    } else if let Some(octal) = digits.strip_prefix("0o") {
        i64::from_str_radix(octal, 8)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    number.ok().map(|n| if negative { -n } else { n })
}

fn float(text: &str) -> Option<f64> {
    let is_float = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
        && text.contains(['.', 'e', 'E']);
    text.parse().ok().filter(|number: &f64| is_float && number.is_finite())
}

impl Node {
    /// Returns a mapping without entries at a place.
    pub fn empty_map(place: Place) -> Self {
        Self { value: Value::Map(Vec::new()), place }
    }

    /// Returns the entries, if the node is a mapping.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Returns the items, if the node is a list.
    pub fn items(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the entry with a key, if the node is a mapping that has one.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| entry.key == key)
    }

    /// Returns the value of a key, if the node is a mapping that has one.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Returns the scalar, if the node is one and not null.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) if scalar.typed() != Typed::Null => Some(scalar),
            _ => None,
        }
    }

    /// Returns the text of a scalar as written, if the node is one and not null.
    pub fn text(&self) -> Option<&str> {
        self.scalar().map(Scalar::text)
    }

    /// Returns whether the node is null or empty.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.typed() == Typed::Null)
    }

    /// Returns the place of the value at a path, or of the last existing value on the way.
    pub fn place_of<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Place {
        let mut node = self;
        let mut place = self.place;
        for step in path {
            let next = match &node.value {
                Value::Map(_) => node.entry(step).map(|entry| &entry.value),
                Value::List(items) => step.parse().ok().and_then(|i: usize| items.get(i)),
                Value::Scalar(_) => None,
            };
            let Some(next) = next else { break };
            place = next.place;
            node = next;
        }
        place
    }

    /// Returns the found value in words, for a message.
    pub fn found(&self) -> String {
        match &self.value {
            Value::Map(_) => "a mapping".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Scalar(scalar) => match scalar.typed() {
                Typed::Null => "nothing".to_owned(),
                Typed::Boolean(_) | Typed::Integer(_) | Typed::Float(_) => {
                    format!("`{}`", scalar.text())
                }
                Typed::Text => {
                    let mut text: String = scalar.text().chars().take(60).collect();
                    if text.len() < scalar.text().len() {
                        text.push('…');
                    }
                    quoted(text)
                }
            },
        }
    }

    /// Returns the node as JSON, with the types of plain scalars.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Map(entries) => Json::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
            ),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Scalar(scalar) => match scalar.typed() {
                Typed::Null => Json::Null,
                Typed::Boolean(value) => Json::Bool(value),
                Typed::Integer(value) => Json::from(value),
                Typed::Float(value) => Json::from(value),
                Typed::Text => Json::String(scalar.text().to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_read_as_kubernetes_reads_them() {
        let typed = |text: &str| Scalar::Plain(text.to_owned()).typed();
        assert_eq!(typed("~"), Typed::Null);
        assert_eq!(typed("true"), Typed::Boolean(true));
        assert_eq!(typed("yes"), Typed::Text);
        assert_eq!(typed("0440"), Typed::Integer(0o440));
        assert_eq!(typed("0x1F"), Typed::Integer(31));
        assert_eq!(typed("-7"), Typed::Integer(-7));
        assert_eq!(typed("1e3"), Typed::Float(1000.0));
        assert_eq!(typed("10Gi"), Typed::Text);
        assert_eq!(typed("1.2.3"), Typed::Text);
        assert_eq!(typed("-"), Typed::Text);
        assert_eq!(typed("2026-12-24"), Typed::Text);
        assert_eq!(Scalar::Text("1".to_owned()).typed(), Typed::Text);
    }
}
