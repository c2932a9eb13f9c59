//! Converts the configuration of Pure Service Orchestrator or Portworx into a storage document and a Secret.
//!
//! Takes and returns texts. Knows neither files nor Git nor the terminal. Its output for display never contains a
//! token: diagnostics quote texts in which tokens are masked with stars.

mod dump;
mod keys;
mod redact;
mod storage_classes;
mod values;
mod volumes;
mod wrap;

use serde_json::{Value as Json, json};

pub use redact::{RedactedFile, open};
pub use values::{OldConfig, values};
pub use volumes::{Found, Left, volumes};

use crate::compiler::spec::STORAGE;
use crate::compiler::yaml::{self, WriteError};
use crate::contract::API_VERSION;

/// Name of the Secret with the tokens. Each array's name is a key in it.
pub const SECRET: &str = "arrays";

/// Options for values that the old files do not contain.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Name of the cluster, which replaces the old one.
    pub cluster: Option<String>,
    /// Namespace of the storage document and its Secret.
    pub namespace: String,
    /// Networks of the nodes.
    pub nodes: Vec<String>,
    /// Prefix of the names of old volumes, where their PersistentVolumes do not contain it.
    pub prefix: Option<String>,
}

/// Returns the storage document.
pub fn document(
    old: &OldConfig,
    found: &Found,
    options: &ImportOptions,
) -> Result<String, WriteError> {
    let mut spec = json!({"cluster": old.cluster});
    if !options.nodes.is_empty() {
        spec["nodes"] = json!(options.nodes);
    }
    let arrays = old.arrays.iter().map(|array| {
        let mut entry = json!({
            "name": array.name,
            "type": array.kind.word(),
            "management": array.management,
        });
        if let Some(data) = &array.data {
            entry["data"] = json!(data);
        }
        entry["token"] = json!({"secret": SECRET, "key": array.name});
        for (field, labels) in [("labels", &array.labels), ("topology", &array.topology)] {
            if !labels.is_empty() {
                entry[field] = json!(labels);
            }
        }
        entry
    });
    spec["arrays"] = arrays.collect();
    if !old.classes.is_empty() {
        spec["classes"] = Json::Object(old.classes.clone());
    }
    if !found.imports.is_empty() {
        spec["imports"] = json!(found.imports);
    }
    let document = json!({
        "apiVersion": API_VERSION,
        "kind": STORAGE,
        "metadata": {"name": "storage", "namespace": options.namespace},
        "spec": spec,
    });
    let mut text = String::new();
    yaml::write(&mut text, &document)?;
    if !found.left.is_empty() {
        if found.imports.is_empty() {
            text.push_str("  # imports:\n");
        }
        text.push_str(
            "  # Not yet imported; the warnings of import-pso list the missing information:\n",
        );
    }
    for left in &found.left {
        text.push_str(&format!("  # {}\n", left.line()));
    }
    Ok(text)
}

/// Returns the Secret with the tokens. No other text contains them.
pub fn secret(old: &OldConfig, options: &ImportOptions) -> Result<String, WriteError> {
    let tokens = old.arrays.iter().map(|array| (array.name.clone(), json!(array.token())));
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": options.namespace},
        "stringData": Json::Object(tokens.collect()),
    });
    let mut text = String::new();
    yaml::write(&mut text, &secret)?;
    Ok(text)
}
