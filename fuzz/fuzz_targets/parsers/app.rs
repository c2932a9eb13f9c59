//! App files and Storage documents: the whole road, from bytes to manifests or diagnostics.
//!
//! Each document becomes objects, or there is an error; each diagnostic has a place and can be printed in every form;
//! what is written is YAML and the same objects again.

use std::cell::RefCell;
use std::convert::Infallible;

use pso_gen::compiler::blueprint::Library;
use pso_gen::compiler::diagnostic::{Diagnostic, Sources, Style, human, json, sarif};
use pso_gen::compiler::run::{Input, Inputs, Options, Run, Side, Unit};
use pso_gen::compiler::spec::Tenancy;
use pso_gen::compiler::{manifest, yaml};

/// An app to which patches are added.
const PATCHED: &str = "apiVersion: pso-gen.io/v1alpha1
kind: Scratch
metadata: {name: s}
spec:
  patches: ";

/// Inputs for which the shipped blueprints are loaded once: their sources keep the text of each.
const INPUTS: u32 = 500;

thread_local! {
    static SHIPPED: RefCell<Option<(Sources, Library, u32)>> = const { RefCell::new(None) };
}

pub(crate) fn app(bytes: &[u8]) {
    SHIPPED.with_borrow_mut(|shipped| {
        let (sources, library, inputs) = shipped.get_or_insert_with(|| {
            let sources = Sources::default();
            let library = Library::new(Vec::new(), &sources).expect("the shipped blueprints load");
            (sources, library, 0)
        });
        render(bytes, sources, library);
        *inputs += 1;
        if *inputs == INPUTS {
            *shipped = None;
        }
    });
}

/// Patches of finished objects: strategic merges and JSON patches.
pub(crate) fn patch(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // In JSON, which needs no indentation, as well as in YAML.
    let text = format!("{PATCHED}{}\n", text.replace('\n', "\n    "));
    app(text.as_bytes());
}

/// Renders bytes by the road that every command takes, and checks what must hold of what comes out.
pub(crate) fn render(bytes: &[u8], sources: &Sources, library: &Library) {
    let source = match yaml::decode("input.pso.yaml", bytes.to_vec(), sources) {
        Ok(source) => source,
        Err(wrong) => return print(&[wrong], sources),
    };
    let options = Options {
        layers: Vec::new(),
        settings: Vec::new(),
        namespace: None,
        tenancy: Tenancy::default(),
        today: "2026-01-01".to_owned(),
        side: Side::Today,
    };
    let inputs = Inputs { rendered: vec![Input::Text(source)], storage: Vec::new() };
    let run = Run::new(sources, library, options, inputs, Vec::new());
    let mut units = Vec::new();
    let prepare = |unit: &Unit| {
        let storage = unit.storage.iter().map(|stored| stored.objects.clone());
        let apps = unit.apps.iter().map(|rendered| rendered.compiled.objects.clone());
        Ok::<Vec<_>, Infallible>(storage.chain(apps).collect())
    };
    let take = |objects: Vec<Vec<manifest::Object>>| {
        units.extend(objects);
        Ok(())
    };
    let Ok(summary) = run.render(prepare, take, |_| ());
    print(&summary.diagnostics, sources);
    for diagnostic in &summary.diagnostics {
        assert!(diagnostic.place.is_some(), "{diagnostic:?} has no place");
    }
    // Each document becomes objects, or there is an error; with an error nothing is printed.
    if !summary.is_broken() {
        assert_eq!(
            units.len(),
            summary.documents,
            "documents without objects and without an error"
        );
        units.iter().for_each(|objects| write(objects));
        write(&summary.namespaces);
    }
}

/// Every form of diagnostics stands every place that it is given.
pub(crate) fn print(diagnostics: &[Diagnostic], sources: &Sources) {
    let _ = human(diagnostics, sources, Style::Plain);
    let _ = json(diagnostics, sources);
    let _ = sarif(diagnostics, sources);
}

/// What is written is read again as the same objects.
fn write(objects: &[manifest::Object]) {
    let mut text = String::new();
    manifest::write(&mut text, objects).expect("objects can be written");
    let sources = Sources::default();
    let read = yaml::read(sources.add("output", text.as_str()), &sources);
    assert!(read.diagnostics.is_empty(), "{:?}\n{text}", read.diagnostics);
    assert_eq!(read.documents.len(), objects.len(), "{text}");
    for (node, object) in read.documents.iter().zip(objects) {
        let json = node.to_json();
        assert_eq!(json, object.to_json().expect("an object is JSON"), "{text}");
        assert!(manifest::Object::from_json(&json).is_ok(), "{json}");
    }
}
