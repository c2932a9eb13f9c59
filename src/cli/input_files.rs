//! Finds the files of a run: app files in folders, and the blueprints beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::WalkBuilder;
use jiff::civil::Date;

use super::confined_folder::ConfinedFolder;
use super::error::Expected;
use super::path_text::shown;
use super::{CommandError, symlinks};
use crate::compiler::blueprint::Folder;
use crate::compiler::yaml;

/// Name of the folder that holds blueprints beside apps.
const BLUEPRINTS: &str = "blueprints";
/// Name of the file that lists the files ignored by Git.
const IGNORE: &str = ".gitignore";
/// Name of the folder that holds parts of blueprints.
const PARTS: &str = "parts";
/// Largest file of a blueprint, in bytes, which fits into a ConfigMap.
const MAX_FILE: u64 = 1 << 20;
/// Largest folder of blueprints, in bytes, as the sum of all files.
const MAX_FOLDER: u64 = 32 << 20;

/// Source of a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Input {
    /// Standard input.
    Stdin,
    /// A file that the user has named.
    File(PathBuf),
    /// A file that was found below a folder.
    Found {
        /// Its path.
        path: PathBuf,
        /// The folder.
        root: PathBuf,
    },
}

impl Input {
    /// Returns its name for display.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Stdin => "<stdin>".to_owned(),
            Self::File(path) | Self::Found { path, .. } => shown(path),
        }
    }

    /// Returns its path, if it has one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::File(path) | Self::Found { path, .. } => Some(path),
        }
    }

    /// Returns its size in bytes, according to the file system.
    pub(super) fn size(&self) -> u64 {
        let metadata = self.path().and_then(|path| fs::metadata(path).ok());
        metadata.map_or(0, |metadata| metadata.len())
    }

    /// Reads the whole input.
    pub(super) fn read(&self) -> Result<Vec<u8>, CommandError> {
        let mut bytes = Vec::new();
        let read = match self {
            Self::Stdin => most(io::stdin().lock()).read_to_end(&mut bytes),
            Self::File(path) => most(symlinks::open(path)?).read_to_end(&mut bytes),
            Self::Found { path, root } => {
                let below = path.strip_prefix(root).unwrap_or(path);
                let Some(file) = ConfinedFolder::open(root)?.file(below)? else {
                    return Err(CommandError::Replaced { path: shown(path) });
                };
                most(file).read_to_end(&mut bytes)
            }
        };
        read.map(|_| bytes).map_err(|source| CommandError::Read { path: self.name(), source })
    }

    /// Deletes the file.
    pub(super) fn delete(&self) -> Result<(), CommandError> {
        match self {
            Self::Stdin => Ok(()),
            Self::File(path) => fs::remove_file(path)
                .map_err(|source| CommandError::Write { path: self.name(), source }),
            Self::Found { path, root } => {
                ConfinedFolder::open(root)?.delete(path.strip_prefix(root).unwrap_or(path))
            }
        }
    }
}

/// Reads to the end of the limited part.
pub(super) fn read_to_end(mut file: impl Read, bytes: &mut Vec<u8>) -> io::Result<usize> {
    file.read_to_end(bytes)
}

/// Limits a file to the largest allowed size and one more byte, which shows that it is too large.
fn most(file: impl Read) -> impl Read {
    file.take(yaml::MAX_BYTES as u64 + 1)
}

/// Returns a date, or the present one in UTC.
pub(super) fn date(today: Option<Date>) -> Date {
    today.unwrap_or_else(|| jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date())
}

/// Returns a date, or the present one in UTC, as `2026-12-24`.
pub(super) fn day(today: Option<Date>) -> String {
    date(today).to_string()
}

/// The files that were found under the paths that the user has named.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// App and storage files, sorted.
    pub(super) inputs: Vec<Input>,
    /// Folders with the name `blueprints`.
    pub(super) blueprints: Vec<PathBuf>,
}

/// Whether to leave out ignored files with the name of an app file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Ignored {
    /// Leaves out files that `.gitignore` lists, as on a laptop.
    #[default]
    ByGit,
    /// Leaves out none: the folder contains Git's files, where a file named `.gitignore` may have any content.
    None,
}

