//! The interface of an Argo CD config management plugin: its input (parameters, environment, the app's path in the
//! repository) and its output (announced parameters, errors).
//!
//! Pure: the environment and the file system are passed in as values. Knows settings and shapes, but no blueprint by
//! name. See "Config Management Plugins" in the documentation of Argo CD 3.5.

mod input;
mod parameters;
mod repository;
mod screen;

pub use input::{Files, PARAMETER, PARAMETERS, VARIABLE, environment, parse_parameters};
pub use parameters::{Announcement, announce};
pub use repository::Repository;
pub use screen::screen;
