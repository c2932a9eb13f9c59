//! A folder of data, as it was read: the form in which blueprints come in. Knows no file system.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A folder of text files, already read.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    /// How it is named to people: its path.
    pub name: String,
    /// Texts by file name.
    pub files: BTreeMap<String, Arc<str>>,
}
