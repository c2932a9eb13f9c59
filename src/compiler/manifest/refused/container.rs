//! Rules for containers: ports, variables, mounts, probes.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, HTTPGetAction, LifecycleHandler, Probe, SecurityContext, Volume,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::KEY_FIX;
use super::{Found, Path, resources};
use crate::compiler::spec::{Format, is_config_key, is_port_name};

pub(super) fn container(
    container: &Container,
    volumes: &[&Volume],
    host_network: bool,
    at: &Path,
    found: &mut Found,
) {
    found.format(&at.child("name"), &container.name, Format::Name);
    match container.image.as_deref() {
        None | Some("") => {
            let message = format!("the container `{}` has no image", container.name);
            found.add(
                &at.child("image"),
                message,
                "check that the name matches the container to change",
            );
        }
        Some(image) if image.trim() != image => {
            let message = format!("the image `{image}` begins or ends with a space");
            found.add(&at.child("image"), message, format!("write `{}`", image.trim()));
        }
        Some(image) => {
            found.by_kubelet(|found| found.format(&at.child("image"), image, Format::Image));
        }
    }
    found.choice(
        &at.child("imagePullPolicy"),
        container.image_pull_policy.as_deref(),
        &["Always", "IfNotPresent", "Never"],
    );
    found.choice(
        &at.child("terminationMessagePolicy"),
        container.termination_message_policy.as_deref(),
        &["File", "FallbackToLogsOnError"],
    );
    ports(container.ports.as_deref().unwrap_or_default(), host_network, at, found);
    variables(container, at, found);
    mounts(container, volumes, at, found);
    for (field, probe, is_readiness) in [
        ("livenessProbe", &container.liveness_probe, false),
        ("readinessProbe", &container.readiness_probe, true),
        ("startupProbe", &container.startup_probe, false),
    ] {
        if let Some(probe) = probe {
            probed(probe, is_readiness, &at.child(field), found);
        }
    }
    if let Some(lifecycle) = &container.lifecycle {
        for (field, handler) in
            [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)]
        {
            if let Some(handler) = handler {
                handled(handler, &at.child("lifecycle").child(field), found);
            }
        }
    }
    if let Some(of) = &container.resources {
        resources::resources(of, &at.child("resources"), found);
    }
    if let Some(context) = &container.security_context {
        secured(context, &at.child("securityContext"), found);
    }
}

fn ports(ports: &[ContainerPort], host_network: bool, at: &Path, found: &mut Found) {
    let all = || ports.iter().enumerate().map(|(index, port)| (at.index("ports", index), port));
    for (at, port) in all() {
        found.bounds(&at.child("containerPort"), Some(port.container_port.into()), 1, 65535);
        found.bounds(&at.child("hostPort"), port.host_port.map(i64::from), 1, 65535);
        found.choice(&at.child("protocol"), port.protocol.as_deref(), &["TCP", "UDP", "SCTP"]);
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            port_name(name, &at.child("name"), found);
        }
        if host_network && port.host_port.is_some_and(|host| host != port.container_port) {
            let message = "with `hostNetwork`, `hostPort` is the container's own port";
            found.add(&at.child("hostPort"), message, "remove `hostPort`");
        }
    }
    let named = all().filter_map(|(at, port)| {
        Some((at.child("name"), port.name.as_ref()?, port.name.as_deref()?))
    });
    found.unique(named, "port");
}

/// Checks the name of a port: a service name of RFC 6335, section 5.1.
pub(super) fn port_name(name: &str, at: &Path, found: &mut Found) {
    if !is_port_name(name) {
        let message = format!("`{name}` is not the name of a port");
        found.add(
            at,
            message,
            "use 1 to 15 lower-case letters, digits and single `-`, at least one letter",
        );
    }
}

/// Checks a port by number or by name.
pub(super) fn target(port: &IntOrString, at: &Path, found: &mut Found) {
    match port {
        IntOrString::Int(number) => found.bounds(at, Some((*number).into()), 1, 65535),
        IntOrString::String(name) => port_name(name, at, found),
    }
}

fn variables(container: &Container, at: &Path, found: &mut Found) {
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let at = at.index("env", index);
        let fits = |c: char| (' '..='~').contains(&c) && c != '=';
        if variable.name.is_empty() || !variable.name.chars().all(fits) {
            let message = format!("`{}` is not the name of a variable", variable.name);
            found.add(&at.child("name"), message, "use letters, digits and `_`");
        }
        let Some(from) = &variable.value_from else { continue };
        let sources = [
            from.config_map_key_ref.is_some(),
            from.field_ref.is_some(),
            from.resource_field_ref.is_some(),
            from.secret_key_ref.is_some(),
        ];
        let at = at.child("valueFrom");
        let keys = [
            ("configMapKeyRef", from.config_map_key_ref.as_ref().map(|from| &from.key)),
            ("secretKeyRef", from.secret_key_ref.as_ref().map(|from| &from.key)),
        ];
        for (field, key) in keys {
            if let Some(key) = key.filter(|key| !is_config_key(key)) {
                let message = format!("`{key}` is not a key of a ConfigMap or Secret");
                found.add(&at.child(field).child("key"), message, KEY_FIX);
            }
        }
        if variable.value.as_deref().is_some_and(|value| !value.is_empty()) {
            let message = format!("`{}` has a `value` and a `valueFrom`", variable.name);
            found.add(&at, message, "remove one; in a patch, write `value: null`");
        } else if sources.into_iter().filter(|is_there| *is_there).count() != 1 {
            let message = format!("`valueFrom` of `{}` needs one source", variable.name);
            found.add(&at, message, "write `secretKeyRef` or `configMapKeyRef`");
        }
    }
}

