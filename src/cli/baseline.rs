//! Reads the baseline of a comparison: output in a folder or in Git, or the app files of a Git revision, rendered by this
//! program.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::error::Expected;
use super::git::{below_top, checkout, commit};
use super::input_args::InputArgs;
use super::input_files;
use super::path_text::shown;
use super::rendered;
use super::request::Request;
use super::{CommandError, symlinks};
use crate::compiler::diagnostic::{Code, Diagnostic, Sources};
use crate::compiler::manifest::{Earlier, read_stream};
use crate::compiler::run::Side;
use crate::compiler::yaml;
use crate::contract::API_GROUP;
use crate::sanitize;

/// The baseline of a comparison.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    /// Its objects.
    pub(super) objects: Vec<Earlier>,
    /// The missing parts, each with its reason. With an error, no comparison is possible.
    pub(super) missing: Vec<Diagnostic>,
}

/// Reads a baseline: a folder or file of output, a revision whose app files are rendered by this
/// version of the program, or `REVISION:FOLDER` with output in Git. `settings` are those of a revision's apps.
pub(super) fn read(
    since: &str,
    input: &InputArgs,
    settings: &[String],
    sources: &Sources,
) -> Result<Baseline, CommandError> {
    let path = Path::new(since);
    if path.exists() {
        return read_output(path, since, sources);
    }
    if let Some((revision, folder)) = since.split_once(':') {
        let commit = commit(revision)?.ok_or_else(|| no_revision(revision))?;
        let checkout = checkout(&commit, &[PathBuf::from(folder)])?;
        let there = checkout.path().join(below_top(Path::new(folder))?);
        if !there.exists() {
            return Err(CommandError::NoFolderInRevision {
                revision: sanitize::name(revision),
                folder: sanitize::name(folder),
            });
        }
        return read_output(&there, since, sources);
    }
    let Some(commit) = commit(since)? else {
        return Err(CommandError::UnknownBaseline { name: sanitize::name(since) });
    };
    rendered_at(&commit, since, input, settings)
}

fn no_revision(word: &str) -> CommandError {
    CommandError::UnknownRevision { name: sanitize::name(word) }
}

/// Reads all YAML files below a path. `word` is its name in errors.
fn read_output(path: &Path, word: &str, sources: &Sources) -> Result<Baseline, CommandError> {
    let mut paths = Vec::new();
    gather(path, &mut paths)?;
    paths.sort();
    let mut all = Vec::new();
    // An app file or storage document.
    let mut input = None;
    for file in paths {
        let mut bytes = Vec::new();
        // The parser refuses longer files.
        let opened = symlinks::open(&file)?.take(yaml::MAX_BYTES as u64 + 1);
        input_files::read_to_end(opened, &mut bytes)
            .map_err(|source| CommandError::Read { path: shown(&file), source })?;
        let read = yaml::decode(&shown(&file), bytes, sources)
            .and_then(|source| read_stream(source, sources));
        match read {
            Ok(objects) => {
                let is_input = |object: &Earlier| object.identity.group == API_GROUP;
                if objects.iter().any(is_input) {
                    input.get_or_insert(file);
                }
                all.extend(objects.into_iter().filter(|object| !is_input(object)));
            }
            Err(error) => return Ok(Baseline { objects: Vec::new(), missing: vec![error] }),
        }
    }
    let name = sanitize::name(word);
    match input {
        Some(file) if !all.iter().any(Earlier::is_ours) => {
            let file = shown(file.strip_prefix(path).unwrap_or(&file));
            Err(CommandError::AppFilesAsBaseline { name, file })
        }
        _ if all.is_empty() => Err(CommandError::EmptyBaseline { name }),
        _ => Ok(Baseline { objects: all, missing: Vec::new() }),
    }
}

