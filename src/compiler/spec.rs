//! The documents that users write: the app document, the storage document, and the shapes that check them.
//!
//! Turns [`Node`](crate::compiler::yaml::Node)s into typed values with places. This folder knows no Kubernetes
//! object and no blueprint by name; its callers pass an app's parameters as a [`Shape`].

mod common;
mod document;
mod format;
mod layer;
mod secret;
mod set;
mod shape;
mod tenant;

pub use common::{
    Common, Egress, Expose, Network, Ownership, Patch, PatchTarget, Profile, Security, Tls, Via,
    VolumeSpec,
};
pub use document::{Document, Metadata, STORAGE, split};
pub use format::Format;
pub use layer::{apply_layer, clean_layer, write_out};
pub use secret::{Looks, is_secret, looks_secret};
pub use set::{Given, Setting, Words, apply_setting};
pub(crate) use shape::one_of;
pub use shape::{
    Expressions, Field, Kind, Shape, bounds, check, drop_blank, explain, looks_like_a_size,
    markdown, repair, schema, schema_with_expressions,
};
pub use tenant::{Tenancy, TenantRules};
