//! Durations as Go writes and reads them, and Kubernetes with it: `1h30m`. The language has its own:
//! [`Seconds`](crate::contract::Seconds).

/// Reads a duration as Go does, in nanoseconds: `1h30m`, `1.5h`, `-5ms`.
/// <https://pkg.go.dev/time#ParseDuration>
pub fn go_nanoseconds(text: &str) -> Option<i64> {
    const UNITS: [(&str, u64); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("\u{b5}s", 1_000),
        ("\u{3bc}s", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut rest = unsigned;
    let mut sum: u128 = 0;
    while !rest.is_empty() && unsigned != "0" {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let unit = UNITS.iter().find(|(name, _)| *name == &after[..end])?.1;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let whole: u128 = format!("0{whole}").parse().ok()?;
        // Digits behind the eighteenth are less than a nanosecond of every unit.
        let digits = fraction.get(..18).unwrap_or(fraction);
        let parts: u128 = format!("0{digits}").parse().ok()?;
        let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
        sum = sum.checked_add(whole.checked_mul(u128::from(unit))?)?;
        sum += parts * u128::from(unit) / scale;
        rest = &after[end..];
    }
    let sum = i128::try_from(sum).ok().filter(|_| !unsigned.is_empty())?;
    i64::try_from(if text.starts_with('-') { -sum } else { sum }).ok()
}
