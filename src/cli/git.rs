//! Earlier output: from a folder, or from Git by its own plumbing.
//!
//! Whoever may write into a repository, or into a folder that passes for one, may name programs in its
//! configuration: monitors, hooks, filters, pagers, transports. None of them runs. Files of a revision are read
//! as objects, so that no filter has a part in it and no link is made.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use super::below::Below;
use super::files::{self, shown};
use super::input::InputArgs;
use super::run_inputs::InputRun;
use super::{Trouble, links};
use crate::compiler::diagnostic::{Code, Diagnostic, Sources};
use crate::compiler::manifest::{Earlier, read_stream};
use crate::compiler::run::Side;
use crate::compiler::yaml;
use crate::contract::API_GROUP;

/// What a repository's own configuration may not say.
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

/// The earlier side of a comparison.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// Its objects.
    pub(super) objects: Vec<Earlier>,
    /// What of it is missing, and why. With an error, there is nothing to compare with.
    pub(super) missing: Vec<Diagnostic>,
}

/// Returns an earlier output: a folder or file of output, a revision whose app files are rendered by this
/// version of the program, or `REVISION:FOLDER` with output in Git. `settings` are those of a revision's apps.
pub(super) fn earlier(
    since: &str,
    input: &InputArgs,
    settings: &[String],
    sources: &Sources,
) -> Result<Before, Trouble> {
    let path = Path::new(since);
    if path.exists() {
        return read_output(path, since, sources);
    }
    if let Some((revision, folder)) = since.split_once(':') {
        let commit = commit(revision)?.ok_or_else(|| no_revision(revision))?;
        let checkout = checkout(&commit, &[PathBuf::from(folder)])?;
        let there = checkout.path().join(below_top(Path::new(folder))?);
        if !there.exists() {
            return Err(Trouble::Usage(format!("`{revision}` has no `{folder}`")));
        }
        return read_output(&there, since, sources);
    }
    let Some(commit) = commit(since)? else {
        return Err(Trouble::Usage(format!(
            "`{since}` is neither a file or folder nor a Git revision"
        )));
    };
    rendered_at(&commit, since, input, settings)
}

fn no_revision(word: &str) -> Trouble {
    Trouble::Usage(format!("`{word}` is no Git revision"))
}

/// Reads all YAML files below a path, which people know by a word.
fn read_output(path: &Path, word: &str, sources: &Sources) -> Result<Before, Trouble> {
    let mut paths = Vec::new();
    gather(path, &mut paths)?;
    paths.sort();
    let mut all = Vec::new();
    // A file with documents that output is made of.
    let mut input = None;
    for file in paths {
        let mut bytes = Vec::new();
        // What is longer is refused for that by whoever reads it.
        let opened = links::open(&file)?.take(yaml::MAX_BYTES as u64 + 1);
        files::read_to_end(opened, &mut bytes)
            .map_err(|source| Trouble::Read { path: shown(&file), source })?;
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
            Err(wrong) => return Ok(Before { objects: Vec::new(), missing: vec![wrong] }),
        }
    }
    let word = crate::sanitize::name(word);
    Err(Trouble::Usage(match input {
        Some(file) if !all.iter().any(Earlier::is_ours) => format!(
            "`{word}` holds app files ({}) instead of output: render them with `pso-gen render --out DIR` and compare with DIR, or name a Git revision",
            shown(file.strip_prefix(path).unwrap_or(&file))
        ),
        _ if all.is_empty() => format!("`{word}` holds no output to compare with"),
        _ => return Ok(Before { objects: all, missing: Vec::new() }),
    }))
}

/// Lists YAML files: the one that is named, or those below a folder, where no link is followed.
fn gather(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Trouble> {
    let failed = |source| Trouble::Read { path: shown(path), source };
    let real = links::checked(path)?;
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
            // Left out without a word, its objects would count as new.
            let path = shown(&path);
            return Err(Trouble::Usage(format!(
                "{path} is a link or no file; put the file itself there, since links are not followed"
            )));
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
) -> Result<Before, Trouble> {
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
    let checkout = checkout(commit, &wanted)?;
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
        settings: settings.to_vec(),
        side: Side::Earlier,
        ..input.clone()
    };
    let revision = Revision { word, folder: checkout.path() };
    if then.paths.is_empty() {
        let message =
            format!("`{word}` has none of the files and folders; all objects count as new");
        let missing = vec![Diagnostic::new(Code::NotCompared, None, message)];
        return Ok(Before { objects: Vec::new(), missing });
    }
    let collected = InputRun::open(&then).and_then(super::diff::collect);
    let (summary, sources, kept) = collected.map_err(|trouble| revision.trouble(trouble))?;
    let mut missing = revision.missing(&summary.diagnostics, &sources);
    let objects = super::diff::objects(&kept, &summary)?;
    if objects.is_empty() && !missing.is_empty() {
        let message = format!("nothing of `{word}` renders, so there is nothing to compare with");
        missing.push(
            Diagnostic::new(Code::BadEarlier, None, message)
                .fix("compare with a revision in which the apps render, or with their output"),
        );
    }
    Ok(Before { objects, missing })
}

