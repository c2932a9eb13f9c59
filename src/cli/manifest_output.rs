//! Where manifests go: standard output, whole or not at all, or files of [a folder](super::folder).

use std::io::{self, Seek, SeekFrom, Write};

use tempfile::{SpooledData, SpooledTempFile};

use super::{CommandError, output};
use crate::compiler::blueprint::App;
use crate::compiler::manifest::{self, Object};

/// Output that stays in memory; beyond, it waits in an unnamed file.
pub(super) const IN_MEMORY: usize = 8 << 20;

/// Standard output. Nothing is written before everything is known to be right.
#[derive(Debug)]
pub(super) struct BufferedOutput {
    buffer: SpooledTempFile,
    /// Bytes that it has taken, and most that it takes.
    written: u64,
    most: u64,
}

impl BufferedOutput {
    pub(super) fn new() -> Self {
        Self::at_most(u64::MAX)
    }

    /// A stream that takes no more than so many bytes.
    pub(super) fn at_most(bytes: u64) -> Self {
        Self { buffer: SpooledTempFile::new(IN_MEMORY), written: 0, most: bytes }
    }

    /// Takes text for later.
    pub(super) fn take(&mut self, text: &str) -> Result<(), CommandError> {
        self.written += text.len() as u64;
        if self.written > self.most {
            return Err(CommandError::TooMuchOutput { mebibytes: self.most >> 20 });
        }
        self.buffer
            .write_all(text.as_bytes())
            .map_err(|source| CommandError::Write { path: "a temporary file".to_owned(), source })
    }

    /// Writes `first`, then everything that was taken.
    pub(super) fn finish(mut self, first: &str) -> Result<(), CommandError> {
        let mut stdout = io::stdout().lock();
        output::write(&mut stdout, first.as_bytes())?;
        let copied =
            self.buffer.seek(SeekFrom::Start(0)).and_then(|_| match self.buffer.into_inner() {
                // From a file, the kernel copies by itself.
                SpooledData::OnDisk(mut file) => io::copy(&mut file, &mut stdout).map(drop),
                SpooledData::InMemory(text) => stdout.write_all(text.get_ref()),
            });
        copied
            .and_then(|()| stdout.flush())
            .map_err(|source| output::lost("standard output", source))
    }
}

/// A file of the output folder.
#[derive(Debug)]
pub(super) struct OutputFile {
    /// Path below the folder.
    pub(super) path: String,
    /// Its text.
    pub(super) text: String,
}

/// Returns an app's files: `namespace/app/kind-name.yaml`.
pub(super) fn app_files(app: &App, objects: &[Object]) -> Result<Vec<OutputFile>, CommandError> {
    let folder = match &app.namespace {
        Some(namespace) => format!("{namespace}/{}", app.name),
        None => app.name.clone(),
    };
    objects.iter().map(|object| file(&folder, object)).collect()
}

/// Returns the file of one object in a folder.
pub(super) fn file(folder: &str, object: &Object) -> Result<OutputFile, CommandError> {
    let mut text = String::new();
    manifest::write(&mut text, std::slice::from_ref(object))?;
    let name = file_name(object.type_meta().1, object.name());
    Ok(OutputFile { path: format!("{folder}/{name}"), text })
}

pub(super) fn file_name(kind: &str, name: &str) -> String {
    // Names of roles may hold a colon, which some file systems refuse.
    format!("{}-{}.yaml", kind.to_lowercase(), name.replace(':', "_"))
}
