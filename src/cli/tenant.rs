//! The platform's rules for tenants: from a variable of the process, which those who write apps cannot set, and
//! from files that whoever starts the program names.

use std::env;
use std::path::PathBuf;

use super::Trouble;
use super::files::Input;
use super::input::InputArgs;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, SourceId, Sources};
use crate::compiler::run::read_tenant_rules;
use crate::compiler::spec::{Tenancy, TenantRules};
use crate::compiler::yaml;

/// The variable with the rules, as YAML. None of an Application's own variables can be called so: Argo CD puts
/// `ARGOCD_ENV_` before their names.
pub(super) const VARIABLE: &str = "PSO_GEN_TENANT_RULES";

/// Returns the rules that hold for what is read. What is wrong with them is an error like any other: nothing
/// is rendered by rules that cannot be read.
pub(super) fn tenancy(
    args: &InputArgs,
    sources: &Sources,
    wrong: &mut Vec<Diagnostic>,
) -> Result<Tenancy, Trouble> {
    let mut rules = rules(&args.tenant_rules, sources, wrong)?;
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
    wrong: &mut Vec<Diagnostic>,
) -> Result<Vec<TenantRules>, Trouble> {
    let mut texts = Vec::new();
    if let Some(value) = env::var_os(VARIABLE) {
        // What is no text is no rule either, and is told as such.
        texts.push(Ok(sources.add(VARIABLE, value.to_string_lossy().into_owned())));
    }
    for file in files {
        let input = Input::File(file.clone());
        texts.push(yaml::decode(&input.name(), input.read()?, sources));
    }
    let mut all = Vec::new();
    for text in texts {
        match text.map_err(|wrong| vec![wrong]).and_then(|source| read(source, sources)) {
            Ok(rules) => all.push(rules),
            Err(found) => wrong.extend(found),
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