/// Lists YAML files: the named one, or those below a folder. Links in folders are not followed.
fn gather(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), CommandError> {
    let failed = |source| CommandError::Read { path: shown(path), source };
    let real = symlinks::checked(path)?;
    if !real.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        let is_yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if kind.is_dir() {
            gather(&path, files)?;
        } else if kind.is_file() && is_yaml {
            files.push(path);
        } else if is_yaml {
            // If it were left out silently, its objects would count as new.
            let path = shown(&path);
            return Err(if kind.is_symlink() {
                CommandError::Link { path, expected: Expected::File }
            } else {
                CommandError::NotAFile { path }
            });
        }
    }
    Ok(())
}

/// Renders the app files of a revision, with its blueprints, layers and storage documents, by this program.
fn rendered_at(
    commit: &str,
    word: &str,
    input: &InputArgs,
    settings: &[String],
) -> Result<Baseline, CommandError> {
    let mut wanted: Vec<PathBuf> = input.paths.clone();
    wanted.extend(input.layers.iter().chain(&input.blueprints).chain(&input.storage).cloned());
    // Folders with blueprints beside named files count too.
    wanted.extend(
        input
            .paths
            .iter()
            .filter(|path| path.is_file())
            .filter_map(|path| path.parent().map(|folder| folder.join("blueprints"))),
    );
    let checkout = checkout(commit, &wanted)?;
    let there = |paths: &[PathBuf]| -> Result<Vec<PathBuf>, CommandError> {
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
        settings: settings.to_vec(),
        side: Side::Earlier,
        ..input.clone()
    };
    let revision = Revision { word, folder: checkout.path() };
    if then.paths.is_empty() {
        let message =
            format!("`{word}` has none of the files and folders; all objects count as new");
        let missing = vec![Diagnostic::new(Code::NotCompared, None, message)];
        return Ok(Baseline { objects: Vec::new(), missing });
    }
    let collected = Request::read(&then).and_then(rendered::collect);
    let (summary, sources, apps) =
        collected.map_err(|error| error.with_path(|path| revision.named(path)))?;
    let mut missing = revision.missing(&summary.diagnostics, &sources);
    let objects = rendered::objects(&apps, &summary)?;
    if objects.is_empty() && !missing.is_empty() {
        let message = format!("nothing of `{word}` renders, so there is nothing to compare with");
        missing.push(
            Diagnostic::new(Code::BadEarlier, None, message)
                .fix("compare with a revision in which the apps render, or with their output"),
        );
    }
    Ok(Baseline { objects, missing })
}

/// A revision, and the temporary folder with its files.
struct Revision<'r> {
    word: &'r str,
    folder: &'r Path,
}

impl Revision<'_> {
    /// Replaces the temporary folder in a text by the revision.
    fn named(&self, text: &str) -> String {
        let folder = shown(self.folder);
        text.replace(&format!("{folder}/"), &format!("{}:", self.word)).replace(&folder, self.word)
    }

    /// Returns a diagnostic for each file that did not render, with its first error and the number of errors.
    fn missing(&self, diagnostics: &[Diagnostic], sources: &Sources) -> Vec<Diagnostic> {
        let mut files: BTreeMap<String, Vec<&Diagnostic>> = BTreeMap::new();
        for error in diagnostics.iter().filter(|diagnostic| diagnostic.is_error()) {
            let name = error.place.map(|place| sources.get(place.source).name.clone());
            files.entry(name.unwrap_or_default()).or_default().push(error);
        }
        let diagnostic = |(name, errors): (&String, &Vec<&Diagnostic>)| {
            let first = errors.first()?;
            let line = first.place.map(|place| format!(":{}", place.line)).unwrap_or_default();
            let at = if name.is_empty() { format!("`{}`", self.word) } else { self.named(name) };
            let field =
                if first.path.is_empty() { String::new() } else { format!("{}: ", first.path) };
            let more = match errors.len() {
                1 => String::new(),
                number => format!(" (and {} more)", number - 1),
            };
            let cause = self.named(&first.message);
            let message =
                format!("{at}{line} does not render and is not compared: {field}{cause}{more}");
            Some(Diagnostic::new(Code::NotCompared, None, message).fix(
                "compare with a revision in which it renders; `--set-earlier` gives a value that its file lacks",
            ))
        };
        files.iter().filter_map(diagnostic).collect()
    }
}
