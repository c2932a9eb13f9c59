//! Workloads of the blueprint language: components with their steps and probes, and jobs.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{EnvValue, FileMount, Mount, Pods, When, Writable};
use crate::compiler::spec::Egress;
use crate::contract::{Resources, Seconds};

/// A component: a program that serves requests.
#[derive(Debug, Clone)]
pub struct Component {
    /// The program.
    pub program: Program,
    /// Its pods, ports and probes.
    pub serving: Serving,
}

/// A job: a program that ends.
#[derive(Debug, Clone)]
pub struct Job {
    /// The program.
    pub program: Program,
    /// Its schedule.
    pub schedule: Schedule,
}

/// The fields that components and jobs have in common.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    /// Description in one sentence.
    #[serde(default)]
    pub about: String,
    /// Container image with a full version, usually from the catalogue.
    #[schemars(example = "{{ catalogue.mariadb }}", extend("format" = "image"))]
    pub image: String,
    /// Command in place of the image's entrypoint.
    #[serde(default)]
    pub command: Vec<String>,
    /// Arguments of the entrypoint.
    #[serde(default)]
    pub args: Vec<String>,
    /// A file beside the blueprint that is mounted and run in place of the image's entrypoint. Its first line
    /// names the interpreter (`#!/bin/sh`). Pass settings to it by `env`.
    #[serde(default)]
    pub script: Option<String>,
    /// User ID that it runs as. Never 0.
    pub user: u32,
    /// Group ID. If omitted, the user ID.
    #[serde(default)]
    pub group: Option<u32>,
    /// Environment variables: text, `{secret: NAME/KEY}` for a key of a declared secret, or `{field:
    /// metadata.name}` for a field of the pod.
    #[serde(default)]
    pub env: IndexMap<String, Option<EnvValue>>,
    /// Single files, by mount path: a file beside the blueprint, `{file, mode}`, `{content, mode}`, or `{secret:
    /// NAME/KEY}`. Changing one restarts the pods.
    #[serde(default)]
    pub files: IndexMap<String, Option<FileMount>>,
    /// Volumes by name: the mount path, or `{path, readOnly}`.
    #[serde(default)]
    pub mounts: IndexMap<String, Option<Mount>>,
    /// Writable folders that are empty in every new pod, by path: no value, a size limit, or `{size, memory,
    /// seed}`. With `seed: true`, the folder starts with the image's content.
    #[serde(default)]
    pub writable: IndexMap<String, Option<Writable>>,
    /// Whether the image's own files are read-only. The program can then write only to volumes and to the folders
    /// under `writable`.
    #[serde(default = "yes")]
    pub read_only_root: bool,
    /// Outgoing connections: `open` follows the app's own `network`; `closed` allows only the components under
    /// `talks`, and DNS.
    #[serde(default)]
    #[schemars(extend("default" = "open"))]
    pub egress: Egress,
    /// Variables that an app file may not add, in addition to those under `env`: those that the image or the scripts
    /// read. `MYSQL_*` stands for all that begin with `MYSQL_`.
    #[serde(default)]
    pub reserved: Vec<String>,
    /// Options that an app file may not add to `args`: those that the script sets, or that move the data. `--defaults-*`
    /// stands for all that begin with `--defaults-`. An option that is shortened, has `_` for `-`, or its value behind `=`
    /// counts as well.
    #[serde(default)]
    pub reserved_args: Vec<String>,
    /// CPU and memory.
    #[serde(default)]
    pub resources: Resources,
}

impl Program {
    /// Returns whether an app file may not add a variable.
    pub fn reserves(&self, variable: &str) -> bool {
        self.reserved.iter().any(|reserved| stands_for(reserved, variable))
    }

    /// Returns the reserved option that an argument sets.
    pub fn reserved_option(&self, argument: &str) -> Option<&str> {
        let option = argument.split('=').next().unwrap_or_default().replace('_', "-");
        let is_long = option.starts_with("--");
        let sets = |reserved: &&String| {
            let is_shortened = is_long && option.len() > 2 && reserved.starts_with(&option);
            // The value of a short option may follow at once.
            let has_value =
                !is_long && !reserved.starts_with("--") && option.starts_with(reserved.as_str());
            stands_for(reserved, &option) || is_shortened || has_value
        };
        self.reserved_args.iter().find(sets).map(String::as_str)
    }
}

