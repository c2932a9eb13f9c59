//! A developer who may write a folder of Git, and all of an Application but its project and destination, against
//! the rules that the platform has set in the sidecar.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "support/plugin.rs"]
#[allow(dead_code, reason = "shared with another test")]
mod plugin;
use plugin::{NEXTCLOUD, SCRATCH, generate, objects, refused, repository};

const RULES: &str = "PSO_GEN_TENANT_RULES";

/// An app with more under `spec`.
fn app(spec: &str) -> String {
    format!("{NEXTCLOUD}  {}\n", spec.replace('\n', "\n  "))
}

/// What the plugin says to an app file under rules.
fn rendered_under(rules: &str, text: &str) -> Output {
    generate(&repository(&[("app/pso.yaml", text)]), "app", &[(RULES, rules)])
}

/// Refused because of the rules, whatever else is wrong.
#[track_caller]
fn denied(output: &Output, wanted: &str) {
    let screen = refused(output);
    assert!(screen.contains("[tenant-rule]") && screen.contains(wanted), "{wanted}: {screen}");
}

const ROOT: &str = "security: {profile: privileged}
patches:
  - target: {kind: Deployment}
    merge:
      spec:
        template:
          spec:
            hostPID: true
            volumes: [{name: node, hostPath: {path: /}}]
            containers: [{name: web, volumeMounts: [{name: node, mountPath: /node}]}]";

/// The annotations that pso-gen itself writes for an ingress controller come from no tenant.
#[test]
fn what_an_ingress_class_needs_passes_the_rules() {
    for class in ["nginx", "haproxy"] {
        objects(&rendered_under("{}", &app(&format!("expose: {{class: {class}}}"))));
    }
}

#[test]
fn a_developer_gets_no_root_on_nodes() {
    // What is refused is what would work without rules.
    let top = repository(&[("app/pso.yaml", &app(ROOT))]);
    let web = &objects(&generate(&top, "app", &[]))["Deployment/nc-web"];
    assert_eq!(web["spec"]["template"]["spec"]["hostPID"], true);
    denied(&rendered_under("{}", &app(ROOT)), "spec.security.profile");
    denied(&rendered_under("{}", &app(ROOT)), "spec.patches");
}

