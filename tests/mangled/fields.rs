//! Every field of every kind with odd values, in files, layers, settings, parameters of Argo CD and lists of KRM
//! functions: a diagnostic at the user's line in the program's own words, the same answer wherever the value
//! stands, and the same answer from the JSON Schema.
//!
//! `PSO_GEN_ALL=1` tries every pair of field and value; without it, each value is tried on some fields.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;

use pso_gen::adapters::krm::ResourceList;
use pso_gen::compiler::blueprint::{Classes, Folder, Library, blueprint_shape};
use pso_gen::compiler::diagnostic::{
    Code, Diagnostic, Sources, Style, any_error, human, json, sarif,
};
use pso_gen::compiler::run::{
    Layer, Pipeline, Side, Unit, read_tenant_rules, storage_shape, tenant_rules_shape,
};
use pso_gen::compiler::spec::{
    Expressions, Given, Kind, Setting, Shape, Tenancy, Words, apply_layer, check, schema,
    schema_with_expressions,
};
use pso_gen::compiler::yaml::{self, Node};
use pso_gen::sanitize;
use serde_json::{Value as Json, json};

/// Values that are odd in one way or another, as YAML in one line.
const ODD: [&str; 62] = [
    "",
    "~",
    "null",
    "''",
    "' '",
    "2",
    "'2'",
    "-1",
    "0",
    "0.5",
    "1e3",
    "1e999",
    "99999999999999999999",
    "9223372036854775807",
    "-9223372036854775808",
    "007",
    "'007'",
    "0x1F",
    "0o17",
    "1_000",
    ".inf",
    ".nan",
    "true",
    "'true'",
    "yes",
    "False",
    "a",
    "A_b",
    "a b",
    "ä.example.com",
    "日本語",
    "\"\\e[2Jx\"",
    "\"a\\nerror: b\"",
    "\"\\u202Eabc\"",
    "\"\\0\"",
    "\"\\x7F\"",
    "[]",
    "[~]",
    "[[]]",
    "[a, 1, {}]",
    "{}",
    "{a: 1}",
    "{a: ~}",
    "{'': ''}",
    "{\"\\e[31m\": x}",
    "2026-12-24",
    "20261101",
    "1Gi",
    "-5Ti",
    "1,5Ti",
    "1e3m",
    "10GB",
    "0 3 * * 7",
    "'@annually'",
    "docker.io/library/NextCloud:34:1",
    "pure-blok",
    "a/b",
    "'{{ host }}'",
    "'*'",
    "!!str 5",
    "&x 5",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

/// Values that an editor sees as numbers or booleans written in another way: a schema cannot know how.
const REWRITTEN: [&str; 6] = ["007", "0x1F", "0o17", "1e3", "False", "1_000"];

/// Words of a library that no person should read.
const NOT_OURS: [&str; 14] = [
    "invalid type",
    "invalid value",
    "invalid length",
    "expected struct",
    "unit value",
    "missing field",
    "unknown variant",
    "unknown field",
    "duplicate field",
    "untagged",
    "expected u",
    "expected i1",
    "expected i3",
    "expected i6",
];

/// A kind of document.
struct Target {
    name: &'static str,
    shape: Shape,
    head: Json,
}

fn targets(library: &Library, sources: &Sources) -> Vec<Target> {
    let head = |kind: &str| {
        json!({
            "apiVersion": "pso-gen.io/v1alpha1", "kind": kind,
            "metadata": {"name": "nc", "namespace": "apps"},
        })
    };
    let mut all = Vec::new();
    for kind in ["NextCloud", "OwnCloud", "Scratch"] {
        let blueprint = library.get(kind, sources).expect("there").expect("loads");
        let mut head = head(kind);
        if kind != "Scratch" {
            head["spec"] = json!({"host": "base.example.com"});
        }
        all.push(Target { name: kind, shape: blueprint.shape().clone(), head });
    }
    let storage = json!({"cluster": "a", "nodes": ["10.0.0.0/16"]});
    let mut head = head("Storage");
    head["spec"] = storage;
    all.push(Target { name: "Storage", shape: storage_shape(), head });
    all.push(Target { name: "TenantRules", shape: tenant_rules_shape(), head: json!({}) });
    let head = json!({
        "blueprint": "Odd", "about": "An app.",
        "components": {"web": {"image": "a/b:1.0.0", "user": 1000}},
    });
    all.push(Target { name: "Blueprint", shape: blueprint_shape(), head });
    all
}

/// Every field: its path, sections, items and entries among them.
fn fields(shape: &Shape, path: &[String], found: &mut Vec<(Vec<String>, Shape)>) {
    if path.len() > 9 {
        return;
    }
    let step = |key: &str| path.iter().cloned().chain([key.to_owned()]).collect::<Vec<_>>();
    let mut inside = |key: &str, shape: &Shape| {
        let path = step(key);
        found.push((path.clone(), shape.clone()));
        fields(shape, &path, found);
    };
    match &shape.kind {
        Kind::Object(fields) => {
            for field in fields {
                inside(&field.name, &field.shape);
            }
        }
        Kind::List(item) => inside("0", item),
        Kind::Map { values, .. } => inside("web", values),
        Kind::Either(shapes) => shapes.iter().for_each(|shape| fields(shape, path, found)),
        _ => {}
    }
}

/// A value that a shape takes.
fn good(shape: &Shape) -> Json {
    match &shape.kind {
        Kind::Anything | Kind::Map { .. } => json!({}),
        Kind::Boolean => json!(true),
        Kind::Integer { min, .. } => json!(min.unwrap_or(1).max(1)),
        Kind::Text { format, choices, .. } => {
            if let Some(choice) = choices.first() {
                json!(choice)
            } else {
                let words = [
                    "a",
                    "a.example.com",
                    "1Gi",
                    "10.0.0.0/16",
                    "/a",
                    "5m",
                    "0 2 * * *",
                    "0750",
                    "33:33",
                    "2026-12-24",
                    "a/b",
                    "0123456789abcdef",
                    "1",
                    "a/b:1.0.0",
                ];
                json!(words.iter().find(|word| format.accepts(word)).expect("a word fits"))
            }
        }
        Kind::List(_) => json!([]),
        Kind::Object(fields) => {
            let required = fields.iter().filter(|field| field.required);
            required.map(|field| (field.name.clone(), good(&field.shape))).collect()
        }
        Kind::Either(shapes) => good(&shapes[0]),
    }
}

/// What stands where the odd value goes.
const HERE: &str = "ODD-VALUE-GOES-HERE";

/// Puts the mark at a path, with what must be written beside it on the way.
fn put(json: &mut Json, shape: &Shape, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        *json = json!(HERE);
        return;
    };
    let shape = match &shape.kind {
        Kind::Either(shapes) => shapes
            .iter()
            .find(|shape| match &shape.kind {
                Kind::Object(_) | Kind::Map { .. } => first != "0",
                Kind::List(_) => first == "0",
                _ => false,
            })
            .expect("a form with fields"),
        _ => shape,
    };
    if !json.is_object() && !json.is_array() {
        *json = good(shape);
    }
    let inner = match &shape.kind {
        Kind::List(item) => {
            let items = json.as_array_mut().expect("a list");
            if items.is_empty() {
                items.push(Json::Null);
            }
            return put(&mut items[0], item, rest);
        }
        Kind::Map { values, .. } => values,
        _ => &shape.field(first).expect("a field").shape,
    };
    put(&mut json[first.as_str()], inner, rest);
}

