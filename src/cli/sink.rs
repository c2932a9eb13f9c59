//! Where manifests go: standard output, whole or not at all, or a folder of files.

use std::collections::BTreeSet;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::{SpooledData, SpooledTempFile};

use super::below::{Below, Waiting};
use super::files::shown;
use super::{Trouble, out};
use crate::blueprint::App;
use crate::compile::MANAGER;
use crate::diagnostic::Sources;
use crate::manifest::{self, Earlier, Object, read_stream};
use crate::yaml;

/// Output that stays in memory; beyond, it waits in an unnamed file.
const IN_MEMORY: usize = 8 << 20;
/// File with the list of files that we wrote, and may remove. It is JSON, and not called so: Argo CD takes every
/// `.json` of a folder for an object.
const INDEX: &str = ".pso-gen.index";
/// Most bytes of that list which are read: a million files.
const MAX_INDEX: u64 = 64 << 20;
/// Which label says that an object is ours.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Mode of what is written, before the user's mask.
const MODE: u32 = 0o666;

/// Standard output. Nothing is written before everything is known to be right.
#[derive(Debug)]
pub(super) struct Stream {
    held: SpooledTempFile,
    /// Bytes that it has taken, and most that it takes.
    taken: u64,
    most: u64,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self::at_most(u64::MAX)
    }

    /// A stream that takes no more than so many bytes.
    pub(super) fn at_most(bytes: u64) -> Self {
        Self { held: SpooledTempFile::new(IN_MEMORY), taken: 0, most: bytes }
    }

    /// Takes text for later.
    pub(super) fn take(&mut self, text: &str) -> Result<(), Trouble> {
        self.taken += text.len() as u64;
        if self.taken > self.most {
            let most = self.most >> 20;
            return Err(Trouble::TooMuch(format!("more than {most} MiB of manifests")));
        }
        self.held
            .write_all(text.as_bytes())
            .map_err(|source| Trouble::Write { path: "a temporary file".to_owned(), source })
    }

    /// Writes `first`, then everything that was taken.
    pub(super) fn finish(mut self, first: &str) -> Result<(), Trouble> {
        let mut stdout = io::stdout().lock();
        out::write(&mut stdout, first.as_bytes())?;
        let copied =
            self.held.seek(SeekFrom::Start(0)).and_then(|_| match self.held.into_inner() {
                // From a file, the kernel copies by itself.
                SpooledData::OnDisk(mut file) => io::copy(&mut file, &mut stdout).map(drop),
                SpooledData::InMemory(text) => stdout.write_all(text.get_ref()),
            });
        copied.and_then(|()| stdout.flush()).map_err(|source| out::lost("standard output", source))
    }
}

/// A file of the output folder.
#[derive(Debug)]
pub(super) struct OutFile {
    /// Path below the folder.
    pub(super) path: String,
    /// Its text.
    pub(super) text: String,
}

/// Returns an app's files: `namespace/app/kind-name.yaml`.
pub(super) fn app_files(app: &App, objects: &[Object]) -> Result<Vec<OutFile>, Trouble> {
    let folder = match &app.namespace {
        Some(namespace) => format!("{namespace}/{}", app.name),
        None => app.name.clone(),
    };
    objects.iter().map(|object| file(&folder, object)).collect()
}

/// Returns the file of one object in a folder.
pub(super) fn file(folder: &str, object: &Object) -> Result<OutFile, Trouble> {
    let mut text = String::new();
    manifest::write(&mut text, std::slice::from_ref(object))?;
    let name = file_name(object.type_meta().1, object.name());
    Ok(OutFile { path: format!("{folder}/{name}"), text })
}

fn file_name(kind: &str, name: &str) -> String {
    // Names of roles may hold a colon, which some file systems refuse.
    format!("{}-{}.yaml", kind.to_lowercase(), name.replace(':', "_"))
}

/// A folder: one file for each object, our own stale files removed, all other files left alone.
///
/// What lies below the folder is input: links there are never followed, and the index only says where an
/// earlier run may have written; a file goes when it is one of ours by its own words, too.
#[derive(Debug)]
pub(super) struct OutFolder {
    root: PathBuf,
    /// None where there is no folder to be compared with.
    folder: Option<Below>,
    /// Where files wait until everything is known to be right: on the same file system, so that
    /// they can be moved into place, each at once.
    waiting: Option<Waiting>,
    written: BTreeSet<String>,
    stale: Vec<String>,
}

/// The list of files that an earlier run wrote.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    files: BTreeSet<String>,
}

