//! Formats tables: columns as wide as their widest cell, with two spaces between them.

use crate::sanitize;

/// Longest cell, in characters: a name in a cluster with its namespace.
const LONGEST: usize = 320;

/// Formats rows as lines; the first row is the heading. Cells may contain untrusted text.
pub(super) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let plain = |row: &[String; COLUMNS]| row.each_ref().map(|cell| sanitize::line(cell, LONGEST));
    let rows: Vec<[String; COLUMNS]> = rows.iter().map(plain).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| width(column).unwrap_or_default());
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Formats an age: `40s`, `12m`, `5h`, `3d`.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [["NAME", "AGE"], ["a", "1s"], ["longer", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "NAME    AGE\na       1s\nlonger\n");
    }

    #[test]
    fn a_cell_makes_no_line_of_its_own() {
        let rows = [["NAME"], ["a\n\nwrong: b\u{1b}[2J"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "NAME\na wrong: b\u{fffd}[2J\n");
    }

    #[test]
    fn ages_are_short() {
        let ages = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(age);
        assert_eq!(ages, ["0s", "119s", "2m", "119m", "2h", "47h", "2d"]);
    }
}
