//! Snapshot schedules: in documents `{every: 6h, keep: 28}`, on objects in the cluster the text `every 6h, keep 28`.
//! Knows neither the arrays nor the clock that triggers snapshots.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::Seconds;
use crate::sanitize::quoted;

/// A snapshot schedule: snapshots at fixed times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnapshotSchedule {
    /// Time between two snapshots, `5m` to `365d` in whole minutes. `6h` means 00:00, 06:00, 12:00 and 18:00 UTC: the
    /// times are multiples of it since 1970.
    #[schemars(example = "6h")]
    pub every: Seconds,
    /// Number of snapshots to keep. When a new one is taken, older ones are destroyed. Only snapshots that were taken
    /// by schedule are counted and destroyed.
    #[schemars(range(min = 1, max = 250), example = 28)]
    pub keep: u16,
}

/// Snapshot schedule of a class's volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClassSnapshots {
    /// Time between two snapshots, `5m` to `365d` in whole minutes. `6h` means 00:00, 06:00, 12:00 and 18:00 UTC: the
    /// times are multiples of it since 1970.
    #[schemars(example = "6h")]
    pub every: Seconds,
    /// Number of snapshots to keep. When a new one is taken, older ones are destroyed. Only snapshots that were taken
    /// by schedule are counted and destroyed.
    #[schemars(range(min = 1, max = 250), example = 28)]
    pub keep: u16,
    /// Whether a claim's own `snapshots` replace these, so that a claim may request fewer or none. When left out, a
    /// claim's schedule is added to that of the class: a claim may request more, and the class's snapshots stay.
    #[serde(default)]
    pub claims_may_reduce: bool,
}

impl ClassSnapshots {
    /// Returns the schedule without the permission for claims.
    pub fn schedule(self) -> SnapshotSchedule {
        SnapshotSchedule { every: self.every, keep: self.keep }
    }
}

impl SnapshotSchedule {
    /// Shortest and longest interval, in seconds.
    const EVERY: std::ops::RangeInclusive<u32> = 300..=365 * 86_400;
    /// Smallest and largest number of snapshots to keep.
    const KEEP: std::ops::RangeInclusive<u16> = 1..=250;

    /// Returns the age of the oldest snapshot that is kept, in seconds.
    fn window(self) -> u64 {
        u64::from(self.every.0) * u64::from(self.keep)
    }

    /// Returns whether it keeps any snapshot that the other schedule does not keep.
    pub fn adds_to(self, other: Self) -> bool {
        !self.every.0.is_multiple_of(other.every.0.max(1)) || self.window() > other.window()
    }

    /// Returns the first field that is out of range, and the reason.
    pub fn out_of_range(self) -> Option<(&'static str, String)> {
        let Self { every, keep } = self;
        if !Self::EVERY.contains(&every.0) {
            return Some((
                "every",
                format!("expected a time from `5m` to `365d`, found `{every}`"),
            ));
        }
        if !every.0.is_multiple_of(60) {
            return Some(("every", format!("expected whole minutes, found `{every}`")));
        }
        let invalid = || ("keep", format!("expected 1 to 250, found `{keep}`"));
        (!Self::KEEP.contains(&keep)).then(invalid)
    }
}

/// A snapshot policy of a claim or class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotPolicy {
    /// No snapshots, whatever the class requests.
    Never,
    /// Snapshots by schedule.
    Every(SnapshotSchedule),
}

impl SnapshotPolicy {
    /// Returns whether it requests less than a class's schedule: no snapshots, or fewer that reach no further back.
    pub fn is_below(self, floor: SnapshotSchedule) -> bool {
        match self {
            Self::Never => true,
            Self::Every(own) => own.keep < floor.keep && own.window() <= floor.window(),
        }
    }

