//! Paths as text for people.

use std::path::Path;

/// A path as people would write it, without what would steer the terminal that shows it.
pub(super) fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let text = text.strip_prefix("./").unwrap_or(&text);
    crate::sanitize::name(text)
}
