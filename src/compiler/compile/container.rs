//! One container of a pod, and the volumes that the pod must have for it.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
    EnvVarSource, ExecAction, HTTPGetAction, HTTPHeader, KeyToPath, ObjectFieldSelector,
    PersistentVolumeClaimVolumeSource, Probe as PodProbe, ResourceRequirements, SecretKeySelector,
    SecretVolumeSource, SecurityContext, TCPSocketAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sha2::{Digest, Sha256};

use super::{Context, config};
use crate::compiler::blueprint::{
    App, EnvValue, FileContent, FileMount, Probe, ProbeAction, Program, Writable,
};
use crate::contract::{Quantity as Size, Resources};

/// Where scripts appear.
pub(super) const SCRIPTS: &str = "/pso";

/// The volumes of a pod, gathered while its containers are made.
#[derive(Debug, Default)]
pub(super) struct PodVolumes {
    claims: BTreeSet<String>,
    secrets: BTreeMap<String, BTreeMap<String, i32>>,
    files: BTreeMap<String, i32>,
    writable: BTreeMap<String, Writable>,
    /// Further volumes.
    added: Vec<Volume>,
}

impl PodVolumes {
    /// Keys of the files that the pod mounts.
    pub(super) fn file_keys(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Notes a file of the app with the mode that it needs, and returns where scripts see it.
    pub(super) fn script(&mut self, file: &str) -> String {
        self.files.insert(file.to_owned(), 0o555);
        format!("{SCRIPTS}/{file}")
    }

    /// Notes a file of the app with its mode.
    pub(super) fn file(&mut self, key: &str, mode: i32) {
        self.files.insert(key.to_owned(), mode);
    }

    /// Notes further volumes.
    pub(super) fn added(&mut self, volumes: impl IntoIterator<Item = Volume>) {
        self.added.extend(volumes);
    }

    /// Notes an app's volume.
    pub(super) fn claim(&mut self, volume: &str) {
        self.claims.insert(volume.to_owned());
    }

    /// Returns the pod's volumes.
    pub(super) fn finish(self, app: &App) -> Vec<Volume> {
        let items = |keys: BTreeMap<String, i32>| {
            let item =
                |(key, mode): (String, i32)| KeyToPath { path: key.clone(), key, mode: Some(mode) };
            Some(keys.into_iter().map(item).collect())
        };
        let mut volumes: Vec<Volume> = Vec::new();
        for name in self.claims {
            let claim = app.volumes.get(&name).and_then(|volume| volume.claim.clone());
            volumes.push(Volume {
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: claim.unwrap_or_else(|| app.object_name(&name)),
                    read_only: None,
                }),
                name,
                ..Volume::default()
            });
        }
        if !self.files.is_empty() {
            volumes.push(Volume {
                name: config::VOLUME.to_owned(),
                config_map: Some(ConfigMapVolumeSource {
                    name: config::name(app),
                    items: items(self.files),
                    ..ConfigMapVolumeSource::default()
                }),
                ..Volume::default()
            });
        }
        for (secret, keys) in self.secrets {
            volumes.push(Volume {
                name: secret_volume(&secret),
                secret: Some(SecretVolumeSource {
                    secret_name: Some(secret_name(app, &secret)),
                    items: items(keys),
                    ..SecretVolumeSource::default()
                }),
                ..Volume::default()
            });
        }
        for (path, writable) in self.writable {
            volumes.push(Volume {
                name: writable_volume(&path),
                empty_dir: Some(EmptyDirVolumeSource {
                    size_limit: writable.size.map(|size| Quantity(size.text().to_owned())),
                    medium: writable.memory.then(|| "Memory".to_owned()),
                }),
                ..Volume::default()
            });
        }
        volumes.extend(self.added);
        volumes
    }
}

fn secret_volume(secret: &str) -> String {
    format!("pso-secret-{secret}")
}

/// A name of at most 63 characters, of letters that a volume's name may have, for one path only.
fn writable_volume(path: &str) -> String {
    let readable = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let slug: String = path.trim_matches('/').chars().map(readable).collect();
    let plain = path.bytes().all(|c| c == b'/' || c.is_ascii_lowercase() || c.is_ascii_digit());
    if plain && slug.len() <= 40 {
        return format!("pso-writable-{slug}");
    }
    let start = slug.get(..40).unwrap_or(&slug).trim_end_matches('-');
    format!("pso-writable-{start}-{}", config::short(&Sha256::digest(path)))
}

