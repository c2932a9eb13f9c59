//! Reads the capacity of an array, which both kinds report in the same form.

use serde::Deserialize;

use super::error::Error;
use super::rest::{Operation, Rest};
use crate::contract::Capacity;

#[derive(Debug, Deserialize)]
struct ArraySpace {
    capacity: Option<u64>,
    space: Option<Space>,
}

#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of the API")]
struct Space {
    /// FlashBlade: REST 2.16 and later; FlashArray: 2.26 and later.
    total_used: Option<u64>,
    /// The field in older versions.
    total_physical: Option<u64>,
    /// FlashBlade: REST 2.11 and later.
    total_provisioned: Option<u64>,
}

/// Returns an array's total, used and provisioned capacity.
pub(super) async fn capacity(rest: &Rest, operation: Operation<'_>) -> Result<Capacity, Error> {
    let array: ArraySpace = operation.only("arrays/space").await?;
    let capacity = array.capacity.zip(array.space).and_then(|(total, space)| {
        let used = space.total_used.or(space.total_physical)?;
        Some(Capacity { total, used, provisioned: space.total_provisioned })
    });
    capacity.ok_or_else(|| rest.malformed("`arrays/space` without a capacity"))
}
