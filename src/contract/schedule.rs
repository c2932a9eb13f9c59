//! When the array takes snapshots of a volume by itself: in documents `{every: 6h, keep: 28}`, on objects in
//! the cluster the text `every 6h, keep 28`. Knows neither arrays nor who keeps the time.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::Seconds;
use crate::sanitize::quoted;

/// Snapshots at fixed times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnapshotSchedule {
    /// Time from one to the next, `5m` to `365d` in whole minutes. `6h` is 00:00, 06:00, 12:00 and 18:00
    /// UTC: times are multiples of it since 1970.
    #[schemars(example = "6h")]
    pub every: Seconds,
    /// How many are kept. When a new one is there, older ones are destroyed; only those that were taken by
    /// schedule are counted and destroyed.
    #[schemars(range(min = 1, max = 250), example = 28)]
    pub keep: u16,
}

/// Snapshots of a class's volumes at fixed times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClassSnapshots {
    /// Time from one to the next, `5m` to `365d` in whole minutes. `6h` is 00:00, 06:00, 12:00 and 18:00
    /// UTC: times are multiples of it since 1970.
    #[schemars(example = "6h")]
    pub every: Seconds,
    /// How many are kept. When a new one is there, older ones are destroyed; only those that were taken by
    /// schedule are counted and destroyed.
    #[schemars(range(min = 1, max = 250), example = 28)]
    pub keep: u16,
    /// Whether a claim's own `snapshots` take the place of these, so that a claim may ask for fewer or none.
    /// When left out, they come on top: a claim may ask for more, and what the class keeps stays.
    #[serde(default)]
    pub claims_may_reduce: bool,
}

impl ClassSnapshots {
    /// Returns when they are taken and how many are kept.
    pub fn schedule(self) -> SnapshotSchedule {
        SnapshotSchedule { every: self.every, keep: self.keep }
    }
}

impl SnapshotSchedule {
    /// Shortest and longest time between two, in seconds.
    const EVERY: std::ops::RangeInclusive<u32> = 300..=365 * 86_400;
    /// Fewest and most that are kept.
    const KEEP: std::ops::RangeInclusive<u16> = 1..=250;

    /// Returns how far back the oldest one that is kept reaches, in seconds.
    fn reach(self) -> u64 {
        u64::from(self.every.0) * u64::from(self.keep)
    }

    /// Returns whether it keeps anything that another one does not keep.
    pub fn adds_to(self, other: Self) -> bool {
        !self.every.0.is_multiple_of(other.every.0.max(1)) || self.reach() > other.reach()
    }

    /// Returns the field that cannot be, and why.
    pub fn wrong(self) -> Option<(&'static str, String)> {
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
        let wrong = || ("keep", format!("expected 1 to 250, found `{keep}`"));
        (!Self::KEEP.contains(&keep)).then(wrong)
    }
}

/// What is wanted of snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotPolicy {
    /// None, whatever the class says.
    Never,
    /// By schedule.
    Every(SnapshotSchedule),
}

impl SnapshotPolicy {
    /// Returns whether it asks for less than a class's schedule: for none, or for fewer that reach no further
    /// back.
    pub fn is_below(self, floor: SnapshotSchedule) -> bool {
        match self {
            Self::Never => true,
            Self::Every(own) => own.keep < floor.keep && own.reach() <= floor.reach(),
        }
    }

    /// Reads the text of an annotation or of a class's parameter; an error says what would be right.
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
        match schedule.wrong() {
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
            let told = SnapshotPolicy::parse(text).expect_err(text);
            assert!(told.starts_with(why), "{text}: {told}");
        }
    }
}
