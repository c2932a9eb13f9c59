//! Diagnostics as SARIF 2.1.0, which code hosts display beside the changed line.
//!
//! Format: OASIS "Static Analysis Results Interchange Format", version 2.1.0.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Code, Diagnostic, Place, Sources, without_tokens};

/// Returns one SARIF log with one run.
pub fn sarif(diagnostics: &[Diagnostic], sources: &Sources) -> Value {
    let used: BTreeSet<Code> = diagnostics.iter().map(|d| d.code).collect();
    let rules: Vec<Value> = used
        .iter()
        .map(|code| {
            json!({
                "id": code.name(),
                "shortDescription": {"text": code.about()},
                "defaultConfiguration": {"level": code.severity().word()},
            })
        })
        .collect();
    let results: Vec<Value> = diagnostics.iter().map(|d| result(d, sources)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "pso-gen",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    let mut text = match diagnostic.path.as_str() {
        "" => diagnostic.message.clone(),
        path => format!("{path}: {}", diagnostic.message),
    };
    if let Some(fix) = &diagnostic.fix {
        text.push_str("\n\n");
        text.push_str(fix);
    }
    let mut value = json!({
        "ruleId": diagnostic.code.name(),
        "level": diagnostic.severity.word(),
        "message": {"text": without_tokens(&text)},
    });
    if let Some(place) = diagnostic.place {
        value["locations"] = json!([location(place, sources, None)]);
    }
    if !diagnostic.related.is_empty() {
        value["relatedLocations"] = diagnostic
            .related
            .iter()
            .map(|(place, why)| location(*place, sources, Some(why)))
            .collect();
    }
    value
}

fn location(place: Place, sources: &Sources, message: Option<&String>) -> Value {
    let source = sources.get(place.source);
    let end = Place::in_text(place.source, &source.text, place.end as usize, place.end as usize);
    let mut value = json!({"physicalLocation": {
        "artifactLocation": {"uri": uri(&source.name)},
        "region": {
            "startLine": place.line,
            "startColumn": place.column,
            "endLine": end.line,
            "endColumn": end.column,
        },
    }});
    if let Some(message) = message {
        value["message"] = json!({"text": message});
    }
    value
}

/// Returns a relative path as a URI reference (RFC 3986), with all other bytes escaped.
fn uri(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.trim_start_matches("./").bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
