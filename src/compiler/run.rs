//! The whole road, from texts to ordered output: everything that one call of the program renders.
//!
//! Storage documents come first wherever they stand, since apps depend on their classes and quotas. Then each
//! document is rendered by itself ([`Pipeline`]), in parallel, and handed out in order. Last come the rules that
//! concern several documents: collisions, quotas, namespaces, layers that change nothing.
//!
//! Pure: texts, layers, settings and the day come in as values. Knows neither files nor a terminal; every
//! command and adapter that renders goes this way.

mod document;
mod input;
mod layer;
mod read;

use std::collections::HashSet;
use std::sync::atomic::AtomicU32;

use crate::compiler::blueprint::{Classes, Library};
use crate::compiler::check::{self, AcrossApps, Facts, Storages};
use crate::compiler::compile;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, SourceId, Sources, any_error, sort};
use crate::compiler::manifest::Object;
use crate::compiler::spec::{Document, STORAGE, Setting, Tenancy, split};
use crate::compiler::yaml::Node;
use crate::contract::storage::QuotaSpec;
pub use document::{Pipeline, Rendered, Side, Stored, Unit};
use input::{Batch, Batches};
pub use input::{Input, in_parallel};
pub use layer::Layer;
pub use read::{read_storage, read_tenant_rules, storage_shape, tenant_rules_shape};

/// Errors after which nothing further is rendered.
const MOST_ERRORS: usize = 1000;

/// Everything but the inputs: the same for all documents of a run.
#[derive(Debug)]
pub struct Options {
    /// Layers, the last one on top.
    pub layers: Vec<Layer>,
    /// Single values, on top of all layers.
    pub settings: Vec<Setting>,
    /// The namespace of apps that name none.
    pub namespace: Option<Setting>,
    /// The platform's rules, where the apps are a tenant's.
    pub tenancy: Tenancy,
    /// The day of the run, `2026-12-24`, for apps that expire.
    pub today: String,
    /// Which side of a comparison this is.
    pub side: Side,
}

/// The inputs of a run.
#[derive(Debug, Default)]
pub struct Inputs {
    /// The documents to render, in order.
    pub rendered: Vec<Input>,
    /// Texts with storage documents that count and are not rendered. A text that is rendered, too, is read once.
    pub storage: Vec<SourceId>,
}

/// All documents of one call, ready to be rendered.
#[derive(Debug)]
pub struct Run<'r> {
    pipeline: Pipeline<'r>,
    quotas: Vec<QuotaSpec>,
    inputs: Vec<Input>,
    diagnostics: Vec<Diagnostic>,
}

/// The result of a run, besides the rendered documents.
#[derive(Debug, Default)]
pub struct Summary {
    /// All errors and warnings, in the order of files and places.
    pub diagnostics: Vec<Diagnostic>,
    /// How many documents there were.
    pub documents: usize,
    /// How many apps were rendered.
    pub apps: usize,
    /// How many storage documents were rendered.
    pub storage: usize,
    /// The Namespaces of all apps.
    pub namespaces: Vec<Object>,
}

impl Summary {
    /// Returns whether output is refused.
    pub fn is_broken(&self) -> bool {
        any_error(&self.diagnostics)
    }
}

/// The parts of a document that are kept after it was rendered.
struct Done<T> {
    storage: usize,
    references: Vec<check::Reference>,
    apps: Vec<Facts>,
    diagnostics: Vec<Diagnostic>,
    prepared: T,
}

impl<'r> Run<'r> {
    /// Returns a run over inputs. `diagnostics` are those of the inputs so far.
    pub fn new(
        sources: &'r Sources,
        library: &'r Library,
        options: Options,
        inputs: Inputs,
        mut diagnostics: Vec<Diagnostic>,
    ) -> Self {
        let (classes, quotas) = storage(sources, &inputs, &mut diagnostics);
        let Options { layers, settings, namespace, tenancy, today, side } = options;
        let settings = settings.into_iter().map(|setting| (setting, AtomicU32::new(0))).collect();
        let pipeline = Pipeline {
            sources,
            library,
            classes,
            layers,
            settings,
            namespace,
            tenancy,
            today,
            side,
        };
        Self { pipeline, quotas, inputs: inputs.rendered, diagnostics }
    }

