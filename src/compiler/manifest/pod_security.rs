//! Determines the Pod Security profile that a set of objects meets.
//!
//! It contains the rules of <https://kubernetes.io/docs/concepts/security/pod-security-standards/> that a
//! rendered or patched pod can break. A test compares them with the controller's own code.

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Capabilities, Container, PodSecurityContext, PodSpec, SELinuxOptions,
    SecurityContext, Volume, WindowsSecurityContextOptions,
};

use super::Object;
use crate::compiler::spec::Profile;

/// Returns the strictest profile that all pods of the objects meet.
pub fn profile(objects: &[Object]) -> Profile {
    let pods = || objects.iter().filter_map(pod);
    if pods().any(|(_, spec)| !baseline(spec).is_empty()) {
        Profile::Privileged
    } else if pods().any(|(_, spec)| !restricted(spec).is_empty()) {
        Profile::Baseline
    } else {
        Profile::Restricted
    }
}

/// Returns the reasons why the objects do not meet a profile.
pub fn reasons(objects: &[Object], profile: Profile) -> Vec<String> {
    let mut reasons = Vec::new();
    for (name, spec) in objects.iter().filter_map(pod) {
        let mut broken = baseline(spec);
        if profile == Profile::Restricted {
            broken.extend(restricted(spec));
        }
        reasons.extend(broken.into_iter().map(|reason| format!("{name} {reason}")));
    }
    reasons
}

