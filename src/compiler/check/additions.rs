//! Checks what an app file adds to components and jobs: an addition must not break the app, and must mean something.

mod paths;
mod sidecars;

use super::refused::shown;
use crate::compiler::blueprint::{App, Component, Program, stands_for};
use crate::compiler::compile::OWN_LABELS;
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::compiler::spec::{AddedFile, AddedFolder, AddedValue, Additions};
use crate::contract::{annotation, label};

/// Variables by which a shell or the dynamic linker finds what it runs.
const EVERYWHERE: [&str; 4] = ["PATH", "LD_*", "BASH_ENV", "ENV"];

/// Returns the additions that the app cannot have.
pub(super) fn additions(app: &App) -> Vec<Diagnostic> {
    let mut checker = Checker { app, found: Vec::new() };
    for (part, additions) in &app.common.components {
        let component = app.components.get(part);
        let job = app.jobs.get(part).map(|job| &job.program);
        let Some(program) = component.map(|component| &component.program).or(job) else { continue };
        checker.variables(part, &["env"], &additions.env);
        checker.reserved(part, component, additions);
        checker.paths(part, additions);
        checker.sources(part, &[], &additions.files, &additions.mounts);
        checker.keys(part, additions);
        checker.arguments(part, program, additions);
        checker.options(part, program, additions);
        match component {
            Some(component) => checker.sidecars(part, component, &additions.sidecars),
            None => checker.job(part, program, additions),
        }
    }
    checker.found
}

