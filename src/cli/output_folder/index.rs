//! Reads and writes the list of files that pso-gen has written into a folder, one per line, so that Git can merge it.
//! Knows the text, but no folder.

use std::collections::BTreeSet;

use serde::Deserialize;

/// First line of that list. A merge of two lists keeps it.
const HEADING: &str =
    "# Files that pso-gen has written here, one a line. Commit this list with them.";
/// Conflict markers of a merge.
const MARKS: [&str; 3] = ["<<<<<<<", "=======", ">>>>>>>"];

/// The format of earlier versions.
#[derive(Deserialize)]
struct Json {
    files: BTreeSet<String>,
}

/// Returns the text of a list.
pub(super) fn text(files: &BTreeSet<String>) -> String {
    let lines = std::iter::once(HEADING).chain(files.iter().map(String::as_str));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Parses a list. The error contains the cause and a remedy.
pub(super) fn read(text: &str) -> Result<BTreeSet<String>, String> {
    if text.lines().any(|line| MARKS.iter().any(|mark| line.starts_with(mark))) {
        return Err("has a merge conflict: remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`, keep the \
                    lines of both sides, and run this again, which removes files that are no longer rendered"
            .to_owned());
    }
    if text.lines().next() == Some(HEADING) {
        let lines = text.lines().map(str::trim);
        let files = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        return Ok(files.map(str::to_owned).collect());
    }
    let json: Result<Json, _> = serde_json::from_str(text);
    json.map(|json| json.files).map_err(|_| {
        "is not the list that pso-gen has written; restore it from Git, or remove it, and by hand the files that \
         are no longer rendered"
            .to_owned()
    })
}

/// Returns whether a path in the list leads to a file below the folder.
pub(super) fn is_inside(path: &str) -> bool {
    !path.starts_with('/') && path.split('/').all(|step| !matches!(step, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_this_and_earlier_versions_write_it() {
        let files: BTreeSet<String> = ["a/b.yaml".to_owned(), "c.yaml".to_owned()].into();
        assert_eq!(read(&text(&files)), Ok(files.clone()));
        assert_eq!(read(r#"{"files": ["c.yaml", "a/b.yaml"]}"#), Ok(files.clone()));
        let conflict =
            format!("{HEADING}\n<<<<<<< HEAD\na/b.yaml\n=======\nc.yaml\n>>>>>>> other\n");
        let message = read(&conflict).expect_err("a conflict");
        assert!(message.contains("merge conflict") && message.contains("both sides"), "{message}");
        let is_mark = |line: &&str| MARKS.iter().any(|mark| line.starts_with(mark));
        let merged: Vec<_> = conflict.lines().filter(|line| !is_mark(line)).collect();
        assert_eq!(read(&merged.join("\n")), Ok(files));
        for bad in ["sesame", "a/b.yaml\n", "{}", ""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
