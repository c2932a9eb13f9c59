//! The pod of the CSI services: `pso-gen csi` and the sidecars share a socket in a folder of the pod, and nothing of the
//! host. The container of `pso-gen csi` alone mounts the tokens of the arrays.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EmptyDirVolumeSource, HTTPGetAction, PodSpec, PodTemplateSpec, Probe,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::PORT;
use super::config;
use super::csi_platform::{CsiPlatform, NAME, selector};
use super::deployment::{
    ACCOUNT, SECRETS, STORAGE, metrics_port, over, pod, probe, read_only, storage_mounts,
    storage_volumes,
};
use crate::compiler::compile::container::{resources, unprivileged};
use crate::contract::{Resources, annotation};

/// Folder of the socket.
const FOLDER: &str = "/csi";
const SOCKET: &str = "socket";

/// Returns the pod template.
pub(super) fn template(platform: &CsiPlatform<'_>, hash: &str) -> PodTemplateSpec {
    let mut volumes = storage_volumes(&platform.provisioner);
    volumes.push(Volume {
        name: SOCKET.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: Some("Memory".to_owned()),
            size_limit: Some(Quantity("1Mi".to_owned())),
        }),
        ..Volume::default()
    });
    let mut containers = vec![service(platform), snapshotter(platform)];
    containers.extend(platform.own.resizer.as_ref().map(|image| resizer(platform, image)));
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(platform.labels()),
            annotations: Some(
                [
                    (annotation::CONFIG.to_owned(), hash.to_owned()),
                    (annotation::DEFAULT_CONTAINER.to_owned(), "csi".to_owned()),
                ]
                .into(),
            ),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            containers,
            // Calls have 20 seconds to finish. One that is interrupted is repeated.
            termination_grace_period_seconds: Some(30),
            volumes: Some(volumes),
            // The same user in all containers: only the owner of the socket may connect to it.
            ..pod(platform.provisioner.own, NAME, &selector)
        }),
    }
}

/// Returns the container of `pso-gen csi`.
fn service(platform: &CsiPlatform<'_>) -> Container {
    let own = platform.provisioner.own;
    let args = [
        "csi".to_owned(),
        format!("--socket={FOLDER}/csi.sock"),
        format!("--config={STORAGE}/{}", config::FILE),
        format!("--secrets={SECRETS}"),
        "--beside-provisioner".to_owned(),
        format!("--listen=0.0.0.0:{PORT}"),
        format!("--log={}", own.log),
    ];
    let mut mounts = storage_mounts(&platform.provisioner);
    mounts.push(socket());
    Container {
        name: "csi".to_owned(),
        image: Some(own.image.clone()),
        args: Some(args.to_vec()),
        ports: Some(vec![metrics_port()]),
        liveness_probe: Some(probe("/livez", 10)),
        readiness_probe: Some(probe("/readyz", 5)),
        resources: Some(resources(&amounts(("20m", "32Mi"), ("500m", "128Mi")))),
        security_context: Some(unprivileged(true)),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn snapshotter(platform: &CsiPlatform<'_>) -> Container {
    // The time for a snapshot of an array that answers late.
    let args = ["--timeout=60s"];
    sidecar(platform, "snapshotter", &platform.own.snapshotter, 8081, &args)
}

fn resizer(platform: &CsiPlatform<'_>, image: &str) -> Container {
    // Without expansion, there is no volume in use to wait for, and no reason to read all pods.
    let args = ["--modify-timeout=60s", "--handle-volume-inuse-error=false"];
    sidecar(platform, "resizer", image, 8082, &args)
}

/// Returns the container of a sidecar. Of several pods, the sidecar of one acts: it holds the Lease.
fn sidecar(
    platform: &CsiPlatform<'_>,
    name: &str,
    image: &str,
    port: i32,
    more: &[&str],
) -> Container {
    let mut args = vec![
        format!("--csi-address={FOLDER}/csi.sock"),
        "--leader-election".to_owned(),
        format!("--leader-election-namespace={}", platform.provisioner.namespace),
        format!("--http-endpoint=0.0.0.0:{port}"),
    ];
    args.extend(more.iter().map(|arg| (*arg).to_owned()));
    let health = |path: &str, every: i32| Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(name.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(every),
        timeout_seconds: Some(5),
        failure_threshold: Some(3),
        ..Probe::default()
    };
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        args: Some(args),
        ports: Some(vec![ContainerPort {
            name: Some(name.to_owned()),
            container_port: port,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        // Fails when the process holds the Lease and cannot renew it.
        liveness_probe: Some(health("/healthz/leader-election", 10)),
        readiness_probe: Some(health("/metrics", 5)),
        resources: Some(resources(&amounts(("10m", "32Mi"), ("500m", "256Mi")))),
        security_context: Some(unprivileged(true)),
        volume_mounts: Some(vec![read_only("account", ACCOUNT), socket()]),
        ..Container::default()
    }
}

fn socket() -> VolumeMount {
    VolumeMount { name: SOCKET.to_owned(), mount_path: FOLDER.to_owned(), ..VolumeMount::default() }
}

/// Returns CPU and memory as requests and limits.
fn amounts(requests: (&str, &str), limits: (&str, &str)) -> Resources {
    // Logs count as ephemeral storage: the kubelet keeps up to 5 files of 10 MiB of each container.
    let of =
        |(cpu, memory), storage| [("cpu", cpu), ("memory", memory), ("ephemeral-storage", storage)];
    over(&of(requests, "16Mi"), &of(limits, "128Mi"), &Resources::default())
}
