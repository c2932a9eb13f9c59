//! Names, labels and annotations, uniform on every object.
//!
//! Labels: <https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::Context;
use crate::compiler::blueprint::App;
use crate::compiler::manifest::image;
use crate::contract::{MANAGER, annotation, label};

/// Labels that identify an app's objects. Only pso-gen may set them.
pub const OWN_LABELS: [&str; 5] =
    [label::NAME, label::INSTANCE, label::COMPONENT, label::PART_OF, label::MANAGED_BY];

pub(super) type Words = BTreeMap<String, String>;

/// Returns the labels that identify one component's pods. They never change.
pub(super) fn selector(app: &App, component: &str) -> Words {
    let mut labels = instance(app);
    labels.insert(label::COMPONENT.to_owned(), component.to_owned());
    labels
}

/// Returns the labels that identify an app's pods.
pub(super) fn instance(app: &App) -> Words {
    [
        (label::NAME.to_owned(), app.kind.to_lowercase()),
        (label::INSTANCE.to_owned(), app.name.clone()),
    ]
    .into()
}

pub(super) fn label_selector(labels: Words) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

/// Returns all labels of an object. `component` is empty for objects of the whole app.
pub(super) fn labels(app: &App, component: &str) -> Words {
    let mut labels = app.labels.clone();
    if let Some(added) = app.additions.get(component) {
        labels.extend(added.labels.clone());
    }
    labels.extend(instance(app));
    labels.insert(label::PART_OF.to_owned(), app.name.clone());
    labels.insert(label::MANAGED_BY.to_owned(), MANAGER.to_owned());
    if !component.is_empty() {
        labels.insert(label::COMPONENT.to_owned(), component.to_owned());
    }
    labels
}

/// Returns the version in an image's tag, if it is a valid label.
pub(super) fn version_label(reference: &str) -> Option<(String, String)> {
    let tag = image::tag(reference)?;
    let fits = tag.len() <= 63
        && tag.starts_with(|c: char| c.is_ascii_alphanumeric())
        && tag.ends_with(|c: char| c.is_ascii_alphanumeric());
    fits.then(|| (label::VERSION.to_owned(), tag.to_owned()))
}

impl Context<'_> {
    /// Returns the metadata of an object of the app.
    pub(super) fn metadata(&self, name: String, component: &str, wave: i32) -> ObjectMeta {
        let mut annotations = self.app.annotations.clone();
        if let Some(added) = self.app.additions.get(component) {
            annotations.extend(added.annotations.clone());
        }
        if let Some(day) = &self.app.expires {
            // The annotation of pso-gen, and that of kube-janitor, which deletes expired objects that were
            // applied manually.
            annotations.insert(annotation::EXPIRES.to_owned(), day.clone());
            annotations.insert(annotation::JANITOR_EXPIRES.to_owned(), day.clone());
        }
        if wave != 0 {
            annotations.insert(annotation::SYNC_WAVE.to_owned(), wave.to_string());
        }
        ObjectMeta {
            name: Some(name),
            namespace: self.app.namespace.clone(),
            labels: Some(labels(self.app, component)),
            annotations: (!annotations.is_empty()).then_some(annotations),
            ..ObjectMeta::default()
        }
    }
}
