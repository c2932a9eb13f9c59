//! Parses Argo CD's input for a plugin: the application's parameters as JSON, and its environment.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::Announcement;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, Sources, nearest};
use crate::compiler::spec::{Given, Words};

/// The variable that holds the parameters.
pub const PARAMETERS: &str = "ARGOCD_APP_PARAMETERS";
/// Prefix of every variable that an application sets in `plugin.env`.
pub const VARIABLE: &str = "ARGOCD_ENV_";

/// Prefix of a parameter's place in diagnostics, before its name.
pub const PARAMETER: &str = "parameter ";

/// Parameters that list files in the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Layers, like `--layer`.
    pub layers: Vec<String>,
    /// Storage documents, like `--storage`.
    pub storage: Vec<String>,
    /// Folders with blueprints, like `--blueprints`.
    pub blueprints: Vec<String>,
}

/// Parses the parameters. `null` and an empty text mean no parameters.
pub fn parse_parameters(
    text: &str,
    sources: &Sources,
) -> Result<(Files, Vec<Given>), Vec<Diagnostic>> {
    let (mut files, mut input) = (Files::default(), Vec::new());
    let source = sources.add(PARAMETERS, text);
    let whole = Place::in_text(source, text, 0, text.len());
    let bad = |message: String| {
        vec![Diagnostic::new(Code::BadParameter, whole, message).fix(
            "write `plugin: {parameters: [{name: spec.replicas, string: \"2\"}]}` in the Application",
        )]
    };
    if text.trim().is_empty() {
        return Ok((files, input));
    }
    let list = match serde_json::from_str(text) {
        Ok(Json::Null) => return Ok((files, input)),
        Ok(Json::Array(list)) => list,
        Ok(_) => return Err(bad("the parameters are not a list".to_owned())),
        Err(error) => return Err(bad(format!("the parameters are not JSON: {error}"))),
    };
    let (mut names, mut errors) = (BTreeSet::new(), Vec::new());
    for entry in &list {
        let Some(name) = entry.get("name").and_then(Json::as_str).filter(|name| !name.is_empty())
        else {
            errors.extend(bad("a parameter has no `name`".to_owned()));
            continue;
        };
        if !names.insert(name) {
            errors.extend(bad(format!("the parameter `{name}` is given twice")));
            continue;
        }
        match (words(entry), place_of(name, &mut files)) {
            (Err(message), _) => errors.extend(bad(format!("the parameter `{name}` {message}"))),
            (Ok(Words::List(paths)), Some(list)) => *list = paths,
            (Ok(Words::One(path)), Some(list)) if path.is_empty() => list.clear(),
            (Ok(_), Some(_)) => {
                errors.extend(bad(format!("the parameter `{name}` is a list of paths: `array`")));
            }
            (Ok(value), None) => {
                let from = format!("{PARAMETER}{name}");
                input.push(Given { from, name: name.to_owned(), value });
            }
        }
    }
    if errors.is_empty() { Ok((files, input)) } else { Err(errors) }
}

fn place_of<'f>(name: &str, files: &'f mut Files) -> Option<&'f mut Vec<String>> {
    match name {
        "layers" => Some(&mut files.layers),
        "storage" => Some(&mut files.storage),
        "blueprints" => Some(&mut files.blueprints),
        _ => None,
    }
}

/// Returns the value, which is one of `string`, `array` and `map`. Argo CD's page leaves the others empty.
fn words(entry: &Json) -> Result<Words, String> {
    let word = |value: &Json| match value {
        Json::String(text) => Ok(text.clone()),
        Json::Number(_) | Json::Bool(_) => Ok(value.to_string()),
        Json::Null => Ok(String::new()),
        _ => Err("holds something else than words".to_owned()),
    };
    let mut found = Vec::new();
    if let Some(value) = entry.get("string").filter(|value| !value.is_null()) {
        found.push(Words::One(word(value)?));
    }
    match entry.get("array") {
        None | Some(Json::Null) => {}
        Some(Json::Array(items)) => {
            found.push(Words::List(items.iter().map(word).collect::<Result<_, _>>()?));
        }
        Some(_) => return Err("has an `array` that is not a list".to_owned()),
    }
    match entry.get("map") {
        None | Some(Json::Null) => {}
        Some(Json::Object(entries)) => {
            let entries = entries.iter().map(|(key, value)| Ok((key.clone(), word(value)?)));
            found.push(Words::Map(entries.collect::<Result<_, String>>()?));
        }
        Some(_) => return Err("has a `map` that is not a mapping".to_owned()),
    }
    if found.len() > 1 {
        found.retain(|words| !is_empty(words));
    }
    match found.len() {
        0 => Err("has no value: write `string`, `array` or `map`".to_owned()),
        1 => Ok(found.remove(0)),
        _ => Err("has several values: keep one of `string`, `array` and `map`".to_owned()),
    }
}