fn pod(object: &Object) -> Option<(&str, &PodSpec)> {
    let spec = match object {
        Object::Pod(pod) => pod.spec.as_ref(),
        other => other.pod_template()?.spec.as_ref(),
    };
    Some((object.name(), spec?))
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

/// Returns the violations of `baseline` in a pod.
fn baseline(spec: &PodSpec) -> Vec<String> {
    const CAPABILITIES: [&str; 13] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    const SYSCTLS: [&str; 10] = [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_syncookies",
    ];
    let mut broken = Vec::new();
    let mut report = |holds: bool, reason: &str| {
        if holds {
            broken.push(reason.to_owned());
        }
    };
    let shares = [spec.host_network, spec.host_pid, spec.host_ipc];
    report(shares.contains(&Some(true)), "shares the node's namespaces");
    let mut volumes = spec.volumes.iter().flatten();
    report(volumes.any(|volume| volume.host_path.is_some()), "mounts a path of the node");
    let pod = spec.security_context.as_ref();
    let sysctls = pod.and_then(|pod| pod.sysctls.as_ref()).into_iter().flatten();
    let unsafe_sysctl = sysctls.map(|s| s.name.as_str()).any(|name| !SYSCTLS.contains(&name));
    report(unsafe_sysctl, "sets a system parameter that is not safe");
    let wide = pod.is_some_and(|pod| {
        is_unconfined(pod.app_armor_profile.as_ref())
            || is_odd(pod.se_linux_options.as_ref())
            || is_of_host(pod.windows_options.as_ref())
    });
    report(wide, "leaves the node's confinement");
    let pod_seccomp = pod.and_then(|pod| pod.seccomp_profile.as_ref());
    report(pod_seccomp.is_some_and(|s| s.type_ == "Unconfined"), "disables seccomp");
    for container in containers(spec) {
        let context = container.security_context.as_ref();
        let is = |test: &dyn Fn(&SecurityContext) -> bool| context.is_some_and(test);
        report(is(&|c| c.privileged == Some(true)), "runs a privileged container");
        let added = is(&|c| added(c).any(|name| !CAPABILITIES.contains(&name)));
        report(added, "adds capabilities");
        let seccomp = is(&|c| c.seccomp_profile.as_ref().is_some_and(|s| s.type_ == "Unconfined"));
        report(seccomp, "disables seccomp");
        let wide = is(&|c| {
            is_unconfined(c.app_armor_profile.as_ref())
                || is_odd(c.se_linux_options.as_ref())
                || is_of_host(c.windows_options.as_ref())
        });
        report(wide, "leaves the node's confinement");
        report(is(&|c| c.proc_mount.as_deref().is_some_and(|m| m != "Default")), "unmasks /proc");
        let ports = container.ports.iter().flatten();
        let host_port = ports.map(|port| port.host_port.unwrap_or(0)).any(|port| port != 0);
        report(host_port, "uses a port of the node");
        report(asks_another_host(container), "probes another host");
    }
    broken
}

fn added(context: &SecurityContext) -> impl Iterator<Item = &str> {
    let added = context.capabilities.as_ref().and_then(|c: &Capabilities| c.add.as_ref());
    added.into_iter().flatten().map(String::as_str)
}

fn is_unconfined(profile: Option<&AppArmorProfile>) -> bool {
    profile.is_some_and(|profile| profile.type_ == "Unconfined")
}

/// Returns whether SELinux options have a type that containers may not have, or a user or role.
fn is_odd(options: Option<&SELinuxOptions>) -> bool {
    const TYPES: [&str; 5] =
        ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    options.is_some_and(|options| {
        let set = |word: &Option<String>| word.as_ref().is_some_and(|word| !word.is_empty());
        let type_ = options.type_.as_deref().unwrap_or_default();
        set(&options.user) || set(&options.role) || !TYPES.contains(&type_)
    })
}

fn is_of_host(options: Option<&WindowsSecurityContextOptions>) -> bool {
    options.is_some_and(|options| options.host_process == Some(true))
}

/// Since Kubernetes 1.34, `baseline` forbids probes of other hosts.
fn asks_another_host(container: &Container) -> bool {
    let probes = [&container.liveness_probe, &container.readiness_probe, &container.startup_probe];
    probes.into_iter().flatten().any(|probe| {
        let http = probe.http_get.as_ref().and_then(|http| http.host.as_ref());
        let tcp = probe.tcp_socket.as_ref().and_then(|tcp| tcp.host.as_ref());
        http.or(tcp).is_some_and(|host| !host.is_empty())
    })
}

/// Returns the violations of `restricted` in a pod, in addition to those of `baseline`.
fn restricted(spec: &PodSpec) -> Vec<String> {
    let mut broken = Vec::new();
    let mut report = |holds: bool, reason: &str| {
        if holds {
            broken.push(reason.to_owned());
        }
    };
    let mut volumes = spec.volumes.iter().flatten();
    report(volumes.any(|volume| !is_plain(volume)), "mounts a kind of volume that is not allowed");
    let pod = spec.security_context.clone().unwrap_or_default();
    let PodSecurityContext { run_as_non_root, run_as_user, seccomp_profile, .. } = &pod;
    let confined = |seccomp: &str| matches!(seccomp, "RuntimeDefault" | "Localhost");
    report(*run_as_user == Some(0), "runs as root");
    for container in containers(spec) {
        let context = container.security_context.clone().unwrap_or_default();
        let no_escalation = context.allow_privilege_escalation == Some(false);
        report(!no_escalation, "allows privilege escalation");
        let non_root = context.run_as_non_root.or(*run_as_non_root) == Some(true);
        report(!non_root || context.run_as_user == Some(0), "runs a step as root");
        let seccomp = context.seccomp_profile.as_ref().or(seccomp_profile.as_ref());
        report(!seccomp.is_some_and(|s| confined(&s.type_)), "has no seccomp profile");
        let dropped = context.capabilities.as_ref().and_then(|c| c.drop.as_ref());
        let drops_all = dropped.is_some_and(|dropped| dropped.iter().any(|name| name == "ALL"));
        let adds = added(&context).any(|name| name != "NET_BIND_SERVICE");
        report(!drops_all || adds, "keeps capabilities");
    }
    broken.dedup();
    broken
}

fn is_plain(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.csi.is_some()
        || volume.downward_api.is_some()
        || volume.empty_dir.is_some()
        || volume.ephemeral.is_some()
        || volume.persistent_volume_claim.is_some()
        || volume.projected.is_some()
        || volume.secret.is_some()
}
