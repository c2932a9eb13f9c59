//! The folder of `render --out`: writes one file for each object, removes the files that pso-gen wrote earlier and no
//! longer renders, and leaves all other files alone.
//!
//! The contents of the folder are untrusted: links are never followed. The index only lists the paths of earlier runs;
//! a file is removed only if its content also shows that pso-gen wrote it.
//!
//! A run can be killed at any moment. New texts are therefore kept in memory, or in a file without a name. Before the
//! first file is moved into place, the index lists the files of the last run and of this one; after the last stale file
//! is removed, it lists only those of this run. The next run therefore finds every file, whatever it renders.

mod index;

use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use tempfile::SpooledTempFile;

use super::CommandError;
use super::confined_folder::{ConfinedFolder, PART};
use super::manifest_output::{IN_MEMORY, OutputFile, file_name};
use super::path_text::shown;
use crate::compiler::diagnostic::Sources;
use crate::compiler::manifest::{Earlier, read_stream};
use crate::compiler::yaml;
use crate::contract::{MANAGER, label};

/// File with the list of files that pso-gen wrote and may remove. Argo CD treats every `.yaml` and `.json` in a folder
/// as an object, so its name has neither extension.
const INDEX: &str = ".pso-gen.index";
/// Largest size of that list in bytes: a million files.
const MAX_INDEX: u64 = 64 << 20;
/// Prefix of the temporary folders of earlier versions, and the number of digits after it.
const WAITING: (&str, usize) = (".pso-gen-", 16);
/// Mode of written files, before the umask.
const MODE: u32 = 0o666;

/// Called between two operations on files; it may stop the run. Its arguments are the number of files in place, and of
/// all files.
pub(super) type Between<'b> = &'b mut dyn FnMut(usize, usize) -> Result<(), CommandError>;

/// The folder with its desired contents.
#[derive(Debug)]
pub(super) struct OutputFolder {
    root: PathBuf,
    /// `None` if the folder does not exist yet.
    folder: Option<ConfinedFolder>,
    writes: bool,
    written: BTreeSet<String>,
    stale: Vec<Stale>,
    /// The texts of stale files, concatenated.
    texts: SpooledTempFile,
}

/// A file that is missing or outdated.
#[derive(Debug)]
struct Stale {
    path: String,
    /// Length of its text in bytes.
    length: usize,
}

impl OutputFolder {
    /// Opens a folder for writing. It is created after all checks have succeeded.
    pub(super) fn write_to(root: &Path) -> Result<Self, CommandError> {
        let this = Self { writes: true, ..Self::compare_with(root)? };
        this.reserve()?;
        Ok(this)
    }

    /// Opens a folder for comparison.
    pub(super) fn compare_with(root: &Path) -> Result<Self, CommandError> {
        let folder = if root.exists() { Some(ConfinedFolder::open(root)?) } else { None };
        Ok(Self {
            root: root.to_owned(),
            folder,
            writes: false,
            written: BTreeSet::new(),
            stale: Vec::new(),
            texts: SpooledTempFile::new(IN_MEMORY),
        })
    }

    /// Prevents two concurrent runs from mixing their files.
    fn reserve(&self) -> Result<(), CommandError> {
        if self.folder.as_ref().is_none_or(ConfinedFolder::reserve) {
            return Ok(());
        }
        Err(CommandError::FolderLocked { folder: shown(&self.root) })
    }

    /// Adds a file to write or compare.
    pub(super) fn take(&mut self, file: &OutputFile) -> Result<(), CommandError> {
        self.written.insert(file.path.clone());
        let there = match &self.folder {
            Some(folder) => folder.read(Path::new(&file.path), file.text.len() as u64 + 1)?,
            None => None,
        };
        if there.is_some_and(|bytes| bytes == file.text.as_bytes()) {
            return Ok(());
        }
        if self.writes {
            self.texts.write_all(file.text.as_bytes()).map_err(waits)?;
        }
        self.stale.push(Stale { path: file.path.clone(), length: file.text.len() });
        Ok(())
    }

    /// Returns the files that differ from the rendered ones, or are no longer rendered.
    pub(super) fn stale(&self) -> Result<Vec<String>, CommandError> {
        let mut stale: Vec<String> = self.stale.iter().map(|stale| stale.path.clone()).collect();
        let Some(folder) = &self.folder else { return Ok(stale) };
        let index = self.index(folder)?;
        stale.extend(self.left_over(folder, &index));
        stale.extend(abandoned(folder)?.into_iter().map(|left| left.shown()));
        if index != self.written {
            stale.push(INDEX.to_owned());
        }
        stale.sort();
        Ok(stale)
    }

