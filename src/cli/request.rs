//! Everything that a command renders, read once: app files, blueprints, layers, settings, storage documents.
//!
//! Decides nothing: [`compiler::run`](crate::compiler::run) renders it.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::input_args::InputArgs;
use super::input_files::{self, Input as File};
use super::path_text::shown;
use super::{CommandError, misnamed_files, output, tenant_rules, terminal};
use crate::compiler::blueprint::Library;
use crate::compiler::check;
use crate::compiler::diagnostic::{Code, Diagnostic, SourceId, Sources, any_error};
use crate::compiler::run::{
    self, Input, Inputs, Layer, Options, Run, Side, Summary, Unit, in_parallel,
};
use crate::compiler::spec::{Document, Setting};
use crate::compiler::yaml;

/// The number of files from which on a terminal shows progress.
const PROGRESS: usize = 500;

/// Everything that a command renders.
#[derive(Debug)]
pub(super) struct Request {
    /// The texts.
    pub(super) sources: Sources,
    /// The blueprints.
    pub(super) library: Library,
    options: Options,
    inputs: Inputs,
    /// Whether there was nothing in the files, and what to do about it.
    empty: Diagnostic,
    /// Errors and warnings of the inputs.
    diagnostics: Vec<Diagnostic>,
}

/// The most that is read of app files; more is refused before any of it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct InputLimits {
    /// Files.
    pub(super) files: usize,
    /// Bytes of all files, as the file system reports them.
    pub(super) bytes: u64,
}

impl Request {
    /// Reads app files, blueprints, layers, settings and storage documents.
    pub(super) fn read(args: &InputArgs) -> Result<Self, CommandError> {
        Self::read_within(args, InputLimits { files: usize::MAX, bytes: u64::MAX })
    }

    /// Does the same within limits.
    pub(super) fn read_within(args: &InputArgs, limits: InputLimits) -> Result<Self, CommandError> {
        let found = input_files::find(&args.paths, args.ignored)?;
        within(&found.inputs, limits)?;
        let sources = Sources::default();
        let mut diagnostics = Vec::new();
        let tenancy = tenant_rules::tenancy(args, &sources, &mut diagnostics)?;
        let mut folders = Vec::new();
        for folder in args.blueprints.iter().chain(&found.blueprints) {
            match check::tenant_blueprints(&shown(folder), &tenancy) {
                Some(refused) => diagnostics.push(refused),
                None => folders.extend(input_files::read_blueprints(folder)?),
            }
        }
        let library = Library::new(folders, &sources).unwrap_or_else(|errors| {
            diagnostics.extend(errors);
            Library::default()
        });
        let mut layers = Vec::new();
        for path in &args.layers {
            match decode(&File::File(path.clone()), &sources)? {
                Ok(source) => {
                    let read = yaml::read(source, &sources);
                    diagnostics.extend(read.diagnostics);
                    layers.extend(read.documents.into_iter().map(Layer::new));
                }
                Err(unreadable) => diagnostics.push(unreadable),
            }
        }
        let mut settings = Vec::new();
        for text in &args.settings {
            match Setting::parse("--set", text, &sources) {
                Ok(setting) => settings.push(setting),
                Err(diagnostic) => diagnostics.push(diagnostic),
            }
        }
        let mut namespace = None;
        if let Some(name) = &args.namespace {
            match Setting::namespace(name, &sources) {
                Ok(setting) => namespace = Some(setting),
                Err(diagnostic) => diagnostics.push(diagnostic),
            }
        }
        let inputs = read_inputs(&found.inputs, &args.storage, &sources, &mut diagnostics)?;
        let (today, side) = (args.day(), args.side);
        Ok(Self {
            sources,
            library,
            options: Options { layers, settings, namespace, tenancy, today, side },
            inputs,
            empty: empty(&found.inputs, &args.paths),
            diagnostics,
        })
    }

    /// Takes further settings, on top of those that it has, and the diagnostics of others.
    pub(super) fn set(&mut self, settings: Vec<Setting>, diagnostics: Vec<Diagnostic>) {
        self.options.settings.extend(settings);
        self.diagnostics.extend(diagnostics);
    }

