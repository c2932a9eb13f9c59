//! One run over all inputs: read, render in parallel, check what concerns several apps, in order.

use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::sync::atomic::AtomicU32;

use super::batch::{self, Batch, Batches, in_parallel};
use super::files::{self, Input};
use super::input::InputArgs;
use super::{Trouble, missed, out, screen, tenant};
use crate::compiler::blueprint::{Classes, Library};
use crate::compiler::check::{self, Facts, Run, Storages};
use crate::compiler::compile;
use crate::compiler::diagnostic::{Code, Diagnostic, Sources, any_error, sort};
use crate::compiler::manifest::Object;
use crate::compiler::run::{Layer, Pipeline, Rendered, Side, Unit, read_storage};
use crate::compiler::spec::{Document, STORAGE, Setting, Tenancy, split};
use crate::compiler::yaml::{self, Node};
use crate::contract::StorageSpec;
use crate::contract::storage::QuotaSpec;

/// Errors after which nothing further is rendered.
const MOST_ERRORS: usize = 1000;
/// From how many files on a person wants to see that something goes on.
const PROGRESS: usize = 500;

/// Everything that a run has read before the apps themselves.
#[derive(Debug)]
pub(super) struct InputRun {
    /// The texts.
    pub(super) sources: Sources,
    /// The blueprints.
    pub(super) library: Library,
    inputs: Vec<Input>,
    classes: Classes,
    quotas: Vec<QuotaSpec>,
    layers: Vec<Layer>,
    settings: Vec<Setting>,
    namespace: Option<Setting>,
    tenancy: Tenancy,
    today: String,
    side: Side,
    /// What to do when there are no inputs.
    missed: Option<String>,
    /// What is wrong with what has been read.
    wrong: Vec<Diagnostic>,
}

/// What a run over all inputs found, beside what it handed out.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Everything that is wrong or doubtful, in order.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// How many apps there were.
    pub(super) apps: usize,
    /// How many storage documents.
    pub(super) storage: usize,
    /// The Namespaces of all apps.
    pub(super) namespaces: Vec<Object>,
}

impl Summary {
    /// Whether output is refused.
    pub(super) fn is_broken(&self) -> bool {
        any_error(&self.diagnostics)
    }
}

/// What is left of a document when it has been rendered.
struct Done<T> {
    storage: usize,
    references: Vec<check::Reference>,
    apps: Vec<Facts>,
    diagnostics: Vec<Diagnostic>,
    prepared: T,
}

impl InputRun {
    /// Reads blueprints, layers, settings and storage documents.
    pub(super) fn open(args: &InputArgs) -> Result<Self, Trouble> {
        let found = files::find(&args.paths, args.ignored)?;
        let sources = Sources::default();
        let mut wrong = Vec::new();
        let tenancy = tenant::tenancy(args, &sources, &mut wrong)?;
        let mut folders = Vec::new();
        for folder in args.blueprints.iter().chain(&found.blueprints) {
            match check::tenant_blueprints(&files::shown(folder), &tenancy) {
                Some(refused) => wrong.push(refused),
                None => folders.extend(files::read_blueprints(folder)?),
            }
        }
        let library = match Library::new(folders, &sources) {
            Ok(library) => library,
            Err(diagnostics) => {
                wrong.extend(diagnostics);
                Library::default()
            }
        };
        let mut layers = Vec::new();
        for path in &args.layers {
            let input = Input::File(path.clone());
            let read = batch::read(&input, &sources)?;
            wrong.extend(read.diagnostics);
            layers.extend(read.documents.into_iter().map(Layer::new));
        }
        let mut settings = Vec::new();
        for text in &args.settings {
            match Setting::parse("--set", text, &sources) {
                Ok(setting) => settings.push(setting),
                Err(diagnostic) => wrong.push(diagnostic),
            }
        }
        let mut namespace = None;
        if let Some(name) = &args.namespace {
            match Setting::namespace(name, &sources) {
                Ok(setting) => namespace = Some(setting),
                Err(diagnostic) => wrong.push(diagnostic),
            }
        }
        let mut session = Self {
            sources,
            library,
            missed: found.inputs.is_empty().then(|| missed::missed(&args.paths)).flatten(),
            inputs: found.inputs,
            classes: Classes::default(),
            quotas: Vec::new(),
            layers,
            settings,
            namespace,
            tenancy,
            today: args.day(),
            side: args.side,
            wrong,
        };
        session.read_storage(&args.storage)?;
        Ok(session)
    }

