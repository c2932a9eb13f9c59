//! The time of a read, so that no stale decision destroys a volume.
//!
//! Pure: the reader supplies the time with the object.

use std::time::Duration;

/// Validity of a decision to destroy, from the time of the request on which it is based. A request that waits longer is
/// not sent, and the reconciler decides again.
pub const VALID: Duration = Duration::from_secs(10);

/// A moment of one process by two clocks: the steady clock stops while the virtual machine is paused, and the wall
/// clock may be set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ReadTime {
    /// Time since the process started.
    pub steady: Duration,
    /// Time since 1970.
    pub wall: Duration,
}

impl ReadTime {
    /// Returns the time since an earlier moment, by the clock that shows more.
    pub fn since(self, earlier: Self) -> Duration {
        let steady = self.steady.saturating_sub(earlier.steady);
        steady.max(self.wall.saturating_sub(earlier.wall))
    }

    /// Returns whether a decision that is based on `read` is still valid at this moment.
    pub fn allows(self, read: Self) -> bool {
        self.since(read) < VALID
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_valid_for_a_few_seconds_by_both_clocks() {
        let at = |steady, wall| ReadTime {
            steady: Duration::from_secs(steady),
            wall: Duration::from_secs(wall),
        };
        let read = at(100, 1000);
        assert!(at(100, 1000).allows(read) && at(109, 1009).allows(read));
        assert!(!at(110, 1000).allows(read), "the process was stopped");
        assert!(!at(100, 1010).allows(read), "its machine was");
        assert!(at(101, 900).allows(read), "a clock that was set back proves nothing");
    }
}
