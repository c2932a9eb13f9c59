//! A part of a blueprint with its expressions: parsed once, deserialized as typed values for each app.
//!
//! A scalar that consists of one `{{ … }}` keeps the expression's type; with text around it, the result is text.
//! Conditions and loops are keys of mappings, so no text is ever pasted into YAML:
//!
//! ```yaml
//! replicas: "{{ replicas }}"                  # an integer
//! greeting: "Hello {{ host }}"                # text
//! protocol: {if: "{{ tls }}", then: https, else: http}
//! env:
//!   +: {for: {entry: "{{ config }}"}, each: {"NC_{{ entry.key }}": "{{ entry.value }}"}}
//! ```

mod read;

use minijinja::Value as Evaluated;

use super::expression::{Expression, unusable};
use crate::compiler::diagnostic::Place;
use crate::compiler::yaml::{Entry, Node, ReadError, Scalar, Value};

/// A parsed part of a blueprint.
#[derive(Debug)]
pub(super) enum Template {
    /// A value without expressions.
    Constant(Node),
    /// One expression; its value keeps its type.
    Expression(Expression, Place),
    /// Text with expressions in it.
    Text(Vec<Piece>, Place),
    /// A list.
    List(Vec<Template>, Place),
    /// A mapping.
    Map(Vec<(Key, Place, Template)>, Place),
    /// One of two values, or none.
    If { when: Condition, then: Box<Template>, otherwise: Option<Box<Template>>, place: Place },
    /// One value for each item, spliced into the surrounding list or mapping.
    For {
        bind: Vec<(String, Template)>,
        when: Option<Condition>,
        each: Box<Template>,
        place: Place,
    },
}

/// A stretch of text.
#[derive(Debug)]
pub(super) enum Piece {
    /// Literal text.
    Text(String),
    /// The printed value of an expression.
    Expression(Expression),
}

/// A key of a mapping.
#[derive(Debug)]
pub(super) enum Key {
    /// Literal text.
    Constant(String),
    /// Text with expressions.
    Text(Vec<Piece>),
    /// `+`: the value's entries are merged into the surrounding mapping.
    Merge,
}

/// A condition.
#[derive(Debug)]
pub(super) enum Condition {
    /// Written as `true` or `false`.
    Constant(bool),
    /// An expression.
    Expression(Expression),
}

impl Template {
    /// Parses a node of a blueprint.
    pub(super) fn parse(node: &Node) -> Result<Self, ReadError> {
        if is_constant(node) {
            return Ok(Self::Constant(node.clone()));
        }
        let place = node.place;
        match &node.value {
            Value::Scalar(scalar) => scalar_template(scalar, place),
            Value::List(items) => {
                let items = items.iter().map(Self::parse).collect::<Result<_, _>>()?;
                Ok(Self::List(items, place))
            }
            Value::Map(entries) => control(node, entries).unwrap_or_else(|| {
                Ok(Self::Map(entries.iter().map(entry).collect::<Result<_, _>>()?, place))
            }),
        }
    }

    /// Returns the place of the template.
    pub(super) fn place(&self) -> Place {
        match self {
            Self::Constant(node) => node.place,
            Self::Expression(_, place)
            | Self::Text(_, place)
            | Self::List(_, place)
            | Self::Map(_, place)
            | Self::If { place, .. }
            | Self::For { place, .. } => *place,
        }
    }

    /// Returns the place of the value at a path, or of the last existing value on the way.
    pub(super) fn place_of<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> Place {
        self.place_at(&path.into_iter().collect::<Vec<_>>())
    }

    fn place_at(&self, path: &[&str]) -> Place {
        let Some((step, rest)) = path.split_first() else {
            return self.place();
        };
        match self {
            Self::Constant(node) => node.place_of(path.iter().copied()),
            Self::Map(entries, place) => entries
                .iter()
                .find(|(key, _, _)| matches!(key, Key::Constant(name) if name == step))
                .map_or(*place, |(_, _, value)| value.place_at(rest)),
            Self::List(items, place) => step
                .parse()
                .ok()
                .and_then(|index: usize| items.get(index))
                .map_or(*place, |item| item.place_at(rest)),
            Self::If { then, .. } => then.place_at(path),
            other => other.place(),
        }
    }

