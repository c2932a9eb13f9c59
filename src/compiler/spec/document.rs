//! A document's head: its type (`apiVersion`, `kind`) and its `metadata`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::compiler::diagnostic::{Code, Diagnostic, Place, nearest};
use crate::compiler::yaml::Node;
use crate::contract::API_VERSION;
use crate::sanitize::quoted;

/// The kind of the platform admin's document.
pub const STORAGE: &str = "Storage";

/// One document with its head parsed.
#[derive(Debug, Clone)]
pub struct Document {
    /// `Storage` or the kind of a blueprint.
    pub kind: String,
    /// Place of the value of `kind`.
    pub kind_place: Place,
    /// The whole document.
    pub node: Node,
}

/// Name, namespace, labels and annotations of an app.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metadata {
    /// Name of the app: the first part of the name of every object that it renders.
    #[schemars(extend("format" = "name"))]
    pub name: Option<String>,
    /// Namespace of its objects. If omitted, the namespace that the manifests are applied to.
    #[schemars(extend("format" = "name"))]
    pub namespace: Option<String>,
    /// Labels for every object of the app.
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "label"},
    ))]
    pub labels: BTreeMap<String, String>,
    /// Annotations for every object of the app.
    #[schemars(extend("propertyNames" = {"format": "label-key"}))]
    pub annotations: BTreeMap<String, String>,
}

/// Parses a document's head. `kinds` are the known kinds, for suggestions.
///
/// # Errors
///
/// Returns a diagnostic if `apiVersion` or `kind` is missing or unknown.
pub fn split(node: Node, kinds: &[String]) -> Result<Document, Diagnostic> {
    if node.entries().is_none() {
        let message = format!(
            "expected a document with `apiVersion`, `kind`, `metadata` and `spec`, found {}",
            node.found()
        );
        return Err(Diagnostic::new(Code::WrongType, node.place, message));
    }
    let version = node.entry("apiVersion");
    let kind = node.entry("kind");
    let Some((kind, kind_word)) = kind.and_then(|entry| Some((entry, entry.value.text()?))) else {
        return Err(Diagnostic::new(Code::MissingField, node.place, "`kind` is missing")
            .at("kind")
            .fix(format!("write one of `{}`", kinds.join("`, `"))));
    };
    if version.is_none() && kinds.iter().any(|known| known == kind_word) {
        return Err(Diagnostic::new(Code::MissingField, node.place, "`apiVersion` is missing")
            .at("apiVersion")
            .fix(format!("write `apiVersion: {API_VERSION}`")));
    }
    let version_word = version.and_then(|entry| entry.value.text()).unwrap_or_default();
    if version_word != API_VERSION {
        let place = version.map_or(node.place, |entry| entry.value.place);
        let message = format!(
            "expected `{API_VERSION}`, found {version_word}",
            version_word = quoted(version_word)
        );
        return Err(Diagnostic::new(Code::UnsupportedVersion, place, message).at("apiVersion").fix(
            format!("write `apiVersion: {API_VERSION}`, or keep Kubernetes' own objects in a file that is not named `*.pso.yaml`"),
        ));
    }
    if !kinds.iter().any(|known| known == kind_word) {
        let message = format!("there is no blueprint for the kind `{kind_word}`");
        let likely = nearest(kind_word, kinds.iter().map(String::as_str));
        let fix = likely.map_or_else(
            || {
                format!(
                    "known kinds are `{}`; others are found with `--blueprints DIR`",
                    kinds.join("`, `")
                )
            },
            |kind| format!("did you mean `{kind}`?"),
        );
        return Err(Diagnostic::new(Code::UnknownKind, kind.value.place, message)
            .at("kind")
            .fix(fix));
    }
    Ok(Document { kind: kind_word.to_owned(), kind_place: kind.value.place, node })
}

impl Document {
    /// Returns `metadata.name` as written.
    pub fn name(&self) -> Option<&str> {
        self.node.get("metadata")?.get("name")?.text()
    }
}
