//! Schedules as Kubernetes' CronJob controller reads them. Knows no clock and no time zone.
//!
//! The grammar is `ParseStandard` of robfig/cron, which Kubernetes uses:
//! <https://pkg.go.dev/github.com/robfig/cron/v3#hdr-CRON_Expression_Format>. `tests/formats.rs` holds this reading
//! against that package.

use super::go_duration::go_nanoseconds;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Days of each month, in the longest year.
const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Smallest number, largest number and names of each of the five fields.
const FIELDS: [(u32, u32, &[&str]); 5] =
    [(0, 59, &[]), (0, 23, &[]), (1, 31, &[]), (1, 12, &MONTHS), (0, 6, &WEEKDAYS)];
const HOUR: usize = 1;
const DAY: usize = 2;
const MONTH: usize = 3;
const WEEKDAY: usize = 4;

/// The times of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times([Numbers; 5]);

/// Numbers that a field allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Numbers {
    /// One bit for each.
    bits: u64,
    /// Whether the field says `*` or `?`.
    any: bool,
}

/// Returns whether Kubernetes accepts a text as a CronJob's schedule.
pub fn is_cron_of_kubernetes(text: &str) -> bool {
    // A time zone stands in a field of its own.
    !text.contains("TZ") && (times(text).is_some() || is_interval(text))
}

/// Returns whether a text is a schedule that says when a job runs. Kubernetes accepts more: intervals, which it counts
/// from the moment when the CronJob was created, days that no month has, and signs that it does not read.
pub(super) fn is_cron(text: &str) -> bool {
    let is_read = |part: &str| !part.is_empty() && !part.contains('+') && !is_star_with_more(part);
    is_cron_of_kubernetes(text)
        && text.is_ascii()
        && text.split_ascii_whitespace().flat_map(|field| field.split(',')).all(is_read)
        && times(text).is_some_and(Times::have_a_day)
}

/// Returns the number of hours of a day in which a schedule has runs; none for an invalid schedule.
pub fn hours_of_a_day(text: &str) -> Option<u32> {
    times(text).map(|times| times.0[HOUR].bits.count_ones())
}

/// Returns what to write in place of a text that was meant as a schedule.
pub(super) fn repaired(text: &str) -> Option<String> {
    let (zone, rest) = match text.trim().split_once(char::is_whitespace) {
        Some((zone, rest)) if zone.contains("TZ=") => (true, rest.trim()),
        _ => (false, text.trim()),
    };
    let words: Vec<&str> = rest.split_whitespace().collect();
    let reason = match words.len() {
        _ if zone => "times are in UTC: ",
        6 => "remove the seconds: ",
        _ => "",
    };
    let tried = match words.as_slice() {
        [word] => word.to_lowercase(),
        ["@every", interval] => of_interval(interval)?,
        [_, five @ ..] if five.len() == 5 => five.join(" "),
        five => five
            .iter()
            .enumerate()
            .map(|(field, word)| repaired_field(field, word))
            .collect::<Vec<_>>()
            .join(" "),
    };
    if tried != text && is_cron(&tried) {
        return Some(format!("{reason}write `{tried}`"));
    }
    times(text)
        .is_some_and(|times| !times.have_a_day())
        .then(|| "no month has that day, so it would never run: write another day".to_owned())
}

/// An interval between runs, `@every 1h30m`.
fn is_interval(text: &str) -> bool {
    text.strip_prefix("@every ").is_some_and(|interval| go_nanoseconds(interval).is_some())
}

fn times(text: &str) -> Option<Times> {
    let spelled_out = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        text if text.starts_with('@') => return None,
        text => text,
    };
    let mut words = spelled_out.split_whitespace();
    let mut all = [Numbers::default(); 5];
    for (numbers, (min, max, names)) in all.iter_mut().zip(FIELDS) {
        let word = words.next()?;
        for part in word.split(',').filter(|part| !part.is_empty()) {
            let more = part_of(part, min, max, names)?;
            numbers.bits |= more.bits;
            numbers.any |= more.any;
        }
    }
    words.next().is_none().then_some(Times(all))
}

/// Reads `*`, `5`, `1-5`, each with or without `/2`.
fn part_of(part: &str, min: u32, max: u32, names: &[&str]) -> Option<Numbers> {
    let mut halves = part.split('/');
    let range = halves.next()?;
    let step = halves.next().map(number);
    let mut ends = range.split('-');
    let first = ends.next()?;
    let any = matches!(first, "*" | "?");
    let (from, to) = if any {
        (min, max)
    } else {
        let from = number_or_name(first, min, names)?;
        match (ends.next(), step) {
            (Some(last), _) => (from, number_or_name(last, min, names)?),
            (None, Some(_)) => (from, max),
            (None, None) => (from, from),
        }
    };
    // Kubernetes ignores the text after a star.
    if halves.next().is_some() || !any && ends.next().is_some() {
        return None;
    }
    let step = match step {
        Some(step) => step?,
        None => 1,
    };
    if from < min || to > max || from > to || step == 0 {
        return None;
    }
    let steps = (from..=to).step_by(usize::try_from(step).ok()?);
    Some(Numbers { bits: steps.map(|number| 1 << number).sum(), any: any && step == 1 })
}

/// A number, with a sign if need be.
fn number(text: &str) -> Option<u32> {
    let number = text.parse::<i64>().ok().filter(|number| *number >= 0)?;
    // Whatever is larger than any field, is so as well.
    Some(u32::try_from(number).unwrap_or(u32::MAX))
}

fn number_or_name(text: &str, first: u32, names: &[&str]) -> Option<u32> {
    match names.iter().position(|name| text.eq_ignore_ascii_case(name)) {
        Some(index) => Some(u32::try_from(index).ok()? + first),
        None => number(text),
    }
}

