//! One word switches a volume between file and block storage: combinations of the classes of every shipped
//! blueprint, as the difference from the blueprint's own classes. Every two volumes are reviewed in every two classes,
//! and every three are held against the rules.

#[path = "support/difference.rs"]
mod difference;
#[path = "support/pairwise.rs"]
mod pairwise;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use pso_gen::compiler::blueprint::{Classes, Library};
use pso_gen::compiler::diagnostic::{Sources, Style, any_error, human};
use pso_gen::compiler::run::{Pipeline, Unit};
use pso_gen::compiler::{manifest, yaml};
use serde_json::Value as Json;

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

fn objects(unit: &Unit) -> Vec<difference::Object> {
    let all = unit.apps.iter().flat_map(|rendered| &rendered.compiled.objects);
    all.map(|object| {
        let mut text = String::new();
        manifest::write(&mut text, std::slice::from_ref(object)).expect("writes");
        let text = text.strip_prefix("---\n").expect("a stream of one").to_owned();
        (object.identity().to_string(), text)
    })
    .collect()
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

/// An app with a class for each of its volumes.
struct Combination {
    name: String,
    spec: String,
}

impl Combination {
    fn new(kind: &str, volumes: &[(String, String)], blocks: &[bool]) -> Self {
        let mut spec = "  volumes:\n".to_owned();
        let mut name = kind.to_lowercase();
        for ((volume, _), block) in volumes.iter().zip(blocks) {
            let word = if *block { "block" } else { "file" };
            let _ = writeln!(spec, "    {volume}: pure-{word}");
            let _ = write!(name, "-{volume}-{word}");
        }
        Self { name, spec }
    }

    /// Renders it; where the classes leave no choice, with one pod, and the reason why.
    fn render(&self, library: &Library, sources: &Sources, kind: &str) -> (String, Unit) {
        let unit = render(library, sources, &app(kind, &self.spec));
        let mut output = human(&unit.diagnostics, sources, Style::Plain);
        if !any_error(&unit.diagnostics) {
            return (output, unit);
        }
        output.push_str("\n-- with `replicas: 1` --\n\n");
        let unit = render(library, sources, &app(kind, &format!("{}{ONE_POD}", self.spec)));
        assert!(!any_error(&unit.diagnostics), "{} is refused with one pod, too", self.name);
        (output, unit)
    }
}

#[test]
fn every_two_classes_are_reviewed_as_a_difference() {
    let sources = Sources::default();
    let library = Library::new(Vec::new(), &sources).expect("loads");
    for kind in library.kinds() {
        let volumes = volumes(&library, &sources, &kind);
        let own = objects(&render(&library, &sources, &app(&kind, "")));
        let mut reviewed = BTreeSet::new();
        for blocks in pairwise::combinations(volumes.len(), 2) {
            let combination = Combination::new(&kind, &volumes, &blocks);
            let (output, unit) = combination.render(&library, &sources, &kind);
            let objects = objects(&unit);
            let differs = difference::difference(&own, &objects);
            let texts: Vec<String> = objects.into_iter().map(|(_, text)| text).collect();
            assert_eq!(difference::restore(&own, &differs), texts, "something is not reviewed");
            snapshot(&kind, &combination.name, &format!("{output}{differs}"));
            reviewed.insert(format!("{}.snap", combination.name));
        }
        let files = fs::read_dir(folder(&kind)).expect("there");
        let files =
            files.map(|file| file.expect("a file").file_name().into_string().expect("text"));
        assert_eq!(files.collect::<BTreeSet<_>>(), reviewed, "a file that no test reads");
    }
}

#[test]
fn every_three_classes_are_legal_or_say_why_not() {
    let sources = Sources::default();
    let library = Library::new(Vec::new(), &sources).expect("loads");
    for kind in library.kinds() {
        let volumes = volumes(&library, &sources, &kind);
        for blocks in pairwise::combinations(volumes.len(), 3) {
            let combination = Combination::new(&kind, &volumes, &blocks);
            let (_, unit) = combination.render(&library, &sources, &kind);
            check_rendered(&combination.name, &unit);
        }
    }
}

/// All choices, counted by themselves; and how many combinations are enough.
#[test]
fn every_choice_appears_in_few_combinations() {
    for (strength, most) in [(2, 12), (3, 36)] {
        for switches in 0..=16_usize {
            let combinations = pairwise::combinations(switches, strength);
            for choice in pairwise::choices(switches, strength) {
                let appears = |all: &Vec<bool>| pairwise::appears(&choice, all);
                assert!(combinations.iter().any(appears), "{switches}, {strength}: {choice:?}");
            }
            let different: BTreeSet<_> = combinations.iter().collect();
            assert_eq!(different.len(), combinations.len(), "{switches}: one comes twice");
            assert!(combinations.len() <= most, "{switches}, {strength}: {}", combinations.len());
        }
    }
    assert_eq!(pairwise::choices(5, 2).len(), 10 * 4, "pairs of five, each in four ways");
    assert_eq!(pairwise::choices(5, 3).len(), 10 * 8);
}

/// Rules that hold whatever the snapshot says.
fn check_rendered(name: &str, unit: &Unit) {
    for (identity, text) in objects(unit) {
        let json: Json = serde_yaml::from_str(&text).expect("reads back");
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

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/classes").join(kind.to_lowercase())
}

fn snapshot(kind: &str, name: &str, output: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder(kind));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, output));
}
