//! Selects the array for a volume, or explains why no array fits.

use crate::contract::ArrayKind;
use std::collections::BTreeMap;

use super::setup::{ArrayState, ClassSetup, Health};

/// Used share of an array's capacity, in percent, from which the array gets no new volumes: existing volumes need the
/// rest.
const FULL: u64 = 95;

/// The requirements of a volume.
#[derive(Debug, Clone, Copy)]
pub struct ArrayNeeds<'n> {
    /// The kind of array.
    pub kind: ArrayKind,
    /// The size, in bytes.
    pub size: u64,
    /// Labels that it must have.
    pub labels: &'n BTreeMap<String, String>,
    /// The class, which may say where volumes may be; none if anywhere will do.
    pub class: Option<&'n ClassSetup>,
    /// Labels of the node that has to reach it; none if any node will do.
    pub node: Option<&'n BTreeMap<String, String>>,
    /// The only array that fits, if the source of the volume decides it.
    pub only: Option<&'n str>,
    /// The array that has just reported that it has no room.
    pub full: Option<&'n str>,
}

/// The array for a volume.
#[derive(Debug)]
pub struct SelectedArray<'a> {
    /// The array.
    pub array: &'a ArrayState,
    /// The reason of the choice, as text for events.
    pub why: String,
}

/// The reasons why no array fits.
#[derive(Debug, PartialEq, Eq)]
pub struct NoArray {
    /// Each array with its reason, as text for events.
    pub why: String,
    /// Whether an array would fit if the pod ran on another node.
    pub for_another_node: bool,
}

/// Returns the fitting array with the lowest provisioned share of its capacity.
///
/// # Errors
///
/// No array fits.
pub fn select_array<'a>(
    arrays: &'a [ArrayState],
    need: &ArrayNeeds<'_>,
) -> Result<SelectedArray<'a>, NoArray> {
    let mut reasons = Vec::new();
    let mut for_another_node = false;
    let mut best: Option<(u128, &ArrayState)> = None;
    let mut fit = 0;
    for array in arrays.iter().filter(|array| array.kind == need.kind) {
        match share(array, need) {
            Err(why) => reasons.push(format!("{}: {why}", array.name)),
            Ok(_) if !reaches(array, need.node) => {
                for_another_node = true;
                reasons.push(format!("{}: the pod's node does not reach it", array.name));
            }
            Ok(share) => {
                fit += 1;
                if best.is_none_or(|(least, _)| share < least) {
                    best = Some((share, array));
                }
            }
        }
    }
    let others =
        if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
    match best {
        Some((_, array)) if fit > 1 => {
            let why = format!(
                "of {fit} arrays that fit, the one with the lowest provisioned share{others}"
            );
            Ok(SelectedArray { array, why })
        }
        Some((_, array)) => {
            Ok(SelectedArray { array, why: format!("the only array that fits{others}") })
        }
        None if reasons.is_empty() => {
            let what = match need.kind {
                ArrayKind::FlashBlade => "FlashBlade",
                ArrayKind::FlashArray => "FlashArray",
            };
            let why = format!("the storage document has no {what}");
            Err(NoArray { why, for_another_node })
        }
        None => Err(NoArray { why: reasons.join("; "), for_another_node }),
    }
}

/// Returns the provisioned share of an array with the new volume, in millionths.
///
/// # Errors
///
/// The reason why the array does not fit, independent of the node.
fn share(array: &ArrayState, need: &ArrayNeeds<'_>) -> Result<u128, String> {
    if need.only.is_some_and(|only| only != array.name) {
        return Err("the volume to begin with is not on it".to_owned());
    }
    if let Some((key, value)) =
        need.labels.iter().find(|(key, value)| array.traits.labels.get(*key) != Some(value))
    {
        return Err(format!("it has no label {key}={value}"));
    }
    if need.class.is_some_and(|class| !class.allows(&array.traits)) {
        return Err("the class's allowedTopologies are elsewhere".to_owned());
    }
    if need.full == Some(array.name.as_str()) {
        return Err("it reported that it has no room".to_owned());
    }
    let capacity = match &array.health {
        Health::Up { capacity, .. } => capacity,
        Health::Down(why) => return Err(why.clone()),
    };
    if u128::from(capacity.used) * 100 >= u128::from(capacity.total) * u128::from(FULL) {
        return Err(format!("more than {FULL}% full"));
    }
    if need.size > capacity.total {
        return Err("larger than the array".to_owned());
    }
    let provisioned = capacity.provisioned.unwrap_or(capacity.used);
    let provisioned = u128::from(provisioned) + u128::from(need.size);
    Ok(provisioned * 1_000_000 / u128::from(capacity.total.max(1)))
}

