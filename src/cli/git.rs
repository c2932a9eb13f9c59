//! Git by its own plumbing: commits, and the files of one as objects.
//!
//! Every author of a repository can name programs in its configuration: monitors, hooks, filters, pagers,
//! transports. None of them runs. Files of a revision are read as objects, so that no filter has a part in it and
//! no link is made. Knows nothing of apps and output.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use super::CommandError;
use super::confined_folder::ConfinedFolder;
use crate::compiler::yaml;

/// Settings that a repository's own configuration may not contain.
const OVERRIDDEN: [&str; 8] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.sshCommand=false",
    "core.alternateRefsCommand=false",
    "credential.helper=",
    "protocol.allow=never",
    // A folder of the work tree that looks like a repository without one is none.
    "safe.bareRepository=explicit",
];
/// Most links in a row that are followed, as the kernel has it.
const MOST_LINKS: u8 = 40;

/// Returns Git's command for a repository that may be anyone's.
pub(super) fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.args(["--no-pager", "--no-replace-objects"]);
    command.args(OVERRIDDEN.iter().flat_map(|setting| ["-c", setting]));
    command.arg("-C").arg(folder);
    // Objects that a partial clone has not got stay away: to get them, Git would start a transport.
    command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "");
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
    command
}

fn started(mut command: Command) -> Result<Child, CommandError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(CommandError::RunGit)
}