impl OutFolder {
    /// Opens a folder to be written to.
    pub(super) fn write_to(root: &Path) -> Result<Self, Trouble> {
        let folder = Below::made(root)?;
        let waiting = folder.waiting()?;
        Ok(Self {
            root: root.to_owned(),
            folder: Some(folder),
            waiting: Some(waiting),
            written: BTreeSet::new(),
            stale: Vec::new(),
        })
    }

    /// Opens a folder to be compared with.
    pub(super) fn compare_with(root: &Path) -> Result<Self, Trouble> {
        let folder = if root.exists() { Some(Below::open(root)?) } else { None };
        let (written, stale) = (BTreeSet::new(), Vec::new());
        Ok(Self { root: root.to_owned(), folder, waiting: None, written, stale })
    }

    /// Takes a file: to be written, or compared.
    pub(super) fn take(&mut self, file: &OutFile) -> Result<(), Trouble> {
        self.written.insert(file.path.clone());
        let there = match &self.folder {
            Some(folder) => folder.read(Path::new(&file.path), file.text.len() as u64 + 1)?,
            None => None,
        };
        if there.is_some_and(|bytes| bytes == file.text.as_bytes()) {
            return Ok(());
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.write(&waits(self.stale.len()), file.text.as_bytes(), MODE)?;
        }
        self.stale.push(file.path.clone());
        Ok(())
    }

    /// Returns the files that differ from what they should be, or should not be there.
    pub(super) fn stale(&self) -> Result<Vec<String>, Trouble> {
        let mut stale = self.stale.clone();
        stale.extend(self.left_over()?);
        stale.sort();
        Ok(stale)
    }

    /// Moves everything into place and removes our own files that are no longer made. Returns how
    /// many files were written and removed.
    pub(super) fn finish(mut self) -> Result<(usize, usize), Trouble> {
        let left_over = self.left_over()?;
        let (Some(folder), Some(waiting)) = (&self.folder, &mut self.waiting) else {
            return Ok((0, 0));
        };
        Waiting::fits(folder, INDEX)?;
        // All folders are there and fit before the first file moves. None stays open: there may be more of
        // them than a process may have open.
        let mut around: Option<(&str, Below)> = None;
        for moves in [false, true] {
            for (number, path) in self.stale.iter().enumerate() {
                let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
                let to = match around.take() {
                    Some((last, open)) if last == parent => open,
                    _ => folder.made_folder(Path::new(parent))?,
                };
                if moves {
                    waiting.place(&waits(number), &to, name)?;
                } else {
                    Waiting::fits(&to, name)?;
                }
                around = Some((parent, to));
            }
        }
        for path in &left_over {
            folder.remove(Path::new(path))?;
        }
        let index = serde_json::to_vec_pretty(&Index { files: self.written })?;
        waiting.write(INDEX, &index, MODE)?;
        waiting.place(INDEX, folder, INDEX)?;
        Ok((self.stale.len(), left_over.len()))
    }

    /// Files of an earlier run that are still there and no longer made.
    fn left_over(&self) -> Result<Vec<String>, Trouble> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let Some(bytes) = folder.read(Path::new(INDEX), MAX_INDEX)? else { return Ok(Vec::new()) };
        let index: Index = serde_json::from_slice(&bytes).map_err(|error| {
            let path = shown(&self.root.join(INDEX));
            Trouble::Usage(format!(
                "{path} is not the list that pso-gen has written: {error}; remove it, and what is no longer made by hand"
            ))
        })?;
        let mut left_over = Vec::new();
        for path in index.files.into_iter().filter(|path| !self.written.contains(path)) {
            // What leads elsewhere was not written by us.
            let inside = !path.starts_with('/')
                && path.split('/').all(|step| !matches!(step, "" | "." | ".."));
            if inside && is_ours(folder, &path) {
                left_over.push(path);
            }
        }
        Ok(left_over)
    }
}

/// How the file with a number is called while it waits.
fn waits(number: usize) -> String {
    number.to_string()
}

/// Whether a file holds one object of ours, and is called as we call it.
fn is_ours(folder: &Below, path: &str) -> bool {
    let most = yaml::MAX_BYTES as u64 + 1;
    let Ok(Some(bytes)) = folder.read(Path::new(path), most) else { return false };
    let sources = Sources::default();
    let read = yaml::decode(path, bytes, &sources).and_then(|text| read_stream(text, &sources));
    let Ok([Earlier { identity, json }]) = read.as_deref() else { return false };
    let called = path.rsplit('/').next() == Some(&file_name(&identity.kind, &identity.name));
    called && json["metadata"]["labels"][MANAGED_BY] == MANAGER
}
