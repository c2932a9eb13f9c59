//! Checks a node against a shape and reports every mismatch at its place.

use super::explain::in_quotes;
use super::repair::former;
use super::{Field, Kind, Shape, one_of, repair};
use crate::compiler::diagnostic::{Code, Diagnostic, Place, nearest};
use crate::compiler::spec::Format;
use crate::compiler::yaml::{Entry, Node, Scalar, Typed, Value};
use crate::contract::{Quantity, Seconds};

/// Largest number of problems that are reported for one document, to limit output and memory.
const MAX_PROBLEMS: usize = 200;

/// Whether a value may be an expression that is evaluated later, as in a blueprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expressions {
    /// `{{ … }}`, `if` and `for` are allowed anywhere and match every type.
    Allowed,
    /// Values are literal.
    Refused,
}

/// Returns every mismatch between `node` and `shape`. `path` is the node's own path.
pub fn check(node: &Node, shape: &Shape, path: &str, expressions: Expressions) -> Vec<Diagnostic> {
    let mut checker = Checker { expressions, found: Vec::new() };
    checker.node(node, shape, path);
    checker.found
}

struct Checker {
    expressions: Expressions,
    found: Vec<Diagnostic>,
}

impl Checker {
    fn report(&mut self, code: Code, place: Place, path: &str, message: String) -> &mut Diagnostic {
        self.found.truncate(MAX_PROBLEMS - 1);
        self.found.push(Diagnostic::new(code, place, message).at(path));
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    fn node(&mut self, node: &Node, shape: &Shape, path: &str) {
        if self.expressions == Expressions::Allowed && self.evaluated_later(node, shape, path) {
            return;
        }
        if node.is_null() && !path.is_empty() {
            self.nothing(node, shape, path);
            return;
        }
        match (&shape.kind, &node.value) {
            (Kind::Anything, _) => {}
            (Kind::Object(fields), Value::Map(entries)) => {
                self.object(node, entries, fields, path);
            }
            (Kind::Map { keys, values }, Value::Map(entries)) => {
                for entry in entries {
                    let at = join(path, &entry.key);
                    if self.expressions == Expressions::Allowed && entry.key == "+" {
                        self.node(&entry.value, shape, &at);
                        continue;
                    }
                    if !keys.accepts(&entry.key) {
                        let message = format!("expected {} as a key", keys.phrase());
                        self.report(Code::BadValue, entry.place, &at, message).fix =
                            repair(*keys, &entry.key);
                    }
                    self.node(&entry.value, values, &at);
                }
            }
            (Kind::List(item), Value::List(items)) => {
                for (index, node) in items.iter().enumerate() {
                    self.node(node, item, &format!("{path}[{index}]"));
                }
            }
            (Kind::Either(shapes), _) => self.either(node, shapes, shape, path),
            (Kind::Boolean, Value::Scalar(scalar)) => self.boolean(node, scalar, path),
            (Kind::Integer { min, max }, Value::Scalar(scalar)) => {
                self.integer(node, scalar, (*min, *max), path);
            }
            (Kind::Text { .. }, Value::Scalar(scalar)) => self.text(node, scalar, shape, path),
            _ => {
                let message = format!("expected {}, found {}", shape.phrase(), node.found());
                self.report(Code::WrongType, node.place, path, message).fix = reshaped(node, shape);
            }
        }
    }

    /// Reports a missing value. Fields without a value count as omitted and are not passed here. Items of a list,
    /// and values under keys that the user chooses, have no default.
    fn nothing(&mut self, node: &Node, shape: &Shape, path: &str) {
        if self.expressions == Expressions::Allowed || matches!(shape.kind, Kind::Anything) {
            return;
        }
        let message = format!("expected {}, found nothing", shape.phrase());
        let instead = match &shape.kind {
            Kind::Object(_) | Kind::Map { .. } => Some("`{}` for an empty mapping"),
            Kind::List(_) => Some("`[]` for an empty list"),
            Kind::Text { format, choices, .. } if choices.is_empty() && format.accepts("") => {
                Some("`\"\"` for an empty text")
            }
            _ => None,
        };
        let fix = instead.map_or_else(
            || "write a value, or remove it".to_owned(),
            |instead| format!("write {instead}, or remove it"),
        );
        self.report(Code::WrongType, node.place, path, message).fix = Some(fix);
    }

    /// In a blueprint, handles expressions and control keys. Returns whether the node was one.
    fn evaluated_later(&mut self, node: &Node, shape: &Shape, path: &str) -> bool {
        if node.text().is_some_and(|text| text.contains("{{")) {
            return true;
        }
        let Some(entries) = node.entries() else {
            return false;
        };
        if let Some(items) = node.get("for").and(node.get("each")) {
            let inner = if let Kind::List(item) = &shape.kind { item } else { shape };
            self.node(items, inner, path);
            return true;
        }
        if let Some(then) = node.get("if").and(node.get("then")) {
            self.node(then, shape, path);
            if let Some(otherwise) = node.get("else") {
                self.node(otherwise, shape, path);
            }
            return true;
        }
        let is_control = |entry: &&Entry| matches!(entry.key.as_str(), "if" | "for" | "as");
        if entries.iter().any(|entry| is_control(&entry) && !has_field(shape, &entry.key)) {
            let rest = entries.iter().filter(|entry| !is_control(entry)).cloned().collect();
            let inner = if let (Kind::List(item), Some(_)) = (&shape.kind, node.get("for")) {
                item
            } else {
                shape
            };
            self.node(&Node { value: Value::Map(rest), place: node.place }, inner, path);
            return true;
        }
        false
    }

    fn object(&mut self, node: &Node, entries: &[Entry], fields: &[Field], path: &str) {
        for entry in entries {
            if self.found.len() >= MAX_PROBLEMS {
                return;
            }
            let at = join(path, &entry.key);
            match fields.iter().find(|field| field.name == entry.key) {
                // It counts as omitted. Missing required fields are reported below.
                Some(_) if entry.value.is_null() => {}
                Some(field) => self.node(&entry.value, &field.shape, &at),
                None if entry.key == "+" && self.expressions == Expressions::Allowed => {}
                None => self.unknown(entry, fields, path),
            }
        }
        for field in fields.iter().filter(|field| field.required) {
            let entry = entries.iter().find(|entry| entry.key == field.name);
            if entry.is_none_or(|entry| entry.value.is_null()) {
                let place = entry.map_or(node.place, |entry| entry.place);
                // For a missing section, report the missing fields inside it, which is more helpful.
                if field.shape.fields().is_some_and(|fields| fields.iter().any(|f| f.required)) {
                    let at = join(path, &field.name);
                    self.node(&Node::empty_map(place), &field.shape, &at);
                    continue;
                }
                let about = first_sentence(&field.shape.about);
                let example = field.shape.example.as_ref().map_or_else(
                    || format!("`{}: …`", field.name),
                    |example| format!("`{}: {}`", field.name, plain(example)),
                );
                let how = if entry.is_some() { "has no value" } else { "is missing" };
                let message = format!("`{}` {how}: {about}", field.name);
                self.report(Code::MissingField, place, path, message).fix =
                    Some(format!("write {example}"));
            }
        }
    }

    fn unknown(&mut self, entry: &Entry, fields: &[Field], path: &str) {
        let names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
        let message = format!("there is no field `{}`", entry.key);
        let likely = nearest(&entry.key, names.iter().map(String::as_str)).map(str::to_owned);
        let fix = match likely {
            Some(name) => format!("did you mean `{name}`?"),
            None if names.is_empty() => "nothing can be set here".to_owned(),
            None => names_in_words(&names),
        };
        self.report(Code::UnknownField, entry.place, path, message).fix = Some(fix);
    }

    fn either(&mut self, node: &Node, shapes: &[Shape], whole: &Shape, path: &str) {
        let mut attempts = Vec::new();
        for shape in shapes.iter().filter(|shape| suits(shape, node)) {
            let attempt = check(node, shape, path, self.expressions);
            if attempt.is_empty() {
                return;
            }
            attempts.push(attempt);
        }
        match attempts.len() {
            // If only one form was meant, report the mistakes inside it.
            1 => self.found.extend(attempts.remove(0)),
            0 => {
                let message = format!("expected {}, found {}", whole.phrase(), node.found());
                let number = node.text().is_some_and(|text| text.parse::<i64>().is_ok());
                let wanted = shapes.iter().any(|shape| matches!(shape.kind, Kind::Integer { .. }));
                self.report(Code::WrongType, node.place, path, message).fix =
                    (number && wanted).then(|| "remove the quotes".to_owned());
            }
            _ => {
                let found = node.text().unwrap_or_default();
                let choices = shapes.iter().flat_map(|shape| match &shape.kind {
                    Kind::Text { choices, .. } => choices.as_slice(),
                    _ => &[],
                });
                let likely = nearest(found, choices.map(String::as_str)).map(str::to_owned);
                let is_size = found.starts_with(|c: char| c.is_ascii_digit());
                let code = if is_size { Code::BadSize } else { Code::BadValue };
                let message = format!("expected {}, found {}", whole.phrase(), node.found());
                let repaired = attempts.into_iter().flatten().find_map(|diagnostic| diagnostic.fix);
                self.report(code, node.place, path, message).fix =
                    likely.map(|word| format!("did you mean `{word}`?")).or(repaired);
            }
        }
    }

    fn boolean(&mut self, node: &Node, scalar: &Scalar, path: &str) {
        if matches!(scalar.typed(), Typed::Boolean(_)) {
            return;
        }
        let message = format!("expected `true` or `false`, found {}", node.found());
        let meant = match scalar.text().to_lowercase().as_str() {
            "yes" | "on" | "y" | "true" | "1" => Some("write `true`"),
            "no" | "off" | "n" | "false" | "0" => Some("write `false`"),
            _ => None,
        };
        self.report(Code::WrongType, node.place, path, message).fix = meant.map(str::to_owned);
    }

    fn integer(
        &mut self,
        node: &Node,
        scalar: &Scalar,
        (min, max): (Option<i64>, Option<i64>),
        path: &str,
    ) {
        let Typed::Integer(value) = scalar.typed() else {
            let message = format!("expected a whole number, found {}", node.found());
            self.report(Code::WrongType, node.place, path, message).fix = whole_number(scalar);
            return;
        };
        let digits = scalar.text().trim_start_matches(['-', '+']);
        if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
        {
            let decimal = digits.trim_start_matches('0');
            let decimal = if decimal.is_empty() { "0" } else { decimal };
            let message = format!(
                "some YAML parsers read `{}` as {value}, and others as {decimal}",
                scalar.text()
            );
            self.report(Code::BadValue, node.place, path, message).fix =
                Some(format!("write `{decimal}`"));
            return;
        }
        if min.is_some_and(|min| value < min) || max.is_some_and(|max| value > max) {
            let message = format!("expected {}, found `{value}`", range(min, max));
            self.report(Code::BadValue, node.place, path, message);
        }
    }

    fn text(&mut self, node: &Node, scalar: &Scalar, shape: &Shape, path: &str) {
        let Kind::Text { format, choices, min, max } = &shape.kind else {
            return;
        };
        let text = scalar.text();
        if !choices.is_empty() {
            if !choices.iter().any(|choice| choice == text) {
                let message = format!("expected {}, found {}", one_of(choices), node.found());
                let likely = nearest(text, choices.iter().map(String::as_str)).map(str::to_owned);
                let former = former(path, text).map(str::to_owned);
                self.report(Code::BadValue, node.place, path, message).fix =
                    former.or_else(|| likely.map(|word| format!("did you mean `{word}`?")));
            }
            return;
        }
        if !format.accepts(text) {
            let code = if *format == Format::Quantity { Code::BadSize } else { Code::BadValue };
            let message = format!("expected {}, found {}", format.phrase(), node.found());
            self.report(code, node.place, path, message).fix = repair(*format, text);
            return;
        }
        let measure = match format {
            Format::Quantity => Quantity::parse(text).map(|quantity| quantity.bytes()),
            Format::Duration => Seconds::parse(text).map(|seconds| u64::from(seconds.0)),
            _ => None,
        };
        let show = |limit: u64| match format {
            Format::Quantity => Quantity::of_bytes(limit).text().to_owned(),
            _ => format!("{limit}s"),
        };
        let Some(measure) = measure else { return };
        if let Some(min) = min.filter(|min| measure < *min) {
            let message = format!("expected at least `{}`, found `{text}`", show(min));
            self.report(Code::BadValue, node.place, path, message);
        } else if let Some(max) = max.filter(|max| measure > *max) {
            let message = format!("expected at most `{}`, found `{text}`", show(max));
            self.report(Code::BadValue, node.place, path, message);
        }
    }
}

/// Returns the correction for a value whose form differs from that of its field.
fn reshaped(node: &Node, shape: &Shape) -> Option<String> {
    match (&shape.kind, &node.value) {
        // Several words, or one, are meant as a list.
        (Kind::List(item), Value::Scalar(scalar)) => {
            let is_separator = |c: char| c == ',' || c == ';' || c.is_whitespace();
            let words: Vec<&str> = match item.kind {
                Kind::Text { format: Format::Text, .. } => vec![scalar.text()],
                _ => scalar.text().split(is_separator).filter(|word| !word.is_empty()).collect(),
            };
            let fits =
                !words.is_empty() && matches!(item.kind, Kind::Text { .. } | Kind::Integer { .. });
            fits.then(|| format!("write `[{}]`", words.join(", ")))
        }
        (Kind::List(_), Value::Map(_)) => {
            Some("write it as an item of a list: `- ` before the first key".to_owned())
        }
        (Kind::Text { .. }, Value::List(items)) => match items.as_slice() {
            [only] => Some(format!("write `{}` without brackets", only.text()?)),
            _ => Some("write one value".to_owned()),
        },
        (Kind::Map { .. } | Kind::Object(_), Value::List(_)) => {
            Some("write a mapping, without `- ` before its keys".to_owned())
        }
        (Kind::Map { .. } | Kind::Object(_), Value::Scalar(scalar)) => {
            let (key, value) = scalar.text().split_once(['=', ':'])?;
            Some(format!("write `{}: {}` on a line of its own below it", key.trim(), value.trim()))
        }
        _ => None,
    }
}

/// Returns the correction for a value that is meant as a whole number.
fn whole_number(scalar: &Scalar) -> Option<String> {
    let text = scalar.text().trim();
    if matches!(scalar, Scalar::Text(_)) && text.parse::<i64>().is_ok() {
        return Some("remove the quotes".to_owned());
    }
    let digits: String = text.chars().filter(|c| !matches!(c, ',' | '_' | ' ' | '\'')).collect();
    let whole = digits.split_once('.').filter(|(_, after)| after.bytes().all(|b| b == b'0'));
    let whole = whole.map_or(digits.as_str(), |(whole, _)| whole);
    whole.parse::<i64>().ok().map(|number| format!("write `{number}`"))
}

/// Returns whether a node could have been meant as this form.
fn suits(shape: &Shape, node: &Node) -> bool {
    match (&shape.kind, &node.value) {
        (Kind::Anything, _)
        | (Kind::Object(_) | Kind::Map { .. }, Value::Map(_))
        | (Kind::List(_), Value::List(_))
        | (Kind::Text { .. }, Value::Scalar(_)) => true,
        (Kind::Boolean, Value::Scalar(scalar)) => matches!(scalar.typed(), Typed::Boolean(_)),
        (Kind::Integer { .. }, Value::Scalar(scalar)) => {
            matches!(scalar.typed(), Typed::Integer(_) | Typed::Float(_))
        }
        (Kind::Either(shapes), _) => shapes.iter().any(|shape| suits(shape, node)),
        _ => false,
    }
}

fn has_field(shape: &Shape, name: &str) -> bool {
    shape.field(name).is_some()
}

fn range(min: Option<i64>, max: Option<i64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("a number from {min} to {max}"),
        (Some(min), None) => format!("a number of at least {min}"),
        (None, Some(max)) => format!("a number of at most {max}"),
        (None, None) => "a whole number".to_owned(),
    }
}

fn names_in_words(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        [only] => format!("the only field is `{only}`"),
        names => format!("the fields are `{}`", names.join("`, `")),
    }
}

fn first_sentence(about: &str) -> &str {
    about.split_once(". ").map_or(about, |(first, _)| first).trim_end_matches('.')
}

fn plain(example: &serde_json::Value) -> String {
    example.as_str().map_or_else(|| example.to_string(), in_quotes)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
