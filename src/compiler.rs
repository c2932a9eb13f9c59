//! The compiler: texts become ordered Kubernetes manifests, or diagnostics.
//!
//! ```text
//!  text ─ yaml ─▶ spec ─▶ blueprint ─▶ compile ─▶ check ─▶ manifest ─▶ text
//! ```
//!
//! One way, synchronous, no I/O, no clock, no randomness, no environment: the same input gives the same
//! bytes. [`run`] is that line over all documents of a run. Knows neither the command line nor the
//! provisioner.

pub mod blueprint;
pub mod check;
pub mod compile;
pub mod diagnostic;
pub mod manifest;
pub mod run;
pub mod spec;
pub mod yaml;