/// Finds files: those that are named, and in folders those with the name `*.pso.yaml` or `pso.yaml`. Links are not
/// followed; hidden and git-ignored files are left out.
pub(super) fn find(paths: &[PathBuf], ignored: Ignored) -> Result<Found, CommandError> {
    let mut found = Found::default();
    for path in paths {
        if path.as_os_str() == "-" {
            found.inputs.push(Input::Stdin);
            continue;
        }
        let real = symlinks::checked(path)?;
        let metadata = fs::metadata(real)
            .map_err(|source| CommandError::Read { path: shown(path), source })?;
        if metadata.is_dir() {
            walk(path, ignored, &mut found)?;
        } else {
            found.inputs.push(Input::File(path.clone()));
            found.blueprints.extend(beside(path));
        }
    }
    found.inputs.sort_by(|a, b| a.path().cmp(&b.path()));
    // Two names of one file, `apps` and `./apps`, count as one file.
    let mut seen = BTreeSet::new();
    found.inputs.retain(|input| {
        let path = input.path().unwrap_or(Path::new("-"));
        seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
    });
    found.blueprints.sort();
    found.blueprints.dedup();
    Ok(found)
}

fn beside(file: &Path) -> Option<PathBuf> {
    let folder = file.parent()?.join(BLUEPRINTS);
    folder.is_dir().then_some(folder)
}

fn walk(root: &Path, ignored: Ignored, found: &mut Found) -> Result<(), CommandError> {
    // The walk opens files with this name itself, and would follow a link to an endless file.
    let strange = Arc::new(Mutex::new(None));
    let is_plain = {
        let strange = Arc::clone(&strange);
        move |folder: &Path| {
            let path = folder.join(IGNORE);
            let there = fs::symlink_metadata(&path);
            let plain = ignored == Ignored::None
                || there.map_or(true, |metadata| metadata.is_file() && metadata.len() <= MAX_FILE);
            if !plain {
                strange.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(path);
            }
            plain
        }
    };
    let mut walk = WalkBuilder::new(root);
    let is_plain_root = is_plain(root);
    walk.parents(false)
        .ignore(false)
        .git_ignore(ignored == Ignored::ByGit)
        .git_global(false)
        .git_exclude(false)
        .require_git(false)
        .follow_links(false)
        .filter_entry(move |entry| {
            let inside = entry.path().parent().and_then(Path::file_name);
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            (inside.is_none_or(|name| name != BLUEPRINTS) || entry.depth() < 2)
                && (!is_folder || is_plain(entry.path()))
        });
    for entry in is_plain_root.then(|| walk.build()).into_iter().flatten() {
        let entry = entry.map_err(|error| CommandError::Read {
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
            let (path, root) = (entry.into_path(), root.to_owned());
            found.inputs.push(Input::Found { path, root });
        } else if is_ours(&name) {
            // If it were left out silently, the app would be pruned.
            let path = shown(entry.path());
            return Err(match kind {
                Some(kind) if kind.is_symlink() => {
                    CommandError::Link { path, expected: Expected::File }
                }
                _ => CommandError::NotAFile { path },
            });
        }
    }
    match strange.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(path) => Err(CommandError::IgnoreFile { path: shown(&path) }),
        None => Ok(()),
    }
}

fn is_ours(name: &str) -> bool {
    ["pso.yaml", "pso.yml"].iter().any(|ours| {
        name.strip_suffix(ours).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// Reads the blueprints in a folder: the folder itself, its subfolders, parts, and a catalogue.
pub(super) fn read_blueprints(folder: &Path) -> Result<Vec<Folder>, CommandError> {
    symlinks::checked(folder)?;
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

fn subfolders(folder: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let failed = |source| CommandError::Read { path: shown(folder), source };
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

/// Reads the text files of one folder; a blueprint cannot mount other files. `left` is the number of bytes that may
/// still be read.
fn read_folder(folder: &Path, left: &mut u64) -> Result<Folder, CommandError> {
    let failed = |source| CommandError::Read { path: shown(folder), source };
    let below = ConfinedFolder::open(folder)?;
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let metadata = entry.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            continue;
        }
        let name = PathBuf::from(entry.file_name());
        let Some(bytes) = below.read(&name, MAX_FILE)? else { continue };
        *left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
            CommandError::LargeBlueprints { folder: shown(folder), limit: MAX_FOLDER }
        })?;
        if let (Ok(text), Ok(name)) = (String::from_utf8(bytes), entry.file_name().into_string()) {
            files.insert(name, Arc::from(text));
        }
    }
    Ok(Folder { name: shown(folder), files })
}
