//! `pso-gen init`: creates a first app file, from answers on a terminal or from flags.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::error::Suggestion;
use super::explain::{BLUEPRINT, TENANT_RULES, library, shape};
use super::prompt::Prompt;
use super::{CommandError, Outcome, cluster, input_files, output};
use crate::compiler::blueprint::Classes;
use crate::compiler::diagnostic::{Diagnostic, Place, Sources, any_error, sort};
use crate::compiler::run::{Pipeline, Side};
use crate::compiler::spec::{
    Field, Format, Kind, STORAGE, Setting, Shape, Tenancy, apply_layer, apply_setting,
};
use crate::compiler::yaml::{self, Entry, Node, Scalar, Typed, Value};
use crate::contract::API_VERSION;
use crate::sanitize;

/// Create a first app file
///
/// On a terminal, asks for the fields that the app requires; elsewhere, or with `--set`, uses flags. The app is
/// rendered before the file is written, and a file with errors is not written. An existing file is never replaced.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Kind of the app, such as `NextCloud`
    kind: Option<String>,

    /// Name of the app
    #[arg(long)]
    name: Option<String>,

    /// Namespace of the app
    #[arg(long)]
    namespace: Option<String>,

    /// Field under `spec` with its value, such as `host=cloud.example.com`
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    set: Vec<String>,

    /// Storage document of the cluster, which declares its classes
    #[arg(long, value_name = "FILE")]
    storage: Vec<PathBuf>,

    /// File to write; the default is `NAME.pso.yaml`, `-` prints it
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Folder with your own blueprints
    #[arg(long, value_name = "DIR")]
    blueprints: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let sources = Sources::default();
    let library = library(&args.blueprints, &sources)?;
    let flags = args.kind.is_some() || !args.set.is_empty() || args.name.is_some();
    let answers = Prompt::of_terminal();
    let kinds = library.kinds();
    let kind = match &args.kind {
        Some(kind) => kind.clone(),
        None if flags || !answers.asks => {
            return Err(CommandError::MissingKind { kinds });
        }
        None => {
            let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
            answers.choose("Kind", &kinds, None)?.unwrap_or_default()
        }
    };
    let is_app = |kind: &str| ![STORAGE, BLUEPRINT, TENANT_RULES].contains(&kind);
    let Some((kind, shape)) = shape(&kind, &library, &sources)?.filter(|(kind, _)| is_app(kind))
    else {
        let suggestion = Suggestion::among(kinds, &kind);
        return Err(CommandError::UnknownKind { kind: sanitize::quoted(&kind), suggestion });
    };
    let short = kind.to_lowercase();
    let name = match &args.name {
        Some(name) => Some(name.clone()),
        None => answers.ask("Name", Format::Name, Some(&short))?,
    };
    let name = name.unwrap_or(short);
    let namespace = match &args.namespace {
        Some(namespace) => Some(namespace.clone()),
        None => answers.ask("Namespace", Format::Name, Some(&name))?.filter(|_| answers.asks),
    };
    let (settings, mut errors) = settings(&args.set, &sources);
    let classes = classes(&args.storage, &sources, &mut errors)?;
    let maker = AppBuilder {
        kind: &kind,
        shape: &shape,
        sources: &sources,
        answers: &answers,
        classes: classes.names().collect(),
    };
    let mut node = maker.head(&name, namespace.as_deref());
    for setting in &settings {
        apply_setting(&mut node, setting, Some(&shape));
    }
    maker.ask_what_is_missing(&mut node)?;
    let render = |node: Node| {
        let pipeline = Pipeline {
            sources: &sources,
            library: &library,
            classes: classes.clone(),
            layers: Vec::new(),
            settings: Vec::new(),
            namespace: None,
            tenancy: Tenancy::default(),
            today: input_files::day(None),
            side: Side::Today,
        };
        pipeline.documents(vec![node], Vec::new()).diagnostics
    };
    // First the values as they were passed, so that errors point at the flag.
    errors.extend(render(node.clone()));
    if !any_error(&errors) {
        let text = maker.text(&node)?;
        // Then the text as it will be read.
        let read = yaml::read(sources.add("the new file", text.clone()), &sources);
        let mut again = read.diagnostics;
        again.extend(read.documents.into_iter().flat_map(render).filter(Diagnostic::is_error));
        if again.is_empty() {
            let outcome = write(args, &name, &text)?;
            output::diagnostics(&errors, &sources, output::Format::Human);
            return Ok(outcome);
        }
        errors = again;
    }
    sort(&mut errors, &sources);
    output::diagnostics(&errors, &sources, output::Format::Human);
    Ok(Outcome::Failure)
}

