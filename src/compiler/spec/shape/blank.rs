//! Keys without a value (`volumes:`, `volumes: ~`). In a file, they count as omitted.

use super::{Kind, Shape};
use crate::compiler::yaml::{Node, Value};

/// Drops the fields of a document that have no value, so that later stages see the default. Required fields stay:
/// the check reports them at their line.
pub fn drop_blank(node: &mut Node, shape: &Shape) {
    match (&mut node.value, &shape.kind) {
        (_, Kind::Either(shapes)) => {
            let fits = |shape: &&Shape| match (&node.value, &shape.kind) {
                (Value::Map(_), kind) => matches!(kind, Kind::Object(_) | Kind::Map { .. }),
                (Value::List(_), kind) => matches!(kind, Kind::List(_)),
                (Value::Scalar(_), _) => false,
            };
            if let Some(shape) = shapes.iter().find(fits) {
                drop_blank(node, shape);
            }
        }
        (Value::List(items), Kind::List(inner)) => {
            for item in items {
                drop_blank(item, inner);
            }
        }
        (Value::Map(entries), Kind::Map { values, .. }) => {
            for entry in entries {
                drop_blank(&mut entry.value, values);
            }
        }
        (Value::Map(entries), Kind::Object(fields)) => {
            entries.retain_mut(|entry| {
                let Some(field) = fields.iter().find(|field| field.name == entry.key) else {
                    return true;
                };
                drop_blank(&mut entry.value, &field.shape);
                // Where any value is allowed, `null` is a value: that of a JSON patch.
                let is_value = matches!(field.shape.kind, Kind::Anything);
                field.required || is_value || !entry.value.is_null()
            });
        }
        _ => {}
    }
}
