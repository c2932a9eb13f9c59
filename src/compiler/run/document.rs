//! One document at a time: an app or a storage document becomes objects, or diagnostics.
//!
//! Documents are independent of each other, so a run may take them in any order and on any number of threads.
//! Knows nothing of other documents, except the classes that storage documents declare.

use std::sync::atomic::{AtomicU32, Ordering};

use super::layer::Layer;
use super::read::{read_storage, storage_shape};
use crate::compiler::blueprint::{App, Classes, Library, at_the_blueprint, instantiate, name_of};
use crate::compiler::check::{self, Reference};
use crate::compiler::compile::{self, Compiled, Storage, compile};
use crate::compiler::diagnostic::{Code, Diagnostic, SourceId, Sources, any_error, nearest};
use crate::compiler::manifest::Object;
use crate::compiler::spec::{
    Document, STORAGE, Setting, Tenancy, apply_layer, apply_setting, drop_blank, split,
};
use crate::compiler::yaml::{self, Node};

/// Errors in one text after which the rest of it is left unread.
const MOST_ERRORS: usize = 200;

/// Everything that is the same for all texts of a run.
#[derive(Debug)]
pub struct Pipeline<'p> {
    /// The texts.
    pub sources: &'p Sources,
    /// The blueprints.
    pub library: &'p Library,
    /// The classes, those of the run's storage documents included.
    pub classes: Classes,
    /// Layers, the last one on top.
    pub layers: Vec<Layer>,
    /// Single values, on top of all layers, each with how many apps it has changed.
    pub settings: Vec<(Setting, AtomicU32)>,
    /// The namespace of apps that name none.
    pub namespace: Option<Setting>,
    /// The platform's rules, where the apps are a tenant's.
    pub tenancy: Tenancy,
    /// The current day, `2026-12-24`.
    pub today: String,
    /// Which side of a comparison this is.
    pub side: Side,
}

/// A side of a comparison of apps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Side {
    /// The current side: an app with an error is not rendered.
    #[default]
    Today,
    /// The baseline: current rules do not apply to it. An app is rendered if it can be, and what is found
    /// says why another one cannot.
    Earlier,
}

/// What one text becomes.
#[derive(Debug, Default)]
pub struct Unit {
    /// Its apps.
    pub apps: Vec<Rendered>,
    /// Its storage documents.
    pub storage: Vec<Stored>,
    /// Names by which its storage documents refer to what apps have.
    pub references: Vec<Reference>,
    /// How many documents it has.
    pub documents: usize,
    /// Its diagnostics.
    pub diagnostics: Vec<Diagnostic>,
}

/// A storage document with its objects.
#[derive(Debug)]
pub struct Stored {
    /// Its name.
    pub name: String,
    /// Its objects.
    pub objects: Vec<Object>,
    /// The document, for places.
    pub document: Node,
}

/// An app with its objects.
#[derive(Debug)]
pub struct Rendered {
    /// The app.
    pub app: App,
    /// Its objects.
    pub compiled: Compiled,
}