    /// Returns the value of a field, if the template is a mapping with expressions.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(entries, _) => entries
                .iter()
                .find(|(key, _, _)| matches!(key, Key::Constant(known) if known == name))
                .map(|(_, _, value)| value),
            Self::If { then, .. } => then.field(name),
            _ => None,
        }
    }

    /// Returns the items, if the template is a list with expressions.
    pub(super) fn items(&self) -> &[Self] {
        match self {
            Self::List(items, _) => items,
            Self::If { then, .. } => then.items(),
            _ => &[],
        }
    }

    /// Returns the expression that is the whole value, if one is.
    pub(super) fn expression(&self) -> Option<&Expression> {
        match self {
            Self::Expression(expression, _) => Some(expression),
            _ => None,
        }
    }

    /// Returns the expression that decides whether the value exists, if one does.
    pub(super) fn condition(&self) -> Option<&Expression> {
        match self {
            Self::If { when: Condition::Expression(expression), .. } => Some(expression),
            _ => None,
        }
    }

    /// Calls `visit` for every expression inside, with the names that enclosing loops add.
    pub(super) fn expressions<'t>(
        &'t self,
        bound: &mut Vec<&'t str>,
        visit: &mut dyn FnMut(&'t Expression, &[&'t str]),
    ) {
        fn pieces<'t>(
            pieces: &'t [Piece],
            bound: &[&'t str],
            visit: &mut dyn FnMut(&'t Expression, &[&'t str]),
        ) {
            for piece in pieces {
                if let Piece::Expression(expression) = piece {
                    visit(expression, bound);
                }
            }
        }
        match self {
            Self::Constant(_) => {}
            Self::Expression(expression, _) => visit(expression, bound),
            Self::Text(text, _) => pieces(text, bound, visit),
            Self::List(items, _) => items.iter().for_each(|item| item.expressions(bound, visit)),
            Self::Map(entries, _) => {
                for (key, _, value) in entries {
                    if let Key::Text(text) = key {
                        pieces(text, bound, visit);
                    }
                    value.expressions(bound, visit);
                }
            }
            Self::If { when, then, otherwise, .. } => {
                if let Condition::Expression(expression) = when {
                    visit(expression, bound);
                }
                then.expressions(bound, visit);
                if let Some(otherwise) = otherwise {
                    otherwise.expressions(bound, visit);
                }
            }
            Self::For { bind, when, each, .. } => {
                let before = bound.len();
                for (name, list) in bind {
                    list.expressions(bound, visit);
                    bound.push(name);
                }
                if let Some(Condition::Expression(expression)) = when {
                    visit(expression, bound);
                }
                each.expressions(bound, visit);
                bound.truncate(before);
            }
        }
    }
}

fn is_constant(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(scalar) => !has_markers(scalar.text()),
        Value::List(items) => items.iter().all(is_constant),
        Value::Map(entries) => entries.iter().all(|entry| {
            !matches!(entry.key.as_str(), "if" | "for" | "+")
                && !has_markers(&entry.key)
                && is_constant(&entry.value)
        }),
    }
}

