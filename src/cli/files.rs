//! Which files a run reads: app files in folders, and blueprints beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::WalkBuilder;

use super::Trouble;
use crate::blueprint::Folder;
use crate::yaml;

/// Name of the folder that holds blueprints beside apps.
const BLUEPRINTS: &str = "blueprints";
/// Name of the folder that holds parts of blueprints.
const PARTS: &str = "parts";
/// Largest file of a blueprint, in bytes: what fits into a ConfigMap.
const MAX_FILE: u64 = 1 << 20;
/// Largest folder of blueprints, in bytes, all files together.
const MAX_FOLDER: u64 = 32 << 20;

/// Where texts are read from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Input {
    /// How it is named to people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Stdin => "<stdin>".to_owned(),
            Self::File(path) => shown(path),
        }
    }

    /// How many bytes it has, by what the file system says.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Stdin => 0,
            Self::File(path) => fs::metadata(path).map_or(0, |metadata| metadata.len()),
        }
    }

    /// Reads all of it.
    pub(super) fn read(&self) -> Result<Vec<u8>, Trouble> {
        let result = match self {
            Self::Stdin => {
                let mut bytes = Vec::new();
                most(io::stdin().lock()).read_to_end(&mut bytes).map(|_| bytes)
            }
            Self::File(path) => fs::File::open(path).and_then(|file| {
                let mut bytes = Vec::new();
                most(file).read_to_end(&mut bytes).map(|_| bytes)
            }),
        };
        result.map_err(|source| Trouble::Read { path: self.name(), source })
    }
}

/// As much of a file as is looked at, and one byte more, which makes it too large.
fn most(file: impl Read) -> impl Read {
    file.take(yaml::MAX_BYTES as u64 + 1)
}

/// Returns a day, or the present one, as `2026-12-24`: in UTC like everything else here.
pub(super) fn day(today: Option<jiff::civil::Date>) -> String {
    let now = || jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    today.unwrap_or_else(now).to_string()
}

/// A path as people would write it, without what would steer the terminal that shows it.
pub(super) fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let text = text.strip_prefix("./").unwrap_or(&text);
    crate::plain::name(text)
}

/// What was found under the paths that somebody gave.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// App and storage files, sorted.
    pub(super) inputs: Vec<Input>,
    /// Folders called `blueprints`.
    pub(super) blueprints: Vec<PathBuf>,
}

/// Whether a file called like ours may be left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Ignored {
    /// Those that `.gitignore` names, as on a laptop.
    #[default]
    ByGit,
    /// None: the folder holds what is in Git, where a file called `.gitignore` may be anything.
    None,
}

/// Looks for files: those that are named, and in folders those called `*.pso.yaml` or `pso.yaml`.
/// Links are not followed, hidden and git-ignored files are left out.
pub(super) fn find(paths: &[PathBuf], ignored: Ignored) -> Result<Found, Trouble> {
    let mut found = Found::default();
    for path in paths {
        if path.as_os_str() == "-" {
            found.inputs.push(Input::Stdin);
            continue;
        }
        let metadata =
            fs::metadata(path).map_err(|source| Trouble::Read { path: shown(path), source })?;
        if metadata.is_dir() {
            walk(path, ignored, &mut found)?;
        } else {
            found.inputs.push(Input::File(path.clone()));
            found.blueprints.extend(beside(path));
        }
    }
    found.inputs.sort();
    // One file by two names, `apps` and `./apps`, is one file.
    let mut seen = BTreeSet::new();
    found.inputs.retain(|input| match input {
        Input::Stdin => seen.insert(PathBuf::from("-")),
        Input::File(path) => seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())),
    });
    found.blueprints.sort();
    found.blueprints.dedup();
    Ok(found)
}

fn beside(file: &Path) -> Option<PathBuf> {
    let folder = file.parent()?.join(BLUEPRINTS);
    folder.is_dir().then_some(folder)
}

fn walk(root: &Path, ignored: Ignored, found: &mut Found) -> Result<(), Trouble> {
    let walk = WalkBuilder::new(root)
        .parents(false)
        .ignore(false)
        .git_ignore(ignored == Ignored::ByGit)
        .git_global(false)
        .git_exclude(false)
        .require_git(false)
        .follow_links(false)
        .filter_entry(|entry| {
            let inside = entry.path().parent().and_then(Path::file_name);
            inside.is_none_or(|name| name != BLUEPRINTS) || entry.depth() < 2
        })
        .build();
    for entry in walk {
        let entry = entry.map_err(|error| Trouble::Read {
            path: shown(root),
            source: error
                .into_io_error()
                .unwrap_or_else(|| io::Error::other("cannot walk the folder")),
        })?;
        let name = entry.file_name().to_string_lossy();
        let kind = entry.file_type();
        if kind.is_some_and(|kind| kind.is_dir()) {
            if name == BLUEPRINTS && entry.depth() > 0 {
                found.blueprints.push(entry.into_path());
            }
        } else if kind.is_some_and(|kind| kind.is_file()) && is_ours(&name) {
            found.inputs.push(Input::File(entry.into_path()));
        } else if is_ours(&name) {
            // Left out without a word, the app would be pruned.
            let path = shown(entry.path());
            return Err(Trouble::Usage(match kind {
                Some(kind) if kind.is_symlink() => format!(
                    "{path} is a link; put the file itself there, since links are not followed"
                ),
                _ => format!("{path} is no file; put a file there, or give it another name"),
            }));
        }
    }
    Ok(())
}

fn is_ours(name: &str) -> bool {
    ["pso.yaml", "pso.yml"].iter().any(|ours| {
        name.strip_suffix(ours).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// Reads the blueprints in a folder: the folder itself, those in it, parts, a catalogue.
pub(super) fn read_blueprints(folder: &Path) -> Result<Vec<Folder>, Trouble> {
    let mut left = MAX_FOLDER;
    let mut folders = vec![read_folder(folder, &mut left)?];
    for inner in subfolders(folder)? {
        if inner.file_name().is_some_and(|name| name == PARTS) {
            for part in subfolders(&inner)? {
                folders.push(read_folder(&part, &mut left)?);
            }
        } else {
            folders.push(read_folder(&inner, &mut left)?);
        }
    }
    folders.retain(|folder| !folder.files.is_empty());
    Ok(folders)
}

fn subfolders(folder: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let failed = |source| Trouble::Read { path: shown(folder), source };
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

/// Reads the text files of one folder; what is not text cannot be mounted from a blueprint. `left` is
/// how many bytes may be read yet.
fn read_folder(folder: &Path, left: &mut u64) -> Result<Folder, Trouble> {
    let failed = |source| Trouble::Read { path: shown(folder), source };
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let metadata = entry.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            continue;
        }
        *left = left.checked_sub(metadata.len()).ok_or_else(|| {
            let folder = shown(folder);
            Trouble::Usage(format!("{folder}: blueprints of more than {MAX_FOLDER} bytes"))
        })?;
        let bytes = fs::read(entry.path()).map_err(failed)?;
        if let (Ok(text), Ok(name)) = (String::from_utf8(bytes), entry.file_name().into_string()) {
            files.insert(name, Arc::from(text));
        }
    }
    Ok(Folder { name: shown(folder), files })
}