fn mounts(container: &Container, volumes: &[&Volume], at: &Path, found: &mut Found) {
    let mounts_at = at.child("volumeMounts");
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let all =
        || mounts.iter().enumerate().map(|(index, mount)| (at.index("volumeMounts", index), mount));
    for (at, mount) in all() {
        if !volumes.iter().any(|volume| volume.name == mount.name) {
            let names = volumes.iter().map(|volume| volume.name.as_str());
            let fix = match crate::compiler::diagnostic::nearest(&mount.name, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add the volume under `volumes` of the pod".to_owned(),
            };
            found.add(&at.child("name"), format!("the pod has no volume `{}`", mount.name), fix);
        }
        if mount.mount_path.is_empty() || mount.mount_path.contains(':') {
            let message = format!("`{}` is not a path to mount at", mount.mount_path);
            found.add(&at.child("mountPath"), message, "write an absolute path without `:`");
        }
        if let Some(inner) = mount
            .sub_path
            .as_deref()
            .filter(|inner| inner.starts_with('/') || inner.split('/').any(|step| step == ".."))
        {
            let message = format!("`{inner}` leads out of the volume");
            found.add(
                // The API server reports this field without the index of the mount.
                &mounts_at.child("subPath"),
                message,
                "write a path relative to the volume, without `..`",
            );
        }
    }
    found.unique(
        all().map(|(at, mount)| {
            (at.child("mountPath"), &mount.mount_path, mount.mount_path.as_str())
        }),
        "mount path",
    );
}

fn probed(probe: &Probe, is_readiness: bool, at: &Path, found: &mut Found) {
    let handlers = [
        ("exec", probe.exec.is_some()),
        ("httpGet", probe.http_get.is_some()),
        ("tcpSocket", probe.tcp_socket.is_some()),
        ("grpc", probe.grpc.is_some()),
    ];
    one_handler(&handlers, at, found);
    if let Some(get) = &probe.http_get {
        http_get(get, &at.child("httpGet"), found);
    }
    if let Some(socket) = &probe.tcp_socket {
        target(&socket.port, &at.child("tcpSocket").child("port"), found);
    }
    for (field, number) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        found.bounds(&at.child(field), number.map(i64::from), 0, i64::MAX);
    }
    if !is_readiness && probe.success_threshold.is_some_and(|number| number > 1) {
        found.add(&at.child("successThreshold"), "it must be 1 for this probe", "remove it");
    }
}

fn handled(handler: &LifecycleHandler, at: &Path, found: &mut Found) {
    let handlers = [
        ("exec", handler.exec.is_some()),
        ("httpGet", handler.http_get.is_some()),
        ("tcpSocket", handler.tcp_socket.is_some()),
        ("sleep", handler.sleep.is_some()),
    ];
    one_handler(&handlers, at, found);
    if let Some(get) = &handler.http_get {
        http_get(get, &at.child("httpGet"), found);
    }
}

fn one_handler(handlers: &[(&str, bool)], at: &Path, found: &mut Found) {
    let present: Vec<&str> =
        handlers.iter().filter(|(_, present)| *present).map(|(name, _)| *name).collect();
    match present.as_slice() {
        [_] => {}
        [] => found.add(at, "it has no handler", "write one of `exec`, `httpGet`, `tcpSocket`"),
        [_, second, ..] => {
            let message = format!("it has several handlers: `{}`", present.join("`, `"));
            found.add(
                &at.child(second),
                message,
                "keep one; in a patch, remove the other with `null`",
            );
        }
    }
}

fn http_get(get: &HTTPGetAction, at: &Path, found: &mut Found) {
    target(&get.port, &at.child("port"), found);
    found.choice(&at.child("scheme"), get.scheme.as_deref(), &["HTTP", "HTTPS"]);
}

fn secured(context: &SecurityContext, at: &Path, found: &mut Found) {
    for (field, number) in
        [("runAsUser", context.run_as_user), ("runAsGroup", context.run_as_group)]
    {
        found.bounds(&at.child(field), number, 0, i64::from(i32::MAX));
    }
    let added =
        context.capabilities.iter().flat_map(|capabilities| capabilities.add.iter().flatten());
    let has_all = added.into_iter().any(|capability| capability == "CAP_SYS_ADMIN");
    if context.allow_privilege_escalation == Some(false)
        && (context.privileged == Some(true) || has_all)
    {
        let message = "`allowPrivilegeEscalation: false` contradicts `privileged`";
        found.add(at, message, "remove one of the two");
    }
}