/// Writes a document line by line, the odd value as it is; returns the line where it stands.
fn text(json: &Json, odd: &str) -> (String, u32) {
    let mut text = String::new();
    block(json, 0, odd, &mut text);
    let mark = format!("#{HERE}\n");
    let at = text.find(&mark).expect("the mark");
    let line = u32::try_from(text[..at].matches('\n').count() + 1).expect("a line");
    (text.replace(&format!(" {mark}"), "\n"), line)
}

fn block(json: &Json, indent: usize, odd: &str, out: &mut String) {
    let blanks = " ".repeat(indent);
    let mut one = |key: &str, value: &Json| match value {
        Json::String(word) if word == HERE => {
            out.push_str(&format!("{blanks}{key} {odd} #{HERE}\n"));
        }
        Json::Object(fields) if !fields.is_empty() => {
            out.push_str(&format!("{blanks}{key}\n"));
            block(value, indent + 2, odd, out);
        }
        Json::Array(items) if !items.is_empty() => {
            out.push_str(&format!("{blanks}{key}\n"));
            block(value, indent + 2, odd, out);
        }
        other => out.push_str(&format!("{blanks}{key} {other}\n")),
    };
    match json {
        Json::Object(fields) => {
            fields.iter().for_each(|(key, value)| one(&format!("{key}:"), value));
        }
        Json::Array(items) => items.iter().for_each(|item| one("-", item)),
        _ => {}
    }
}

/// What was found, and what came of it.
struct Answer {
    found: Vec<Diagnostic>,
    objects: Vec<Json>,
}

