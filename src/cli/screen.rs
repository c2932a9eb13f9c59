//! What a terminal can do, by the environment: whether text may be drawn over, and coloured.

use std::env;
use std::io::{IsTerminal, stdout};

/// Returns whether a table may be drawn over the one before it.
pub(super) fn redraws() -> bool {
    stdout().is_terminal() && !is_dumb()
}

/// Returns whether a stream shows colours: a terminal that knows them, and no wish against them
/// (<https://no-color.org>).
pub(super) fn colours(stream: &impl IsTerminal) -> bool {
    let off = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !off && !is_dumb()
}

/// Returns whether the terminal understands no sequences at all.
pub(super) fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}
