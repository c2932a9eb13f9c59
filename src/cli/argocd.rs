//! `pso-gen argocd`: the commands that `plugin.yaml` names, run by Argo CD's sidecar in an application's
//! folder. Here the folder's writers are not trusted: nothing outside the repository is read, and
//! what is given is held within limits far inside Argo CD's deadline.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bounds::Bounds;
use super::files::Ignored;
use super::input::{Application, InputArgs};
use super::out::{self, Format};
use super::request::{Limits, Request};
use super::sink::Stream;
use super::{CommandError, Outcome, render};
use crate::adapters::argocd::{
    Announcement, Files, PARAMETER, PARAMETERS, Repository, announce, environment, parameters,
    screen,
};
use crate::compiler::blueprint::name_of;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, Sources};
use crate::compiler::run::Side;
use crate::compiler::spec::{Given, Setting};
use crate::sanitize;

/// Argo CD gives a request 60 s, the upload of the repository included, and then kills the command without a
/// word (`controller.repo.server.timeout.seconds`). What waits and what works is less than that together.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(30), patience: Duration::from_secs(20) };
/// The most that is read of one application's app files.
const LIMITS: Limits = Limits { files: 10_000, bytes: 32 << 20 };
/// Most bytes of manifests: as much as Argo CD passes on, unless its `ARGOCD_GRPC_MAX_SIZE_MB` is raised.
const MAX_OUTPUT: u64 = 100 << 20;
/// Most apps of one folder whose parameters are listed: more fill no page that somebody reads.
const MAX_ANNOUNCED: usize = 20;
/// Most apps of one folder whose fields variables are looked for in.
const MAX_NAMED: usize = 1000;

/// Be Argo CD's config management plugin
///
/// The commands in `plugin.yaml`. They take the current folder for the application's, and read
/// `ARGOCD_APP_PARAMETERS`, `ARGOCD_ENV_…`, `ARGOCD_APP_NAMESPACE`, `ARGOCD_APP_PROJECT_NAME` and
/// `ARGOCD_APP_SOURCE_PATH`; and `PSO_GEN_TENANT_RULES`, which the platform sets in the sidecar.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum Command {
    /// Print the application's manifests
    ///
    /// Parameters and variables act like `--set`, parameters last. With any error, nothing is printed,
    /// and the errors fit on one screen.
    Generate,
    /// Print the parameters of the folder's apps
    ///
    /// A JSON list for the page "Parameters": every field of `spec` with its purpose, type and what the
    /// file says now.
    Parameters,
}

/// The output of a command, before it is printed.
enum Made {
    Manifests {
        first: String,
        rest: Stream,
    },
    Parameters(String),
    /// Nothing; the errors are told.
    Refused,
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let command = args.command;
    let made = BOUNDS.hold(move || {
        let told = Told::read()?;
        match command {
            Command::Generate => generate(&told),
            Command::Parameters => list(&told),
        }
    })?;
    // Written only now, when nothing can stop it half-way.
    match made {
        Made::Manifests { first, rest } => rest.finish(&first)?,
        Made::Parameters(text) => out::data(&text)?,
        Made::Refused => return Ok(Outcome::Failure),
    }
    Ok(Outcome::Success)
}

/// What Argo CD tells by way of the environment and the current folder.
struct Told {
    repository: Repository,
    variables: Vec<(String, String)>,
}

impl Told {
    /// Reads it, and makes the repository's top the current folder, so that places are named as in Git.
    fn read() -> Result<Self, CommandError> {
        let failed = |source| CommandError::Read { path: ".".to_owned(), source };
        let folder = env::current_dir().and_then(fs::canonicalize).map_err(failed)?;
        let text = |word: OsString| word.to_string_lossy().into_owned();
        let variables: Vec<_> =
            env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        let mut told = Self { repository: Repository::new(&folder, ""), variables };
        told.repository = Repository::new(&folder, told.variable("ARGOCD_APP_SOURCE_PATH"));
        env::set_current_dir(&told.repository.top).map_err(failed)?;
        Ok(told)
    }

