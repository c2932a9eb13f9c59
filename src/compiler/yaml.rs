//! YAML input and output: text to [`Node`]s with places, and values to text that every YAML reader in Kubernetes
//! understands in the same way.
//!
//! This folder knows nothing of apps or manifests. Reading uses the event parser of the YAML library. The
//! library's higher-level interfaces offer no tree with places, with all duplicate keys, and with scalars as
//! written (`11.10` may be a version instead of a number).

mod de;
mod node;
mod read;
mod syntax_fix;
mod write;

pub use de::ReadError;
pub use node::{Entry, Node, Scalar, Typed, Value};
pub use read::{Documents, MAX_BYTES, decode, read};
pub use write::{WriteError, write};
