//! Messages of the Container Storage Interface 1.13 and of kubelet's plugin registration, with all fields of the
//! specifications: <https://github.com/container-storage-interface/spec/blob/v1.13.0/csi.proto> and
//! <https://github.com/kubernetes/kubelet/blob/master/pkg/apis/pluginregistration/v1/api.proto>.
//!
//! They are written by hand, so that the build needs no compiler of protocol buffers. `tests/csi/messages.json` has each
//! of them as the official Go module encodes it. Knows nothing about what a request means.

/// Declares messages. The fields of those that are marked as secret are left out of debug output.
macro_rules! messages {
    ($( $(#[$about:meta])* $name:ident { $( $(#[$wire:meta])* $field:ident: $type:ty, )* } )*) => { $(
        #[derive(Clone, PartialEq, prost::Message)]
        $(#[$about])*
        #[cfg_attr(test, derive(serde::Serialize))]
        #[allow(clippy::struct_field_names, reason = "the names of the specification")]
        pub(crate) struct $name { $( $(#[$wire])* pub(crate) $field: $type, )* }
    )* };
}

/// Declares enumerations.
macro_rules! enumerations {
    ($( $(#[$about:meta])* $name:ident { $( $variant:ident = $number:literal, )* } )*) => { $(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
        #[repr(i32)]
        #[allow(clippy::enum_variant_names, reason = "the names of the specification")]
        pub(crate) enum $name { $( $variant = $number, )* }
    )* };
}

/// Declares a choice between fields of a message.
macro_rules! choices {
    ($( $(#[$about:meta])* $name:ident { $( $(#[$wire:meta])* $variant:ident($type:ty), )* } )*) => { $(
        $(#[$about])*
        #[derive(Clone, PartialEq, prost::Oneof)]
        #[cfg_attr(test, derive(serde::Serialize), serde(rename_all = "snake_case"))]
        pub(crate) enum $name { $( $(#[$wire])* $variant($type), )* }
    )* };
}

/// Keeps a request with secrets out of debug output.
macro_rules! without_debug_output {
    ($( $name:ident )*) => { $(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )* };
}

mod controller;
mod health;
mod identity;
mod node;
mod registration;
mod snapshot;
mod volume;

#[cfg(test)]
mod tests;

pub(crate) use controller::*;
pub(crate) use health::*;
pub(crate) use identity::*;
pub(crate) use node::*;
pub(crate) use registration::*;
pub(crate) use snapshot::*;
pub(crate) use volume::*;

/// Key and value pairs. The order is fixed, so that equal messages have equal bytes.
pub(crate) type StringMap = std::collections::BTreeMap<String, String>;
