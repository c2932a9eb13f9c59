//! Reads the platform's rules for tenants: from an environment variable, which developers cannot set, and from files
//! that the operator of the program names.

use std::env;
use std::path::PathBuf;

use super::CommandError;
use super::input_args::InputArgs;
use super::input_files::Input;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, SourceId, Sources};
use crate::compiler::run::read_tenant_rules;
use crate::compiler::spec::{Tenancy, TenantRules};
use crate::compiler::yaml;

/// The variable with the rules, as YAML. An Application cannot set it, because Argo CD adds the prefix `ARGOCD_ENV_` to
/// the names of its variables.
pub(super) const VARIABLE: &str = "PSO_GEN_TENANT_RULES";

/// Returns the rules that apply to the input. Invalid rules are an error like any other, and nothing is rendered.
pub(super) fn tenancy(
    args: &InputArgs,
    sources: &Sources,
    errors: &mut Vec<Diagnostic>,
) -> Result<Tenancy, CommandError> {
    let mut rules = rules(&args.tenant_rules, sources, errors)?;
    let mut namespace = args.namespace.clone();
    if let Some(application) = &args.application {
        let project = &application.project;
        let own = |rules: &TenantRules| rules.platform_projects.contains(project);
        rules.retain(|rules| project.is_empty() || !own(rules));
        namespace = Some(application.namespace.clone());
    }
    Ok(Tenancy { rules, namespace })
}

/// Reads the rules of the variable and of some files.
pub(super) fn rules(
    files: &[PathBuf],
    sources: &Sources,
    errors: &mut Vec<Diagnostic>,
) -> Result<Vec<TenantRules>, CommandError> {
    let mut texts = Vec::new();
    if let Some(value) = env::var_os(VARIABLE) {
        // A value that is not UTF-8 is reported as invalid rules.
        texts.push(Ok(sources.add(VARIABLE, value.to_string_lossy().into_owned())));
    }
    for file in files {
        let input = Input::File(file.clone());
        texts.push(yaml::decode(&input.name(), input.read()?, sources));
    }
    let mut all = Vec::new();
    for text in texts {
        match text.map_err(|error| vec![error]).and_then(|source| read(source, sources)) {
            Ok(rules) => all.push(rules),
            Err(more) => errors.extend(more),
        }
    }
    Ok(all)
}

fn read(source: SourceId, sources: &Sources) -> Result<TenantRules, Vec<Diagnostic>> {
    let read = yaml::read(source, sources);
    if !read.diagnostics.is_empty() {
        return Err(read.diagnostics);
    }
    let mut documents = read.documents.into_iter();
    match (documents.next().filter(|node| !node.is_null()), documents.next()) {
        (Some(node), None) => read_tenant_rules(&node),
        _ => Err(vec![
            Diagnostic::new(
                Code::WrongType,
                Place::start_of(source),
                "expected one mapping with the rules for tenants",
            )
            .fix("write `{}` for rules that allow as little as an app needs"),
        ]),
    }
}
