//! Layers of a run: which documents each one changes, and whether it changes any.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;

use crate::compiler::diagnostic::{Diagnostic, nearest};
use crate::compiler::spec::{Document, clean_layer};
use crate::compiler::yaml::Node;

/// A document of a layer file, and how many apps it has changed.
#[derive(Debug)]
pub struct Layer {
    pub(super) node: Node,
    pub(super) used: AtomicU32,
    /// Its errors and warnings that do not depend on an app.
    pub(super) found: Vec<Diagnostic>,
    /// The kind or name of an app that is most likely meant.
    pub(super) near: OnceLock<String>,
}

impl Layer {
    /// Returns a layer from one document of a layer file.
    pub fn new(mut node: Node) -> Self {
        let found = clean_layer(&mut node);
        Self { node, used: AtomicU32::new(0), found, near: OnceLock::new() }
    }

    /// It changes the documents whose kind and name equal those that it has.
    pub(super) fn suits(&self, document: &Document) -> bool {
        let word = |path: [&str; 2]| self.node.get(path[0]).and_then(|node| node.get(path[1]));
        let kind = self.node.get("kind").and_then(Node::text);
        let name = word(["metadata", "name"]).and_then(Node::text);
        let same_kind = kind.is_none_or(|kind| kind == document.kind);
        let same_name = name.is_none_or(|name| Some(name) == document.name());
        let note = |word: Option<&str>, right: Option<&str>| {
            if let (Some(word), Some(right)) = (word, right)
                && nearest(word, [right]).is_some()
            {
                let _ = self.near.set(right.to_owned());
            }
        };
        match (same_kind, same_name) {
            (true, false) => note(name, document.name()),
            (false, true) => note(kind, Some(&document.kind)),
            _ => {}
        }
        same_kind && same_name
    }
}