/// Returns whether a pattern stands for a name: the name itself, or with `*` at its end each name with that beginning.
pub fn stands_for(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

/// The fields that only components have.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// Number of pods: a number, `{min, max, cpu}` to follow the load, or `one` for a program that must never run
    /// twice at the same time (a database).
    #[serde(default)]
    pub pods: Pods,
    /// Ports by name. Other components reach them at `component.NAME.address`.
    #[serde(default)]
    pub ports: IndexMap<String, u16>,
    /// Steps that must succeed, in order, before the component starts. Probes do not run during steps.
    #[serde(default)]
    pub before: Vec<Step>,
    /// Probe that succeeds once the component has started. The other probes wait for it.
    #[serde(default)]
    pub startup: Option<Probe>,
    /// Probe that succeeds while the component can serve. While it fails, the pod receives no traffic.
    #[serde(default)]
    pub ready: Option<Probe>,
    /// Probe that fails when only a restart helps. It must not depend on other components.
    #[serde(default)]
    pub alive: Option<Probe>,
    /// Time that the component has to stop before it is killed.
    #[serde(default)]
    pub stop: Option<Seconds>,
    /// How a new version replaces the old one: `recreate` stops all pods first, `rolling` replaces them one by
    /// one. A component that mounts a block volume always uses `recreate`.
    #[serde(default)]
    pub update: Update,
    /// Components that must be ready before this one starts, in addition to those under `talks`.
    #[serde(default)]
    pub after: Vec<String>,
}

/// How a new version replaces the old one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Update {
    /// One pod after another.
    #[default]
    Rolling,
    /// All pods stop, then all start.
    Recreate,
}

/// A step before a component starts. It inherits the component's image, user, mounts, files and variables, unless
/// it sets its own.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Name of the step.
    #[schemars(extend("format" = "name"))]
    pub name: String,
    /// Image, in place of the component's.
    #[schemars(extend("format" = "image"))]
    #[serde(default)]
    pub image: Option<String>,
    /// Command.
    #[serde(default)]
    pub command: Vec<String>,
    /// Script beside the blueprint, in place of `command`.
    #[serde(default)]
    pub script: Option<String>,
    /// Additional environment variables.
    #[serde(default)]
    pub env: IndexMap<String, Option<EnvValue>>,
    /// Volume that holds a lock while the step runs, so that only one pod runs the step at a time. The image must
    /// have `flock`.
    #[serde(default)]
    pub lock: Option<String>,
}

/// A periodic check of a running component.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// HTTP request; a status from 200 to 399 succeeds.
    #[serde(default)]
    pub http: Option<HttpProbe>,
    /// Port, by name, that must accept connections.
    #[serde(default)]
    pub tcp: Option<String>,
    /// Command to run in the container; exit code 0 succeeds.
    #[serde(default)]
    pub exec: Option<Vec<String>>,
    /// Time between two checks.
    #[serde(default = "ten_seconds")]
    pub every: Seconds,
    /// Longest time for one check.
    #[serde(default = "five_seconds")]
    pub timeout: Seconds,
    /// Number of consecutive failures after which the probe fails.
    #[serde(default = "three")]
    pub tries: u16,
}

/// Kinds of check.
#[derive(Debug, Clone, Copy)]
pub enum ProbeAction<'p> {
    /// Sends an HTTP request.
    Http(&'p HttpProbe),
    /// Connects to a port.
    Tcp(&'p str),
    /// Runs a command.
    Exec(&'p [String]),
}

impl Probe {
    /// Returns the check, if exactly one kind is set.
    pub fn action(&self) -> Option<ProbeAction<'_>> {
        match (&self.http, &self.tcp, &self.exec) {
            (Some(http), None, None) => Some(ProbeAction::Http(http)),
            (None, Some(port), None) => Some(ProbeAction::Tcp(port)),
            (None, None, Some(command)) => Some(ProbeAction::Exec(command)),
            _ => None,
        }
    }
}

/// An HTTP check.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpProbe {
    /// Port, by name.
    pub port: String,
    /// Path.
    #[schemars(extend("format" = "path"))]
    pub path: String,
    /// `Host` header, for programs that accept only trusted names.
    #[serde(default)]
    pub host: Option<String>,
}

/// The fields that only jobs have.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Component whose image, user, variables, files, mounts and network access the job inherits.
    #[serde(default)]
    pub like: Option<String>,
    /// A schedule of five fields in UTC, or `asked`: the job runs on `kubectl create job --from=cronjob/NAME`.
    pub when: When,
    /// Longest time that one run may take.
    #[serde(default)]
    pub deadline: Option<Seconds>,
    /// Number of retries of a failed run.
    #[serde(default)]
    pub retries: u16,
}

fn yes() -> bool {
    true
}

fn ten_seconds() -> Seconds {
    Seconds(10)
}

fn five_seconds() -> Seconds {
    Seconds(5)
}

fn three() -> u16 {
    3
}