struct Checker<'a> {
    app: &'a App,
    found: Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    /// Reports a mistake at a field of a component's additions.
    fn report(&mut self, part: &str, at: &[&str], message: &str, fix: &str) {
        let steps: Vec<&str> =
            ["spec", "components", part].into_iter().chain(at.iter().copied()).collect();
        let place = self.app.document.place_of(steps.iter().copied());
        let found = Diagnostic::new(Code::BadValue, place, message.to_owned());
        self.found.push(found.at(shown(&steps)).fix(fix));
    }

    /// Returns the programs that an addition to a component or job reaches: jobs like it among them.
    fn reached(&self, part: &str) -> Vec<&'a Program> {
        let components = self.app.components.iter().map(|(name, c)| (name, &c.program));
        let jobs = self.app.jobs.iter().map(|(name, job)| (name, &job.program));
        let like = |name: &String| {
            self.app.jobs.get(name).is_some_and(|job| job.schedule.like.as_deref() == Some(part))
        };
        let all = components.chain(jobs);
        all.filter(|(name, _)| *name == part || like(name)).map(|(_, program)| program).collect()
    }

    /// Refuses the variables that the blueprint sets, or that it reserves.
    fn reserved(&mut self, part: &str, component: Option<&Component>, additions: &Additions) {
        let reached = self.reached(part);
        let steps = component.into_iter().flat_map(|component| &component.serving.before);
        for name in additions.env.keys() {
            let sets = reached.iter().any(|program| program.env.contains_key(name));
            let in_a_step = steps.clone().any(|step| step.env.contains_key(name));
            let reserves = reached.iter().any(|program| program.reserves(name));
            let message = if sets || in_a_step {
                format!("the app sets `{name}` itself")
            } else if reserves {
                format!(
                    "`{name}` is a variable of the image or the scripts, and reserved for the app"
                )
            } else if EVERYWHERE.iter().any(|pattern| stands_for(pattern, name)) {
                format!("`{name}` decides which programs the app's scripts run")
            } else {
                continue;
            };
            let fix = "remove it; the app's own fields set what can be set";
            self.report(part, &["env", name], &message, fix);
        }
    }

    /// Checks that each file and folder has a source, and each file a mode that Kubernetes accepts.
    fn sources<'f>(
        &mut self,
        part: &str,
        at: &[&str],
        files: impl IntoIterator<Item = (&'f String, &'f AddedFile)>,
        folders: impl IntoIterator<Item = (&'f String, &'f AddedFolder)>,
    ) {
        for (path, file) in files {
            let at = [at, &["files", path]].concat();
            if file.source().is_none() {
                let fix =
                    "write one of `secret: NAME/KEY`, `configMap: NAME/KEY` and `content: TEXT`";
                self.report(part, &at, "a file has exactly one source", fix);
            }
            if file.mode() > 0o777 {
                let at = [&at[..], &["mode"]].concat();
                let message = "a file of a ConfigMap or Secret has no set-user-ID, set-group-ID and sticky bits";
                self.report(part, &at, message, "write a mode up to `0777`");
            }
        }
        for (path, folder) in folders {
            if folder.source().is_none() {
                let fix = "write either `secret: NAME` or `configMap: NAME`";
                self.report(
                    part,
                    &[at, &["mounts", path]].concat(),
                    "a folder has exactly one source",
                    fix,
                );
            }
        }
    }

    /// Refuses labels and annotations of pso-gen, and those that change the protection of containers.
    fn keys(&mut self, part: &str, additions: &Additions) {
        let ours = |key: &str| {
            let prefixes = [annotation::PREFIX, annotation::ARGO_CD];
            OWN_LABELS.contains(&key)
                || [annotation::DEFAULT_CONTAINER, label::VERSION].contains(&key)
                || prefixes.iter().any(|prefix| key.starts_with(prefix))
        };
        let labels = additions.labels.keys().map(|key| ("labels", key));
        let annotations = additions.annotations.keys().map(|key| ("annotations", key));
        for (section, key) in labels.chain(annotations) {
            if ours(key) {
                let message =
                    format!("`{key}` is reserved for pso-gen, which writes it or acts on it");
                self.report(part, &[section, key], &message, "remove it");
            } else if annotation::PROTECTION.iter().any(|prefix| key.starts_with(prefix)) {
                let message =
                    format!("`{key}` would change the protection of the app's containers");
                let fix =
                    "remove it: all containers have the default profiles of the container runtime";
                self.report(part, &[section, key], &message, fix);
            }
        }
    }

    fn variables<'v>(
        &mut self,
        part: &str,
        at: &[&str],
        env: impl IntoIterator<Item = (&'v String, &'v AddedValue)>,
    ) {
        for (name, value) in env {
            if *value == AddedValue::Ambiguous {
                let fix = "write text, or one of `{secret: NAME/KEY}`, `{configMap: NAME/KEY}` and `{field: metadata.name}`";
                let message = "a variable has exactly one source";
                self.report(part, &[at, &[name]].concat(), message, fix);
            }
        }
    }

    /// Refuses arguments that would replace the image's own, or that the blueprint's script does not read.
    fn arguments(&mut self, part: &str, program: &Program, additions: &Additions) {
        let text = program.script.as_ref().and_then(|script| self.app.files.get(script));
        let message = match (&program.script, text) {
            _ if additions.args.is_empty() => return,
            (Some(script), text) if text.is_none_or(|text| !text.contains("\"$@\"")) => {
                format!("`{part}` runs `{script}`, which passes no arguments on")
            }
            (None, _) if program.command.is_empty() && program.args.is_empty() => {
                format!(
                    "`{part}` runs its image's own command, whose arguments these would replace"
                )
            }
            _ => return,
        };
        self.report(part, &["args"], &message, "remove it");
    }

    /// Refuses options that move the data or the port, or that open the app to everyone.
    fn options(&mut self, part: &str, program: &Program, additions: &Additions) {
        for (index, argument) in additions.args.iter().enumerate() {
            if let Some(option) = program.reserved_option(argument) {
                let message =
                    format!("`{argument}` sets `{option}`, which is reserved for the app");
                let at = index.to_string();
                self.report(part, &["args", &at], &message, "remove it");
            }
        }
    }

    /// Checks what only components can have.
    fn job(&mut self, part: &str, program: &Program, additions: &Additions) {
        if !additions.sidecars.is_empty() {
            let message = "a job has no sidecars: one that runs on keeps the job from ending";
            self.report(part, &["sidecars"], message, "remove them");
        }
        let neighbour = self.app.neighbours(program).next();
        if let Some(component) = neighbour.filter(|_| additions.place.is_some()) {
            let message = format!(
                "`{part}` runs on the node of `{component}`, with which it shares a block volume"
            );
            let fix = format!("remove it, and write it under `spec.components.{component}`");
            self.report(part, &["place"], &message, &fix);
        }
    }
}
