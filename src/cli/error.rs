//! Errors that keep a command from running. Alone decides which exit code and which hint belongs to which error.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;

use crate::compiler::diagnostic::nearest;
use crate::compiler::manifest;
use crate::compiler::yaml;
use crate::provisioner::run::SetupError;

/// An error that keeps a command from running. Errors in app files are diagnostics instead.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("cannot read {path}")]
    Read { path: String, source: io::Error },
    #[error("cannot write {path}")]
    Write { path: String, source: io::Error },
    /// A symbolic link in a repository whose target is elsewhere.
    #[error("cannot read {path}: {link} is a link that leads out of the repository")]
    LinkLeadsOut { path: String, link: String },
    /// A symbolic link at a place where links are not followed.
    #[error("{path} is a link")]
    Link { path: String, expected: Expected },
    #[error("{path} is not a regular file")]
    NotAFile { path: String },
    /// A file that was replaced by something else after it had been found.
    #[error("{path} is no longer a regular file")]
    Replaced { path: String },
    #[error("{path} is {found}")]
    InTheWay { path: String, found: &'static str },
    #[error("{path} is not a path below the folder")]
    NotBelow { path: String },
    #[error("{path} belongs to another user, or other users can write to it")]
    ForeignFolder { path: String },
    /// An ignore file that cannot be used.
    #[error("{path} is a link, not a regular file, or too long")]
    IgnoreFile { path: String },
    #[error("{path} already exists")]
    Exists { path: String },
    #[error("the document and the Secret are written to the same file")]
    SameFile,
    /// A file with tokens where Git would add it to a repository.
    #[error("{path} would contain the tokens, and Git does not ignore it")]
    SecretInGit { path: String },
    #[error("another pso-gen process is writing to {folder}")]
    FolderLocked { folder: String },
    /// The list of written files in an output folder.
    #[error("{path} {problem}")]
    OutputIndex { path: String, problem: String },
    #[error("{path}: {problem}")]
    VolumeList { path: String, problem: String },
    #[error("{folder}: blueprints of more than {limit} bytes")]
    LargeBlueprints { folder: String, limit: u64 },
    /// Its diagnostics have been printed.
    #[error("a blueprint has errors")]
    InvalidBlueprint,

    #[error("the kind is missing")]
    MissingKind { kinds: Vec<String> },
    #[error("unknown kind {kind}")]
    UnknownKind { kind: String, suggestion: Suggestion },
    /// An argument of `explain`.
    #[error("unknown kind or diagnostic {name}")]
    UnknownTopic { name: String, suggestion: Suggestion },
    #[error("{kind} has no field `{field}`")]
    UnknownField { kind: String, field: String, similar: Option<String> },
    #[error("`--storage FILE` is missing: orphaned volumes are found by listing the arrays")]
    MissingStorage,
    #[error("`--node-name` is missing")]
    MissingNodeName,
    /// A storage document for the CSI Controller service, which serves block volumes only.
    #[error("{path} has no FlashArray")]
    NoFlashArray { path: String },
    #[error(transparent)]
    Serve(#[from] crate::csi::ServeError),
    /// The cluster whose volumes the CSI Controller service serves is not known.
    #[error(transparent)]
    Identity(#[from] crate::provisioner::run::IdentityError),
    #[error("--log {filter:?}")]
    LogFilter { filter: String, source: tracing_subscriber::filter::ParseError },
    #[error("--listen {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Setup(#[from] SetupError),

    /// Today's side of a comparison. Its diagnostics have been printed.
    #[error("the apps of today cannot be rendered")]
    NotRendered,
    #[error("`{name}` is not a Git revision")]
    UnknownRevision { name: String },
    #[error("`{name}` is neither a file or folder nor a Git revision")]
    UnknownBaseline { name: String },
    #[error("`{revision}` has no `{folder}`")]
    NoFolderInRevision { revision: String, folder: String },
    #[error("`{name}` holds app files ({file}) instead of output")]
    AppFilesAsBaseline { name: String, file: String },
    #[error("`{name}` holds no output to compare with")]
    EmptyBaseline { name: String },
    /// Its diagnostics have been printed.
    #[error("{name} cannot be compared with")]
    InvalidBaseline { name: String },
    /// The comparison has found no difference, and was incomplete.
    #[error(
        "the objects that could be compared with {name} are the same; the others could not be compared"
    )]
    PartlyCompared { name: String },

    #[error("cannot run git")]
    RunGit(#[source] io::Error),
    #[error("git: {message}")]
    Git { message: String },
    /// An object that a partial clone lacks, as Git names it.
    #[error("git: {object}: this clone does not contain the whole revision")]
    PartialClone { object: String },
    #[error("{path} is outside the repository")]
    OutsideRepository { path: String },

    /// A request to a cluster that failed. Causes and remedies differ from request to request.
    #[error("cluster {address}: {cause}")]
    Unreachable { address: String, cause: String, remedy: &'static str },
    #[error("the cluster has a StorageClass {class}: a demo would take its claims")]
    DemoClass { class: String },
    #[error("the cluster has a namespace {namespace}: another demo runs, or was not ended")]
    DemoNamespace { namespace: String },
    #[error("cluster: some objects of the demo still exist after {seconds} s")]
    DemoNotDeleted { seconds: u64 },
    #[error("cluster: stopped by a second signal, before all objects of the demo were deleted")]
    DemoNotWaited,

    #[error(
        "{files} app files with {bytes} bytes; one application may have {most_files} with {most_bytes}"
    )]
    TooManyFiles { files: usize, bytes: u64, most_files: usize, most_bytes: u64 },
    #[error("more than {mebibytes} MiB of manifests")]
    TooMuchOutput { mebibytes: u64 },
    #[error("stopped at {seconds} s")]
    TimeLimit { seconds: u64 },
    #[error(
        "stopped at {mebibytes} MiB of memory{}",
        if *.is_shared { ", all that other commands have left" } else { "" }
    )]
    MemoryLimit { mebibytes: u64, is_shared: bool },
    /// Other commands use all the memory.
    #[error("{commands} commands are at work already and have all memory")]
    Busy { commands: u8 },
    /// A signal arrived while files were written.
    #[error("stopped by {} after {done} of {all} files", signal_name(*.signal))]
    Stopped { signal: i32, done: usize, all: usize },

    #[error("stopped by a defect of pso-gen")]
    Defect,
    #[error("cannot start")]
    Start(#[source] io::Error),
    #[error("cannot simulate arrays")]
    Simulate(#[source] io::Error),
    #[error(transparent)]
    Manifest(#[from] manifest::WriteError),
    #[error("cannot write YAML")]
    Yaml(#[from] yaml::WriteError),
    #[error("cannot turn an object into JSON")]
    Json(#[from] serde_json::Error),
    /// The reader of the output has closed it, as `head` does.
    #[error("the reader has closed the output")]
    ReaderClosed,
}

/// What belongs where a link was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    File,
    Folder,
}

/// Names that the user may have meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Suggestion {
    Similar(String),
    OneOf(Vec<String>),
}

impl CommandError {
    /// Returns the exit code of the process.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::ReaderClosed => 0,
            // The size of the input is an error in the input.
            Self::TooManyFiles { .. }
            | Self::TooMuchOutput { .. }
            | Self::TimeLimit { .. }
            | Self::MemoryLimit { .. } => 1,
            // The convention of shells.
            Self::Stopped { signal, .. } => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            _ => 2,
        }
    }

    /// Returns the remedy.
    pub(super) fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::LinkLeadsOut { .. } => "put the file itself there",
            Self::Link { expected: Expected::File, .. } => {
                "put the file itself there, since links are not followed"
            }
            Self::Link { expected: Expected::Folder, .. } => {
                "remove it, or put a folder there: below the folder that is named, links are not followed"
            }
            Self::NotAFile { .. } => "put a file there, or give it another name",
            Self::Replaced { .. } => "run the command again",
            Self::InTheWay { .. } => "remove it, or give it another name",
            Self::ForeignFolder { .. } => "remove it",
            Self::IgnoreFile { .. } => "put a file there: Git does not read it either",
            Self::Identity(_) => {
                "name the cluster with `--cluster-uid UID`, or use an account that may read the namespace"
            }
            Self::NoFlashArray { .. } => "add one under `spec.arrays`",
            Self::Exists { .. } => "`--force` replaces it",
            Self::SameFile => "name two files with `--out` and `--secret-out`",
            Self::SecretInGit { .. } => {
                "add `*.secret.yaml` to .gitignore (and commit that), or write it outside of the repository with \
                 `--secret-out`"
            }
            Self::FolderLocked { .. } => "run this again when it has ended",
            Self::MissingKind { kinds } => return Some(one_of(kinds).into()),
            Self::UnknownKind { suggestion, .. } | Self::UnknownTopic { suggestion, .. } => {
                return Some(suggestion.to_string().into());
            }
            Self::UnknownField { similar, .. } => {
                return similar.as_ref().map(|similar| did_you_mean(similar).into());
            }
            Self::AppFilesAsBaseline { .. } => {
                "render them with `pso-gen render --out DIR` and compare with DIR, or name a Git revision"
            }
            Self::PartialClone { .. } => "fetch it first: git fetch --refetch --no-filter",
            Self::Unreachable { remedy, .. } => remedy,
            Self::DemoClass { .. } => "use another cluster",
            Self::DemoNamespace { .. } => "delete it first",
            Self::DemoNotDeleted { .. } | Self::DemoNotWaited => {
                "delete the namespaces, StorageClasses and PersistentVolumes that are left"
            }
            Self::TooManyFiles { .. }
            | Self::TooMuchOutput { .. }
            | Self::TimeLimit { .. }
            | Self::MemoryLimit { .. } => "split the folder into several applications",
            Self::Busy { .. } => {
                "Argo CD tries again, and a larger memory limit of the sidecar helps"
            }
            Self::Stopped { .. } => {
                "run `pso-gen render --out` again, which writes the other files and removes those that are no longer rendered"
            }
            _ => return None,
        };
        Some(hint.into())
    }

    /// Replaces the path of a file that could not be read, for files in a temporary folder.
    pub(super) fn with_path(mut self, replace: impl FnOnce(&str) -> String) -> Self {
        if let Self::Read { path, .. }
        | Self::LinkLeadsOut { path, .. }
        | Self::Link { path, .. }
        | Self::NotAFile { path }
        | Self::Replaced { path }
        | Self::IgnoreFile { path }
        | Self::LargeBlueprints { folder: path, .. } = &mut self
        {
            *path = replace(path);
        }
        self
    }
}