impl Answer {
    fn of(unit: Unit, more: Vec<Diagnostic>) -> Self {
        let json = |object: &pso_gen::compiler::manifest::Object| object.to_json().expect("JSON");
        let apps = unit.apps.iter().flat_map(|rendered| &rendered.compiled.objects);
        let storage = unit.storage.iter().flat_map(|stored| &stored.objects);
        let objects = apps.chain(storage).map(json).collect();
        Self { found: unit.diagnostics.into_iter().chain(more).collect(), objects }
    }
}

struct Bench<'b> {
    sources: &'b Sources,
    library: &'b Library,
}

impl Bench<'_> {
    fn run(&self, nodes: Vec<Node>, layers: Vec<Layer>, settings: Vec<Setting>) -> Answer {
        let pipeline = Pipeline {
            sources: self.sources,
            library: self.library,
            classes: Classes::default(),
            layers,
            settings: settings.into_iter().map(|setting| (setting, AtomicU32::new(0))).collect(),
            namespace: None,
            tenancy: Tenancy::default(),
            today: "2026-01-01".to_owned(),
            side: Side::Today,
        };
        let unit = pipeline.documents(nodes, Vec::new());
        let misused = pipeline.misused();
        Answer::of(unit, misused)
    }

    fn read(&self, name: &str, text: &str) -> Result<Vec<Node>, Vec<Diagnostic>> {
        let read = yaml::read(self.sources.add(name, text), self.sources);
        if read.diagnostics.is_empty() { Ok(read.documents) } else { Err(read.diagnostics) }
    }

    fn file(&self, target: &Target, text: &str) -> Answer {
        let nodes = match self.read("odd.pso.yaml", text) {
            Ok(nodes) => nodes,
            Err(found) => return Answer { found, objects: Vec::new() },
        };
        match target.name {
            "TenantRules" => {
                let found = nodes.iter().filter_map(|node| read_tenant_rules(node).err());
                Answer { found: found.flatten().collect(), objects: Vec::new() }
            }
            "Blueprint" => {
                let files = BTreeMap::from([("blueprint.yaml".to_owned(), text.into())]);
                let folder = Folder { name: "odd".to_owned(), files };
                let library = Library::new(vec![folder], self.sources).expect("a library");
                let kind = library
                    .kinds()
                    .into_iter()
                    .find(|kind| !["NextCloud", "OwnCloud", "Scratch"].contains(&kind.as_str()));
                let app = "apiVersion: pso-gen.io/v1alpha1\nkind: Odd\nmetadata: {name: a, namespace: a}\n";
                let loaded = kind.and_then(|kind| library.get(&kind, self.sources));
                match loaded {
                    Some(Ok(_)) => Bench { library: &library, ..*self }.run(
                        self.read("app.pso.yaml", app).expect("YAML"),
                        Vec::new(),
                        Vec::new(),
                    ),
                    Some(Err(found)) => Answer { found, objects: Vec::new() },
                    None => Answer { found: Vec::new(), objects: Vec::new() },
                }
            }
            _ => self.run(nodes, Vec::new(), Vec::new()),
        }
    }

    /// Whatever is found has a place that exists and words of our own, and shows no terminal anything odd.
    fn is_well_reported(&self, case: &str, answer: &Answer, wrong: &mut Wrong) {
        for diagnostic in &answer.found {
            let Some(place) = diagnostic.place else {
                wrong.add(case, "has no place", diagnostic);
                continue;
            };
            let text = &self.sources.get(place.source).text;
            let lines = u32::try_from(text.lines().count().max(1)).expect("few");
            if !(1..=lines).contains(&place.line) || place.end as usize > text.len() {
                wrong.add(case, "has a place that does not exist", diagnostic);
            }
            let words = format!("{} {:?}", diagnostic.message, diagnostic.fix);
            if NOT_OURS.iter().any(|word| words.contains(word)) {
                wrong.add(case, "has a library's words", diagnostic);
            }
        }
        let steers = |text: &str| text.chars().any(|c| c != '\n' && sanitize::steers(c));
        if steers(&human(&answer.found, self.sources, Style::Plain)) {
            wrong.add(case, "steers a terminal", &answer.found);
        }
        let _ = (json(&answer.found, self.sources), sarif(&answer.found, self.sources));
    }
}

/// What is wrong, all of it, so that one run shows it.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn add(&mut self, case: &str, what: &str, shown: &impl std::fmt::Debug) {
        self.0.push(format!("{case}: {what}: {shown:?}"));
    }

    #[track_caller]
    fn none(&self) {
        let some = self.0.iter().take(200).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.0.is_empty(), "{} are wrong:\n{some}", self.0.len());
    }
}

