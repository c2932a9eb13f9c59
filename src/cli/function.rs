//! `pso-gen fn`: the compiler as a KRM function.

use std::path::PathBuf;

use super::input_files::{self, Input};
use super::output::{self, Format};
use super::path_text::shown;
use super::{CommandError, Outcome, tenant_rules};
use crate::adapters::krm::ResourceList;
use crate::compiler::check;
use crate::compiler::diagnostic::{Code, Diagnostic, Sources, any_error, sort};
use crate::compiler::manifest::Object;
use crate::compiler::run::{Input as RunInput, Inputs, Options, Run, Side, Unit};
use crate::compiler::spec::{Setting, Tenancy};
use crate::compiler::yaml;

/// Be a KRM function, for Kustomize and kpt
///
/// Reads a `ResourceList` from standard input and prints it with our documents replaced by the objects that
/// they become. With any error the list is printed as it came, with results, and the exit code is 1.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Namespace of the apps that name none
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// Folder with blueprints of your own
    #[arg(long, value_name = "DIR")]
    blueprints: Vec<PathBuf>,

    /// Rules of the platform that the apps of a tenant are held to, beside those in
    /// `PSO_GEN_TENANT_RULES`
    #[arg(long, value_name = "FILE")]
    tenant_rules: Vec<PathBuf>,

    /// Day that counts as today, for apps that end
    #[arg(long, value_name = "YYYY-MM-DD", hide = true)]
    today: Option<jiff::civil::Date>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let sources = Sources::default();
    let list = match read(&sources)? {
        Ok(list) => list,
        Err(errors) => {
            output::diagnostics(&errors, &sources, Format::Human);
            return Ok(Outcome::Failure);
        }
    };
    let (objects, mut diagnostics) = render(args, &list, &sources)?;
    sort(&mut diagnostics, &sources);
    let results: Vec<_> =
        diagnostics.iter().map(|diagnostic| list.result(diagnostic, &sources)).collect();
    output::diagnostics(&diagnostics, &sources, Format::Human);
    let broken = any_error(&diagnostics);
    let answer = if broken {
        list.unchanged(&results)
    } else {
        let objects = objects.iter().map(Object::to_json).collect::<Result<_, _>>()?;
        list.with(objects, &results)
    };
    let mut text = String::new();
    yaml::write(&mut text, &answer)?;
    output::data(&text)?;
    Ok(if broken { Outcome::Failure } else { Outcome::Success })
}

fn read(sources: &Sources) -> Result<Result<ResourceList, Vec<Diagnostic>>, CommandError> {
    let source = match yaml::decode(&Input::Stdin.name(), Input::Stdin.read()?, sources) {
        Ok(source) => source,
        Err(error) => return Ok(Err(vec![error])),
    };
    let read = yaml::read(source, sources);
    if !read.diagnostics.is_empty() {
        return Ok(Err(read.diagnostics));
    }
    let mut documents = read.documents.into_iter();
    Ok(match (documents.next(), documents.next()) {
        (Some(node), None) => ResourceList::new(node).map_err(|error| vec![error]),
        _ => Err(vec![
            Diagnostic::new(Code::BadList, None, "expected one ResourceList on standard input")
                .fix("let Kustomize or kpt call `pso-gen fn`"),
        ]),
    })
}

/// Renders our documents: all of them in one run, like those of a folder.
fn render(
    args: &Args,
    list: &ResourceList,
    sources: &Sources,
) -> Result<(Vec<Object>, Vec<Diagnostic>), CommandError> {
    let mut errors = Vec::new();
    let rules = tenant_rules::rules(&args.tenant_rules, sources, &mut errors)?;
    let tenancy = Tenancy { rules, namespace: args.namespace.clone() };
    let folders = args.blueprints.iter();
    errors.extend(folders.filter_map(|folder| check::tenant_blueprints(&shown(folder), &tenancy)));
    if !errors.is_empty() {
        return Ok((Vec::new(), errors));
    }
    let library = super::explain::library(&args.blueprints, sources)?;
    let namespace = match args.namespace.as_ref().map(|name| Setting::namespace(name, sources)) {
        Some(Err(error)) => return Ok((Vec::new(), vec![error])),
        namespace => namespace.and_then(Result::ok),
    };
    let options = Options {
        layers: Vec::new(),
        settings: Vec::new(),
        namespace,
        tenancy,
        today: input_files::day(args.today),
        side: Side::Today,
    };
    let rendered = vec![RunInput::Documents(list.documents())];
    let inputs = Inputs { rendered, storage: Vec::new() };
    let run = Run::new(sources, &library, options, inputs, Vec::new());
    let (mut storage, mut apps): (Vec<Object>, Vec<Object>) = (Vec::new(), Vec::new());
    let prepare = |unit: &Unit| {
        let objects = |objects: &Vec<Object>| objects.clone();
        let storage = unit.storage.iter().flat_map(|stored| objects(&stored.objects));
        let apps = unit.apps.iter().flat_map(|app| objects(&app.compiled.objects));
        Ok((storage.collect::<Vec<_>>(), apps.collect::<Vec<_>>()))
    };
    let take = |(of_storage, of_apps): (Vec<Object>, Vec<Object>)| {
        storage.extend(of_storage);
        apps.extend(of_apps);
        Ok::<(), CommandError>(())
    };
    let summary = run.render(prepare, take, |_| ())?;
    let objects = summary.namespaces.into_iter().chain(storage).chain(apps).collect();
    Ok((objects, summary.diagnostics))
}
