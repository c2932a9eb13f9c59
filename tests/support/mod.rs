//! Runs the program as its user would, for stories: a folder with an `args` file, whatever the run
//! reads, `env` if it needs variables, and the reviewed `output.snap`. A new story is a new folder.
//!
//! Where a story's objects are mostly those of another one, a file `differs-from` names that story, and the reviewed
//! output has the differences. Further lines, `old => new`, are names that the other story has and this one
//! replaces.

pub(crate) mod difference;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use difference::Object;

/// Runs the program in a folder.
pub(crate) fn run(folder: &Path, arguments: &[String]) -> Output {
    let variables = fs::read_to_string(folder.join("env")).unwrap_or_default();
    Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .current_dir(folder)
        .args(arguments)
        .envs(variables.lines().filter_map(|line| line.split_once('=')))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

fn arguments(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("args")).expect("args are text");
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Runs the story whose `args` file this is, and holds its output against the reviewed one.
pub(crate) fn check_output(args: &Path) {
    let folder = args.parent().expect("a story is a folder");
    let arguments = arguments(folder);
    let output = run(folder, &arguments);
    let printed = String::from_utf8_lossy(&output.stdout);
    let printed = match Base::of(folder) {
        None => format!("-- standard output --\n{printed}"),
        Some(base) => {
            let printed_by_base = run(&base.folder, &self::arguments(&base.folder)).stdout;
            let objects = base.objects(&String::from_utf8(printed_by_base).expect("text"));
            let difference = difference::difference(&objects, &self::objects(&printed));
            // The base is held by its own reviewed output, and both together say the whole.
            let texts = difference::restore(&objects, &difference);
            let whole = format!("---\n{}", texts.join("---\n"));
            assert_eq!(whole, printed, "the base and the difference are not the output");
            let (name, names) = (base.name(), base.heading());
            format!("-- standard output, against {name} --\n{names}{difference}")
        }
    };
    let output_text = format!(
        "exit code: {}\n\n-- standard error --\n{}\n{printed}",
        output.status.code().map_or("none".to_owned(), |code| code.to_string()),
        String::from_utf8_lossy(&output.stderr),
    );
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.remove_snapshot_suffix();
    settings.remove_input_file();
    settings.set_description(format!("pso-gen {}", arguments.join(" ")));
    settings.bind(|| insta::assert_snapshot!("output", output_text));
}

/// The story that another one is compared with.
struct Base {
    folder: PathBuf,
    /// What the base calls otherwise.
    names: Vec<(String, String)>,
}

impl Base {
    fn of(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join("differs-from")).ok()?;
        let mut lines = text.lines();
        let name = lines.next().expect("the name of a story");
        let folder = folder.parent().expect("a folder of stories").join(name);
        assert!(!folder.join("differs-from").exists(), "{name} is a difference itself");
        let names = lines.map(|line| line.split_once(" => ").expect("old => new"));
        let names = names.map(|(old, new)| (old.to_owned(), new.to_owned())).collect();
        Some(Self { folder, names })
    }

    fn name(&self) -> &str {
        self.folder.file_name().and_then(|name| name.to_str()).expect("a word")
    }

    fn heading(&self) -> String {
        let lines = self.names.iter().map(|(old, new)| format!("`{old}` reads `{new}`\n"));
        lines.chain(["\n".to_owned()]).collect()
    }

    /// Returns its objects with the names of the other story.
    fn objects(&self, printed: &str) -> Vec<Object> {
        let mut text = printed.to_owned();
        for (old, new) in &self.names {
            text = renamed(&text, old, new);
        }
        objects(&text)
    }
}

/// Replaces a name where it stands by itself, or with a dash, slash or dot beside it.
fn renamed(text: &str, old: &str, new: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(old) {
        let (before, behind) = (&rest[..at], &rest[at + old.len()..]);
        out.push_str(before);
        let inside =
            out.ends_with(char::is_alphanumeric) || behind.starts_with(char::is_alphanumeric);
        out.push_str(if inside { old } else { new });
        rest = behind;
    }
    out + rest
}

/// Takes a stream of objects apart.
fn objects(printed: &str) -> Vec<Object> {
    let stream = printed.strip_prefix("---\n").expect("a stream of objects");
    assert!(stream.ends_with('\n') && !stream.ends_with("\n\n"), "one line end at the end");
    let mut texts = vec![String::new()];
    for line in stream.split_inclusive('\n') {
        match (line, texts.last_mut()) {
            ("---\n", _) | (_, None) => texts.push(String::new()),
            (line, Some(last)) => last.push_str(line),
        }
    }
    texts.into_iter().map(|text| (identity(&text), text)).collect()
}

fn identity(text: &str) -> String {
    let object: Value = serde_yaml::from_str(text).expect("YAML");
    let word = |at: &str| object.pointer(at).and_then(Value::as_str);
    let (kind, name) = (word("/kind").expect("a kind"), word("/metadata/name").expect("a name"));
    let namespace = word("/metadata/namespace");
    namespace.map_or(format!("{kind} {name}"), |namespace| format!("{kind} {name} in {namespace}"))
}