fn has_markers(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

fn entry(entry: &Entry) -> Result<(Key, Place, Template), ReadError> {
    let key = match entry.key.as_str() {
        "+" => Key::Merge,
        text if has_markers(text) => Key::Text(pieces(text, entry.place)?),
        text => Key::Constant(text.to_owned()),
    };
    Ok((key, entry.place, Template::parse(&entry.value)?))
}

/// Parses `if` and `for`, with `then`, `else`, `each`, or beside the other keys of the mapping.
fn control(node: &Node, entries: &[Entry]) -> Option<Result<Template, ReadError>> {
    let place = node.place;
    let (when, over) = (node.get("if"), node.get("for"));
    if when.is_none() && over.is_none() {
        return None;
    }
    let build = || {
        let when = when.map(condition).transpose()?;
        let rest = |word: &str, more: &[&str]| {
            if let Some(inner) = node.get(word) {
                match entries.iter().find(|e| {
                    !["if", "for", word].contains(&e.key.as_str())
                        && !more.contains(&e.key.as_str())
                }) {
                    Some(extra) => Err(ReadError {
                        message: format!("`{}` cannot be used beside `{word}`", extra.key),
                        place: Some(extra.place),
                    }),
                    None => Template::parse(inner),
                }
            } else {
                let others = |entry: &&Entry| !matches!(entry.key.as_str(), "if" | "for");
                let rest = entries.iter().filter(others).cloned().collect();
                Template::parse(&Node { value: Value::Map(rest), place })
            }
        };
        if let Some(over) = over {
            let Some(names) = over.entries() else {
                return Err(ReadError {
                    message: "`for` needs a mapping from a name to a list, such as `for: {host: \"{{ hosts }}\"}`".to_owned(),
                    place: Some(over.place),
                });
            };
            let bind = names
                .iter()
                .map(|entry| match unusable(&entry.key) {
                    Some(message) => Err(ReadError { message, place: Some(entry.place) }),
                    None => Ok((entry.key.clone(), Template::parse(&entry.value)?)),
                })
                .collect::<Result<_, ReadError>>()?;
            return Ok(Template::For { bind, when, each: Box::new(rest("each", &[])?), place });
        }
        let when = when.unwrap_or(Condition::Constant(true));
        let then = Box::new(rest("then", &["else"])?);
        let otherwise = node.get("then").and(node.get("else"));
        let otherwise = otherwise.map(|other| Template::parse(other).map(Box::new)).transpose()?;
        Ok(Template::If { when, then, otherwise, place })
    };
    Some(build())
}

fn condition(node: &Node) -> Result<Condition, ReadError> {
    match Template::parse(node)? {
        Template::Expression(expression, _) => Ok(Condition::Expression(expression)),
        Template::Constant(node) => node.read().map(Condition::Constant),
        other => Err(ReadError {
            message: "`if` needs one expression, such as `if: \"{{ replicas > 1 }}\"`".to_owned(),
            place: Some(other.place()),
        }),
    }
}

fn scalar_template(scalar: &Scalar, place: Place) -> Result<Template, ReadError> {
    let mut pieces = pieces(scalar.text(), place)?;
    if let [Piece::Expression(_)] = pieces.as_slice()
        && let Some(Piece::Expression(expression)) = pieces.pop()
    {
        return Ok(Template::Expression(expression, place));
    }
    Ok(Template::Text(pieces, place))
}

fn pieces(text: &str, place: Place) -> Result<Vec<Piece>, ReadError> {
    if text.contains("{%") {
        return Err(ReadError {
            message:
                "statements (`{% … %}`) are not supported in a blueprint; use the keys `if` and `for`"
                    .to_owned(),
            place: Some(place),
        });
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        if start > 0 {
            pieces.push(Piece::Text(rest[..start].to_owned()));
        }
        let inside = &rest[start + 2..];
        let Some(end) = closing(inside) else {
            return Err(ReadError { message: "`{{` without `}}`".to_owned(), place: Some(place) });
        };
        pieces.push(Piece::Expression(Expression::parse(&inside[..end], place)?));
        rest = &inside[end + 2..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// Finds the `}}` that closes an expression, outside quotes and braces.
fn closing(inside: &str) -> Option<usize> {
    let mut quote = None;
    let mut braces = 0_usize;
    let mut characters = inside.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => {
                characters.next();
            }
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '{') => braces += 1,
            (None, '}') if braces > 0 => braces -= 1,
            (None, '}') if characters.peek().is_some_and(|(_, next)| *next == '}') => {
                return Some(at);
            }
            _ => {}
        }
    }
    None
}

/// Formats an expression's value inside text.
fn print(value: &Evaluated) -> String {
    match value.kind() {
        minijinja::value::ValueKind::Bool => value.is_true().to_string(),
        minijinja::value::ValueKind::None => String::new(),
        _ => value.to_string(),
    }
}
