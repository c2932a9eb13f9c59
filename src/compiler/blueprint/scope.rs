//! The names that expressions can use.

use minijinja::Value;
use minijinja::value::merge_maps;

/// An immutable set of names with values. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Variables(Value);

/// A scope under construction.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(String, Value)>);

impl Names {
    /// Adds names.
    pub(super) fn add<K: Into<String>>(&mut self, names: impl IntoIterator<Item = (K, Value)>) {
        self.0.extend(names.into_iter().map(|(name, value)| (name.into(), value)));
    }

    /// Returns the scope with all names so far as one mapping, because every expression looks names up in it.
    pub(super) fn scope(&self) -> Variables {
        Variables(Value::from_pairs(self.0.iter().cloned()))
    }
}

impl Variables {
    /// Returns a scope with these names.
    pub(super) fn new<K: Into<String>>(names: impl IntoIterator<Item = (K, Value)>) -> Self {
        let mut all = Names::default();
        all.add(names);
        all.scope()
    }

    /// Returns a scope in which a loop's name takes precedence over existing names.
    #[must_use]
    pub(super) fn with(&self, name: &str, value: Value) -> Self {
        // Of two with a name, `merge_maps` takes the last one, whatever its documentation says.
        Self(merge_maps([self.0.clone(), Value::from_pairs([(name, value)])]))
    }

    /// Returns the names as one value.
    pub(super) fn value(&self) -> &Value {
        &self.0
    }
}