impl Times {
    /// Whether any day of any year is in them.
    fn have_a_day(self) -> bool {
        let Self([minutes, hours, days, months, weekdays]) = self;
        let in_month = |(month, length): (usize, &u32)| {
            months.bits & (1 << (month + 1)) != 0
                && (1..=*length).any(|day| days.bits & (1 << day) != 0)
        };
        let by_date = LENGTHS.iter().enumerate().any(in_month);
        let by_weekday = weekdays.bits != 0 && months.bits != 0;
        // With both of them named, one is enough.
        let day =
            if days.any || weekdays.any { by_date && by_weekday } else { by_date || by_weekday };
        minutes.bits != 0 && hours.bits != 0 && day
    }
}

fn is_star_with_more(part: &str) -> bool {
    let range = part.split('/').next().unwrap_or_default();
    range.starts_with(['*', '?']) && range.len() > 1
}

/// The schedule of an interval that an hour or a day is a multiple of.
fn of_interval(interval: &str) -> Option<String> {
    let minutes = go_nanoseconds(interval)? / 60_000_000_000;
    match (minutes, minutes / 60) {
        (1..60, _) if 60 % minutes == 0 => Some(format!("*/{minutes} * * * *")),
        (60, _) => Some("0 * * * *".to_owned()),
        (_, hours @ 2..24) if minutes % 60 == 0 && 24 % hours == 0 => {
            Some(format!("0 */{hours} * * *"))
        }
        (_, 24) if minutes % 60 == 0 => Some("0 0 * * *".to_owned()),
        _ => None,
    }
}

/// The spelling of a field that is likely.
fn repaired_field(field: usize, word: &str) -> String {
    let Some((min, max, names)) = FIELDS.get(field).copied() else { return word.to_owned() };
    let parts = word.split(',').filter(|part| !part.is_empty()).map(|part| {
        let (range, step) = part.split_once('/').map_or((part, None), |(r, s)| (r, Some(s)));
        let range = match range.split_once('-') {
            _ if range.starts_with(['*', '?']) => range[..1].to_owned(),
            Some((from, to)) => {
                let (from, to) = (repaired_end(field, from), repaired_end(field, to));
                let read = |end: &str| number_or_name(end, min, names);
                match (read(&from), read(&to)) {
                    // Over the end of the week, or of the year.
                    (Some(first), Some(last)) if first > last && field >= MONTH => {
                        let one = |a: String, b: u32, is_same: bool| {
                            if is_same { a } else { format!("{a}-{b}") }
                        };
                        let until = one(from, max, first == max);
                        let after =
                            if last == min { min.to_string() } else { format!("{min}-{to}") };
                        format!("{until},{after}")
                    }
                    _ => format!("{from}-{to}"),
                }
            }
            None => repaired_end(field, range),
        };
        match step {
            Some(step) => format!("{range}/{}", step.trim_start_matches('+')),
            None => range,
        }
    });
    parts.collect::<Vec<_>>().join(",")
}

/// The spelling of a number or name that is likely: `7` for Sunday, `24` for midnight, `Monday`.
fn repaired_end(field: usize, end: &str) -> String {
    let end = end.trim_start_matches('+');
    let (_, _, names) = FIELDS[field];
    let short = end.get(..3).unwrap_or(end).to_lowercase();
    match (field, end) {
        (WEEKDAY, "7") | (HOUR, "24") => "0".to_owned(),
        (DAY, _) => end.to_owned(),
        _ if names.contains(&short.as_str()) => short,
        _ => end.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_that_never_runs_is_none() {
        for text in ["0 3 31 2 *", "0 3 30 feb *", "0 0 31 4,6,9,11 *", ", * * * *"] {
            assert!(is_cron_of_kubernetes(text) && !is_cron(text), "{text}");
        }
        for text in ["0 0 29 2 *", "0 0 31 2 1", "0 0 31 4-5 *", "0 0 * 2 mon"] {
            assert!(is_cron(text), "{text}");
        }
    }

    #[test]
    fn hours_are_counted() {
        for (text, hours) in [
            ("@daily", 1),
            ("@hourly", 24),
            ("0 03 * * *", 1),
            ("0 1-3 * * *", 3),
            ("0 */6 * * *", 4),
        ] {
            assert_eq!(hours_of_a_day(text), Some(hours), "{text}");
        }
        assert_eq!(hours_of_a_day("@every 1h"), None);
    }

    #[test]
    fn what_was_meant_is_written_out() {
        for (text, fix) in [
            ("0 3 * * 7", "write `0 3 * * 0`"),
            ("0 3 * * 5-7", "write `0 3 * * 5-6,0`"),
            ("0 3 * * fri-mon", "write `0 3 * * fri-6,0-mon`"),
            ("0 3 * * sat-sun", "write `0 3 * * sat,0`"),
            ("0 3 * * Monday", "write `0 3 * * mon`"),
            ("0 24 * * *", "write `0 0 * * *`"),
            ("+5 1,,2 *-7 * *", "write `5 1,2 * * *`"),
            ("@Daily", "write `@daily`"),
            ("@every 6h", "write `0 */6 * * *`"),
            ("@every 15m", "write `*/15 * * * *`"),
            ("0 0 2 * * *", "remove the seconds: write `0 2 * * *`"),
            ("CRON_TZ=Europe/Berlin 0 3 * * *", "times are in UTC: write `0 3 * * *`"),
            ("0 3 31 2 *", "no month has that day, so it would never run: write another day"),
        ] {
            assert_eq!(repaired(text).as_deref(), Some(fix), "{text}");
        }
        for text in ["@every 7h", "@reboot", "x", "", "61 * * * *"] {
            assert_eq!(repaired(text), None, "{text}");
        }
    }
}
