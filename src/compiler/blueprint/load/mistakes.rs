//! The errors of a blueprint that the shape of its language cannot express. Apps are unknown here.

use super::{Blueprint, KNOWN_NAMES};
use crate::compiler::blueprint::expression::unusable;
use crate::compiler::diagnostic::{Code, Diagnostic, Place, nearest};
use crate::compiler::spec::{Expressions, Looks, STORAGE, check, looks_secret};
use crate::compiler::yaml::{Entry, Node};
use crate::sanitize::quoted;

impl Blueprint {
    /// Returns the errors that the shape of the language cannot express: reserved names, defaults that their own
    /// parameter refuses, rules without a condition.
    pub(super) fn mistakes(&self, node: &Node) -> Vec<Diagnostic> {
        let mut errors = Vec::new();
        let mut report = |place: Place, message: String| {
            errors.push(Diagnostic::new(Code::BadBlueprint, place, message));
        };
        let entries = |key: &str| node.get(key).and_then(Node::entries).unwrap_or_default();
        for entry in entries("parameters").iter().chain(entries("let")) {
            if KNOWN_NAMES.contains(&entry.key.as_str()) {
                report(entry.place, format!("the name `{}` is reserved", entry.key));
            } else if let Some(message) = unusable(&entry.key) {
                report(entry.place, message);
            }
        }
        if let Some(kind) = node.get("blueprint")
            && (self.kind == STORAGE || !self.kind.chars().all(|c| c.is_ascii_alphanumeric()))
        {
            report(kind.place, format!("a kind cannot be called {}", quoted(&self.kind)));
        }
        if entries("components").is_empty() && node.get("manifests").is_none() {
            report(node.place, "the blueprint has neither a component nor a manifest".to_owned());
        }
        for rule in node.get("rules").and_then(Node::items).unwrap_or_default() {
            if rule.get("if").is_none() && rule.get("for").is_none() {
                report(
                    rule.place,
                    "a rule without `if` reports its problem for every app".to_owned(),
                );
            }
            let at = rule.get("at").and_then(Node::text).unwrap_or_default();
            let first = at.split('.').next().unwrap_or_default();
            let spec = self.shape.field("spec").map(|field| &field.shape);
            if !at.contains("{{") && spec.is_some_and(|spec| spec.field(first).is_none()) {
                let place = rule.get("at").map_or(rule.place, |at| at.place);
                report(place, format!("the rule refers to `spec.{at}`, which does not exist"));
            }
        }
        errors.extend(secrets_in(node));
        for entry in entries("parameters") {
            let declared = self.parameters.iter().find(|parameter| parameter.name == entry.key);
            let default = entry.value.get("default").filter(|default| !default.is_null());
            if let (Some(declared), Some(default)) = (declared, default) {
                let path = format!("parameters.{}.default", entry.key);
                errors.extend(check(default, &declared.field().shape, &path, Expressions::Allowed));
            }
        }
        errors
    }

    /// Reports undefined names in expressions.
    pub(super) fn unknown_names(&self) -> Vec<Diagnostic> {
        let parameters = self.parameters.iter().map(|parameter| parameter.name.as_str());
        let lets = self.lets.iter().map(|(name, _)| name.as_str());
        let known: Vec<&str> = parameters.chain(lets).chain(KNOWN_NAMES).collect();
        let named = [&self.lets, &self.volumes, &self.components, &self.jobs];
        let named = named.into_iter().flatten().map(|(_, template)| template);
        let wholes = [
            &self.name,
            &self.talks,
            &self.expose,
            &self.rules,
            &self.labels,
            &self.annotations,
            &self.expires,
            &self.manifests,
        ];
        let mut errors: Vec<Diagnostic> = Vec::new();
        for template in named.chain(wholes.into_iter().flatten()) {
            template.expressions(&mut Vec::new(), &mut |expression, bound| {
                for name in expression.names() {
                    if known.contains(&name.as_str()) || bound.contains(&name.as_str()) {
                        continue;
                    }
                    let message = format!("nothing is called `{name}` here");
                    let likely = nearest(&name, known.iter().chain(bound).copied());
                    let mut diagnostic =
                        Diagnostic::new(Code::BadExpression, expression.place(), message);
                    diagnostic.fix = likely.map(|name| format!("did you mean `{name}`?"));
                    // A job with `like` has the expressions of its component.
                    if !errors.contains(&diagnostic) {
                        errors.push(diagnostic);
                    }
                }
            });
        }
        errors
    }
}

/// Secrets in clear text: values of variables, and of parameters at their defaults.
fn secrets_in(node: &Node) -> Vec<Diagnostic> {
    let entries = |node: Option<&Node>| node.and_then(Node::entries).unwrap_or_default().to_vec();
    let mut named: Vec<Entry> = Vec::new();
    for section in ["components", "jobs"] {
        for program in entries(node.get(section)) {
            named.extend(entries(program.value.get("env")));
            let steps = program.value.get("before").and_then(Node::items).unwrap_or_default();
            named.extend(steps.iter().flat_map(|step| entries(step.get("env"))));
        }
    }
    for Entry { key, place, value } in entries(node.get("parameters")) {
        named.extend(value.get("default").cloned().map(|value| Entry { key, place, value }));
    }
    let secret = |entry: &Entry| {
        let text = entry.value.text()?;
        (looks_secret(&entry.key, text)? == Looks::Secret).then(|| {
            let message = format!("`{}` is a secret in clear text", entry.key);
            Diagnostic::new(Code::SecretInFile, entry.value.place, message).fix(
                "declare the key under `secrets`, and write `{secret: NAME/KEY}`: it is filled in the cluster",
            )
        })
    };
    named.iter().filter_map(secret).collect()
}
