//! Time zones of `CronJobs`, by the names that Kubernetes carries with it.
//!
//! `tests/formats/run --update` writes the list. A zone that is made later is refused until the list has it.

use super::{Found, Path};
use crate::compiler::diagnostic::nearest;

const ZONES: &str = include_str!("zones.txt");

/// Notes a zone that Kubernetes does not know.
pub(super) fn zone(name: &str, at: &Path, found: &mut Found) {
    if ZONES.lines().any(|zone| zone == name) {
        return;
    }
    let alike = ZONES.lines().filter(|zone| zone.len().abs_diff(name.len()) < 4);
    let fix = match nearest(name, alike) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write a name such as `Europe/Berlin`, or `Etc/UTC`".to_owned(),
    };
    found.add(at, format!("Kubernetes knows no time zone `{name}`"), fix);
}
