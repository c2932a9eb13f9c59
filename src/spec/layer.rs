//! Layers: a document that is merged over another, so that an environment states only what differs.

use super::Quantity;
use crate::yaml::{Entry, Node, Scalar, Value};

/// Merges `layer` over `base`: mappings merge, everything else replaces, nothing (`null`) removes.
/// Every value keeps the place where it was written.
pub fn apply_layer(base: &mut Node, layer: &Node) {
    let (Value::Map(entries), Value::Map(over)) = (&mut base.value, &layer.value) else {
        *base = layer.clone();
        return;
    };
    for entry in over {
        let there = entries.iter().position(|known| known.key == entry.key);
        match there {
            Some(index) if entry.value.is_null() => {
                entries.remove(index);
            }
            Some(index) => apply_layer(&mut entries[index].value, &entry.value),
            None if entry.value.is_null() => {}
            None => entries.push(entry.clone()),
        }
    }
}

/// Writes the short forms of `spec.volumes` out, so that a layer with one word (`db: pure-block`)
/// changes the class and keeps the size.
pub fn expand_volumes(document: &mut Node) {
    let Value::Map(entries) = &mut document.value else {
        return;
    };
    for step in entries.iter_mut().filter(|entry| entry.key == "spec") {
        let Value::Map(fields) = &mut step.value.value else {
            continue;
        };
        for volumes in fields.iter_mut().filter(|entry| entry.key == "volumes") {
            let Value::Map(volumes) = &mut volumes.value.value else {
                continue;
            };
            for volume in volumes {
                expand(volume);
            }
        }
    }
}

fn expand(volume: &mut Entry) {
    let Some(word) = volume.value.scalar().map(Scalar::text) else {
        return;
    };
    let key = if Quantity::parse(word).is_some() {
        "size"
    } else if word.starts_with(|c: char| c.is_ascii_alphabetic()) {
        "class"
    } else {
        // Neither: left as it is, so that the check names it.
        return;
    };
    let place = volume.value.place;
    let entry = Entry { key: key.to_owned(), place, value: volume.value.clone() };
    volume.value = Node { value: Value::Map(vec![entry]), place };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Sources;

    fn node(text: &str) -> Node {
        let sources = Sources::default();
        crate::yaml::read(sources.add("t", text), &sources).documents.remove(0)
    }

    #[test]
    fn one_word_in_a_layer_keeps_the_size() {
        let mut base = node("spec: {volumes: {db: 600Gi, files: pure-file}, hosts: [a, b]}");
        let mut layer = node("spec: {volumes: {db: pure-block}, hosts: [c], replicas: 2}");
        expand_volumes(&mut base);
        expand_volumes(&mut layer);
        apply_layer(&mut base, &layer);
        assert_eq!(
            base.to_json(),
            serde_json::json!({"spec": {
                "volumes": {"db": {"size": "600Gi", "class": "pure-block"}, "files": {"class": "pure-file"}},
                "hosts": ["c"],
                "replicas": 2,
            }})
        );
    }

    #[test]
    fn nothing_removes() {
        let mut base = node("spec: {a: 1, b: 2}");
        apply_layer(&mut base, &node("spec: {a: ~, c: ~}"));
        assert_eq!(base.to_json(), serde_json::json!({"spec": {"b": 2}}));
    }
}
