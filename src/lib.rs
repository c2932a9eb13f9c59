//! A short app file becomes Kubernetes manifests with volumes on FlashBlade and FlashArray.
//!
//! Four products share this crate, and [`contract`] is all that they have in common:
//!
//! ```text
//!  cli ──▶ adapters ──▶ compiler ──▶ contract ◀── arrays ◀── provisioner
//!                                    contract ◀── node ◀── csi
//! ```
//!
//! [`compiler`] turns texts into ordered manifests and is pure: no files, no clock, no randomness, no
//! environment. [`provisioner`] fulfils claims in the cluster by way of [`arrays`], the clients of the
//! arrays' REST APIs, and attaches block volumes to nodes. [`node`] mounts them there, and [`csi`] is the gRPC interface by
//! which kubelet and other tools call it. [`simulator`] serves such arrays for demos and tests. [`cli`] reads arguments and
//! files, and calls the others; [`adapters`] are the compiler as Argo CD, Kustomize and other tools see it.

pub mod adapters;
pub mod arrays;
pub mod cli;
pub mod compiler;
mod concurrency;
pub mod contract;
pub mod csi;
mod monitoring;
pub mod node;
pub mod provisioner;
pub mod sanitize;
pub mod simulator;
