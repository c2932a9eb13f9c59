//! Parses the output of `kubectl get pv,sc -o json` into PersistentVolumes, StorageClasses, and the number of other
//! objects.

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::Value as Json;

use crate::compiler::diagnostic::Sources;
use crate::compiler::yaml;

/// The objects of a dump.
#[derive(Debug, Default)]
pub(super) struct Dump {
    pub(super) volumes: Vec<PersistentVolume>,
    pub(super) classes: Vec<StorageClass>,
    /// Kinds of objects that are ignored.
    pub(super) others: Vec<String>,
}

const WANTED: &str = "expected the output of `kubectl get pv,sc -o json`";

/// Reads JSON (one object, a list, or several concatenated) or YAML.
pub(super) fn read(text: &str) -> Result<Dump, String> {
    let mut dump = Dump::default();
    if text.trim_start().starts_with('{') {
        for value in serde_json::Deserializer::from_str(text).into_iter::<Json>() {
            dump.take(value.map_err(|error| format!("{WANTED}: {error}"))?)?;
        }
    } else {
        let sources = Sources::default();
        let source = yaml::decode("", text.as_bytes().to_vec(), &sources);
        let read =
            source.map(|source| yaml::read(source, &sources)).map_err(|wrong| wrong.message)?;
        if let Some(wrong) = read.diagnostics.first() {
            return Err(format!("{WANTED}: {}", wrong.message));
        }
        for document in read.documents {
            dump.take(document.to_json())?;
        }
    }
    if dump.volumes.is_empty() && dump.classes.is_empty() && dump.others.is_empty() {
        return Err(format!("{WANTED}: it has no objects"));
    }
    Ok(dump)
}

impl Dump {
    fn take(&mut self, object: Json) -> Result<(), String> {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        let wrong = |error: serde_json::Error| format!("{WANTED}: {kind}: {error}");
        match kind.as_str() {
            "PersistentVolume" => self.volumes.push(serde_json::from_value(object).map_err(wrong)?),
            "StorageClass" => self.classes.push(serde_json::from_value(object).map_err(wrong)?),
            "" if object.get("items").is_none() => return Err(WANTED.to_owned()),
            "" | "List" | "PersistentVolumeList" | "StorageClassList" => {
                let Json::Object(mut fields) = object else { return Err(WANTED.to_owned()) };
                let items = fields.remove("items").unwrap_or_default();
                let Json::Array(items) = items else { return Err(format!("{WANTED}: no `items`")) };
                // The items of a typed list may omit their kind.
                let of_one = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
                for mut item in items {
                    if let (Some(kind), None) = (of_one, item.get("kind")) {
                        item["kind"] = Json::from(kind);
                    }
                    self.take(item)?;
                }
            }
            _ => self.others.push(kind),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_a_dump_are_read() {
        let volume = r#"{"kind": "PersistentVolume", "metadata": {"name": "v"}}"#;
        let class = r#"{"kind": "StorageClass", "metadata": {"name": "c"}, "provisioner": "p"}"#;
        let bare = r#"{"metadata": {"name": "v"}}"#;
        for text in [
            format!(r#"{{"kind": "List", "items": [{volume}, {class}]}}"#),
            format!("{volume}\n{class}"),
            format!(r#"{{"kind": "PersistentVolumeList", "items": [{bare}]}} {class}"#),
            "kind: PersistentVolume\nmetadata: {name: v}\n---\nkind: StorageClass\nprovisioner: p\n".to_owned(),
        ] {
            let dump = read(&text).expect("read");
            assert_eq!((dump.volumes.len(), dump.classes.len()), (1, 1), "{text}");
        }
        for text in
            ["", "{}", "[]", "{\"kind\": \"List\"}", "a: [", "{\"kind\": \"StorageClass\"}x"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
