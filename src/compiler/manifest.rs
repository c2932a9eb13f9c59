//! Typed Kubernetes objects on their way out: checked through their types, ordered, written.
//!
//! Knows nothing of apps. A field that a type does not know never gets past [`Object::from_json`].

mod gateway;
pub mod image;
mod mutating;
mod object;
mod order;
pub mod pod_security;
mod read;
pub mod refused;

pub use gateway::{
    BackendRef, HttpRoute, HttpRouteRule, HttpRouteSpec, HttpRouteTimeouts, ParentReference,
};
pub use mutating::{
    Expression, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
    MutatingAdmissionPolicyBindingSpec, MutatingAdmissionPolicySpec, Mutation,
};
pub use object::{Identity, Object, Other, Unknown};
pub use order::{sort, wave};
pub use read::{Earlier, read_stream};

/// Appends objects as one YAML stream.
pub fn write(out: &mut String, objects: &[Object]) -> Result<(), WriteError> {
    for object in objects {
        out.push_str("---\n");
        object.write(out)?;
    }
    Ok(())
}

/// An object could not be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {identity} as YAML")]
pub struct WriteError {
    /// The object.
    pub identity: Identity,
    /// Why.
    #[source]
    pub source: crate::compiler::yaml::WriteError,
}
