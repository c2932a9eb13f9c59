//! The provisioner's pods, and the objects that keep some of them running.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, ConfigMapVolumeSource, Container, ContainerPort, DownwardAPIProjection,
    DownwardAPIVolumeFile, HTTPGetAction, KeyToPath, LocalObjectReference, ObjectFieldSelector,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ProjectedVolumeSource, SeccompProfile,
    SecretProjection, SecretVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount,
    VolumeProjection,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{METRICS, NAME, PORT, Platform, config, quota, selector};
use crate::compiler::compile::container::{resources, some, unprivileged};
use crate::compiler::compile::names::{Words, label_selector};
use crate::compiler::compile::pod::{apart, spread_over_zones, tolerations};
use crate::compiler::compile::wave;
use crate::compiler::manifest::Object;
use crate::contract::storage::ProvisionerSpec;
use crate::contract::{Resources, Spread, annotation};

/// User ID of the pods: `nonroot`, a common one in images with a single program.
const USER: i64 = 65532;
/// PriorityClass of programs that a cluster cannot be without for long.
const CRITICAL: &str = "system-cluster-critical";
/// Folder of the storage document.
pub(super) const STORAGE: &str = "/etc/pso-gen/storage";
/// Folder of the arrays' Secrets.
pub(super) const SECRETS: &str = "/etc/pso-gen/secrets";
/// Standard folder of ServiceAccount credentials.
pub(super) const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Returns the Deployment and the objects that belong to it.
pub(super) fn workload(platform: &Platform<'_>, hash: &str) -> Vec<Object> {
    let replicas = platform.own.replicas;
    let metadata = platform.metadata(wave::PROVISIONER);
    let mut objects = replicated(&metadata, replicas, &selector, template(platform, hash));
    if platform.own.place.priority_class.is_none() {
        // Includes the pods of a rollout, and pods that are slow to terminate.
        let of = |replicas: u8| 2 * u32::from(replicas) + 2;
        // Those of the CSI services have the same PriorityClass and namespace, and each quota counts both.
        let csi = platform.storage.spec.installed_csi();
        let pods = of(replicas) + csi.map_or(0, |csi| of(csi.replicas));
        objects.push(quota(platform.metadata(wave::PLATFORM), CRITICAL, &pods.to_string()));
    }
    objects
}

/// Returns the Deployment of pods of which one acts, and what keeps one of several running during a drain. A new pod is ready
/// as soon as it waits for its lease. The old pod releases the lease when it ends.
pub(super) fn replicated(
    metadata: &ObjectMeta,
    replicas: u8,
    selector: &dyn Fn() -> Words,
    template: PodTemplateSpec,
) -> Vec<Object> {
    let mut objects = vec![Object::from(Deployment {
        metadata: metadata.clone(),
        spec: Some(DeploymentSpec {
            replicas: Some(i32::from(replicas)),
            selector: label_selector(selector()),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    })];
    // With one pod, a budget would only block node drains.
    if replicas > 1 {
        objects.push(Object::from(PodDisruptionBudget {
            metadata: metadata.clone(),
            spec: Some(PodDisruptionBudgetSpec {
                max_unavailable: Some(IntOrString::Int(1)),
                selector: Some(label_selector(selector())),
                unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
                ..PodDisruptionBudgetSpec::default()
            }),
            status: None,
        }));
    }
    objects
}

fn template(platform: &Platform<'_>, hash: &str) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(platform.labels()),
            annotations: Some([(annotation::CONFIG.to_owned(), hash.to_owned())].into()),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            containers: vec![container(platform)],
            // Running operations have 20 seconds to finish. Then the provisioner logs out from the arrays.
            termination_grace_period_seconds: Some(45),
            volumes: Some(volumes(platform)),
            ..pod(platform.own, NAME, &selector)
        }),
    }
}

