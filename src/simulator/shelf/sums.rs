//! What an array adds up over its objects, as they come, change and go.

use serde_json::Value as Json;

use super::{USED, is_destroyed};

/// What an array adds up over all objects, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::simulator) struct Sums {
    /// Of what is there.
    pub(in crate::simulator) live: Sum,
    /// Of what has been destroyed.
    pub(in crate::simulator) destroyed: Sum,
}

/// Bytes of some objects. More than 64 bits: nobody limits what is provisioned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::simulator) struct Sum {
    /// Their sizes.
    pub(in crate::simulator) provisioned: u128,
    /// What is written to them.
    pub(in crate::simulator) used: u128,
}

impl Sums {
    pub(super) fn count(&mut self, object: &Json, with: fn(u128, u128) -> u128) {
        let bytes = |field: &str| u128::from(object[field].as_u64().unwrap_or_default());
        let sum = if is_destroyed(object) { &mut self.destroyed } else { &mut self.live };
        sum.used = with(sum.used, bytes(USED));
        sum.provisioned = with(sum.provisioned, bytes("provisioned"));
    }

    /// Returns the sizes of all, destroyed or not.
    pub(in crate::simulator) fn provisioned(&self) -> u64 {
        bytes(self.live.provisioned + self.destroyed.provisioned)
    }
}

/// A sum as arrays write it: a 64-bit number with a sign.
pub(in crate::simulator) fn bytes(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs())
}
