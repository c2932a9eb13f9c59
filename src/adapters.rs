//! Adapters, which connect the compiler to other tools: Argo CD, Kustomize and kpt, the configuration of older drivers,
//! and graphs.
//!
//! Pure like the compiler: each adapter takes texts and values, and returns texts and values. Knows neither files nor
//! the terminal.

pub mod argocd;
pub mod graph;
pub mod krm;
pub mod migrate;
