//! The times of scheduled snapshots, and how they are called. A slot's name follows from its time alone, so
//! that whoever takes its snapshot, and how often, there is one. Knows no volume.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::contract::{Snapshot, SnapshotSuffix};

/// How the suffix of every scheduled snapshot begins. What follows is its time in UTC, to the minute.
const PREFIX: &str = "pso-";
const TIME: &str = "%Y%m%dT%H%M";

/// A time of a schedule, in seconds since 1970: a multiple of the time between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

impl Slot {
    /// Returns the slot that is due at `now` for the volume of a claim, in seconds since 1970. Volumes come
    /// one after the other in its first quarter, or quarter of an hour, so that not all of them ask
    /// their array in the same second.
    pub(super) fn due(now: u64, every: u64, uid: &str) -> Self {
        let spread = (every / 4).clamp(1, 900);
        let behind = hash(uid) % spread;
        Self(now.saturating_sub(behind) / every * every)
    }

    /// Returns the suffix of its snapshot, such as `pso-20261123T0600`; none after the year 9999.
    pub fn suffix(self) -> Option<SnapshotSuffix> {
        let time = Timestamp::from_second(i64::try_from(self.0).ok()?).ok()?;
        SnapshotSuffix::new(format!("{PREFIX}{}", time.strftime(TIME)))
    }

    /// Returns the slot that a snapshot of a volume was taken for; none when it is somebody else's:
    /// of people, or of a protection group or policy of the array.
    pub fn of(snapshot: &Snapshot, volume: &str) -> Option<Self> {
        // Arrays keep the case, and compare without it.
        let name = snapshot.name.to_ascii_lowercase();
        let suffix = name.strip_prefix(&volume.to_ascii_lowercase())?.strip_prefix('.')?;
        let time = suffix.strip_prefix(PREFIX)?.to_ascii_uppercase();
        let time = DateTime::strptime(TIME, &time).ok()?;
        let seconds = time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
        let slot = Self(u64::try_from(seconds).ok()?);
        // Whatever else the parser may take: ours is what we would write.
        let same = slot.suffix()?.to_string().eq_ignore_ascii_case(suffix);
        same.then_some(slot)
    }
}

/// FNV-1a: the same on every machine and in every version.
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
    fn what_we_would_not_write_is_not_ours() {
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
