//! Standard output and standard error: the only place that writes to them.

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};

use clap::ValueEnum;

use super::Trouble;
use crate::diagnostic::{self, Diagnostic, Sources, Style};

/// How diagnostics are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// The line of the file, what is wrong with it, what to write instead.
    Human,
    /// One JSON object with a list, for scripts.
    Json,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

/// Writes data to standard output.
pub(super) fn data(text: &str) -> Result<(), Trouble> {
    write(&mut io::stdout().lock(), text.as_bytes())
}

/// Writes to somebody who may have gone.
pub(super) fn write(to: &mut dyn Write, bytes: &[u8]) -> Result<(), Trouble> {
    to.write_all(bytes).and_then(|()| to.flush()).map_err(|error| lost("standard output", error))
}

/// Tells a reader that has gone from one that failed.
pub(super) fn lost(path: &str, source: io::Error) -> Trouble {
    if source.kind() == ErrorKind::BrokenPipe {
        return Trouble::BrokenPipe;
    }
    Trouble::Write { path: path.to_owned(), source }
}

/// Writes words to standard error. When that fails, there is nobody to tell.
pub(super) fn words(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes diagnostics in a format to standard error.
pub(super) fn diagnostics(found: &[Diagnostic], sources: &Sources, format: Format) {
    if !found.is_empty() {
        words(&rendered(found, sources, format, style(&io::stderr())));
    }
}

/// Returns diagnostics as text.
pub(super) fn rendered(
    found: &[Diagnostic],
    sources: &Sources,
    format: Format,
    style: Style,
) -> String {
    match format {
        Format::Human => diagnostic::human(found, sources, style),
        Format::Json => format!("{:#}\n", diagnostic::json(found, sources)),
        Format::Sarif => format!("{:#}\n", diagnostic::sarif(found, sources)),
    }
}

/// Returns whether a stream is shown to somebody who likes colours.
pub(super) fn style(stream: &impl IsTerminal) -> Style {
    let off = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if stream.is_terminal() && !off { Style::Coloured } else { Style::Plain }
}

/// Says what kept a command from being tried, and why, to the bottom.
pub(super) fn trouble(trouble: &Trouble) {
    let mut text = format!("error: {trouble}");
    let mut cause = std::error::Error::source(trouble);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text.push('\n');
    words(&text);
}
