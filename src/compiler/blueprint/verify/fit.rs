//! Checks that the parts of an app fit together in a running pod: users and the owners of volumes, folders and limits,
//! hosts, probes.

use std::collections::{BTreeMap, BTreeSet};

use super::Verifier;
use crate::compiler::blueprint::language::Program;
use crate::compiler::diagnostic::{Code, Diagnostic, Place};
use crate::compiler::yaml::{Node, Value};
use crate::contract::Quantity;

impl Verifier<'_> {
    pub(super) fn fits_together(&mut self) {
        let app = self.app;
        let components = app.components.iter().map(|(name, c)| (name.as_str(), &c.program));
        let jobs = app.jobs.iter().map(|(name, job)| (name.as_str(), &job.program));
        let programs: Vec<(&str, &Program)> = components.chain(jobs).collect();
        self.owners(&programs);
        for (name, program) in programs {
            self.limits(name, program);
        }
        self.probes();
        self.hosts();
    }

    /// Checks that each program can write to its volumes. Kubernetes sets no owner on NFS, so the owner that a volume
    /// declares is the only one that it gets there. The check does not depend on the class, which the app can change.
    fn owners(&mut self, programs: &[(&str, &Program)]) {
        let app = self.app;
        for (name, volume) in &app.volumes {
            let users = programs.iter().filter_map(|(part, program)| {
                let mount = program.mounts.get(name)?.as_ref()?;
                let group = program.group.unwrap_or(program.user);
                Some((*part, program.user, group, mount.read_only))
            });
            let Some(owner) = volume.owner else {
                let writer = users.clone().find(|(_, _, _, read_only)| !read_only);
                if let Some((part, user, group, _)) = writer {
                    let message = format!(
                        "the volume `{name}` has no `owner`, so on a file class only root could write to it"
                    );
                    self.report("volumes", &[name], &message).fix =
                        Some(format!("write `owner: \"{user}:{group}\"`, the user of `{part}`"));
                }
                continue;
            };
            let mode = u32::from_str_radix(&volume.mode, 8).unwrap_or_default();
            for (part, user, group, read_only) in users {
                let bits = match owner {
                    (own, _) if own == user => mode >> 6,
                    (_, own) if own == group => mode >> 3,
                    _ => mode,
                };
                let (needed, verb) = if read_only { (0o5, "read") } else { (0o3, "write to") };
                if bits & needed != needed {
                    let message = format!(
                        "it runs as {user}:{group} and cannot {verb} the volume `{name}`, which belongs to {}:{} with mode {}",
                        owner.0, owner.1, volume.mode
                    );
                    self.report(part, &["mounts", name], &message).fix = Some(format!(
                        "give the volume the owner of its user, `owner: \"{user}:{group}\"`, or a mode that includes it"
                    ));
                }
            }
        }
    }

    /// Checks that the folders under `writable` fit into the limits: Kubernetes ends a pod that uses more.
    fn limits(&mut self, part: &str, program: &Program) {
        for (resource, in_memory) in [("ephemeral-storage", false), ("memory", true)] {
            let folders = program.writable.iter().filter_map(|(path, writable)| {
                let writable = writable.as_ref().filter(|writable| writable.memory == in_memory)?;
                Some((path.as_str(), writable.size.as_ref()?.bytes()))
            });
            let written = program.resources.limits.get(resource);
            let limit = written.and_then(|limit| Quantity::bytes_of(limit));
            let (Some(limit), Some(largest)) =
                (limit, folders.clone().max_by_key(|(_, size)| *size))
            else {
                continue;
            };
            let whole = folders.map(|(_, size)| size).fold(0, u64::saturating_add);
            if whole <= limit {
                continue;
            }
            let show = |bytes| Quantity::of_bytes(bytes).text().to_owned();
            let message = format!(
                "its writable folders can hold {}, and the limit of `{resource}` is {}: Kubernetes ends a pod that uses more",
                show(whole),
                show(limit)
            );
            let fix =
                format!("raise the limit to more than {}, or write smaller sizes", show(whole));
            let app = ["spec", "resources", part, "limits", resource];
            let own = app.iter().try_fold(&self.app.document, |node, step| node.get(step));
            if let Some(own) = own {
                let found =
                    Diagnostic::new(Code::BadValue, own.place, format!("`{part}`: {message}"));
                self.errors.push((message, found.at(app.join(".")).fix(fix)));
            } else {
                self.report(part, &["writable", largest.0], &message).fix = Some(fix);
            }
        }
    }

    /// Advises on probes whose check may take longer than the time between two checks.
    fn probes(&mut self) {
        let app = self.app;
        for (part, component) in &app.components {
            let serving = &component.serving;
            let probes = [
                ("startup", &serving.startup),
                ("ready", &serving.ready),
                ("alive", &serving.alive),
            ];
            for (name, probe) in probes {
                let Some(probe) = probe else { continue };
                let (timeout, every) = (probe.timeout.0, probe.every.0);
                // The default is not a choice of the author.
                let place = |at: &[&str]| self.blueprint.place_of(part, at);
                let written = place(&[name, "timeout"]) != place(&[name]);
                if written && timeout > every && every > 0 {
                    let message = format!(
                        "one check of `{name}` may take {timeout}s, and they are {every}s apart: a program that hangs is noticed late"
                    );
                    let at = [name, "timeout"];
                    self.say(Code::BlueprintAdvice, part, &at, &message).fix =
                        Some(format!("write a `timeout` of at most {every}s, or a longer `every`"));
                }
            }
        }
    }

    /// Checks that each host leads to one port. If the app file names a host for each port, its own fields are reported
    /// by the rules over a run.
    fn hosts(&mut self) {
        let app = self.app;
        let mut ports: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
        for exposed in &app.exposed {
            for host in &exposed.hosts {
                ports.entry(host).or_default().insert((&exposed.component, &exposed.port));
            }
        }
        for (host, ports) in ports {
            let written = places(&app.document, host).len();
            if ports.len() < 2 || written >= ports.len() {
                continue;
            }
            let names: Vec<String> =
                ports.iter().map(|(component, port)| format!("{component}.{port}")).collect();
            let message = format!(
                "`{}` are exposed under one host, `{host}`, and each request can go to one of them only",
                names.join("` and `")
            );
            let last = names.last().map_or("", String::as_str);
            self.report("expose", &[last], &message).fix =
                Some("give each port a host of its own, from a parameter of its own".to_owned());
        }
    }
}

/// Returns the places of a text in a document.
fn places(node: &Node, text: &str) -> Vec<Place> {
    match &node.value {
        Value::Scalar(scalar) if scalar.text() == text => vec![node.place],
        Value::Scalar(_) => Vec::new(),
        Value::List(items) => items.iter().flat_map(|item| places(item, text)).collect(),
        Value::Map(entries) => entries.iter().flat_map(|e| places(&e.value, text)).collect(),
    }
}
