//! Checks the platform's rules for tenants: first the fields of the app file, each at its place, then the
//! finished objects against a closed list.
//!
//! The second check does not trust the first one: a new field or a blueprint may have the same effect in another
//! way.

mod objects;

use crate::compiler::blueprint::App;
use crate::compiler::compile::Compiled;
use crate::compiler::diagnostic::{Code, Diagnostic, Place};
use crate::compiler::manifest::pod_security;
use crate::compiler::spec::{Tenancy, TenantRules, one_of};
use crate::compiler::yaml::Node;
use crate::contract::Placement;

/// Suffix of fixes that the platform can allow.
const PLATFORM: &str = "or ask the platform's admins to allow it";

/// Returns the fields of an app that its tenant may not set.
pub fn tenant(app: &App, tenancy: &Tenancy) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    if !tenancy.rules.is_empty() {
        diagnostics.extend(namespace(app, tenancy.namespace.as_deref()));
        diagnostics.extend(own_namespace(app));
    }
    for rules in &tenancy.rules {
        let own = tenancy.namespace.as_deref().or(app.namespace.as_deref());
        let asked = TenantChecker { app, rules, namespace: own.unwrap_or_default() };
        diagnostics.extend(asked.profile());
        diagnostics.extend(asked.patches());
        diagnostics.extend(asked.expose());
        diagnostics.extend(asked.keys());
        diagnostics.extend(asked.placement());
        diagnostics.extend(asked.manifests());
    }
    diagnostics
}

/// Returns the violations of tenant rules in an app's objects.
pub fn tenant_objects(app: &App, compiled: &Compiled, tenancy: &Tenancy) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for rules in &tenancy.rules {
        if compiled.profile < rules.profile {
            let path = "spec.security";
            let message = format!(
                "tenants' apps must meet the profile `{}`: {}",
                rules.profile.word(),
                pod_security::reasons(&compiled.objects, rules.profile).join("; "),
            );
            diagnostics.push(diagnostic(
                app,
                path,
                message,
                &format!("change the fields that need more, {PLATFORM}"),
            ));
        }
        let violations = objects::violations(app, &compiled.objects, rules);
        let fix = format!("change the patch or the blueprint that causes it, {PLATFORM}");
        let place = app.place("kind");
        diagnostics.extend(
            violations
                .into_iter()
                .map(|message| Diagnostic::new(Code::TenantRule, place, message).fix(fix.clone())),
        );
    }
    diagnostics
}

/// Refuses a storage document in a tenant's files.
pub fn tenant_storage(place: Place, tenancy: &Tenancy) -> Option<Diagnostic> {
    (!tenancy.rules.is_empty()).then(|| {
        let message = "only the platform may have a storage document: it renders cluster-scoped objects";
        Diagnostic::new(Code::TenantRule, place, message).at("kind").fix(
            "render it in an AppProject of the platform, which the rules list under `platformProjects`",
        )
    })
}

/// Refuses a folder of blueprints, unless the rules allow blueprints.
pub fn tenant_blueprints(folder: &str, tenancy: &Tenancy) -> Option<Diagnostic> {
    tenancy.rules.iter().any(|rules| !rules.blueprints).then(|| {
        let message =
            format!("`{folder}` contains blueprints; tenants may use only those of pso-gen");
        Diagnostic::new(Code::TenantRule, None, message).fix(format!("remove it, {PLATFORM}"))
    })
}

fn diagnostic(app: &App, path: &str, message: String, fix: &str) -> Diagnostic {
    Diagnostic::new(Code::TenantRule, app.place(path), message).at(path).fix(fix)
}

/// Checks that an app is in the tenant's only namespace.
fn namespace(app: &App, required: Option<&str>) -> Option<Diagnostic> {
    let path = "metadata.namespace";
    match (required?, app.namespace.as_deref()) {
        ("", _) => {
            let message =
                "the Application has no destination namespace, and a tenant's app needs one";
            Some(diagnostic(
                app,
                "metadata",
                message.to_owned(),
                "write `destination: {namespace: NAME}`",
            ))
        }
        (required, Some(namespace)) if namespace != required => {
            let message = format!("`{namespace}` is not the tenant's namespace, `{required}`");
            Some(diagnostic(
                app,
                path,
                message,
                "remove `namespace`: the app is then rendered into the tenant's namespace",
            ))
        }
        _ => None,
    }
}

/// Refuses `createNamespace: true`. Namespaces and their labels belong to the platform.
fn own_namespace(app: &App) -> Option<Diagnostic> {
    let written = app.document.get("spec").and_then(|spec| spec.get("createNamespace"));
    let path = "spec.createNamespace";
    let message = "only the platform creates Namespaces, with their Pod Security labels";
    written.is_some_and(|node| node.text() == Some("true")).then(|| {
        diagnostic(app, path, message.to_owned(), "remove it: the Namespace exists already")
    })
}

struct TenantChecker<'a> {
    app: &'a App,
    rules: &'a TenantRules,
    namespace: &'a str,
}