/// Each by itself, in the app's file.
#[test]
fn an_app_asks_for_no_more_than_the_rules_allow() {
    let with_metadata =
        |metadata: &str| NEXTCLOUD.replace("{name: nc}", &format!("{{name: nc, {metadata}}}"));
    for (text, wanted) in [
        (app("security: {profile: privileged}"), "spec.security.profile"),
        (
            app("patches: [{target: {kind: Service}, merge: {spec: {type: LoadBalancer}}}]"),
            "spec.patches",
        ),
        (app("createNamespace: true"), "spec.createNamespace"),
        (app("expose: {via: nodePort}"), "spec.expose.via"),
        (
            app("expose: {annotations: {nginx.ingress.kubernetes.io/server-snippet: x}}"),
            "may configure other programs",
        ),
        (app("place: {tolerations: [{operator: Exists}]}"), "every taint"),
        (
            app(
                "place: {tolerations: [{key: node-role.kubernetes.io/control-plane, operator: Exists}]}",
            ),
            "the taint",
        ),
        (app("place: {priorityClass: system-node-critical}"), "PriorityClass"),
        (with_metadata("namespace: other"), "is not the tenant's namespace"),
        (with_metadata("namespace: kube-system"), "is not the tenant's namespace"),
        (
            with_metadata("labels: {pod-security.kubernetes.io/enforce: privileged}"),
            "metadata.labels",
        ),
        (with_metadata("labels: {service.kubernetes.io/service-proxy-name: x}"), "metadata.labels"),
        (with_metadata("annotations: {argocd.argoproj.io/hook: PreSync}"), "metadata.annotations"),
        (with_metadata("annotations: {argocd.argoproj.io/tracking-id: x}"), "metadata.annotations"),
        (
            with_metadata(
                "annotations: {container.apparmor.security.beta.kubernetes.io/web: unconfined}",
            ),
            "metadata.annotations",
        ),
        (
            with_metadata("annotations: {volume.beta.kubernetes.io/storage-class: x}"),
            "metadata.annotations",
        ),
        (with_metadata("annotations: {pso-gen.io/array: fb1}"), "metadata.annotations"),
        (include_str!("../examples/storage/storage.pso.yaml").to_owned(), "a storage document"),
        (
            format!("{NEXTCLOUD}---\n{}", include_str!("../examples/storage/storage.pso.yaml")),
            "a storage document",
        ),
    ] {
        denied(&rendered_under("{}", &text), wanted);
        // Among others, and in a second document.
        denied(&rendered_under("{}", &format!("{SCRATCH}---\n{text}")), wanted);
    }
    let hosts = "{hosts: [\"*.{namespace}.example.com\", cloud.example.com]}";
    let images = "{images: [registry.example.com/, docker.io/library/nextcloud]}";
    for (rules, text, wanted) in [
        ("{profile: restricted}", app("security: {ownership: init}"), "profile `restricted`"),
        (hosts, app("hosts: [x.other.example.com]"), "`x.other.example.com` is not a host name"),
        (hosts, app("hosts: [x.example.com]"), "`*.team.example.com`"),
        (images, SCRATCH.to_owned(), "may not run the image"),
        ("{expose: [none]}", NEXTCLOUD.to_owned(), "`via: ingress` is not allowed"),
        ("{expose: []}", NEXTCLOUD.to_owned(), "`via: ingress` is not allowed"),
    ] {
        denied(&rendered_under(rules, &text), wanted);
    }
    objects(&rendered_under("{profile: restricted}", &app("security: {ownership: check}")));
    objects(&rendered_under(hosts, &app("hosts: [x.team.example.com]")));
}

#[test]
fn what_an_app_needs_is_allowed() {
    let all = [
        NEXTCLOUD,
        &SCRATCH.replace("Scratch", "OwnCloud").replace("{name: s}", "{name: oc}"),
        SCRATCH,
    ];
    let mut texts = all.map(str::to_owned);
    texts[1]
        .push_str("spec: {host: o.example.com, expose: {via: gateway, gateway: infra/public}}\n");
    texts[2].push_str("spec: {ticket: T-1, owner: ann, expires: \"2126-01-01\", gpu: 1}\n");
    let top = repository(&[("app/pso.yaml", &texts.join("---\n"))]);
    let rendered = objects(&generate(&top, "app", &[(RULES, "{}")]));
    assert!(rendered.len() > 60);
    let project = team_project();
    let listed = &project["spec"]["namespaceResourceWhitelist"].as_array().expect("a list").clone();
    for (name, object) in &rendered {
        assert_eq!(object["metadata"]["namespace"], "team", "{name}");
        let version = object["apiVersion"].as_str().expect("a word");
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let entry = json!({"group": group, "kind": object["kind"]});
        assert!(listed.contains(&entry), "the team's AppProject has no {entry}");
    }
    // The same as without rules, but for the Namespace, which is the platform's.
    let mut free = objects(&generate(&top, "app", &[]));
    free.remove("Namespace/team").expect("a Namespace");
    assert_eq!(free, rendered);
    // What the rules allow, they allow.
    let wide = "{profile: privileged, patches: true, expose: [nodePort], labels: [\"a.example/*\"], annotations: [a.example/b],
      tolerations: [dedicated], priorityClasses: [business], hosts: [cloud.example.com]}";
    let text = app(
        "security: {profile: privileged}\nexpose: {via: nodePort, annotations: {a.example/b: x}}
place: {tolerations: [{key: dedicated}], priorityClass: business}
patches: [{target: {kind: Service}, merge: {metadata: {labels: {a.example/c: d}}}}]",
    );
    objects(&rendered_under(wide, &text));
}