    /// Renders every input. `prepare` runs in parallel, `take` in the order of the inputs, with what `prepare`
    /// returned for each document. After the first error nothing more is handed to `take`, except on the earlier
    /// side of a comparison. `progress` gets the number of inputs that have been parsed.
    ///
    /// # Errors
    /// The first one of `prepare` or `take`.
    pub fn render<T: Send, E: Send>(
        self,
        prepare: impl Fn(&Unit) -> Result<T, E> + Sync,
        mut take: impl FnMut(T) -> Result<(), E>,
        mut progress: impl FnMut(usize),
    ) -> Result<Summary, E> {
        let Self { pipeline, quotas, inputs, diagnostics } = self;
        // The rules are not applied to the baseline again: only errors that prevent rendering are reported.
        let judges = pipeline.side == Side::Today;
        let mut summary = Summary { diagnostics, ..Summary::default() };
        let mut across = AcrossApps::new(&quotas);
        let mut enough = false;
        let mut batches = Batches::new(&inputs, pipeline.sources);
        while !enough && let Some(batch) = batches.next() {
            let Batch { documents, diagnostics } = batch;
            progress(inputs.len() - batches.left());
            summary.documents += documents.len();
            summary.diagnostics.extend(diagnostics);
            for done in in_parallel(documents, |node| one(&pipeline, node, &prepare)) {
                let Done { storage, references, apps, diagnostics, prepared } = done?;
                across.refer(references);
                summary.storage += storage;
                summary.apps += apps.len();
                summary.diagnostics.extend(diagnostics);
                for app in &apps {
                    let met = across.add(app);
                    summary.diagnostics.extend(met.into_iter().filter(|_| judges));
                }
                if !judges || !any_error(&summary.diagnostics) {
                    take(prepared)?;
                }
            }
            let errors = summary.diagnostics.iter().filter(|found| found.is_error()).count();
            enough = judges && errors > MOST_ERRORS;
        }
        if judges {
            summary.diagnostics.extend(across.finish());
            if !enough {
                summary.diagnostics.extend(pipeline.misused());
            }
        }
        let namespace =
            |n: check::SharedNamespace| compile::namespace(&n.name, n.profile, n.holds_data);
        summary.namespaces = across.namespaces().map(namespace).collect();
        sort(&mut summary.diagnostics, pipeline.sources);
        Ok(summary)
    }
}

/// Returns the documents of apps among inputs, as far as they can be read; the errors of the others are reported
/// when they are rendered. Returns none when there are more than `most`.
pub fn apps(
    sources: &Sources,
    library: &Library,
    inputs: &[Input],
    most: usize,
) -> Option<Vec<Document>> {
    let kinds = library.kinds();
    let mut apps = Vec::new();
    for batch in Batches::new(inputs, sources) {
        apps.extend(batch.documents.into_iter().filter_map(|node| split(node, &kinds).ok()));
        if apps.len() > most {
            return None;
        }
    }
    Some(apps)
}

/// Returns the classes and quotas of all storage documents. Errors of one that is rendered are reported when it is.
fn storage(
    sources: &Sources,
    inputs: &Inputs,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Classes, Vec<QuotaSpec>) {
    let (mut classes, mut quotas) = (Classes::default(), Vec::new());
    let mut storages = Storages::default();
    let rendered: HashSet<SourceId> = inputs
        .rendered
        .iter()
        .filter_map(|input| match input {
            Input::Text(source) => Some(*source),
            Input::Documents(_) | Input::Unreadable(_) => None,
        })
        .collect();
    let mut specs = Vec::new();
    let mut add = |nodes: Vec<Node>, reports: bool, diagnostics: &mut Vec<Diagnostic>| {
        let kinds = [STORAGE.to_owned()];
        let documents: Vec<_> =
            nodes.into_iter().filter_map(|node| split(node, &kinds).ok()).collect();
        for document in &documents {
            match read_storage(document) {
                Ok((_, spec)) => {
                    diagnostics.extend(storages.add(&spec, &document.node));
                    specs.push(spec);
                }
                Err(wrong) if reports => diagnostics.extend(wrong),
                Err(_) => {}
            }
        }
        documents.len()
    };
    for source in &inputs.storage {
        let is_rendered = rendered.contains(source);
        let (nodes, wrong) = Input::Text(*source).parse(sources);
        let is_read = wrong.is_empty();
        if !is_rendered {
            diagnostics.extend(wrong);
        }
        if add(nodes, !is_rendered, diagnostics) == 0 && is_read {
            let message = "there is no document of the kind `Storage`";
            let place = Place::start_of(*source);
            diagnostics.push(Diagnostic::new(Code::UnknownKind, place, message));
        }
    }
    for input in &inputs.rendered {
        if matches!(input, Input::Text(source) if inputs.storage.contains(source)) {
            continue;
        }
        add(input.parse_if_mentioned(sources, STORAGE), false, diagnostics);
    }
    for spec in specs {
        classes.add(&spec);
        quotas.extend(spec.quotas);
    }
    (classes, quotas)
}

fn one<T, E>(
    pipeline: &Pipeline<'_>,
    node: Node,
    prepare: &(impl Fn(&Unit) -> Result<T, E> + Sync),
) -> Result<Done<T>, E> {
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