fn secret_name(app: &App, secret: &str) -> String {
    app.secrets.get(secret).map(|secret| secret.name.clone()).unwrap_or_default()
}

/// Makes the container of a program. `name` is that of the component or job.
pub(super) fn container(
    context: &Context<'_>,
    name: &str,
    program: &Program,
    volumes: &mut PodVolumes,
) -> Container {
    let app = context.app;
    let mut mounts = volume_mounts(app, program, volumes);
    mounts.extend(file_mounts(name, program, volumes));
    mounts.extend(writable_mounts(program, volumes));
    let mut command = program.command.clone();
    if let Some(script) = &program.script {
        command = vec![volumes.script(script)];
        mounts.push(scripts_mount());
    }
    Container {
        name: name.to_owned(),
        image: Some(program.image.clone()),
        command: some(command),
        args: some(program.args.clone()),
        env: some(environment(app, &program.env)),
        volume_mounts: some(sorted(mounts)),
        resources: Some(resources(&program.resources))
            .filter(|r| *r != ResourceRequirements::default()),
        security_context: Some(unprivileged(program.read_only_root)),
        termination_message_policy: Some(LAST_WORDS.to_owned()),
        ..Container::default()
    }
}

/// The termination message policy of every container: Kubernetes shows the end of the log of a container that failed, in
/// `kubectl describe pod`.
pub(super) const LAST_WORDS: &str = "FallbackToLogsOnError";

pub(super) fn scripts_mount() -> VolumeMount {
    VolumeMount {
        name: config::VOLUME.to_owned(),
        mount_path: SCRIPTS.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

/// A folder inside another must be mounted after it.
pub(super) fn sorted(mut mounts: Vec<VolumeMount>) -> Vec<VolumeMount> {
    mounts.sort_by(|a, b| a.mount_path.cmp(&b.mount_path));
    mounts.dedup();
    mounts
}

pub(super) fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// No way to more rights, and the system calls that the runtime allows by default.
pub(super) fn unprivileged(read_only_root: bool) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        read_only_root_filesystem: Some(read_only_root),
        ..SecurityContext::default()
    }
}

/// The mounts of a program's volumes.
fn volume_mounts(app: &App, program: &Program, volumes: &mut PodVolumes) -> Vec<VolumeMount> {
    let mut mounts = Vec::new();
    for (name, mount) in &program.mounts {
        let (Some(mount), Some(volume)) = (mount, app.volumes.get(name)) else {
            continue;
        };
        volumes.claim(name);
        mounts.push(VolumeMount {
            name: name.clone(),
            mount_path: mount.path.clone(),
            sub_path: volume.folder(name).map(str::to_owned),
            read_only: mount.read_only.then_some(true),
            ..VolumeMount::default()
        });
    }
    mounts
}

fn file_mounts(name: &str, program: &Program, volumes: &mut PodVolumes) -> Vec<VolumeMount> {
    let mut mounts = Vec::new();
    let files: &IndexMap<String, Option<FileMount>> = &program.files;
    for (path, file) in files {
        let Some(file) = file else { continue };
        let (volume, key) = match &file.content {
            FileContent::Secret(reference) => {
                let (secret, key) = reference.split_once('/').unwrap_or((reference, ""));
                let keys = volumes.secrets.entry(secret.to_owned()).or_default();
                // Only the program's group can read it.
                keys.insert(key.to_owned(), file.mode.unwrap_or(0o440));
                (secret_volume(secret), key.to_owned())
            }
            FileContent::File(key) => {
                volumes.files.insert(key.clone(), file.mode.unwrap_or(0o444));
                if path.strip_prefix(SCRIPTS).and_then(|rest| rest.strip_prefix('/')) == Some(key) {
                    // It is there anyway, with all other files of the pod.
                    mounts.push(scripts_mount());
                    continue;
                }
                (config::VOLUME.to_owned(), key.clone())
            }
            FileContent::Text(_) => {
                let key = config::text_key(name, path);
                volumes.files.insert(key.clone(), file.mode.unwrap_or(0o444));
                (config::VOLUME.to_owned(), key)
            }
        };
        mounts.push(VolumeMount {
            name: volume,
            mount_path: path.clone(),
            sub_path: Some(key),
            read_only: Some(true),
            ..VolumeMount::default()
        });
    }
    mounts
}

fn writable_mounts(program: &Program, volumes: &mut PodVolumes) -> Vec<VolumeMount> {
    let mut mounts = Vec::new();
    for (path, writable) in &program.writable {
        let writable = writable.clone().unwrap_or_default();
        volumes.writable.insert(path.clone(), writable);
        mounts.push(VolumeMount {
            name: writable_volume(path),
            mount_path: path.clone(),
            ..VolumeMount::default()
        });
    }
    mounts
}

