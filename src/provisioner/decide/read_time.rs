//! When something was read, so that nothing is destroyed on the ground of what was true long ago.
//!
//! Pure: moments come from outside, with what was read.

use std::time::Duration;

/// How long a decision to destroy something is valid, counted from the moment at which the ground for it
/// was asked for. A request may wait for longer than that: then it is not sent, and decided upon anew.
pub const VALID: Duration = Duration::from_secs(10);

/// A moment of one process, by two clocks: the steady one stands still while a virtual machine does, and
/// that of the wall may be set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ReadTime {
    /// Since the process began.
    pub steady: Duration,
    /// Since 1970.
    pub wall: Duration,
}

impl ReadTime {
    /// Returns how much later this moment is than another, by whichever clock says more.
    pub fn since(self, earlier: Self) -> Duration {
        let steady = self.steady.saturating_sub(earlier.steady);
        steady.max(self.wall.saturating_sub(earlier.wall))
    }

    /// Returns whether what was decided on the ground of `read` may still be done at this moment.
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
