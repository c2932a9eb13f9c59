//! Shapes of Rust types, from the JSON Schema of their fields and doc comments.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value as Json};

use super::{Field, Kind, Shape};
use crate::compiler::spec::Format;

/// Largest nesting of a type inside itself. Deeper values may be anything.
const RECURSION: usize = 2;

impl Shape {
    /// Returns the shape of a type.
    pub fn of<T: JsonSchema>() -> Self {
        let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
        let json = Json::from(schema);
        let definitions = json.get("$defs").and_then(Json::as_object).cloned().unwrap_or_default();
        Converter { definitions: &definitions, open: Vec::new() }.shape(&json)
    }
}

struct Converter<'d> {
    definitions: &'d Map<String, Json>,
    open: Vec<String>,
}

impl Converter<'_> {
    fn shape(&mut self, json: &Json) -> Shape {
        let mut shape = self.bare(json);
        if let Some(about) = json["description"].as_str() {
            // Source line breaks inside doc comments are removed; paragraphs are kept.
            shape.about = about
                .split("\n\n")
                .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
                .join("\n\n");
        }
        shape.default =
            json.get("default").filter(|d| is_worth_telling(d)).cloned().or(shape.default);
        let example = json["examples"].as_array().and_then(|examples| examples.first());
        shape.example = example.cloned().or(shape.example);
        shape
    }

    fn bare(&mut self, json: &Json) -> Shape {
        if let Some(name) = json["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
            return self.named(name);
        }
        if let Some(options) = json["anyOf"].as_array().or_else(|| json["oneOf"].as_array()) {
            return self.either(options);
        }
        if let Some(values) = json["enum"].as_array() {
            return choices(values.iter().filter_map(Json::as_str));
        }
        if let Some(value) = json["const"].as_str() {
            return choices([value].into_iter());
        }
        let kind = match type_of(json) {
            Some("boolean") => Kind::Boolean,
            Some("integer" | "number") => {
                Kind::Integer { min: json["minimum"].as_i64(), max: json["maximum"].as_i64() }
            }
            Some("string") => {
                let format = json["format"].as_str().and_then(Format::named);
                return Shape::text("", format.unwrap_or(Format::Text));
            }
            Some("array") => Kind::List(Box::new(self.shape(&json["items"]))),
            Some("object") => self.object(json),
            _ => Kind::Anything,
        };
        Shape::new("", kind)
    }

    fn named(&mut self, name: &str) -> Shape {
        if self.open.iter().filter(|open| *open == name).count() >= RECURSION {
            return Shape::new("", Kind::Anything);
        }
        let Some(definition) = self.definitions.get(name) else {
            return Shape::new("", Kind::Anything);
        };
        self.open.push(name.to_owned());
        let shape = self.shape(definition);
        self.open.pop();
        shape
    }

    fn object(&mut self, json: &Json) -> Kind {
        let Some(properties) = json["properties"].as_object() else {
            let values = match &json["additionalProperties"] {
                values @ Json::Object(_) => self.shape(values),
                _ => Shape::new("", Kind::Anything),
            };
            let keys = json["propertyNames"]["format"].as_str().and_then(Format::named);
            return Kind::Map { keys: keys.unwrap_or(Format::Text), values: Box::new(values) };
        };
        let required: Vec<&str> =
            json["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        let fields = properties
            .iter()
            .map(|(name, schema)| Field {
                name: name.clone(),
                shape: self.shape(schema),
                required: required.contains(&name.as_str()),
            })
            .collect();
        Kind::Object(fields)
    }

    fn either(&mut self, options: &[Json]) -> Shape {
        let options: Vec<&Json> = options.iter().filter(|o| type_of(o) != Some("null")).collect();
        if let [only] = options.as_slice() {
            return self.shape(only);
        }
        let words: Option<Vec<&str>> =
            options.iter().map(|option| option["const"].as_str()).collect();
        if let Some(words) = words {
            return choices(words.into_iter());
        }
        Shape::new("", Kind::Either(options.into_iter().map(|option| self.shape(option)).collect()))
    }
}

fn choices<'a>(values: impl Iterator<Item = &'a str>) -> Shape {
    let choices = values.map(str::to_owned).collect();
    Shape::new("", Kind::Text { format: Format::Text, choices, min: None, max: None })
}

fn type_of(json: &Json) -> Option<&str> {
    match &json["type"] {
        Json::String(name) => Some(name),
        Json::Array(names) => names.iter().filter_map(Json::as_str).find(|name| *name != "null"),
        _ => None,
    }
}

/// Returns whether a default is worth showing: an empty list or mapping is not.
fn is_worth_telling(default: &Json) -> bool {
    match default {
        Json::Null => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}