    fn variable(&self, name: &str) -> &str {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The folder's name to people.
    fn folder(&self) -> String {
        match self.repository.app.display().to_string() {
            path if path.is_empty() => ".".to_owned(),
            path => path,
        }
    }

    fn input(&self, files: &Files, wrong: &mut Vec<Diagnostic>, sources: &Sources) -> InputArgs {
        let mut all = |name: &str, paths: &[String], wanted: PathKind| {
            let mut found = Vec::new();
            for path in paths {
                match self.inside(path, wanted) {
                    Ok(path) => found.push(path),
                    Err((message, fix)) => {
                        let source = sources.add(format!("{PARAMETER}{name}"), path.as_str());
                        let place = Place::in_text(source, path, 0, path.len());
                        wrong.push(Diagnostic::new(Code::BadParameter, place, message).fix(fix));
                    }
                }
            }
            found
        };
        let namespace = self.variable("ARGOCD_APP_NAMESPACE");
        InputArgs {
            paths: vec![PathBuf::from(self.folder())],
            layers: all("layers", &files.layers, PathKind::File),
            settings: Vec::new(),
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            blueprints: all("blueprints", &files.blueprints, PathKind::Folder),
            storage: all("storage", &files.storage, PathKind::File),
            tenant_rules: Vec::new(),
            application: Some(Application {
                project: self.variable("ARGOCD_APP_PROJECT_NAME").to_owned(),
                namespace: namespace.to_owned(),
            }),
            ignored: Ignored::None,
            side: Side::Today,
            today: None,
        }
    }

    /// Returns a file or folder of the repository as it is called from its top, with all links followed:
    /// one that leads out of the repository is not there.
    fn inside(&self, path: &str, wanted: PathKind) -> Result<PathBuf, (String, String)> {
        let fix =
            "name it from the application's folder, or from the repository's top: `/base/all.yaml`";
        let no = |message: String| Err((message, fix.to_owned()));
        let Some(there) = self.repository.place(path) else {
            return no(format!(
                "Argo CD has not sent `{path}`; the annotation manifest-generate-paths leaves it out"
            ));
        };
        let Ok(real) = fs::canonicalize(there) else {
            return no(format!("there is no `{path}` in the repository"));
        };
        let Ok(below) = real.strip_prefix(&self.repository.top) else {
            return no(format!("`{path}` is outside the repository"));
        };
        if below.starts_with(".git") {
            return no(format!("`{path}` belongs to Git"));
        }
        let right = match wanted {
            PathKind::File => real.is_file(),
            PathKind::Folder => real.is_dir(),
        };
        if !right || below == Path::new("") {
            return no(format!("`{path}` is no {}", wanted.word()));
        }
        Ok(below.to_owned())
    }
}

#[derive(Clone, Copy)]
enum PathKind {
    File,
    Folder,
}

impl PathKind {
    fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
        }
    }
}

fn generate(told: &Told) -> Result<Made, CommandError> {
    let again = format!("pso-gen validate {}", told.folder());
    let early = Sources::default();
    let (files, given) = match parameters(told.variable(PARAMETERS), &early) {
        Ok(found) => found,
        Err(wrong) => return Ok(refuse(&wrong, &early, &again)),
    };
    let mut wrong = Vec::new();
    let input = told.input(&files, &mut wrong, &early);
    if !wrong.is_empty() {
        return Ok(refuse(&wrong, &early, &again));
    }
    let mut request = Request::read_within(&input, LIMITS)?;
    set(&mut request, told, given);
    let stream = Stream::at_most(MAX_OUTPUT);
    let (rest, first, summary, sources) = render::gather(request, stream)?;
    if summary.is_broken() {
        return Ok(refuse(&summary.diagnostics, &sources, &again));
    }
    out::diagnostics(&summary.diagnostics, &sources, Format::Human);
    Ok(Made::Manifests { first, rest })
}

/// Puts variables, then parameters, over everything else.
fn set(request: &mut Request, told: &Told, given: Vec<Given>) {
    let is_ours =
        |(name, _): &&(String, String)| name.starts_with(crate::adapters::argocd::VARIABLE);
    let variables: Vec<_> = told.variables.iter().filter(is_ours).cloned().collect();
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    if !variables.is_empty() {
        let announced = announced(request, MAX_NAMED).unwrap_or_default();
        (all, wrong) = environment(&variables, &announced, &request.sources);
    }
    all.extend(given);
    let mut settings = Vec::new();
    for given in &all {
        match Setting::given(given, &request.sources) {
            Ok(setting) => settings.push(setting),
            Err(diagnostic) => wrong.push(diagnostic),
        }
    }
    request.set(settings, wrong);
}

fn refuse(wrong: &[Diagnostic], sources: &Sources, again: &str) -> Made {
    out::words(&screen(wrong, sources, again));
    Made::Refused
}

fn list(told: &Told) -> Result<Made, CommandError> {
    let input = told.input(&Files::default(), &mut Vec::new(), &Sources::default());
    let request = Request::read_within(&input, LIMITS)?;
    let announced = announced(&request, MAX_ANNOUNCED).unwrap_or_else(|| {
        out::words(&format!("more than {MAX_ANNOUNCED} apps: their parameters are not listed\n"));
        Vec::new()
    });
    let list = format!("{:#}\n", serde_json::to_value(announced)?);
    Ok(Made::Parameters(sanitize::json(&list)))
}

/// Returns the parameters of all apps; none when there are more apps than `most`.
fn announced(request: &Request, most: usize) -> Option<Vec<Announcement>> {
    let apps = request.apps(most)?;
    let several = apps.len() > 1;
    let mut all = Vec::new();
    for document in &apps {
        let Some(Ok(blueprint)) = request.library.get(&document.kind, &request.sources) else {
            continue;
        };
        let name = several.then(|| name_of(document, blueprint)).flatten();
        if several && name.is_none() {
            continue;
        }
        all.extend(announce(blueprint.shape(), &document.node, name.as_deref()));
    }
    Some(all)
}
