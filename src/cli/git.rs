//! Earlier output: from a folder, or from Git by its own command.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Trouble;
use super::files::shown;
use super::input::InputArgs;
use super::session::Session;
use crate::diagnostic::{Diagnostic, Sources};
use crate::manifest::{Earlier, read_stream};
use crate::yaml;

/// Returns the objects of an earlier output: a folder or file of output, a revision whose app files
/// are rendered by this version of the program, or `REVISION:FOLDER` with output in Git.
pub(super) fn earlier(
    since: &str,
    input: &InputArgs,
    sources: &Sources,
) -> Result<Result<Vec<Earlier>, Diagnostic>, Trouble> {
    let path = Path::new(since);
    if path.exists() {
        return read_output(path, sources);
    }
    if let Some((revision, folder)) = since.split_once(':') {
        let checkout = checkout(revision, &[PathBuf::from(folder)])?;
        let there = checkout.path().join(below_top(Path::new(folder))?);
        if !there.exists() {
            return Err(Trouble::Usage(format!("`{revision}` has no `{folder}`")));
        }
        return read_output(&there, sources);
    }
    if !is_revision(since) {
        return Err(Trouble::Usage(format!(
            "`{since}` is neither a file or folder nor a Git revision"
        )));
    }
    rendered_at(since, input).map(Ok)
}

/// Reads all YAML files below a path.
fn read_output(
    path: &Path,
    sources: &Sources,
) -> Result<Result<Vec<Earlier>, Diagnostic>, Trouble> {
    let mut files = Vec::new();
    gather(path, &mut files)?;
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let bytes =
            fs::read(&file).map_err(|source| Trouble::Read { path: shown(&file), source })?;
        let read = yaml::decode(&shown(&file), bytes, sources)
            .and_then(|source| read_stream(source, sources));
        match read {
            Ok(objects) => all.extend(objects),
            Err(diagnostic) => return Ok(Err(diagnostic)),
        }
    }
    if all.is_empty() {
        let path = shown(path);
        return Err(Trouble::Usage(format!("`{path}` holds no output to compare with")));
    }
    Ok(Ok(all))
}

fn gather(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Trouble> {
    let failed = |source| Trouble::Read { path: shown(path), source };
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if path.is_dir() || is_yaml {
            gather(&path, files)?;
        }
    }
    Ok(())
}

/// Renders the app files of a revision, with its blueprints and layers, by this program.
fn rendered_at(revision: &str, input: &InputArgs) -> Result<Vec<Earlier>, Trouble> {
    let mut wanted: Vec<PathBuf> = input.paths.clone();
    wanted.extend(input.layers.iter().chain(&input.blueprints).chain(&input.storage).cloned());
    // Blueprints stand beside files that are named, too.
    wanted.extend(
        input
            .paths
            .iter()
            .filter(|path| path.is_file())
            .filter_map(|path| path.parent().map(|folder| folder.join("blueprints"))),
    );
    let checkout = checkout(revision, &wanted)?;
    let there = |paths: &[PathBuf]| -> Result<Vec<PathBuf>, Trouble> {
        let mut out = Vec::new();
        for path in paths {
            let path = checkout.path().join(below_top(path)?);
            if path.exists() {
                out.push(path);
            }
        }
        Ok(out)
    };
    let then = InputArgs {
        paths: there(&input.paths)?,
        layers: there(&input.layers)?,
        blueprints: there(&input.blueprints)?,
        storage: there(&input.storage)?,
        ..input.clone()
    };
    if then.paths.is_empty() {
        return Ok(Vec::new());
    }
    let (summary, _, kept) = super::diff::collect(Session::open(&then)?)?;
    super::diff::objects(&kept, &summary)
}

/// Runs git in a folder, with a text on its standard input.
fn git(
    folder: &Path,
    arguments: &[&str],
    index: Option<&Path>,
    input: &str,
) -> Result<String, Trouble> {
    let failed = |error: std::io::Error| Trouble::Git(error.to_string());
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments);
    if let Some(index) = index {
        command.env("GIT_INDEX_FILE", index);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A git that has failed reads no more; what it says then is what counts.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Trouble::Git(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn top() -> Result<PathBuf, Trouble> {
    let top = git(Path::new("."), &["rev-parse", "--show-toplevel"], None, "")?;
    Ok(PathBuf::from(top.trim_end_matches(['\r', '\n'])))
}

fn is_revision(word: &str) -> bool {
    let commit = format!("{word}^{{commit}}");
    let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
    git(Path::new("."), &arguments, None, "").is_ok()
}

/// Puts the files of a revision below some paths into a folder of their own. The work tree and the
/// index of the repository stay as they are.
fn checkout(revision: &str, paths: &[PathBuf]) -> Result<tempfile::TempDir, Trouble> {
    let folder = tempfile::tempdir()
        .map_err(|source| Trouble::Write { path: "a temporary folder".to_owned(), source })?;
    let top = top()?;
    let index = folder.path().join(".index");
    git(&top, &["read-tree", "--end-of-options", revision], Some(&index), "")?;
    let mut arguments = vec!["ls-files".to_owned(), "-z".to_owned(), "--".to_owned()];
    for path in paths {
        arguments.push(format!(":(top,literal){}", below_top(path)?.display()));
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let listed = git(&top, &arguments, Some(&index), "")?;
    let prefix = format!("--prefix={}/", folder.path().display());
    let arguments = ["checkout-index", "--force", "-z", "--stdin", &prefix];
    git(&top, &arguments, Some(&index), &listed)?;
    Ok(folder)
}

/// A path seen from the top of the repository. It may not exist any more.
fn below_top(path: &Path) -> Result<PathBuf, Trouble> {
    let failed = |source| Trouble::Read { path: path.display().to_string(), source };
    let top = top()?;
    let absolute = std::path::absolute(path).map_err(failed)?;
    let here = fs::canonicalize(&absolute).unwrap_or(absolute);
    let below = here.strip_prefix(fs::canonicalize(&top).unwrap_or(top));
    below
        .map(Path::to_path_buf)
        .map_err(|_| Trouble::Usage(format!("{} is outside the repository", path.display())))
}
