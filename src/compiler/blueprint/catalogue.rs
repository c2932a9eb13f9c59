//! The catalogue: images by version. It is data, so a new release changes no code.

use minijinja::Value;
use minijinja::value::Serde;
use serde_json::Value as Json;

/// Image references by name, some by major version.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalogue(Json);

impl Catalogue {
    pub(super) fn new(json: Json) -> Self {
        Self(json)
    }

    /// Returns the catalogue with the entries of `other` added; `other` takes precedence.
    #[must_use]
    pub(super) fn with(&self, other: &Self) -> Self {
        let mut json = self.0.clone();
        json_patch::merge(&mut json, &other.0);
        Self(json)
    }

    /// Returns the catalogue as a value for expressions.
    pub(super) fn value(&self) -> Value {
        Value::from(Serde(&self.0))
    }
}
