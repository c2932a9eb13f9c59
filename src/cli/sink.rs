//! Where manifests go: standard output, whole or not at all, or a folder of files.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::{SpooledData, SpooledTempFile};

use super::{Trouble, out};
use crate::blueprint::App;
use crate::manifest::{self, Object};

/// Output that stays in memory; beyond, it waits in an unnamed file.
const IN_MEMORY: usize = 8 << 20;
/// File with the list of files that we wrote, and may remove. It is JSON, and not called so: Argo CD takes every
/// `.json` of a folder for an object.
const INDEX: &str = ".pso-gen.index";

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
    let kind = object.type_meta().1.to_lowercase();
    // Names of roles may hold a colon, which some file systems refuse.
    let name = object.name().replace(':', "_");
    let mut text = String::new();
    manifest::write(&mut text, std::slice::from_ref(object))?;
    Ok(OutFile { path: format!("{folder}/{kind}-{name}.yaml"), text })
}

/// A folder: one file for each object, our own stale files removed, everybody else's left alone.
#[derive(Debug)]
pub(super) struct OutFolder {
    root: PathBuf,
    /// Where files wait until everything is known to be right: on the same file system, so that
    /// they can be moved into place, each at once.
    waiting: Option<tempfile::TempDir>,
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
        let failed = |source| Trouble::Write { path: root.display().to_string(), source };
        fs::create_dir_all(root).map_err(failed)?;
        let waiting =
            tempfile::Builder::new().prefix(".pso-gen-").tempdir_in(root).map_err(failed)?;
        Ok(Self {
            root: root.to_owned(),
            waiting: Some(waiting),
            written: BTreeSet::new(),
            stale: Vec::new(),
        })
    }

    /// Opens a folder to be compared with.
    pub(super) fn compare_with(root: &Path) -> Self {
        Self { root: root.to_owned(), waiting: None, written: BTreeSet::new(), stale: Vec::new() }
    }

    /// Takes a file: to be written, or compared.
    pub(super) fn take(&mut self, file: &OutFile) -> Result<(), Trouble> {
        let there = self.root.join(&file.path);
        self.written.insert(file.path.clone());
        if fs::read(&there).is_ok_and(|bytes| bytes == file.text.as_bytes()) {
            return Ok(());
        }
        self.stale.push(file.path.clone());
        if let Some(waiting) = &self.waiting {
            let path = waiting.path().join(&file.path);
            write_file(&path, file.text.as_bytes())?;
        }
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
    pub(super) fn finish(self) -> Result<(usize, usize), Trouble> {
        let Some(waiting) = &self.waiting else {
            return Ok((0, 0));
        };
        for path in &self.stale {
            let (from, to) = (waiting.path().join(path), self.root.join(path));
            let failed = |source| Trouble::Write { path: to.display().to_string(), source };
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(failed)?;
            }
            fs::rename(&from, &to).map_err(failed)?;
        }
        let left_over = self.left_over()?;
        for path in &left_over {
            let path = self.root.join(path);
            let failed = |source| Trouble::Write { path: path.display().to_string(), source };
            fs::remove_file(&path).map_err(failed)?;
            // Folders that are empty now go, too; one that is not empty stays.
            for folder in path.ancestors().skip(1).take_while(|folder| *folder != self.root) {
                if fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
        let index = serde_json::to_vec_pretty(&Index { files: self.written })?;
        let path = self.root.join(INDEX);
        let next = waiting.path().join(INDEX);
        write_file(&next, &index)?;
        fs::rename(&next, &path)
            .map_err(|source| Trouble::Write { path: path.display().to_string(), source })?;
        Ok((self.stale.len(), left_over.len()))
    }

    /// Files of an earlier run that are still there and no longer made. A path that leads out of the
    /// folder was not written by us.
    fn left_over(&self) -> Result<Vec<String>, Trouble> {
        let path = self.root.join(INDEX);
        let index: Index = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Index::default(),
            Err(source) => {
                return Err(Trouble::Read { path: path.display().to_string(), source });
            }
        };
        let inside = |file: &&String| {
            !file.starts_with('/') && !file.split('/').any(|step| matches!(step, ".." | ""))
        };
        let gone = index.files.iter().filter(|file| !self.written.contains(*file)).filter(inside);
        Ok(gone.filter(|file| self.root.join(file).is_file()).cloned().collect())
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
    let failed = |source| Trouble::Write { path: path.display().to_string(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, bytes).map_err(failed)
}