/// Returns a pod of an account without containers: placed as the admin has set it for the provisioner.
pub(super) fn pod(own: &ProvisionerSpec, account: &str, selector: &dyn Fn() -> Words) -> PodSpec {
    let place = &own.place;
    let secret = |name: &String| LocalObjectReference { name: name.clone() };
    let priority = place.priority_class.clone().unwrap_or_else(|| CRITICAL.to_owned());
    PodSpec {
        service_account_name: Some(account.to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(pod_security()),
        image_pull_secrets: some(own.pull_secrets.iter().map(secret).collect()),
        affinity: Some(apart(selector())),
        topology_spread_constraints: (place.spread == Spread::Zone)
            .then(|| vec![spread_over_zones(selector())]),
        node_selector: (!place.node_selector.is_empty()).then(|| place.node_selector.clone()),
        tolerations: some(tolerations(place)),
        priority_class_name: Some(priority),
        ..PodSpec::default()
    }
}

/// Returns the user and the group of the pods, and the system calls that the runtime allows by default.
fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        // The group that can read the tokens.
        fs_group: Some(USER),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

fn container(platform: &Platform<'_>) -> Container {
    let own = platform.own;
    let args = [
        "provisioner".to_owned(),
        format!("--storage={STORAGE}/{}", config::FILE),
        format!("--secrets={SECRETS}"),
        format!("--lease={}/{NAME}", platform.namespace),
        format!("--listen=0.0.0.0:{PORT}"),
        format!("--binding={}", own.binding.word()),
        format!("--log={}", own.log),
    ];
    let mut mounts = storage_mounts(platform);
    mounts.extend(platform.passwords().into_iter().enumerate().map(|(number, secret)| {
        read_only(&format!("chap-{number}"), &format!("{SECRETS}/{secret}"))
    }));
    Container {
        name: "provisioner".to_owned(),
        image: Some(own.image.clone()),
        args: Some(args.to_vec()),
        ports: Some(vec![metrics_port()]),
        liveness_probe: Some(probe("/livez", 10)),
        readiness_probe: Some(probe("/readyz", 5)),
        resources: Some(resources(&with_amounts(&own.resources))),
        security_context: Some(unprivileged(true)),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// Returns the mount of a volume that is only read.
pub(super) fn read_only(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

/// Returns the mounts of [`storage_volumes`].
pub(super) fn storage_mounts(platform: &Platform<'_>) -> Vec<VolumeMount> {
    let mut mounts = vec![read_only("account", ACCOUNT), read_only("storage", STORAGE)];
    if !platform.secrets().is_empty() {
        mounts.push(read_only("secrets", SECRETS));
    }
    mounts
}

/// Returns the port of metrics and probes.
pub(super) fn metrics_port() -> ContainerPort {
    ContainerPort {
        name: Some(METRICS.to_owned()),
        container_port: PORT,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// Returns a probe of a path at the port of metrics, every so many seconds.
pub(super) fn probe(path: &str, every: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(METRICS.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(every),
        timeout_seconds: Some(5),
        failure_threshold: Some(3),
        ..Probe::default()
    }
}

/// Returns the resources of the pods: the admin's settings over defaults measured with 10,000 claims
/// (`docs/performance.md`). The measured use is 87 MiB, and at most 326 MiB while all claims are bound at once.
pub fn with_amounts(own: &Resources) -> Resources {
    let requests = [("cpu", "50m"), ("memory", "128Mi"), ("ephemeral-storage", "16Mi")];
    // Logs count as ephemeral storage: the kubelet keeps up to 5 files of 10 MiB of each container.
    let limits = [("cpu", "1"), ("memory", "512Mi"), ("ephemeral-storage", "256Mi")];
    over(&requests, &limits, own)
}

/// Returns the admin's amounts over default requests and limits.
pub(super) fn over(
    requests: &[(&str, &str)],
    limits: &[(&str, &str)],
    own: &Resources,
) -> Resources {
    let over = |ours: &[(&str, &str)], own: &BTreeMap<String, String>| {
        let ours = ours.iter().map(|(name, amount)| ((*name).to_owned(), (*amount).to_owned()));
        let mut all: BTreeMap<String, String> = ours.collect();
        all.extend(own.clone());
        all
    };
    Resources { requests: over(requests, &own.requests), limits: over(limits, &own.limits) }
}

/// Returns the volumes with the account, the storage document and the keys of the arrays.
pub(super) fn storage_volumes(platform: &Platform<'_>) -> Vec<Volume> {
    let storage = Volume {
        name: "storage".to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: NAME.to_owned(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mut volumes = vec![projected("account", account()), storage];
    let secrets = platform.secrets();
    if !secrets.is_empty() {
        let source = |(secret, keys): (&str, BTreeSet<&str>)| VolumeProjection {
            secret: Some(SecretProjection {
                name: secret.to_owned(),
                items: Some(keys.into_iter().map(|key| item(secret, key)).collect()),
                // A missing Secret disables its array, and not the whole provisioner.
                optional: Some(true),
            }),
            ..VolumeProjection::default()
        };
        volumes.push(projected("secrets", secrets.into_iter().map(source).collect()));
    }
    volumes
}

fn volumes(platform: &Platform<'_>) -> Vec<Volume> {
    let mut volumes = storage_volumes(platform);
    // All keys, which are the names of nodes. Kubelet creates the mount point inside the volume above.
    let all_of = |(number, secret): (usize, &str)| Volume {
        name: format!("chap-{number}"),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            default_mode: Some(0o440),
            optional: Some(true),
            items: None,
        }),
        ..Volume::default()
    };
    volumes.extend(platform.passwords().into_iter().enumerate().map(all_of));
    volumes
}

/// Returns a key of a Secret, as a file in a folder with the Secret's name.
fn item(secret: &str, key: &str) -> KeyToPath {
    KeyToPath { key: key.to_owned(), path: format!("{secret}/{key}"), mode: None }
}

pub(super) fn projected(name: &str, sources: Vec<VolumeProjection>) -> Volume {
    Volume {
        name: name.to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(0o440),
            sources: Some(sources),
        }),
        ..Volume::default()
    }
}

/// Returns the volumes that kubelet would mount by default, read-only and with a token that expires after an
/// hour.
pub(super) fn account() -> Vec<VolumeProjection> {
    let token = VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            expiration_seconds: Some(3600),
            path: "token".to_owned(),
            audience: None,
        }),
        ..VolumeProjection::default()
    };
    let authority = VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: "kube-root-ca.crt".to_owned(),
            items: Some(vec![KeyToPath {
                key: "ca.crt".to_owned(),
                path: "ca.crt".to_owned(),
                mode: None,
            }]),
            optional: None,
        }),
        ..VolumeProjection::default()
    };
    let namespace = VolumeProjection {
        downward_api: Some(DownwardAPIProjection {
            items: Some(vec![DownwardAPIVolumeFile {
                path: "namespace".to_owned(),
                field_ref: Some(ObjectFieldSelector {
                    api_version: Some("v1".to_owned()),
                    field_path: "metadata.namespace".to_owned(),
                }),
                ..DownwardAPIVolumeFile::default()
            }]),
        }),
        ..VolumeProjection::default()
    };
    vec![token, authority, namespace]
}