    /// Parses the text of an annotation or of a class's parameter.
    ///
    /// # Errors
    /// Returns the expected format.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim() == "never" {
            return Ok(Self::Never);
        }
        let read = || {
            let (every, keep) = text.split_once(',')?;
            let every = Seconds::parse(every.trim().strip_prefix("every ")?.trim())?;
            let keep = keep.trim().strip_prefix("keep ")?.trim().parse().ok()?;
            Some(SnapshotSchedule { every, keep })
        };
        let schedule = read().ok_or_else(|| {
            format!("expected `every 6h, keep 28` or `never`, found {text}", text = quoted(text))
        })?;
        match schedule.out_of_range() {
            Some((field, why)) => Err(format!("`{field}`: {why}")),
            None => Ok(Self::Every(schedule)),
        }
    }
}

impl fmt::Display for SnapshotPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Every(SnapshotSchedule { every, keep }) => {
                write!(f, "every {every}, keep {keep}")
            }
        }
    }
}

impl<'de> Deserialize<'de> for SnapshotPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = SnapshotPolicy;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`never` or a mapping with `every` and `keep`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<SnapshotPolicy, E> {
                (word == "never")
                    .then_some(SnapshotPolicy::Never)
                    .ok_or_else(|| E::custom(format!("{word} is not `never`", word = quoted(word))))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<SnapshotPolicy, A::Error> {
                let map = de::value::MapAccessDeserializer::new(map);
                SnapshotSchedule::deserialize(map).map(SnapshotPolicy::Every)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for SnapshotPolicy {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Snapshots".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let schedule = generator.subschema_for::<SnapshotSchedule>();
        json_schema!({"anyOf": [{"enum": ["never"]}, schedule]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["never", "every 6h, keep 28", "every 5m, keep 1", "every 365d, keep 250"] {
            assert_eq!(
                SnapshotPolicy::parse(text).map(|read| read.to_string()),
                Ok(text.to_owned())
            );
        }
        let loose = SnapshotPolicy::parse(" every 90m ,  keep 3 ").expect("read");
        assert_eq!(loose.to_string(), "every 90m, keep 3");
    }

    #[test]
    fn fewer_that_reach_no_further_back_are_less() {
        let floor = SnapshotSchedule { every: Seconds(6 * 3600), keep: 28 };
        let is_below = |text: &str| SnapshotPolicy::parse(text).expect("read").is_below(floor);
        for less in ["never", "every 5m, keep 1", "every 6h, keep 27", "every 12h, keep 14"] {
            assert!(is_below(less), "{less}");
        }
        for more in
            ["every 6h, keep 28", "every 1h, keep 28", "every 12h, keep 15", "every 5m, keep 250"]
        {
            assert!(!is_below(more), "{more}");
        }
    }

    #[test]
    fn what_has_the_same_times_and_reaches_no_further_adds_nothing() {
        let [six, hour] = [6, 1].map(|hours| Seconds(hours * 3600));
        let of = |every, keep| SnapshotSchedule { every, keep };
        assert!(!of(six, 28).adds_to(of(six, 28)) && !of(six, 4).adds_to(of(hour, 24)));
        assert!(of(six, 5).adds_to(of(hour, 24)), "it reaches further back");
        assert!(of(hour, 1).adds_to(of(six, 28)), "it has other times");
    }

    #[test]
    fn what_cannot_be_says_what_can() {
        for (text, why) in [
            ("", "expected `every 6h, keep 28` or `never`"),
            ("6h", "expected `every 6h, keep 28` or `never`"),
            ("every 6h", "expected `every 6h, keep 28` or `never`"),
            ("every 6h, keep -1", "expected `every 6h, keep 28` or `never`"),
            ("every 4m, keep 3", "`every`: expected a time from `5m` to `365d`, found `4m`"),
            ("every 366d, keep 3", "`every`: expected a time from `5m` to `365d`"),
            ("every 301s, keep 3", "`every`: expected whole minutes, found `301s`"),
            ("every 6h, keep 0", "`keep`: expected 1 to 250, found `0`"),
            ("every 6h, keep 251", "`keep`: expected 1 to 250"),
        ] {
            let error = SnapshotPolicy::parse(text).expect_err(text);
            assert!(error.starts_with(why), "{text}: {error}");
        }
    }
}
