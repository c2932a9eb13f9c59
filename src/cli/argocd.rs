//! `pso-gen argocd`: the commands in `plugin.yaml`, which Argo CD's sidecar runs in an application's
//! folder. Here the folder's writers are not trusted: nothing outside the repository is read, and
//! what is given is held within limits far inside Argo CD's deadline.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::input_args::{Application, InputArgs};
use super::input_files::Ignored;
use super::manifest_output::BufferedOutput;
use super::output::{self, Format};
use super::request::{InputLimits, Request};
use super::resource_limits::ResourceLimits;
use super::{CommandError, Outcome, render};
use crate::adapters::argocd::{
    Announcement, Files, PARAMETER, PARAMETERS, Repository, announce, environment,
    parse_parameters, screen,
};
use crate::compiler::blueprint::name_of;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, Sources};
use crate::compiler::run::Side;
use crate::compiler::spec::{Given, Setting};
use crate::sanitize;

/// Argo CD kills the command after 60 s, including the upload of the repository
/// (`controller.repo.server.timeout.seconds`). Waiting and work together take less than that.
const BOUNDS: ResourceLimits =
    ResourceLimits { time: Duration::from_secs(30), patience: Duration::from_secs(20) };
/// Largest app files of one application.
const LIMITS: InputLimits = InputLimits { files: 10_000, bytes: 32 << 20 };
/// Largest manifests, in bytes: the limit of Argo CD, unless its `ARGOCD_GRPC_MAX_SIZE_MB` is raised.
const MAX_OUTPUT: u64 = 100 << 20;
/// Largest number of apps in one folder whose parameters are listed; a longer page could not be read.
const MAX_ANNOUNCED: usize = 20;
/// Largest number of apps in one folder whose fields are compared with variables.
const MAX_NAMED: usize = 1000;

/// Run as an Argo CD config management plugin
///
/// The commands in `plugin.yaml`. The current folder is the application's. The commands read
/// `ARGOCD_APP_PARAMETERS`, `ARGOCD_ENV_…`, `ARGOCD_APP_NAMESPACE`, `ARGOCD_APP_PROJECT_NAME` and
/// `ARGOCD_APP_SOURCE_PATH`; and `PSO_GEN_TENANT_RULES`, which the platform admin sets in the sidecar.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum Command {
    /// Print the application's manifests
    ///
    /// Parameters and variables act like `--set`; parameters override variables. If there is an error, no manifest is
    /// printed, and the errors fit on one screen.
    Generate,
    /// Print the parameters of the folder's apps
    ///
    /// A JSON list for the page "Parameters": every field of `spec` with its purpose, type and present value.
    Parameters,
}

/// The output of a command, before it is printed.
enum Output {
    Manifests {
        first: String,
        rest: BufferedOutput,
    },
    Parameters(String),
    /// Nothing; the errors have been printed.
    Refused,
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let command = args.command;
    let made = BOUNDS.hold(move || {
        let plugin = PluginEnvironment::read()?;
        match command {
            Command::Generate => generate(&plugin),
            Command::Parameters => list(&plugin),
        }
    })?;
    // Printed only now, because the limits could stop the command before.
    match made {
        Output::Manifests { first, rest } => rest.finish(&first)?,
        Output::Parameters(text) => output::data(&text)?,
        Output::Refused => return Ok(Outcome::Failure),
    }
    Ok(Outcome::Success)
}

/// The environment and the current folder, as Argo CD sets them.
struct PluginEnvironment {
    repository: Repository,
    variables: Vec<(String, String)>,
}

impl PluginEnvironment {
    /// Reads them, and changes the current folder to the repository's top, so that paths are those in Git.
    fn read() -> Result<Self, CommandError> {
        let failed = |source| CommandError::Read { path: ".".to_owned(), source };
        let folder = env::current_dir().and_then(fs::canonicalize).map_err(failed)?;
        let text = |word: OsString| word.to_string_lossy().into_owned();
        let variables: Vec<_> =
            env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        let mut plugin = Self { repository: Repository::new(&folder, ""), variables };
        plugin.repository = Repository::new(&folder, plugin.variable("ARGOCD_APP_SOURCE_PATH"));
        env::set_current_dir(&plugin.repository.top).map_err(failed)?;
        Ok(plugin)
    }

