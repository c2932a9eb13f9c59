//! Chooses the LUN of a new connection from the volume's id. Knows no requests.
//!
//! A node that was cut off from a volume may still have a device of its LUN, and a pod that writes to it. The next volume
//! that is connected to that node must therefore have another LUN. Which LUNs a node has used before is recorded nowhere,
//! so each volume has a LUN of its own, as far as the numbers go.

use std::collections::BTreeSet;

use crate::contract::fnv;

/// Highest LUN that a volume gets by its id. Some Fibre Channel drivers find no LUN above 255 by default.
const PREFERRED: u32 = 254;
/// Highest LUN of a connection, by the official REST specification.
const HIGHEST: u32 = 4095;

/// Returns the LUN for a volume on a host on which some are taken; none if all are. A LUN that is taken leads to the next
/// one. LUNs above [`PREFERRED`] are for hosts with more volumes.
pub(super) fn choose(volume_id: &str, taken: &BTreeSet<u32>) -> Option<u32> {
    let first = fnv(volume_id) % PREFERRED;
    let preferred = (0..PREFERRED).map(|step| 1 + (first + step) % PREFERRED);
    preferred.chain(PREFERRED + 1..=HIGHEST).find(|lun| !taken.contains(lun))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    #[test]
    fn the_lun_follows_from_the_volume_and_from_nothing_else() {
        let none = BTreeSet::new();
        let lun = choose(ID, &none).expect("free");
        assert_eq!(lun, 148, "the same in every version: a volume returns to its LUN");
        let other = BTreeSet::from([lun + 1, lun + 2]);
        assert_eq!(choose(ID, &other), Some(lun), "others take nothing from it");
    }

    #[test]
    fn volumes_are_spread_over_all_preferred_luns() {
        let none = BTreeSet::new();
        let ids = (0..5000).map(|number| format!("0f8fad5b-d9cb-469f-a165-{number:012x}"));
        let luns: BTreeSet<u32> = ids.filter_map(|id| choose(&id, &none)).collect();
        assert_eq!(luns, (1..=PREFERRED).collect());
    }

    #[test]
    fn a_taken_lun_leads_to_the_next_one_and_the_last_to_the_first() {
        let mut taken = BTreeSet::new();
        let mut luns = Vec::new();
        while let Some(lun) = choose(ID, &taken) {
            taken.insert(lun);
            luns.push(lun);
        }
        let first = luns[0];
        let expected = (first..=PREFERRED).chain(1..first).chain(PREFERRED + 1..=HIGHEST);
        assert_eq!(luns, expected.collect::<Vec<_>>());
    }
}
