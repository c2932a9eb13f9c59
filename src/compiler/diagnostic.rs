//! What is wrong in somebody's file: a place, a stable code, what was found and what to write instead.
//!
//! Knows nothing of Kubernetes or of blueprints. Every room before the command line returns
//! [`Diagnostic`]s instead of printing; the command line picks one of the three renderings.

mod code;
mod hide;
mod human;
mod json;
mod place;
mod sarif;
mod suggest;

pub use code::{Code, Severity};
pub use hide::{hidden, without_tokens};
pub use human::{Style, human};
pub use json::json;
pub use place::{Place, Source, SourceId, Sources};
pub use sarif::sarif;
pub use suggest::{nearest, slip};

/// One thing that is wrong, or doubtful, in a file that somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable name of the rule, never reused for another rule.
    pub code: Code,
    /// Whether output is refused.
    pub severity: Severity,
    /// Where in a file, if it is about a place at all.
    pub place: Option<Place>,
    /// Path of the field from the document's root, such as `spec.volumes.db`; may be empty.
    pub path: String,
    /// What was found and what would be right: lower case, no full stop.
    pub message: String,
    /// What to write or do instead.
    pub fix: Option<String>,
    /// Other places that belong to it, each with a word on why.
    pub related: Vec<(Place, String)>,
}

impl Diagnostic {
    /// Returns a diagnostic with the severity that its code has by nature.
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

    /// Adds what to write or do instead.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Adds another place that belongs to it.
    #[must_use]
    pub fn and(mut self, place: Option<Place>, why: impl Into<String>) -> Self {
        self.related.extend(place.map(|place| (place, why.into())));
        self
    }

    /// Returns whether output is refused because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Returns whether any of them refuses output.
pub fn any_error(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(Diagnostic::is_error)
}

/// Puts them in the order in which people read: by file, by place, errors first; and drops repeats.
/// Files go by their names: their numbers say only which thread came first.
pub fn sort(diagnostics: &mut Vec<Diagnostic>, sources: &Sources) {
    diagnostics.sort_by_cached_key(|d| {
        let source = d.place.map(|place| sources.get(place.source));
        let file = source.map(|source| source.name.clone());
        (file, d.place, d.severity, d.code, d.path.clone(), d.message.clone())
    });
    diagnostics.dedup();
}