    /// Writes all files, and removes files of pso-gen that are no longer rendered. Returns the numbers of written and
    /// removed files. If `between` stops the run, another run can complete it.
    pub(super) fn finish(mut self, between: Between<'_>) -> Result<(usize, usize), CommandError> {
        if self.folder.is_none() {
            self.folder = Some(ConfinedFolder::made(&self.root)?);
            self.reserve()?;
        }
        let Some(folder) = self.folder.take() else { return Err(CommandError::Defect) };
        let done = self.act(&folder, between);
        if done.is_err() {
            let _ = folder.unlink(PART);
        }
        done
    }

    /// Does the same without cleaning up after an error, as a run that is killed.
    fn act(
        &mut self,
        folder: &ConfinedFolder,
        between: Between<'_>,
    ) -> Result<(usize, usize), CommandError> {
        let index = self.index(folder)?;
        let left_over = self.left_over(folder, &index);
        for own in [INDEX, PART] {
            folder.fits(Path::new(own))?;
        }
        for stale in &self.stale {
            folder.fits(Path::new(&stale.path))?;
        }
        let all = self.stale.len();
        between(0, all)?;
        for left in abandoned(folder)? {
            left.remove(folder)?;
        }
        let both: BTreeSet<String> = self.written.iter().chain(&left_over).cloned().collect();
        if both != index {
            put(folder, folder, INDEX, index::text(&both).as_bytes(), &mut || between(0, all))?;
        }
        self.texts.seek(SeekFrom::Start(0)).map_err(waits)?;
        // Keeps only one folder open: there may be more than the process may open.
        let mut around: Option<(&str, ConfinedFolder)> = None;
        for (done, stale) in self.stale.iter().enumerate() {
            let (parent, name) = stale.path.rsplit_once('/').unwrap_or(("", &stale.path));
            let to = match around.take() {
                Some((last, open)) if last == parent => open,
                _ => folder.made_folder(Path::new(parent))?,
            };
            let mut bytes = vec![0; stale.length];
            self.texts.read_exact(&mut bytes).map_err(waits)?;
            put(folder, &to, name, &bytes, &mut || between(done, all))?;
            around = Some((parent, to));
        }
        for path in &left_over {
            between(all, all)?;
            folder.remove(Path::new(path))?;
        }
        // Empty folders that an aborted run has left.
        for path in index.difference(&self.written).filter(|path| index::is_inside(path)) {
            let _ = folder.remove_empty_around(Path::new(path));
        }
        if both != self.written {
            put(folder, folder, INDEX, index::text(&self.written).as_bytes(), &mut || {
                between(all, all)
            })?;
        }
        Ok((all, left_over.len()))
    }

    /// Reads the list of files that earlier runs wrote.
    fn index(&self, folder: &ConfinedFolder) -> Result<BTreeSet<String>, CommandError> {
        let Some(bytes) = folder.read(Path::new(INDEX), MAX_INDEX)? else {
            return Ok(BTreeSet::new());
        };
        index::read(&String::from_utf8_lossy(&bytes)).map_err(|problem| CommandError::OutputIndex {
            path: shown(&self.root.join(INDEX)),
            problem,
        })
    }

    /// Returns files of earlier runs that still exist and are no longer rendered.
    fn left_over(&self, folder: &ConfinedFolder, index: &BTreeSet<String>) -> Vec<String> {
        let gone = index.difference(&self.written);
        // pso-gen never writes through links, so a path through one is not its own.
        gone.filter(|path| index::is_inside(path) && is_ours(folder, path)).cloned().collect()
    }
}

fn waits(source: std::io::Error) -> CommandError {
    CommandError::Write { path: "a temporary file".to_owned(), source }
}

/// Writes a file below `folder` atomically.
fn put(
    folder: &ConfinedFolder,
    to: &ConfinedFolder,
    name: &str,
    bytes: &[u8],
    between: &mut dyn FnMut() -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    between()?;
    folder.write_new(PART, bytes, MODE)?;
    between()?;
    folder.place(PART, to, name)
}

/// Remains of an aborted run.
enum Abandoned {
    /// The file that was being written.
    Part,
    /// The temporary folder of an earlier version, with its files.
    Waiting(String, Vec<String>),
}

impl Abandoned {
    fn shown(&self) -> String {
        match self {
            Self::Part => PART.to_owned(),
            Self::Waiting(name, _) => format!("{name}/"),
        }
    }

    fn remove(&self, folder: &ConfinedFolder) -> Result<(), CommandError> {
        match self {
            Self::Part => folder.unlink(PART),
            Self::Waiting(name, files) => {
                let inside = folder.made_folder(Path::new(name))?;
                files.iter().try_for_each(|file| inside.unlink(file))?;
                folder.remove_empty(name)
            }
        }
    }
}