    /// Returns the documents of apps; none when there are more than `most`.
    pub(super) fn apps(&self, most: usize) -> Option<Vec<Document>> {
        run::apps(&self.sources, &self.library, &self.inputs.rendered, most)
    }

    /// Renders every input, as [`Run::render`] does, and shows progress on a terminal.
    pub(super) fn render<T: Send>(
        self,
        prepare: impl Fn(&Unit) -> Result<T, CommandError> + Sync,
        take: impl FnMut(T) -> Result<(), CommandError>,
    ) -> Result<(Summary, Sources), CommandError> {
        let Self { sources, library, options, inputs, empty, diagnostics } = self;
        let (side, files) = (options.side, inputs.rendered.len());
        let shows = files >= PROGRESS && io::stderr().is_terminal() && !terminal::is_dumb();
        let progress = |parsed| {
            if shows {
                output::words(&format!("\r{parsed} of {files} files"));
            }
        };
        let run = Run::new(&sources, &library, options, inputs, diagnostics);
        let summary = run.render(prepare, take, progress);
        if shows {
            output::words("\r\x1b[K");
        }
        let mut summary = summary?;
        if side == Side::Today && summary.documents == 0 && !any_error(&summary.diagnostics) {
            // It has no place, and those come first.
            summary.diagnostics.insert(0, empty);
        }
        Ok((summary, sources))
    }
}

/// Reads each file once, also one that is named as a storage document and found among the apps.
fn read_inputs(
    files: &[File],
    storage: &[PathBuf],
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Inputs, CommandError> {
    let mut inputs = Inputs::default();
    let mut known: HashMap<PathBuf, SourceId> = HashMap::new();
    let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let all = in_parallel(files.iter().collect(), |file: &File| decode(file, sources));
    for (file, decoded) in files.iter().zip(all) {
        inputs.rendered.push(match decoded? {
            Ok(source) => {
                if let (false, Some(path)) = (storage.is_empty(), file.path()) {
                    known.insert(canonical(path), source);
                }
                Input::Text(source)
            }
            Err(unreadable) => Input::Unreadable(Box::new(unreadable)),
        });
    }
    for path in storage {
        let source = match known.get(&canonical(path)) {
            Some(source) => Ok(*source),
            None => decode(&File::File(path.clone()), sources)?,
        };
        match source {
            Ok(source) if inputs.storage.contains(&source) => {}
            Ok(source) => {
                known.insert(canonical(path), source);
                inputs.storage.push(source);
            }
            Err(unreadable) => diagnostics.push(unreadable),
        }
    }
    Ok(inputs)
}

/// Reads a file into the sources; a diagnostic if it is not a text.
fn decode(file: &File, sources: &Sources) -> Result<Result<SourceId, Diagnostic>, CommandError> {
    Ok(yaml::decode(&file.name(), file.read()?, sources))
}

fn within(files: &[File], limits: InputLimits) -> Result<(), CommandError> {
    if limits.bytes == u64::MAX {
        return Ok(());
    }
    let (count, bytes) = (files.len(), files.iter().map(File::size).sum::<u64>());
    if count > limits.files || bytes > limits.bytes {
        let InputLimits { files: most_files, bytes: most_bytes } = limits;
        return Err(CommandError::TooManyFiles { files: count, bytes, most_files, most_bytes });
    }
    Ok(())
}

fn empty(files: &[File], paths: &[PathBuf]) -> Diagnostic {
    let message = match files {
        [] => "there is no file called `*.pso.yaml` or `pso.yaml` here".to_owned(),
        [only] => format!("{} is empty", only.name()),
        many => format!("{} files are empty", many.len()),
    };
    let missed = files.is_empty().then(|| misnamed_files::missed(paths)).flatten();
    Diagnostic::new(Code::NothingToDo, None, message).fix(missed.unwrap_or_else(|| {
        "name a file or folder, or create an app with `pso-gen init`".to_owned()
    }))
}
