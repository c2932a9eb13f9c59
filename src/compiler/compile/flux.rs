//! Disables Flux' variable substitution where needed. `postBuild` replaces `${name}` in all objects that it
//! applies, and `$$` by `$`. Scripts, settings and dashboards contain such text themselves, so an object with one gets an
//! annotation that disables substitution, unless its annotations set it already.
//! `tests/functions/run` holds it against Flux' own library.
//! <https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution>

use std::io::{self, Write};

use crate::compiler::manifest::Object;

/// Annotation that Flux reads, and the value that disables substitution.
pub const SUBSTITUTE: (&str, &str) = ("kustomize.toolkit.fluxcd.io/substitute", "disabled");

/// Adds the annotation to the objects that need it.
pub(super) fn keep(objects: &mut [Object]) {
    for object in objects {
        if has_variable(object) {
            let annotations = object.metadata_mut().annotations.get_or_insert_default();
            annotations.entry(SUBSTITUTE.0.to_owned()).or_insert_with(|| SUBSTITUTE.1.to_owned());
        }
    }
}

fn has_variable(object: &Object) -> bool {
    if let Object::ConfigMap(map) = object {
        // Annotations are the largest part by far, and quick to search.
        let annotations = map.metadata.annotations.iter().flat_map(|all| all.values());
        let mut texts = map.data.iter().flat_map(|all| all.values()).chain(annotations);
        return texts.any(|text| text.contains("${") || text.contains("$$"));
    }
    let mut finds = Finds::default();
    // Writing stops at the first match. An object that cannot be serialized is reported elsewhere.
    let _ = object.to_writer(&mut finds);
    finds.found
}

/// A writer that searches its input for `${` and `$$` and stops at the first match.
#[derive(Default)]
struct Finds {
    last: u8,
    found: bool,
}

impl Write for Finds {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            if self.last == b'$' && matches!(*byte, b'{' | b'$') {
                self.found = true;
                return Err(io::ErrorKind::Other.into());
            }
            self.last = *byte;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn map(text: &str) -> Object {
        Object::from(ConfigMap {
            data: Some([("script".to_owned(), text.to_owned())].into()),
            ..ConfigMap::default()
        })
    }

    fn pod(argument: &str) -> Object {
        let pod = serde_json::json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
            "spec": {"containers": [{"name": "a", "args": [argument]}]},
        });
        Object::from_json(&pod).expect("typed")
    }

    #[test]
    fn an_object_with_a_variable_is_left_as_it_is() {
        let mut objects = ["a ${b:-c}", "$a $(b) {c}", "$ {a}", "part-$$"].map(map);
        keep(&mut objects);
        let said = |object: &Object| {
            object.metadata().annotations.as_ref().map(|all| all[SUBSTITUTE.0].clone())
        };
        assert_eq!(said(&objects[0]).as_deref(), Some("disabled"));
        assert_eq!([said(&objects[1]), said(&objects[2])], [None, None]);
        assert_eq!(said(&objects[3]).as_deref(), Some("disabled"), "Flux makes one of the two");
        assert!(has_variable(&pod("part-$$")) && !has_variable(&pod("$part")));
        let enabled = [(SUBSTITUTE.0.to_owned(), "enabled".to_owned())].into();
        objects[0].metadata_mut().annotations = Some(enabled);
        keep(&mut objects);
        assert_eq!(said(&objects[0]).as_deref(), Some("enabled"), "an app may override it");
    }
}
