//! What one simulated array is like.

use serde::Serialize;

/// Settings of a simulated array. Written to a file, they have no token.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// Its number among the arrays of one process: the first part of its ids.
    pub number: u32,
    /// Newest REST version that it announces, the `n` of `2.n`; the newest that there is when left out.
    pub rest: Option<u32>,
    /// Its name.
    pub name: String,
    /// The API token that it lets in.
    #[serde(skip)]
    pub token: String,
    /// Addresses at which clients reach its data.
    pub data: Vec<String>,
    /// Size in bytes.
    pub capacity: u64,
    /// Most volumes or file systems, destroyed ones included.
    pub limit: usize,
    /// Most hosts.
    pub hosts: usize,
    /// Most connections of one host.
    pub connections: usize,
    /// Protection group that new volumes become members of, on a FlashArray.
    pub default_protection: Option<String>,
    /// Largest page of a list.
    pub page: usize,
    /// How long a session may rest, in milliseconds; 0 is for ever.
    pub idle_timeout: u64,
    /// How long a destroyed object stays, in milliseconds.
    pub eradication_delay: u64,
    /// Whether it refuses to eradicate before that (`SafeMode`).
    pub safe_mode: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            number: 1,
            rest: None,
            name: "array1".to_owned(),
            token: "T-00000000-0000-4000-8000-000000000001".to_owned(),
            data: vec!["192.0.2.11".to_owned()],
            capacity: 1 << 50,
            limit: 100_000,
            hosts: 1000,
            connections: 4095,
            default_protection: None,
            page: 1000,
            idle_timeout: 30 * 60 * 1000,
            eradication_delay: 24 * 60 * 60 * 1000,
            safe_mode: false,
        }
    }
}
