//! `pso-gen fn`: the compiler as a KRM function.

use std::path::PathBuf;
use std::sync::atomic::AtomicU32;

use super::files::{self, Input};
use super::out::{self, Format};
use super::{Outcome, Trouble, tenant};
use crate::adapters::krm::ResourceList;
use crate::compiler::blueprint::Classes;
use crate::compiler::check::{self, Facts, Run, Storages};
use crate::compiler::compile;
use crate::compiler::diagnostic::{Code, Diagnostic, Sources, any_error, sort};
use crate::compiler::manifest::Object;
use crate::compiler::run::{Pipeline, Rendered, Side, read_storage};
use crate::compiler::spec::{STORAGE, Setting, Tenancy, split};
use crate::compiler::yaml::{self, Node};

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

pub(super) fn run(args: &Args) -> Result<Outcome, Trouble> {
    let sources = Sources::default();
    let list = match read(&sources)? {
        Ok(list) => list,
        Err(wrong) => {
            out::diagnostics(&wrong, &sources, Format::Human);
            return Ok(Outcome::Wrong);
        }
    };
    let (objects, mut found) = render(args, &list, &sources)?;
    sort(&mut found, &sources);
    let results: Vec<_> = found.iter().map(|found| list.result(found, &sources)).collect();
    out::diagnostics(&found, &sources, Format::Human);
    let broken = any_error(&found);
    let answer = if broken {
        list.unchanged(&results)
    } else {
        let objects = objects.iter().map(Object::to_json).collect::<Result<_, _>>()?;
        list.with(objects, &results)
    };
    let mut text = String::new();
    yaml::write(&mut text, &answer)?;
    out::data(&text)?;
    Ok(if broken { Outcome::Wrong } else { Outcome::Good })
}

fn read(sources: &Sources) -> Result<Result<ResourceList, Vec<Diagnostic>>, Trouble> {
    let source = match yaml::decode(&Input::Stdin.name(), Input::Stdin.read()?, sources) {
        Ok(source) => source,
        Err(wrong) => return Ok(Err(vec![wrong])),
    };
    let read = yaml::read(source, sources);
    if !read.diagnostics.is_empty() {
        return Ok(Err(read.diagnostics));
    }
    let mut documents = read.documents.into_iter();
    Ok(match (documents.next(), documents.next()) {
        (Some(node), None) => ResourceList::new(node).map_err(|wrong| vec![wrong]),
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
) -> Result<(Vec<Object>, Vec<Diagnostic>), Trouble> {
    let mut wrong = Vec::new();
    let rules = tenant::rules(&args.tenant_rules, sources, &mut wrong)?;
    let tenancy = Tenancy { rules, namespace: args.namespace.clone() };
    let folders = args.blueprints.iter();
    wrong.extend(
        folders.filter_map(|folder| check::tenant_blueprints(&files::shown(folder), &tenancy)),
    );
    if !wrong.is_empty() {
        return Ok((Vec::new(), wrong));
    }
    let library = super::explain::library(&args.blueprints, sources)?;
    let documents = list.documents();
    let (classes, quotas, wrong) = storage(&documents);
    let namespace = args.namespace.as_ref().map(|name| Setting::namespace(name, sources));
    let pipeline = Pipeline {
        sources,
        library: &library,
        classes,
        layers: Vec::new(),
        settings: Vec::<(Setting, AtomicU32)>::new(),
        namespace: match namespace {
            Some(Err(wrong)) => return Ok((Vec::new(), vec![wrong])),
            Some(Ok(setting)) => Some(setting),
            None => None,
        },
        tenancy,
        today: files::day(args.today),
        side: Side::Today,
    };
    let unit = pipeline.documents(documents, Vec::new());
    let mut run = Run::new(&quotas);
    run.refer(unit.references);
    let mut found = unit.diagnostics;
    found.extend(wrong);
    let mut objects: Vec<Object> = Vec::new();
    for Rendered { app, compiled } in &unit.apps {
        found.extend(run.add(&Facts::of(app, compiled)));
    }
    found.extend(run.finish());
    objects.extend(run.namespaces().map(|n| compile::namespace(&n.name, n.profile, n.holds_data)));
    objects.extend(unit.storage.into_iter().flat_map(|stored| stored.objects));
    objects.extend(unit.apps.into_iter().flat_map(|rendered| rendered.compiled.objects));
    Ok((objects, found))
}

/// Classes and quotas of the storage documents; what is wrong with one is told when it is rendered.
fn storage(
    documents: &[Node],
) -> (Classes, Vec<crate::contract::storage::QuotaSpec>, Vec<Diagnostic>) {
    let (mut classes, mut quotas) = (Classes::default(), Vec::new());
    let (mut storages, mut wrong) = (Storages::default(), Vec::new());
    let kinds = [STORAGE.to_owned()];
    for document in documents.iter().filter_map(|node| split(node.clone(), &kinds).ok()) {
        if let Ok((_, spec)) = read_storage(&document) {
            wrong.extend(storages.add(&spec, &document.node));
            classes.add(&spec);
            quotas.extend(spec.quotas);
        }
    }
    (classes, quotas, wrong)
}
