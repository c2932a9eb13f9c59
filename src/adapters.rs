//! The compiler as other tools see it: Argo CD, Kustomize and kpt, older drivers' configuration, a picture.
//!
//! Pure like the compiler: each adapter takes texts and values, and returns texts and values. Knows no files
//! and no terminal.

pub mod argocd;
pub mod graph;
pub mod krm;
pub mod migrate;
