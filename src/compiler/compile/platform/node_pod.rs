//! The pod of the node service. It is privileged, so each privilege and each path of the host has its reason here, and in
//! an annotation of the DaemonSet for those who review the output.

use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, HostPathVolumeSource, LocalObjectReference,
    ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec, SecurityContext, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::PORT;
use super::deployment::{ACCOUNT, account, metrics_port, over, probe, projected};
use super::node_platform::{NAME, NodePlatform};
use crate::compiler::compile::container::{resources, some};
use crate::compiler::compile::pod::toleration;
use crate::contract::storage::NodeServiceSpec;
use crate::contract::{DRIVER, Resources};

/// Environment variable with the node's name.
const NODE_NAME: &str = "NODE_NAME";

/// A directory of the host that the pod mounts at the same path.
struct HostPath {
    /// Name of the volume.
    name: &'static str,
    /// The path.
    path: String,
    /// Whether it has to exist, or kubelet creates it.
    kind: &'static str,
    /// The reason for the mount.
    reason: &'static str,
}

/// Returns the directories of the host. Kubelet's whole directory, configuration files, `/dev` and `/run/udev` are
/// missing: the programs that use them run in the mount namespace of the host, and files and devices of the host are
/// opened there too. So no mount has to propagate, and the container keeps no device busy.
fn host_paths(spec: &NodeServiceSpec) -> [HostPath; 3] {
    let kubelet = &spec.kubelet_directory;
    [
        HostPath {
            name: "socket",
            path: format!("{kubelet}/plugins/{DRIVER}"),
            kind: "DirectoryOrCreate",
            reason: "the socket on which kubelet calls the node service",
        },
        HostPath {
            name: "registration",
            path: format!("{kubelet}/plugins_registry"),
            kind: "Directory",
            reason: "the socket by which kubelet finds the node service",
        },
        HostPath {
            name: "sysfs",
            path: "/sys".to_owned(),
            kind: "Directory",
            reason: "identity, size and paths of block devices are read there; a scan for one device, and the removal of \
                     one, are writes to it",
        },
    ]
}

/// The privileges of the pod, each with its reason.
const PRIVILEGES: [(&str, &str); 3] = [
    (
        "hostPID",
        "to enter the namespaces of the host and of iscsid: iscsiadm, multipath, nvme, mkfs, fsck and mount are the \
         host's own programs, so their mounts are the host's; and to reach the host's files and devices below /proc/1/root",
    ),
    (
        "privileged",
        "CAP_SYS_ADMIN, CAP_SYS_CHROOT and CAP_SYS_PTRACE for entering namespaces, and access to all block devices, which \
         appear while the pod runs: the first and the last MiB of a new volume are read before it is formatted",
    ),
    ("runAsUser 0", "the same programs require root; the image's own user has no rights"),
];

/// Returns the reasons for all privileges and paths, one a line. The missing ones are part of it: a reviewer looks for
/// them.
pub(super) fn reasons(spec: &NodeServiceSpec) -> String {
    let mut lines: Vec<String> =
        PRIVILEGES.iter().map(|(what, reason)| format!("{what}: {reason}")).collect();
    lines.extend(
        host_paths(spec).iter().map(|path| format!("hostPath {}: {}", path.path, path.reason)),
    );
    lines.push(
        "token: to read the VolumeAttachment of a volume and to record there that it was formatted; admission policies \
         refuse everything else"
            .to_owned(),
    );
    lines.push(
        "port 8080: metrics and probes; the port takes no order and shows no name of a claim, a volume or a Secret"
            .to_owned(),
    );
    lines.push(
        "not used: hostNetwork and hostIPC, Secrets, the token of an array; the root file system is read-only".to_owned(),
    );
    lines.join("\n")
}

