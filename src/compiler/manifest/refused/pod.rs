//! Rules for pods: containers, volumes, tolerations, placement.

use k8s_openapi::api::core::v1::{Affinity, PodSpec, Toleration, Volume};

use super::{Found, Path, container, metadata};
use crate::compiler::spec::{Format, is_ip_address};

pub(super) fn pod(spec: &PodSpec, at: &Path, found: &mut Found) {
    if spec.containers.is_empty() {
        let message = "a pod needs a container, and none is left";
        found.add(
            &at.child("containers"),
            message,
            "omit `containers` to keep the existing ones, or give each item its `name`",
        );
    }
    let volumes: Vec<&Volume> = spec.volumes.iter().flatten().collect();
    let groups = [
        ("initContainers", spec.init_containers.as_deref().unwrap_or_default()),
        ("containers", &spec.containers),
    ];
    let all = || {
        groups.into_iter().flat_map(|(field, containers)| {
            containers
                .iter()
                .enumerate()
                .map(move |(index, container)| (at.index(field, index), container))
        })
    };
    found.unique(
        all().map(|(at, one)| (at.child("name"), &one.name, one.name.as_str())),
        "container",
    );
    for (at, one) in all() {
        container::container(one, &volumes, spec.host_network == Some(true), &at, found);
    }
    volumes_of(&volumes, at, found);
    for (index, toleration) in spec.tolerations.iter().flatten().enumerate() {
        tolerated(toleration, &at.index("tolerations", index), found);
    }
    metadata::labels(spec.node_selector.as_ref(), &at.child("nodeSelector"), found);
    for (field, name) in [
        ("serviceAccountName", &spec.service_account_name),
        ("priorityClassName", &spec.priority_class_name),
    ] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            found.format(&at.child(field), name, Format::Subdomain);
        }
    }
    for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
        if !is_ip_address(&alias.ip) {
            let message = format!("`{}` is not an IP address", alias.ip);
            found.add(
                &at.index("hostAliases", index).child("ip"),
                message,
                "write an address such as `10.20.0.7`",
            );
        }
    }
    found.bounds(
        &at.child("activeDeadlineSeconds"),
        spec.active_deadline_seconds,
        1,
        i64::from(i32::MAX),
    );
    found.choice(
        &at.child("dnsPolicy"),
        spec.dns_policy.as_deref(),
        &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
    );
    spread(spec, at, found);
    if let Some(affinity) = &spec.affinity {
        near(affinity, &at.child("affinity"), found);
    }
    if let Some(context) = &spec.security_context {
        let at = at.child("securityContext");
        let most = i64::from(i32::MAX);
        for (field, number) in [
            ("runAsUser", context.run_as_user),
            ("runAsGroup", context.run_as_group),
            ("fsGroup", context.fs_group),
        ] {
            found.bounds(&at.child(field), number, 0, most);
        }
        for (index, group) in context.supplemental_groups.iter().flatten().enumerate() {
            found.bounds(&at.index("supplementalGroups", index), Some(*group), 0, most);
        }
        found.choice(
            &at.child("fsGroupChangePolicy"),
            context.fs_group_change_policy.as_deref(),
            &["OnRootMismatch", "Always"],
        );
    }
}

fn tolerated(toleration: &Toleration, at: &Path, found: &mut Found) {
    let key = toleration.key.as_deref().unwrap_or_default();
    let value = toleration.value.as_deref().unwrap_or_default();
    let operator = toleration.operator.as_deref().unwrap_or("Equal");
    let effect = toleration.effect.as_deref().unwrap_or_default();
    if !key.is_empty() {
        found.format(&at.child("key"), key, Format::LabelKey);
    } else if operator != "Exists" {
        let message =
            "a toleration without `key` tolerates every taint, and needs `operator: Exists`";
        found.add(&at.child("operator"), message, "write the taint's `key`, or `operator: Exists`");
    }
    match operator {
        "Exists" if !value.is_empty() => {
            let message = format!("`Exists` compares no value, found `{value}`");
            found.add(&at.child("operator"), message, "remove `value`, or write `operator: Equal`");
        }
        "Exists" => {}
        // The API server reports the operator for this rule as well.
        "Equal" => found.format(&at.child("operator"), value, Format::Label),
        other => found.choice(&at.child("operator"), Some(other), &["Equal", "Exists"]),
    }
    found.choice(
        &at.child("effect"),
        Some(effect).filter(|e| !e.is_empty()),
        &["NoSchedule", "PreferNoSchedule", "NoExecute"],
    );
    if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        let message = "`tolerationSeconds` needs the effect `NoExecute`";
        found.add(
            &at.child("effect"),
            message,
            "write `effect: NoExecute`, or remove `tolerationSeconds`",
        );
    }
}

