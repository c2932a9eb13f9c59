//! Containers beside a component: names, ports, volumes and resources fit into its pods.

use std::collections::{BTreeMap, BTreeSet};

use super::Checker;
use super::paths::{Taken, Written, real};
use crate::compiler::blueprint::Component;
use crate::compiler::spec::{Sidecar, is_port_name};

/// What a sidecar has to say about its resources: autoscaling needs the processor time of all containers of a pod, quotas both
/// requests, and without a limit of memory the component pays for a leak of the sidecar.
const RESOURCES: [(&str, &str); 3] =
    [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")];

impl Checker<'_> {
    pub(super) fn sidecars(&mut self, part: &str, component: &Component, sidecars: &[Sidecar]) {
        let steps = component.serving.before.iter().map(|step| step.name.as_str());
        let mut names: BTreeSet<&str> = steps.chain([part]).collect();
        let own = component.serving.ports.iter();
        let mut ports: BTreeMap<&str, u16> =
            own.map(|(name, port)| (name.as_str(), *port)).collect();
        for (index, sidecar) in sidecars.iter().enumerate() {
            let index = index.to_string();
            let at = ["sidecars", index.as_str()];
            // Steps of pso-gen's own begin so.
            if sidecar.name.starts_with("pso-") || !names.insert(&sidecar.name) {
                let message = format!(
                    "the name `{}` is taken by another container in the pods of `{part}`",
                    sidecar.name
                );
                self.report(part, &[at[0], at[1], "name"], &message, "write another name");
            }
            self.variables(part, &[at[0], at[1], "env"], &sidecar.env);
            self.sources(part, &at, &sidecar.files, &sidecar.mounts);
            self.volumes(part, &at, component, sidecar);
            for (name, port) in &sidecar.ports {
                self.port(part, &[at[0], at[1], "ports", name], (name, *port), &ports);
                ports.entry(name).or_insert(*port);
            }
            for (section, resource) in RESOURCES {
                let amounts = match section {
                    "requests" => &sidecar.resources.requests,
                    _ => &sidecar.resources.limits,
                };
                if !amounts.contains_key(resource) {
                    let message = format!(
                        "the sidecar `{}` has no `{resource}` in `{section}`",
                        sidecar.name
                    );
                    let fix = "write for example `resources: {requests: {cpu: 10m, memory: 32Mi}, limits: {memory: 64Mi}}`";
                    self.report(part, &[at[0], at[1], "resources"], &message, fix);
                }
            }
        }
    }

    fn volumes(&mut self, part: &str, at: &[&str], component: &Component, sidecar: &Sidecar) {
        let mounts = &component.program.mounts;
        let mut taken: Vec<Taken> = Vec::new();
        for (volume, path) in &sidecar.volumes {
            if mounts.get(volume).is_some_and(Option::is_some) {
                taken.push((real(path), "volume"));
                continue;
            }
            let message = format!("`{part}` does not mount the volume `{volume}`");
            let own: Vec<&str> = mounts.keys().map(String::as_str).collect();
            let fix = if own.is_empty() {
                "remove it: the component has no volumes".to_owned()
            } else {
                format!("write one of `{}`", own.join("`, `"))
            };
            self.report(part, &[at, &["volumes", volume]].concat(), &message, &fix);
        }
        let files = sidecar.files.keys().map(|path| ("files", path.as_str()));
        let folders = sidecar.mounts.keys().map(|path| ("mounts", path.as_str()));
        let all: Vec<Written<'_>> = files.chain(folders).collect();
        self.each(part, at, &taken, &all, &|_| true);
        for (volume, path) in &sidecar.volumes {
            let others = sidecar.volumes.iter().filter(|(other, _)| *other != volume);
            let others: Vec<Taken> = others.map(|(_, path)| (real(path), "volume")).collect();
            self.one(part, &[at, &["volumes", volume]].concat(), path, &others);
        }
    }

    fn port(&mut self, part: &str, at: &[&str], port: (&str, u16), taken: &BTreeMap<&str, u16>) {
        let (name, number) = port;
        let (message, fix) = if !is_port_name(name) {
            let message = format!(
                "the port name `{name}` must have at most 15 lower-case letters, digits and `-`, including a letter"
            );
            (message, "write another name")
        } else if number == 0 {
            (format!("the port `{name}` has the number 0"), "write a number from 1 to 65535")
        } else if taken.contains_key(name) {
            (
                format!("the port name `{name}` is taken in the pods of `{part}`"),
                "write another name",
            )
        } else if taken.values().any(|other| *other == number) {
            let message = format!(
                "the port {number} is taken in the pods of `{part}`, whose containers share one address"
            );
            (message, "write another number")
        } else {
            return;
        };
        self.report(part, at, &message, fix);
    }
}
