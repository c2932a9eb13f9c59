//! The blueprint language as types. Their doc comments are its reference page.
//!
//! A blueprint describes an app. [`compile`](crate::compiler::compile) decides which Kubernetes objects follow
//! from it, so a blueprint cannot set a label, a selector or a mount incorrectly.

mod component;
mod declaration;
mod word;

pub use component::{
    Component, HttpProbe, Job, Probe, ProbeAction, Program, Schedule, Serving, Step, Update,
    stands_for,
};
pub(crate) use declaration::{Parameter, Rule, VolumeDeclaration};
pub use declaration::{SecretKeys, blueprint_shape};
pub(crate) use word::Connection;
pub use word::{EnvValue, Exposure, FileContent, FileMount, Mount, Pods, Scale, When, Writable};
