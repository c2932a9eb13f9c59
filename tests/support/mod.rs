//! Runs the program as its user would, for stories: a folder with an `args` file, whatever the run
//! reads, `env` if it needs variables, and the reviewed `output.snap`. A new story is a new folder.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

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

/// Runs the story whose `args` file this is, and holds its output against the reviewed one.
pub(crate) fn tell(args: &Path) {
    let folder = args.parent().expect("a story is a folder");
    let text = fs::read_to_string(args).expect("args are text");
    let arguments: Vec<String> =
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let output = run(folder, &arguments);
    let told = format!(
        "exit code: {}\n\n-- standard error --\n{}\n-- standard output --\n{}",
        output.status.code().map_or("none".to_owned(), |code| code.to_string()),
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
    );
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.remove_snapshot_suffix();
    settings.remove_input_file();
    settings.set_description(format!("pso-gen {}", arguments.join(" ")));
    settings.bind(|| insta::assert_snapshot!("output", told));
}