fn team_project() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/argocd/platform/team-cloud.yaml");
    let text = fs::read_to_string(file).expect("there");
    let documents: Vec<Value> = serde_yaml::from_multiple(&text).expect("YAML");
    documents.into_iter().find(|object| object["kind"] == "AppProject").expect("a project")
}

/// An Application's parameters and variables, layers, and files of the repository are the developer's.
#[test]
fn nothing_that_a_developer_writes_weakens_the_rules() {
    let wide =
        "{profile: privileged, patches: true, blueprints: true, platformProjects: [team, apps]}";
    let files = [
        ("app/pso.yaml", NEXTCLOUD),
        (
            "app/layer.yaml",
            "spec: {patches: [{target: {kind: Service}, merge: {spec: {type: LoadBalancer}}}]}\n",
        ),
        ("app/rules.yaml", wide),
        ("app/.env", wide),
        (RULES, wide),
    ];
    let top = repository(&files);
    let privileged = json!({"name": "spec.security.profile", "string": "privileged"});
    let patches = "[{target: {kind: Service}, merge: {spec: {type: LoadBalancer}}}]";
    let parameters = |list: Value| ("ARGOCD_APP_PARAMETERS".to_owned(), list.to_string());
    let variable = |name: &str, value: &str| (format!("ARGOCD_ENV_{name}"), value.to_owned());
    let parameter =
        |name: &str, value: &str| parameters(json!([{"name": name, "string": value}, privileged]));
    for attack in [
        parameters(json!([privileged])),
        parameters(json!([{"name": "spec.patches", "string": patches}])),
        parameters(json!([{"name": "layers", "array": ["layer.yaml"]}])),
        parameters(json!([{"name": "metadata.namespace", "string": "kube-system"}])),
        parameters(
            json!([{"name": "metadata.labels", "map": {"pod-security.kubernetes.io/enforce": "privileged"}}]),
        ),
        parameters(json!([{"name": "spec.createNamespace", "string": "true"}])),
        variable("spec.security.profile", "privileged"),
        variable("SECURITY_PROFILE", "privileged"),
        variable("PATCHES", patches),
        variable("spec.patches", patches),
    ] {
        let output = generate(&top, "app", &[(RULES, "{}"), (&attack.0, &attack.1)]);
        denied(&output, "");
    }
    for attack in [
        variable(RULES, wide),
        variable("ARGOCD_APP_PROJECT_NAME", "storage"),
        parameter(RULES, wide),
        parameter("tenantRules", "rules.yaml"),
        parameter("tenant-rules", "rules.yaml"),
        ("PARAM_PSO_GEN_TENANT_RULES".to_owned(), wide.to_owned()),
    ] {
        let rules = "{platformProjects: [storage]}";
        let text = app("security: {profile: privileged}");
        let top = repository(&[("app/pso.yaml", &text), ("app/rules.yaml", wide)]);
        refused(&generate(&top, "app", &[(RULES, rules), (&attack.0, &attack.1)]));
    }
}

#[test]
fn blueprints_parts_and_catalogues_of_tenants_are_not_read() {
    let evil =
        "blueprint: NextCloud\nabout: Evil.\ncomponents:\n  web: {image: \"evil:1\", user: 1000}\n";
    let part = "part: mariadb\nabout: Evil.\n";
    for (path, text) in [
        ("app/blueprints/nextcloud/blueprint.yaml", evil),
        ("app/blueprints/blueprint.yaml", evil),
        ("app/blueprints/parts/mariadb/part.yaml", part),
        ("app/blueprints/catalogue.yaml", "nextcloud: {\"34\": \"evil:1\"}\n"),
        ("app/deep/below/blueprints/x/blueprint.yaml", evil),
    ] {
        let top = repository(&[("app/pso.yaml", NEXTCLOUD), (path, text)]);
        let output = generate(&top, "app", &[(RULES, "{}")]);
        denied(&output, "contains blueprints");
    }
    let top = repository(&[("app/pso.yaml", NEXTCLOUD), ("all/x/blueprint.yaml", evil)]);
    let parameters = r#"[{"name": "blueprints", "array": ["/all"]}]"#;
    let attack = [(RULES, "{}"), ("ARGOCD_APP_PARAMETERS", parameters)];
    denied(&generate(&top, "app", &attack), "contains blueprints");
    // Where one of two rules allows them, the other does not.
    let rules = top.path().join("rules.yaml");
    fs::write(&rules, "blueprints: true\n").expect("written");
    let arguments = ["validate", "app", "--blueprints", "all", "--tenant-rules", "../rules.yaml"];
    let output = pso_gen(&top.path().join("repository"), &arguments, Some("{}"));
    assert!(words(&output).contains("contains blueprints"), "{}", words(&output));
}

