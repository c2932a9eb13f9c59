//! The storage document as maps in CEL: arrays, classes, imports.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::Variable;
use serde_json::{Value as Json, json};

use super::super::{literal, variable};
use crate::compiler::compile::platform::Platform;
use crate::compiler::compile::storage_class;
use crate::contract::parameter;
use crate::contract::storage::ArraySpec;

/// Placeholder for a missing array. All values of a map in CEL have one type.
pub(super) const NO_ARRAY: &str = r#"{"type": "", "data": "", "id": "", "secret": "/"}"#;

/// Returns the Secret that kubelet passes to the node service with volumes of an array, `NAMESPACE/NAME`; `/` for none.
fn secret(array: &ArraySpec) -> String {
    let chap = array.chap.as_ref();
    chap.map_or_else(|| "/".to_owned(), |chap| format!("{}/{}", chap.namespace, chap.secret))
}

/// Returns the variables that apply to all PersistentVolumes.
pub(super) fn facts(platform: &Platform<'_>) -> Vec<Variable> {
    let spec = platform.storage.spec;
    let (mut arrays, mut nodes) = (BTreeMap::new(), BTreeMap::new());
    for array in &spec.arrays {
        let (data, id) = (array.data.as_deref(), array.id.as_deref());
        let of_it = json!({
            "type": array.r#type.word(), "data": data.unwrap_or_default(), "id": id.unwrap_or_default(),
            "secret": secret(array),
        });
        arrays.insert(array.name.as_str(), of_it);
        if !array.topology.is_empty() {
            let labels = array.topology.iter().map(|(key, value)| format!("{key}={value}"));
            nodes.insert(array.name.as_str(), vec![labels.collect::<Vec<_>>().join(",")]);
        }
    }
    let (mut classes, mut options) = (BTreeMap::new(), BTreeMap::new());
    for class in storage_class::classes(platform.storage) {
        let name = class.metadata.name.unwrap_or_default();
        let parameter = |key: &str| class.parameters.as_ref()?.get(key).cloned();
        let of_it = json!({
            "backend": parameter(parameter::BACKEND).unwrap_or_default(),
            "fsType": parameter(parameter::FILE_SYSTEM).unwrap_or_default(),
            "reclaim": class.reclaim_policy.unwrap_or_default(),
        });
        classes.insert(name.clone(), of_it);
        options.insert(name, class.mount_options.unwrap_or_default());
    }
    let imports = spec.imports.iter().map(|import| {
        let of_it = json!([import.array, import.volume]);
        (format!("{}/{}", import.namespace, import.claim), of_it)
    });
    let imports: BTreeMap<String, Json> = imports.collect();
    vec![
        variable("arrays", literal(json!(arrays))),
        variable("nodes", literal(json!(nodes))),
        variable("classes", literal(json!(classes))),
        variable("options", literal(json!(options))),
        variable("imports", literal(json!(imports))),
    ]
}
