//! YAML in and out: text to [`Node`]s that know their place, and values to text that every reader
//! of Kubernetes reads alike.
//!
//! Knows nothing of apps or manifests. Reading stands on the event parser that the YAML library
//! itself uses, since a tree with places, with all duplicate keys, and with scalars kept as they
//! were written (`11.10` is a version before it is a number) is not on offer one level up.

mod de;
mod habit;
mod node;
mod read;
mod write;

pub use de::ReadError;
pub use node::{Entry, Node, Scalar, Typed, Value};
pub use read::{Documents, MAX_BYTES, decode, read};
pub use write::{WriteError, write};
