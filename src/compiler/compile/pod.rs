//! The pod of a program: its user, placement and init containers.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Container, LocalObjectReference, PodAffinity, PodAffinityTerm, PodAntiAffinity,
    PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, Toleration,
    TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::container::small;
use super::container::{
    LAST_WORDS, PodVolumes, container, environment, probe, scripts_mount, seed_mount, some, sorted,
    unprivileged,
};
use super::names::{Words, label_selector, labels, selector, version_label};
use super::{Context, access, additions, ownership};
use crate::compiler::blueprint::{App, ClassKind, Component, Job, Pods, Program, Step};
use crate::contract::{Placement, Spread};
use crate::contract::{annotation, label};

/// Returns the pods of a component.
pub(super) fn of_component(
    context: &Context<'_>,
    name: &str,
    component: &Component,
) -> PodTemplateSpec {
    let Component { program, serving } = component;
    let mut volumes = PodVolumes::default();
    let mut main = container(context, name, program, &mut volumes);
    let beside = additions::apply(context.app, name, program, &mut main, &mut volumes);
    main.ports = super::container::ports(&serving.ports);
    main.startup_probe = serving.startup.as_ref().map(probe);
    main.readiness_probe = serving.ready.as_ref().map(probe);
    main.liveness_probe = serving.alive.as_ref().map(probe);
    let mut first = ownership::steps(context.app, name, program, &mut volumes);
    first.extend(seeds(program, &main));
    for step in &serving.before {
        first.push(before(context, step, program, &main, &mut volumes));
    }
    let mut template = template(context, name, program, main, first, volumes);
    if let Some(spec) = &mut template.spec {
        spec.containers.extend(beside);
        spec.termination_grace_period_seconds = serving.stop.map(|stop| i64::from(stop.0));
        // Also with one pod, if the app sets the number: with a second one, the first must not restart.
        let attached =
            context.app.mounted(program).any(|(_, volume)| volume.class.kind == ClassKind::Block);
        let can_grow = context.app.scaled_by.contains_key(name) && !attached;
        if serving.pods.most() > 1 || (can_grow && serving.pods != Pods::One) {
            spread(context.app, name, program, spec);
        }
    }
    template
}

/// Returns the pods of a job. A job that shares a block volume with a component runs on that component's node.
pub(super) fn of_job(context: &Context<'_>, name: &str, job: &Job) -> PodTemplateSpec {
    let app = context.app;
    let mut volumes = PodVolumes::default();
    let mut main = container(context, name, &job.program, &mut volumes);
    // A container beside it would keep the job from ending.
    additions::apply(app, name, &job.program, &mut main, &mut volumes);
    let mut first = ownership::steps(app, name, &job.program, &mut volumes);
    first.extend(seeds(&job.program, &main));
    let mut template = template(context, name, &job.program, main, first, volumes);
    if let Some(spec) = &mut template.spec {
        spec.restart_policy = Some("Never".to_owned());
        let near: Vec<PodAffinityTerm> = app
            .neighbours(&job.program)
            .map(|other| term(selector(app, other), label::HOSTNAME))
            .collect();
        if !near.is_empty() {
            spec.affinity = Some(Affinity {
                pod_affinity: Some(PodAffinity {
                    required_during_scheduling_ignored_during_execution: Some(near),
                    ..PodAffinity::default()
                }),
                ..Affinity::default()
            });
        }
    }
    template
}

/// Returns the nodes that the pods of a component or job may run on. A job that shares a block volume with a component has
/// to run on that component's node, so it may run wherever the component may.
fn place<'a>(app: &'a App, name: &str, program: &'a Program) -> &'a Placement {
    let own = |name: &str| app.additions.get(name).and_then(|added| added.place.as_ref());
    let of_neighbour = || app.neighbours(program).find_map(own);
    own(name).or_else(of_neighbour).unwrap_or(&app.common.place)
}

