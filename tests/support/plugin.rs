//! The plugin as Argo CD's sidecar runs it: the commands of `plugin.yaml` in an application's folder, with
//! everything in the environment.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const NEXTCLOUD: &str = "apiVersion: pso-gen.io/v1alpha1
kind: NextCloud
metadata: {name: nc}
spec:
  host: cloud.example.com
";
pub(crate) const SCRATCH: &str = "apiVersion: pso-gen.io/v1alpha1
kind: Scratch
metadata: {name: s}
";

/// Makes a repository; keys are paths below it.
pub(crate) fn repository(files: &[(&str, &str)]) -> TempDir {
    let top = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = top.path().join("repository").join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }
    top
}

/// Runs a command of the plugin for the application at a path, as Argo CD 3.5 does.
pub(crate) fn plugin(top: &TempDir, path: &str, command: &str, more: &[(&str, &str)]) -> Output {
    let words = words_of(command);
    let (program, arguments) = words.split_first().expect("a command");
    assert_eq!(program, "pso-gen");
    Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .args(arguments)
        .current_dir(top.path().join("repository").join(path))
        .env_clear()
        // Of its own, as in a sidecar: commands of one sidecar share its memory.
        .env("TMPDIR", top.path())
        .env("ARGOCD_APP_NAME", "demo")
        .env("ARGOCD_APP_NAMESPACE", "team")
        .env("ARGOCD_APP_SOURCE_PATH", path)
        .env("ARGOCD_APP_PARAMETERS", "null")
        .envs(more.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("starts")
}

/// The words of a command, from the file that is shipped.
pub(crate) fn words_of(command: &str) -> Vec<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/plugin.yaml");
    let plugin: Value =
        serde_yaml::from_str(&fs::read_to_string(file).expect("there")).expect("YAML");
    let words = plugin.pointer(command).unwrap_or_else(|| panic!("{command}"));
    serde_json::from_value(words.clone()).expect("words")
}

pub(crate) fn generate(top: &TempDir, path: &str, more: &[(&str, &str)]) -> Output {
    plugin(top, path, "/spec/generate/command", more)
}

pub(crate) fn with(top: &TempDir, path: &str, parameters: &Value) -> Output {
    generate(top, path, &[("ARGOCD_APP_PARAMETERS", &parameters.to_string())])
}

/// The objects that were printed, by kind and name.
#[track_caller]
pub(crate) fn objects(output: &Output) -> BTreeMap<String, Value> {
    assert!(output.status.success(), "{}", words(output));
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    let documents: Vec<Value> = serde_yaml::from_multiple(&text).expect("YAML");
    let documents = documents.into_iter().map(|object| {
        let word =
            |at: &str| object.pointer(at).and_then(Value::as_str).expect("a word").to_owned();
        (format!("{}/{}", word("/kind"), word("/metadata/name")), object)
    });
    let objects: BTreeMap<_, _> = documents.collect();
    assert!(!objects.is_empty());
    objects
}

pub(crate) fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What it prints when it fails: never with output beside it, never more than a screen.
#[track_caller]
pub(crate) fn refused(output: &Output) -> String {
    assert!(matches!(output.status.code(), Some(1 | 2)), "{:?}: {}", output.status, words(output));
    assert_eq!(output.stdout, b"", "output beside an error");
    let text = words(output);
    assert!(!text.is_empty());
    assert!(text.lines().count() <= 10 && text.len() < 8_000, "more than a screen:\n{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}
