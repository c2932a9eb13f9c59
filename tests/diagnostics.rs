//! Every diagnostic has a story of its own with its exact text.

use std::collections::BTreeSet;
use std::fs;

use pso_gen::compiler::diagnostic::Code;

mod support;

#[test]
fn diagnostics_are_reported_as_reviewed() {
    insta::glob!("diagnostics", "*/args", support::check_output);
}

/// A story's folder is called by its diagnostic, with a word behind two dashes if there are several.
#[test]
fn every_diagnostic_has_a_story_in_which_it_appears() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/diagnostics");
    let mut reported = BTreeSet::new();
    for story in fs::read_dir(folder).expect("there are stories") {
        let story = story.expect("a story");
        let name = story.file_name().into_string().expect("a word");
        let code = name.split("--").next().unwrap_or_default().to_owned();
        let output = fs::read_to_string(story.path().join("output.snap")).expect("was reviewed");
        assert!(output.contains(&format!("[{code}]")), "{name} does not report `{code}`");
        reported.insert(code);
    }
    let all: BTreeSet<String> = Code::ALL.iter().map(|code| code.name().to_owned()).collect();
    assert_eq!(reported, all, "stories and diagnostics differ");
}
