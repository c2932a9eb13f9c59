//! Announces the parameters of an app for Argo CD's page "Parameters": every field of `spec` down to single values,
//! with the present value from the app file.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value as Json;

use crate::compiler::spec::{Field, Kind, Shape, bounds, write_out};
use crate::compiler::yaml::Node;

/// One parameter, in the form of Argo CD's `ParameterAnnouncement`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// The name, as in `--set`: `spec.replicas`, or `NAME:spec.replicas` where a folder has several apps.
    pub name: String,
    /// The title on the page: the name without `spec.`.
    pub title: String,
    /// The description and the allowed values.
    pub tooltip: String,
    /// Whether the app file must have the field unless it is set as a parameter.
    pub required: bool,
    /// `string`, `number` or `boolean`.
    pub item_type: &'static str,
    /// `string`, `array` or `map`.
    pub collection_type: &'static str,
    /// The present value if it is a single value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string: Option<String>,
    /// The present value if it is a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array: Option<Vec<String>>,
    /// The present value if it is a mapping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<BTreeMap<String, String>>,
}

/// Returns the parameters of an app. `document` is the document in its file, which provides the present values; `app`
/// is the app's name, where a folder has several.
pub fn announce(shape: &Shape, document: &Node, app: Option<&str>) -> Vec<Announcement> {
    let mut document = document.clone();
    write_out(&mut document, shape);
    let mut list = List { app, found: Vec::new() };
    if let Some(spec) = shape.field("spec") {
        list.field("spec", spec, "", document.get("spec"));
    }
    list.found
}

struct List<'a> {
    app: Option<&'a str>,
    found: Vec<Announcement>,
}

/// The form of a value on the page.
enum Form<'s> {
    /// One parameter for each field.
    Fields(&'s [Field]),
    /// A single value, or a list or mapping of single values, with their type.
    One(&'static str),
    Array(&'static str),
    Map(&'static str),
    /// Any other value, as YAML on one line.
    Yaml,
}

impl List<'_> {
    /// Lists a field. `around` is the description of the section that contains it.
    fn field(&mut self, path: &str, field: &Field, around: &str, written: Option<&Node>) {
        let Field { shape, required, .. } = field;
        let about = if shape.about.is_empty() { around } else { &shape.about };
        let (item, collection) = match form(path, shape) {
            Form::Fields(fields) => {
                for field in fields {
                    let written = written.and_then(|node| node.get(&field.name));
                    let path = format!("{path}.{}", field.name);
                    self.field(&path, field, about, written);
                }
                return;
            }
            Form::One(item) => (item, "string"),
            Form::Array(item) => (item, "array"),
            Form::Map(item) => (item, "map"),
            Form::Yaml => ("string", "string"),
        };
        let title = path.strip_prefix("spec.").unwrap_or(path);
        let mut announcement = Announcement {
            name: self.app.map_or_else(|| path.to_owned(), |app| format!("{app}:{path}")),
            title: self.app.map_or_else(|| title.to_owned(), |app| format!("{app}: {title}")),
            tooltip: tooltip(shape, path, about),
            required: *required,
            item_type: item,
            collection_type: collection,
            string: None,
            array: None,
            map: None,
        };
        match written.filter(|node| !node.is_null()) {
            Some(node) => announcement.holds(node),
            None => announcement.holds_by_default(shape.default.as_ref()),
        }
        self.found.push(announcement);
    }
}

impl Announcement {
    /// Takes the value from the app file in its original spelling: `11.10` stays text. Rendering reports values that do
    /// not fit.
    fn holds(&mut self, node: &Node) {
        let word =
            |node: &Node| node.text().map_or_else(|| node.to_json().to_string(), str::to_owned);
        match (self.collection_type, node.items(), node.entries()) {
            ("array", Some(items), _) => self.array = Some(items.iter().map(word).collect()),
            ("map", _, Some(entries)) => {
                let entries = entries.iter().map(|entry| (entry.key.clone(), word(&entry.value)));
                self.map = Some(entries.collect());
            }
            ("string", ..) => self.string = Some(word(node)),
            _ => {}
        }
    }

    fn holds_by_default(&mut self, default: Option<&Json>) {
        match (self.collection_type, default) {
            ("array", Some(Json::Array(items))) => {
                self.array = Some(items.iter().map(text).collect());
            }
            ("map", Some(Json::Object(entries))) => {
                let entries = entries.iter().map(|(key, value)| (key.clone(), text(value)));
                self.map = Some(entries.collect());
            }
            ("string", Some(value)) => self.string = Some(text(value)),
            _ => {}
        }
    }
}

fn form<'s>(path: &str, shape: &'s Shape) -> Form<'s> {
    match &shape.kind {
        // Ten rarely used fields for each component would hide the others on the page.
        Kind::Object(_) if is_below(path, "spec.components.") => Form::Yaml,
        Kind::Object(fields) => Form::Fields(fields),
        Kind::List(inner) => item_type(inner).map_or(Form::Yaml, Form::Array),
        Kind::Map { values, .. } => item_type(values).map_or(Form::Yaml, Form::Map),
        // The short form of a volume is split into two fields.
        Kind::Either(_) if is_below(path, "spec.volumes.") => {
            shape.fields().map_or(Form::Yaml, Form::Fields)
        }
        _ => item_type(shape).map_or(Form::Yaml, Form::One),
    }
}

/// Returns whether a path is that of an entry of a section.
fn is_below(path: &str, section: &str) -> bool {
    path.strip_prefix(section).is_some_and(|name| !name.contains('.'))
}

/// Returns the type of a single value. For a choice, it is the type of its short forms.
fn item_type(shape: &Shape) -> Option<&'static str> {
    match &shape.kind {
        Kind::Boolean => Some("boolean"),
        Kind::Integer { .. } => Some("number"),
        Kind::Text { .. } => Some("string"),
        Kind::Either(shapes) => {
            let types: BTreeSet<_> = shapes.iter().filter_map(item_type).collect();
            if types.len() > 1 { Some("string") } else { types.first().copied() }
        }
        _ => None,
    }
}

fn tooltip(shape: &Shape, path: &str, about: &str) -> String {
    let mut text = about.to_owned();
    let mut add = |sentence: &str| {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(sentence);
    };
    if let Kind::Text { choices, .. } = &shape.kind
        && !choices.is_empty()
    {
        add(&format!("One of {}.", choices.join(", ")));
    }
    if let Some(bounds) = bounds(shape) {
        add(&format!("Bounds: {bounds}."));
    }
    let is_short = matches!(&shape.kind, Kind::Either(_)) && shape.fields().is_some();
    if is_short || matches!(form(path, shape), Form::Yaml) {
        add(&match &shape.kind {
            Kind::List(inner) => format!("As YAML: a list, each item {}.", inner.phrase()),
            _ => format!("As YAML: {}.", shape.phrase()),
        });
    }
    if let Some(example) = &shape.example {
        add(&format!("Example: {}.", self::text(example)));
    }
    text
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
