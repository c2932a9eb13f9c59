//! Turns an app document and its blueprint into an [`App`].

mod additions;
mod connections;
mod volumes;

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::Value;
use serde::Deserialize;

use super::app::{App, Classes, Secret};
use super::blame::blame;
use super::language::{Component, FileContent, Job, Program, Rule, Schedule, Serving};
use super::load::{Blueprint, Parts};
use super::scope::{Names, Variables};
use super::template::Template;
use super::verify::verify;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, any_error};
use crate::compiler::spec::{Common, Document, Expressions, Metadata, Tls, Via, check};
use crate::compiler::yaml::{Node, ReadError};
use crate::contract::Quantity;

/// Turns a document into an app and reports problems. With some errors, such as a broken rule, an app is still
/// returned, so that errors of later stages appear in the same run.
pub fn instantiate(
    document: &Document,
    blueprint: &Blueprint,
    classes: &Classes,
) -> (Option<App>, Vec<Diagnostic>) {
    let maker = Instantiation { document, blueprint, classes };
    let mut diagnostics = check(&document.node, blueprint.shape(), "", Expressions::Refused);
    let unreadable = any_error(&diagnostics);
    diagnostics.extend(maker.unknown_classes());
    if unreadable {
        return (None, diagnostics);
    }
    match maker.make(&mut diagnostics) {
        Ok(app) => (Some(app), diagnostics),
        // Settings that break a rule may also break an expression. The rule's message is clearer.
        Err(_) if any_error(&diagnostics) => (None, diagnostics),
        Err(error) => {
            diagnostics.push(maker.broken(&error));
            (None, diagnostics)
        }
    }
}

/// Returns the name of an app, from its document or from its blueprint. Returns none if the document does not
/// determine it.
pub fn name_of(document: &Document, blueprint: &Blueprint) -> Option<String> {
    if let Some(name) = document.name() {
        return Some(name.to_owned());
    }
    // Only checked values are evaluated.
    if any_error(&check(&document.node, blueprint.shape(), "", Expressions::Refused)) {
        return None;
    }
    let maker = Instantiation { document, blueprint, classes: &Classes::default() };
    let names = maker.parameters(document.node.get("spec"));
    blueprint.name.as_ref()?.within(&names.scope()).read().ok()
}

struct Instantiation<'m> {
    document: &'m Document,
    blueprint: &'m Blueprint,
    classes: &'m Classes,
}