/// The mount of a writable folder at another place, to be filled before the program starts.
pub(super) fn seed_mount(path: &str, at: &str) -> VolumeMount {
    VolumeMount { name: writable_volume(path), mount_path: at.to_owned(), ..VolumeMount::default() }
}

pub(super) fn environment(app: &App, env: &IndexMap<String, Option<EnvValue>>) -> Vec<EnvVar> {
    let variable = |(name, value): (&String, &Option<EnvValue>)| {
        let mut variable = EnvVar { name: name.clone(), ..EnvVar::default() };
        match value.as_ref()? {
            EnvValue::Text(text) => variable.value = Some(text.clone()),
            EnvValue::Secret(reference) => {
                let (secret, key) = reference.split_once('/').unwrap_or((reference, ""));
                variable.value_from = Some(EnvVarSource {
                    secret_key_ref: Some(SecretKeySelector {
                        name: secret_name(app, secret),
                        key: key.to_owned(),
                        optional: None,
                    }),
                    ..EnvVarSource::default()
                });
            }
            EnvValue::Field(path) => {
                variable.value_from = Some(EnvVarSource {
                    field_ref: Some(ObjectFieldSelector {
                        field_path: path.clone(),
                        // The API server adds it: see `additions`.
                        api_version: Some("v1".to_owned()),
                    }),
                    ..EnvVarSource::default()
                });
            }
        }
        Some(variable)
    };
    env.iter().filter_map(variable).collect()
}

/// An amount of a resource. All but processor time is in whole bytes or pieces: the API server warns of fractions.
fn whole(resource: &str, amount: &str) -> Quantity {
    let whole = Size::parse(amount).filter(|_| resource != "cpu");
    Quantity(whole.map_or_else(|| amount.to_owned(), |size| size.text().to_owned()))
}

pub(super) fn resources(resources: &Resources) -> ResourceRequirements {
    let quantities = |words: &BTreeMap<String, String>| {
        let quantities: BTreeMap<String, Quantity> =
            words.iter().map(|(name, amount)| (name.clone(), whole(name, amount))).collect();
        (!quantities.is_empty()).then_some(quantities)
    };
    ResourceRequirements {
        requests: quantities(&resources.requests),
        limits: quantities(&resources.limits),
        ..ResourceRequirements::default()
    }
}

/// The ports of a component.
pub(super) fn ports(ports: &IndexMap<String, u16>) -> Option<Vec<ContainerPort>> {
    let port = |(name, number): (&String, &u16)| ContainerPort {
        name: Some(name.clone()),
        container_port: i32::from(*number),
        ..ContainerPort::default()
    };
    some(ports.iter().map(port).collect())
}

/// A probe.
pub(super) fn probe(probe: &Probe) -> PodProbe {
    let mut out = PodProbe {
        period_seconds: i32::try_from(probe.every.0).ok(),
        timeout_seconds: i32::try_from(probe.timeout.0).ok(),
        failure_threshold: Some(i32::from(probe.tries)),
        ..PodProbe::default()
    };
    match probe.action() {
        Some(ProbeAction::Http(http)) => {
            let header =
                |host: &String| HTTPHeader { name: "Host".to_owned(), value: host.clone() };
            out.http_get = Some(HTTPGetAction {
                path: Some(http.path.clone()),
                port: IntOrString::String(http.port.clone()),
                http_headers: some(http.host.iter().map(header).collect()),
                ..HTTPGetAction::default()
            });
        }
        Some(ProbeAction::Tcp(port)) => {
            out.tcp_socket =
                Some(TCPSocketAction { port: IntOrString::String(port.to_owned()), host: None });
        }
        Some(ProbeAction::Exec(command)) => {
            out.exec = Some(ExecAction { command: Some(command.to_vec()) });
        }
        None => {}
    }
    out
}

/// Resources for a step of a few system calls.
pub(super) fn small() -> ResourceRequirements {
    let amounts = |cpu: &str, memory: &str, storage: &str| {
        let words = [("cpu", cpu), ("memory", memory), ("ephemeral-storage", storage)];
        words.map(|(name, amount)| (name.to_owned(), amount.to_owned())).into()
    };
    resources(&Resources {
        requests: amounts("10m", "16Mi", "1Mi"),
        limits: amounts("500m", "64Mi", "64Mi"),
    })
}
