//! Keys without a value (`volumes:`, `volumes: ~`): in a file, they are as good as not written.

use super::{Kind, Shape};
use crate::compiler::yaml::{Node, Value};

/// Drops the fields of a document that have no value, so that whatever reads it later sees the default. Those
/// that must have one are left: what checks the document reports them at their line.
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
                // Where anything may stand, `null` is a value: that of a JSON patch.
                let is_value = matches!(field.shape.kind, Kind::Anything);
                field.required || is_value || !entry.value.is_null()
            });
        }
        _ => {}
    }
}