impl Pipeline<'_> {
    /// Returns the kinds that documents may have.
    fn kinds(&self) -> Vec<String> {
        let mut kinds = self.library.kinds();
        kinds.push(STORAGE.to_owned());
        kinds
    }

    /// Turns one text into apps with their objects.
    pub fn render(&self, source: SourceId) -> Unit {
        let read = yaml::read(source, self.sources);
        self.documents(read.documents, read.diagnostics)
    }

    /// Turns the documents of one text into apps with their objects; `diagnostics` are those of
    /// the text.
    pub fn documents(&self, documents: Vec<Node>, diagnostics: Vec<Diagnostic>) -> Unit {
        let mut unit = Unit { documents: documents.len(), diagnostics, ..Unit::default() };
        let kinds = self.kinds();
        for node in documents {
            match split(node, &kinds) {
                Ok(mut document) if document.kind == STORAGE => {
                    drop_blank(&mut document.node, &storage_shape());
                    self.storage(&document, &mut unit);
                }
                Ok(document) => self.app(document, &mut unit),
                Err(diagnostic) => unit.diagnostics.push(diagnostic),
            }
            if unit.diagnostics.iter().filter(|found| found.is_error()).count() > MOST_ERRORS {
                break;
            }
        }
        unit
    }

    fn app(&self, mut document: Document, unit: &mut Unit) {
        let blueprint = match self.library.get(&document.kind, self.sources) {
            Some(Ok(blueprint)) => blueprint,
            Some(Err(errors)) => return unit.diagnostics.extend(errors),
            None => return,
        };
        for layer in &self.layers {
            if !layer.suits(&document) {
                continue;
            }
            layer.used.fetch_add(1, Ordering::Relaxed);
            apply_layer(&mut document.node, &layer.node, Some(blueprint.shape()));
        }
        let named = self.settings.iter().any(|(setting, _)| setting.app.is_some());
        let name = if named { name_of(&document, blueprint) } else { None };
        for (setting, used) in &self.settings {
            let other = setting.app.is_some() && setting.app != name;
            if let (true, Some(meant), Some(name)) = (other, &setting.app, &name)
                && nearest(meant, [name.as_str()]).is_some()
            {
                let _ = setting.near.set(name.clone());
            }
            if !other {
                used.fetch_add(1, Ordering::Relaxed);
                apply_setting(&mut document.node, setting, Some(blueprint.shape()));
            }
        }
        drop_blank(&mut document.node, blueprint.shape());
        let named = document.node.get("metadata").and_then(|node| node.get("namespace"));
        if let (None, Some(namespace)) = (named, &self.namespace) {
            apply_setting(&mut document.node, namespace, None);
        }
        let (app, diagnostics) = instantiate(&document, blueprint, &self.classes);
        let mut found = diagnostics;
        // With an error here, values that were refused have been replaced.
        let as_written = !any_error(&found);
        if let Some(mut app) = app {
            found.extend(check::app(&app, &self.today));
            let secrets = check::app_secrets(&app, blueprint.shape());
            let shows_secrets = !secrets.is_empty();
            found.extend(secrets);
            let asked = check::tenant(&app, &self.tenancy);
            let asks_too_much = !asked.is_empty();
            found.extend(asked);
            // A tenant's Namespace is there, made by the platform.
            app.common.create_namespace &= self.tenancy.rules.is_empty();
            let (compiled, diagnostics) = compile(&app);
            found.extend(diagnostics);
            at_the_blueprint(&mut found, &app, blueprint);
            if let Some(compiled) = compiled {
                found.extend(check::objects(&app, &compiled));
                // The errors of a field are reported once.
                let is_new = |refused: &Diagnostic| {
                    let same = |path: &str| !path.is_empty() && refused.path.starts_with(path);
                    // Of a broken blueprint, its author reads enough, and so does that of a broken addition.
                    let covers = |other: &Diagnostic| {
                        other.code == Code::BadBlueprint
                            || other.path.starts_with("spec.components.")
                            || same(&other.path)
                    };
                    !found.iter().any(|other| other.is_error() && covers(other))
                };
                let mut refused: Vec<_> =
                    check::refused(&app, &compiled).into_iter().filter(is_new).collect();
                at_the_blueprint(&mut refused, &app, blueprint);
                found.extend(refused);
                if !shows_secrets {
                    found.extend(check::object_secrets(&app, &compiled.objects));
                }
                if !asks_too_much {
                    found.extend(check::tenant_objects(&app, &compiled, &self.tenancy));
                }
                // Errors that the check of the blueprint has reported are not reported again.
                if !any_error(&found) {
                    found.extend(check::references(&app, &compiled.objects));
                }
                if self.side == Side::Earlier && as_written {
                    found.clear();
                }
                if !any_error(&found) {
                    unit.apps.push(Rendered { app, compiled });
                }
            }
        }
        unit.diagnostics.extend(found);
    }

    fn storage(&self, document: &Document, unit: &mut Unit) {
        if let Some(refused) = check::tenant_storage(document.kind_place, &self.tenancy) {
            return unit.diagnostics.push(refused);
        }
        match read_storage(document) {
            Ok((name, spec)) => {
                unit.diagnostics.extend(check::storage_advice(&spec, &document.node));
                unit.references.extend(Reference::of_storage(&spec, &document.node));
                let classes = &self.classes;
                let storage = Storage { spec: &spec, classes, document };
                let objects = compile::storage(&storage);
                unit.diagnostics.extend(check::refused_storage(&objects, &document.node));
                unit.storage.push(Stored { name, objects, document: document.node.clone() });
            }
            Err(errors) => unit.diagnostics.extend(errors),
        }
    }

    /// Returns warnings about layers and settings that changed nothing, or more than the user may have intended.
    pub fn misused(&self) -> Vec<Diagnostic> {
        let mut misused: Vec<_> =
            self.layers.iter().flat_map(|layer| layer.found.iter().cloned()).collect();
        for layer in self.layers.iter().filter(|layer| layer.used.load(Ordering::Relaxed) == 0) {
            let message = "this layer changes no app of the run";
            let fix = match layer.near.get() {
                Some(near) => format!("did you mean `{near}`?"),
                None => "let `kind` and `metadata.name` be those of the app that is meant, or leave them out".to_owned(),
            };
            misused.push(Diagnostic::new(Code::BadLayer, layer.node.place, message).fix(fix));
        }
        for (setting, used) in &self.settings {
            let place = setting.value.place;
            match (&setting.app, used.load(Ordering::Relaxed)) {
                (Some(app), 0) => {
                    let fix = match setting.near.get() {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "write the app's `metadata.name` before the colon".to_owned(),
                    };
                    let message = format!("this run has no app `{app}`");
                    misused.push(Diagnostic::new(Code::BadLayer, place, message).fix(fix));
                }
                (None, 0) => misused.push(
                    Diagnostic::new(Code::BadLayer, place, "this run has no app to change")
                        .fix("leave it out: a storage document is changed in its file"),
                ),
                (None, apps) if apps > 1 => {
                    let message =
                        format!("this run has {apps} apps; it is not said which one is meant");
                    misused.push(
                        Diagnostic::new(Code::BadLayer, place, message)
                            .fix("write the app's name before it: `NAME:spec.FIELD`"),
                    );
                }
                _ => {}
            }
        }
        misused
    }
}