#[test]
fn the_destination_is_the_one_namespace() {
    let top = repository(&[("app/pso.yaml", NEXTCLOUD)]);
    let into = |namespace: &str| {
        generate(&top, "app", &[(RULES, "{}"), ("ARGOCD_APP_NAMESPACE", namespace)])
    };
    assert_eq!(objects(&into("own"))["Deployment/nc-web"]["metadata"]["namespace"], "own");
    denied(&into(""), "destination");
    let named = NEXTCLOUD.replace("{name: nc}", "{name: nc, namespace: team}");
    objects(&rendered_under("{}", &named));
    let top = repository(&[("app/pso.yaml", &named)]);
    denied(&generate(&top, "app", &[(RULES, "{}"), ("ARGOCD_APP_NAMESPACE", "")]), "destination");
}

#[test]
fn the_platforms_own_project_is_free() {
    let top =
        repository(&[("storage/pso.yaml", include_str!("../examples/storage/storage.pso.yaml"))]);
    let rules = "{platformProjects: [storage]}";
    let of = |project: &str| {
        let variables = [
            (RULES, rules),
            ("ARGOCD_APP_PROJECT_NAME", project),
            ("ARGOCD_APP_NAMESPACE", "pso-system"),
        ];
        generate(&top, "storage", &variables)
    };
    assert!(objects(&of("storage")).keys().any(|name| name.starts_with("StorageClass/")));
    for project in ["", "team", "storage ", "Storage", "storage,team"] {
        denied(&of(project), "a storage document");
    }
}

/// What the examples set, and the projects that they make, are one.
#[test]
fn the_shipped_installation_has_rules() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/argocd/");
    let read = |path: &str| -> Vec<Value> {
        let text = fs::read_to_string(format!("{folder}{path}")).expect("there");
        serde_yaml::from_multiple(&text).expect("YAML")
    };
    let deployment = read("install/repo-server.yaml").remove(0);
    let variables = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    let variable =
        variables.as_array().expect("a list").iter().find(|entry| entry["name"] == RULES);
    let rules = variable.expect("the rules")["value"].as_str().expect("words").to_owned();
    denied(&rendered_under(&rules, &app(ROOT)), "spec.patches");
    let storage = include_str!("../examples/storage/storage.pso.yaml");
    let top = repository(&[("storage/pso.yaml", storage)]);
    let project =
        read("platform/storage.yaml")[0]["spec"]["project"].as_str().expect("a word").to_owned();
    let of = |project: &str| {
        generate(&top, "storage", &[(RULES, &rules), ("ARGOCD_APP_PROJECT_NAME", project)])
    };
    objects(&of(&project));
    denied(&of("cloud"), "a storage document");
    // A team's project takes its own namespace, and no object of the whole cluster.
    let project = team_project();
    assert_eq!(project["spec"]["destinations"].as_array().expect("a list").len(), 1);
    assert_eq!(project["spec"]["destinations"][0]["namespace"], "cloud");
    assert_eq!(project["spec"]["clusterResourceWhitelist"], json!([]));
    let namespace = &read("platform/team-cloud.yaml")[1];
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "baseline");
    for set in ["platform/apps.yaml", "clusters/apps.yaml", "rendered/apps.yaml"] {
        let spec = &read(set)[0]["spec"]["template"]["spec"];
        assert_eq!(spec["project"], spec["destination"]["namespace"], "{set}");
    }
}

