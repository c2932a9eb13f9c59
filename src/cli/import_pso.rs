//! `pso-gen import-pso`: converts the configuration of Pure Service Orchestrator or Portworx into a storage document
//! and a Secret.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::input_files::Input;
use super::output::{self, Format};
use super::path_text::shown;
use super::{CommandError, Outcome, git, symlinks};
use crate::adapters::migrate::{self, Found, ImportOptions};
use crate::compiler::diagnostic::{Diagnostic, Sources, any_error, sort};
use crate::compiler::run::read_storage;
use crate::compiler::spec::{Format as Word, STORAGE, split};
use crate::compiler::yaml;
use crate::sanitize;

/// Largest list of PersistentVolumes that is read, in bytes.
const MAX_LIST: u64 = 256 << 20;

/// Create a storage document from a Pure Service Orchestrator or Portworx configuration
///
/// Tokens are written only into a separate file with a Secret, which must not be committed to Git. Settings without a
/// counterpart are reported. All input is checked before any file is written.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Values of the chart `pure-pso`, `pure-csi` or `pure-k8s-plugin`, a `pure.json`, or an object that contains them:
    /// a Secret or ConfigMap, an operator's `PSOPlugin`, a `HelmRelease`, a `HelmChart` or an Argo CD Application; `-`
    /// is standard input
    file: PathBuf,

    /// Storage document to write; `-` prints it, and a Secret is then written only with `--secret-out`
    #[arg(short, long, value_name = "FILE", default_value = "storage.pso.yaml")]
    out: PathBuf,

    /// Secret to write, with mode 0600; the default is `arrays.secret.yaml` beside the storage document. Refused where
    /// Git would track the file
    #[arg(long, value_name = "FILE")]
    secret_out: Option<PathBuf>,

    /// Replace existing files
    #[arg(long)]
    force: bool,

    /// Name of the cluster, which replaces `clusterID`
    #[arg(long, value_name = "NAME", value_parser = name)]
    cluster: Option<String>,

    /// Namespace of the storage document and its Secret
    #[arg(long, value_name = "NAME", default_value = "pso-system", value_parser = name)]
    namespace: String,

    /// Network of the cluster's nodes, such as 10.20.0.0/16; may be given several times
    #[arg(long, value_name = "CIDR", value_parser = network)]
    nodes: Vec<String>,

    /// Output of `kubectl get pv,sc -o json`: volumes of the old driver become `imports`, its StorageClasses become
    /// `classes`
    #[arg(long, value_name = "FILE")]
    volumes: Option<PathBuf>,

    /// Prefix of the names of old volumes on arrays, before `-pvc-`, where PersistentVolumes do not contain it
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
}

fn name(text: &str) -> Result<String, String> {
    formatted(text, Word::Name)
}

fn network(text: &str) -> Result<String, String> {
    formatted(text, Word::Cidr)
}

fn formatted(text: &str, format: Word) -> Result<String, String> {
    let valid = format.accepts(text).then(|| text.to_owned());
    valid.ok_or_else(|| format!("write {}", format.phrase()))
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let input =
        if args.file.as_os_str() == "-" { Input::Stdin } else { Input::File(args.file.clone()) };
    let options = ImportOptions {
        cluster: args.cluster.clone(),
        namespace: args.namespace.clone(),
        nodes: args.nodes.clone(),
        prefix: args.prefix.clone(),
    };
    let opened = migrate::open(&input.name(), input.read()?);
    let values = match opened.values {
        Ok(values) => values,
        Err(errors) => return Ok(refused(errors, &opened.sources)),
    };
    let (mut old, mut warnings) = migrate::values(&values, &options);
    warnings.extend(opened.warnings);
    let mut found = Found::default();
    if let Some(path) = &args.volumes {
        let read = migrate::volumes(&list(path)?, &mut old);
        let (volumes, more) =
            read.map_err(|problem| CommandError::VolumeList { path: shown(path), problem })?;
        found = volumes;
        warnings.extend(more);
    }
    if any_error(&warnings) {
        return Ok(refused(warnings, &opened.sources));
    }
    let document = migrate::document(&old, &found, &options)?;
    if let Some((errors, sources)) = invalid(&document) {
        return Ok(refused(errors, &sources));
    }
    let files = Files::of(args)?;
    sort(&mut warnings, &opened.sources);
    output::diagnostics(&warnings, &opened.sources, Format::Human);
    let secret = migrate::secret(&old, &options)?;
    files.write(&document, &secret, args.force)?;
    if !old.of_itself.is_empty() {
        let keys = old.of_itself.join(", ");
        output::words(&format!("left out, since it is about the old driver itself: {keys}\n"));
    }
    if args.volumes.is_some() {
        let Found { imports, left, others } = &found;
        output::words(&format!(
            "{} volumes to import, {} that need a decision (comments at the end){}\n",
            imports.len(),
            left.len(),
            listed(others),
        ));
    }
    // The old drivers did not verify certificates, so their settings name no authority.
    output::words(
        "write `ca` or `pin` at each array whose certificate no public authority has signed\n",
    );
    files.report();
    Ok(Outcome::Success)
}

