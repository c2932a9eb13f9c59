//! Both arrays' REST APIs in one process, for demos and tests.
//!
//! An array is a value that answers requests; what is a server, a socket or a clock comes from outside.
//! Shares no code with the clients, so that one mistake cannot hide on both sides.

mod filter;
mod flashblade;
mod names;
mod rest;
mod session;
mod settings;
mod shelf;

pub use flashblade::FlashBlade;
pub use rest::{Answer, Method, Request};
pub use settings::Settings;