    fn variable(&self, name: &str) -> &str {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Returns the folder's name for display.
    fn folder(&self) -> String {
        match self.repository.app.display().to_string() {
            path if path.is_empty() => ".".to_owned(),
            path => path,
        }
    }

    fn input(&self, files: &Files, errors: &mut Vec<Diagnostic>, sources: &Sources) -> InputArgs {
        let mut all = |name: &str, paths: &[String], wanted: PathKind| {
            let mut found = Vec::new();
            for path in paths {
                match self.inside(path, wanted) {
                    Ok(path) => found.push(path),
                    Err((message, fix)) => {
                        let source = sources.add(format!("{PARAMETER}{name}"), path.as_str());
                        let place = Place::in_text(source, path, 0, path.len());
                        errors.push(Diagnostic::new(Code::BadParameter, place, message).fix(fix));
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

    /// Returns the path of a file or folder from the repository's top, with all links followed. A target outside of the
    /// repository is an error.
    fn inside(&self, path: &str, wanted: PathKind) -> Result<PathBuf, (String, String)> {
        let fix =
            "name it from the application's folder, or from the repository's top: `/base/all.yaml`";
        let no = |message: String| Err((message, fix.to_owned()));
        let Some(place) = self.repository.place(path) else {
            return no(format!(
                "Argo CD has not sent `{path}`; the annotation manifest-generate-paths leaves it out"
            ));
        };
        let Ok(real) = fs::canonicalize(place) else {
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
            return no(format!("`{path}` is not a {}", wanted.word()));
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

fn generate(plugin: &PluginEnvironment) -> Result<Output, CommandError> {
    let again = format!("pso-gen validate {}", plugin.folder());
    let early = Sources::default();
    let (files, given) = match parse_parameters(plugin.variable(PARAMETERS), &early) {
        Ok(found) => found,
        Err(errors) => return Ok(refuse(&errors, &early, &again)),
    };
    let mut errors = Vec::new();
    let input = plugin.input(&files, &mut errors, &early);
    if !errors.is_empty() {
        return Ok(refuse(&errors, &early, &again));
    }
    let mut request = Request::read_within(&input, LIMITS)?;
    set(&mut request, plugin, given);
    let stream = BufferedOutput::at_most(MAX_OUTPUT);
    let (rest, first, summary, sources) = render::gather(request, stream)?;
    if summary.is_broken() {
        return Ok(refuse(&summary.diagnostics, &sources, &again));
    }
    output::diagnostics(&summary.diagnostics, &sources, Format::Human);
    Ok(Output::Manifests { first, rest })
}

/// Adds variables, then parameters, which override everything else.
fn set(request: &mut Request, plugin: &PluginEnvironment, given: Vec<Given>) {
    let is_ours =
        |(name, _): &&(String, String)| name.starts_with(crate::adapters::argocd::VARIABLE);
    let variables: Vec<_> = plugin.variables.iter().filter(is_ours).cloned().collect();
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    if !variables.is_empty() {
        let announced = announced(request, MAX_NAMED).unwrap_or_default();
        (all, errors) = environment(&variables, &announced, &request.sources);
    }
    all.extend(given);
    let mut settings = Vec::new();
    for given in &all {
        match Setting::given(given, &request.sources) {
            Ok(setting) => settings.push(setting),
            Err(diagnostic) => errors.push(diagnostic),
        }
    }
    request.set(settings, errors);
}

fn refuse(errors: &[Diagnostic], sources: &Sources, again: &str) -> Output {
    output::words(&screen(errors, sources, again));
    Output::Refused
}

fn list(plugin: &PluginEnvironment) -> Result<Output, CommandError> {
    let input = plugin.input(&Files::default(), &mut Vec::new(), &Sources::default());
    let request = Request::read_within(&input, LIMITS)?;
    let announced = announced(&request, MAX_ANNOUNCED).unwrap_or_else(|| {
        output::words(&format!(
            "more than {MAX_ANNOUNCED} apps: their parameters are not listed\n"
        ));
        Vec::new()
    });
    let list = format!("{:#}\n", serde_json::to_value(announced)?);
    Ok(Output::Parameters(sanitize::json(&list)))
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
