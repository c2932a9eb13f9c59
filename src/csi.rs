//! The Container Storage Interface (CSI) over gRPC: Identity, Node and Controller services on Unix sockets, and kubelet's
//! plugin registration. <https://github.com/container-storage-interface/spec/blob/v1.13.0/spec.md>
//!
//! ```text
//!  kubelet ──socket──▶ server ─▶ node_server ─▶ node::NodeService
//!  sidecars ─socket──▶ server ─▶ controller ──▶ arrays
//! ```
//!
//! Checks requests, translates them, and turns errors into gRPC's codes. Decides nothing about devices.

mod cluster;
mod controller;
mod error;
mod identity;
mod message;
mod metered;
mod metrics;
mod no_node;
mod node_server;
mod operation_locks;
mod probes;
mod registration;
mod request;
mod rpc;
mod server;
mod socket;

#[cfg(test)]
mod tests;

pub use cluster::{ClusterRecords, FileRecords, attachment_name};
pub use controller::{Controller, ControllerArray, Scope};
pub use metrics::NodeMetrics;
pub use probes::{ControllerProbes, NodeProbes};
pub use server::{NodeSockets, ServeError, serve_node};
pub use socket::SocketError;
