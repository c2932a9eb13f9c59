//! Whether an app's parts fit together: every name that a part mentions exists.
//!
//! Done on the finished app, since conditions decide which parts there are.

use super::app::App;
use super::language::{EnvValue, FileContent, Probe, Program, Serving};
use super::load::Blueprint;
use crate::diagnostic::{Code, Diagnostic, nearest};

/// Returns what does not fit; each is the blueprint author's mistake.
pub(super) fn verify(app: &App, blueprint: &Blueprint) -> Vec<Diagnostic> {
    let mut verifier = Verifier {
        app,
        blueprint,
        wrong: Vec::new(),
    };
    for (name, component) in &app.components {
        verifier.program(name, &component.program);
        verifier.serving(name, &component.program, &component.serving);
    }
    for (name, job) in &app.jobs {
        verifier.program(name, &job.program);
    }
    verifier.connections();
    verifier.wrong
}

struct Verifier<'v> {
    app: &'v App,
    blueprint: &'v Blueprint,
    wrong: Vec<Diagnostic>,
}

impl Verifier<'_> {
    fn program(&mut self, name: &str, program: &Program) {
        let app = self.app;
        if program.user == 0 {
            self.tell(name, "runs as root; give it a `user` other than 0");
        }
        for (volume, _) in program.mounts.iter().filter(|(_, mount)| mount.is_some()) {
            self.known(name, "volume", volume, app.volumes.keys());
        }
        let env = program
            .env
            .values()
            .flatten()
            .filter_map(|value| match value {
                EnvValue::Secret(key) => Some(key),
                _ => None,
            });
        let files = program
            .files
            .values()
            .flatten()
            .filter_map(|file| match &file.content {
                FileContent::Secret(key) => Some(key),
                _ => None,
            });
        for key in env.chain(files) {
            self.secret(name, key);
        }
        let scripts = program.script.iter();
        let files = program
            .files
            .values()
            .flatten()
            .filter_map(|file| match &file.content {
                FileContent::File(file) => Some(file),
                _ => None,
            });
        for file in scripts.chain(files) {
            self.known(name, "file", file, self.blueprint.folder.files.keys());
        }
    }

    fn serving(&mut self, name: &str, program: &Program, serving: &Serving) {
        let app = self.app;
        for step in &serving.before {
            if let Some(volume) = &step.lock {
                self.known(name, "mounted volume", volume, program.mounts.keys());
            }
            if let Some(file) = &step.script {
                self.known(name, "file", file, self.blueprint.folder.files.keys());
            }
            if step.script.is_none() == step.command.is_empty() {
                let message = format!(
                    "the step `{}` wants either `script` or `command`",
                    step.name
                );
                self.tell(name, &message);
            }
            for value in step.env.values().flatten() {
                if let EnvValue::Secret(key) = value {
                    self.secret(name, key);
                }
            }
        }
        for component in &serving.after {
            let declared = self.blueprint.components.iter().map(|(name, _)| name);
            self.known(name, "component", component, declared);
        }
        for probe in [&serving.startup, &serving.ready, &serving.alive]
            .into_iter()
            .flatten()
        {
            self.probe(name, probe, serving);
        }
        if app.jobs.contains_key(name) {
            self.tell(name, "is the name of a component and of a job");
        }
    }

    fn probe(&mut self, name: &str, probe: &Probe, serving: &Serving) {
        if probe.action().is_none() {
            self.tell(name, "a probe wants exactly one of `http`, `tcp`, `exec`");
        }
        let http = probe.http.iter().map(|http| &http.port);
        for port in http.chain(&probe.tcp) {
            self.known(name, "port", port, serving.ports.keys());
        }
    }

    fn connections(&mut self) {
        let app = self.app;
        let talks = app.talks.iter().map(|talk| ("talks", &talk.to, &talk.port));
        let exposed = app
            .exposed
            .iter()
            .map(|port| ("expose", &port.component, &port.port));
        for (section, component, port) in talks.chain(exposed) {
            self.known(section, "component", component, app.components.keys());
            if let Some(component) = app.components.get(component.as_str()) {
                self.known(section, "port", port, component.serving.ports.keys());
            }
        }
    }

    fn secret(&mut self, at: &str, key: &str) {
        let (secret, key) = key.split_once('/').unwrap_or((key, ""));
        self.known(at, "secret", secret, self.app.secrets.keys());
        if let Some(secret) = self.app.secrets.get(secret) {
            self.known(at, "key of the secret", key, secret.keys.keys());
        }
    }

    fn known<'n>(
        &mut self,
        at: &str,
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
        self.tell(at, &format!("there is no {what} `{name}`"));
        if let Some(last) = self.wrong.last_mut() {
            last.fix = fix;
        }
    }

    /// Tells it at the part of the blueprint, and at the app that showed it.
    fn tell(&mut self, part: &str, message: &str) {
        let place = self.blueprint.place_of(part);
        let app = self.app.place("kind");
        let diagnostic = Diagnostic::new(Code::BadBlueprint, place, format!("`{part}`: {message}"));
        self.wrong.push(diagnostic.and(Some(app), "in this app"));
    }
}
