//! Diagnostics as text for terminals and logs: the line of the file, the cause and the fix.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{
    Code, Diagnostic, Place, Severity, Source, SourceId, Sources, redacted, without_tokens,
};
use crate::sanitize;

/// Longest message or fix, in characters.
const LONGEST: usize = 4000;

/// Whether the text contains colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For a terminal.
    Coloured,
    /// For a file, a pipe, a web page.
    Plain,
}

/// Renders all diagnostics and a closing line with their numbers.
pub fn human(diagnostics: &[Diagnostic], sources: &Sources, style: Style) -> String {
    let renderer = match style {
        Style::Coloured => Renderer::styled(),
        Style::Plain => Renderer::plain(),
    };
    let mut out = String::new();
    let mut texts = Texts::new(diagnostics, sources);
    for diagnostic in diagnostics {
        out.push_str(&one(diagnostic, &mut texts, &renderer));
        out.push_str("\n\n");
    }
    out.push_str(&summary(diagnostics));
    // Quoted input, such as a line of a file, may contain control characters.
    match style {
        Style::Coloured => sanitize::coloured(&out),
        Style::Plain => sanitize::lines(&out),
    }
}

/// The texts with secrets hidden, each computed once.
struct Texts<'a> {
    sources: &'a Sources,
    /// Ranges that diagnostics have found to be secret. They are hidden in all other diagnostics as well.
    secrets: HashMap<SourceId, Vec<Range<usize>>>,
    shown: HashMap<SourceId, Arc<Source>>,
}

impl<'a> Texts<'a> {
    fn new(diagnostics: &[Diagnostic], sources: &'a Sources) -> Self {
        let mut secrets: HashMap<_, Vec<_>> = HashMap::new();
        for diagnostic in diagnostics.iter().filter(|d| d.code == Code::SecretInFile) {
            if let Some(place) = diagnostic.place {
                let range = place.start as usize..place.end as usize;
                secrets.entry(place.source).or_default().push(range);
            }
        }
        Self { sources, secrets, shown: HashMap::new() }
    }

    fn get(&mut self, id: SourceId) -> Arc<Source> {
        let shown = self.shown.entry(id).or_insert_with(|| {
            let Source { name, text } = &*self.sources.get(id);
            let known = self.secrets.get(&id).map(Vec::as_slice).unwrap_or_default();
            Arc::new(Source { name: sanitize::name(name), text: redacted(text, known) })
        });
        Arc::clone(shown)
    }
}

fn one(diagnostic: &Diagnostic, texts: &mut Texts<'_>, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = match diagnostic.path.as_str() {
        "" => without_tokens(&diagnostic.message),
        path => without_tokens(&format!("{path}: {}", diagnostic.message)),
    };
    let title = sentence(&title);
    let places: Vec<_> = diagnostic
        .place
        .iter()
        .map(|&place| (place, None))
        .chain(diagnostic.related.iter().map(|(place, why)| (*place, Some(why.as_str()))))
        .map(|(place, why)| (texts.get(place.source), place, why.map(sentence)))
        .collect();
    let title = level.primary_title(title).id(diagnostic.code.name());
    let mut group = Group::with_title(title);
    for (index, (source, place, why)) in places.iter().enumerate() {
        let Source { name, text } = &**source;
        let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let annotation = kind.span(span(*place, text)).label(why.as_deref());
        group = group.element(
            Snippet::source(text.as_str()).path(name.as_str()).fold(true).annotation(annotation),
        );
    }
    if let Some(fix) = &diagnostic.fix {
        group = group.element(Level::HELP.message(sentence(&without_tokens(fix))));
    }
    renderer.render(&[group])
}

/// Returns a message or fix on one line, because quoted input must not forge another line.
fn sentence(text: &str) -> String {
    sanitize::line(text, LONGEST)
}

/// Returns the place's bytes, cut at the end of its first line: a whole block would hide the message.
fn span(place: Place, text: &str) -> std::ops::Range<usize> {
    let start = (place.start as usize).min(text.len());
    let end = (place.end as usize).clamp(start, text.len());
    let stretch = text.get(start..end).unwrap_or_default();
    start..start + stretch.find('\n').unwrap_or(stretch.len())
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