/// Returns whether pods on a node can mount a volume of an array.
fn reaches(array: &ArrayState, node: Option<&BTreeMap<String, String>>) -> bool {
    let has = |labels: &BTreeMap<String, String>| {
        array.traits.topology.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    node.is_none_or(has)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Capacity, Transport};
    use crate::provisioner::decide::ArrayTraits;

    fn array(name: &str, total: u64, used: u64, provisioned: Option<u64>) -> ArrayState {
        let capacity = Capacity { total, used, provisioned };
        let transport = Transport::Nfs { addresses: vec!["192.0.2.1".to_owned()] };
        let health = Health::Up { id: name.to_owned(), capacity, transport };
        let traits = ArrayTraits::default();
        ArrayState { name: name.to_owned(), kind: ArrayKind::FlashBlade, traits, health }
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

    fn of_size(size: u64) -> ArrayNeeds<'static> {
        let kind = ArrayKind::FlashBlade;
        ArrayNeeds {
            kind,
            size,
            labels: &NO_LABELS,
            class: None,
            node: None,
            only: None,
            full: None,
        }
    }

    fn chosen(arrays: &[ArrayState], need: &ArrayNeeds<'_>) -> Result<String, NoArray> {
        select_array(arrays, need).map(|place| place.array.name.clone())
    }

    #[test]
    fn the_array_with_the_lowest_provisioned_share_is_selected() {
        let arrays = [
            array("a", 1000, 10, Some(600)),
            array("b", 2000, 10, Some(700)),
            array("c", 1000, 990, Some(0)),
            array("d", 50, 0, Some(0)),
        ];
        assert_eq!(chosen(&arrays, &of_size(100)).as_deref(), Ok("b"));
        assert_eq!(chosen(&arrays, &of_size(10)).as_deref(), Ok("d"));
        let why = select_array(&arrays, &of_size(100)).expect("a place").why;
        assert_eq!(
            why,
            "of 2 arrays that fit, the one with the lowest provisioned share (c: more than 95% full; d: larger than the array)"
        );
        let nowhere = chosen(&arrays, &of_size(5000)).expect_err("too large");
        let why = nowhere.why;
        assert!(
            why.contains("a: larger than the array") && why.contains("c: more than 95%"),
            "{why}"
        );
    }

    #[test]
    fn the_reason_why_no_array_fits_is_reported() {
        let down = Health::Down("the array is not reached".to_owned());
        let arrays = [ArrayState { health: down, ..array("a", 1, 0, None) }];
        let nowhere = chosen(&arrays, &of_size(1)).expect_err("down");
        assert_eq!(nowhere.why, "a: the array is not reached");
        let block = ArrayNeeds { kind: ArrayKind::FlashArray, ..of_size(1) };
        let nowhere = chosen(&arrays, &block).expect_err("none");
        assert_eq!(nowhere.why, "the storage document has no FlashArray");
    }

    #[test]
    fn a_class_keeps_volumes_where_it_allows_them() {
        let class = serde_json::json!({
            "metadata": {"name": "pure-file"}, "provisioner": crate::contract::PROVISIONER,
            "parameters": {"backend": "file"},
            "allowedTopologies": [
                {"matchLabelExpressions": [{"key": "zone", "values": ["x", "y"]}]},
                {"matchLabelExpressions": [{"key": "zone", "values": ["z"]}, {"key": "row", "values": ["1"]}]},
            ],
        });
        let class = serde_json::from_value(class).expect("typed");
        let class = ClassSetup::read(&class).expect("ours").expect("right");
        let at = |labels: &[(&str, &str)]| {
            let mut array = array("a", 1000, 0, Some(0));
            array.traits.topology = map(labels);
            chosen(&[array], &ArrayNeeds { class: Some(&class), ..of_size(1) }).is_ok()
        };
        assert!(at(&[]) && at(&[("zone", "y")]) && at(&[("zone", "z"), ("row", "1")]));
        assert!(!at(&[("zone", "w")]) && !at(&[("zone", "z"), ("row", "2")]));
    }

    #[test]
    fn labels_nodes_and_what_was_asked_before_count() {
        let (mut a, mut b) = (array("a", 1000, 0, Some(0)), array("b", 1000, 0, Some(500)));
        a.traits.topology = map(&[("zone", "x")]);
        b.traits.labels = map(&[("tier", "gold")]);
        let arrays = [a, b];
        assert_eq!(chosen(&arrays, &of_size(1)).as_deref(), Ok("a"));
        let gold = map(&[("tier", "gold")]);
        let need = ArrayNeeds { labels: &gold, ..of_size(1) };
        assert_eq!(chosen(&arrays, &need).as_deref(), Ok("b"));
        let (x, y) = (map(&[("zone", "x"), ("arch", "arm64")]), map(&[("zone", "y")]));
        assert_eq!(
            chosen(&arrays, &ArrayNeeds { node: Some(&x), ..of_size(1) }).as_deref(),
            Ok("a")
        );
        assert_eq!(
            chosen(&arrays, &ArrayNeeds { node: Some(&y), ..of_size(1) }).as_deref(),
            Ok("b")
        );
        let need = ArrayNeeds { node: Some(&y), full: Some("b"), ..of_size(1) };
        let nowhere = chosen(&arrays, &need).expect_err("none");
        assert!(nowhere.for_another_node, "a pod in x could have one on a");
        let why = "a: the pod's node does not reach it; b: it reported that it has no room";
        assert_eq!(nowhere.why, why);
        let need = ArrayNeeds { only: Some("b"), full: Some("b"), ..of_size(1) };
        assert!(!chosen(&arrays, &need).expect_err("none").for_another_node);
    }
}