/// Every pair of field and value, or one of so many.
fn pairs(target: &Target, share: usize) -> Vec<(Vec<String>, Shape, &'static str)> {
    let all = std::env::var_os("PSO_GEN_ALL").is_some();
    let mut paths = Vec::new();
    fields(&target.shape, &[], &mut paths);
    let pairs = paths.iter().enumerate().flat_map(|(row, (path, shape))| {
        let column = move |(column, odd): (usize, &'static str)| {
            (all || (row + column).is_multiple_of(share))
                .then(|| (path.clone(), shape.clone(), odd))
        };
        ODD.into_iter().enumerate().filter_map(column)
    });
    pairs.collect()
}

#[test]
fn odd_values_in_files_are_answered_at_their_line() {
    let sources = Sources::default();
    let library = Library::new(Vec::new(), &sources).expect("loads");
    let mut wrong = Wrong::default();
    for target in targets(&library, &sources) {
        for (path, shape, odd) in pairs(&target, 61) {
            let sources = Sources::default();
            let bench = Bench { sources: &sources, library: &library };
            let case = format!("{} {} = {odd}", target.name, path.join("."));
            let mut json = target.head.clone();
            put(&mut json, &target.shape, &path);
            let (text, line) = text(&json, odd);
            let answer = bench.file(&target, &text);
            bench.is_well_reported(&case, &answer, &mut wrong);
            let there = |found: &&Diagnostic| {
                let places = found.place.iter().chain(found.related.iter().map(|(place, _)| place));
                places.into_iter().any(|place| place.line == line)
            };
            // A field without a value is as good as not written; and what is wrong with a good value there, too, is
            // wrong with what stands around it.
            let nothing = matches!(odd, "" | "~" | "null");
            if nothing
                || !any_error(&answer.found)
                || answer.found.iter().any(|found| there(&found))
            {
                continue;
            }
            let mut around = target.head.clone();
            put(&mut around, &target.shape, &path);
            let (text, _) = self::text(&around, &good(&shape).to_string());
            let around = bench.file(&target, &text).found;
            let at = path.join(".");
            let new = answer.found.iter().filter(|found| {
                let same =
                    |other: &Diagnostic| (other.code, &other.path) == (found.code, &found.path);
                let above = !found.path.is_empty()
                    && at.starts_with(&found.path.replace('[', ".").replace(']', ""));
                found.is_error() && !above && !around.iter().any(same)
            });
            let new: Vec<_> = new.collect();
            if !new.is_empty() {
                wrong.add(&case, &format!("nothing is said at line {line}"), &new);
            }
        }
    }
    wrong.none();
}

#[test]
fn json_schema_and_program_take_the_same_values() {
    let sources = Sources::default();
    let library = Library::new(Vec::new(), &sources).expect("loads");
    let (mut differ, mut tried) = (Vec::new(), 0);
    for target in targets(&library, &sources) {
        let (schema, expressions) = match target.name {
            "Blueprint" => (schema_with_expressions("x", &target.shape), Expressions::Allowed),
            _ => (schema("x", &target.shape), Expressions::Refused),
        };
        let schema = jsonschema::validator_for(&schema).expect("a JSON Schema");
        for (path, _, odd) in pairs(&target, 1) {
            if REWRITTEN.contains(&odd) {
                continue;
            }
            let mut json = target.head.clone();
            put(&mut json, &target.shape, &path);
            let (text, _) = text(&json, odd);
            let read = yaml::read(sources.add("t", text), &sources);
            let [node] = read.documents.as_slice() else { continue };
            if !read.diagnostics.is_empty() {
                continue;
            }
            tried += 1;
            let wrong = check(node, &target.shape, "", expressions);
            let taken = schema.is_valid(&node.to_json());
            // Bounds of sizes are not to be said of text. In a blueprint, a part may bring what is missing.
            let beyond = |wrong: &Diagnostic| {
                let bound = wrong.message.starts_with("expected at ")
                    && wrong.message.contains(", found `");
                // An editor reads `0005` as 5.
                let rewritten = wrong.message.starts_with("expected a mode in octal")
                    && wrong.message.contains(", found `");
                bound
                    || rewritten
                    || (target.name == "Blueprint" && wrong.code == Code::MissingField)
            };
            if taken && wrong.iter().all(beyond) {
                continue;
            }
            if taken != wrong.is_empty() {
                let said = wrong.first().map_or("", |wrong| wrong.message.as_str());
                let who =
                    if taken { "only the program refuses" } else { "only the schema refuses" };
                differ.push(format!("{} {}: {odd}: {who} {said}", target.name, path.join(".")));
            }
        }
    }
    assert!(differ.is_empty(), "{} of {tried} differ:\n{}", differ.len(), differ.join("\n"));
}

