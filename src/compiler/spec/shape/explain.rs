//! Shapes as text: `pso-gen explain` and the reference pages.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::{Field, Kind, Shape};
use crate::sanitize;

/// Returns the text of `pso-gen explain` for the shape at `path` (empty for the whole kind).
pub fn explain(kind: &str, api_version: &str, path: &str, shape: &Shape) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "KIND:     {kind}\nVERSION:  {api_version}");
    if !path.is_empty() {
        let _ = writeln!(out, "FIELD:    {path} <{}>", shape.type_name());
    }
    if let Some(default) = &shape.default {
        let _ = writeln!(out, "DEFAULT:  {}", value(default));
    }
    if let Some(bounds) = bounds(shape) {
        let _ = writeln!(out, "BOUNDS:   {bounds}");
    }
    if let Some(example) = &shape.example {
        let _ = writeln!(out, "EXAMPLE:  {}", value(example));
    }
    if !shape.about.is_empty() {
        let _ = writeln!(out, "\n{}", wrap(&shape.about, 0));
    }
    // For a whole document, readers look for the fields of `spec`.
    let spec = shape.field("spec").filter(|_| path.is_empty());
    let (heading, fields) = match spec {
        Some(spec) => ("FIELDS OF SPEC:", list_fields(&spec.shape)),
        None => ("FIELDS:", list_fields(shape)),
    };
    if let Some(fields) = fields {
        let _ = writeln!(out, "\n{heading}");
        for field in fields {
            let required = if field.required { "  -required-" } else { "" };
            let _ = writeln!(out, "  {}  <{}>{required}", field.name, field.shape.type_name());
            let mut about = field.shape.about.clone();
            if let Some(default) = &field.shape.default {
                let _ = write!(about, " (default: {})", value(default));
            }
            if !about.trim().is_empty() {
                let _ = writeln!(out, "{}\n", wrap(about.trim(), 4));
            }
        }
    }
    while out.ends_with("\n\n") {
        out.pop();
    }
    // A blueprint's texts may contain control characters.
    sanitize::lines(&out)
}

/// Returns a kind as a table: every field with type, default and description.
pub fn markdown(shape: &Shape) -> String {
    let mut out = format!("{}\n", shape.about);
    let _ = writeln!(out, "\n| field | type | default | description |\n| --- | --- | --- | --- |");
    rows(&mut out, shape, "");
    out
}

/// Number of fields from which on they are listed for the first of several fields that have the same.
const MANY: usize = 8;

fn rows(out: &mut String, shape: &Shape, path: &str) {
    let fields = list_fields(shape).unwrap_or_default();
    for (index, field) in fields.iter().enumerate() {
        let at =
            if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
        let cell = |text: &str| text.replace('|', "\\|").replace("\n\n", "<br>");
        let default = match (&field.shape.default, field.required) {
            (_, true) => "required".to_owned(),
            (Some(default), _) => format!("`{}`", cell(&value(default))),
            (None, _) => String::new(),
        };
        let mut about = field.shape.about.clone();
        if let Some(bounds) = bounds(&field.shape) {
            let _ = write!(about, " ({bounds})");
        }
        let _ = writeln!(
            out,
            "| `{at}` | {} | {default} | {} |",
            cell(&field.shape.type_name()),
            cell(about.trim())
        );
        let same = |other: &&Field| other.shape == field.shape;
        match fields[..index].iter().find(same) {
            Some(first) if list_fields(&field.shape).is_some_and(|inner| inner.len() >= MANY) => {
                let _ = writeln!(out, "| `{at}.…` | | | As under `{path}.{}`. |", first.name);
            }
            _ => rows(out, &field.shape, &at),
        }
    }
}

/// Returns the fields to list below a shape: its own, or those of its items or values.
fn list_fields(shape: &Shape) -> Option<&[Field]> {
    match &shape.kind {
        Kind::List(item) => list_fields(item),
        Kind::Map { values, .. } => list_fields(values),
        _ => shape.fields(),
    }
}

/// Returns the smallest and largest value in words, if there are any: `5 to 1000`.
pub fn bounds(shape: &Shape) -> Option<String> {
    let (min, max) = match &shape.kind {
        Kind::Integer { min, max } => (min.map(|m| m.to_string()), max.map(|m| m.to_string())),
        Kind::Text { format, min, max, .. } => {
            let show = |limit: &u64| match format {
                crate::compiler::spec::Format::Quantity => {
                    crate::contract::Quantity::of_bytes(*limit).text().to_owned()
                }
                _ => format!("{limit}s"),
            };
            (min.as_ref().map(show), max.as_ref().map(show))
        }
        _ => return None,
    };
    match (min, max) {
        (Some(min), Some(max)) => Some(format!("{min} to {max}")),
        (Some(min), None) => Some(format!("at least {min}")),
        (None, Some(max)) => Some(format!("at most {max}")),
        (None, None) => None,
    }
}

/// Returns a value as YAML in one line.
/// Returns a text as YAML: an expression needs quotes, or its braces would begin a mapping.
pub(super) fn in_quotes(text: &str) -> String {
    if text.contains("{{") { format!("\"{text}\"") } else { text.to_owned() }
}

fn value(json: &Json) -> String {
    match json {
        Json::String(text) => in_quotes(&sanitize::name(text)),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(value).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(fields) => {
            let fields = fields.iter().map(|(key, inner)| format!("{key}: {}", value(inner)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Breaks text at 80 columns, indented.
fn wrap(text: &str, indent: usize) -> String {
    let mut out = String::new();
    for (index, paragraph) in text.split("\n\n").enumerate() {
        if index > 0 {
            out.push_str("\n\n");
        }
        let mut column = 0;
        for word in paragraph.split_whitespace() {
            if column == 0 {
                out.push_str(&" ".repeat(indent));
                column = indent;
            } else if column + 1 + word.chars().count() > 80 {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                column = indent;
            } else {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += word.chars().count();
        }
    }
    out
}
