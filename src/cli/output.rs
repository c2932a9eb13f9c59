//! Writes to standard output and standard error. No other module does.

use std::io::{self, ErrorKind, IsTerminal, Write};

use clap::ValueEnum;

use super::{CommandError, terminal};
use crate::compiler::diagnostic::{self, Diagnostic, Sources, Style};
use crate::sanitize;

/// Output format of diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// The line of the file, the cause and the fix.
    Human,
    /// One JSON object with a list, for scripts.
    Json,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

/// Writes data to standard output.
pub(super) fn data(text: &str) -> Result<(), CommandError> {
    write(&mut io::stdout().lock(), text.as_bytes())
}

/// Writes to a reader that may have closed its end.
pub(super) fn write(to: &mut dyn Write, bytes: &[u8]) -> Result<(), CommandError> {
    to.write_all(bytes).and_then(|()| to.flush()).map_err(|error| lost("standard output", error))
}

/// Distinguishes a reader that has closed its end from an error.
pub(super) fn lost(path: &str, source: io::Error) -> CommandError {
    if source.kind() == ErrorKind::BrokenPipe {
        return CommandError::ReaderClosed;
    }
    CommandError::Write { path: path.to_owned(), source }
}

/// Writes a text to standard error. Ignores errors, which could not be reported anyway.
pub(super) fn words(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes diagnostics in a format to standard error.
pub(super) fn diagnostics(diagnostics: &[Diagnostic], sources: &Sources, format: Format) {
    if !diagnostics.is_empty() {
        words(&rendered(diagnostics, sources, format, style(&io::stderr())));
    }
}

/// Returns diagnostics as text.
pub(super) fn rendered(
    diagnostics: &[Diagnostic],
    sources: &Sources,
    format: Format,
    style: Style,
) -> String {
    match format {
        Format::Human => diagnostic::human(diagnostics, sources, style),
        Format::Json => sanitize::json(&format!("{:#}\n", diagnostic::json(diagnostics, sources))),
        Format::Sarif => {
            sanitize::json(&format!("{:#}\n", diagnostic::sarif(diagnostics, sources)))
        }
    }
}

/// Returns the style for a stream: coloured on a terminal that supports it.
pub(super) fn style(stream: &impl IsTerminal) -> Style {
    if terminal::colours(stream) { Style::Coloured } else { Style::Plain }
}

/// Prints an error in the command line.
pub(super) fn usage(error: &clap::Error) {
    let text = error.render();
    words(&match style(&io::stderr()) {
        Style::Coloured => sanitize::coloured(&text.ansi().to_string()),
        Style::Plain => sanitize::lines(&text.to_string()),
    });
}

/// Prints an error that kept a command from running, with its causes and a hint.
pub(super) fn error(error: &CommandError) {
    let mut text = format!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("; {hint}"));
    }
    // Texts from files, Git and clusters are untrusted.
    words(&(sanitize::lines(&text) + "\n"));
}

/// The log on standard error: one JSON object per line, without control characters, and limited in length so that it
/// cannot fill a disk. A line that is too long is replaced by its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log;

/// Longest line of the log, in bytes.
const LONGEST_LINE: usize = 16 << 10;
/// Longest beginning of a line that is too long, in characters.
const LONGEST_BEGINNING: usize = 1000;

impl Write for Log {
    /// Takes a whole line from the logging library.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(logged(line).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn logged(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    if line.len() <= LONGEST_LINE {
        return sanitize::json(&text);
    }
    let fields = serde_json::json!({
        "message": "a line of the log was too long", "bytes": line.len(),
        "begins": sanitize::line(&text, LONGEST_BEGINNING),
    });
    let now = jiff::Timestamp::now().to_string();
    let cut = serde_json::json!({"timestamp": now, "level": "WARN", "fields": fields});
    format!("{cut}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_plain_and_not_too_long() {
        let hostile = serde_json::json!({"note": "a\u{1b}[2J\u{9b}2J\u{202e}\nb"});
        let line = logged(format!("{hostile}\n").as_bytes());
        assert!(!line.trim_end().chars().any(sanitize::steers), "{line:?}");
        let read: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(read, hostile, "it says the same");
        let long = format!("{}\n", serde_json::json!({"note": "x".repeat(2 << 20)}));
        let line = logged(long.as_bytes());
        assert!(line.len() < 4096 && line.ends_with('\n'), "{} bytes", line.len());
        let read: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(read["fields"]["bytes"], long.len());
    }
}
