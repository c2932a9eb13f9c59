//! The provisioner's copy of the storage document as a ConfigMap, and the hash whose change restarts the pods.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::{NAME, Platform};
use crate::compiler::compile::config::short;
use crate::compiler::compile::wave;
use crate::compiler::manifest::Object;
use crate::compiler::spec::STORAGE;
use crate::compiler::yaml;
use crate::contract::API_VERSION;

/// Key in the ConfigMap, which is also the name of the file.
pub(super) const FILE: &str = "storage.pso.yaml";
/// Fields of `spec` whose contents the provisioner does not read. Changing them must not restart the pods.
const OF_OTHERS: [&str; 3] = ["nodeService", "provisioner", "quotas"];

/// The ConfigMap.
pub(super) struct Config {
    pub(super) object: Object,
    /// Hash of the contents.
    pub(super) hash: String,
}

/// Returns the ConfigMap with the document. Documents with equal content give equal texts.
pub(super) fn config_map(platform: &Platform<'_>) -> Config {
    let spec = platform.storage.document.node.get("spec").map(yaml::Node::to_json);
    let mut spec = spec.unwrap_or_default();
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|field, _| !OF_OTHERS.contains(&field.as_str()));
        // The provisioner reads whether the field is there: then policies hold it to the document's classes. It needs an
        // image, and another image restarts the pods anyway.
        fields.insert("provisioner".to_owned(), json!({"image": platform.own.image}));
    }
    let document = json!({
        "apiVersion": API_VERSION,
        "kind": STORAGE,
        "metadata": {"name": NAME, "namespace": platform.namespace},
        "spec": sorted(spec),
    });
    let mut text = String::new();
    // A parsed document can always be serialized.
    let _ = yaml::write(&mut text, &document);
    let hash = short(&Sha256::digest(&text));
    let object = Object::from(ConfigMap {
        metadata: platform.metadata(wave::PLATFORM),
        data: Some([(FILE.to_owned(), text)].into()),
        ..ConfigMap::default()
    });
    Config { object, hash }
}

/// Returns the same value with all fields sorted by name.
fn sorted(json: Json) -> Json {
    match json {
        Json::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().map(|(key, j)| (key, sorted(j))).collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            Json::Object(Map::from_iter(fields))
        }
        Json::Array(items) => Json::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
