//! The first step of the first user of a volume. It refuses a volume with foreign content before anything is written,
//! and gives the volume's folder the owner and mode that the app wants.
//!
//! Kubernetes changes groups on block volumes (`fsGroup`) and nothing at all on NFS, so one word in
//! an app file switches this step too.

use k8s_openapi::api::core::v1::{Capabilities, Container, SecurityContext, VolumeMount};

use super::config::Script;
use super::container::{LAST_WORDS, PodVolumes, scripts_mount, small, unprivileged};
use crate::compiler::blueprint::{App, AppVolume, ClassKind, Program};
use crate::compiler::spec::Ownership;

/// The script, and its key among the app\'s files.
const SCRIPT: Script = ("volume-owner.sh", include_str!("volume-owner.sh"));

/// Returns the script when a volume of the app needs the step.
pub(super) fn script(app: &App) -> Option<Script> {
    let jobs = app.jobs.iter().map(|(name, job)| (name, &job.program));
    let programs = app.components.iter().map(|(name, c)| (name, &c.program)).chain(jobs);
    let mut programs = programs.into_iter();
    programs.any(|(name, program)| !own_volumes(app, name, program).is_empty()).then_some(SCRIPT)
}

/// The steps of a component or job, for the volumes of which it is the first user.
pub(super) fn steps(
    app: &App,
    name: &str,
    program: &Program,
    volumes: &mut PodVolumes,
) -> Vec<Container> {
    let own = own_volumes(app, name, program);
    let with = |kind: ClassKind| own.iter().filter(move |(_, v)| v.class.kind == kind).copied();
    let file: Vec<_> = with(ClassKind::File).collect();
    let block: Vec<_> = with(ClassKind::Block).collect();
    let mut steps = Vec::new();
    if !file.is_empty() {
        let ownership = app.common.security.ownership;
        let word = if ownership == Ownership::Init { "give" } else { "check" };
        steps.push(step(app, word, &file, program, volumes));
    }
    if !block.is_empty() {
        steps.push(step(app, "make", &block, program, volumes));
    }
    steps
}

/// The volumes with an owner of which this is the first user: components come before jobs.
fn own_volumes<'a>(
    app: &'a App,
    name: &str,
    program: &'a Program,
) -> Vec<(&'a str, &'a AppVolume)> {
    let is_first = |volume: &str| {
        let mounts = |program: &Program| program.mounts.get(volume).is_some_and(Option::is_some);
        let components = app.components.iter().filter(|(_, c)| mounts(&c.program));
        let jobs = app.jobs.iter().filter(|(_, job)| mounts(&job.program));
        let mut users = components.map(|(name, _)| name).chain(jobs.map(|(name, _)| name));
        users.next().is_some_and(|first| first == name)
    };
    let off = app.common.security.ownership == Ownership::None;
    app.mounted(program)
        .filter(|(_, volume)| volume.owner.is_some())
        .filter(|(_, volume)| !(off && volume.class.kind == ClassKind::File))
        .filter(|(volume, _)| is_first(volume))
        .collect()
}

/// Folders of a volume at which others are mounted. The runtime would make them as root, which an
/// export that squashes root refuses.
fn nested(program: &Program, volume: &str) -> Vec<String> {
    let mounts = || program.mounts.iter().filter_map(|(name, mount)| Some((name, mount.as_ref()?)));
    let Some((_, outer)) = mounts().find(|(name, _)| *name == volume) else {
        return Vec::new();
    };
    let outer = format!("{}/", outer.path.trim_end_matches('/'));
    mounts().filter_map(|(_, inner)| inner.path.strip_prefix(&outer).map(str::to_owned)).collect()
}

/// The arguments of the script for one volume whose top is at `top`.
fn arguments(
    app: &App,
    name: &str,
    volume: &AppVolume,
    program: &Program,
    top: &str,
) -> Vec<String> {
    let (user, group) = volume.owner.unwrap_or_default();
    let claim = volume.claim.clone().unwrap_or_else(|| app.object_name(name));
    let mut args = vec![
        format!("--at={top}"),
        format!("--claim={claim}"),
        format!("--folder={}", volume.folder(name).unwrap_or(".")),
        format!("--owner={user}:{group}"),
        format!("--mode={}", volume.mode),
    ];
    if volume.path.is_some() {
        args.push("--chosen".to_owned());
    }
    if volume.claim.is_some() {
        args.push("--taken-over".to_owned());
    }
    if !volume.holds.is_empty() {
        args.push(format!("--is={}/{name}", app.kind));
    }
    args.extend(volume.holds.iter().map(|held| format!("--holds={held}")));
    args.extend(nested(program, name).into_iter().map(|inner| format!("--nested={inner}")));
    args
}

fn step(
    app: &App,
    word: &str,
    own: &[(&str, &AppVolume)],
    program: &Program,
    volumes: &mut PodVolumes,
) -> Container {
    let script = volumes.script(SCRIPT.0);
    let mut args = vec![word.to_owned()];
    let mut mounts = vec![scripts_mount()];
    for (name, volume) in own {
        volumes.claim(name);
        let top = format!("/volumes/{name}");
        args.extend(arguments(app, name, volume, program, &top));
        mounts.push(VolumeMount {
            name: (*name).to_owned(),
            mount_path: top,
            ..VolumeMount::default()
        });
    }
    let security = if word == "give" { as_root() } else { unprivileged(true) };
    Container {
        name: format!("pso-volumes-{word}"),
        image: Some(program.image.clone()),
        command: Some(vec!["sh".to_owned(), script]),
        args: Some(args),
        volume_mounts: Some(mounts),
        resources: Some(small()),
        security_context: Some(security),
        termination_message_policy: Some(LAST_WORDS.to_owned()),
        ..Container::default()
    }
}

/// Root with what `chown`, `chmod` and a try as the app's user take; the profile `baseline` allows it.
fn as_root() -> SecurityContext {
    let capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"];
    SecurityContext {
        run_as_user: Some(0),
        run_as_group: Some(0),
        run_as_non_root: Some(false),
        capabilities: Some(Capabilities {
            add: Some(capabilities.map(str::to_owned).to_vec()),
            drop: Some(vec!["ALL".to_owned()]),
        }),
        ..unprivileged(true)
    }
}
