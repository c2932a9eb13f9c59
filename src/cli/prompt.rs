//! Asks questions on a terminal, and repeats each until the answer is valid. Knows nothing about apps.

use std::io::{self, BufRead, IsTerminal};

use super::{CommandError, output};
use crate::compiler::diagnostic::nearest;
use crate::compiler::spec::{Format, repair};

/// Asks on a terminal. Without one, every answer is the default.
pub(super) struct Prompt {
    /// Whether a terminal is available.
    pub(super) asks: bool,
}

impl Prompt {
    /// Returns an instance that asks when standard input and standard error are terminals.
    pub(super) fn of_terminal() -> Self {
        Self { asks: io::stdin().is_terminal() && io::stderr().is_terminal() }
    }

    /// Asks until the answer has the format. An empty answer means the default.
    pub(super) fn ask(
        &self,
        what: &str,
        format: Format,
        default: Option<&str>,
    ) -> Result<Option<String>, CommandError> {
        self.until(what, default, |answer| {
            if format.accepts(answer) {
                return Ok(answer.to_owned());
            }
            let fix = repair(format, answer).map(|fix| format!("; {fix}")).unwrap_or_default();
            Err(format!("expected {}{fix}", format.phrase()))
        })
    }

    /// Asks until the answer is one of the words, in any case.
    pub(super) fn choose(
        &self,
        what: &str,
        words: &[&str],
        default: Option<&str>,
    ) -> Result<Option<String>, CommandError> {
        let what = format!("{what} ({})", words.join(", "));
        self.until(&what, default, |answer| {
            let word = words.iter().find(|word| word.eq_ignore_ascii_case(answer));
            word.map(|word| (*word).to_owned()).ok_or_else(|| {
                match nearest(answer, words.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("expected one of `{}`", words.join("`, `")),
                }
            })
        })
    }

    fn until(
        &self,
        what: &str,
        default: Option<&str>,
        read: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Option<String>, CommandError> {
        if !self.asks {
            return Ok(default.map(str::to_owned));
        }
        ask_until_valid(&mut io::stdin().lock(), &mut output::words, what, default, read)
            .map_err(|source| CommandError::Read { path: "<stdin>".to_owned(), source })
    }
}

/// Asks until an answer can be parsed, or the input ends.
fn ask_until_valid(
    answers: &mut dyn BufRead,
    output: &mut dyn FnMut(&str),
    what: &str,
    default: Option<&str>,
    read: impl Fn(&str) -> Result<String, String>,
) -> io::Result<Option<String>> {
    let shown = default.map(|default| format!(" [{default}]")).unwrap_or_default();
    loop {
        output(&format!("{what}{shown}: "));
        let mut line = String::new();
        let is_end = answers.read_line(&mut line)? == 0;
        let answer = line.trim();
        if answer.is_empty() && (default.is_some() || is_end) {
            return Ok(default.map(str::to_owned));
        }
        match read(answer) {
            Ok(answer) => return Ok(Some(answer)),
            Err(_) if is_end => return Ok(None),
            Err(why) => output(&format!("  {why}\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(lines: &str, default: Option<&str>) -> (Option<String>, String) {
        let mut output = String::new();
        let read = |answer: &str| {
            if answer == "right" { Ok(answer.to_owned()) } else { Err("expected right".to_owned()) }
        };
        let answer = ask_until_valid(
            &mut lines.as_bytes(),
            &mut |text| output.push_str(text),
            "Which",
            default,
            read,
        );
        (answer.expect("read"), output)
    }

    #[test]
    fn a_wrong_answer_is_asked_for_again() {
        let (answer, output) = answered("wrong\n\nright\n", None);
        assert_eq!(answer.as_deref(), Some("right"));
        assert_eq!(output, "Which:   expected right\nWhich:   expected right\nWhich: ");
    }

    #[test]
    fn an_empty_answer_is_the_default_and_the_end_is_no_loop() {
        assert_eq!(
            answered("\n", Some("right")),
            (Some("right".to_owned()), "Which [right]: ".to_owned())
        );
        assert_eq!(answered("", Some("right")).0.as_deref(), Some("right"));
        assert_eq!(answered("wrong\n", None).0, None);
    }
}