/// Returns the remains of aborted runs in the folder.
fn abandoned(folder: &ConfinedFolder) -> Result<Vec<Abandoned>, CommandError> {
    let mut left = Vec::new();
    for (name, is_folder) in folder.names()? {
        let digits = name.strip_prefix(WAITING.0).unwrap_or_default();
        let is_waiting =
            digits.len() == WAITING.1 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if name == PART && !is_folder {
            left.push(Abandoned::Part);
        } else if is_folder && is_waiting {
            let inside = folder.made_folder(Path::new(&name))?.names()?;
            // The files had numbers as names. A folder with other contents belongs to the user.
            let is_ours = |(file, is_folder): &(String, bool)| {
                !is_folder && (file == INDEX || file.bytes().all(|byte| byte.is_ascii_digit()))
            };
            if inside.iter().all(is_ours) {
                left.push(Abandoned::Waiting(
                    name,
                    inside.into_iter().map(|(file, _)| file).collect(),
                ));
            }
        }
    }
    Ok(left)
}

/// Returns whether a file contains exactly one object of pso-gen, under the name that pso-gen gives it.
fn is_ours(folder: &ConfinedFolder, path: &str) -> bool {
    let most = yaml::MAX_BYTES as u64 + 1;
    let Ok(Some(bytes)) = folder.read(Path::new(path), most) else { return false };
    let sources = Sources::default();
    let read = yaml::decode(path, bytes, &sources).and_then(|text| read_stream(text, &sources));
    let Ok([Earlier { identity, json }]) = read.as_deref() else { return false };
    let called = path.rsplit('/').next() == Some(&file_name(&identity.kind, &identity.name));
    called && json["metadata"]["labels"][label::MANAGED_BY] == MANAGER
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;

    /// Returns a file with an object of pso-gen.
    fn object(app: &str, kind: &str, say: &str) -> OutputFile {
        let managed_by = label::MANAGED_BY;
        let text = format!(
            "apiVersion: v1\nkind: {kind}\nmetadata: {{name: {app}, labels: {{{managed_by}: {MANAGER}}}, annotations: {{say: {say}}}}}\n"
        );
        OutputFile { path: format!("apps/{app}/{}", file_name(kind, app)), text }
    }

    fn first() -> Vec<OutputFile> {
        vec![object("a", "Service", "one"), object("a", "Secret", "one"), object("b", "Pod", "one")]
    }

    /// A changed file and a new app; `b` is removed.
    fn second() -> Vec<OutputFile> {
        vec![object("a", "Service", "two"), object("a", "Secret", "one"), object("c", "Pod", "two")]
    }

    fn opened(root: &Path, files: &[OutputFile]) -> OutputFolder {
        let mut folder = OutputFolder::write_to(root).expect("opens");
        for file in files {
            folder.take(file).expect("taken");
        }
        folder
    }

    /// Renders until the given number of operations is done; returns whether all were.
    fn killed_after(root: &Path, files: &[OutputFile], mut left: usize) -> bool {
        let mut folder = opened(root, files);
        let open = ConfinedFolder::made(root).expect("made");
        let mut between = |_, _| match left.checked_sub(1) {
            Some(fewer) => {
                left = fewer;
                Ok(())
            }
            None => Err(CommandError::Defect),
        };
        folder.act(&open, &mut between).is_ok()
    }

    fn whole(root: &Path, files: &[OutputFile]) -> (usize, usize) {
        opened(root, files).finish(&mut |_, _| Ok(())).expect("written")
    }

    fn stale(root: &Path, files: &[OutputFile]) -> Vec<String> {
        let mut folder = OutputFolder::compare_with(root).expect("opens");
        for file in files {
            folder.take(file).expect("taken");
        }
        folder.stale().expect("compared")
    }

    /// Returns the files, with their texts, and the empty folders.
    fn tree(root: &Path) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries: Vec<_> = fs::read_dir(&folder).expect("a folder").collect();
            let path = |path: &Path| path.strip_prefix(root).expect("below").display().to_string();
            if entries.is_empty() {
                found.insert(path(&folder), "empty".to_owned());
            }
            for entry in entries {
                let entry = entry.expect("an entry").path();
                if entry.is_dir() {
                    folders.push(entry);
                } else {
                    found.insert(path(&entry), fs::read_to_string(&entry).expect("text"));
                }
            }
        }
        found
    }

    fn fresh(files: &[OutputFile]) -> BTreeMap<String, String> {
        let top = tempfile::tempdir().expect("a folder");
        whole(top.path(), files);
        tree(top.path())
    }

    #[test]
    fn a_run_that_is_killed_at_any_operation_is_taken_up_by_the_next() {
        let mut moments = 0;
        for then in [second(), first(), vec![object("d", "Pod", "x")]] {
            for moment in 0.. {
                let top = tempfile::tempdir().expect("a folder");
                let root = top.path().join("out");
                whole(&root, &first());
                if killed_after(&root, &second(), moment) {
                    break;
                }
                moments += 1;
                let there = tree(&root);
                let index = index::read(&there[INDEX]).expect("a list");
                for (path, text) in &there {
                    let known = [INDEX, PART].contains(&path.as_str()) || text == "empty";
                    assert!(known || index.contains(path), "moment {moment}: {path} is in no list");
                }
                assert!(!stale(&root, &second()).is_empty(), "moment {moment}: --check sees it");
                whole(&root, &then);
                assert_eq!(tree(&root), fresh(&then), "moment {moment}");
                assert!(stale(&root, &then).is_empty(), "moment {moment}");
            }
        }
        assert!(moments >= 30, "{moments}");
    }

    #[test]
    fn a_first_run_that_is_killed_leaves_nothing_unlisted() {
        for moment in 0.. {
            let top = tempfile::tempdir().expect("a folder");
            let root = top.path().join("out");
            if killed_after(&root, &first(), moment) {
                assert!(moment > 5);
                break;
            }
            whole(&root, &second());
            assert_eq!(tree(&root), fresh(&second()), "moment {moment}");
        }
    }

    #[test]
    fn a_run_that_is_stopped_leaves_no_part() {
        let top = tempfile::tempdir().expect("a folder");
        let mut calls = 0;
        let stopped = opened(top.path(), &first()).finish(&mut |done, all| {
            calls += 1;
            let signal = if calls > 6 { 15 } else { 0 };
            if signal == 0 { Ok(()) } else { Err(CommandError::Stopped { signal, done, all }) }
        });
        let message = stopped.expect_err("stopped").to_string();
        assert!(message.starts_with("stopped by SIGTERM after 1 of 3 files"), "{message}");
        assert!(!tree(top.path()).contains_key(PART));
        assert!(!stale(top.path(), &first()).is_empty());
    }

    #[test]
    fn what_earlier_versions_left_is_removed_and_folders_of_others_stay() {
        let top = tempfile::tempdir().expect("a folder");
        let root = top.path();
        for file in [
            ".pso-gen-0123456789abcdef/0",
            ".pso-gen-0123456789abcdef/12",
            ".pso-gen-fedcba9876543210/notes",
            ".pso-gen-short/0",
            PART,
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, "x").expect("written");
        }
        let left = stale(root, &[]);
        assert_eq!(left, [".pso-gen-0123456789abcdef/", PART]);
        whole(root, &first());
        let there = tree(root);
        let left: Vec<_> = there.keys().filter(|path| path.starts_with(".pso-gen")).collect();
        assert_eq!(left, [".pso-gen-fedcba9876543210/notes", ".pso-gen-short/0", INDEX]);
    }

    #[test]
    fn a_file_where_a_folder_belongs_leaves_nothing_written() {
        for (path, word) in [
            ("apps", "a file where a directory belongs"),
            ("apps/c", "a file where a directory belongs"),
            ("apps/c/pod-c.yaml/x", "a directory where a file belongs"),
            (".pso-gen.index/x", "a directory where a file belongs"),
            (".pso-gen.part/x", "a directory where a file belongs"),
        ] {
            let top = tempfile::tempdir().expect("a folder");
            let path = top.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(&path, "keep").expect("written");
            let before = tree(top.path());
            let failed = opened_unchecked(top.path(), &second()).expect_err("in the way");
            assert!(failed.to_string().contains(word), "{failed}");
            assert_eq!(tree(top.path()), before);
        }
    }

    fn opened_unchecked(root: &Path, files: &[OutputFile]) -> Result<(usize, usize), CommandError> {
        let mut folder = OutputFolder::write_to(root)?;
        for file in files {
            folder.take(file)?;
        }
        folder.finish(&mut |_, _| Ok(()))
    }

    #[test]
    fn two_runs_do_not_write_at_once() {
        let top = tempfile::tempdir().expect("a folder");
        let open = OutputFolder::write_to(top.path()).expect("opens");
        let busy = OutputFolder::write_to(top.path()).expect_err("reserved");
        assert!(busy.to_string().contains("another pso-gen process is writing"), "{busy}");
        drop(open);
        OutputFolder::write_to(top.path()).expect("free again");
    }
}
