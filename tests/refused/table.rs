//! Changes of good objects, each with the field for which the API server refuses the object: held against pso-gen
//! in `tests/refused.rs`, and against a real API server in `tests/controlplane/refused.rs`.

use serde_json::{Value as Json, json};

/// A change of one object.
pub(crate) struct Change {
    /// Kind of the object.
    pub(crate) kind: &'static str,
    /// What is set where, as JSON pointers; `null` removes.
    pub(crate) set: Vec<(&'static str, Json)>,
    /// The field that the API server names; none where it accepts the object.
    pub(crate) field: Option<&'static str>,
}

impl Change {
    /// Returns the changed object.
    pub(crate) fn object(&self) -> Json {
        let mut object = good(self.kind);
        for (pointer, value) in &self.set {
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            let parent =
                object.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer} leads nowhere"));
            let key = key.replace("~1", "/");
            match (parent, value) {
                (Json::Object(fields), Json::Null) => drop(fields.remove(&key)),
                (Json::Object(fields), value) => drop(fields.insert(key, value.clone())),
                (Json::Array(items), value) if key == "-" => items.push(value.clone()),
                (Json::Array(items), value) => {
                    items[key.parse::<usize>().expect("a number")] = value.clone();
                }
                _ => panic!("{pointer} is no place"),
            }
        }
        object
    }
}

fn template() -> Json {
    json!({
        "metadata": {"labels": {"app": "a"}},
        "spec": {
            "tolerations": [{"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
            "nodeSelector": {"disk": "ssd"},
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
            "containers": [{
                "name": "web",
                "image": "nginx:1.29.3",
                "env": [{"name": "A", "value": "1"}],
                "ports": [{"name": "http", "containerPort": 80}],
                "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}},
                "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
                "livenessProbe": {"httpGet": {"path": "/", "port": "http"}},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "securityContext": {"allowPrivilegeEscalation": false},
            }],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    })
}

/// Returns an object of a kind that the API server accepts.
pub(crate) fn good(kind: &str) -> Json {
    let (version, spec) = match kind {
        "Deployment" => (
            "apps/v1",
            json!({
                "replicas": 1, "selector": {"matchLabels": {"app": "a"}}, "template": template(),
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            }),
        ),
        "StatefulSet" => (
            "apps/v1",
            json!({
                "replicas": 1, "serviceName": "a", "selector": {"matchLabels": {"app": "a"}}, "template": template(),
            }),
        ),
        "Job" | "CronJob" => {
            let mut template = template();
            template["spec"]["restartPolicy"] = json!("OnFailure");
            let job = json!({"template": template, "backoffLimit": 3});
            match kind {
                "Job" => ("batch/v1", job),
                _ => ("batch/v1", json!({"schedule": "0 2 * * *", "jobTemplate": {"spec": job}})),
            }
        }
        "Service" => (
            "v1",
            json!({
                "type": "NodePort", "selector": {"app": "a"},
                "ports": [{"name": "http", "port": 80, "targetPort": "http", "nodePort": 30080},
                          {"name": "https", "port": 443, "targetPort": 8443, "nodePort": 30443}],
            }),
        ),
        "Ingress" => (
            "networking.k8s.io/v1",
            json!({
                "ingressClassName": "nginx",
                "tls": [{"hosts": ["a.example.com"], "secretName": "a-tls"}],
                "rules": [{"host": "a.example.com", "http": {"paths": [
                    {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "a", "port": {"name": "http"}}}},
                ]}}],
            }),
        ),
        "NetworkPolicy" => (
            "networking.k8s.io/v1",
            json!({
                "podSelector": {}, "policyTypes": ["Egress"],
                "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.20.0.0/16"]}}],
                            "ports": [{"port": 443, "protocol": "TCP"}]}],
            }),
        ),
        "HorizontalPodAutoscaler" => (
            "autoscaling/v2",
            json!({
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"},
                "minReplicas": 2, "maxReplicas": 4,
            }),
        ),
        "PodDisruptionBudget" => (
            "policy/v1",
            json!({
                "maxUnavailable": 1, "selector": {"matchLabels": {"app": "a"}},
            }),
        ),
        "PersistentVolumeClaim" => (
            "v1",
            json!({
                "accessModes": ["ReadWriteMany"], "storageClassName": "pure-file",
                "resources": {"requests": {"storage": "20Gi"}},
            }),
        ),
        "HTTPRoute" => (
            "gateway.networking.k8s.io/v1",
            json!({
                "parentRefs": [{"name": "public"}], "hostnames": ["a.example.com"],
                "rules": [{
                    "backendRefs": [{"name": "a", "port": 80}],
                    "timeouts": {"request": "60s", "backendRequest": "60s"},
                }],
            }),
        ),
        "ConfigMap" => {
            return json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}, "data": {"a": "b"}});
        }
        other => panic!("no good {other}"),
    };
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, "spec": spec})
}

