//! Reads the output of an earlier run, as a baseline.

use serde_json::Value as Json;

use super::{Identity, Object};
use crate::compiler::diagnostic::{Code, Diagnostic, SourceId, Sources};
use crate::compiler::yaml;
use crate::contract::{MANAGER, label};

/// One object of a baseline. It is JSON, because an older version may have written fields that the current types
/// do not have.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    /// Its identity.
    pub identity: Identity,
    /// Its whole content.
    pub json: Json,
}

impl Earlier {
    /// Returns the object in the form in which a baseline contains it.
    pub fn of(object: &Object) -> Result<Self, serde_json::Error> {
        Ok(Self { identity: object.identity(), json: object.to_json()? })
    }

    /// Returns whether pso-gen has rendered the object, by its label.
    pub fn is_ours(&self) -> bool {
        self.label(label::MANAGED_BY) == Some(MANAGER)
    }

    /// Returns a label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.json["metadata"]["labels"][name].as_str()
    }

    /// Returns the claims that the object's pods mount.
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

/// Parses a YAML stream of objects. Documents that are not objects are skipped.
pub fn read_stream(source: SourceId, sources: &Sources) -> Result<Vec<Earlier>, Diagnostic> {
    let read = yaml::read(source, sources);
    if let Some(error) = read.diagnostics.into_iter().next() {
        return Err(Diagnostic { code: Code::BadEarlier, ..error });
    }
    let documents = read.documents.into_iter().map(|node| node.to_json());
    Ok(documents.filter_map(Earlier::read).collect())
}
