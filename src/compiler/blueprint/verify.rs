//! Checks that an app's parts fit together: every name that a part mentions must exist.
//!
//! The check runs on the finished app, because conditions decide which parts exist.

mod fit;
mod order;
mod words;

use std::collections::BTreeSet;

use super::app::App;
use super::language::{EnvValue, FileContent, Probe, Program, Serving};
use super::load::Blueprint;
use crate::compiler::diagnostic::{Code, Diagnostic, nearest};
use crate::compiler::spec::{Format, is_ipv6_server};

/// Prefix of the volumes and steps that the compiler adds to a pod.
const RESERVED: &str = "pso-";

/// Returns the mistakes, which the author of the blueprint must fix, and advice to that author.
pub(super) fn verify(app: &App, blueprint: &Blueprint) -> Vec<Diagnostic> {
    let mut verifier = Verifier { app, blueprint, errors: Vec::new() };
    for (volume, _) in &app.volumes {
        if volume.starts_with(RESERVED) {
            verifier.report("volumes", &[volume], "names that begin with `pso-` are reserved");
        }
    }
    verifier.names();
    for (name, component) in &app.components {
        verifier.program(name, &component.program);
        verifier.serving(name, &component.program, &component.serving);
    }
    for (name, job) in &app.jobs {
        let program = &job.program;
        let does_nothing = program.command.is_empty() && program.args.is_empty();
        if blueprint.likes.contains_key(name) && program.script.is_none() && does_nothing {
            // Without them, the job would start the server a second time.
            verifier.report(name, &[], "a job with `like` needs `command`, `args` or `script`");
        }
        verifier.program(name, &job.program);
    }
    verifier.connections();
    verifier.order();
    verifier.fits_together();
    verifier.without_duplicates()
}

struct Verifier<'v> {
    app: &'v App,
    blueprint: &'v Blueprint,
    /// Each with its message as it is without the name of the part.
    errors: Vec<(String, Diagnostic)>,
}

