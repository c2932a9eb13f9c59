//! Sizes in bytes, written as Kubernetes quantities and kept as they were written.
//!
//! Grammar: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>

use std::fmt;

use crate::plain::quoted;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A size: the text that somebody wrote and the bytes that it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    text: String,
    bytes: u64,
}

const BINARY: [(&str, u32); 6] = [("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)];
const DECIMAL: [(&str, u32); 6] = [("k", 1), ("M", 2), ("G", 3), ("T", 4), ("P", 5), ("E", 6)];

impl Quantity {
    /// Reads `20Gi`, `1.5Ti`, `500M`, `1e9` or plain bytes; a fraction of a byte is rounded up, as
    /// Kubernetes does. Returns `None` for everything else, zero and negative sizes included.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = scaled(text, 1)?;
        let bytes = u64::try_from(bytes).ok().filter(|bytes| (1..=1 << 62).contains(bytes))?;
        Some(Self { text: text.to_owned(), bytes })
    }

    /// Returns the quantity of a number of bytes, written as short as it can be exactly.
    pub fn of_bytes(bytes: u64) -> Self {
        let binary = BINARY.iter().map(|(suffix, power)| (*suffix, 1024_u64.pow(*power)));
        let decimal = DECIMAL.iter().map(|(suffix, power)| (*suffix, 1000_u64.pow(*power)));
        let text = binary
            .chain(decimal)
            .filter(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit))
            .map(|(suffix, unit)| format!("{}{suffix}", bytes / unit))
            .chain([bytes.to_string()])
            .min_by_key(String::len)
            .unwrap_or_default();
        Self { text, bytes }
    }

    /// Returns a number of bytes for people: about, in the largest unit.
    pub fn about(bytes: u64) -> String {
        let unit = BINARY.iter().rev().find(|(_, power)| bytes >= 1024_u64.pow(*power));
        let Some((suffix, power)) = unit else {
            return bytes.to_string();
        };
        let tenths = u128::from(bytes) * 10 / 1024_u128.pow(*power);
        match tenths % 10 {
            0 => format!("{}{suffix}", tenths / 10),
            tenth => format!("{}.{tenth}{suffix}", tenths / 10),
        }
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Reads an amount of any resource in thousandths, `250m` being 250 and `8Gi` 2^33 thousand.
/// Returns `None` for what is not a quantity, negative ones included.
pub fn thousandths(text: &str) -> Option<u128> {
    match text.strip_suffix('m') {
        Some(number) if !number.ends_with(|c: char| c.is_ascii_alphabetic()) => scaled(number, 1),
        Some(_) => None,
        None => scaled(text, 1000),
    }
}

/// Reads a number with its suffix, times `times`, rounded up.
fn scaled(text: &str, times: u128) -> Option<u128> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let mantissa: u128 = format!("0{whole}{fraction}").parse().ok()?;
    let below = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some(mantissa.checked_mul(factor(suffix)?)?.checked_mul(times)?.div_ceil(below))
}

fn factor(suffix: &str) -> Option<u128> {
    if suffix.is_empty() {
        return Some(1);
    }
    if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some(1024_u128.pow(*power));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some(1000_u128.pow(*power));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    exponent.strip_prefix('+').unwrap_or(exponent).parse().ok().and_then(|e| 10_u128.checked_pow(e))
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format!("{text} is not a size", text = quoted(text))))
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "quantity"})
    }
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[test]
    fn reads_what_kubernetes_reads() {
        let bytes = |text: &str| Quantity::parse(text).map(|q| q.bytes());
        assert_eq!(bytes("20Gi"), Some(20 << 30));
        assert_eq!(bytes("1.5Ti"), Some(3 << 39));
        assert_eq!(bytes("500M"), Some(500_000_000));
        assert_eq!(bytes("1e9"), Some(1_000_000_000));
        assert_eq!(bytes("1000"), Some(1000));
        assert_eq!(bytes(".5Ki"), Some(512));
        assert_eq!(bytes("0.1"), Some(1));
        for wrong in
            ["", "Gi", "10G B", "10GB", "-5Gi", "0", "0Gi", "1..5Gi", "five", "16Ei", "1e99"]
        {
            assert_eq!(bytes(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn writes_the_shortest_exact_form() {
        assert_eq!(Quantity::of_bytes(3 << 39).text(), "1536Gi");
        assert_eq!(Quantity::of_bytes(8_000_000_000).text(), "8G");
        assert_eq!(Quantity::of_bytes(512 << 20).text(), "512Mi");
        assert_eq!(Quantity::of_bytes(1001).text(), "1001");
    }
}
