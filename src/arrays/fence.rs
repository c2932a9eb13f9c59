//! Conditions under which an operation may proceed. They are checked before each of its requests: a request may wait
//! long for its turn, and the decision behind it may be outdated by then.
//!
//! Knows neither the leader nor the decision; it asks both through [`Fence`].

use std::fmt;
use std::sync::Arc;

/// Why a request that changes something must not be sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fenced {
    /// Another replica is the leader now.
    NotLeading,
    /// The decision is based on data that was read too long ago.
    Expired,
}

/// Decides whether a request that changes something may still be sent. It is called after all waiting, immediately
/// before the request is sent.
pub trait Fence: fmt::Debug + Send + Sync {
    /// Fails when the request must not be sent.
    fn check(&self) -> Result<(), Fenced>;
}

/// Conditions under which an operation may proceed.
#[derive(Debug, Clone, Default)]
pub struct OnlyIf {
    /// The id of the array that must answer. `None` accepts any array at the address.
    pub array_id: Option<String>,
    /// Fence for requests that change something. `None` for commands that a person runs.
    pub fence: Option<Arc<dyn Fence>>,
}

impl OnlyIf {
    /// Fails when a request that changes something must not be sent any more.
    pub(super) fn check(&self) -> Result<(), Fenced> {
        self.fence.as_ref().map_or(Ok(()), |fence| fence.check())
    }
}
