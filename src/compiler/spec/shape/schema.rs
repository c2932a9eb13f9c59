//! Shapes as JSON Schema (draft 2020-12), for editors.

use serde_json::{Map, Value as Json, json};

use super::{Field, Kind, Shape};
use crate::compiler::spec::Format;

/// Returns the schema document of a kind. `title` is the kind, `name` its file name in `schemas/`.
pub fn schema(title: &str, shape: &Shape) -> Json {
    let mut document = head(title);
    if let Json::Object(fields) = of(shape, Blank::LeftOut) {
        document.extend(fields);
    }
    let mut document = Json::Object(document);
    share_additions(&mut document);
    document
}

/// Moves the schema of additions, which is the same for each component, to one place.
fn share_additions(document: &mut Json) {
    let at = "/properties/spec/properties/components/properties";
    let Some(Json::Object(components)) = document.pointer_mut(at) else { return };
    let Some(first) = components.values().next().cloned() else { return };
    for component in components.values_mut().filter(|component| **component == first) {
        let about = component["description"].take();
        *component = json!({"$ref": "#/$defs/additions", "description": about});
    }
    document["$defs"] = json!({"additions": first});
}

fn head(title: &str) -> Map<String, Json> {
    let mut document = Map::new();
    document.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    document.insert("title".to_owned(), title.into());
    document
}

/// Meaning of a field without a value (`null`).
#[derive(Clone, Copy)]
enum Blank {
    /// It counts as omitted.
    LeftOut,
    /// Defined elsewhere: in a blueprint, every value may be empty.
    SaidElsewhere,
}

/// Returns the schema document of a file in which every value may be an expression, and every mapping may contain
/// `if`, `for` and `+`.
pub fn schema_with_expressions(title: &str, shape: &Shape) -> Json {
    let mut document = head(title);
    if let Json::Object(fields) = of(shape, Blank::SaidElsewhere) {
        document.extend(fields);
    }
    let mut document = Json::Object(document);
    let required = document["required"].clone();
    inside(&mut document);
    document["required"] = required;
    document
}

/// Keywords of the language that may occur in any mapping.
const CONTROL: &str = r"^(if|for|then|else|each|\+)$";

/// Allows expressions in the values inside a schema.
fn inside(json: &mut Json) {
    let Some(fields) = json.as_object_mut() else {
        return;
    };
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key).filter(|inner| inner.is_object()) {
            open(inner);
        }
    }
    for inner in fields.get_mut("anyOf").and_then(Json::as_array_mut).into_iter().flatten() {
        inside(inner);
    }
    if let Some(properties) = fields.get_mut("properties").and_then(Json::as_object_mut) {
        properties.values_mut().for_each(open);
    }
    if fields.get("type") == Some(&json!("object")) {
        fields.insert("patternProperties".to_owned(), json!({CONTROL: {}}));
        if let Some(names) = fields.remove("propertyNames") {
            let names = json!({"anyOf": [names, {"pattern": CONTROL}, {"pattern": r"\{\{"}]});
            fields.insert("propertyNames".to_owned(), names);
        }
        // A part may supply the required fields.
        fields.remove("required");
    }
}

/// Allows a schema's value to be an expression, empty, or selected by `if` and `for`.
fn open(json: &mut Json) {
    inside(json);
    let mut outer = Map::new();
    for key in ["description", "default", "examples"] {
        if let Some(value) = json.as_object_mut().and_then(|fields| fields.remove(key)) {
            outer.insert(key.to_owned(), value);
        }
    }
    let by_condition =
        json!({"type": "object", "anyOf": [{"required": ["if"]}, {"required": ["for"]}]});
    let expression = json!({"type": "string", "pattern": r"\{\{"});
    outer.insert(
        "anyOf".to_owned(),
        json!([json.take(), {"type": "null"}, expression, by_condition]),
    );
    *json = Json::Object(outer);
}

