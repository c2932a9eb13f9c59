//! Durations in whole seconds, written as `90s`, `15m`, `12h`, `7d`.

use std::fmt;

use crate::sanitize::quoted;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A duration in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u32);

const UNITS: [(char, u32); 4] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];

impl Seconds {
    /// Parses a whole number with a unit; a number without a unit means seconds. Returns `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = UNITS
            .iter()
            .find_map(|(suffix, unit)| Some((text.strip_suffix(*suffix)?, *unit)))
            .unwrap_or((text, 1));
        // A number in Rust may have a sign.
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse::<u32>().ok().filter(|_| is_number)?.checked_mul(unit).map(Self)
    }
}

impl fmt::Display for Seconds {
    /// Writes the duration in the largest unit that divides it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, unit): &&(char, u32)| self.0 > 0 && self.0.is_multiple_of(*unit);
        let (suffix, unit) = UNITS.iter().rev().find(whole).unwrap_or(&UNITS[0]);
        write!(f, "{}{suffix}", self.0 / unit)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(format!("{text} is not a duration", text = quoted(text)))
        })
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "duration"})
    }
}

#[cfg(test)]
mod tests {
    use super::Seconds;

    #[test]
    fn reads_units() {
        assert_eq!(Seconds::parse("15m"), Some(Seconds(900)));
        assert_eq!(Seconds::parse("2d"), Some(Seconds(172_800)));
        assert_eq!(Seconds::parse("30"), Some(Seconds(30)));
        for wrong in ["", "m", "1.5h", "-1s", "1w", "99999999d"] {
            assert_eq!(Seconds::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn writes_the_largest_unit() {
        for text in ["0s", "90s", "15m", "36h", "7d"] {
            assert_eq!(Seconds::parse(text).map(|read| read.to_string()), Some(text.to_owned()));
        }
        assert_eq!(Seconds(86_400).to_string(), "1d");
    }
}