/// Whatever a patch does, the finished objects are looked at.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_patches_make_is_held_to_the_rules() {
    let pods = |what: &str| {
        format!(
            "{{target: {{kind: Deployment}}, merge: {{spec: {{template: {{spec: {{{what}}}}}}}}}}}"
        )
    };
    let web = |what: &str| {
        pods(&format!("containers: [{{name: web, {what}}}]"))
            .replace("kind: Deployment", "kind: Deployment, name: nc-web")
    };
    let kind = |kind: &str, what: &str| format!("{{target: {{kind: {kind}}}, merge: {{{what}}}}}");
    let spec = |word: &str, what: &str| kind(word, &format!("spec: {{{what}}}"));
    // Those of single pods have no address, and no other type.
    let web_service =
        |what: &str| spec("Service", what).replace("kind: Service", "kind: Service, name: nc-web");
    for (patch, wanted) in [
        (pods("hostPID: true"), "shares the node's namespaces"),
        (pods("hostNetwork: true"), "shares the node's namespaces"),
        (pods("volumes: [{name: x, hostPath: {path: /}}]"), "mounts a path of the node"),
        (pods("volumes: [{name: x, nfs: {server: 192.0.2.1, path: /}}]"), "may not set `nfs`"),
        (
            pods("volumes: [{name: x, iscsi: {targetPortal: a, iqn: b, lun: 1}}]"),
            "may not set `iscsi`",
        ),
        (pods("volumes: [{name: x, csi: {driver: d}}]"), "may not set `csi`"),
        (pods("volumes: [{name: x, flexVolume: {driver: d}}]"), "may not set `flexVolume`"),
        (pods("volumes: [{name: x, ephemeral: {}}]"), "may not set `ephemeral`"),
        (
            pods("volumes: [{name: x, projected: {sources: [{serviceAccountToken: {path: t}}]}}]"),
            "may not set `serviceAccountToken`",
        ),
        (pods("nodeName: control-plane-1"), "may not set `nodeName`"),
        (pods("schedulerName: mine"), "may not set `schedulerName`"),
        (pods("runtimeClassName: mine"), "may not set `runtimeClassName`"),
        (pods("hostUsers: true"), "may not set `hostUsers`"),
        (pods("serviceAccountName: default"), "the account \"default\""),
        (pods("automountServiceAccountToken: true"), "token of the cluster's API"),
        (pods("automountServiceAccountToken: null"), "token of the cluster's API"),
        (pods("priorityClassName: system-cluster-critical"), "PriorityClass"),
        (pods("tolerations: [{operator: Exists}]"), "tolerate the taint"),
        (
            web("securityContext: {privileged: true, allowPrivilegeEscalation: null}"),
            "privileged container",
        ),
        (web("securityContext: {appArmorProfile: {type: Unconfined}}"), "confinement"),
        (web("securityContext: {seLinuxOptions: {type: spc_t}}"), "confinement"),
        (web("securityContext: {windowsOptions: {hostProcess: true}}"), "confinement"),
        (web("securityContext: {capabilities: {add: [SYS_ADMIN]}}"), "adds capabilities"),
        (web("ports: [{containerPort: 8080, hostPort: 80}]"), "uses a port of the node"),
        (web_service("type: LoadBalancer"), "Service type `LoadBalancer`"),
        (web_service("type: NodePort"), "Service type `NodePort`"),
        (
            spec("Service", "type: ExternalName, externalName: metadata.internal"),
            "may not set `externalName`",
        ),
        (spec("Service", "externalIPs: [10.0.0.1]"), "may not set `externalIPs`"),
        (spec("Service", "loadBalancerIP: 10.0.0.1"), "may not set `loadBalancerIP`"),
        (spec("Service", "selector: null"), "has no selector"),
        (spec("PersistentVolumeClaim", "volumeName: pv-of-others"), "may not set `volumeName`"),
        (
            spec("PersistentVolumeClaim", "selector: {matchLabels: {a: b}}"),
            "may not set `selector`",
        ),
        (
            spec(
                "PersistentVolumeClaim",
                "dataSourceRef: {kind: PersistentVolumeClaim, name: a, namespace: other}",
            ),
            "may not set `dataSourceRef`",
        ),
        (
            spec("PersistentVolumeClaim", "volumeAttributesClassName: x"),
            "may not set `volumeAttributesClassName`",
        ),
        (
            spec("Ingress", "defaultBackend: {service: {name: a, port: {number: 1}}}"),
            "may not set `defaultBackend`",
        ),
        (
            spec(
                "Ingress",
                "rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: a, port: {number: 1}}}}]}}]",
            ),
            "every host name",
        ),
        (
            spec(
                "Ingress",
                "rules: [{host: a.b, http: {paths: [{path: /, pathType: Prefix, backend: {resource: {kind: X, name: a}}}]}}]",
            ),
            "may not set `resource`",
        ),
        (
            kind(
                "Ingress",
                "metadata: {annotations: {nginx.ingress.kubernetes.io/auth-snippet: x}}",
            ),
            "may not set the annotation",
        ),
        (
            kind(
                "Deployment",
                "spec: {template: {metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/web: unconfined}}}}",
            ),
            "may not set the annotation",
        ),
        (
            kind(
                "Deployment",
                "spec: {template: {metadata: {labels: {topology.istio.io/network: x}}}}",
            ),
            "may not set the label",
        ),
        (
            kind("CronJob", "spec: {jobTemplate: {spec: {template: {spec: {hostIPC: true}}}}}"),
            "shares the node's namespaces",
        ),
        (
            kind("CronJob", "spec: {jobTemplate: {metadata: {annotations: {a.example/b: x}}}}"),
            "may not set the annotation",
        ),
        (
            kind(
                "ConfigMap",
                "metadata: {annotations: {kustomize.toolkit.fluxcd.io/substitute: enabled}}",
            ),
            "may not set the annotation",
        ),
        (kind("ServiceAccount", "automountServiceAccountToken: true"), "its token is mounted"),
        (kind("ServiceAccount", "automountServiceAccountToken: null"), "its token is mounted"),
        (kind("Secret", "type: kubernetes.io/service-account-token"), "a special meaning"),
        (kind("Secret", "stringData: {a: b}"), "it has data"),
        (
            kind(
                "Secret",
                "metadata: {ownerReferences: [{apiVersion: v1, kind: Node, name: a, uid: b}]}",
            ),
            "may not set `ownerReferences`",
        ),
        (kind("Secret", "metadata: {finalizers: [a.example/b]}"), "may not set `finalizers`"),
        (
            kind("Role", "rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]"),
            "rights other",
        ),
        (
            kind("Role", "rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]"),
            "rights other",
        ),
        (
            kind(
                "Role",
                "rules: [{apiGroups: [''], resources: [secrets], resourceNames: [of-others], verbs: [get]}]",
            ),
            "rights other",
        ),
        (
            kind(
                "Role",
                "rules: [{apiGroups: [''], resources: [secrets], resourceNames: [nc-credentials], verbs: [get, delete]}]",
            ),
            "rights other",
        ),
        (
            kind(
                "RoleBinding",
                "roleRef: {kind: ClusterRole, name: cluster-admin, apiGroup: rbac.authorization.k8s.io}",
            ),
            "not the app's own",
        ),
        (
            kind(
                "RoleBinding",
                "subjects: [{kind: User, name: eve, apiGroup: rbac.authorization.k8s.io}]",
            ),
            "accounts other than the app's own",
        ),
        (
            kind("RoleBinding", "subjects: [{kind: ServiceAccount, name: nc, namespace: other}]"),
            "accounts other than the app's own",
        ),
    ] {
        let text = app(&format!("patches: [{patch}]"));
        // Each applies, and is what Kubernetes knows.
        let free = generate(&repository(&[("app/pso.yaml", &text)]), "app", &[]);
        let screen = words(&free);
        assert!(
            free.status.success()
                || ["[security-profile]", "[secret-in-file]"]
                    .iter()
                    .any(|code| screen.contains(code)),
            "{patch}: {screen}"
        );
        denied(&rendered_under("{patches: true}", &text), wanted);
    }
    let gateway = |patch: &str| {
        app(&format!(
            "expose: {{via: gateway, gateway: infra/public}}\npatches: [{{target: {{kind: HTTPRoute}}, merge: {{spec: {{{patch}}}}}}}]"
        ))
    };
    for (patch, wanted) in [
        ("hostnames: null", "every host name"),
        ("parentRefs: [{kind: Service, name: a}]", "not a Gateway"),
        ("rules: [{backendRefs: [{kind: Secret, name: a, port: 1}]}]", "not a Service"),
        ("rules: [{filters: [{type: RequestMirror}], backendRefs: []}]", "may not set `filters`"),
    ] {
        objects(&generate(&repository(&[("app/pso.yaml", &gateway(patch))]), "app", &[]));
        denied(&rendered_under("{patches: true}", &gateway(patch)), wanted);
    }
    objects(&rendered_under(
        "{patches: true}",
        &app(&format!("patches: [{}]", web("resources: {limits: {cpu: \"2\"}}"))),
    ));
}

