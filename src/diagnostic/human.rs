//! Diagnostics for people: the line of the file, what is wrong with it, and what to write instead.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Code, Diagnostic, Place, Severity, Sources};
use crate::plain;

/// Whether text carries colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For a terminal.
    Coloured,
    /// For a file, a pipe, a web page.
    Plain,
}

/// Renders all of them, the most important text first, and a closing line that counts them.
pub fn human(diagnostics: &[Diagnostic], sources: &Sources, style: Style) -> String {
    let renderer = match style {
        Style::Coloured => Renderer::styled(),
        Style::Plain => Renderer::plain(),
    };
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&one(diagnostic, sources, &renderer));
        out.push_str("\n\n");
    }
    out.push_str(&summary(diagnostics));
    // What is quoted, such as a line of a file, is somebody else's words.
    match style {
        Style::Coloured => plain::coloured(&out),
        Style::Plain => plain::lines(&out),
    }
}

fn one(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = match diagnostic.path.as_str() {
        "" => diagnostic.message.clone(),
        path => format!("{path}: {}", diagnostic.message),
    };
    let kept: Vec<_> = diagnostic
        .place
        .iter()
        .map(|&place| (place, None))
        .chain(diagnostic.related.iter().map(|(place, why)| (*place, Some(why.as_str()))))
        .map(|(place, why)| {
            let source = sources.get(place.source);
            let text = match diagnostic.code {
                Code::SecretInFile => without(place, &source.text),
                _ => source.text.clone(),
            };
            (plain::name(&source.name), text, place, why.map(plain::lines))
        })
        .collect();
    let title = level.primary_title(title).id(diagnostic.code.name());
    let mut group = Group::with_title(title);
    for (index, (name, text, place, why)) in kept.iter().enumerate() {
        let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let annotation = kind.span(span(*place, text)).label(why.as_deref());
        group = group.element(
            Snippet::source(text.as_str()).path(name.as_str()).fold(true).annotation(annotation),
        );
    }
    if let Some(fix) = &diagnostic.fix {
        group = group.element(Level::HELP.message(plain::lines(fix)));
    }
    renderer.render(&[group])
}

/// The place's bytes, cut at the end of its first line: a whole block would bury the message.
fn span(place: Place, text: &str) -> std::ops::Range<usize> {
    let start = (place.start as usize).min(text.len());
    let end = (place.end as usize).clamp(start, text.len());
    let stretch = text.get(start..end).unwrap_or_default();
    start..start + stretch.find('\n').unwrap_or(stretch.len())
}

/// A text of which nobody can read what stands at a place: a secret is not for logs.
fn without(place: Place, text: &str) -> String {
    let span = span(place, text);
    let (before, after) = (text.get(..span.start), text.get(span.end..));
    let hidden = "*".repeat(text.get(span).map_or(0, |secret| secret.chars().count()));
    format!("{}{hidden}{}", before.unwrap_or_default(), after.unwrap_or_default())
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    let count = |n: usize, word: &str| match n {
        0 => None,
        1 => Some(format!("1 {word}")),
        n => Some(format!("{n} {word}s")),
    };
    let counts = [count(errors, "error"), count(diagnostics.len() - errors, "warning")];
    format!("{}\n", counts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}
