//! The names that expressions see.

use minijinja::Value;
use minijinja::value::merge_maps;

/// A set of names with values. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Scope(Value);

impl Scope {
    /// Returns a scope with these names.
    pub(super) fn new<K: Into<String>>(names: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self(names.into_iter().map(|(name, value)| (name.into(), value)).collect::<Names>().into())
    }

    /// Returns a scope in which these names come before those that are there.
    #[must_use]
    pub(super) fn with<K: Into<String>>(
        &self,
        names: impl IntoIterator<Item = (K, Value)>,
    ) -> Self {
        Self(merge_maps([Self::new(names).0, self.0.clone()]))
    }

    /// Returns them as one value.
    pub(super) fn value(&self) -> &Value {
        &self.0
    }
}

/// Collects names into a minijinja mapping.
struct Names(Vec<(String, Value)>);

impl FromIterator<(String, Value)> for Names {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl From<Names> for Value {
    fn from(names: Names) -> Self {
        Self::from_pairs(names.0)
    }
}
