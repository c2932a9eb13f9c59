//! Combinations of switches, few of them, in which every choice of some switches appears: nearly all faults show
//! with two or three switches, and all combinations double with each switch.
//!
//! The method is AETG's (Cohen and others, 1997): each combination begins with a choice that is missing, and further
//! switches are set to what covers most of what is missing. Nothing is left to chance.

use std::collections::BTreeSet;

/// Some switches with the position of each, by their numbers.
type Choice = Vec<(usize, bool)>;

/// Returns combinations of so many switches in which every choice for every `strength` of them appears. The
/// first two have all switches off, and all on.
pub(crate) fn combinations(switches: usize, strength: usize) -> Vec<Vec<bool>> {
    let mut missing = choices(switches, strength.min(switches));
    let mut combinations = Vec::new();
    let mut take = |combination: Vec<bool>, missing: &mut BTreeSet<Choice>| {
        missing.retain(|choice| !appears(choice, &combination));
        combinations.push(combination);
    };
    take(vec![false; switches], &mut missing);
    if switches > 0 {
        take(vec![true; switches], &mut missing);
    }
    while let Some(first) = missing.first().cloned() {
        let mut set: Vec<Option<bool>> = vec![None; switches];
        for (switch, on) in first {
            set[switch] = Some(on);
        }
        for switch in 0..switches {
            if set[switch].is_none() {
                let covered = |on: bool| {
                    let fits = |choice: &&Choice| {
                        choice.contains(&(switch, on))
                            && choice
                                .iter()
                                .all(|&(other, on)| set[other].is_none_or(|is| is == on))
                    };
                    missing.iter().filter(fits).count()
                };
                set[switch] = Some(covered(true) > covered(false));
            }
        }
        take(set.into_iter().map(Option::unwrap_or_default).collect(), &mut missing);
    }
    combinations
}

/// Returns whether a combination has a choice.
pub(crate) fn appears(choice: &[(usize, bool)], combination: &[bool]) -> bool {
    choice.iter().all(|&(switch, on)| combination[switch] == on)
}

/// Returns every choice for every `strength` of so many switches.
pub(crate) fn choices(switches: usize, strength: usize) -> BTreeSet<Choice> {
    let mut all = BTreeSet::from([Choice::new()]);
    for _ in 0..strength {
        let longer = |choice: &Choice| {
            let start = choice.last().map_or(0, |&(switch, _)| switch + 1);
            let choice = choice.clone();
            let ends = (start..switches).flat_map(|switch| [(switch, false), (switch, true)]);
            ends.map(move |end| [choice.as_slice(), &[end]].concat()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}
