//! The compiler: turns the texts of documents into ordered Kubernetes manifests, or into diagnostics.
//!
//! ```text
//!  text ─ yaml ─▶ spec ─▶ blueprint ─▶ compile ─▶ check ─▶ manifest ─▶ text
//! ```
//!
//! The road is one-way, synchronous and pure: no I/O, no clock, no randomness, no environment. The same input
//! gives the same bytes. [`run`] applies it to all documents of a run. The compiler knows neither the command
//! line nor the provisioner.

pub mod blueprint;
pub mod check;
pub mod compile;
pub mod diagnostic;
pub mod manifest;
pub mod run;
pub mod spec;
pub mod yaml;
