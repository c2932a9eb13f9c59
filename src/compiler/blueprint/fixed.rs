//! Checks that conditions and loops do not stand where a blueprint has fixed names.

use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::yaml::{Entry, Node};

/// Sections whose names are part of the app's kind, so that no condition or loop can add or remove one.
const FIXED: [&str; 6] = ["parameters", "let", "volumes", "secrets", "components", "jobs"];

/// Returns the conditions and loops directly under a section that has fixed names.
pub(super) fn fixed_names(node: &Node) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    let mut refuse = |entries: &[Entry], section: &str, fix: &str| {
        let odd = |entry: &&Entry| {
            matches!(entry.key.as_str(), "+" | "if" | "for") || entry.key.contains("{{")
        };
        for entry in entries.iter().filter(odd) {
            let message = format!(
                "`{}` cannot stand directly under `{section}`: every app of the kind has the same names there",
                entry.key
            );
            errors.push(Diagnostic::new(Code::BadBlueprint, entry.place, message).fix(fix));
        }
    };
    for section in FIXED {
        let entries = node.get(section).and_then(Node::entries).unwrap_or_default();
        let fix = match section {
            "components" | "jobs" | "volumes" => {
                "write each by its name; `if` inside one of them leaves it out"
            }
            "secrets" => {
                "write each key by its name: a key that no component uses is filled and does no harm"
            }
            _ => "write each by its name",
        };
        refuse(entries, section, fix);
        if section == "secrets" {
            for secret in entries {
                let keys = secret.value.entries().unwrap_or_default();
                refuse(keys, &format!("secrets.{}", secret.key), fix);
            }
        }
    }
    errors
}