fn template(
    context: &Context<'_>,
    name: &str,
    program: &Program,
    main: Container,
    first: Vec<Container>,
    volumes: PodVolumes,
) -> PodTemplateSpec {
    let app = context.app;
    // The container that `kubectl logs` and `kubectl exec` mean in a pod with first steps.
    let default = (annotation::DEFAULT_CONTAINER.to_owned(), name.to_owned());
    let mut annotations = BTreeMap::from([default]);
    if let Some(added) = app.additions.get(name) {
        annotations.extend(added.annotations.clone());
    }
    if let Some(hash) = context.hash(volumes.file_keys()) {
        annotations.insert(annotation::CONFIG.to_owned(), hash);
    }
    let mut labels = labels(app, name);
    labels.extend(version_label(&program.image));
    let place = place(app, name, program);
    let group = i64::from(program.group.unwrap_or(program.user));
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(access::account(app)),
            automount_service_account_token: Some(false),
            // A Service of this app would otherwise appear as environment variables that the images read.
            enable_service_links: Some(false),
            init_containers: some(first),
            containers: vec![main],
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(i64::from(program.user)),
                run_as_group: Some(group),
                fs_group: Some(group),
                fs_group_change_policy: Some("OnRootMismatch".to_owned()),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            image_pull_secrets: some(
                app.common
                    .pull_secrets
                    .iter()
                    .map(|name| LocalObjectReference { name: name.clone() })
                    .collect(),
            ),
            node_selector: (!place.node_selector.is_empty()).then(|| place.node_selector.clone()),
            tolerations: some(tolerations(place)),
            priority_class_name: place.priority_class.clone(),
            volumes: some(volumes.finish(app)),
            ..PodSpec::default()
        }),
    }
}

pub(super) fn tolerations(place: &Placement) -> Vec<Toleration> {
    place.tolerations.iter().map(toleration).collect()
}

pub(super) fn toleration(of: &crate::contract::Toleration) -> Toleration {
    Toleration {
        key: of.key.clone(),
        operator: of.operator.clone(),
        value: of.value.clone(),
        effect: of.effect.clone(),
        ..Toleration::default()
    }
}

/// Returns the init containers that fill writable folders with the image's content.
fn seeds(program: &Program, main: &Container) -> Vec<Container> {
    let seeded = program
        .writable
        .iter()
        .filter(|(_, writable)| writable.as_ref().is_some_and(|writable| writable.seed));
    let step = |(index, (path, _)): (usize, (&String, _))| Container {
        name: format!("pso-seed-{index}"),
        image: main.image.clone(),
        // `-a` would fail: the folder itself belongs to root, and only its owner may set times and modes.
        command: Some(["cp", "-R", &format!("{path}/."), "/seed/"].map(str::to_owned).to_vec()),
        volume_mounts: Some(vec![seed_mount(path, "/seed")]),
        resources: Some(small()),
        security_context: Some(unprivileged(true)),
        termination_message_policy: Some(LAST_WORDS.to_owned()),
        ..Container::default()
    };
    seeded.enumerate().map(step).collect()
}

/// Returns a step before the component: its container with another command.
fn before(
    context: &Context<'_>,
    step: &Step,
    program: &Program,
    main: &Container,
    volumes: &mut PodVolumes,
) -> Container {
    let mut command = step.command.clone();
    let mut mounts = main.volume_mounts.clone().unwrap_or_default();
    if let Some(script) = &step.script {
        command = vec![volumes.script(script)];
        mounts.push(scripts_mount());
    }
    if let Some(volume) = &step.lock {
        let folder = program.mounts.get(volume).and_then(Option::as_ref).map(|mount| &mount.path);
        let lock = format!("{}/.pso-gen.lock", folder.map_or("", String::as_str));
        command.splice(0..0, ["flock".to_owned(), lock]);
    }
    let mut env = main.env.clone().unwrap_or_default();
    env.extend(environment(context.app, &step.env));
    Container {
        name: step.name.clone(),
        image: step.image.clone().or_else(|| main.image.clone()),
        command: Some(command),
        args: None,
        env: some(env),
        volume_mounts: some(sorted(mounts)),
        ports: None,
        startup_probe: None,
        readiness_probe: None,
        liveness_probe: None,
        ..main.clone()
    }
}

fn term(pods: Words, topology: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        label_selector: Some(label_selector(pods)),
        topology_key: topology.to_owned(),
        ..PodAffinityTerm::default()
    }
}

/// Spreads the pods of one component over nodes, and over zones if requested, as far as possible.
fn spread(app: &App, component: &str, program: &Program, spec: &mut PodSpec) {
    spec.affinity = Some(apart(selector(app, component)));
    if place(app, component, program).spread == Spread::Zone {
        let over = spread_over_zones(selector(app, component));
        spec.topology_spread_constraints = Some(vec![over]);
    }
}

/// Returns the affinity that spreads pods with these labels over nodes, as far as possible.
pub(super) fn apart(pods: Words) -> Affinity {
    let apart =
        WeightedPodAffinityTerm { weight: 100, pod_affinity_term: term(pods, label::HOSTNAME) };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![apart]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

/// Returns the constraint that spreads pods with these labels over zones, as far as possible.
pub(super) fn spread_over_zones(pods: Words) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        label_selector: Some(label_selector(pods)),
        max_skew: 1,
        topology_key: label::ZONE.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        ..TopologySpreadConstraint::default()
    }
}
