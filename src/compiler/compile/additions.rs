//! What the app file adds to a pod: variables, files, folders, arguments, sidecars. Whether it may is decided elsewhere.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    ConfigMapKeySelector, ConfigMapVolumeSource, Container, ContainerPort, EnvVar, EnvVarSource,
    KeyToPath, ObjectFieldSelector, SecretKeySelector, SecretVolumeSource, Volume, VolumeMount,
};
use sha2::{Digest, Sha256};

use super::config::{self, short};
use super::container::{LAST_WORDS, PodVolumes, resources, some, sorted, unprivileged};
use crate::compiler::blueprint::{App, Program};
use crate::compiler::spec::{
    AddedFile, AddedFolder, AddedValue, Additions, FileSource, KeyOf, ObjectKind, Sidecar,
};

/// Longest part of a file's or an object's name in the name of a key or volume.
const READABLE: usize = 30;

/// A volume of a pod with keys of an object that the app file names: kind, name, and the mode of the files; without a mode,
/// all keys.
type Source = (ObjectKind, String, Option<i32>);

/// The objects that a pod mounts, with the keys that are files.
type Sources = BTreeMap<Source, BTreeSet<String>>;

/// Adds to the container of a component or job what the app file says, and returns the containers beside it. The steps before
/// the start are copies of the container, and so have the same variables, files and folders.
pub(super) fn apply(
    app: &App,
    name: &str,
    program: &Program,
    container: &mut Container,
    volumes: &mut PodVolumes,
) -> Vec<Container> {
    let Some(additions) = app.additions.get(name) else { return Vec::new() };
    let Additions { env, files, mounts, args, sidecars, .. } = additions;
    let mut sources = Sources::new();
    let own = mounts_of(files, mounts, &mut sources, volumes);
    container.volume_mounts = joined(container.volume_mounts.take(), own).map(sorted);
    container.env = joined(container.env.take(), environment(env));
    container.args = joined(container.args.take(), args.iter().cloned());
    let beside = |sidecar: &Sidecar| {
        let own = mounts_of(&sidecar.files, &sidecar.mounts, &mut sources, volumes);
        beside(app, program, sidecar, own)
    };
    let beside = sidecars.iter().map(beside).collect();
    volumes.added(sources.iter().map(volume));
    beside
}

fn joined<T>(first: Option<Vec<T>>, rest: impl IntoIterator<Item = T>) -> Option<Vec<T>> {
    some(first.into_iter().flatten().chain(rest).collect())
}

/// Returns the mounts of the files and folders of one container.
fn mounts_of(
    files: &BTreeMap<String, AddedFile>,
    folders: &BTreeMap<String, AddedFolder>,
    sources: &mut Sources,
    volumes: &mut PodVolumes,
) -> Vec<VolumeMount> {
    let mount = |volume: String, path: &str, key: Option<String>| VolumeMount {
        name: volume,
        mount_path: path.to_owned(),
        sub_path: key,
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let mut mounts = Vec::new();
    for (path, file) in files {
        match file.source() {
            Some(FileSource::Key(KeyOf { kind, object, key })) => {
                let source = (kind, object.to_owned(), Some(file.mode()));
                mounts.push(mount(volume_name(&source), path, Some(key.to_owned())));
                sources.entry(source).or_default().insert(key.to_owned());
            }
            Some(FileSource::Content(text)) => {
                let key = content_key(path, text, file.mode());
                volumes.file(&key, file.mode());
                mounts.push(mount(config::VOLUME.to_owned(), path, Some(key)));
            }
            None => {}
        }
    }
    for (path, folder) in folders {
        if let Some((kind, object)) = folder.source() {
            let source = (kind, object.to_owned(), None);
            mounts.push(mount(volume_name(&source), path, None));
            sources.entry(source).or_default();
        }
    }
    mounts
}

fn volume_name(source: &Source) -> String {
    let (kind, name, mode) = source;
    let slug: String =
        name.chars().map(|c| if c == '.' { '-' } else { c }).take(READABLE).collect();
    let digest = Sha256::digest(format!("{}/{name}/{mode:?}", kind.word()));
    format!("pso-added-{}-{}", slug.trim_end_matches('-'), short(&digest))
}

/// Returns the volume of a pod for a source, with these keys.
fn volume((source, keys): (&Source, &BTreeSet<String>)) -> Volume {
    let (kind, name, mode) = source;
    let item = |key: &String| KeyToPath { key: key.clone(), path: key.clone(), mode: *mode };
    let items = some(keys.iter().map(item).collect());
    let mut volume = Volume { name: volume_name(source), ..Volume::default() };
    match kind {
        ObjectKind::Secret => {
            volume.secret = Some(SecretVolumeSource {
                secret_name: Some(name.clone()),
                // Only the program's group can read it.
                default_mode: mode.is_none().then_some(0o440),
                items,
                ..SecretVolumeSource::default()
            });
        }
        ObjectKind::ConfigMap => {
            volume.config_map = Some(ConfigMapVolumeSource {
                name: name.clone(),
                items,
                ..ConfigMapVolumeSource::default()
            });
        }
    }
    volume
}

/// Returns the contents in the app file, by their keys in the app's ConfigMap.
pub(super) fn contents(app: &App) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let of_programs = app.additions.values().flat_map(|additions| &additions.files);
    let sidecars = app.additions.values().flat_map(|additions| &additions.sidecars);
    let of_sidecars = sidecars.flat_map(|sidecar| &sidecar.files);
    of_programs.chain(of_sidecars).filter_map(|(path, file)| match file.source()? {
        FileSource::Content(text) => {
            Some((content_key(path, text, file.mode()).into(), text.into()))
        }
        FileSource::Key(_) => None,
    })
}

