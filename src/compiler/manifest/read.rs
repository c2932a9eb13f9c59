//! Output of an earlier run, read back to be compared with.

use serde_json::Value as Json;

use super::{Identity, Object};
use crate::compiler::diagnostic::{Code, Diagnostic, SourceId, Sources};
use crate::compiler::yaml;
use crate::contract::{MANAGER, label};

/// One object of an earlier output. Kept as JSON: an older version may have written fields that
/// today's types do not know.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    /// Which object it is.
    pub identity: Identity,
    /// All of it.
    pub json: Json,
}

impl Earlier {
    /// Returns the object as it would be read back.
    pub fn of(object: &Object) -> Result<Self, serde_json::Error> {
        Ok(Self { identity: object.identity(), json: object.to_json()? })
    }

    /// Whether pso-gen has rendered it, by its label.
    pub fn is_ours(&self) -> bool {
        self.label(label::MANAGED_BY) == Some(MANAGER)
    }

    /// Returns a label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.json["metadata"]["labels"][name].as_str()
    }

    /// Returns the claims that its pods mount.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        let pod = match self.identity.kind.as_str() {
            "Pod" => &self.json["spec"],
            "CronJob" => &self.json["spec"]["jobTemplate"]["spec"]["template"]["spec"],
            _ => &self.json["spec"]["template"]["spec"],
        };
        let volumes = pod["volumes"].as_array().into_iter().flatten();
        volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
    }

    fn read(json: Json) -> Option<Self> {
        let word = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let version = word(&json["apiVersion"]);
        let identity = Identity {
            group: version.split_once('/').map_or("", |(group, _)| group).to_owned(),
            kind: word(&json["kind"]),
            namespace: word(&json["metadata"]["namespace"]),
            name: word(&json["metadata"]["name"]),
        };
        let is_object =
            !version.is_empty() && !identity.kind.is_empty() && !identity.name.is_empty();
        is_object.then_some(Self { identity, json })
    }
}

/// Reads a YAML stream of objects; documents that are no objects are passed over.
pub fn read_stream(source: SourceId, sources: &Sources) -> Result<Vec<Earlier>, Diagnostic> {
    let read = yaml::read(source, sources);
    if let Some(wrong) = read.diagnostics.into_iter().next() {
        return Err(Diagnostic { code: Code::BadEarlier, ..wrong });
    }
    let documents = read.documents.into_iter().map(|node| node.to_json());
    Ok(documents.filter_map(Earlier::read).collect())
}
