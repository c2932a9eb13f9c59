//! Predicts the API server's refusal of an object, with the field path that the API server reports, and images that the
//! kubelet refuses later.
//!
//! It contains the rules of Kubernetes' own validation (`pkg/apis/*/validation`) and of the Gateway API's schema
//! for all fields that an app, a blueprint or a patch can set. `tests/controlplane/refused.rs` compares each rule
//! with a real API server. It knows nothing of apps, and nothing of existing objects in a cluster.

mod container;
mod metadata;
mod network;
mod pod;
mod resources;
mod workload;
mod zone;

use super::Object;
use crate::compiler::spec::{Format, repair};

pub use resources::unfit;

/// One reason for a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The field, as the API server names it: `spec.template.spec.containers[0].image`.
    pub field: String,
    /// The value that was found, and the expected one.
    pub message: String,
    /// The fix.
    pub fix: String,
    /// Who refuses it, as it is named to people.
    pub by: &'static str,
}

/// Returns the reasons for which the API server refuses an object.
pub fn refused(object: &Object) -> Vec<Refusal> {
    let mut found = Found::default();
    metadata::metadata(object, &mut found);
    match object {
        Object::Pod(object) => {
            if let Some(spec) = &object.spec {
                pod::pod(spec, &Path::new("spec"), &mut found);
            }
        }
        Object::Service(object) => network::service(object, &mut found),
        Object::Ingress(object) => network::ingress(object, &mut found),
        Object::HttpRoute(object) => network::route(object, &mut found),
        Object::NetworkPolicy(object) => network::policy(object, &mut found),
        other => workload::workload(other, &mut found),
    }
    found.0
}

/// The reasons found so far.
#[derive(Debug, Default)]
struct Found(Vec<Refusal>);

impl Found {
    fn add(&mut self, field: &Path, message: impl Into<String>, fix: impl Into<String>) {
        let (message, fix) = (message.into(), fix.into());
        self.0.push(Refusal { field: field.0.clone(), message, fix, by: "the API server" });
    }

    /// Notes a value that the API server accepts and the kubelet refuses.
    fn by_kubelet(&mut self, note: impl FnOnce(&mut Self)) {
        let before = self.0.len();
        note(self);
        self.0[before..].iter_mut().for_each(|refusal| refusal.by = "the kubelet");
    }

    /// Checks the format of a text.
    fn format(&mut self, field: &Path, text: &str, format: Format) {
        if !format.accepts(text) {
            let message = format!("expected {}, found `{text}`", format.phrase());
            let fix = repair(format, text).unwrap_or_else(|| "change it".to_owned());
            self.add(field, message, fix);
        }
    }

    /// Checks that a word is one of the choices.
    fn choice(&mut self, field: &Path, word: Option<&str>, choices: &[&str]) {
        if let Some(word) = word.filter(|word| !choices.contains(word)) {
            let choices = choices.join("`, `");
            self.add(
                field,
                format!("`{word}` is not a valid value here"),
                format!("write one of `{choices}`"),
            );
        }
    }

    /// Checks the bounds of a number.
    fn bounds(&mut self, field: &Path, number: Option<i64>, min: i64, max: i64) {
        if let Some(number) = number.filter(|number| !(min..=max).contains(number)) {
            let message = if max == i64::MAX {
                format!("`{number}` is less than {min}")
            } else {
                format!("`{number}` is not between {min} and {max}")
            };
            self.add(
                field,
                message,
                format!(
                    "write {min} or more{}",
                    if max == i64::MAX { String::new() } else { format!(", at most {max}") }
                ),
            );
        }
    }

    /// Checks that keys in a list are unique.
    fn unique<'a, K: PartialEq>(
        &mut self,
        items: impl IntoIterator<Item = (Path, K, &'a str)>,
        what: &str,
    ) {
        let mut seen = Vec::new();
        for (field, key, word) in items {
            if seen.contains(&key) {
                let fix = format!("remove one, or give it another {what}");
                self.add(&field, format!("the {what} `{word}` appears twice"), fix);
            } else {
                seen.push(key);
            }
        }
    }
}

/// The path of a field.
#[derive(Debug, Clone)]
struct Path(String);

impl Path {
    fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    fn child(&self, field: &str) -> Self {
        if self.0.is_empty() { Self::new(field) } else { Self(format!("{}.{field}", self.0)) }
    }

    fn index(&self, field: &str, index: usize) -> Self {
        Self(format!("{}[{index}]", self.child(field).0))
    }

    fn key(&self, field: &str, key: &str) -> Self {
        Self(format!("{}[{key}]", self.child(field).0))
    }
}