/// Returns the key of a content: its file's name, for people, and a hash. Components with the same file share it.
fn content_key(path: &str, text: &str, mode: i32) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let file = path.rsplit('/').next().unwrap_or_default();
    let file: String = file.chars().map(plain).take(READABLE).collect();
    format!("added.{}.{file}", short(&Sha256::digest(format!("{path}\n{mode}\n{text}"))))
}

fn environment(env: &BTreeMap<String, AddedValue>) -> impl Iterator<Item = EnvVar> {
    env.iter().map(|(name, value)| {
        let mut variable = EnvVar { name: name.clone(), ..EnvVar::default() };
        if let AddedValue::Text(text) = value {
            // Kubernetes replaces `$(NAME)` in a value, and `$$` by `$`.
            variable.value = Some(text.replace('$', "$$"));
        }
        variable.value_from = from(value);
        variable
    })
}

fn from(value: &AddedValue) -> Option<EnvVarSource> {
    let mut from = EnvVarSource::default();
    match value {
        AddedValue::Text(_) | AddedValue::Ambiguous => return None,
        AddedValue::Field(path) => {
            // Written out: the API server adds it, and server-side apply would take that for another manager's change.
            let api_version = Some("v1".to_owned());
            from.field_ref = Some(ObjectFieldSelector { field_path: path.clone(), api_version });
        }
        AddedValue::Key(kind, reference) => {
            let KeyOf { object, key, .. } = kind.key(reference);
            let (name, key) = (object.to_owned(), key.to_owned());
            match kind {
                ObjectKind::Secret => {
                    from.secret_key_ref = Some(SecretKeySelector { name, key, optional: None });
                }
                ObjectKind::ConfigMap => {
                    from.config_map_key_ref =
                        Some(ConfigMapKeySelector { name, key, optional: None });
                }
            }
        }
    }
    Some(from)
}

/// Returns a container beside that of a component.
fn beside(app: &App, program: &Program, sidecar: &Sidecar, own: Vec<VolumeMount>) -> Container {
    let volumes = sidecar.volumes.iter().filter_map(|(name, path)| {
        program.mounts.get(name)?.as_ref()?;
        Some(VolumeMount {
            name: name.clone(),
            mount_path: path.clone(),
            sub_path: app.volumes.get(name)?.folder(name).map(str::to_owned),
            read_only: Some(true),
            ..VolumeMount::default()
        })
    });
    let ports = sidecar.ports.iter().map(|(port, number)| ContainerPort {
        name: Some(port.clone()),
        container_port: i32::from(*number),
        ..ContainerPort::default()
    });
    let mut security = unprivileged(sidecar.read_only_root);
    security.run_as_user = sidecar.user.map(i64::from);
    Container {
        name: sidecar.name.clone(),
        image: Some(sidecar.image.clone()),
        command: some(sidecar.command.clone()),
        args: some(sidecar.args.clone()),
        env: some(environment(&sidecar.env).collect()),
        ports: some(ports.collect()),
        volume_mounts: some(sorted(volumes.chain(own).collect())),
        resources: Some(resources(&sidecar.resources)),
        security_context: Some(security),
        termination_message_policy: Some(LAST_WORDS.to_owned()),
        ..Container::default()
    }
}
