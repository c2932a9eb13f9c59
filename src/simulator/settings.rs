//! Settings of one simulated array.

use serde::Serialize;

/// Settings of a simulated array. Their serialized form contains no token.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// Its number among the arrays of one process, which is the first part of its ids.
    pub number: u32,
    /// Newest REST version that it offers, the `n` of `2.n`; the newest simulated one when left out.
    pub rest: Option<u32>,
    /// Its name.
    pub name: String,
    /// The valid API token.
    #[serde(skip)]
    pub token: String,
    /// Addresses where clients reach its data.
    pub data: Vec<String>,
    /// Addresses of its ports for NVMe/TCP, on a FlashArray.
    pub nvme: Vec<String>,
    /// WWPNs of its ports for Fibre Channel, on a FlashArray.
    pub fibre_channel: Vec<String>,
    /// Size in bytes.
    pub capacity: u64,
    /// Largest number of volumes or file systems, including destroyed ones.
    pub limit: usize,
    /// Largest number of hosts.
    pub hosts: usize,
    /// Largest number of connections of one host.
    pub connections: usize,
    /// Protection group that new volumes join, on a FlashArray.
    pub default_protection: Option<String>,
    /// Largest page of a list.
    pub page: usize,
    /// Idle timeout of a session in milliseconds; 0 for none.
    pub idle_timeout: u64,
    /// Time until a destroyed object is eradicated, in milliseconds.
    pub eradication_delay: u64,
    /// Whether it refuses earlier eradication (`SafeMode`).
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
            nvme: Vec::new(),
            fibre_channel: Vec::new(),
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
