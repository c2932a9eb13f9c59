//! Diagnostics: reports on input, each with a place, a stable code, a cause and a fix.
//!
//! This folder knows nothing of Kubernetes or blueprints. All other folders return [`Diagnostic`]s instead of
//! printing; the command line chooses one of the three renderings.

mod code;
mod human;
mod json;
mod place;
mod redact;
mod sarif;
mod suggest;

pub use code::{Code, Severity};
pub use human::{Style, human};
pub use json::json;
pub use place::{Place, Source, SourceId, Sources};
pub use redact::{redacted, without_tokens};
pub use sarif::sarif;
pub use suggest::{misspelling, nearest};

/// An error or a warning about a user's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable name of the rule, never reused for another rule.
    pub code: Code,
    /// Severity: errors prevent output.
    pub severity: Severity,
    /// Place in a file, if the diagnostic has one.
    pub place: Option<Place>,
    /// Path of the field from the document's root, such as `spec.volumes.db`; may be empty.
    pub path: String,
    /// Cause: the value that was found and the expected one, in lower case and without a full stop.
    pub message: String,
    /// Fix, as an imperative.
    pub fix: Option<String>,
    /// Related places, each with a short explanation.
    pub related: Vec<(Place, String)>,
}

impl Diagnostic {
    /// Returns a diagnostic with the severity of its code.
    pub fn new(code: Code, place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            place: place.into(),
            path: String::new(),
            message: message.into(),
            fix: None,
            related: Vec::new(),
        }
    }

    /// Adds the path of the field.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Adds the fix.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Adds a related place.
    #[must_use]
    pub fn and(mut self, place: Option<Place>, why: impl Into<String>) -> Self {
        self.related.extend(place.map(|place| (place, why.into())));
        self
    }

    /// Returns whether the diagnostic prevents output.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Returns whether any diagnostic prevents output.
pub fn any_error(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(Diagnostic::is_error)
}

/// Sorts diagnostics in reading order (by file, by place, errors first) and removes repeats. Files are sorted by
/// name, because their numbers depend on the order of threads.
pub fn sort(diagnostics: &mut Vec<Diagnostic>, sources: &Sources) {
    diagnostics.sort_by_cached_key(|d| {
        let source = d.place.map(|place| sources.get(place.source));
        let file = source.map(|source| source.name.clone());
        (file, d.place, d.severity, d.code, d.path.clone(), d.message.clone())
    });
    diagnostics.dedup();
}