/// Objects that a blueprint of a tenant makes as they are.
#[test]
fn manifests_of_blueprints_are_held_to_the_rules() {
    let verdicts = |rules: &str, manifest: &str| {
        let blueprint = format!(
            "blueprint: Own\nabout: A thing.\ncomponents:\n  web: {{image: \"a:1.0\", user: 1000}}\nmanifests:\n  - {manifest}\n"
        );
        let text =
            NEXTCLOUD.replace("NextCloud", "Own").replace("  host: cloud.example.com", "  {}");
        let top = repository(&[
            ("app/pso.yaml", &text),
            ("app/blueprints/own/blueprint.yaml", &blueprint),
        ]);
        (generate(&top, "app", &[(RULES, rules)]), generate(&top, "app", &[]))
    };
    let object = |version: &str, kind: &str, more: &str| {
        format!("{{apiVersion: {version}, kind: {kind}, metadata: {{name: x}}{more}}}")
    };
    let pod = ", spec: {hostPID: true, containers: [{name: a, image: \"a:1.0\"}]}";
    let all = "[Pod, DaemonSet, apps/DaemonSet, Namespace, ConfigMap, Service, PersistentVolume, rbac.authorization.k8s.io/ClusterRole,
      rbac.authorization.k8s.io/ClusterRoleBinding, rbac.authorization.k8s.io/RoleBinding, storage.k8s.io/StorageClass, a.example/Thing]";
    for (manifest, wanted) in [
        (object("v1", "Pod", pod), "may not render the kind `Pod`"),
        (object("v1", "Pod", ", spec: {containers: [{name: a, image: \"a:1.0\"}]}"), "may not render the kind `Pod`"),
        (object("apps/v1", "DaemonSet", ", spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: \"a:1.0\"}]}}}"), "may not render the kind `apps/DaemonSet`"),
        ("{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {pod-security.kubernetes.io/enforce: privileged}}}".to_owned(), "in the tenant's namespace"),
        (object("v1", "PersistentVolume", ", spec: {nfs: {server: a, path: /}}"), "in the tenant's namespace"),
        (object("rbac.authorization.k8s.io/v1", "ClusterRole", ""), "in the tenant's namespace"),
        (object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", ", roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}"), "in the tenant's namespace"),
        (object("storage.k8s.io/v1", "StorageClass", ", provisioner: x"), "in the tenant's namespace"),
        (object("rbac.authorization.k8s.io/v1", "RoleBinding", ", roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}"), "not the app's own"),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: kube-system}}".to_owned(), "in the tenant's namespace"),
        ("{apiVersion: a.example/v1, kind: Thing, metadata: {name: x, namespace: argocd}}".to_owned(), "in the tenant's namespace"),
        (object("v1", "Service", ", spec: {type: ExternalName, externalName: x.svc}"), "Service type `ExternalName`"),
    ] {
        let (under, free) = verdicts(&format!("{{blueprints: true, manifests: {all}}}"), &manifest);
        let screen = words(&free);
        assert!(free.status.success() || screen.contains("[security-profile]"), "{manifest}: {screen}");
        denied(&under, wanted);
        let (under, _) = verdicts("{blueprints: true}", &manifest);
        denied(&under, "blueprints may not render the kind");
    }
    for manifest in [object("v1", "ConfigMap", ""), object("a.example/v1", "Thing", "")] {
        let rules = format!("{{blueprints: true, manifests: {all}}}");
        objects(&verdicts(&rules, &manifest).0);
    }
}