impl Suggestion {
    /// Returns the known name that is most similar to one that is unknown, or all of them.
    pub(super) fn among(known: Vec<String>, unknown: &str) -> Self {
        match nearest(unknown, known.iter().map(String::as_str)) {
            Some(similar) => Self::Similar(similar.to_owned()),
            None => Self::OneOf(known),
        }
    }
}

impl std::fmt::Display for Suggestion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&match self {
            Self::Similar(name) => did_you_mean(name),
            Self::OneOf(names) => one_of(names),
        })
    }
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

fn one_of(names: &[String]) -> String {
    format!("expected one of `{}`", names.join("`, `"))
}

fn signal_name(number: i32) -> &'static str {
    if number == 2 { "SIGINT" } else { "SIGTERM" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_that_is_too_large_is_the_inputs_error_and_a_signal_has_its_own_code() {
        let of = |error: CommandError| error.exit_code();
        assert_eq!(of(CommandError::TimeLimit { seconds: 1 }), 1);
        assert_eq!(of(CommandError::TooMuchOutput { mebibytes: 1 }), 1);
        assert_eq!(of(CommandError::MemoryLimit { mebibytes: 1, is_shared: false }), 1);
        assert_eq!(of(CommandError::Stopped { signal: 15, done: 1, all: 2 }), 143);
        assert_eq!(of(CommandError::ReaderClosed), 0);
        assert_eq!(of(CommandError::Busy { commands: 4 }), 2);
        assert_eq!(of(CommandError::Defect), 2);
    }

    #[test]
    fn a_path_in_a_temporary_folder_is_replaced() {
        let named =
            |error: CommandError| error.with_path(|path| format!("HEAD:{path}")).to_string();
        let path = || "a.pso.yaml".to_owned();
        let link = CommandError::Link { path: path(), expected: Expected::File };
        for error in [
            link,
            CommandError::NotAFile { path: path() },
            CommandError::IgnoreFile { path: path() },
        ] {
            assert!(named(error).starts_with("HEAD:a.pso.yaml is "));
        }
        assert_eq!(named(CommandError::SameFile), CommandError::SameFile.to_string());
    }
}
