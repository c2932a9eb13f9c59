//! Checks that names, paths and numbers in an app's parts are valid in Kubernetes.

use std::collections::BTreeSet;

use super::{Probe, Program, Serving, Verifier};
use crate::compiler::blueprint::language::EnvValue;
use crate::compiler::diagnostic::{Code, Place};
use crate::compiler::spec::{Format, POD_FIELDS, is_config_key, is_pod_field, is_port_name};
use crate::compiler::yaml::{Node, Value};
use crate::sanitize::quoted;

impl Verifier<'_> {
    /// Checks the names of everything that becomes an object or a part of one.
    pub(super) fn names(&mut self) {
        let app = self.app;
        let programs =
            app.components.keys().chain(app.jobs.keys()).map(|name| (name.as_str(), name));
        let volumes = app.volumes.keys().map(|name| ("volumes", name));
        let secrets = app.secrets.keys().map(|name| ("secrets", name));
        for (part, name) in programs.chain(volumes).chain(secrets) {
            let at: &[&str] = if part == "volumes" { &[name] } else { &[] };
            self.fits(part, at, Format::Name, name);
        }
        for (name, volume) in &app.volumes {
            for held in &volume.holds {
                self.fits("volumes", &[name, "holds"], Format::Folder, held);
            }
        }
        for (secret, declared) in &app.secrets {
            let given = declared.keys.values().filter(|key| key.given).count();
            if given != 0 && given != declared.keys.len() {
                let message =
                    format!("either all keys of `{secret}` are `given`, or none: split the secret");
                self.report("secrets", &[secret], &message);
            }
            for key in declared.keys.keys() {
                if !is_config_key(key) {
                    let message = format!(
                        "the key {key} of `{secret}` must be 1 to 253 letters, digits, `-`, `_` and `.`, and not begin with `..`",
                        key = quoted(key)
                    );
                    self.report("secrets", &[secret], &message);
                }
            }
        }
        for (key, value) in &app.labels {
            self.fits("labels", &[key], Format::LabelKey, key);
            self.fits("labels", &[key], Format::Label, value);
        }
        for key in app.annotations.keys() {
            self.fits("annotations", &[key], Format::LabelKey, key);
        }
        for exposed in &app.exposed {
            for host in &exposed.hosts {
                self.fits("expose", &[], Format::Hostname, host);
            }
        }
    }

    /// Checks variables, paths and commands.
    pub(super) fn program_words(&mut self, part: &str, program: &Program) {
        for (variable, value) in &program.env {
            self.variable(part, &["env", variable], variable, value.as_ref());
        }
        let files = program.files.iter().filter(|(_, file)| file.is_some());
        let files = files.map(|(path, _)| ("files", path));
        for (section, path) in files.chain(program.writable.keys().map(|path| ("writable", path))) {
            self.fits(part, &[section, path], Format::Path, path);
            if path.chars().all(|c| c == '/') {
                self.report(part, &[section, path], "`/` cannot be a mount path");
            }
        }
        self.runs(part, &[], program.script.as_deref(), &program.command);
    }

    /// Checks ports, steps and probes.
    pub(super) fn serving_words(&mut self, part: &str, serving: &Serving) {
        let mut numbers = BTreeSet::new();
        for (name, number) in &serving.ports {
            if !is_port_name(name) {
                let message = format!(
                    "the port name `{name}` must have at most 15 lower-case letters, digits and `-`, including a letter"
                );
                self.report(part, &["ports", name], &message);
            }
            if *number == 0 || !numbers.insert(number) {
                let message = format!("the port number {number} is invalid or used twice");
                self.report(part, &["ports", name], &message);
            }
        }
        for (index, step) in serving.before.iter().enumerate() {
            let index = index.to_string();
            for (variable, value) in &step.env {
                let at = ["before", &index, "env", variable];
                self.variable(part, &at, variable, value.as_ref());
            }
            self.runs(part, &["before", &index], step.script.as_deref(), &[]);
        }
    }

    pub(super) fn probe_words(&mut self, part: &str, name: &str, probe: &Probe) {
        let numbers = [("every", probe.every.0), ("timeout", probe.timeout.0)];
        for (field, number) in numbers.into_iter().chain([("tries", u32::from(probe.tries))]) {
            if number == 0 {
                self.report(part, &[name, field], &format!("`{field}` must be at least 1"));
            }
        }
    }

    fn variable(&mut self, part: &str, at: &[&str], name: &str, value: Option<&EnvValue>) {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty()
            || !name.chars().all(fits)
            || name.starts_with(|c: char| c.is_ascii_digit())
        {
            let message = format!(
                "{name} is not a variable name: use letters, digits, `_`, `-` and `.`",
                name = quoted(name)
            );
            self.report(part, at, &message);
            self.at_the_users_value(name);
        }
        if let Some(EnvValue::Field(field)) = value
            && !is_pod_field(field)
        {
            let fields = POD_FIELDS.map(str::to_owned);
            self.known(part, at, "field of a pod", field, fields.iter());
        }
    }

    fn runs(&mut self, part: &str, at: &[&str], script: Option<&str>, command: &[String]) {
        let Some(script) = script else { return };
        let at: Vec<&str> = at.iter().copied().chain(["script"]).collect();
        if !command.is_empty() {
            self.report(part, &at, "`script` and `command` exclude each other");
        }
        let text = self.blueprint.folder.files.get(script);
        if text.is_some_and(|text| !text.starts_with("#!")) {
            let message = format!(
                "`{script}` does not name its interpreter: the first line must be one such as `#!/bin/sh`"
            );
            self.report(part, &at, &message);
        }
    }

    pub(super) fn fits(&mut self, part: &str, at: &[&str], format: Format, text: &str) {
        if !format.accepts(text) {
            self.report(part, at, &format!("expected {}, found {}", format.phrase(), quoted(text)));
            self.at_the_users_value(text);
        }
    }

    /// Reports an invalid text of the app's own document there, instead of in the blueprint that passes it on.
    fn at_the_users_value(&mut self, text: &str) {
        let place = place_of(&self.app.document, text);
        if let (Some(place), Some((_, last))) = (place, self.errors.last_mut()) {
            last.code = Code::BadValue;
            let passed_on = last.place.replace(place);
            last.related =
                passed_on.map(|place| (place, "passed on here".to_owned())).into_iter().collect();
        }
    }
}

/// Returns the place of a text, or of a key that ends a variable's name and is invalid in it.
fn place_of(node: &Node, text: &str) -> Option<Place> {
    let odd_key = |key: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        text.ends_with(key) && !key.chars().all(fits)
    };
    match &node.value {
        Value::Scalar(scalar) => (scalar.text() == text).then_some(node.place),
        Value::List(items) => items.iter().find_map(|item| place_of(item, text)),
        Value::Map(entries) => entries.iter().find_map(|entry| {
            let own = odd_key(&entry.key).then_some(entry.place);
            own.or_else(|| place_of(&entry.value, text))
        }),
    }
}