/// Parses the flags `--set`; `spec.` may be left out.
fn settings(set: &[String], sources: &Sources) -> (Vec<Setting>, Vec<Diagnostic>) {
    let (mut settings, mut errors) = (Vec::new(), Vec::new());
    for text in set {
        let path = text.split('=').next().unwrap_or_default();
        let is_whole = ["spec", "metadata"].iter().any(|section| {
            path.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        let text = if is_whole { text.clone() } else { format!("spec.{text}") };
        match Setting::parse("--set", &text, sources) {
            Ok(setting) => settings.push(setting),
            Err(diagnostic) => errors.push(diagnostic),
        }
    }
    (settings, errors)
}

/// Returns the classes that volumes may have.
fn classes(
    paths: &[PathBuf],
    sources: &Sources,
    errors: &mut Vec<Diagnostic>,
) -> Result<Classes, CommandError> {
    let mut classes = Classes::default();
    for path in paths {
        match cluster::storage(path, sources)? {
            Ok(spec) => classes.add(&spec),
            Err(more) => errors.extend(more),
        }
    }
    Ok(classes)
}

/// Builds the new file.
struct AppBuilder<'m> {
    kind: &'m str,
    shape: &'m Shape,
    sources: &'m Sources,
    answers: &'m Prompt,
    /// Names of the classes that volumes may have.
    classes: Vec<&'m str>,
}

impl AppBuilder<'_> {
    /// Returns the document before anything is set: its head, and its volumes with class and size, so that the user
    /// sees which word to change.
    fn head(&self, name: &str, namespace: Option<&str>) -> Node {
        let mut head = json!({
            "apiVersion": API_VERSION,
            "kind": self.kind,
            "metadata": {"name": name},
            "spec": {},
        });
        if let Some(namespace) = namespace {
            head["metadata"]["namespace"] = namespace.into();
        }
        for volume in self.volumes() {
            let fields = ["class", "size"].map(|field| {
                let default = volume.shape.default.as_ref().map(|default| default[field].clone());
                (field, default.unwrap_or_default())
            });
            let fields: serde_json::Map<_, _> = fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(field, value)| (field.to_owned(), value))
                .collect();
            head["spec"]["volumes"][&volume.name] = fields.into();
        }
        self.node(&head)
    }

    fn node(&self, json: &Json) -> Node {
        let mut text = String::new();
        // Written and parsed again, every value has a place.
        let _ = yaml::write(&mut text, json);
        let source = self.sources.add("the new file", text.trim_start_matches("---\n"));
        let read = yaml::read(source, self.sources).documents.into_iter().next();
        read.unwrap_or_else(|| Node::empty_map(Place::start_of(source)))
    }

    fn spec(&self) -> &[Field] {
        let spec = self.shape.field("spec").and_then(|field| field.shape.fields());
        spec.unwrap_or_default()
    }

    fn volumes(&self) -> &[Field] {
        let volumes = self.spec().iter().find(|field| field.name == "volumes");
        volumes.and_then(|field| field.shape.fields()).unwrap_or_default()
    }

    /// Asks for required fields, and for the classes and sizes of volumes, unless a flag sets them.
    fn ask_what_is_missing(&self, node: &mut Node) -> Result<(), CommandError> {
        if !self.answers.asks {
            return Ok(());
        }
        let mut answered = serde_json::Map::new();
        for field in self.spec().iter().filter(|field| field.required) {
            if node.get("spec").and_then(|spec| spec.get(&field.name)).is_some() {
                continue;
            }
            let format = format_of(&field.shape);
            if let Some(answer) = self.answers.ask(&question(field), format, None)? {
                answered.insert(field.name.clone(), answer.into());
            }
        }
        for volume in self.volumes() {
            let about = volume.shape.about.trim_end_matches('.');
            for word in ["class", "size"] {
                let now = ["spec", "volumes", &volume.name, word]
                    .iter()
                    .try_fold(&*node, |node, step| node.get(step));
                let now = now.and_then(Node::text).map(str::to_owned);
                let from_flag =
                    now.as_deref() != volume.shape.default.as_ref().and_then(|d| d[word].as_str());
                if from_flag {
                    continue;
                }
                let answer = if word == "class" {
                    let question = format!("Class of `{}` ({about})", volume.name);
                    self.answers.choose(&question, &self.classes, now.as_deref())?
                } else {
                    let question = format!("Size of `{}`", volume.name);
                    self.answers.ask(&question, Format::Quantity, now.as_deref())?
                };
                if let Some(answer) = answer {
                    answered.entry("volumes").or_insert_with(|| json!({}))[&volume.name][word] =
                        answer.into();
                }
            }
        }
        if !answered.is_empty() {
            let layer = self.node(&json!({"spec": answered}));
            apply_layer(node, &layer, Some(self.shape));
        }
        Ok(())
    }

    /// Writes the document, with each volume on one line with its description.
    fn text(&self, node: &Node) -> Result<String, CommandError> {
        let mut json = as_written(node, self.shape);
        let volumes = json["spec"].as_object_mut().and_then(|spec| spec.shift_remove("volumes"));
        if json["spec"] == json!({}) && volumes.is_some() {
            json["spec"] = Json::Null;
        }
        let mut text = String::new();
        yaml::write(&mut text, &json)?;
        let mut text = text.trim_start_matches("---\n").replace("spec: null\n", "spec:\n");
        let Some(volumes) = volumes else { return Ok(text) };
        text.push_str("  volumes:\n");
        for (name, volume) in volumes.as_object().into_iter().flatten() {
            let declared = self.volumes().iter().find(|field| field.name == *name);
            let about = declared.map(|field| field.shape.about.trim_end_matches('.'));
            let about = about.filter(|about| !about.is_empty());
            let about =
                about.map(|about| format!("  # {}", sanitize::line(about, sanitize::LONGEST)));
            text.push_str(&format!("    {name}: {}{}\n", flow(volume), about.unwrap_or_default()));
        }
        Ok(text)
    }
}

