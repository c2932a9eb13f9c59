//! Diagnostics as JSON, for scripts: one object with a list. Fields are never renamed.

use serde_json::{Value, json};

use super::{Diagnostic, Place, Sources, without_tokens};

/// Returns `{"diagnostics": [...]}`. Lines and columns are counted from 1, columns in characters.
pub fn json(diagnostics: &[Diagnostic], sources: &Sources) -> Value {
    json!({
        "diagnostics": diagnostics.iter().map(|d| one(d, sources)).collect::<Vec<_>>(),
    })
}

fn one(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    json!({
        "code": diagnostic.code.name(),
        "severity": diagnostic.severity.word(),
        "message": without_tokens(&diagnostic.message),
        "path": diagnostic.path,
        "fix": diagnostic.fix.as_deref().map(without_tokens),
        "place": diagnostic.place.map(|p| place(p, sources)),
        "related": diagnostic
            .related
            .iter()
            .map(|(p, why)| json!({"place": place(*p, sources), "message": why}))
            .collect::<Vec<_>>(),
    })
}

fn place(place: Place, sources: &Sources) -> Value {
    let source = sources.get(place.source);
    let end = Place::in_text(place.source, &source.text, place.end as usize, place.end as usize);
    json!({
        "file": source.name,
        "line": place.line,
        "column": place.column,
        "endLine": end.line,
        "endColumn": end.column,
    })
}