fn is_empty(words: &Words) -> bool {
    match words {
        Words::One(word) => word.is_empty(),
        Words::List(items) => items.is_empty(),
        Words::Map(entries) => entries.is_empty(),
    }
}

/// Returns the settings in an application's `plugin.env`, from all variables of the process. `announced` are the app's
/// parameters. A variable may have the form that Argo CD gives a parameter in variables, `SPEC_REPLICAS`, with or
/// without `SPEC_`.
pub fn environment(
    variables: &[(String, String)],
    announced: &[Announcement],
    sources: &Sources,
) -> (Vec<Given>, Vec<Diagnostic>) {
    let (mut input, mut errors) = (Vec::new(), Vec::new());
    for (variable, value) in variables {
        let Some(word) = variable.strip_prefix(VARIABLE) else {
            continue;
        };
        match parameter(word, announced) {
            Ok(name) => {
                let value = Words::One(value.clone());
                input.push(Given { from: variable.clone(), name, value });
            }
            Err((message, fix)) => {
                let source = sources.add(variable.as_str(), value.as_str());
                let place = Place::in_text(source, value, 0, value.len());
                errors.push(Diagnostic::new(Code::BadParameter, place, message).fix(fix));
            }
        }
    }
    (input, errors)
}

/// Returns the parameter that a variable stands for.
fn parameter(word: &str, announced: &[Announcement]) -> Result<String, (String, String)> {
    // A path is used as it is; setting the value reports unknown fields.
    if word.contains(['.', ':']) {
        return Ok(word.to_owned());
    }
    let forms = |name: &str| {
        let short = name.replacen("spec.", "", 1);
        [folded(name), folded(&short)]
    };
    let word_folded = folded(word);
    let names = announced.iter().flat_map(|announcement| sections(&announcement.name));
    let meant: BTreeSet<&str> = names.filter(|name| forms(name).contains(&word_folded)).collect();
    let meant: Vec<&str> = meant.into_iter().collect();
    match meant.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => {
            let message = format!("no parameter is called `{word}`");
            let all: Vec<String> =
                announced.iter().map(|announcement| forms(&announcement.name)[1].clone()).collect();
            let likely = nearest(&word_folded, all.iter().map(String::as_str));
            let fix = match likely {
                Some(likely) => format!("did you mean `{likely}`?"),
                None if matches!(word, "LAYERS" | "STORAGE" | "BLUEPRINTS") => {
                    format!(
                        "name files in `plugin.parameters`: {{name: {}, array: […]}}",
                        word.to_lowercase()
                    )
                }
                None => {
                    "call it like a field: `REPLICAS` or `spec.replicas`; Argo CD's page lists all"
                        .to_owned()
                }
            };
            Err((message, fix))
        }
        several => Err((
            format!("`{word}` may be `{}`", several.join("` or `")),
            "write the path instead, in `plugin.parameters` or as the variable's name".to_owned(),
        )),
    }
}

/// Iterates over a parameter and the sections that contain it: `spec.volumes.db.class`, `spec.volumes.db`,
/// `spec.volumes`.
fn sections(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.match_indices('.').map(|(at, _)| &name[..at]);
    dots.skip(1).chain([name])
}

/// Converts a parameter's name to a variable's name as Argo CD does.
fn folded(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    name.chars().map(letter).collect()
}
