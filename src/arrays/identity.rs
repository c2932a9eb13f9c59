//! Which array answers, as it says itself.

/// Which array it is, as it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its id, which outlives changes of name and address.
    pub id: String,
    /// Its own name.
    pub name: String,
    /// Version of its operating environment (Purity).
    pub purity: String,
    /// REST version that is used with it.
    pub rest: String,
}
