//! `pso-gen init`: a first app file. Asks on a terminal, takes flags everywhere.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use serde_json::Value as Json;

use super::ask::Answers;
use super::explain::{BLUEPRINT, TENANT_RULES, library, shape};
use super::out;
use super::{Outcome, Trouble};
use crate::diagnostic::{Sources, any_error};
use crate::spec::{
    API_VERSION, Expressions, Field, Format, Quantity, STORAGE, Setting, Shape, apply_setting,
    check,
};
use crate::yaml::{self, Node};

/// The classes that every cluster has.
const CLASSES: [&str; 2] = ["pure-file", "pure-block"];

/// Write a first app file
///
/// Asks for what the app needs when it runs on a terminal; elsewhere, or with `--set`, takes flags.
/// The file is checked before it is written, and never replaces one that is there.
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

    /// Field under `spec`, such as `host=cloud.example.com`
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    set: Vec<String>,

    /// File to write; `NAME.pso.yaml` when left out, `-` prints it
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Folder with blueprints of your own
    #[arg(long, value_name = "DIR")]
    blueprints: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Trouble> {
    let sources = Sources::default();
    let library = library(&args.blueprints, &sources)?;
    let flags = args.kind.is_some() || !args.set.is_empty() || args.name.is_some();
    let answers = Answers::of_terminal();
    let kinds = library.kinds();
    let kind = match &args.kind {
        Some(kind) => kind.clone(),
        None if flags || !answers.asks => {
            return Err(Trouble::Usage(format!("say which kind: one of `{}`", kinds.join("`, `"))));
        }
        None => {
            let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
            answers.choose("Kind", &kinds, None)?.unwrap_or_default()
        }
    };
    let is_app = |kind: &str| ![STORAGE, BLUEPRINT, TENANT_RULES].contains(&kind);
    let Some((kind, shape)) = shape(&kind, &library, &sources)?.filter(|(kind, _)| is_app(kind))
    else {
        return Err(Trouble::Usage(format!(
            "there is no kind `{kind}`; there are `{}`",
            kinds.join("`, `")
        )));
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
    let text = document(&kind, &name, namespace.as_deref(), &shape, &args.set, &answers)?;
    let read = yaml::read(sources.add("the new file", text.clone()), &sources);
    let mut wrong = read.diagnostics;
    for node in &read.documents {
        wrong.extend(check(node, &shape, "", Expressions::Refused));
    }
    if any_error(&wrong) {
        out::diagnostics(&wrong, &sources, out::Format::Human);
        return Ok(Outcome::Wrong);
    }
    write(args, &name, &text)
}

fn document(
    kind: &str,
    name: &str,
    namespace: Option<&str>,
    shape: &Shape,
    set: &[String],
    answers: &Answers,
) -> Result<String, Trouble> {
    let mut text = format!("apiVersion: {API_VERSION}\nkind: {kind}\nmetadata:\n  name: {name}\n");
    if let Some(namespace) = namespace {
        let _ = writeln!(text, "  namespace: {namespace}");
    }
    text.push_str("spec:\n");
    let spec = shape.field("spec").map(|field| field.shape.fields().unwrap_or_default());
    let fields = spec.unwrap_or_default();
    let mut given = given(set)?;
    for field in fields.iter().filter(|field| field.required) {
        if given.contains_key(&field.name) {
            continue;
        }
        if let Some(answer) = answers.ask(&question(field), format_of(&field.shape), None)? {
            let _ = writeln!(text, "  {}: {answer}", field.name);
        }
    }
    let volumes = given.shift_remove("volumes").unwrap_or_default();
    for (field, value) in &given {
        let mut lines = String::new();
        yaml::write(&mut lines, &serde_json::json!({field: value}))
            .map_err(|error| Trouble::Usage(error.to_string()))?;
        lines.lines().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text.push_str(&volume_lines(fields, &volumes, answers)?);
    Ok(text)
}

/// What the flags say, as the fields of `spec`.
fn given(set: &[String]) -> Result<serde_json::Map<String, Json>, Trouble> {
    let sources = Sources::default();
    let mut document = None;
    for word in set {
        let path = word.strip_prefix("spec.").unwrap_or(word);
        let setting = Setting::parse("--set", &format!("spec.{path}"), &sources)
            .map_err(|wrong| Trouble::Usage(format!("`--set {word}`: {}", wrong.message)))?;
        let node = document.get_or_insert_with(|| Node::empty_map(setting.value.place));
        apply_setting(node, &setting, None);
    }
    let spec = document.map(|node| node.to_json()["spec"].take());
    Ok(spec.and_then(|spec| spec.as_object().cloned()).unwrap_or_default())
}

/// The volumes with class and size, so that one sees which word to switch.
fn volume_lines(fields: &[Field], given: &Json, answers: &Answers) -> Result<String, Trouble> {
    let Some(volumes) = fields.iter().find(|field| field.name == "volumes") else {
        return Ok(String::new());
    };
    let mut text = "  volumes:\n".to_owned();
    for volume in volumes.shape.fields().unwrap_or_default() {
        let default = volume.shape.default.clone().unwrap_or_default();
        let about = volume.shape.about.trim_end_matches('.');
        let word = |value: &Json| value.as_str().map(str::to_owned);
        let short = word(&given[&volume.name]);
        let given_size = short.clone().filter(|word| Quantity::parse(word).is_some());
        let given_class = short.filter(|_| given_size.is_none());
        let class = given_class.or_else(|| word(&given[&volume.name]["class"]));
        let class = match class {
            Some(class) => Some(class),
            None => {
                let question = format!("Class of `{}` ({about})", volume.name);
                answers.choose(&question, &CLASSES, default["class"].as_str())?
            }
        };
        let class = class.unwrap_or_default();
        let mut size = given_size.or_else(|| word(&given[&volume.name]["size"]));
        if size.is_none() {
            let question = format!("Size of `{}`", volume.name);
            size = answers.ask(&question, Format::Quantity, default["size"].as_str())?;
        }
        let size = size.unwrap_or_default();
        let _ = writeln!(text, "    {}: {{class: {class}, size: {size}}}  # {about}", volume.name);
    }
    Ok(text)
}

fn question(field: &Field) -> String {
    let about = field.shape.about.split(". ").next().unwrap_or_default();
    format!("{}: {}", field.name, about.trim_end_matches('.'))
}

fn format_of(shape: &Shape) -> Format {
    match &shape.kind {
        crate::spec::Kind::Text { format, .. } => *format,
        _ => Format::Text,
    }
}

fn write(args: &Args, name: &str, text: &str) -> Result<Outcome, Trouble> {
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.pso.yaml")));
    if path.as_os_str() == "-" {
        out::data(text)?;
        return Ok(Outcome::Good);
    }
    let failed = |source| Trouble::Write { path: path.display().to_string(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    out::words(&format!("wrote {0}; see what it becomes: pso-gen render {0}\n", path.display()));
    Ok(Outcome::Good)
}
