//! Formats errors for Argo CD, which embeds them in a long sentence on a page that joins all lines.

use super::input::PARAMETER;
use crate::compiler::diagnostic::{Code, Diagnostic, Sources, without_tokens};
use crate::compiler::spec::Setting;
use crate::sanitize;

/// Largest number of errors to print, which fits on a screen.
const MOST: usize = 8;
/// Longest text of one error, in characters.
const LONGEST: usize = 400;

/// Returns the errors as numbered lines on one screen, each with place, cause and remedy. Errors that prevent a file
/// from being read come first, because the others may follow from them. `again` is the command that prints all errors.
pub fn screen(diagnostics: &[Diagnostic], sources: &Sources, again: &str) -> String {
    let mut errors: Vec<&Diagnostic> = diagnostics.iter().filter(|d| d.is_error()).collect();
    errors.sort_by_key(|error| rank(error.code));
    let mut lines = Vec::new();
    for (number, error) in errors.iter().take(MOST).enumerate() {
        let line = one(error, sources, errors[..number].iter().all(|other| other.fix != error.fix));
        lines.push(if errors.len() == 1 { line } else { format!("({}) {line}", number + 1) });
    }
    if errors.len() > MOST {
        lines.push(format!("and {} more: run `{again}`", errors.len() - MOST));
    }
    lines.join("\n") + "\n"
}

fn rank(code: Code) -> u8 {
    match code {
        Code::NotUtf8 | Code::YamlSyntax | Code::TooLarge | Code::UnsupportedYaml => 0,
        Code::BadParameter | Code::BadLayer => 1,
        Code::BadBlueprint | Code::UnknownKind | Code::UnsupportedVersion => 2,
        // Often a consequence of a misspelt field, which is reported before.
        Code::MissingField => 4,
        _ => 3,
    }
}

/// Formats one error, with its remedy unless an earlier error has had the same one.
fn one(error: &Diagnostic, sources: &Sources, with_fix: bool) -> String {
    let mut text = String::new();
    let mut path = error.path.as_str();
    if let Some(place) = error.place {
        let name = &sources.get(place.source).name;
        if name.starts_with(PARAMETER) || name.starts_with("ARGOCD_") {
            // A parameter is a single value without lines, and its place usually names the field.
            text.push_str(&format!("{name}: "));
            path = if name.ends_with(path) { "" } else { path };
        } else if name == Setting::NAMESPACE {
            text.push_str("the Application's destination.namespace: ");
            path = "";
        } else {
            text.push_str(&format!("{}: ", sources.show(place)));
        }
    }
    if !path.is_empty() {
        text.push_str(&format!("{path}: "));
    }
    text.push_str(&error.message);
    let fix =
        error.fix.as_deref().filter(|_| with_fix).map(|fix| format!("; {fix}")).unwrap_or_default();
    // Names of files and parameters are untrusted text.
    let shown = |text: &str| sanitize::line(&without_tokens(text), LONGEST);
    let (text, fix) = (shown(&text), shown(&fix));
    format!("{text}{fix} [{}]", error.code.name())
}
