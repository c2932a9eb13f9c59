//! The provisioner: a controller that creates a volume for every claim of its classes, on the right array.
//!
//! [`decide`] is pure and decides the next effect; [`run`] watches the cluster and executes effects; [`report`] reports
//! the state of claims and arrays. App files and blueprints are unknown here.

pub mod decide;
pub mod report;
pub mod run;
