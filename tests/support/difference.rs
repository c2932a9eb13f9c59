//! One list of objects as its difference from another, for reviewed outputs that are mostly equal. A difference and
//! its base are the output, byte for byte: [`restore`] is the way back.

use std::fmt::Write as _;

use similar::{Algorithm, DiffOp, TextDiff, capture_diff_slices};

/// Lines of context around a change.
const CONTEXT: usize = 2;

/// An object: its kind, name and namespace, and its text.
pub(crate) type Object = (String, String);

/// Returns what differs: how many objects are the same, and each one that is changed, new or gone, in order.
pub(crate) fn difference(base: &[Object], output: &[Object]) -> String {
    let keys = |objects: &[Object]| objects.iter().map(|(name, _)| key(name)).collect();
    let (old, new): (Vec<String>, Vec<String>) = (keys(base), keys(output));
    let mut out = String::new();
    let mut same = 0;
    for operation in capture_diff_slices(Algorithm::Myers, &old, &new) {
        let (old, new) = (&base[operation.old_range()], &output[operation.new_range()]);
        if matches!(operation, DiffOp::Equal { .. }) {
            for ((_, was), (name, is)) in old.iter().zip(new) {
                if was == is {
                    same += 1;
                    continue;
                }
                end_of_same(&mut out, &mut same);
                let diff = TextDiff::from_lines(was.as_str(), is.as_str());
                let diff = diff.unified_diff().context_radius(CONTEXT).to_string();
                let _ = writeln!(out, "changed: {name}\n{diff}");
            }
            continue;
        }
        end_of_same(&mut out, &mut same);
        for (name, _) in old {
            let _ = writeln!(out, "gone: {name}\n");
        }
        for (name, text) in new {
            let lines = text.strip_suffix('\n').unwrap_or(text).replace('\n', "\n+");
            let _ = writeln!(out, "new: {name}\n+{lines}\n");
        }
    }
    end_of_same(&mut out, &mut same);
    out
}

/// Returns what two objects have in common that are compared: a Job's name ends in a hash of what it runs, and
/// all that is in another namespace is the same otherwise.
fn key(name: &str) -> String {
    let (name, _) = name.split_once(" in ").unwrap_or((name, ""));
    let hash = |end: &str| end.len() == 10 && end.chars().all(|c| c.is_ascii_hexdigit());
    match name.rsplit_once('-') {
        Some((name, end)) if hash(end) => name.to_owned(),
        _ if name.starts_with("Namespace ") => "Namespace".to_owned(),
        _ => name.to_owned(),
    }
}

fn end_of_same(out: &mut String, same: &mut usize) {
    if *same > 0 {
        let _ = writeln!(out, "same: {same}\n");
    }
    *same = 0;
}

/// Returns the texts of the objects that a difference from a base describes.
pub(crate) fn restore(base: &[Object], difference: &str) -> Vec<String> {
    let mut base = base.iter().map(|(_, text)| text.as_str());
    let mut next = || base.next().expect("the base has as many objects");
    let mut texts = Vec::new();
    let mut lines = difference.split_inclusive('\n').peekable();
    while let Some(heading) = lines.next() {
        let Some((word, name)) = heading.trim_end().split_once(": ") else {
            assert_eq!(heading, "\n", "no heading");
            continue;
        };
        let mut body = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with(['@', '+', '-', ' '])) {
            body.push(line);
        }
        match word {
            "same" => {
                let count = name.parse().expect("a number");
                texts.extend((0..count).map(|_| next().to_owned()));
            }
            "gone" => {
                let _ = next();
            }
            "new" => texts.push(body.iter().map(|line| &line[1..]).collect()),
            "changed" => texts.push(patched(next(), &body)),
            other => panic!("{other}: no heading"),
        }
    }
    texts
}

/// Applies a unified diff.
fn patched(text: &str, diff: &[&str]) -> String {
    let mut lines = text.split_inclusive('\n');
    let (mut out, mut taken) = (String::new(), 0);
    for line in diff {
        if let Some(place) = line.strip_prefix("@@ -") {
            let (start, rest) = place.split_once([',', ' ']).expect("a place");
            // A hunk without lines of the old text stands behind the line it names.
            let behind = usize::from(!rest.starts_with("0 "));
            let start = start.parse::<usize>().expect("a number") - behind;
            out.extend(lines.by_ref().take(start - taken));
            taken = start;
            continue;
        }
        let (sign, text) = line.split_at(1);
        if sign != "+" {
            assert_eq!(lines.next(), Some(text), "the diff is of another text");
            taken += 1;
        }
        if sign != "-" {
            out.push_str(text);
        }
    }
    out.extend(lines);
    out
}
