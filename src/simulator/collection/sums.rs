//! Running totals over an array's objects.

use serde_json::Value as Json;

use super::{USED, is_destroyed};

/// Totals over all objects of an array, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::simulator) struct Sums {
    /// Existing objects.
    pub(in crate::simulator) live: Sum,
    /// Destroyed objects.
    pub(in crate::simulator) destroyed: Sum,
}

/// Bytes of some objects. Wider than 64 bits, because the provisioned size is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::simulator) struct Sum {
    /// Their sizes.
    pub(in crate::simulator) provisioned: u128,
    /// Bytes written to them.
    pub(in crate::simulator) used: u128,
}

impl Sums {
    pub(super) fn count(&mut self, object: &Json, with: fn(u128, u128) -> u128) {
        let bytes = |field: &str| u128::from(object[field].as_u64().unwrap_or_default());
        let sum = if is_destroyed(object) { &mut self.destroyed } else { &mut self.live };
        sum.used = with(sum.used, bytes(USED));
        sum.provisioned = with(sum.provisioned, bytes("provisioned"));
    }

    /// Returns the sizes of all objects, destroyed or not.
    pub(in crate::simulator) fn provisioned(&self) -> u64 {
        bytes(self.live.provisioned + self.destroyed.provisioned)
    }
}

/// Returns the totals of objects: sums of amounts, and means of ratios.
pub(super) fn total(objects: &[&Json]) -> Json {
    let mut sums = serde_json::Map::new();
    if objects.iter().any(|object| object.get("provisioned").is_some()) {
        let provisioned = objects.iter().filter_map(|object| object["provisioned"].as_u64());
        sums.insert("provisioned".to_owned(), bytes(provisioned.map(u128::from).sum()).into());
    }
    let spaces = || objects.iter().filter_map(|object| object["space"].as_object());
    let mut space = serde_json::Map::new();
    for (field, first) in spaces().next().into_iter().flatten() {
        let values = || spaces().filter_map(|space| space.get(field));
        let sum: Json = if first.is_u64() {
            bytes(values().filter_map(Json::as_u64).map(u128::from).sum()).into()
        } else {
            let ratios: Vec<f64> = values().filter_map(Json::as_f64).collect();
            let count = u32::try_from(ratios.len()).unwrap_or(u32::MAX).max(1);
            (ratios.iter().sum::<f64>() / f64::from(count)).into()
        };
        space.insert(field.clone(), sum);
    }
    if !space.is_empty() {
        sums.insert("space".to_owned(), Json::Object(space));
    }
    Json::Object(sums)
}

/// Formats a sum as arrays do: a signed 64-bit number.
pub(in crate::simulator) fn bytes(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs())
}