#[test]
fn without_rules_that_can_be_read_nothing_is_rendered() {
    for rules in [
        "",
        " ",
        "~",
        "[]",
        "profile",
        "{profile: none}",
        "{profil: baseline}",
        "{patches: yes}",
        "{",
        "{}\n---\n{}",
    ] {
        refused(&rendered_under(rules, NEXTCLOUD));
    }
}

fn pso_gen(folder: &Path, arguments: &[&str], rules: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pso-gen"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    if let Some(rules) = rules {
        command.env(RULES, rules);
    }
    command.output().expect("starts")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// On a laptop and in a pipeline, by the variable or by a file.
#[test]
fn other_commands_refuse_the_same() {
    let top: TempDir = repository(&[
        ("bad.pso.yaml", &app(ROOT)),
        ("good.pso.yaml", NEXTCLOUD),
        ("rules.yaml", "{}\n"),
    ]);
    let folder = top.path().join("repository");
    for command in ["render", "validate", "graph"] {
        for (file, rules) in [(None, Some("{}")), (Some("rules.yaml"), None)] {
            let mut arguments = vec![command, "bad.pso.yaml", "--namespace", "team"];
            arguments.extend(file.iter().flat_map(|file| ["--tenant-rules", file]));
            let output = pso_gen(&folder, &arguments, rules);
            assert_eq!(output.status.code(), Some(1), "{command}: {}", words(&output));
            assert!(words(&output).contains("[tenant-rule]"), "{command}: {}", words(&output));
            assert!(output.stdout.is_empty());
            arguments[1] = "good.pso.yaml";
            let output = pso_gen(&folder, &arguments, rules);
            assert!(output.status.success(), "{command}: {}", words(&output));
        }
    }
    // The plugin and `render` print the same.
    let plugin = generate(&repository(&[("pso.yaml", NEXTCLOUD)]), ".", &[(RULES, "{}")]);
    let render = pso_gen(&folder, &["render", "good.pso.yaml", "--namespace", "team"], Some("{}"));
    assert_eq!(plugin.stdout, render.stdout);
    let refused = pso_gen(&folder, &["diff", "good.pso.yaml", "bad.pso.yaml"], Some("{}"));
    assert!(words(&refused).contains("[tenant-rule]"), "{}", words(&refused));
    for (text, good) in [(NEXTCLOUD, true), (&app(ROOT), false)] {
        let items: Value = serde_yaml::from_str(text).expect("YAML");
        let list = json!({"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", "items": [items]});
        let mut child = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
            .args(["fn", "--namespace", "team", "--tenant-rules", "rules.yaml"])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        child.stdin.take().expect("piped").write_all(list.to_string().as_bytes()).expect("written");
        let output = child.wait_with_output().expect("ends");
        assert_eq!(output.status.success(), good, "{}", words(&output));
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(text.contains("tenant-rule"), !good, "{text}");
        assert!(!text.contains("kind: Namespace"));
    }
}
