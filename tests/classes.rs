//! One word switches a volume between file and block storage: every combination of every shipped
//! blueprint, told as what it changes against the blueprint's own classes.

use std::fmt::Write as _;
use std::path::Path;

use pso_gen::compiler::blueprint::{Classes, Library};
use pso_gen::compiler::diagnostic::{Sources, Style, any_error, human};
use pso_gen::compiler::run::{Pipeline, Unit};
use pso_gen::compiler::{manifest, yaml};
use serde_json::Value as Json;
use similar::TextDiff;

/// Where the classes leave no choice, one pod is the legal number.
const ONE_POD: &str = "  replicas: 1\n";

fn app(kind: &str, spec: &str) -> String {
    let host = if kind == "Scratch" { "" } else { "  host: app.example.com\n" };
    format!(
        "apiVersion: pso-gen.io/v1alpha1\nkind: {kind}\nmetadata: {{name: app, namespace: apps}}\nspec:\n{host}{spec}"
    )
}

fn render(library: &Library, sources: &Sources, text: &str) -> Unit {
    let pipeline = Pipeline {
        sources,
        library,
        classes: Classes::default(),
        layers: Vec::new(),
        settings: Vec::new(),
        namespace: None,
        tenancy: pso_gen::compiler::spec::Tenancy::default(),
        today: "2026-01-01".to_owned(),
        side: pso_gen::compiler::run::Side::Today,
    };
    pipeline.render(sources.add("app.pso.yaml", text))
}

/// Objects by what they are, as text: a diff of one stream would mix them up.
fn objects(unit: &Unit) -> Vec<(String, String)> {
    let all = unit.apps.iter().flat_map(|rendered| &rendered.compiled.objects);
    let mut objects: Vec<(String, String)> = all
        .map(|object| {
            let mut text = String::new();
            manifest::write(&mut text, std::slice::from_ref(object)).expect("writes");
            (object.identity().to_string(), text)
        })
        .collect();
    objects.sort();
    objects
}

fn changes(before: &[(String, String)], after: &[(String, String)]) -> String {
    let mut out = String::new();
    let find = |all: &[(String, String)], name: &str| {
        all.iter()
            .find(|(other, _)| other == name)
            .map(|(_, text)| text.clone())
            .unwrap_or_default()
    };
    let mut names: Vec<&String> = before.iter().chain(after).map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (was, is) = (find(before, name), find(after, name));
        if was != is {
            let _ = writeln!(out, "~ {name}");
            let diff = TextDiff::from_lines(was.as_str(), is.as_str());
            let _ = writeln!(out, "{}", diff.unified_diff().context_radius(2));
        }
    }
    out
}

fn volumes(library: &Library, sources: &Sources, kind: &str) -> Vec<(String, String)> {
    let blueprint = library.get(kind, sources).expect("there").expect("loads");
    let shape = blueprint.shape().at(&["spec", "volumes"]).expect("has volumes");
    let class = |default: &Option<Json>| {
        default.as_ref().and_then(|default| default["class"].as_str().map(str::to_owned))
    };
    let fields = shape.fields().expect("an object").iter();
    fields
        .map(|field| (field.name.clone(), class(&field.shape.default).expect("a class")))
        .collect()
}

#[test]
fn every_combination_of_classes_is_legal_or_says_why_not() {
    let sources = Sources::default();
    let library = Library::new(Vec::new(), &sources).expect("loads");
    for kind in library.kinds() {
        let volumes = volumes(&library, &sources, &kind);
        let own = objects(&render(&library, &sources, &app(&kind, "")));
        for combination in 0..1_u32 << volumes.len() {
            let mut spec = "  volumes:\n".to_owned();
            let mut name = kind.to_lowercase();
            for (index, (volume, _)) in volumes.iter().enumerate() {
                let word = if combination >> index & 1 == 0 { "file" } else { "block" };
                let _ = writeln!(spec, "    {volume}: pure-{word}");
                let _ = write!(name, "-{volume}-{word}");
            }
            let mut told = String::new();
            let unit = render(&library, &sources, &app(&kind, &spec));
            told.push_str(&human(&unit.diagnostics, &sources, Style::Plain));
            let legal = if any_error(&unit.diagnostics) {
                let _ = writeln!(told, "\n-- with `replicas: 1` --\n");
                spec.push_str(ONE_POD);
                let unit = render(&library, &sources, &app(&kind, &spec));
                assert!(!any_error(&unit.diagnostics), "{name} is refused with one pod, too");
                unit
            } else {
                unit
            };
            told.push_str(&changes(&own, &objects(&legal)));
            check_rendered(&name, &legal);
            snapshot(&kind, &name, &told);
        }
    }
}

/// Rules that hold whatever the snapshot says.
fn check_rendered(name: &str, unit: &Unit) {
    for (identity, text) in objects(unit) {
        let json: Json =
            serde_yaml::from_str(text.trim_start_matches("---\n")).expect("reads back");
        let typed = manifest::Object::from_json(&json).expect("Kubernetes knows it");
        let mut again = String::new();
        yaml::write(&mut again, &typed.to_json().expect("json")).expect("writes");
        let again: Json = serde_yaml::from_str(&again).expect("reads back");
        assert_eq!(json, again, "{name}: {identity} changes on the way through its type");
        if json["kind"] == "PersistentVolumeClaim" {
            let block = json["spec"]["storageClassName"] == "pure-block";
            let mode = if block { "ReadWriteOnce" } else { "ReadWriteMany" };
            assert_eq!(
                json["spec"]["accessModes"],
                serde_json::json!([mode]),
                "{name}: {identity}"
            );
        }
    }
}

fn snapshot(kind: &str, name: &str, told: &str) {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/classes").join(kind.to_lowercase());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, told));
}
