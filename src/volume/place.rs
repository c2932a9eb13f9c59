//! On which array a volume goes.

use super::setup::{ArrayKind, ArrayState, Health};

/// Share of an array's size in percent, above which nothing more is put on it: it needs room for what
/// its volumes grow by.
const FULL: u64 = 95;

/// Chooses the array for a volume, the one with the least given out for its size. Fails with the reason
/// of each that will not do, for people.
pub(super) fn place(
    arrays: &[ArrayState],
    kind: ArrayKind,
    size: u64,
) -> Result<&ArrayState, String> {
    let mut reasons = Vec::new();
    let mut best: Option<(u128, &ArrayState)> = None;
    for array in arrays.iter().filter(|array| array.kind == kind) {
        let name = &array.name;
        let capacity = match &array.health {
            Health::Up { capacity, .. } => capacity,
            Health::Down(why) => {
                reasons.push(format!("{name}: {why}"));
                continue;
            }
        };
        let used = u128::from(capacity.used) * 100;
        if used >= u128::from(capacity.total) * u128::from(FULL) {
            reasons.push(format!("{name}: more than {FULL}% full"));
            continue;
        }
        if size > capacity.total {
            reasons.push(format!("{name}: larger than the array"));
            continue;
        }
        let given = u128::from(capacity.provisioned.unwrap_or(capacity.used)) + u128::from(size);
        let share = given * 1_000_000 / u128::from(capacity.total.max(1));
        if best.is_none_or(|(least, _)| share < least) {
            best = Some((share, array));
        }
    }
    match best {
        Some((_, array)) => Ok(array),
        None if reasons.is_empty() => {
            let what = match kind {
                ArrayKind::FlashBlade => "FlashBlade",
                ArrayKind::FlashArray => "FlashArray",
            };
            Err(format!("the storage document has no {what}"))
        }
        None => Err(reasons.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::{Capacity, Reach};

    fn array(name: &str, total: u64, used: u64, provisioned: Option<u64>) -> ArrayState {
        let capacity = Capacity { total, used, provisioned };
        let reach = Reach::Nfs { addresses: vec!["192.0.2.1".to_owned()] };
        let health = Health::Up { id: name.to_owned(), capacity, reach };
        ArrayState { name: name.to_owned(), kind: ArrayKind::FlashBlade, health }
    }

    #[test]
    fn the_least_given_out_is_taken() {
        let arrays = [
            array("a", 1000, 10, Some(600)),
            array("b", 2000, 10, Some(700)),
            array("c", 1000, 990, Some(0)),
            array("d", 50, 0, Some(0)),
        ];
        let chosen = |size| place(&arrays, ArrayKind::FlashBlade, size).map(|a| a.name.as_str());
        assert_eq!(chosen(100), Ok("b"));
        assert_eq!(chosen(10), Ok("d"));
        let why = chosen(5000).expect_err("too large");
        assert!(
            why.contains("a: larger than the array") && why.contains("c: more than 95%"),
            "{why}"
        );
    }

    #[test]
    fn why_nothing_will_do_is_said() {
        let down = Health::Down("the array is not reached".to_owned());
        let arrays = [ArrayState { health: down, ..array("a", 1, 0, None) }];
        let why = place(&arrays, ArrayKind::FlashBlade, 1).expect_err("down");
        assert_eq!(why, "a: the array is not reached");
        let why = place(&arrays, ArrayKind::FlashArray, 1).expect_err("none");
        assert_eq!(why, "the storage document has no FlashArray");
    }
}