/// A value is the same wherever it stands: in the file, in a layer, after `--set`, in a parameter of Argo CD, in
/// a list of a KRM function.
#[test]
fn odd_values_mean_the_same_everywhere() {
    let sources = Sources::default();
    let library = Library::new(Vec::new(), &sources).expect("loads");
    let mut wrong = Wrong::default();
    for target in targets(&library, &sources).into_iter().take(3) {
        for (path, _, odd) in pairs(&target, 67) {
            if !matches!(path[0].as_str(), "spec" | "metadata")
                || path.len() < 2
                || path[1] == "name"
            {
                continue;
            }
            let sources = Sources::default();
            let bench = Bench { sources: &sources, library: &library };
            let case = format!("{} {} = {odd}", target.name, path.join("."));
            let mut whole = target.head.clone();
            put(&mut whole, &target.shape, &path);
            let (text, _) = text(&whole, odd);
            let Ok(nodes) = bench.read("odd.pso.yaml", &text) else { continue };
            let in_file = bench.run(nodes.clone(), Vec::new(), Vec::new());
            let mut same = |how: &str, answer: &Answer| {
                bench.is_well_reported(&case, answer, &mut wrong);
                if any_error(&answer.found) != any_error(&in_file.found) {
                    wrong.add(
                        &case,
                        &format!("{how} is not what it is in a file"),
                        &(&answer.found, &in_file.found),
                    );
                } else if answer.objects != in_file.objects {
                    wrong.add(&case, &format!("{how} makes other objects"), &answer.found);
                }
            };
            let base = bench.base(&target);

            // The list of a KRM function holds the same document as JSON.
            if !REWRITTEN.contains(&odd) {
                let list = json!({
                    "apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList",
                    "items": [nodes[0].to_json()],
                });
                let list = bench.read("<stdin>", &sanitize::json(&list.to_string())).expect("YAML");
                let list = list.into_iter().next().map(ResourceList::new);
                let documents = list.expect("a document").expect("a list").documents();
                same("in a function", &bench.run(documents, Vec::new(), Vec::new()));
            }

            // A layer has only what differs. What is required and `null` in it is the base's default.
            let layer = bench.read("layer.yaml", &text).expect("YAML").remove(0);
            let required = matches!(odd, "" | "~" | "null" | "{a: ~}");
            let by_layer = bench.run(vec![base.clone()], vec![Layer::new(layer)], Vec::new());
            if required {
                bench.is_well_reported(&case, &by_layer, &mut wrong);
                continue;
            }
            same("in a layer", &by_layer);
            if path.iter().any(|step| step == "0") {
                continue;
            }

            // A setting has one path; what must stand beside it is there before.
            let mut beside = target.head.clone();
            put(&mut beside, &target.shape, &path);
            remove(&mut beside);
            let beside = bench
                .read("beside.yaml", &sanitize::json(&beside.to_string()))
                .expect("YAML")
                .remove(0);
            let mut base = base;
            apply_layer(&mut base, &beside, Some(&target.shape));
            let name =
                path.iter().map(|step| step.replace('.', "\\.")).collect::<Vec<_>>().join(".");
            match Setting::parse("--set", &format!("{name}={odd}"), &sources) {
                Ok(setting) => {
                    same("as a setting", &bench.run(vec![base.clone()], Vec::new(), vec![setting]));
                }
                Err(found) => wrong.add(&case, "as a setting is refused", &found),
            }
            let given = Given {
                from: format!("parameter {name}"),
                name,
                value: Words::One(odd.to_owned()),
            };
            if let Ok(setting) = Setting::given(&given, &sources) {
                let by_parameter = bench.run(vec![base], Vec::new(), vec![setting]);
                bench.is_well_reported(&case, &by_parameter, &mut wrong);
            }
        }
    }
    wrong.none();
}

impl Bench<'_> {
    fn base(&self, target: &Target) -> Node {
        self.read("base.pso.yaml", &target.head.to_string()).expect("YAML").remove(0)
    }
}

/// Removes the mark.
fn remove(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            fields.retain(|_, value| value != HERE);
            fields.values_mut().for_each(remove);
        }
        Json::Array(items) => {
            items.retain(|value| value != HERE);
            items.iter_mut().for_each(remove);
        }
        _ => {}
    }
}
