//! The interface of an Argo CD config management plugin: its input (parameters, environment, the app's path in the
//! repository) and its output (announced parameters, errors).
//!
//! Pure: the environment and the file system are passed in as values. Knows settings and shapes, but no blueprint by
//! name. See "Config Management Plugins" in the documentation of Argo CD 3.5.

mod announce;
mod given;
mod repository;
mod screen;

pub use announce::{Announcement, announce};
pub use given::{Files, PARAMETER, PARAMETERS, VARIABLE, environment, parameters};
pub use repository::Repository;
pub use screen::screen;