fn spread(spec: &PodSpec, at: &Path, found: &mut Found) {
    let all = || spec.topology_spread_constraints.iter().flatten().enumerate();
    for (index, one) in all() {
        let at = at.index("topologySpreadConstraints", index);
        found.bounds(&at.child("maxSkew"), Some(one.max_skew.into()), 1, i64::MAX);
        if one.topology_key.is_empty() {
            found.add(
                &at.child("topologyKey"),
                "it must not be empty",
                "write a label such as `kubernetes.io/hostname`",
            );
        }
        found.choice(
            &at.child("whenUnsatisfiable"),
            Some(&one.when_unsatisfiable),
            &["DoNotSchedule", "ScheduleAnyway"],
        );
    }
    let keys = all().map(|(index, one)| {
        let at =
            at.index("topologySpreadConstraints", index).child("{topologyKey, whenUnsatisfiable}");
        (at, (&one.topology_key, &one.when_unsatisfiable), one.topology_key.as_str())
    });
    found.unique(keys, "topology key");
}

fn near(affinity: &Affinity, at: &Path, found: &mut Found) {
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let pods = affinity.pod_affinity.iter().flat_map(|a| {
        a.preferred_during_scheduling_ignored_during_execution
            .iter()
            .flatten()
            .enumerate()
            .map(|term| ("podAffinity", term))
    });
    let apart = affinity.pod_anti_affinity.iter().flat_map(|a| {
        a.preferred_during_scheduling_ignored_during_execution
            .iter()
            .flatten()
            .enumerate()
            .map(|term| ("podAntiAffinity", term))
    });
    for (field, (index, term)) in pods.chain(apart) {
        let at = at.child(field).index(PREFERRED, index);
        found.bounds(&at.child("weight"), Some(term.weight.into()), 1, 100);
        if term.pod_affinity_term.topology_key.is_empty() {
            found.add(
                &at.child("podAffinityTerm").child("topologyKey"),
                "it must not be empty",
                "write a label such as `kubernetes.io/hostname`",
            );
        }
    }
    let nodes = affinity.node_affinity.iter().flat_map(|a| {
        a.preferred_during_scheduling_ignored_during_execution.iter().flatten().enumerate()
    });
    for (index, term) in nodes {
        let at = at.child("nodeAffinity").index(PREFERRED, index);
        found.bounds(&at.child("weight"), Some(term.weight.into()), 1, 100);
    }
}

fn volumes_of(volumes: &[&Volume], at: &Path, found: &mut Found) {
    let all =
        || volumes.iter().enumerate().map(|(index, volume)| (at.index("volumes", index), *volume));
    found.unique(
        all().map(|(at, volume)| (at.child("name"), &volume.name, volume.name.as_str())),
        "volume",
    );
    for (at, volume) in all() {
        found.format(&at.child("name"), &volume.name, Format::Name);
        let needed = |path: Path, text: Option<&str>, found: &mut Found| {
            if text.is_none_or(str::is_empty) {
                found.add(&path, "it must not be empty", "write it, or remove the volume");
            }
        };
        if let Some(claim) = &volume.persistent_volume_claim {
            needed(
                at.child("persistentVolumeClaim").child("claimName"),
                Some(&claim.claim_name),
                found,
            );
        }
        if let Some(secret) = &volume.secret {
            needed(at.child("secret").child("secretName"), secret.secret_name.as_deref(), found);
        }
        if let Some(map) = &volume.config_map {
            needed(at.child("configMap").child("name"), Some(&map.name), found);
        }
        if let Some(nfs) = &volume.nfs {
            needed(at.child("nfs").child("server"), Some(&nfs.server), found);
            if !nfs.path.starts_with('/') {
                let message = format!("`{}` is not an absolute path", nfs.path);
                found.add(&at.child("nfs").child("path"), message, "begin it with `/`");
            }
        }
        sources(volume, &at, found);
    }
}

/// Checks that a volume has one source. Sources that current clusters no longer have are left to the API server.
fn sources(volume: &Volume, at: &Path, found: &mut Found) {
    // In the order in which the API server checks them.
    let sources = [
        ("emptyDir", volume.empty_dir.is_some()),
        ("hostPath", volume.host_path.is_some()),
        ("secret", volume.secret.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("persistentVolumeClaim", volume.persistent_volume_claim.is_some()),
        ("downwardAPI", volume.downward_api.is_some()),
        ("fc", volume.fc.is_some()),
        ("configMap", volume.config_map.is_some()),
        ("projected", volume.projected.is_some()),
        ("csi", volume.csi.is_some()),
        ("ephemeral", volume.ephemeral.is_some()),
        ("image", volume.image.is_some()),
    ];
    let names: Vec<&str> =
        sources.iter().filter(|(_, present)| *present).map(|(name, _)| *name).collect();
    if let [_, second, ..] = names.as_slice() {
        let message =
            format!("the volume `{}` has several sources: `{}`", volume.name, names.join("`, `"));
        found.add(&at.child(second), message, "keep one; in a patch, remove the other with `null`");
    }
}
