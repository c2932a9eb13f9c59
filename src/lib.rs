//! A short app file becomes Kubernetes manifests with volumes on FlashBlade and FlashArray.
//!
//! ```text
//!  text ─ yaml ─▶ spec ─▶ blueprint ─▶ compile ─▶ check ─▶ manifest ─▶ text
//! ```
//!
//! One way, synchronous, no I/O, no clock, no randomness, no environment: the same input gives the
//! same bytes. Only [`cli`] touches files, the terminal and the environment; [`argocd`] and [`krm`] are
//! how the line looks from Argo CD, Kustomize and kpt. Beside that line, and apart from it, [`volume`] decides and [`controller`] does what the provisioner is for, by way of
//! [`array`], which talks to the arrays' REST APIs; [`report`] tells how things are, [`migrate`] reads what
//! older drivers were told, and [`simulator`] serves arrays for demos and tests.

pub mod argocd;
pub mod array;
pub mod blueprint;
pub mod check;
pub mod cli;
pub mod compile;
pub mod controller;
pub mod diagnostic;
pub mod graph;
pub mod krm;
pub mod manifest;
pub mod migrate;
pub mod pipeline;
pub mod plain;
pub mod report;
pub mod simulator;
pub mod spec;
mod turns;
pub mod volume;
pub mod yaml;