/// Lists the objects of other drivers, each with its number.
fn listed(others: &BTreeMap<String, usize>) -> String {
    let each = others
        .iter()
        .map(|(what, number)| format!("{number} {}", sanitize::line(what, sanitize::LONGEST)));
    match each.collect::<Vec<_>>() {
        none if none.is_empty() => String::new(),
        each => format!("; of others, and left alone: {}", each.join(", ")),
    }
}

/// Prints the errors; nothing has been written.
fn refused(mut errors: Vec<Diagnostic>, sources: &Sources) -> Outcome {
    sort(&mut errors, sources);
    output::diagnostics(&errors, sources, Format::Human);
    output::words("nothing was written\n");
    Outcome::Failure
}

/// Returns the errors that `validate` would report for the document.
fn invalid(document: &str) -> Option<(Vec<Diagnostic>, Sources)> {
    let sources = Sources::default();
    let read = yaml::read(sources.add("the storage document", document), &sources);
    let mut errors = read.diagnostics;
    for node in read.documents {
        match split(node, &[STORAGE.to_owned()]) {
            Ok(document) => errors.extend(read_storage(&document).err().into_iter().flatten()),
            Err(other) => errors.push(other),
        }
    }
    any_error(&errors).then_some((errors, sources))
}

/// Reads a list of PersistentVolumes, which may be larger than a document.
fn list(path: &Path) -> Result<String, CommandError> {
    let failed = |source| CommandError::Read { path: path.display().to_string(), source };
    let mut text = String::new();
    if path.as_os_str() == "-" {
        io::stdin().lock().take(MAX_LIST).read_to_string(&mut text).map_err(failed)?;
    } else {
        symlinks::open(path)?.take(MAX_LIST).read_to_string(&mut text).map_err(failed)?;
    }
    Ok(text)
}

/// The output files.
struct Files {
    /// `None` for standard output.
    document: Option<PathBuf>,
    secret: Option<PathBuf>,
}

impl Files {
    /// Determines the output files, and checks that they may be written.
    fn of(args: &Args) -> Result<Self, CommandError> {
        let document = Some(args.out.clone()).filter(|path| path.as_os_str() != "-");
        let beside = document.as_ref().map(|path| path.with_file_name("arrays.secret.yaml"));
        let secret = args.secret_out.clone().or(beside);
        for path in document.iter().chain(&secret) {
            if !args.force && path.symlink_metadata().is_ok() {
                return Err(CommandError::Exists { path: shown(path) });
            }
        }
        if document.is_some() && document == secret {
            return Err(CommandError::SameFile);
        }
        if let Some(path) = secret.as_ref().filter(|path| kept_by_git(path)) {
            return Err(CommandError::SecretInGit { path: shown(path) });
        }
        Ok(Self { document, secret })
    }

    /// Writes both files, or none.
    fn write(&self, document: &str, secret: &str, force: bool) -> Result<(), CommandError> {
        if let Some(path) = &self.secret {
            put(path, secret, force, PRIVATE)?;
        }
        let Some(path) = &self.document else { return output::data(document) };
        let written = put(path, document, force, PUBLIC);
        if written.is_err()
            && !force
            && let Some(secret) = &self.secret
        {
            // Remove the tokens, because the user will not learn of this file.
            let _ = fs::remove_file(secret);
        }
        written
    }

    fn report(&self) {
        if let Some(path) = &self.document {
            let path = path.display();
            output::words(&format!("wrote {path}; check it: pso-gen validate {path}\n"));
        }
        if let Some(path) = &self.secret {
            let path = path.display();
            output::words(&format!(
                "wrote {path} with the tokens, for you alone to read: kubectl apply -f {path}; keep it out of Git\n"
            ));
        }
    }
}

/// Mode of files that only the owner can read.
const PRIVATE: u32 = 0o600;
/// Mode of other files, before the umask.
const PUBLIC: u32 = 0o666;

/// Writes a file. With `force`, it replaces an existing file. An existing link is replaced, and its target stays
/// unchanged.
fn put(path: &Path, text: &str, force: bool, mode: u32) -> Result<(), CommandError> {
    let failed = |source| CommandError::Write { path: path.display().to_string(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // A rule that ignores the file also ignores the temporary file of an aborted run.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut file = tempfile::Builder::new()
        .suffix(&format!(".{name}"))
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    let persisted = if force { file.persist(path) } else { file.persist_noclobber(path) };
    persisted.map(drop).map_err(|error| failed(error.error))
}

/// Returns whether a file is in a work tree of Git and not ignored there. Returns true when that cannot be determined.
fn kept_by_git(path: &Path) -> bool {
    let Ok(full) = std::path::absolute(path) else { return true };
    let Some(folder) = full.parent() else { return true };
    if !folder.ancestors().any(|folder| folder.join(".git").exists()) {
        return false;
    }
    let mut git = git::command(folder);
    git.args(["check-ignore", "--quiet", "--"]).arg(&full);
    let status = git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    !status.is_ok_and(|status| status.success())
}