/// Returns the pod template.
pub(super) fn template(platform: &NodePlatform<'_>) -> PodTemplateSpec {
    let own = &platform.own.spec;
    let linux = ("kubernetes.io/os".to_owned(), "linux".to_owned());
    let mut node_selector = own.place.node_selector.clone();
    node_selector.extend([linux]);
    let mut volumes: Vec<Volume> = host_paths(own)
        .into_iter()
        .map(|path| Volume {
            name: path.name.to_owned(),
            host_path: Some(HostPathVolumeSource {
                path: path.path,
                type_: Some(path.kind.to_owned()),
            }),
            ..Volume::default()
        })
        .collect();
    volumes.push(projected("account", account()));
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(platform.labels()), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            service_account_name: Some(NAME.to_owned()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            host_pid: Some(true),
            containers: vec![container(platform)],
            security_context: Some(PodSecurityContext {
                run_as_user: Some(0),
                run_as_group: Some(0),
                ..PodSecurityContext::default()
            }),
            image_pull_secrets: some(
                platform
                    .pull_secrets()
                    .into_iter()
                    .map(|name| LocalObjectReference { name })
                    .collect(),
            ),
            node_selector: Some(node_selector),
            tolerations: some(own.place.tolerations.iter().map(toleration).collect()),
            priority_class_name: Some(own.place.priority_class.clone()),
            // Calls of kubelet have 20 seconds to finish. One that is interrupted is repeated from its record.
            termination_grace_period_seconds: Some(30),
            volumes: Some(volumes),
            ..PodSpec::default()
        }),
    }
}

fn container(platform: &NodePlatform<'_>) -> Container {
    let own = &platform.own.spec;
    let kubelet = &own.kubelet_directory;
    let mut args = vec![
        "node".to_owned(),
        format!("--node-name=$({NODE_NAME})"),
        // kubelet connects to the sockets by the same paths.
        format!("--csi-socket={kubelet}/plugins/{DRIVER}/csi.sock"),
        format!("--registration-socket={kubelet}/plugins_registry/{DRIVER}-reg.sock"),
        format!("--kubelet-dir={kubelet}"),
        format!("--listen=0.0.0.0:{PORT}"),
        format!("--log={}", own.log),
    ];
    args.extend(own.max_volumes.map(|number| format!("--max-volumes={number}")));
    let mut mounts: Vec<VolumeMount> = host_paths(own)
        .into_iter()
        .map(|path| VolumeMount {
            name: path.name.to_owned(),
            mount_path: path.path,
            ..VolumeMount::default()
        })
        .collect();
    mounts.push(VolumeMount {
        name: "account".to_owned(),
        mount_path: ACCOUNT.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    });
    Container {
        name: "node-service".to_owned(),
        image: Some(platform.own.image.clone()),
        args: Some(args),
        env: Some(vec![EnvVar {
            name: NODE_NAME.to_owned(),
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector {
                    api_version: Some("v1".to_owned()),
                    field_path: "spec.nodeName".to_owned(),
                }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        }]),
        ports: Some(vec![metrics_port()]),
        // Neither answer depends on a device: one that hangs must not get the process killed, which serves the others.
        liveness_probe: Some(probe("/livez", 10)),
        readiness_probe: Some(probe("/readyz", 5)),
        resources: Some(resources(&node_service_resources(&own.resources))),
        security_context: Some(SecurityContext {
            privileged: Some(true),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// Returns the resources of a pod: the admin's settings over the defaults. The node service itself needs about 20 MiB.
/// The limit leaves room for `e2fsck`, which runs in the namespaces of the host and in the control group of the pod.
/// There is no limit for CPU: a throttled check of a file system would only keep an app waiting.
pub fn node_service_resources(own: &Resources) -> Resources {
    let requests = [("cpu", "20m"), ("memory", "32Mi"), ("ephemeral-storage", "16Mi")];
    // Logs count as ephemeral storage: the kubelet keeps up to 5 files of 10 MiB of each container.
    let limits = [("memory", "1Gi"), ("ephemeral-storage", "256Mi")];
    over(&requests, &limits, own)
}