/// Runs git in a folder.
fn git(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, CommandError> {
    let mut command = command(folder);
    command.args(arguments);
    let output = started(command)?.wait_with_output();
    let output = output.map_err(CommandError::RunGit)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(CommandError::Git { message: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}

fn top() -> Result<PathBuf, CommandError> {
    let top = git(Path::new("."), &["rev-parse", "--show-toplevel"])?;
    Ok(PathBuf::from(String::from_utf8_lossy(&top).trim_end_matches(['\r', '\n'])))
}

/// The commit that a word means, if it means one.
pub(super) fn commit(word: &str) -> Result<Option<String>, CommandError> {
    top()?;
    let commit = format!("{word}^{{commit}}");
    let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
    let hash = git(Path::new("."), &arguments).ok();
    Ok(hash.map(|hash| String::from_utf8_lossy(&hash).trim().to_owned()))
}

/// A file of a revision, as Git lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    is_link: bool,
    object: String,
}

/// Lists the files of a commit by path: those below some paths, or all.
fn listed(
    top: &Path,
    commit: &str,
    paths: &[PathBuf],
) -> Result<HashMap<PathBuf, Listed>, CommandError> {
    let mut arguments =
        vec!["--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", commit, "--"];
    let words: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    // The whole repository needs no path.
    if words.iter().all(|word| !word.is_empty()) {
        arguments.extend(words.iter().map(String::as_str));
    }
    let output = git(top, &arguments)?;
    let mut all = HashMap::new();
    for line in String::from_utf8_lossy(&output).split('\0') {
        let Some((head, path)) = line.split_once('\t') else { continue };
        let mut words = head.split(' ');
        let (Some(mode), Some("blob"), Some(object)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let listed = Listed { is_link: mode == "120000", object: object.to_owned() };
        all.insert(PathBuf::from(path), listed);
    }
    Ok(all)
}

/// Puts the files of a commit below some paths into a folder of their own. The work tree and the index of the
/// repository stay as they are. In place of a link to a file of the commit is that file; other links are left
/// out.
pub(super) fn checkout(commit: &str, paths: &[PathBuf]) -> Result<tempfile::TempDir, CommandError> {
    let folder = tempfile::tempdir()
        .map_err(|source| CommandError::Write { path: "a temporary folder".to_owned(), source })?;
    let top = top()?;
    let paths = paths.iter().map(|path| below_top(path)).collect::<Result<Vec<_>, _>>()?;
    let mut wanted: Vec<_> = listed(&top, commit, &paths)?.into_iter().collect();
    wanted.sort_by(|(a, _), (b, _)| a.cmp(b));
    if wanted.iter().any(|(_, listed)| listed.is_link) {
        let all = listed(&top, commit, &[PathBuf::new()])?;
        let linked = |(path, listed): (PathBuf, Listed)| -> Result<Option<_>, CommandError> {
            Ok(followed(&top, &path, listed, &all)?.map(|listed| (path, listed)))
        };
        let followed: Result<Vec<_>, _> = wanted.into_iter().map(linked).collect();
        wanted = followed?.into_iter().flatten().collect();
    }
    let below = ConfinedFolder::open(folder.path())?;
    let objects: Vec<String> = wanted.iter().map(|(_, listed)| listed.object.clone()).collect();
    let mut wanted = wanted.into_iter();
    read_objects(&top, objects, |bytes| {
        let Some((path, _)) = wanted.next() else { return Ok(()) };
        let around = below.made_folder(path.parent().unwrap_or(Path::new("")))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        around.create(&name, &bytes)
    })?;
    Ok(folder)
}

/// The file of a commit that a link leads to, step by step.
fn followed(
    top: &Path,
    path: &Path,
    mut listed: Listed,
    all: &HashMap<PathBuf, Listed>,
) -> Result<Option<Listed>, CommandError> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if !listed.is_link {
            return Ok(Some(listed));
        }
        let mut target = Vec::new();
        read_objects(top, vec![listed.object.clone()], |bytes| {
            target = bytes;
            Ok(())
        })?;
        path.pop();
        for step in Path::new(&*String::from_utf8_lossy(&target)).components() {
            match step {
                std::path::Component::Normal(name) => path.push(name),
                std::path::Component::ParentDir if path.pop() => {}
                std::path::Component::CurDir => {}
                _ => return Ok(None),
            }
        }
        match all.get(&path) {
            Some(next) => listed = next.clone(),
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// Reads objects one after the other, each as far as a file is looked at.
fn read_objects(
    top: &Path,
    objects: Vec<String>,
    mut take: impl FnMut(Vec<u8>) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let mut command = command(top);
    command.args(["cat-file", "--batch"]);
    let mut child = started(command)?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(CommandError::Defect);
    };
    let number = objects.len();
    // Git answers during the input: a caller that writes all questions first would wait for ever.
    let asks = thread::spawn(move || {
        for object in objects {
            if writeln!(stdin, "{object}").is_err() {
                break;
            }
        }
    });
    let mut answers = BufReader::new(stdout);
    for _ in 0..number {
        let mut line = String::new();
        answers.read_line(&mut line).map_err(CommandError::RunGit)?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "blob", size] = words.as_slice() else {
            return Err(CommandError::PartialClone { object: line.trim().to_owned() });
        };
        let size: u64 = size.parse().unwrap_or_default();
        let mut answer = answers.by_ref().take(size + 1);
        let mut bytes = Vec::new();
        answer
            .by_ref()
            .take(yaml::MAX_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(CommandError::RunGit)?;
        std::io::copy(&mut answer, &mut std::io::sink()).map_err(CommandError::RunGit)?;
        bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        take(bytes)?;
    }
    let _ = asks.join();
    child.wait().map_err(CommandError::RunGit)?;
    Ok(())
}

/// A path seen from the top of the repository. It may not exist any more.
pub(super) fn below_top(path: &Path) -> Result<PathBuf, CommandError> {
    let failed = |source| CommandError::Read { path: path.display().to_string(), source };
    let top = top()?;
    let absolute = std::path::absolute(path).map_err(failed)?;
    let here = fs::canonicalize(&absolute).unwrap_or(absolute);
    let below = here.strip_prefix(fs::canonicalize(&top).unwrap_or(top));
    below
        .map(Path::to_path_buf)
        .map_err(|_| CommandError::OutsideRepository { path: path.display().to_string() })
}
