//! Simulates the REST APIs of both arrays in one process, for demos and tests.
//!
//! An array is a value that responds to requests; servers, sockets and clocks are outside. Shares no code with the
//! clients, so that a mistake cannot be hidden by the same mistake on the other side.

mod collection;
mod connections;
mod faults;
mod fields;
mod filter;
mod flasharray;
mod flashblade;
mod hostile;
mod journal;
mod limit;
mod names;
mod rest;
mod server;
mod session;
mod settings;
mod versions;

pub use faults::{Fault, FaultRule};
pub use flasharray::FlashArray;
pub use flashblade::FlashBlade;
pub use rest::{Answer, Method, Request};
pub use server::{Endpoint, Options, RequestHook, Running, serve};
pub use settings::Settings;

use serde_json::{Value as Json, json};

/// An array of either kind.
#[derive(Debug, Clone)]
pub enum Array {
    /// File systems over NFS.
    FlashBlade(Box<FlashBlade>),
    /// Volumes over iSCSI.
    FlashArray(Box<FlashArray>),
}

impl Array {
    /// Responds to a request at a time in milliseconds since 1970.
    pub fn answer(&mut self, request: &Request, now: u64) -> Answer {
        match self {
            Self::FlashBlade(array) => array.answer(request, now),
            Self::FlashArray(array) => array.answer(request, now),
        }
    }

    /// Replays an earlier request, without checking its session.
    pub(super) fn repeat(&mut self, request: &Request, now: u64) {
        match self {
            Self::FlashBlade(array) => array.repeat(request, now),
            Self::FlashArray(array) => array.repeat(request, now),
        }
    }

    /// Returns its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::FlashBlade(_) => "FlashBlade",
            Self::FlashArray(_) => "FlashArray",
        }
    }

    /// Returns its capacity, its provisioned size, and the first `most` objects of each kind.
    pub fn contents(&self, most: usize, now: u64) -> Json {
        let (settings, collections) = match self {
            Self::FlashBlade(array) => array.collections(),
            Self::FlashArray(array) => array.collections(),
        };
        let kinds = collections.iter().map(|(kind, collection)| {
            let objects: Vec<Json> =
                collection.iter().take(most).map(|object| collection::shown(object, now)).collect();
            json!({"kind": kind, "count": collection.len(), "objects": objects})
        });
        let provisioned = collections
            .first()
            .map(|(_, collection)| collection.sums().provisioned())
            .unwrap_or_default();
        let kinds: Vec<Json> = kinds.collect();
        json!({"capacity": settings.capacity, "provisioned": provisioned, "kinds": kinds})
    }

    /// Sets the number of bytes written to a file system or volume, which no request can do. Returns whether it exists.
    pub fn fill(&mut self, name: &str, bytes: u64) -> bool {
        match self {
            Self::FlashBlade(array) => array.fill(name, bytes),
            Self::FlashArray(array) => array.fill(name, bytes),
        }
    }

    /// Returns the number of log-ins.
    pub fn logins(&self) -> u64 {
        match self {
            Self::FlashBlade(array) => array.logins(),
            Self::FlashArray(array) => array.logins(),
        }
    }

    /// Ends all sessions, as a restart of the array's management does.
    pub fn cut_sessions(&mut self) {
        match self {
            Self::FlashBlade(array) => array.cut_sessions(),
            Self::FlashArray(array) => array.cut_sessions(),
        }
    }

    /// Revokes the token, as when an administrator deletes it.
    pub fn revoke_token(&mut self) {
        match self {
            Self::FlashBlade(array) => array.revoke_token(),
            Self::FlashArray(array) => array.revoke_token(),
        }
    }
}
