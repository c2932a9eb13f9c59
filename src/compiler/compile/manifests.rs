//! Objects that a blueprint writes literally. They pass the same checks as compiled objects.

use serde_json::Value as Json;

use super::Context;
use super::names::labels;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, nearest};
use crate::compiler::manifest::{Object, Unknown};
use crate::compiler::spec::one_of;

/// Returns the blueprint's own objects, with the app's namespace and labels.
pub(super) fn manifests(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Object> {
    let mut objects = Vec::new();
    for (json, place) in &context.app.manifests {
        match Object::from_json(json) {
            Ok(object) => objects.push(adopted(context, object)),
            Err(unknown) => {
                diagnostics.push(diagnostic_of(&unknown, json, Code::UnknownManifest, *place));
            }
        }
    }
    objects
}

fn adopted(context: &Context<'_>, mut object: Object) -> Object {
    let is_namespaced = object.is_namespaced();
    let app = context.app;
    let metadata = object.metadata_mut();
    let mut labels = labels(app, "");
    labels.extend(metadata.labels.take().unwrap_or_default());
    metadata.labels = Some(labels);
    if is_namespaced && metadata.namespace.is_none() {
        metadata.namespace.clone_from(&app.namespace);
    }
    object
}

/// Returns the diagnostic for an object that is unknown to Kubernetes.
pub(super) fn diagnostic_of(
    unknown: &Unknown,
    json: &Json,
    code: Code,
    place: Place,
) -> Diagnostic {
    let word = |value: &Json| value.as_str().unwrap_or("?").to_owned();
    let what = format!("{} {}", word(&json["kind"]), word(&json["metadata"]["name"]));
    match unknown {
        Unknown::Incomplete(field) => {
            Diagnostic::new(code, place, format!("{what}: `{field}` is missing"))
        }
        Unknown::Kind(kind, kinds) => {
            let short = kind.rsplit('/').next().unwrap_or_default();
            let diagnostic = Diagnostic::new(code, place, format!("Kubernetes has no `{kind}`"));
            match nearest(short, kinds.iter().copied()) {
                Some(likely) => diagnostic.fix(format!("did you mean `{likely}`?")),
                None => diagnostic,
            }
        }
        Unknown::Fields(fields) => {
            let fields = one_of(fields);
            Diagnostic::new(code, place, format!("{what} has no field {fields}"))
                .fix("look it up with `kubectl explain`")
        }
        Unknown::Value(message) => Diagnostic::new(code, place, format!("{what}: {message}")),
    }
}
