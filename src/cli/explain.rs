//! `pso-gen explain`: prints the fields of a kind, from the declarations that also check documents.

use super::error::Suggestion;
use super::input_files;
use super::output;
use super::{CommandError, Outcome};
use crate::compiler::blueprint::{Library, blueprint_shape};
use crate::compiler::diagnostic::{Code, Sources, nearest};
use crate::compiler::run::{storage_shape, tenant_rules_shape};
use crate::compiler::spec::{STORAGE, Shape, explain};
use crate::contract::API_VERSION;
use crate::sanitize;

/// Name of the language of blueprints in this command.
pub(super) const BLUEPRINT: &str = "blueprint";
/// Name of the platform's rules for tenants in this command.
pub(super) const TENANT_RULES: &str = "TenantRules";

/// Explain kinds, their fields, and diagnostics
///
/// Like `kubectl explain`: a kind (`nextcloud`), a field (`nextcloud.volumes.db`; `spec` may be left
/// out), the language of blueprints (`blueprint.components`), the platform's rules for tenants
/// (`TenantRules`), or a diagnostic (`block-shared`).
/// Without an argument, lists the kinds.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Kind and field, or diagnostic
    #[arg(value_name = "KIND[.FIELD]")]
    what: Option<String>,

    /// Folder with your own blueprints
    #[arg(long, value_name = "DIR")]
    blueprints: Vec<std::path::PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let sources = Sources::default();
    let library = library(&args.blueprints, &sources)?;
    let Some(what) = &args.what else {
        output::data(&kinds(&library, &sources)?)?;
        return Ok(Outcome::Success);
    };
    if let Some(code) = Code::ALL.iter().find(|code| code.name() == what) {
        output::data(&format!(
            "{} ({})\n\n{}\n",
            code.name(),
            code.severity().word(),
            code.about()
        ))?;
        return Ok(Outcome::Success);
    }
    let mut steps = what.split('.');
    let first = steps.next().unwrap_or_default();
    let path: Vec<&str> = steps.collect();
    let Some((kind, shape)) = shape(first, &library, &sources)? else {
        return Err(unknown(first, &library));
    };
    let field = shape.at(&path).map(|shape| (path.clone(), shape));
    // Most fields that users ask for are in `spec`.
    let inside: Vec<&str> = ["spec"].into_iter().chain(path.iter().copied()).collect();
    let field = field.or_else(|| shape.at(&inside).map(|shape| (inside, shape)));
    let Some((path, field)) = field else {
        return Err(no_field(&kind, &path, &shape));
    };
    output::data(&explain(&kind, API_VERSION, &path.join("."), field))?;
    Ok(Outcome::Success)
}

/// Reads the blueprints in some folders and the built-in ones.
pub(super) fn library(
    folders: &[std::path::PathBuf],
    sources: &Sources,
) -> Result<Library, CommandError> {
    let mut all = Vec::new();
    for folder in folders {
        all.extend(input_files::read_blueprints(folder)?);
    }
    Library::new(all, sources).map_err(|errors| broken(&errors, sources))
}

fn broken(errors: &[crate::compiler::diagnostic::Diagnostic], sources: &Sources) -> CommandError {
    output::diagnostics(errors, sources, output::Format::Human);
    CommandError::InvalidBlueprint
}

/// Returns a kind's name and shape; kinds may be written in any case.
pub(super) fn shape(
    word: &str,
    library: &Library,
    sources: &Sources,
) -> Result<Option<(String, Shape)>, CommandError> {
    if word.eq_ignore_ascii_case(STORAGE) {
        return Ok(Some((STORAGE.to_owned(), storage_shape())));
    }
    if word.eq_ignore_ascii_case(BLUEPRINT) {
        return Ok(Some((BLUEPRINT.to_owned(), blueprint_shape())));
    }
    if word.eq_ignore_ascii_case(TENANT_RULES) {
        return Ok(Some((TENANT_RULES.to_owned(), tenant_rules_shape())));
    }
    let kinds = library.kinds();
    let Some(kind) = kinds.into_iter().find(|kind| kind.eq_ignore_ascii_case(word)) else {
        return Ok(None);
    };
    match library.get(&kind, sources) {
        Some(Ok(blueprint)) => Ok(Some((kind, blueprint.shape().clone()))),
        Some(Err(errors)) => Err(broken(&errors, sources)),
        None => Ok(None),
    }
}

fn kinds(library: &Library, sources: &Sources) -> Result<String, CommandError> {
    let mut text = "KINDS:\n".to_owned();
    for word in library.kinds().iter().map(String::as_str).chain([STORAGE]) {
        if let Some((kind, shape)) = shape(word, library, sources)? {
            let about = shape.about.split(". ").next().unwrap_or_default().trim_end_matches('.');
            text.push_str(&format!("  {kind:<12} {}\n", sanitize::line(about, sanitize::LONGEST)));
        }
    }
    text.push_str("\n`pso-gen explain KIND` lists the fields of one.\n");
    Ok(text)
}

fn unknown(word: &str, library: &Library) -> CommandError {
    let kinds = library.kinds();
    let codes = Code::ALL.iter().map(|code| code.name());
    let all =
        kinds.iter().map(String::as_str).chain([STORAGE, BLUEPRINT, TENANT_RULES]).chain(codes);
    let suggestion = if let Some(likely) = nearest(word, all) {
        Suggestion::Similar(likely.to_owned())
    } else {
        let others = [STORAGE, BLUEPRINT, TENANT_RULES].map(str::to_owned);
        Suggestion::OneOf(kinds.iter().cloned().chain(others).collect())
    };
    CommandError::UnknownTopic { name: sanitize::quoted(word), suggestion }
}

fn no_field(kind: &str, path: &[&str], shape: &Shape) -> CommandError {
    let last = path.last().copied().unwrap_or_default();
    let before = &path[..path.len().saturating_sub(1)];
    let inside: Vec<&str> = ["spec"].into_iter().chain(before.iter().copied()).collect();
    let around = [shape.at(before), shape.at(&inside)];
    let fields = around.into_iter().flatten().flat_map(|s| s.fields().unwrap_or_default());
    let similar = nearest(last, fields.map(|field| field.name.as_str())).map(str::to_owned);
    CommandError::UnknownField { kind: kind.to_owned(), field: path.join("."), similar }
}
