//! Words of a repository on their way to a terminal: names of files, values, lines that are quoted, and what a
//! blueprint says of itself. None steers what shows it, and none is taken for a line of ours.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use pso_gen::sanitize;

/// Clears a screen by either set of controls, turns the direction of reading, and forges a line.
const HOSTILE: &str = "x\u{1b}[2J\u{9b}2J\u{202e}\u{2066}\u{85}error: forged";
/// The same as YAML has it between quotes, with an end of a line.
const ESCAPED: &str = r#""x\e[2J\x9b2J\u202e\u2066\x85\nerror: forged""#;

/// Runs the program in a folder. Returns all that a terminal would show.
fn shown(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("starts");
    let text = [output.stderr, output.stdout].concat();
    String::from_utf8(text).expect("text")
}

#[test]
fn no_words_of_a_repository_steer_a_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    };
    write(
        "blueprints/words/blueprint.yaml",
        format!(
            "blueprint: Words\nabout: {ESCAPED}\n\
             parameters:\n  word: {{type: string, about: {ESCAPED}, default: {ESCAPED}}}\n\
             components:\n  web:\n    image: registry.example.com/web:1.0.0\n    user: 1000\n    ports: {{http: 8080}}\n"
        ),
    );
    let app = |spec: &str| {
        format!(
            "apiVersion: pso-gen.io/v1alpha1\nkind: Scratch\nmetadata: {{name: s, namespace: apps}}\n\
             spec: {spec} # \u{202e}\u{2066}error\n"
        )
    };
    write("value.pso.yaml", app(&format!("{{replicas: {ESCAPED}}}")));
    write("field.pso.yaml", app(&format!("{{{ESCAPED}: 1}}")));
    write("ended.pso.yaml", app(&format!("{{expires: {}}}", ESCAPED.replacen('x', "0", 1))));
    write("size.pso.yaml", app(&format!("{{size: {ESCAPED}}}")));
    write(
        "kind.pso.yaml",
        format!("apiVersion: pso-gen.io/v1alpha1\nkind: {ESCAPED}\nmetadata: {{name: s}}\n"),
    );
    write(
        "name.pso.yaml",
        format!("apiVersion: pso-gen.io/v1alpha1\nkind: Scratch\nmetadata: {{name: {ESCAPED}}}\n"),
    );
    write("syntax.pso.yaml", format!("a: [{HOSTILE}\n"));
    write(&format!("{HOSTILE}.pso.yaml"), app("{replicas: none}"));
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["explain", "--blueprints", "blueprints"],
        vec!["explain", "words", "--blueprints", "blueprints"],
        vec!["explain", "words.word", "--blueprints", "blueprints"],
        vec!["explain", HOSTILE],
        vec!["schema", "Words", "--blueprints", "blueprints"],
        vec!["graph", "."],
        vec!["expired", "."],
        vec!["render", ".", "--set", HOSTILE],
        vec![HOSTILE],
    ];
    for format in ["human", "json", "sarif"] {
        commands.push(vec!["validate", ".", "--format", format]);
    }
    let mut all = String::new();
    for command in commands {
        let text = shown(folder, &command);
        assert!(!text.is_empty(), "{command:?}");
        for c in text.chars() {
            assert!(
                matches!(c, '\n' | '\t') || !sanitize::steers(c),
                "{command:?}: {c:?} in {text:?}"
            );
        }
        let forged = text.lines().filter(|line| line.starts_with("error: forged"));
        assert_eq!(forged.count(), 0, "{command:?}: {text}");
        all += &text;
    }
    // It has been there.
    for words in ["x\u{fffd}[2J", "forged", "KIND:     Words", "\\u001b[2J"] {
        assert!(all.contains(words), "{words}: {all}");
    }
}
