//! The provisioner: a controller that creates a volume for every claim of its classes, on the right array.
//!
//! [`decide`] is pure and says what is to be done next; [`run`] watches the cluster and carries it out;
//! [`report`] says how claims and arrays are. Knows nothing of app files and blueprints.

pub mod decide;
pub mod report;
pub mod run;