/// Writes a value as one-line YAML, without unnecessary quotes.
fn flow(value: &Json) -> String {
    match value {
        Json::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Json::String(word)
            if word.starts_with(|c: char| c.is_ascii_alphanumeric())
                && word.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c))
                && Scalar::Plain(word.clone()).typed() == Typed::Text =>
        {
            word.clone()
        }
        other => other.to_string(),
    }
}

/// Returns a document as JSON in which every text keeps its spelling: `010` is a name, not a number.
fn as_written(node: &Node, shape: &Shape) -> Json {
    match (&node.value, &shape.kind) {
        (Value::Map(entries), _) => {
            let entry = |entry: &Entry| {
                let inner = shape.inside(&entry.key).map(|inner| as_written(&entry.value, inner));
                (entry.key.clone(), inner.unwrap_or_else(|| entry.value.to_json()))
            };
            Json::Object(entries.iter().map(entry).collect())
        }
        (Value::List(items), Kind::List(inner)) => {
            Json::Array(items.iter().map(|item| as_written(item, inner)).collect())
        }
        (Value::Scalar(scalar), Kind::Text { .. }) => scalar.text().into(),
        (Value::Scalar(scalar), Kind::Either(shapes))
            if matches!(scalar.typed(), Typed::Integer(_) | Typed::Float(_))
                && !shapes.iter().any(|shape| matches!(shape.kind, Kind::Integer { .. })) =>
        {
            scalar.text().into()
        }
        _ => node.to_json(),
    }
}

fn question(field: &Field) -> String {
    let about = field.shape.about.split(". ").next().unwrap_or_default();
    format!("{}: {}", field.name, about.trim_end_matches('.'))
}

fn format_of(shape: &Shape) -> Format {
    match &shape.kind {
        Kind::Text { format, .. } => *format,
        _ => Format::Text,
    }
}

fn write(args: &Args, name: &str, text: &str) -> Result<Outcome, CommandError> {
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.pso.yaml")));
    if path.as_os_str() == "-" {
        output::data(text)?;
        return Ok(Outcome::Success);
    }
    let failed = |source| CommandError::Write { path: path.display().to_string(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    let shown = sanitize::name(&path.display().to_string());
    output::words(&format!("wrote {shown}; to see its manifests: pso-gen render {shown}\n"));
    Ok(Outcome::Success)
}
