//! Both arrays' REST APIs in one process, for demos and tests.
//!
//! An array is a value that answers requests; what is a server, a socket or a clock comes from outside.
//! Shares no code with the clients, so that one mistake cannot hide on both sides.

mod filter;
mod flasharray;
mod flashblade;
mod names;
mod rest;
mod session;
mod settings;
mod shelf;

pub use flasharray::FlashArray;
pub use flashblade::FlashBlade;
pub use rest::{Answer, Method, Request};
pub use settings::Settings;

/// An array of either kind.
#[derive(Debug, Clone)]
pub enum Array {
    /// File systems over NFS.
    FlashBlade(Box<FlashBlade>),
    /// Volumes over iSCSI.
    FlashArray(Box<FlashArray>),
}

impl Array {
    /// Answers a request at a time in milliseconds since 1970.
    pub fn answer(&mut self, request: &Request, now: u64) -> Answer {
        match self {
            Self::FlashBlade(array) => array.answer(request, now),
            Self::FlashArray(array) => array.answer(request, now),
        }
    }

    /// Returns how often somebody has logged in.
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

    /// Lets nobody in any more, as when an administrator deletes the token.
    pub fn revoke_token(&mut self) {
        match self {
            Self::FlashBlade(array) => array.revoke_token(),
            Self::FlashArray(array) => array.revoke_token(),
        }
    }
}
