//! What runs: components, their first steps and probes, and jobs.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{EnvValue, FileMount, Mount, Pods, When, Writable};
use crate::compiler::spec::Egress;
use crate::contract::{Resources, Seconds};

/// A component: a program that serves.
#[derive(Debug, Clone)]
pub struct Component {
    /// What runs.
    pub program: Program,
    /// How it serves.
    pub serving: Serving,
}

/// A job: a program that ends.
#[derive(Debug, Clone)]
pub struct Job {
    /// What runs.
    pub program: Program,
    /// When it runs.
    pub schedule: Schedule,
}

/// The fields that components and jobs have in common.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    /// What it is, in a sentence.
    #[serde(default)]
    pub about: String,
    /// Container image with a full version, usually from the catalogue.
    #[schemars(example = "{{ catalogue.mariadb }}", extend("format" = "image"))]
    pub image: String,
    /// Replaces the image's entrypoint.
    #[serde(default)]
    pub command: Vec<String>,
    /// Arguments of the entrypoint.
    #[serde(default)]
    pub args: Vec<String>,
    /// A file beside the blueprint that is mounted and run instead of the image's entrypoint. Its
    /// first line names the interpreter (`#!/bin/sh`); it gets its settings by `env`.
    #[serde(default)]
    pub script: Option<String>,
    /// User number that it runs as. Never 0.
    pub user: u32,
    /// Group number; the user number when left out.
    #[serde(default)]
    pub group: Option<u32>,
    /// Environment variables: text, `{secret: NAME/KEY}` for a key of a declared secret, or
    /// `{field: metadata.name}` for a field of the pod.
    #[serde(default)]
    pub env: IndexMap<String, Option<EnvValue>>,
    /// Single files, by the path at which they appear: a file beside the blueprint, `{file, mode}`,
    /// `{content, mode}`, or `{secret: NAME/KEY}`. A change rolls the pods.
    #[serde(default)]
    pub files: IndexMap<String, Option<FileMount>>,
    /// Volumes, by name: the path at which they appear, or `{path, readOnly}`.
    #[serde(default)]
    pub mounts: IndexMap<String, Option<Mount>>,
    /// Folders that can be written to and are empty in every new pod, by path: nothing, a size
    /// limit, or `{size, memory, seed}`. `seed: true` starts with what the image has there.
    #[serde(default)]
    pub writable: IndexMap<String, Option<Writable>>,
    /// Whether the image's own files cannot be written to. On by default: what must be written
    /// goes to `writable` or a volume.
    #[serde(default = "yes")]
    pub read_only_root: bool,
    /// Where it may open connections to: `open` to what the app's own `network` says, `closed` only to what it
    /// `talks` to, and DNS.
    #[serde(default)]
    #[schemars(extend("default" = "open"))]
    pub egress: Egress,
    /// CPU and memory.
    #[serde(default)]
    pub resources: Resources,
}

/// The fields that only components have.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// How many pods: a number, `{min, max, cpu}` to follow the load, or `one` for a program of
    /// which two must never run at a time (a database).
    #[serde(default)]
    pub pods: Pods,
    /// Ports by name. Other components reach them at `component.NAME.address`.
    #[serde(default)]
    pub ports: IndexMap<String, u16>,
    /// Steps that must succeed, in order, before it starts. No probe disturbs them.
    #[serde(default)]
    pub before: Vec<Step>,
    /// Probe that succeeds once it has started. Until then, the other probes wait.
    #[serde(default)]
    pub startup: Option<Probe>,
    /// Probe that succeeds while it can serve. While not, it gets no traffic.
    #[serde(default)]
    pub ready: Option<Probe>,
    /// Probe that fails when only a restart helps. It must not depend on other components.
    #[serde(default)]
    pub alive: Option<Probe>,
    /// How long it may take to end before it is killed.
    #[serde(default)]
    pub stop: Option<Seconds>,
    /// How a new version replaces the old: `recreate` ends all pods first, `rolling` goes pod by
    /// pod. Rolling becomes recreate by itself where a block volume is mounted.
    #[serde(default)]
    pub update: Update,
    /// Components that must be up before, beside those that it talks to.
    #[serde(default)]
    pub after: Vec<String>,
}

/// How a new version replaces the old.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Update {
    /// Pod by pod.
    #[default]
    Rolling,
    /// All end, then all start.
    Recreate,
}

/// A step before a component starts. It has the component's image, user, mounts, files and
/// variables unless it says otherwise.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Name of the step.
    #[schemars(extend("format" = "name"))]
    pub name: String,
    /// Another image.
    #[schemars(extend("format" = "image"))]
    #[serde(default)]
    pub image: Option<String>,
    /// What runs.
    #[serde(default)]
    pub command: Vec<String>,
    /// A file beside the blueprint that runs.
    #[serde(default)]
    pub script: Option<String>,
    /// More environment variables.
    #[serde(default)]
    pub env: IndexMap<String, Option<EnvValue>>,
    /// A volume on which a lock is held while it runs, so that of several pods one at a time does
    /// it. The image must have `flock`.
    #[serde(default)]
    pub lock: Option<String>,
}

/// A question to a running component, asked again and again.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// Asks by HTTP; any answer from 200 to 399 is good.
    #[serde(default)]
    pub http: Option<HttpProbe>,
    /// Asks whether a port (by name) takes connections.
    #[serde(default)]
    pub tcp: Option<String>,
    /// Runs a command in the container; exit code 0 is good.
    #[serde(default)]
    pub exec: Option<Vec<String>>,
    /// Time between questions.
    #[serde(default = "ten_seconds")]
    pub every: Seconds,
    /// How long an answer may take.
    #[serde(default = "five_seconds")]
    pub timeout: Seconds,
    /// How many bad answers in a row count.
    #[serde(default = "three")]
    pub tries: u16,
}

/// What a probe does.
#[derive(Debug, Clone, Copy)]
pub enum ProbeAction<'p> {
    /// Asks by HTTP.
    Http(&'p HttpProbe),
    /// Connects to a port.
    Tcp(&'p str),
    /// Runs a command.
    Exec(&'p [String]),
}

impl Probe {
    /// Returns what it does, if exactly one thing is said.
    pub fn action(&self) -> Option<ProbeAction<'_>> {
        match (&self.http, &self.tcp, &self.exec) {
            (Some(http), None, None) => Some(ProbeAction::Http(http)),
            (None, Some(port), None) => Some(ProbeAction::Tcp(port)),
            (None, None, Some(command)) => Some(ProbeAction::Exec(command)),
            _ => None,
        }
    }
}

/// A question by HTTP.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpProbe {
    /// Port, by name.
    pub port: String,
    /// Path.
    #[schemars(extend("format" = "path"))]
    pub path: String,
    /// `Host` header, for programs that answer trusted names only.
    #[serde(default)]
    pub host: Option<String>,
}

/// The fields that only jobs have.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// A component whose image, user, variables, files, mounts and network access it shares.
    #[serde(default)]
    pub like: Option<String>,
    /// A schedule of five fields in UTC, or `asked`: it runs on `kubectl create job --from=cronjob/NAME`.
    pub when: When,
    /// How long one run may take.
    #[serde(default)]
    pub deadline: Option<Seconds>,
    /// How often a failed run is tried again.
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
