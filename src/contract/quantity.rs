//! Sizes in bytes in the format of Kubernetes quantities: `1.5Ti`, `500M`, `1e9`, `107374182400m`.
//!
//! A requested size keeps its text where it is a whole number of bytes, and is rounded up where it is not: the API
//! server would store `0.1Gi` as `107374182400m`, which few programs read.
//!
//! Grammar: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>

use std::fmt;

use crate::sanitize::quoted;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A size: its text and its value in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    text: String,
    bytes: u64,
}

const BINARY: [(&str, u32); 6] = [("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)];
const DECIMAL: [(&str, u32); 6] = [("k", 1), ("M", 2), ("G", 3), ("T", 4), ("P", 5), ("E", 6)];
const SMALL: [(&str, u32); 3] = [("m", 1), ("u", 2), ("n", 3)];

/// Largest quantity of the API server, which replaces every larger one by it.
const LARGEST: u64 = i64::MAX as u64;
/// Decimal places that are computed exactly. Further digits round up.
const DIGITS: usize = 18;

impl Quantity {
    /// Parses a requested size: `20Gi`, `1.5Ti`, `500M`, `1e9`, `107374182400m` or plain bytes. A fraction of a byte is
    /// rounded up, in the text too. Returns `None` for everything else: zero, negative sizes, and sizes below one byte,
    /// such as `500m`, where the author means megabytes.
    pub fn parse(text: &str) -> Option<Self> {
        let Scaled { value, exact } = scaled(text, 1)?.ok()?;
        let bytes = u64::try_from(value).ok().filter(|bytes| (1..=1 << 62).contains(bytes))?;
        match exact {
            true => Some(Self { text: text.to_owned(), bytes }),
            false if bytes == 1 => None,
            false => Some(Self { text: bytes.to_string(), bytes }),
        }
    }

    /// Parses a quantity from the API server and returns bytes, rounded up. Larger quantities become the largest one,
    /// as in the API server. Returns `None` for other texts and for negative quantities.
    pub fn bytes_of(text: &str) -> Option<u64> {
        let Ok(Scaled { value, .. }) = scaled(text, 1)? else { return Some(LARGEST) };
        Some(u64::try_from(value).unwrap_or(LARGEST).min(LARGEST))
    }

    /// Returns the quantity of a number of bytes, in its shortest exact form.
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

    /// Formats a number of bytes for display, rounded down to one decimal place of the largest unit.
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

    /// Returns the original text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Parses an amount of any resource and returns it in thousandths: `250m` is 250, and `8Gi` is 2^33 thousand. Returns
/// `None` for other texts and for negative quantities. [`TOO_MANY`] stands for all larger amounts.
pub fn thousandths(text: &str) -> Option<u128> {
    let Ok(Scaled { value, .. }) = scaled(text, 1000)? else { return Some(TOO_MANY) };
    Some(value.min(TOO_MANY))
}

/// Thousandths beyond every machine.
pub const TOO_MANY: u128 = (u128::MAX / 1000) * 1000;

/// A number, multiplied by its suffix and rounded up.
struct Scaled {
    value: u128,
    /// Whether it was whole before rounding.
    exact: bool,
}

/// The number exceeds the capacity of any array.
struct TooLarge;

/// Parses a number with its suffix and multiplies it by `times`. Returns `None` if the text is not a quantity.
fn scaled(text: &str, times: u128) -> Option<Result<Scaled, TooLarge>> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let power = power(suffix)?;
    let (significant, rest) = fraction.split_at(fraction.len().min(DIGITS));
    let more = u128::from(rest.bytes().any(|digit| digit != b'0'));
    let value = || {
        let number: u128 = format!("0{whole}{significant}").parse().ok()?;
        let number = number.checked_add(more)?;
        if number == 0 {
            return Some(Scaled { value: 0, exact: true });
        }
        let (factor, divisor) = match power {
            Power::Binary(power) => (1024_u128.checked_pow(power)?, Some(1)),
            Power::Decimal(power) => match u32::try_from(power) {
                Ok(power) => (10_u128.checked_pow(power)?, Some(1)),
                Err(_) => (1, 10_u128.checked_pow(power.unsigned_abs())),
            },
        };
        let below = 10_u128.checked_pow(u32::try_from(significant.len()).ok()?)?;
        let above = number.checked_mul(factor)?.checked_mul(times)?;
        // A divisor that overflows leaves less than one.
        let Some(below) = divisor.and_then(|divisor| below.checked_mul(divisor)) else {
            return Some(Scaled { value: 1, exact: false });
        };
        let exact = more == 0 && above.is_multiple_of(below);
        Some(Scaled { value: above.div_ceil(below), exact })
    };
    Some(value().ok_or(TooLarge))
}

/// The factor that a suffix stands for.
enum Power {
    /// A power of 1024.
    Binary(u32),
    /// A power of 10.
    Decimal(i32),
}

fn power(suffix: &str) -> Option<Power> {
    let named = |all: &[(&str, u32)]| {
        all.iter().find(|(name, _)| *name == suffix).and_then(|(_, n)| i32::try_from(*n).ok())
    };
    if suffix.is_empty() {
        return Some(Power::Decimal(0));
    }
    if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some(Power::Binary(*power));
    }
    if let Some(power) = named(&DECIMAL).or(named(&SMALL).map(|power| -power)) {
        return Some(Power::Decimal(3 * power));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    exponent.parse().ok().map(Power::Decimal)
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
        for (text, is) in [
            ("20Gi", 20 << 30),
            ("1.5Ti", 3 << 39),
            ("0.5Ti", 1 << 39),
            ("500M", 500_000_000),
            ("1e9", 1_000_000_000),
            ("1E3", 1000),
            ("1e+3", 1000),
            ("5000e-3", 5),
            ("1E", 1_000_000_000_000_000_000),
            ("+1Gi", 1 << 30),
            ("1000", 1000),
            (".5Ki", 512),
            ("2.", 2),
            ("107374182400m", 107_374_183),
            ("1181116006400m", 1_181_116_007),
            ("3000000u", 3),
            ("3000000001n", 4),
            ("1.00000000000000000000000000000000000000001", 2),
            ("1.00000000000000000000000000000000000000000", 1),
        ] {
            assert_eq!(bytes(text), Some(is), "{text:?}");
            assert_eq!(Quantity::bytes_of(text), Some(is), "{text:?}");
        }
        for invalid in
            ["", "Gi", "10G B", "10GB", "-5Gi", "+-5", "1..5Gi", "five", "1e", "1eK", "1K", "1 Gi"]
        {
            assert_eq!(bytes(invalid), None, "{invalid:?}");
            assert_eq!(Quantity::bytes_of(invalid), None, "{invalid:?}");
        }
    }

    #[test]
    fn what_the_api_server_keeps_is_read_though_nobody_would_ask_for_it() {
        const LARGEST: u64 = i64::MAX as u64;
        for (text, is) in [
            ("0", 0),
            ("0Gi", 0),
            ("0e99", 0),
            ("0.1", 1),
            ("500m", 1),
            ("1e-99", 1),
            ("16Ei", LARGEST),
            ("9E", 9_000_000_000_000_000_000),
            ("1e99", LARGEST),
            ("999999999999999999999999999999999999999999Gi", LARGEST),
        ] {
            assert_eq!(Quantity::parse(text), None, "{text:?}");
            assert_eq!(Quantity::bytes_of(text), Some(is), "{text:?}");
        }
    }

    #[test]
    fn a_fraction_of_a_byte_is_rounded_up_in_the_text_too() {
        let text = |text: &str| Quantity::parse(text).map(|q| q.text().to_owned());
        assert_eq!(text("1.1Gi").as_deref(), Some("1181116007"));
        assert_eq!(text("0.1Gi").as_deref(), Some("107374183"));
        assert_eq!(text("107374182400m").as_deref(), Some("107374183"));
        for whole in ["1.5Gi", "0.5Ti", "1e3", "1E", "2000m", "20Gi"] {
            assert_eq!(text(whole).as_deref(), Some(whole));
        }
    }

    #[test]
    fn thousandths_are_of_every_form() {
        for (text, is) in [
            ("250m", 250),
            ("1.5", 1500),
            ("1500000u", 1500),
            ("1500000000n", 1500),
            ("2e-3", 2),
            ("1n", 1),
            ("1Ki", 1_024_000),
        ] {
            assert_eq!(super::thousandths(text), Some(is), "{text}");
        }
        for invalid in ["", "m", "1mm", "1Gim", "-1"] {
            assert_eq!(super::thousandths(invalid), None, "{invalid}");
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