impl Verifier<'_> {
    fn program(&mut self, part: &str, program: &Program) {
        let (app, files) = (self.app, &self.blueprint.folder.files);
        if program.user == 0 {
            self.report(part, &["user"], "it runs as root; set a user other than 0");
        }
        for (volume, _) in program.mounts.iter().filter(|(_, mount)| mount.is_some()) {
            self.known(part, &["mounts", volume], "volume", volume, app.volumes.keys());
        }
        for (variable, value) in &program.env {
            if let Some(EnvValue::Secret(key)) = value {
                self.secret(part, &["env", variable], key);
            }
        }
        for (path, mount) in &program.files {
            match mount.as_ref().map(|mount| &mount.content) {
                Some(FileContent::Secret(key)) => self.secret(part, &["files", path], key),
                Some(FileContent::File(file)) => {
                    self.known(part, &["files", path], "file", file, files.keys());
                }
                _ => {}
            }
        }
        if let Some(file) = &program.script {
            self.known(part, &["script"], "file", file, files.keys());
        }
        self.paths(part, program);
        self.program_words(part, program);
    }

    /// Checks that each path in a container has one use.
    fn paths(&mut self, part: &str, program: &Program) {
        let mounts = program.mounts.iter().filter_map(|(name, mount)| {
            Some(("mounts", name.as_str(), mount.as_ref()?.path.as_str()))
        });
        let there = |section, path| (section, path, path);
        let files = program.files.iter().filter(|(_, file)| file.is_some());
        let files = files.map(|(path, _)| there("files", path.as_str()));
        let writable = program.writable.keys().map(|path| there("writable", path.as_str()));
        let mut seen = BTreeSet::new();
        for (section, key, path) in mounts.chain(files).chain(writable) {
            if !seen.insert(path.trim_end_matches('/')) {
                self.report(part, &[section, key], &format!("`{path}` is used twice"));
            }
        }
    }

    fn serving(&mut self, part: &str, program: &Program, serving: &Serving) {
        let files = &self.blueprint.folder.files;
        self.serving_words(part, serving);
        let mut steps = BTreeSet::from([part]);
        for (index, step) in serving.before.iter().enumerate() {
            let index = index.to_string();
            if step.name.starts_with(RESERVED) {
                let message = "names that begin with `pso-` are reserved";
                self.report(part, &["before", &index, "name"], message);
            } else if !steps.insert(&step.name) {
                let message = format!("the name `{}` is used twice", step.name);
                self.report(part, &["before", &index, "name"], &message);
            }
            if let Some(volume) = &step.lock {
                let at = ["before", &index, "lock"];
                self.known(part, &at, "mounted volume", volume, program.mounts.keys());
            }
            if let Some(file) = &step.script {
                self.known(part, &["before", &index, "script"], "file", file, files.keys());
            }
            if step.script.is_none() == step.command.is_empty() {
                let message =
                    format!("the step `{}` needs either `script` or `command`", step.name);
                self.report(part, &["before", &index], &message);
            }
            for (variable, value) in &step.env {
                if let Some(EnvValue::Secret(key)) = value {
                    self.secret(part, &["before", &index, "env", variable], key);
                }
            }
        }
        for (index, component) in serving.after.iter().enumerate() {
            let declared = self.blueprint.components.iter().map(|(name, _)| name);
            let at = ["after", &index.to_string()];
            self.known(part, &at, "component", component, declared);
        }
        let probes =
            [("startup", &serving.startup), ("ready", &serving.ready), ("alive", &serving.alive)];
        for (name, probe) in probes {
            if let Some(probe) = probe {
                self.probe(part, name, probe, serving);
            }
        }
        if self.app.jobs.contains_key(part) {
            self.report(part, &[], "a component and a job have the same name");
        }
    }

    fn probe(&mut self, part: &str, name: &str, probe: &Probe, serving: &Serving) {
        self.probe_words(part, name, probe);
        if probe.action().is_none() {
            self.report(part, &[name], "a probe needs exactly one of `http`, `tcp`, `exec`");
        }
        if let Some(http) = &probe.http {
            let at = [name, "http", "port"];
            self.known(part, &at, "port", &http.port, serving.ports.keys());
        }
        if let Some(port) = &probe.tcp {
            self.known(part, &[name, "tcp"], "port", port, serving.ports.keys());
        }
    }

    fn connections(&mut self) {
        let app = self.app;
        let programs = app.components.keys().chain(app.jobs.keys());
        let declared = self.blueprint.components.iter().chain(&self.blueprint.jobs);
        let declared: Vec<&String> = declared.map(|(name, _)| name).chain(programs).collect();
        for talk in &app.talks {
            let (at, known) = ([talk.from.as_str()], declared.iter().copied());
            self.known("talks", &at, "component or job", &talk.from, known);
        }
        for server in &app.servers {
            let at = [server.from.as_str()];
            self.known("talks", &at, "component or job", &server.from, declared.iter().copied());
            if !is_ipv6_server(&server.host) {
                self.fits("talks", &at, Format::Server, &server.host);
            }
        }
        let talks =
            app.talks.iter().map(|talk| (["talks", talk.from.as_str()], &talk.to, &talk.port));
        let exposed = app.exposed.iter().map(|port| (["expose", ""], &port.component, &port.port));
        for ([section, from], component, port) in talks.chain(exposed) {
            if port.is_empty() && app.components.contains_key(component.as_str()) {
                self.report(
                    section,
                    &[from],
                    &format!("`{component}` needs a port: `{component}.PORT`"),
                );
                continue;
            }
            self.known(section, &[from], "component", component, app.components.keys());
            if let Some(component) = app.components.get(component.as_str()) {
                self.known(section, &[from], "port", port, component.serving.ports.keys());
            }
        }
    }

    fn secret(&mut self, part: &str, at: &[&str], key: &str) {
        let Some((secret, key)) = key.split_once('/') else {
            self.report(part, at, &format!("`{key}` needs a key: `{key}/KEY`"));
            return;
        };
        self.known(part, at, "secret", secret, self.app.secrets.keys());
        let Some(declared) = self.app.secrets.get(secret) else { return };
        self.known(part, at, "key of the secret", key, declared.keys.keys());
        if !declared.existing && declared.keys.get(key).is_some_and(|key| key.given) {
            let message = format!("the secret `{secret}` is given, and this app gives none");
            self.report(part, at, &message).fix =
                Some(format!("write `if: \"{{{{ secrets.{secret}.existing }}}}\"` beside it"));
        }
    }

    fn known<'n>(
        &mut self,
        part: &str,
        at: &[&str],
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'n String>,
    ) {
        let known: Vec<&String> = known.collect();
        if known.iter().any(|known| *known == name) {
            return;
        }
        let likely = nearest(name, known.into_iter().map(String::as_str));
        let fix = likely.map(|likely| format!("did you mean `{likely}`?"));
        self.report(part, at, &format!("the {what} `{name}` does not exist")).fix = fix;
    }

    /// Reports a mistake at its place in the blueprint, and at the app that revealed it.
    fn report(&mut self, part: &str, at: &[&str], message: &str) -> &mut Diagnostic {
        self.say(Code::BadBlueprint, part, at, message)
    }

    fn say(&mut self, code: Code, part: &str, at: &[&str], message: &str) -> &mut Diagnostic {
        let app = self.app.place("kind");
        let place = self.blueprint.place_of(part, at).unwrap_or(app);
        let diagnostic = Diagnostic::new(code, place, format!("`{part}`: {message}"));
        self.errors.push((message.to_owned(), diagnostic.and(Some(app), "in this app")));
        let last = self.errors.len() - 1;
        &mut self.errors[last].1
    }

    /// Returns what was found. A job with `like` inherits the mistakes of its component, and parts can share lines by
    /// YAML aliases: each mistake is reported once.
    fn without_duplicates(self) -> Vec<Diagnostic> {
        let mut seen = BTreeSet::new();
        let is_new = |(message, found): &(String, Diagnostic)| {
            seen.insert((found.code, found.place, message.clone()))
        };
        self.errors.into_iter().filter(is_new).map(|(_, found)| found).collect()
    }
}