    /// How many bytes of app files there are, by what the file system says.
    pub(super) fn bytes(&self) -> u64 {
        self.inputs.iter().map(Input::size).sum()
    }

    /// How many app files there are.
    pub(super) fn files(&self) -> usize {
        self.inputs.len()
    }

    /// Takes further settings, on top of those that it has, and what is wrong with others.
    pub(super) fn set(&mut self, settings: Vec<Setting>, wrong: Vec<Diagnostic>) {
        self.settings.extend(settings);
        self.wrong.extend(wrong);
    }

    /// Reads the documents of apps, as far as they can be read: what is wrong with the others is told when
    /// they are rendered. Returns nothing when there are more than `most`.
    pub(super) fn apps(&self, most: usize) -> Result<Option<Vec<Document>>, Trouble> {
        let kinds = self.library.kinds();
        let mut apps = Vec::new();
        for batch in Batches::new(&self.inputs, &self.sources) {
            let documents = batch?.documents.into_iter();
            apps.extend(documents.filter_map(|node| split(node, &kinds).ok()));
            if apps.len() > most {
                return Ok(None);
            }
        }
        Ok(Some(apps))
    }

    /// Storage documents come first wherever they stand: apps depend on their classes and quotas.
    fn read_storage(&mut self, named: &[std::path::PathBuf]) -> Result<(), Trouble> {
        let mut specs: Vec<StorageSpec> = Vec::new();
        let mut storages = Storages::default();
        let mut read_files = HashSet::new();
        let named = named.iter().map(|path| (Input::File(path.clone()), true));
        let inputs = self.inputs.iter().filter(|input| **input != Input::Stdin);
        for (input, must) in named.chain(inputs.map(|input| (input.clone(), false))) {
            // One that is named and among the inputs too is one.
            if let Input::File(path) = &input
                && !read_files.insert(path.canonicalize().unwrap_or_else(|_| path.clone()))
            {
                continue;
            }
            let bytes = input.read()?;
            // Most files are apps; those are not parsed twice.
            let mentions = bytes.windows(STORAGE.len()).any(|window| window == STORAGE.as_bytes());
            if !must && !mentions {
                continue;
            }
            let Ok(source) = yaml::decode(&input.name(), bytes, &self.sources) else {
                continue;
            };
            let read = yaml::read(source, &self.sources);
            let kinds = [STORAGE.to_owned()];
            let documents = read.documents.into_iter().filter_map(|node| split(node, &kinds).ok());
            let mut any = false;
            for document in documents {
                any = true;
                match read_storage(&document) {
                    Ok((_, spec)) => {
                        self.wrong.extend(storages.add(&spec, &document.node));
                        specs.push(spec);
                    }
                    // A file among the inputs is told when it is rendered.
                    Err(wrong) if must => self.wrong.extend(wrong),
                    Err(_) => {}
                }
            }
            if must && !any {
                let place = crate::compiler::diagnostic::Place::start_of(source);
                let message = "there is no document of the kind `Storage`";
                self.wrong.push(Diagnostic::new(Code::UnknownKind, place, message));
            }
        }
        for spec in &specs {
            self.classes.add(spec);
            self.quotas.extend(spec.quotas.iter().cloned());
        }
        Ok(())
    }

