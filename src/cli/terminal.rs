//! Determines the capabilities of a terminal from the environment: redrawing and colours.

use std::env;
use std::io::{IsTerminal, stdout};

/// Returns whether a table may be redrawn in place.
pub(super) fn redraws() -> bool {
    stdout().is_terminal() && !is_dumb()
}

/// Returns whether a person sees standard output.
pub(super) fn shows_output() -> bool {
    stdout().is_terminal()
}

/// Returns whether a stream shows colours: a terminal that supports them, unless the user has disabled them
/// (<https://no-color.org>).
pub(super) fn colours(stream: &impl IsTerminal) -> bool {
    let off = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !off && !is_dumb()
}

/// Returns whether the terminal supports no escape sequences.
pub(super) fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}