fn of(shape: &Shape, blank: Blank) -> Json {
    let mut json = match &shape.kind {
        Kind::Anything => json!({}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Integer { min, max } => {
            let mut json = json!({"type": "integer"});
            put(&mut json, "minimum", *min);
            put(&mut json, "maximum", *max);
            json
        }
        Kind::Text { choices, .. } if !choices.is_empty() => {
            text_like(json!({"enum": choices}), choices)
        }
        Kind::Text { format, .. } => text(*format),
        Kind::List(item) => json!({"type": "array", "items": of(item, blank)}),
        Kind::Map { keys, values } => {
            let mut json = json!({"type": "object", "additionalProperties": of(values, blank)});
            if let Some(pattern) = pattern(*keys) {
                json["propertyNames"] = json!({"pattern": pattern});
            }
            json
        }
        Kind::Object(fields) => {
            let property = |field: &Field| {
                let mut json = of(&field.shape, blank);
                if matches!(blank, Blank::LeftOut) && !field.required {
                    or_null(&mut json);
                }
                (field.name.clone(), json)
            };
            let properties: Map<String, Json> = fields.iter().map(property).collect();
            let required: Vec<&str> =
                fields.iter().filter(|f| f.required).map(|f| f.name.as_str()).collect();
            let mut json = json!({
                "type": "object",
                "additionalProperties": false,
                "properties": properties,
            });
            if !required.is_empty() {
                json["required"] = json!(required);
            }
            json
        }
        Kind::Either(shapes) => {
            json!({"anyOf": shapes.iter().map(|shape| of(shape, blank)).collect::<Vec<_>>()})
        }
    };
    if !shape.about.is_empty() {
        json["description"] = shape.about.as_str().into();
    }
    if let Some(default) = &shape.default {
        json["default"] = default.clone();
    }
    if let Some(example) = &shape.example {
        json["examples"] = json!([example]);
    }
    json
}

fn put(json: &mut Json, key: &str, value: Option<i64>) {
    if let Some(value) = value {
        json[key] = value.into();
    }
}

/// Allows `null` for a field.
fn or_null(json: &mut Json) {
    let Some(fields) = json.as_object_mut() else { return };
    if let Some(kind) = fields.get_mut("type") {
        match kind {
            Json::Array(kinds) => kinds.push("null".into()),
            one => *one = json!([one.take(), "null"]),
        }
    } else if let Some(choices) = fields.get_mut("enum").and_then(Json::as_array_mut) {
        choices.push(Json::Null);
    } else if let Some(forms) = fields.get_mut("anyOf").and_then(Json::as_array_mut) {
        forms.push(json!({"type": "null"}));
    }
}

/// Returns the schema of a text. The parser takes scalars as written, so `34` and `true` are valid without
/// quotes, and the schema must accept the number that an editor sees.
fn text(format: Format) -> Json {
    let bare: &[&str] = match format {
        Format::Text
        | Format::Class
        | Format::Label
        | Format::LabelKey
        | Format::Subdomain
        | Format::Folder
        | Format::Image => &["number", "boolean"],
        Format::Name => &["integer", "boolean"],
        Format::Hostname | Format::Server | Format::Variable => &["boolean"],
        Format::Quantity | Format::Amount | Format::Cpu => &["number"],
        Format::Duration | Format::Mode | Format::Identity => &["integer"],
        _ => &[],
    };
    let mut json = json!({"type": "string"});
    if !bare.is_empty() {
        json["type"] = ["string"].iter().chain(bare).copied().collect();
    }
    match format {
        Format::Quantity => {
            json["minimum"] = 1.into();
            json["maximum"] = (1_i64 << 62).into();
        }
        Format::Cpu => {
            json["exclusiveMinimum"] = 0.into();
            json["exclusiveMaximum"] = 10_000.into();
        }
        // Sixteen digits, if all of them are decimal.
        Format::Identity => {
            json["minimum"] = 1_000_000_000_000_000_u64.into();
            json["maximum"] = 9_999_999_999_999_999_u64.into();
        }
        Format::Duration => {
            json["minimum"] = 0.into();
            json["maximum"] = u32::MAX.into();
        }
        Format::Mode => {
            json["minimum"] = 0.into();
            json["maximum"] = 7777.into();
        }
        Format::Text | Format::Class => {}
        _ if bare.iter().any(|kind| *kind != "boolean") => json["minimum"] = 0.into(),
        _ => {}
    }
    match format {
        Format::Subdomain | Format::Server | Format::Hostname => json["maxLength"] = 253.into(),
        Format::Label => json["maxLength"] = 63.into(),
        _ => {}
    }
    if let Some(pattern) = pattern(format) {
        json["pattern"] = pattern.into();
    }
    json
}

fn text_like(mut json: Json, choices: &[String]) -> Json {
    let numbers: Vec<Json> = choices
        .iter()
        .filter_map(|word| serde_json::from_str::<serde_json::Number>(word).ok())
        .map(Json::from)
        .collect();
    if let Some(list) = json["enum"].as_array_mut() {
        list.extend(numbers);
    }
    json
}

/// Returns a regular expression (ECMA 262) that matches everything that [`Format::accepts`].
fn pattern(format: Format) -> Option<&'static str> {
    Some(match format {
        Format::Text | Format::Class => return None,
        Format::Date => "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        Format::Cidr => "^[0-9a-fA-F.:]+/[0-9]{1,3}$",
        Format::Image => concat!(
            "^(?![0-9a-f]{64}$)(?![^/:@]{248,}([:@]|$))",
            r"(([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:]+\])(:[0-9]+)?/)?",
            "[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*",
            "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?",
            "(@sha(256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128}))?$",
        ),
        Format::Quantity => {
            r"^\+?(?!0*\.?0*([KMGTPE]i?|[numk]|[eE]|$))([0-9]{1,18}(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?0*[0-9]{1,2})?$"
        }
        Format::Duration => "^[0-9]{1,10}[smhd]?$",
        Format::Hostname => {
            r"^(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$"
        }
        Format::Subdomain => r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$",
        Format::Server => concat!(
            r"^(?!127\.[0-9.]*$|0\.0\.0\.0$|(.*\.)?localhost$)(([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*",
            r"(?![0-9]+$)[a-z0-9]([a-z0-9-]*[a-z0-9])?|([0-9]{1,2}\.|1[0-9]{2}\.|2[0-4][0-9]\.|25[0-5]\.){3}",
            "([0-9]{1,2}|1[0-9]{2}|2[0-4][0-9]|25[0-5]))$",
        ),
        Format::Name => "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        Format::Cron => r"^\s*(@[a-z]+|\S+(\s+\S+){3}\s+(?![^/\s]*[789])\S+)\s*$",
        Format::Variable => "^[A-Za-z_][A-Za-z0-9_]*$",
        Format::Amount => {
            r"^\+?([0-9]{1,30}(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?0*[0-9]{1,2})?$"
        }
        Format::LabelKey => {
            r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
        }
        Format::Label => "^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$",
        Format::Gateway => "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(/[a-z0-9.-]+){1,2}$",
        Format::ObjectKey => r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/(?!\.\.)[A-Za-z0-9._-]{1,253}$",
        Format::PodField => r"^(metadata|spec|status)\.",
        Format::Identity => "^[0-9a-f]{16}$",
        Format::Path | Format::Pointer => "^/",
        Format::Folder => {
            r"^(\.|(?!\.{1,2}(/|$))[A-Za-z0-9._][A-Za-z0-9._-]*(/(?!\.{1,2}(/|$))[A-Za-z0-9._][A-Za-z0-9._-]*)*)$"
        }
        Format::Mode => "^[0-7]{4}$",
        Format::Owner => "^[0-9]+:[0-9]+$",
        Format::Cpu => r"^([0-9]{1,10}m|[0-9]{1,18}(\.[0-9]*)?|\.[0-9]+)$",
    })
}