    /// Renders every input. `prepare` runs in parallel, `take` in the order of the inputs, with what
    /// `prepare` made of each; nothing is handed out any more once something is wrong, unless it is the
    /// earlier side of a comparison.
    pub(super) fn run<T: Send>(
        self,
        prepare: impl Fn(&Unit) -> Result<T, Trouble> + Sync,
        mut take: impl FnMut(T) -> Result<(), Trouble>,
    ) -> Result<(Summary, Sources), Trouble> {
        let Self {
            sources,
            library,
            inputs,
            classes,
            quotas,
            layers,
            settings,
            namespace,
            tenancy,
            today,
            side,
            missed,
            wrong,
        } = self;
        let settings = settings.into_iter().map(|setting| (setting, AtomicU32::new(0))).collect();
        let pipeline = Pipeline {
            sources: &sources,
            library: &library,
            classes,
            layers,
            settings,
            namespace,
            tenancy,
            today,
            side,
        };
        // What was applied earlier is not judged again: only what cannot be rendered is reported.
        let judges = side == Side::Today;
        let mut summary = Summary { diagnostics: wrong, ..Summary::default() };
        let mut run = Run::new(&quotas);
        let mut documents = 0;
        let mut enough = false;
        let progress = inputs.len() >= PROGRESS && io::stderr().is_terminal() && !screen::is_dumb();
        let mut batches = Batches::new(&inputs, &sources);
        while !enough && let Some(batch) = batches.next() {
            let Batch { documents: nodes, diagnostics } = batch?;
            if progress {
                let read = inputs.len() - batches.left();
                out::words(&format!("\r{read} of {} files", inputs.len()));
            }
            documents += nodes.len();
            summary.diagnostics.extend(diagnostics);
            for done in in_parallel(nodes, |node| one(&pipeline, node, &prepare)) {
                let Done { storage, references, apps, diagnostics, prepared } = done?;
                run.refer(references);
                summary.storage += storage;
                summary.apps += apps.len();
                summary.diagnostics.extend(diagnostics);
                for app in &apps {
                    let met = run.add(app);
                    summary.diagnostics.extend(met.into_iter().filter(|_| judges));
                }
                if !judges || !any_error(&summary.diagnostics) {
                    take(prepared)?;
                }
            }
            let errors = summary.diagnostics.iter().filter(|found| found.is_error()).count();
            enough = judges && errors > MOST_ERRORS;
        }
        if progress {
            out::words("\r\x1b[K");
        }
        if judges {
            summary.diagnostics.extend(run.finish());
            if !enough {
                summary.diagnostics.extend(pipeline.misused());
            }
            if documents == 0 && !any_error(&summary.diagnostics) {
                summary.diagnostics.push(nothing(&inputs, missed));
            }
        }
        summary.namespaces = run
            .namespaces()
            .map(|n| compile::namespace(&n.name, n.profile, n.holds_data))
            .collect();
        sort(&mut summary.diagnostics, &sources);
        Ok((summary, sources))
    }
}

fn one<T>(
    pipeline: &Pipeline<'_>,
    node: Node,
    prepare: &(impl Fn(&Unit) -> Result<T, Trouble> + Sync),
) -> Result<Done<T>, Trouble> {
    let mut unit = pipeline.documents(vec![node], Vec::new());
    let facts = |rendered: &Rendered| Facts::of(&rendered.app, &rendered.compiled);
    Ok(Done {
        storage: unit.storage.len(),
        references: std::mem::take(&mut unit.references),
        apps: unit.apps.iter().map(facts).collect(),
        diagnostics: std::mem::take(&mut unit.diagnostics),
        prepared: prepare(&unit)?,
    })
}

fn nothing(inputs: &[Input], missed: Option<String>) -> Diagnostic {
    let message = match inputs {
        [] => "there is no file called `*.pso.yaml` or `pso.yaml` here".to_owned(),
        [only] => format!("{} is empty", only.name()),
        many => format!("{} files are empty", many.len()),
    };
    Diagnostic::new(Code::NothingToDo, None, message).fix(missed.unwrap_or_else(|| {
        "name a file or folder, or create an app with `pso-gen init`".to_owned()
    }))
}