impl Instantiation<'_> {
    fn make(&self, diagnostics: &mut Vec<Diagnostic>) -> Result<App, ReadError> {
        let node = &self.document.node;
        let metadata: Metadata = read_or_default(node.get("metadata"))?;
        let spec = node.get("spec");
        let common: Common = read_or_default(spec)?;
        let mut names = self.parameters(spec);
        let name = match (metadata.name, &self.blueprint.name) {
            (Some(name), _) => name,
            (None, Some(template)) => template.within(&names.scope()).read()?,
            (None, None) => String::new(),
        };
        self.surroundings(&mut names, &name, metadata.namespace.as_ref(), &common);
        let volumes = self.volumes(&common, &mut names, diagnostics)?;
        for (name, template) in &self.blueprint.lets {
            let value: serde_json::Value = template.within(&names.scope()).read()?;
            names.add([(name.as_str(), Value::from(minijinja::value::Serde(&value)))]);
        }
        let scope = names.scope();
        self.rules(&scope, diagnostics)?;
        let components = components(&self.blueprint.components, &scope)?;
        let jobs = jobs(&self.blueprint.jobs, &scope)?;
        let (talks, servers) = self.talks(&scope, &components, &jobs)?;
        let mut app = App {
            kind: self.blueprint.kind.clone(),
            namespace: metadata.namespace,
            labels: words(self.blueprint.labels.as_ref(), &scope, metadata.labels)?,
            annotations: words(self.blueprint.annotations.as_ref(), &scope, metadata.annotations)?,
            left_out: self.left_out(&volumes),
            volumes,
            secrets: self.secrets(&name, &common),
            scaled_by: self.blueprint.scaled_by.clone(),
            talks,
            servers,
            exposed: self.exposed(&scope, &components)?,
            additions: additions::of(&common, &components, &jobs, &self.blueprint.likes),
            components,
            jobs,
            expires: read(self.blueprint.expires.as_ref(), &scope)?,
            manifests: self.manifests(&scope)?,
            helper: self.helper(&common),
            networks: self.classes.networks().clone(),
            files: BTreeMap::new(),
            document: node.clone(),
            name,
            common,
        };
        self.set_images_and_resources(&mut app);
        app.files = self.files(&app);
        diagnostics.extend(verify(&app, self.blueprint));
        diagnostics.extend(volumes::unused(&app));
        Ok(app)
    }

    /// Returns the diagnostic for an error inside the blueprint: at the app's value that causes it, or else at
    /// the blueprint.
    fn broken(&self, error: &ReadError) -> Diagnostic {
        let evaluate = |node: &Node| {
            let document = Document { node: node.clone(), ..self.document.clone() };
            let maker = Instantiation { document: &document, ..*self };
            maker.make(&mut Vec::new()).map(|_| ())
        };
        let diagnostic = blame(error, &self.document.node, &evaluate);
        if diagnostic.path.is_empty() {
            diagnostic.and(Some(self.document.kind_place), "in this app")
        } else {
            diagnostic
        }
    }

    fn parameters(&self, spec: Option<&Node>) -> Names {
        let mut names = Names::default();
        names.add(self.blueprint.parameters.iter().map(|parameter| {
            let written = spec.and_then(|spec| spec.get(&parameter.name));
            (parameter.name.clone(), parameter.value(written))
        }));
        names.add([("catalogue", self.blueprint.catalogue.clone())]);
        names
    }

    /// Returns the names that every expression sees, in addition to the parameters.
    fn surroundings(
        &self,
        names: &mut Names,
        name: &str,
        namespace: Option<&String>,
        common: &Common,
    ) {
        let app = Value::from_pairs([
            ("name", Value::from(name)),
            ("namespace", Value::from(namespace)),
            ("kind", Value::from(self.blueprint.kind.as_str())),
        ]);
        let component = Value::from_pairs(self.blueprint.components.iter().map(|(part, _)| {
            let address = format!("{name}-{part}");
            let limits = common.resources.get(part).map(|resources| &resources.limits);
            let memory = limits.and_then(|limits| Quantity::bytes_of(limits.get("memory")?));
            let facts = [
                ("name", Value::from(address.clone())),
                ("address", Value::from(address)),
                ("memory", Value::from(memory)),
            ];
            (part.clone(), Value::from_pairs(facts))
        }));
        let secrets = self.secrets(name, common);
        let secrets = Value::from_pairs(secrets.into_iter().map(|(part, secret)| {
            let facts =
                [("name", Value::from(secret.name)), ("existing", Value::from(secret.existing))];
            (part, Value::from_pairs(facts))
        }));
        let tls = match common.expose.tls {
            Tls::Off => false,
            Tls::Elsewhere => true,
            Tls::Standard | Tls::Secret(_) => {
                matches!(common.expose.via, Via::Ingress | Via::Gateway)
            }
        };
        let expose = Value::from_pairs([
            ("via", Value::from(common.expose.via.word())),
            ("tls", Value::from(tls)),
            ("scheme", Value::from(if tls { "https" } else { "http" })),
        ]);
        let mut written = Vec::new();
        paths(self.document.node.get("spec"), "", &mut written);
        names.add([
            ("app", app),
            ("written", Value::from(written)),
            ("component", component),
            ("secrets", secrets),
            ("expose", expose),
        ]);
    }

    fn rules(&self, scope: &Variables, diagnostics: &mut Vec<Diagnostic>) -> Result<(), ReadError> {
        let rules: Vec<Rule> = read(self.blueprint.rules.as_ref(), scope)?.unwrap_or_default();
        for rule in rules {
            let path = format!("spec.{}", rule.at);
            let place = self.document.node.place_of(path.split('.'));
            let code = if rule.advice { Code::AppAdvice } else { Code::AppRule };
            let mut diagnostic = Diagnostic::new(code, place, rule.problem).at(path);
            diagnostic.fix = rule.fix;
            diagnostics.push(diagnostic);
        }
        Ok(())
    }

    fn secrets(&self, app: &str, common: &Common) -> IndexMap<String, Secret> {
        let secret = |(name, keys): (&String, &super::language::SecretKeys)| {
            let existing = common.secrets.get(name);
            let object = existing.cloned().unwrap_or_else(|| format!("{app}-{name}"));
            (
                name.clone(),
                Secret { name: object, existing: existing.is_some(), keys: keys.clone() },
            )
        };
        self.blueprint.secrets.iter().map(secret).collect()
    }

    fn manifests(&self, scope: &Variables) -> Result<Vec<(serde_json::Value, Place)>, ReadError> {
        let Some(template) = &self.blueprint.manifests else {
            return Ok(Vec::new());
        };
        let manifests: Vec<serde_json::Value> = template.within(scope).read()?;
        let place = |index: usize| template.place_of([index.to_string().as_str()]);
        let with_place = |(index, json)| (json, place(index));
        Ok(manifests.into_iter().enumerate().map(with_place).collect())
    }

    fn helper(&self, common: &Common) -> String {
        let catalogue = || self.blueprint.catalogue.get_attr("helper").ok();
        let written = common.images.get(super::load::SECRETS_STEP).cloned();
        written.or_else(|| catalogue()?.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Applies `spec.images` and `spec.resources`. A job with `like` runs its component's image, but has its own
    /// resources.
    fn set_images_and_resources(&self, app: &mut App) {
        let App { common, components, jobs, .. } = app;
        let apply = |name: &str, program: &mut Program| {
            let image_of = self.blueprint.likes.get(name).map_or(name, String::as_str);
            if let Some(image) = common.images.get(image_of) {
                program.image.clone_from(image);
            }
            if let Some(resources) = common.resources.get(name) {
                program.resources.requests.extend(resources.requests.clone());
                program.resources.limits.extend(resources.limits.clone());
            }
        };
        components.iter_mut().for_each(|(name, component)| apply(name, &mut component.program));
        jobs.iter_mut().for_each(|(name, job)| apply(name, &mut job.program));
    }

    /// Returns the contents of all mounted files.
    fn files(&self, app: &App) -> BTreeMap<String, Arc<str>> {
        let mut names: Vec<&str> = Vec::new();
        let programs = app.components.values().map(|component| &component.program);
        for program in programs.chain(app.jobs.values().map(|job| &job.program)) {
            names.extend(program.script.as_deref());
            names.extend(program.files.values().flatten().filter_map(
                |mount| match &mount.content {
                    FileContent::File(name) => Some(name.as_str()),
                    _ => None,
                },
            ));
        }
        let steps = app.components.values().flat_map(|component| &component.serving.before);
        names.extend(steps.filter_map(|step| step.script.as_deref()));
        names
            .into_iter()
            .filter_map(|name| {
                Some((name.to_owned(), self.blueprint.folder.files.get(name)?.clone()))
            })
            .collect()
    }
}

/// Gathers the paths of all fields that the app file sets.
fn paths(node: Option<&Node>, path: &str, found: &mut Vec<String>) {
    for entry in node.and_then(Node::entries).unwrap_or_default() {
        if entry.value.is_null() {
            continue;
        }
        let path =
            if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
        paths(Some(&entry.value), &path, found);
        found.push(path);
    }
}

/// Returns labels or annotations of the blueprint, merged with those of the app, which take precedence.
fn words(
    template: Option<&Template>,
    scope: &Variables,
    over: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ReadError> {
    let written: BTreeMap<String, Option<String>> = read(template, scope)?.unwrap_or_default();
    let mut words: BTreeMap<String, String> =
        written.into_iter().filter_map(|(key, word)| Some((key, word?))).collect();
    words.extend(over);
    Ok(words)
}

fn components(parts: &Parts, scope: &Variables) -> Result<IndexMap<String, Component>, ReadError> {
    let mut components = IndexMap::with_capacity(parts.len());
    for (name, template) in parts {
        let program: Option<Program> = template.within(scope).read()?;
        let Some(program) = program else { continue };
        let serving: Serving = template.within(scope).read()?;
        components.insert(name.clone(), Component { program, serving });
    }
    Ok(components)
}

fn jobs(parts: &Parts, scope: &Variables) -> Result<IndexMap<String, Job>, ReadError> {
    let mut jobs = IndexMap::with_capacity(parts.len());
    for (name, template) in parts {
        let program: Option<Program> = template.within(scope).read()?;
        let Some(program) = program else { continue };
        let schedule: Schedule = template.within(scope).read()?;
        jobs.insert(name.clone(), Job { program, schedule });
    }
    Ok(jobs)
}

fn read<'t, T: Deserialize<'t>>(
    template: Option<&'t Template>,
    scope: &Variables,
) -> Result<Option<T>, ReadError> {
    template.map_or(Ok(None), |template| template.within(scope).read())
}

fn read_or_default<'n, T: Deserialize<'n> + Default>(
    node: Option<&'n Node>,
) -> Result<T, ReadError> {
    node.filter(|node| !node.is_null()).map_or_else(|| Ok(T::default()), Node::read)
}