/// Returns every change.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn changes() -> Vec<Change> {
    let mut all = Vec::new();
    let mut no = |kind, pointer, value, field| {
        all.push(Change { kind, set: vec![(pointer, value)], field: Some(field) });
    };
    for (kind, spec, field) in [
        ("Deployment", "/spec/template/spec", "spec.template.spec"),
        ("StatefulSet", "/spec/template/spec", "spec.template.spec"),
        ("CronJob", "/spec/jobTemplate/spec/template/spec", "spec.jobTemplate.spec.template.spec"),
    ] {
        let pods: [(&str, Json, &str); 30] = [
            ("containers", json!([]), "containers"),
            ("tolerations/0/operator", json!("Exists"), "tolerations[0].operator"),
            ("tolerations/0/operator", json!("Exist"), "tolerations[0].operator"),
            ("tolerations/0/key", Json::Null, "tolerations[0].operator"),
            ("tolerations/0/value", json!("a b"), "tolerations[0].operator"),
            ("tolerations/0/effect", json!("Never"), "tolerations[0].effect"),
            ("tolerations/0/tolerationSeconds", json!(5), "tolerations[0].effect"),
            ("nodeSelector", json!({"a b": "c"}), "nodeSelector"),
            (
                "topologySpreadConstraints/0/maxSkew",
                json!(0),
                "topologySpreadConstraints[0].maxSkew",
            ),
            (
                "topologySpreadConstraints/0/whenUnsatisfiable",
                json!("No"),
                "topologySpreadConstraints[0].whenUnsatisfiable",
            ),
            ("dnsPolicy", json!("Cluster"), "dnsPolicy"),
            ("hostAliases", json!([{"ip": "a", "hostnames": ["b"]}]), "hostAliases[0].ip"),
            ("priorityClassName", json!("High"), "priorityClassName"),
            ("securityContext", json!({"runAsUser": -1}), "securityContext.runAsUser"),
            (
                "volumes/0",
                json!({"name": "data", "emptyDir": {}, "nfs": {"server": "a", "path": "/"}}),
                "volumes[0].nfs",
            ),
            ("volumes/-", json!({"name": "data", "emptyDir": {}}), "volumes[1].name"),
            (
                "volumes/0",
                json!({"name": "data", "persistentVolumeClaim": {"claimName": ""}}),
                "volumes[0].persistentVolumeClaim.claimName",
            ),
            ("containers/-", json!({"name": "web", "image": "b"}), "containers[1].name"),
            ("containers/0/image", Json::Null, "containers[0].image"),
            ("containers/0/imagePullPolicy", json!("Sometimes"), "containers[0].imagePullPolicy"),
            ("containers/0/env/0/name", json!("A=B"), "containers[0].env[0].name"),
            (
                "containers/0/env/0/valueFrom",
                json!({"secretKeyRef": {"name": "a", "key": "b"}}),
                "containers[0].env[0].valueFrom",
            ),
            (
                "containers/0/volumeMounts/0/name",
                json!("dat"),
                "containers[0].volumeMounts[0].name",
            ),
            (
                "containers/0/volumeMounts/-",
                json!({"name": "data", "mountPath": "/data"}),
                "containers[0].volumeMounts[1].mountPath",
            ),
            (
                "containers/0/volumeMounts/0/subPath",
                json!("../a"),
                "containers[0].volumeMounts.subPath",
            ),
            (
                "containers/0/ports/0/containerPort",
                json!(70000),
                "containers[0].ports[0].containerPort",
            ),
            ("containers/0/ports/0/name", json!("HTTP"), "containers[0].ports[0].name"),
            (
                "containers/0/livenessProbe/successThreshold",
                json!(2),
                "containers[0].livenessProbe.successThreshold",
            ),
            (
                "containers/0/livenessProbe/tcpSocket",
                json!({"port": 80}),
                "containers[0].livenessProbe.tcpSocket",
            ),
            (
                "containers/0/securityContext/privileged",
                json!(true),
                "containers[0].securityContext",
            ),
        ];
        let resources: [(Json, &str); 6] = [
            (json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}), "requests"),
            (json!({"limits": {"cpus": "1"}}), "limits[cpus]"),
            (json!({"requests": {"storage": "1Gi"}}), "requests[storage]"),
            (json!({"requests": {"nvidia.com/gpu": "1"}}), "limits"),
            (json!({"limits": {"nvidia.com/gpu": "500m"}}), "limits[nvidia.com/gpu]"),
            (
                json!({"limits": {"nvidia.com/gpu": "2"}, "requests": {"nvidia.com/gpu": "1"}}),
                "requests",
            ),
        ];
        let resources = resources.map(|(value, inner)| {
            ("containers/0/resources", value, format!("containers[0].resources.{inner}"))
        });
        let pods =
            pods.into_iter().map(|(pointer, value, inner)| (pointer, value, inner.to_owned()));
        for (pointer, value, inner) in pods.chain(resources) {
            no(kind, format!("{spec}/{pointer}").leak(), value, format!("{field}.{inner}").leak());
        }
    }
    let labels = "spec.template.metadata.labels";
    no("Deployment", "/spec/selector/matchLabels", json!({"app": "b"}), labels);
    no("Deployment", "/spec/template/metadata/labels", json!({"app": "b"}), labels);
    no("StatefulSet", "/spec/selector/matchLabels", json!({"app": "b"}), labels);
    no("Deployment", "/spec/selector", json!({}), "spec.selector");
    no("Deployment", "/spec/replicas", json!(-1), "spec.replicas");
    no("Deployment", "/spec/strategy/type", json!("Recreate"), "spec.strategy.rollingUpdate");
    no("Deployment", "/spec/strategy/type", json!("Rolling"), "spec.strategy");
    no(
        "Deployment",
        "/spec/strategy/rollingUpdate",
        json!({"maxSurge": 0, "maxUnavailable": 0}),
        "spec.strategy.rollingUpdate.maxUnavailable",
    );
    no("Deployment", "/spec/progressDeadlineSeconds", json!(0), "spec.progressDeadlineSeconds");
    no(
        "Deployment",
        "/spec/template/spec/restartPolicy",
        json!("Never"),
        "spec.template.spec.restartPolicy",
    );
    no(
        "Job",
        "/spec/template/spec/restartPolicy",
        json!("Always"),
        "spec.template.spec.restartPolicy",
    );
    no("Job", "/spec/template/spec/restartPolicy", Json::Null, "spec.template.spec.restartPolicy");
    no("Job", "/spec/backoffLimit", json!(-1), "spec.backoffLimit");
    no("Job", "/spec/selector", json!({"matchLabels": {"app": "a"}}), "spec.selector");
    no("CronJob", "/spec/schedule", json!("61 * * * *"), "spec.schedule");
    no("CronJob", "/spec/concurrencyPolicy", json!("No"), "spec.concurrencyPolicy");
    no("Service", "/spec/ports/1/nodePort", json!(30080), "spec.ports[1].nodePort");
    no("Service", "/spec/ports/1/port", json!(80), "spec.ports[1]");
    no("Service", "/spec/ports/1/name", json!("http"), "spec.ports[1].name");
    no("Service", "/spec/ports/1/name", Json::Null, "spec.ports[1].name");
    no("Service", "/spec/ports/1/port", json!(0), "spec.ports[1].port");
    no("Service", "/spec/ports/0/protocol", json!("HTTP"), "spec.ports[0].protocol");
    no("Service", "/spec/ports", json!([]), "spec.ports");
    no("Service", "/spec/type", json!("ClusterIP"), "spec.ports[0].nodePort");
    no("Service", "/spec/type", json!("Cluster"), "spec.type");
    no("Service", "/spec/clusterIP", json!("None"), "spec.clusterIPs[0]");
    no("Ingress", "/spec/rules/0/host", json!("10.0.0.1"), "spec.rules[0].host");
    no("Ingress", "/spec/rules/0/host", json!("A.example.com"), "spec.rules[0].host");
    no("Ingress", "/spec/rules/0/host", json!("a.*.com"), "spec.rules[0].host");
    no("Ingress", "/spec/tls/0/hosts/0", json!("a_b.example.com"), "spec.tls[0].hosts[0]");
    no("Ingress", "/spec/rules", json!([]), "spec");
    no("Ingress", "/spec/rules/0/http/paths", json!([]), "spec.rules[0].http.paths");
    no(
        "Ingress",
        "/spec/rules/0/http/paths/0/path",
        json!("a"),
        "spec.rules[0].http.paths[0].path",
    );
    no(
        "Ingress",
        "/spec/rules/0/http/paths/0/pathType",
        json!("Any"),
        "spec.rules[0].http.paths[0].pathType",
    );
    no(
        "Ingress",
        "/spec/rules/0/http/paths/0/backend/service/port/number",
        json!(80),
        "spec.rules[0].http.paths[0].backend",
    );
    no("Ingress", "/spec/ingressClassName", json!("Nginx"), "spec.ingressClassName");
    no(
        "NetworkPolicy",
        "/spec/egress/0/to/0/ipBlock/except",
        json!(["192.168.0.0/16"]),
        "spec.egress[0].to[0].ipBlock.except[0]",
    );
    no(
        "NetworkPolicy",
        "/spec/egress/0/to/0/ipBlock/cidr",
        json!("10.0.0.0"),
        "spec.egress[0].to[0].ipBlock.cidr",
    );
    no("NetworkPolicy", "/spec/egress/0/to/0/podSelector", json!({}), "spec.egress[0].to[0]");
    no("NetworkPolicy", "/spec/egress/0/to/0", json!({}), "spec.egress[0].to[0]");
    no("NetworkPolicy", "/spec/egress/0/ports/0/port", json!(0), "spec.egress[0].ports[0].port");
    no(
        "NetworkPolicy",
        "/spec/egress/0/ports/0/endPort",
        json!(80),
        "spec.egress[0].ports[0].endPort",
    );
    no("HorizontalPodAutoscaler", "/spec/maxReplicas", json!(1), "spec.maxReplicas");
    no("HorizontalPodAutoscaler", "/spec/minReplicas", json!(-1), "spec.minReplicas");
    no("PodDisruptionBudget", "/spec/minAvailable", json!(1), "spec");
    no("PersistentVolumeClaim", "/spec/accessModes", json!([]), "spec.accessModes");
    no(
        "PersistentVolumeClaim",
        "/spec/resources/requests/storage",
        json!("0"),
        "spec.resources[storage]",
    );
    no("ConfigMap", "/metadata/annotations", json!({"a b": "c"}), "metadata.annotations");
    no(
        "ConfigMap",
        "/metadata/annotations",
        json!({"a": "x".repeat(300 << 10)}),
        "metadata.annotations",
    );
    no("ConfigMap", "/metadata/labels", json!({"a": "b c"}), "metadata.labels");
    no("ConfigMap", "/data", json!({"a b": "c"}), "data[a b]");

    no("ConfigMap", "/metadata/name", json!("A"), "metadata.name");
    no("CronJob", "/spec/schedule", json!("0 3 * * 7"), "spec.schedule");
    no("CronJob", "/spec/schedule", json!("CRON_TZ=UTC 0 3 * * *"), "spec.schedule");
    no("CronJob", "/spec/timeZone", json!("Europe/Berln"), "spec.timeZone");
    no(
        "Deployment",
        "/spec/template/spec/hostAliases",
        json!([{"ip": "::ffff:10.0.0.1", "hostnames": ["a"]}]),
        "spec.template.spec.hostAliases[0].ip",
    );
    no(
        "Deployment",
        "/spec/template/spec/containers/0/env/0",
        json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "a b"}}}),
        "spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.key",
    );
    no(
        "NetworkPolicy",
        "/spec/egress/0/to/0/ipBlock",
        json!({"cidr": "10.0.0.1/8"}),
        "spec.egress[0].to[0].ipBlock.cidr",
    );
    no(
        "Ingress",
        "/spec/defaultBackend",
        json!({"service": {"name": "A", "port": {"number": 80}}}),
        "spec.defaultBackend.service.name",
    );
    let backend = "/spec/rules/0/http/paths/0/backend/service";
    no(
        "Ingress",
        format!("{backend}/name").leak(),
        json!("A"),
        "spec.rules[0].http.paths[0].backend.service.name",
    );
    no(
        "Ingress",
        format!("{backend}/port").leak(),
        json!({"name": "HTTP"}),
        "spec.rules[0].http.paths[0].backend.service.port.name",
    );

    let mut yes = |kind, pointer, value| {
        all.push(Change { kind, set: vec![(pointer, value)], field: None });
    };
    let pod = "/spec/template/spec";
    for (pointer, value) in [
        ("tolerations/0", json!({"operator": "Exists"})),
        (
            "tolerations/0",
            json!({"key": "a/b", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}),
        ),
        ("tolerations/0", json!({"key": "a"})),
        ("containers/0/resources", json!({"limits": {"nvidia.com/gpu": "1"}})),
        (
            "containers/0/resources",
            json!({"requests": {"ephemeral-storage": "1Gi", "memory": "1e9"}}),
        ),
        ("containers/0/env/0/name", json!("a.b-c")),
        ("containers/0/ports/0/name", Json::Null),
        ("containers/0/livenessProbe/timeoutSeconds", json!(0)),
        ("containers/0/readinessProbe/successThreshold", json!(3)),
        ("containers/0/lifecycle", json!({"preStop": {"sleep": {"seconds": 5}}})),
        ("volumes/0", json!({"name": "data", "nfs": {"server": "nas", "path": "/a"}})),
        ("terminationGracePeriodSeconds", json!(-1)),
    ] {
        yes("Deployment", format!("{pod}/{pointer}").leak(), value);
    }
    yes("Deployment", "/spec/strategy", json!({"type": "Recreate"}));
    yes("Deployment", "/spec/replicas", json!(0));
    yes("CronJob", "/spec/schedule", json!("*/5 0-6 * * mon-fri"));
    yes(
        "Service",
        "/spec/ports/1",
        json!({"name": "dns", "port": 80, "protocol": "UDP", "nodePort": 30080}),
    );
    yes("CronJob", "/spec/schedule", json!("@annually"));
    yes("CronJob", "/spec/schedule", json!("0 3 ? * ?"));
    yes("CronJob", "/spec/timeZone", json!("Europe/Berlin"));
    yes("Ingress", "/spec/tls/0/hosts/0", json!("10.0.0.1"));
    yes("PersistentVolumeClaim", "/spec/resources/requests/storage", json!("500m"));
    yes("Ingress", "/spec/rules/0/host", json!("*.example.com"));
    yes("Ingress", "/spec/rules/0/host", Json::Null);
    yes("NetworkPolicy", "/spec/egress/0/to/0/ipBlock/cidr", json!("0.0.0.0/0"));
    yes("NetworkPolicy", "/spec/egress/0/ports/0/port", json!("http"));
    yes("PersistentVolumeClaim", "/spec/resources/requests/storage", json!("1.5Ti"));
    yes("ConfigMap", "/data", json!({"a.b_C-1": ""}));
    all
}
