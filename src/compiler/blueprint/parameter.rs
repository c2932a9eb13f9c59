//! Parameters. One declaration becomes the shape that checks and documents the app file, and the value for
//! expressions (sizes in bytes, durations in seconds).

use minijinja::Value;
use serde_json::Value as Json;

use super::language::{Parameter, Scale};
use super::scope::Variables;
use super::template::Template;
use crate::compiler::spec::{Field, Format, Kind, Shape};
use crate::compiler::yaml::{self, Node, ReadError, Typed};
use crate::contract::{Quantity, Seconds};

/// A parameter with everything derived from its declaration.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) name: String,
    declaration: Parameter,
    default: Option<Node>,
    of: Option<Box<Declared>>,
    fields: Vec<Declared>,
}

impl Declared {
    /// Parses a declaration. `scope` contains the catalogue, for choices.
    pub(super) fn read(name: &str, node: &Node, scope: &Variables) -> Result<Self, ReadError> {
        let declaration: Parameter = Template::parse(node)?.within(scope).read()?;
        let inner = |name: &str, node: &Node| Self::read(name, node, scope);
        let of = node.get("of").map(|of| inner("", of).map(Box::new)).transpose()?;
        let fields = node.get("fields").and_then(Node::entries).unwrap_or_default();
        let fields =
            fields.iter().map(|entry| inner(&entry.key, &entry.value)).collect::<Result<_, _>>()?;
        let default = node.get("default").cloned();
        let declared = Self { name: name.to_owned(), declaration, default, of, fields };
        declared.kind().map_err(|message| {
            let place = node.get("type").map_or(node.place, |node| node.place);
            ReadError { message, place: Some(place) }
        })?;
        Ok(declared)
    }

    /// Returns the parameter as a field of `spec`.
    pub(super) fn field(&self) -> Field {
        let kind = self.kind().unwrap_or(Kind::Anything);
        let mut about = self.declaration.about.clone();
        if let Some(unit) = &self.declaration.unit {
            about.push_str(&format!(" Unit: {unit}."));
        }
        let default = self.default.as_ref().map(Node::to_json).or_else(|| {
            let inner = self
                .fields
                .iter()
                .filter_map(|field| Some((field.name.clone(), field.field().shape.default?)));
            let inner: serde_json::Map<_, _> = inner.collect();
            (!inner.is_empty()).then_some(Json::Object(inner))
        });
        let default = default.filter(|default| {
            *default != Json::Array(Vec::new()) && *default != serde_json::json!({})
        });
        let shape = Shape { about, kind, default, example: self.declaration.example.clone() };
        Field { name: self.name.clone(), shape, required: self.declaration.required }
    }

    /// Returns whether its type is one for a number of pods.
    pub(super) fn is_number_of_pods(&self) -> bool {
        matches!(self.declaration.r#type.as_str(), "scale" | "integer")
    }

    fn kind(&self) -> Result<Kind, String> {
        let declaration = &self.declaration;
        let number = |limit: &Option<Json>| limit.as_ref().and_then(Json::as_i64);
        let inner = || {
            let of = self.of.as_ref().map(|of| of.field().shape);
            Box::new(of.unwrap_or_else(|| Shape::text("", Format::Text)))
        };
        Ok(match declaration.r#type.as_str() {
            "boolean" => Kind::Boolean,
            "integer" => {
                Kind::Integer { min: number(&declaration.min), max: number(&declaration.max) }
            }
            "scale" => Kind::Either(vec![
                Shape::new("", Kind::Integer { min: Some(0), max: Some(1000) }),
                Shape::of::<Scale>(),
            ]),
            "list" => Kind::List(inner()),
            "map" => Kind::Map { keys: Format::Text, values: inner() },
            "any" => Kind::Anything,
            "object" => Kind::Object(self.fields.iter().map(Self::field).collect()),
            word => {
                let format = Format::named(word).ok_or_else(|| {
                    format!("the type `{word}` does not exist: see `pso-gen explain blueprint.parameters`")
                })?;
                let measure = |limit: &Option<Json>| {
                    let text = limit.as_ref().map(|limit| match limit {
                        Json::String(text) => text.clone(),
                        other => other.to_string(),
                    })?;
                    match format {
                        Format::Duration => Seconds::parse(&text).map(|s| u64::from(s.0)),
                        _ => Quantity::parse(&text).map(|quantity| quantity.bytes()),
                    }
                };
                Kind::Text {
                    format,
                    choices: declaration.choices.clone(),
                    min: measure(&declaration.min),
                    max: measure(&declaration.max),
                }
            }
        })
    }

    /// Returns the value for expressions, from the app file or the default. The caller has checked the app file
    /// against the shape.
    pub(super) fn value(&self, written: Option<&Node>) -> Value {
        let written = written.filter(|node| !node.is_null());
        let Some(node) = written.or(self.default.as_ref()) else {
            return match self.declaration.r#type.as_str() {
                "object" => self.object(None),
                "list" => Value::from(Vec::<Value>::new()),
                "map" => Value::from_pairs(Vec::<(String, Value)>::new()),
                _ => Value::from(()),
            };
        };
        let item = |node: &Node| match &self.of {
            Some(of) => of.value(Some(node)),
            None => Value::from(node.text().unwrap_or_default()),
        };
        match (self.declaration.r#type.as_str(), &node.value) {
            ("object", _) => self.object(Some(node)),
            ("list", yaml::Value::List(items)) => items.iter().map(item).collect::<Vec<_>>().into(),
            ("map", yaml::Value::Map(entries)) => Value::from_pairs(
                entries.iter().map(|entry| (entry.key.clone(), item(&entry.value))),
            ),
            ("scale", yaml::Value::Map(entries)) => Value::from_pairs(
                entries.iter().map(|entry| (entry.key.clone(), typed(&entry.value))),
            ),
            ("boolean" | "integer" | "scale", _) => typed(node),
            ("any", _) => any(node),
            ("quantity", _) => {
                let bytes = node.text().and_then(Quantity::parse).map(|quantity| quantity.bytes());
                Value::from(bytes)
            }
            ("duration", _) => Value::from(node.text().and_then(Seconds::parse).map(|s| s.0)),
            _ => Value::from(node.text()),
        }
    }

    fn object(&self, node: Option<&Node>) -> Value {
        let field = |field: &Declared| {
            let written = node.and_then(|node| node.get(&field.name));
            (field.name.clone(), field.value(written))
        };
        Value::from_pairs(self.fields.iter().map(field))
    }
}

/// Returns a value of any type: what YAML says that it is.
fn any(node: &Node) -> Value {
    match &node.value {
        yaml::Value::List(items) => items.iter().map(any).collect::<Vec<_>>().into(),
        yaml::Value::Map(entries) => {
            Value::from_pairs(entries.iter().map(|entry| (entry.key.clone(), any(&entry.value))))
        }
        yaml::Value::Scalar(_) => typed(node),
    }
}

fn typed(node: &Node) -> Value {
    match node.scalar().map(yaml::Scalar::typed) {
        Some(Typed::Boolean(value)) => Value::from(value),
        Some(Typed::Integer(value)) => Value::from(value),
        Some(Typed::Float(value)) => Value::from(value),
        _ => Value::from(node.text()),
    }
}
