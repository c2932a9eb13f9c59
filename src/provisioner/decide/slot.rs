//! The times of scheduled snapshots, and their names. The name of a slot depends only on its time, so that several
//! attempts and several processes create one snapshot. Volumes are unknown here.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::contract::{Snapshot, SnapshotSuffix};

/// The prefix of the suffix of every scheduled snapshot. The time in UTC follows, to the minute.
const PREFIX: &str = "pso-";
const TIME: &str = "%Y%m%dT%H%M";

/// A time of a schedule, in seconds since 1970: a multiple of the schedule's interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

impl Slot {
    /// Returns the slot that is due at `now`, in seconds since 1970, for the volume of a claim. Volumes are spread over
    /// the first quarter of a slot, at most a quarter of an hour, so that their array does not get all requests in the
    /// same second.
    pub(super) fn due(now: u64, every: u64, uid: &str) -> Self {
        let spread = (every / 4).clamp(1, 900);
        let offset = hash(uid) % spread;
        Self(now.saturating_sub(offset) / every * every)
    }

    /// Returns the suffix of its snapshot, such as `pso-20261123T0600`; none after the year 9999.
    pub fn suffix(self) -> Option<SnapshotSuffix> {
        let time = Timestamp::from_second(i64::try_from(self.0).ok()?).ok()?;
        SnapshotSuffix::new(format!("{PREFIX}{}", time.strftime(TIME)))
    }

    /// Returns the slot of a snapshot of a volume; none if an admin, a protection group or a policy of the array
    /// created it.
    pub fn of(snapshot: &Snapshot, volume: &str) -> Option<Self> {
        // Arrays preserve the case of names, and compare names without it.
        let name = snapshot.name.to_ascii_lowercase();
        let suffix = name.strip_prefix(&volume.to_ascii_lowercase())?.strip_prefix('.')?;
        let time = suffix.strip_prefix(PREFIX)?.to_ascii_uppercase();
        let time = DateTime::strptime(TIME, &time).ok()?;
        let seconds = time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
        let slot = Self(u64::try_from(seconds).ok()?);
        // The parser accepts more texts than the provisioner writes: only an identical text counts.
        let same = slot.suffix()?.to_string().eq_ignore_ascii_case(suffix);
        same.then_some(slot)
    }
}

/// FNV-1a: the result is the same on every machine and in every version.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(name: &str) -> Snapshot {
        Snapshot {
            name: name.to_owned(),
            id: "1".to_owned(),
            volume: "prod-pvc-1".to_owned(),
            created: None,
            destroyed: false,
            size: None,
        }
    }

    #[test]
    fn a_slot_has_one_name_and_is_found_by_it() {
        // 2026-11-23T06:00:00Z
        let slot = Slot(1_795_413_600);
        let suffix = slot.suffix().expect("a suffix").to_string();
        assert_eq!(suffix, "pso-20261123T0600");
        for name in ["prod-pvc-1.pso-20261123T0600", "PROD-pvc-1.PSO-20261123t0600"] {
            assert_eq!(Slot::of(&snapshot(name), "prod-pvc-1"), Some(slot), "{name}");
        }
        assert_eq!(Slot(0).suffix().map(|s| s.to_string()), Some("pso-19700101T0000".to_owned()));
        assert_eq!(Slot(u64::MAX).suffix(), None);
    }

    #[test]
    fn a_name_that_the_provisioner_would_not_write_has_no_slot() {
        for name in [
            "prod-pvc-1",
            "prod-pvc-1.",
            "prod-pvc-1.before-upgrade",
            "prod-pvc-1.pso-",
            "prod-pvc-1.pso-20261123",
            "prod-pvc-1.pso-20261123T06",
            "prod-pvc-1.pso-20261123T060000",
            "prod-pvc-1.pso-20261123T0600-mine",
            "prod-pvc-1.pso- 20261123T0600",
            "prod-pvc-1.pso-2026 1123T0600",
            "prod-pvc-1.pso-+20261123T0600",
            "prod-pvc-1.pso-20261323T0600",
            "prod-pvc-1.pso-20261123T2500",
            "prod-pvc-1.pso-20261123T0600.prod-pvc-1",
            "prod-pvc-12.pso-20261123T0600",
            "group.pso-20261123T0600.prod-pvc-1",
            "array:prod-pvc-1.pso-20261123T0600",
        ] {
            assert_eq!(Slot::of(&snapshot(name), "prod-pvc-1"), None, "{name}");
        }
    }

    #[test]
    fn volumes_come_one_after_the_other_and_none_early() {
        let (every, begin) = (21_600, 1_795_413_600);
        let mut firsts = std::collections::BTreeSet::new();
        for uid in (0..50).map(|number| format!("uid-{number}")) {
            let due = |second| Slot::due(begin + second, every, &uid);
            let first = (0..every).find(|second| due(*second) == Slot(begin)).expect("in the slot");
            assert!(first < 900, "{first}");
            assert!((0..first).all(|second| due(second) == Slot(begin - every)));
            assert!((first..every).all(|second| due(second) == Slot(begin)));
            firsts.insert(first);
        }
        assert!(firsts.len() > 40, "{firsts:?}");
    }
}
