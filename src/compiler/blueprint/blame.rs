//! Finds the value of an app that causes an error in its blueprint: the value without which the error does not
//! occur.
//!
//! The search runs only after an error, so it may try every value.

use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::yaml::{Entry, Node, ReadError, Value};

/// Fields of an app that its blueprint can use.
const SEEN: [&str; 2] = ["spec", "metadata"];

/// Returns the diagnostic for an error of a blueprint, at the app's value that causes it, or else at the
/// blueprint. `evaluate` evaluates the blueprint for another document.
pub(super) fn blame(
    error: &ReadError,
    document: &Node,
    evaluate: &dyn Fn(&Node) -> Result<(), ReadError>,
) -> Diagnostic {
    let place = error.place.unwrap_or(document.place);
    // A different error proves nothing: the blueprint may require the value.
    let is_it = |without: &Node| match evaluate(without) {
        Ok(()) => true,
        Err(other) => other.place == error.place && other != *error,
    };
    let culprits = SEEN.iter().filter_map(|section| {
        let path = culprit(document, &[(*section).to_owned()], &is_it)?;
        let node = path.iter().try_fold(document, |node, step| child(node, step))?;
        Some((path, node))
    });
    let Some((path, node)) = culprits.into_iter().next() else {
        return Diagnostic::new(Code::BadExpression, place, error.message.clone());
    };
    let path = path.join(".");
    let message = format!("the blueprint cannot use {}: {}", node.found(), error.message);
    Diagnostic::new(Code::BadExpression, node.place, message)
        .at(path)
        .and(error.place, "in this expression of the blueprint")
        .fix("change the value; `pso-gen explain` describes the field")
}

fn child<'n>(node: &'n Node, step: &str) -> Option<&'n Node> {
    match &node.value {
        Value::List(items) => step.parse().ok().and_then(|index: usize| items.get(index)),
        _ => node.get(step),
    }
}

/// Returns the path of the innermost value below a path for which `is_it` holds.
fn culprit(document: &Node, path: &[String], is_it: &dyn Fn(&Node) -> bool) -> Option<Vec<String>> {
    let node = path.iter().try_fold(document, |node, step| child(node, step))?;
    let steps: Vec<String> = match &node.value {
        Value::Map(entries) => entries.iter().map(|entry| entry.key.clone()).collect(),
        Value::List(items) => (0..items.len()).map(|index| index.to_string()).collect(),
        Value::Scalar(_) => Vec::new(),
    };
    for step in steps {
        let inner = [path, &[step]].concat();
        if is_it(&without(document, &inner)) {
            return culprit(document, &inner, is_it).or(Some(inner));
        }
    }
    None
}

/// Returns a copy of a node without the value at a path.
fn without(node: &Node, path: &[String]) -> Node {
    let Some((step, rest)) = path.split_first() else { return node.clone() };
    let value = match &node.value {
        Value::Map(entries) => {
            let remaining = entries.iter().filter(|entry| entry.key != *step || !rest.is_empty());
            let inner = |entry: &Entry| {
                if entry.key == *step {
                    Entry { value: without(&entry.value, rest), ..entry.clone() }
                } else {
                    entry.clone()
                }
            };
            Value::Map(remaining.map(inner).collect())
        }
        Value::List(items) => {
            let index = step.parse::<usize>().ok();
            let remaining =
                items.iter().enumerate().filter(|(at, _)| Some(*at) != index || !rest.is_empty());
            let inner = |(at, item): (usize, &Node)| {
                if Some(at) == index { without(item, rest) } else { item.clone() }
            };
            Value::List(remaining.map(inner).collect())
        }
        Value::Scalar(_) => node.value.clone(),
    };
    Node { value, place: node.place }
}