/// A revision, and the folder into which its files were put.
struct Revision<'r> {
    word: &'r str,
    folder: &'r Path,
}

impl Revision<'_> {
    /// A text about the folder as one about the revision.
    fn named(&self, text: &str) -> String {
        let folder = shown(self.folder);
        text.replace(&format!("{folder}/"), &format!("{}:", self.word)).replace(&folder, self.word)
    }

    fn trouble(&self, trouble: Trouble) -> Trouble {
        match trouble {
            Trouble::Read { path, source } => Trouble::Read { path: self.named(&path), source },
            Trouble::Usage(text) => Trouble::Usage(self.named(&text)),
            other => other,
        }
    }

    /// What did not render, by file: its first error, and how many there are.
    fn missing(&self, found: &[Diagnostic], sources: &Sources) -> Vec<Diagnostic> {
        let mut files: BTreeMap<String, Vec<&Diagnostic>> = BTreeMap::new();
        for wrong in found.iter().filter(|found| found.is_error()) {
            let name = wrong.place.map(|place| sources.get(place.source).name.clone());
            files.entry(name.unwrap_or_default()).or_default().push(wrong);
        }
        let told = |(name, wrong): (&String, &Vec<&Diagnostic>)| {
            let first = wrong.first()?;
            let line = first.place.map(|place| format!(":{}", place.line)).unwrap_or_default();
            let at = if name.is_empty() { format!("`{}`", self.word) } else { self.named(name) };
            let field =
                if first.path.is_empty() { String::new() } else { format!("{}: ", first.path) };
            let more = match wrong.len() {
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
        files.iter().filter_map(told).collect()
    }
}

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

fn started(mut command: Command) -> Result<Child, Trouble> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|error| Trouble::Git(error.to_string()))
}

/// Runs git in a folder.
fn git(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, Trouble> {
    let mut command = command(folder);
    command.args(arguments);
    let output = started(command)?.wait_with_output();
    let output = output.map_err(|error| Trouble::Git(error.to_string()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Trouble::Git(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn top() -> Result<PathBuf, Trouble> {
    let top = git(Path::new("."), &["rev-parse", "--show-toplevel"])?;
    Ok(PathBuf::from(String::from_utf8_lossy(&top).trim_end_matches(['\r', '\n'])))
}

/// The commit that a word means, if it means one.
fn commit(word: &str) -> Result<Option<String>, Trouble> {
    top()?;
    let commit = format!("{word}^{{commit}}");
    let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
    let found = git(Path::new("."), &arguments).ok();
    Ok(found.map(|hash| String::from_utf8_lossy(&hash).trim().to_owned()))
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
) -> Result<HashMap<PathBuf, Listed>, Trouble> {
    let mut arguments =
        vec!["--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", commit, "--"];
    let words: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    // The whole repository is no path of its own.
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
fn checkout(commit: &str, paths: &[PathBuf]) -> Result<tempfile::TempDir, Trouble> {
    let folder = tempfile::tempdir()
        .map_err(|source| Trouble::Write { path: "a temporary folder".to_owned(), source })?;
    let top = top()?;
    let paths = paths.iter().map(|path| below_top(path)).collect::<Result<Vec<_>, _>>()?;
    let mut wanted: Vec<_> = listed(&top, commit, &paths)?.into_iter().collect();
    wanted.sort_by(|(a, _), (b, _)| a.cmp(b));
    if wanted.iter().any(|(_, listed)| listed.is_link) {
        let all = listed(&top, commit, &[PathBuf::new()])?;
        let linked = |(path, listed): (PathBuf, Listed)| -> Result<Option<_>, Trouble> {
            Ok(followed(&top, &path, listed, &all)?.map(|listed| (path, listed)))
        };
        let followed: Result<Vec<_>, _> = wanted.into_iter().map(linked).collect();
        wanted = followed?.into_iter().flatten().collect();
    }
    let below = Below::open(folder.path())?;
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
) -> Result<Option<Listed>, Trouble> {
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
    mut take: impl FnMut(Vec<u8>) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let failed = |error: std::io::Error| Trouble::Git(error.to_string());
    let mut command = command(top);
    command.args(["cat-file", "--batch"]);
    let mut child = started(command)?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Trouble::Defect);
    };
    let number = objects.len();
    // Git answers while it is asked: whoever asks all at first waits for ever.
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
        answers.read_line(&mut line).map_err(failed)?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "blob", size] = words.as_slice() else {
            let why = "this clone has not got all of the revision; fetch it first: git fetch --refetch --no-filter";
            return Err(Trouble::Git(format!("{}: {why}", line.trim())));
        };
        let size: u64 = size.parse().unwrap_or_default();
        let mut answer = answers.by_ref().take(size + 1);
        let mut bytes = Vec::new();
        answer.by_ref().take(yaml::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        std::io::copy(&mut answer, &mut std::io::sink()).map_err(failed)?;
        bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        take(bytes)?;
    }
    let _ = asks.join();
    child.wait().map_err(failed)?;
    Ok(())
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
