//! Reports each operation on an array when it has ended, for metrics. The metrics are unknown here.

use std::time::Duration;

/// Receives the end of every operation on an array.
pub trait Observer: std::fmt::Debug + Send + Sync {
    /// Is called once for each call of a method of [`Array`](super::Array) that returns a result.
    fn ended(&self, operation: &EndedOperation<'_>);
}

/// An operation that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedOperation<'o> {
    /// The array's name in the storage document.
    pub array: &'o str,
    /// The operation, such as `ensure`.
    pub name: &'static str,
    /// `ok`, or the reason of the [`Error`](super::Error).
    pub outcome: &'static str,
    /// Time with all requests and waits.
    pub duration: Duration,
}
