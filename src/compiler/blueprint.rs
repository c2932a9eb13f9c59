//! Blueprints: folders of data that describe kinds of app.
//!
//! Turns an app document and its blueprint into an [`App`]: typed components, volumes, jobs and access rules,
//! each with its place. This folder knows no Kubernetes object, and a new blueprint needs no Rust code.

mod app;
mod blame;
mod catalogue;
mod expression;
mod fixed;
mod folder;
mod instantiate;
mod language;
mod library;
mod load;
mod named;
mod origin;
mod parameter;
mod scaled;
mod scope;
mod template;
mod value;
mod verify;

pub use app::{App, AppVolume, Class, ClassKind, Classes, Exposed, Networks, Secret, Server, Talk};
pub(crate) use app::{PURE_BLOCK, PURE_FILE};
pub use folder::Folder;
pub use instantiate::{instantiate, name_of};
pub use language::{
    Component, EnvValue, Exposure, FileContent, FileMount, HttpProbe, Job, Mount, Pods, Probe,
    ProbeAction, Program, Scale, Schedule, SecretKeys, Serving, Step, Update, When, Writable,
    blueprint_shape, stands_for,
};
pub use library::Library;
pub use load::Blueprint;
pub use origin::at_the_blueprint;
