//! Argo CD's side of a config management plugin: what it tells one (parameters, environment, where the
//! app lies in its repository) and what it shows of one (announced parameters, errors).
//!
//! Pure: environment and file system come in as values. Knows settings and shapes, and no blueprint
//! by name. Argo CD's documentation: "Config Management Plugins", version 3.5.

mod announce;
mod given;
mod repository;
mod screen;

pub use announce::{Announcement, announce};
pub use given::{Files, PARAMETER, PARAMETERS, VARIABLE, environment, parameters};
pub use repository::Repository;
pub use screen::screen;
