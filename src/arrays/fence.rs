//! Conditions under which an operation goes on, checked again with each of its requests: a request may
//! wait long for its turn, and what was decided may not hold any more when that comes.
//!
//! Knows neither who leads nor what was decided; both are asked through [`Fence`].

use std::fmt;
use std::sync::Arc;

/// Why a request that would change something must not go out any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fenced {
    /// Another process leads now.
    NotLeading,
    /// What the decision rests on was read too long ago.
    Expired,
}

/// Whether a request that changes something may still go out. Asked after all waiting, immediately before
/// the request is sent.
pub trait Fence: fmt::Debug + Send + Sync {
    /// Fails when it may not.
    fn check(&self) -> Result<(), Fenced>;
}

/// Conditions under which an operation goes on.
#[derive(Debug, Clone, Default)]
pub struct OnlyIf {
    /// The id of the array that must answer; any that has the address when there is none.
    pub array_id: Option<String>,
    /// What holds back requests that change something; none for a command that a person runs.
    pub fence: Option<Arc<dyn Fence>>,
}

impl OnlyIf {
    /// Fails when a request that changes something may not go out any more.
    pub(super) fn check(&self) -> Result<(), Fenced> {
        self.fence.as_ref().map_or(Ok(()), |fence| fence.check())
    }
}
