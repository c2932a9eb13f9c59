//! The words of the blueprint language. Their doc comments are its reference page.
//!
//! A blueprint says what an app *is*; which Kubernetes objects follow is decided in
//! [`compile`](crate::compiler::compile), so a blueprint cannot get a label, a selector or a mount wrong.

mod component;
mod declaration;
mod word;

pub use component::{
    Component, HttpProbe, Job, Probe, ProbeAction, Program, Schedule, Serving, Step, Update,
};
pub(crate) use declaration::{Parameter, Rule, VolumeDeclaration};
pub use declaration::{SecretKeys, blueprint_shape};
pub use word::{EnvValue, Exposure, FileContent, FileMount, Mount, Pods, Scale, When, Writable};
