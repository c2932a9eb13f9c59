//! What the processes that Prometheus watches have in common: the registry of their metrics, and the HTTP server for metrics
//! and probes. What is measured, and which process it is, are unknown here.

mod http;
mod register;

pub(crate) use http::{metrics_text, probe_answer, serve};
pub(crate) use register::Register;
