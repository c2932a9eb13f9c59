//! What the program prints and how it ends, story by story, as a user would see it.

use std::fs;
use std::path::{Path, PathBuf};

mod support;

#[test]
fn stories_print_what_was_reviewed() {
    insta::glob!("stories", "*/args", support::check_output);
}

#[test]
fn every_example_has_a_story() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all_args = String::new();
    for story in fs::read_dir(root.join("tests/stories")).expect("there are stories") {
        let args = story.expect("a story").path().join("args");
        all_args.push_str(&fs::read_to_string(args).expect("args are text"));
    }
    for file in app_files(&root.join("examples")) {
        let path = file.strip_prefix(root).expect("inside").display().to_string();
        let folder = Path::new(&path).parent().expect("a folder").display().to_string();
        let mentioned =
            |word: &str| all_args.lines().any(|line| line == format!("../../../{word}"));
        assert!(mentioned(&path) || mentioned(&folder), "no story renders {path}");
    }
}

fn app_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(app_files(&path));
        } else if path.to_string_lossy().ends_with(".pso.yaml") {
            files.push(path);
        }
    }
    files
}
