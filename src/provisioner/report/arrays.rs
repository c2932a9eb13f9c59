//! Reports the arrays: whether each answers, its capacity, and its number of volumes of this cluster.

use serde::Serialize;

use super::{Inventory, Problem};
use crate::contract::ArrayKind;
use crate::contract::name::volume_prefix;
use crate::provisioner::decide::Health;

/// The used share of an array from which the report warns, in percent.
const FULL: u64 = 85;

/// One array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArrayLine {
    /// The array's name in the storage document.
    pub name: String,
    /// `FlashBlade` or `FlashArray`.
    pub kind: &'static str,
    /// `up` or `away`.
    pub state: &'static str,
    /// The number of volumes of this cluster, without destroyed ones; none if the array does not answer.
    pub volumes: Option<usize>,
    /// The capacity, in bytes.
    pub capacity: Option<u64>,
    /// The used capacity, in bytes.
    pub used: Option<u64>,
    /// The provisioned size of all volumes, in bytes.
    pub provisioned: Option<u64>,
}

pub(super) fn arrays(inventory: &Inventory) -> (Vec<ArrayLine>, Vec<Problem>) {
    let mut problems = Vec::new();
    let lines = inventory.arrays.iter().map(|state| {
        let kind = match state.kind {
            ArrayKind::FlashBlade => "FlashBlade",
            ArrayKind::FlashArray => "FlashArray",
        };
        let mut line = ArrayLine {
            name: state.name.clone(),
            kind,
            state: "away",
            volumes: volumes(inventory, &state.name),
            capacity: None,
            used: None,
            provisioned: None,
        };
        let mut wrong = |what: String, remedy: &str| {
            problems.push(Problem {
                about: format!("array {}", state.name),
                what,
                remedy: remedy.to_owned(),
                page: "docs/arrays.md#errors",
            });
        };
        match &state.health {
            Health::Up { capacity, .. } => {
                line.state = "up";
                line.capacity = Some(capacity.total);
                line.used = Some(capacity.used);
                line.provisioned = capacity.provisioned;
                let share = capacity.used.saturating_mul(100).checked_div(capacity.total);
                if let Some(share) = share.filter(|share| *share >= FULL) {
                    wrong(format!("it is {share}% full"), "free capacity or add an array: apps get errors when it is full");
                }
            }
            Health::Down(why) => wrong(
                why.clone(),
                "fix the cause in the message: its address, token or certificate in the storage document, or the network between here and the array; no data is lost meanwhile",
            ),
        }
        line
    });
    let lines = lines.collect();
    (lines, problems)
}

fn volumes(inventory: &Inventory, array: &str) -> Option<usize> {
    let prefix = volume_prefix(&inventory.setup.as_ref()?.cluster);
    let listed = inventory.listed.iter().find(|listed| listed.array == array)?;
    let (_, volumes) = listed.volumes.as_ref().ok()?;
    let ours =
        volumes.iter().filter(|volume| !volume.destroyed && volume.name.starts_with(&prefix));
    Some(ours.count())
}
