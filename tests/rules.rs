//! Rules of blueprints, of checks and of runs, each with the smallest input that shows it: what is let through, and what
//! is refused, right at the limit.

#[path = "rules/across.rs"]
mod across;
#[path = "rules/additions.rs"]
mod additions;
#[path = "rules/checks.rs"]
mod checks;
#[path = "rules/language.rs"]
mod language;
#[path = "rules/parts.rs"]
mod parts;
#[path = "rules/servers.rs"]
mod servers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use pso_gen::compiler::blueprint::{Classes, Folder, Library};
use pso_gen::compiler::diagnostic::{Diagnostic, Severity, Sources};
use pso_gen::compiler::run::{Layer, Pipeline, Side, Unit};
use pso_gen::compiler::spec::{Setting, Tenancy};
use pso_gen::compiler::yaml;
use serde_json::Value as Json;

/// A blueprint of kind `Small`, and what is rendered with it.
struct Bench {
    blueprint: String,
    files: BTreeMap<String, Arc<str>>,
    layers: Vec<String>,
    settings: Vec<String>,
    namespace: Option<String>,
}

/// What came of it.
struct Outcome {
    unit: Unit,
    /// `code at path: message`, errors and warnings.
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Bench {
    /// A blueprint with one component, `web`, and these further lines.
    fn new(more: &str) -> Self {
        Self::of(&format!(
            "components:\n  web: {{image: example.com/web:1.0.0, user: 1000, ports: {{http: 8080}}}}\n{more}"
        ))
    }

    /// A blueprint of these sections.
    fn of(sections: &str) -> Self {
        Self {
            blueprint: format!("blueprint: Small\nabout: For a test.\n{sections}"),
            files: BTreeMap::from([("run.sh".to_owned(), Arc::from("#!/bin/sh\n"))]),
            layers: Vec::new(),
            settings: Vec::new(),
            namespace: None,
        }
    }

    fn file(mut self, name: &str, text: &str) -> Self {
        self.files.insert(name.to_owned(), Arc::from(text));
        self
    }

    fn layer(mut self, text: &str) -> Self {
        self.layers.push(text.to_owned());
        self
    }

    fn set(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// Renders an app of this name, with these fields under `spec` in flow style.
    fn app(&self, name: &str, spec: &str) -> Outcome {
        self.text(&document("Small", name, "apps", spec))
    }

    fn text(&self, text: &str) -> Outcome {
        let sources = Sources::default();
        let mut files = self.files.clone();
        files.insert("blueprint.yaml".to_owned(), Arc::from(self.blueprint.as_str()));
        let folder = Folder { name: "blueprints/small".to_owned(), files };
        let library = Library::new(vec![folder], &sources).expect("a catalogue");
        let layers = self.layers.iter().map(|text| {
            let read = yaml::read(sources.add("layer.yaml", text.as_str()), &sources);
            Layer::new(read.documents.into_iter().next().expect("a document"))
        });
        let setting = |text: &String| Setting::parse("--set", text, &sources).expect("a setting");
        let pipeline = Pipeline {
            sources: &sources,
            library: &library,
            classes: Classes::default(),
            layers: layers.collect(),
            settings: self.settings.iter().map(|s| (setting(s), AtomicU32::new(0))).collect(),
            namespace: self
                .namespace
                .as_ref()
                .map(|name| Setting::namespace(name, &sources).expect("a namespace")),
            tenancy: Tenancy::default(),
            today: "2026-01-01".to_owned(),
            side: Side::Today,
        };
        let unit = pipeline.render(sources.add("app.pso.yaml", text));
        let (errors, warnings) = said(&unit.diagnostics);
        Outcome { unit, errors, warnings }
    }
}

fn document(kind: &str, name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: pso-gen.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
    )
}

/// Errors, and warnings.
fn said(diagnostics: &[Diagnostic]) -> (Vec<String>, Vec<String>) {
    let say =
        |found: &&Diagnostic| format!("{} at {}: {}", found.code.name(), found.path, found.message);
    let is_error = |found: &&Diagnostic| found.severity == Severity::Error;
    let errors = diagnostics.iter().filter(is_error).map(|found| say(&found));
    let warnings = diagnostics.iter().filter(|found| !is_error(found)).map(|found| say(&found));
    (errors.collect(), warnings.collect())
}

impl Outcome {
    /// Returns an object, by its kind and name.
    #[track_caller]
    fn object(&self, kind: &str, name: &str) -> Json {
        assert!(self.errors.is_empty(), "{:#?}", self.errors);
        let objects = self.unit.apps.iter().flat_map(|app| &app.compiled.objects);
        let mut found = objects
            .map(|object| object.to_json().expect("JSON"))
            .filter(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        found.next().unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    /// Returns the variables of the component `web` of the app `a`.
    #[track_caller]
    fn env(&self) -> BTreeMap<String, String> {
        let deployment = self.object("Deployment", "a-web");
        let env = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
        let variables = env.as_array().into_iter().flatten();
        let word = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        variables.map(|one| (word(&one["name"]), word(&one["value"]))).collect()
    }

    /// The one error, which has these words.
    #[track_caller]
    fn refused(&self, words: &str) {
        let [error] = self.errors.as_slice() else { panic!("{words}: {:#?}", self.errors) };
        assert!(error.contains(words), "{words}: {error}");
    }
}
