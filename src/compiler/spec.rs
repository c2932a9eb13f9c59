//! The documents that users write: the app document, the storage document, and the shapes that check them.
//!
//! Turns [`Node`](crate::compiler::yaml::Node)s into typed values with places. This folder knows no Kubernetes
//! object and no blueprint by name; its callers pass an app's parameters as a [`Shape`].

mod additions;
mod common;
mod cron;
mod document;
mod format;
mod go_duration;
mod image;
mod layer;
mod secret;
mod server;
mod set;
mod shape;
mod tenant;

pub use additions::{
    AddedFile, AddedFolder, AddedValue, Additions, FileSource, KeyOf, ObjectKind, Sidecar,
};
pub use common::{
    Common, Egress, Expose, Network, Ownership, Patch, PatchTarget, Profile, Security, Tls, Via,
    VolumeSpec,
};
pub use cron::{hours_of_a_day, is_cron_of_kubernetes};
pub use document::{Document, Metadata, STORAGE, split};
pub use format::{Format, POD_FIELDS, is_config_key, is_ip_address, is_pod_field, is_port_name};
pub use go_duration::go_nanoseconds;
pub use layer::{apply_layer, clean_layer, write_out};
pub use secret::{Looks, is_secret, looks_secret};
pub use server::is_ipv6_server;
pub use set::{Given, Setting, Words, apply_setting};
pub(crate) use shape::one_of;
pub use shape::{
    Expressions, Field, Kind, Shape, bounds, check, drop_blank, explain, looks_like_a_size,
    markdown, repair, schema, schema_with_expressions,
};
pub use tenant::{Tenancy, TenantRules};
