//! Rules for names, labels and annotations, for keys and sizes of `ConfigMaps` and Secrets, and for claims.

use std::collections::BTreeMap;

use super::{Found, Path};
use crate::compiler::manifest::Object;
use crate::compiler::spec::{Format, is_config_key, repair};
use crate::contract::Quantity;

/// Largest size of all annotations of an object, in bytes.
const ANNOTATIONS: usize = 256 << 10;
pub(super) const KEY_FIX: &str =
    "use 1 to 253 letters, digits, `-`, `_` and `.`, without `..` in front";
/// Largest size of a ConfigMap's or Secret's contents, in bytes.
const CONTENTS: usize = 1 << 20;

pub(super) fn metadata(object: &Object, found: &mut Found) {
    let at = Path::new("metadata");
    let metadata = object.metadata();
    // Names of roles may hold more.
    if let Some(name) = &metadata.name {
        match object {
            Object::Service(_) | Object::Namespace(_) => {
                found.format(&at.child("name"), name, Format::Name);
            }
            Object::Role(_)
            | Object::RoleBinding(_)
            | Object::ClusterRole(_)
            | Object::ClusterRoleBinding(_) => {}
            _ => found.format(&at.child("name"), name, Format::Subdomain),
        }
    }
    labels(metadata.labels.as_ref(), &at.child("labels"), found);
    let annotations = metadata.annotations.iter().flatten();
    let field = at.child("annotations");
    let mut bytes = 0;
    for (key, value) in annotations {
        bytes += key.len() + value.len();
        // Kubernetes ignores case in the prefix of annotations.
        found.format(&field, &key.to_lowercase(), Format::LabelKey);
    }
    if bytes > ANNOTATIONS {
        let message =
            format!("the annotations have {bytes} bytes, at most {ANNOTATIONS} are allowed");
        found.add(&field, message, "move the larger ones into a ConfigMap");
    }
    match object {
        Object::ConfigMap(map) => {
            let data = map.data.iter().flatten().map(|(key, text)| (key, text.len()));
            let binary = map.binary_data.iter().flatten().map(|(key, data)| (key, data.0.len()));
            contents(data.chain(binary), found);
        }
        Object::Secret(secret) => {
            let data = secret.data.iter().flatten().map(|(key, data)| (key, data.0.len()));
            let text = secret.string_data.iter().flatten().map(|(key, text)| (key, text.len()));
            contents(data.chain(text), found);
        }
        Object::PersistentVolumeClaim(claim) => {
            let Some(spec) = &claim.spec else { return };
            let spec_at = Path::new("spec");
            if spec.access_modes.as_ref().is_none_or(Vec::is_empty) {
                let message = "a claim needs an access mode";
                found.add(
                    &spec_at.child("accessModes"),
                    message,
                    "write `[ReadWriteMany]` or `[ReadWriteOnce]`",
                );
            }
            let requests =
                spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
            let size = requests.and_then(|requests| requests.get("storage"));
            let field = spec_at.key("resources", "storage");
            match size {
                Some(size) if Quantity::bytes_of(&size.0).is_none_or(|bytes| bytes == 0) => {
                    let fix = repair(Format::Quantity, &size.0);
                    found.add(
                        &field,
                        format!("`{}` is not a size", size.0),
                        fix.unwrap_or_else(|| "write a size such as `20Gi`".to_owned()),
                    );
                }
                Some(_) => {}
                None => found.add(
                    &spec_at.key("resources", "storage"),
                    "a claim needs a size",
                    "write a size such as `20Gi`",
                ),
            }
        }
        _ => {}
    }
}

/// Checks labels.
pub(super) fn labels(labels: Option<&BTreeMap<String, String>>, at: &Path, found: &mut Found) {
    for (key, value) in labels.into_iter().flatten() {
        found.format(at, key, Format::LabelKey);
        if !Format::Label.accepts(value) {
            let message =
                format!("expected {} in `{key}`, found `{value}`", Format::Label.phrase());
            found.add(at, message, "use an annotation for longer or other text");
        }
    }
}

fn contents<'a>(entries: impl Iterator<Item = (&'a String, usize)>, found: &mut Found) {
    let mut bytes = 0;
    for (key, length) in entries {
        bytes += length;
        if !is_config_key(key) {
            let message = format!("`{key}` is not a key of a ConfigMap or Secret");
            found.add(&Path::new("").key("data", key), message, KEY_FIX);
        }
    }
    if bytes > CONTENTS {
        let message = format!("the contents have {bytes} bytes, at most {CONTENTS} are allowed");
        found.add(&Path::new("data"), message, "shorten them, or store them on a volume");
    }
}
