//! Generated files are what the declarations say, and the schemas agree with the program.
//!
//! `PSO_GEN_UPDATE=1 cargo test --test generated` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pso_gen::cli::{generated, man_pages};
use pso_gen::compiler::blueprint::{Classes, Library, instantiate};
use pso_gen::compiler::diagnostic::{Code, Sources, any_error};
use pso_gen::compiler::spec::split;
use pso_gen::compiler::yaml;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the picture of the README: the graph of the app that its first lines show.
fn picture() -> (String, String) {
    let graph = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .args(["graph", "examples/tiny/owncloud.pso.yaml"])
        .current_dir(root())
        .output()
        .expect("the program runs");
    assert!(graph.status.success(), "{}", String::from_utf8_lossy(&graph.stderr));
    ("docs/example.svg".to_owned(), String::from_utf8(graph.stdout).expect("UTF-8"))
}

#[test]
fn generated_files_are_up_to_date() {
    let man = man_pages().into_iter().map(|(name, page)| (format!("docs/man/{name}"), page));
    let update = std::env::var_os("PSO_GEN_UPDATE").is_some();
    let mut stale = Vec::new();
    for (path, text) in generated().into_iter().chain(man).chain([picture()]) {
        let there = root().join(&path);
        if fs::read_to_string(&there).ok().as_ref() == Some(&text) {
            continue;
        }
        if update {
            fs::create_dir_all(there.parent().expect("a folder")).expect("made");
            fs::write(&there, text).expect("written");
        } else {
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "stale, run `just schema`: {stale:?}");
}

fn schema(kind: &str) -> jsonschema::Validator {
    let path = root().join(format!("schemas/{}.json", kind.to_lowercase()));
    let text = fs::read_to_string(path).expect("a schema");
    let json = serde_json::from_str(&text).expect("JSON");
    jsonschema::validator_for(&json).expect("a JSON Schema")
}

fn files(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, name, found);
        } else if path.to_string_lossy().ends_with(name) {
            found.push(path);
        }
    }
}

/// What the program takes, the schema takes: an editor that underlines a good file helps nobody.
#[test]
fn schemas_take_every_example() {
    let mut examples = Vec::new();
    files(&root().join("examples"), ".pso.yaml", &mut examples);
    let sources = Sources::default();
    let mut checked = 0;
    for example in examples {
        let text = fs::read_to_string(&example).expect("text");
        let source = sources.add(example.display().to_string(), text);
        for node in yaml::read(source, &sources).documents {
            let kind = node.get("kind").and_then(yaml::Node::text).expect("a kind").to_owned();
            if kind == "StaticSite" {
                continue;
            }
            let json = node.to_json();
            let wrong: Vec<String> =
                schema(&kind).iter_errors(&json).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{}: {wrong:?}", example.display());
            checked += 1;
        }
    }
    assert!(checked >= 8, "only {checked} examples were found");
}

/// What the schema refuses, the program refuses, on everything that the diagnostics' stories try.
#[test]
fn what_schemas_refuse_the_program_refuses() {
    let sources = Sources::default();
    let library = Library::new(Vec::new(), &sources).expect("loads");
    let mut stories = Vec::new();
    files(&root().join("tests/diagnostics"), ".pso.yaml", &mut stories);
    let (mut refused, mut structural) = (0, 0);
    for story in stories {
        let Ok(text) = fs::read_to_string(&story) else { continue };
        let source = sources.add(story.display().to_string(), text);
        let read = yaml::read(source, &sources);
        for node in read.documents {
            let Ok(document) = split(node, &library.kinds()) else { continue };
            let blueprint = library.get(&document.kind, &sources).expect("there").expect("loads");
            let (_, found) = instantiate(&document, blueprint, &Classes::default());
            let schema_refuses = !schema(&document.kind).is_valid(&document.node.to_json());
            if schema_refuses {
                refused += 1;
                assert!(any_error(&found), "only the schema refuses {}", story.display());
            }
            let shape = [Code::UnknownField, Code::MissingField, Code::WrongType];
            if found.iter().any(|diagnostic| shape.contains(&diagnostic.code)) {
                structural += 1;
                assert!(schema_refuses, "the schema takes {}", story.display());
            }
        }
    }
    assert!(refused >= 5 && structural >= 4, "{refused} refused, {structural} structural");
}

/// An editor that underlines what the language teaches helps nobody; one that takes anything, neither.
#[test]
fn the_schema_of_blueprints_takes_blueprints() {
    let schema = schema("blueprint");
    let mut blueprints = Vec::new();
    for folder in ["blueprints", "examples", "tests/stories/language-of-blueprints"] {
        files(&root().join(folder), "/blueprint.yaml", &mut blueprints);
    }
    let sources = Sources::default();
    for path in &blueprints {
        let text = fs::read_to_string(path).expect("text");
        for (text, good) in [(text.clone(), true), (format!("{text}\ncomponent: {{}}\n"), false)] {
            let source = sources.add(path.display().to_string(), text);
            let json = yaml::read(source, &sources).documents[0].to_json();
            let wrong: Vec<String> = schema.iter_errors(&json).map(|e| e.to_string()).collect();
            assert_eq!(wrong.is_empty(), good, "{}: {wrong:?}", path.display());
        }
    }
    assert_eq!(blueprints.len(), 5);
}

/// `explain` says of every field what it is for.
#[test]
fn every_field_has_a_sentence() {
    let mut silent = Vec::new();
    for (path, text) in generated() {
        if path.starts_with("schemas/") {
            let schema: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            fields_without_a_word(&schema, &path, &mut silent);
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

fn fields_without_a_word(schema: &serde_json::Value, path: &str, silent: &mut Vec<String>) {
    match schema {
        serde_json::Value::Object(entries) => {
            let properties = entries.get("properties").and_then(|it| it.as_object());
            for (name, field) in properties.into_iter().flatten() {
                let about = field["description"].as_str().unwrap_or_default();
                if about.trim().is_empty() {
                    silent.push(format!("{path}: {name}"));
                }
            }
            for (key, inner) in entries {
                fields_without_a_word(inner, &format!("{path}/{key}"), silent);
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                fields_without_a_word(item, path, silent);
            }
        }
        _ => {}
    }
}