impl TenantChecker<'_> {
    fn diagnostic(&self, path: &str, message: String, instead: &str) -> Diagnostic {
        diagnostic(self.app, path, message, &format!("{instead}, {PLATFORM}"))
    }

    fn profile(&self) -> Option<Diagnostic> {
        let asked = self.app.common.security.profile?;
        (asked < self.rules.profile).then(|| {
            let required = self.rules.profile.word();
            let message = format!("`{}` is weaker than `{required}`", asked.word());
            self.diagnostic("spec.security.profile", message, &format!("write `{required}`"))
        })
    }

    fn patches(&self) -> Option<Diagnostic> {
        let refused = !self.rules.patches && !self.app.common.patches.is_empty();
        refused.then(|| {
            let message =
                "tenants' apps may not have patches, which could change any field of the objects";
            self.diagnostic("spec.patches", message.to_owned(), "remove them")
        })
    }

    fn expose(&self) -> Vec<Diagnostic> {
        let (app, via) = (self.app, self.app.common.expose.via);
        let mut diagnostics = Vec::new();
        if !app.exposed.is_empty() && !self.rules.expose.contains(&via) {
            let message = format!("`via: {}` is not allowed for tenants' apps", via.word());
            let ways: Vec<String> =
                self.rules.expose.iter().map(|via| format!("`{}`", via.word())).collect();
            let instead = format!("write `via:` with one of {}", ways.join(", "));
            diagnostics.push(self.diagnostic("spec.expose.via", message, &instead));
        }
        let namespace = self.namespace;
        let hosts = app.exposed.iter().flat_map(|exposed| &exposed.hosts);
        for host in hosts.filter(|host| !self.rules.allows_host(host, namespace)) {
            let message = format!("`{host}` is not a host name of this tenant");
            let own = self.rules.hosts.iter().map(|host| host.replace("{namespace}", namespace));
            let instead = format!("write one of {}", one_of(&own.collect::<Vec<_>>()));
            diagnostics.push(self.diagnostic("spec.host", message, &instead));
        }
        diagnostics
    }

    /// Checks the labels and annotations that the app sets.
    fn keys(&self) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let mut each = |section: &[&str], allowed: &dyn Fn(&str) -> bool, what: &str| {
            let written = section.iter().try_fold(&self.app.document, |node, step| node.get(step));
            for entry in written.and_then(Node::entries).unwrap_or_default() {
                if allowed(&entry.key) {
                    continue;
                }
                let path = format!("{}.{}", section.join("."), entry.key);
                let message = format!(
                    "tenants may not set the {what} `{}`, which may configure other programs",
                    entry.key
                );
                let fix = format!("remove it, {PLATFORM}");
                diagnostics.push(
                    Diagnostic::new(Code::TenantRule, entry.place, message).at(path).fix(fix),
                );
            }
        };
        each(&["metadata", "labels"], &|key| self.rules.allows_label(key), "label");
        each(&["metadata", "annotations"], &|key| self.rules.allows_annotation(key), "annotation");
        for name in self.app.common.components.keys() {
            let own = ["spec", "components", name];
            let labels = [&own[..], &["labels"]].concat();
            each(&labels, &|key| self.rules.allows_label(key), "label");
            let annotations = [&own[..], &["annotations"]].concat();
            each(&annotations, &|key| self.rules.allows_annotation(key), "annotation");
        }
        for key in self.app.common.expose.annotations.keys() {
            if !self.rules.allows_annotation(key) {
                let message = format!(
                    "tenants may not set the annotation `{key}`, which may configure other programs"
                );
                diagnostics.push(self.diagnostic("spec.expose.annotations", message, "remove it"));
            }
        }
        diagnostics
    }

    fn placement(&self) -> Vec<Diagnostic> {
        let common = &self.app.common;
        let own = common.components.iter().filter_map(|(name, additions)| {
            Some((format!("spec.components.{name}.place"), additions.place.as_ref()?))
        });
        let all = std::iter::once(("spec.place".to_owned(), &common.place)).chain(own);
        all.flat_map(|(path, place)| self.placed(&path, place)).collect()
    }

    fn placed(&self, path: &str, place: &Placement) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        for toleration in &place.tolerations {
            let key = toleration.key.as_deref().unwrap_or_default();
            if !self.rules.tolerations.iter().any(|allowed| allowed == key) {
                let message = match key {
                    "" => "tenants' pods may not tolerate every taint".to_owned(),
                    key => format!("tenants' pods may not tolerate the taint `{key}`"),
                };
                let path = format!("{path}.tolerations");
                diagnostics.push(self.diagnostic(&path, message, "remove it"));
            }
        }
        if let Some(class) = &place.priority_class
            && !self.rules.priority_classes.contains(class)
        {
            let message = format!("tenants may not use the PriorityClass `{class}`");
            let path = format!("{path}.priorityClass");
            diagnostics.push(self.diagnostic(&path, message, "remove it"));
        }
        diagnostics
    }

    fn manifests(&self) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        for (json, place) in &self.app.manifests {
            let word = |key: &str| json[key].as_str().unwrap_or_default();
            let kind = objects::kind(word("apiVersion"), word("kind"));
            if !self.rules.manifests.contains(&kind) {
                let message = format!("tenants' blueprints may not render the kind `{kind}`");
                let fix = format!("remove it from `manifests`, {PLATFORM}");
                diagnostics.push(
                    Diagnostic::new(Code::TenantRule, *place, message).at("manifests").fix(fix),
                );
            }
        }
        diagnostics
    }
}
