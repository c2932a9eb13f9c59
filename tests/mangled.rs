//! Files with one thing broken: a diagnostic with a place, never a panic, never half an output.

#[path = "mangled/fields.rs"]
mod fields;

use proptest::prelude::*;
use pso_gen::compiler::blueprint::{Classes, Library};
use pso_gen::compiler::diagnostic::{Sources, Style, any_error, human, json, sarif};
use pso_gen::compiler::manifest;
use pso_gen::compiler::run::Pipeline;

const EXAMPLES: [&str; 5] = [
    include_str!("../examples/full/nextcloud.pso.yaml"),
    include_str!("../examples/full/owncloud.pso.yaml"),
    include_str!("../examples/full/scratch.pso.yaml"),
    include_str!("../examples/tiny/owncloud.pso.yaml"),
    include_str!("../examples/storage/storage.pso.yaml"),
];

const SNIPPETS: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    "- ",
    "\t",
    "\"",
    "'",
    "&a ",
    "*a",
    "!!int ",
    "? ",
    "|",
    ">",
    "#",
    "\u{0}",
    "é",
    "{{ host }}",
    "<<: ",
    "null",
    "-1",
    "1e999",
    "\n\n---\n",
];

/// `PROPTEST_CASES` asks for more than the everyday number.
fn cases() -> u32 {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    wanted.and_then(|word| word.parse().ok()).unwrap_or(1500)
}

/// One change of a text.
#[derive(Debug, Clone)]
enum Change {
    Drop { at: usize, length: usize },
    Insert { at: usize, snippet: &'static str },
    Double { line: usize },
    Swap { line: usize, other: usize },
    Indent { line: usize, by: i32 },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), 1..20_usize).prop_map(|(at, length)| Change::Drop { at, length }),
        (any::<usize>(), prop::sample::select(SNIPPETS.to_vec()))
            .prop_map(|(at, snippet)| Change::Insert { at, snippet }),
        any::<usize>().prop_map(|line| Change::Double { line }),
        (any::<usize>(), any::<usize>()).prop_map(|(line, other)| Change::Swap { line, other }),
        (any::<usize>(), -3..4_i32).prop_map(|(line, by)| Change::Indent { line, by }),
    ]
}

fn apply(text: &str, change: &Change) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if characters.is_empty() || lines.is_empty() {
        return text.to_owned();
    }
    match change {
        Change::Drop { at, length } => {
            let at = at % characters.len();
            let end = (at + length).min(characters.len());
            characters.drain(at..end);
            return characters.into_iter().collect();
        }
        Change::Insert { at, snippet } => {
            let at = at % characters.len();
            characters.splice(at..at, snippet.chars());
            return characters.into_iter().collect();
        }
        Change::Double { line } => {
            let line = line % lines.len();
            lines.insert(line, lines[line].clone());
        }
        Change::Swap { line, other } => {
            let count = lines.len();
            lines.swap(line % count, other % count);
        }
        Change::Indent { line, by } => {
            let line = line % lines.len();
            if *by > 0 {
                lines[line].insert_str(0, &" ".repeat(by.unsigned_abs() as usize));
            } else {
                let blanks = lines[line].len() - lines[line].trim_start_matches(' ').len();
                lines[line].drain(..blanks.min(by.unsigned_abs() as usize));
            }
        }
    }
    lines.join("\n") + "\n"
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn a_mangled_file_is_reported_or_rendered_whole(
        example in prop::sample::select(EXAMPLES.to_vec()),
        changes in prop::collection::vec(change(), 1..4),
    ) {
        let text = changes.iter().fold(example.to_owned(), |text, change| apply(&text, change));
        let sources = Sources::default();
        let library = Library::new(Vec::new(), &sources).expect("loads");
        let pipeline = Pipeline {
            sources: &sources,
            library: &library,
            classes: Classes::default(),
            layers: Vec::new(),
            settings: Vec::new(),
            namespace: None,
            tenancy: pso_gen::compiler::spec::Tenancy::default(),
            today: "2026-01-01".to_owned(),
            side: pso_gen::compiler::run::Side::Today,
        };
        let unit = pipeline.render(sources.add("mangled.pso.yaml", text));
        // All three renderings stand every place that they are given.
        let _ = human(&unit.diagnostics, &sources, Style::Plain);
        let _ = json(&unit.diagnostics, &sources);
        let _ = sarif(&unit.diagnostics, &sources);
        for diagnostic in &unit.diagnostics {
            prop_assert!(diagnostic.place.is_some(), "{diagnostic:?} has no place");
        }
        let made = unit.apps.len() + unit.storage.len();
        prop_assert!(
            made == unit.documents || any_error(&unit.diagnostics),
            "{} documents, {} made, nothing reported", unit.documents, made
        );
        for rendered in &unit.apps {
            let mut out = String::new();
            manifest::write(&mut out, &rendered.compiled.objects).expect("writes");
            for document in out.split("---\n").filter(|document| !document.is_empty()) {
                let json: serde_json::Value = serde_yaml::from_str(document).expect("is YAML");
                prop_assert!(manifest::Object::from_json(&json).is_ok());
            }
        }
    }
}
