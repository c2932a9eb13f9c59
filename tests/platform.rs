//! What the storage document installs: what its pods read, and when they are rolled.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};

const DOCUMENT: &str = "
apiVersion: pso-gen.io/v1alpha1
kind: Storage
metadata: {name: pso, namespace: pso-system}
spec:
  cluster: a
  nodes: [10.0.0.0/8]
  arrays:
    - {name: fb1, type: FlashBlade, management: fb1.example.com, token: {secret: one, key: fb1}, ca: {secret: trust, key: ca.pem}}
    - {name: fa1, type: FlashArray, management: fa1.example.com, token: {secret: one, key: fa1}, ca: {secret: trust, key: ca.pem}}
  classes: {gold: {like: pure-block, fileSystem: ext4}}
  quotas: [{namespace: files, class: gold, claims: 10}]
  provisioner: {image: \"registry.example.com/pso-gen:0.1.0\"}
";

fn render(document: &str) -> Vec<Json> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("storage.pso.yaml");
    fs::write(&path, document).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_pso-gen")).arg("render").arg(&path).output();
    let output = output.expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_yaml::from_multiple(&String::from_utf8(output.stdout).expect("text")).expect("YAML")
}

fn one<'o>(objects: &'o [Json], kind: &str) -> &'o Json {
    objects.iter().find(|object| object["kind"] == kind).expect(kind)
}

fn pod(objects: &[Json]) -> &Json {
    &one(objects, "Deployment")["spec"]["template"]
}

/// What makes new pods of the Deployment.
fn hash(document: &str) -> Json {
    pod(&render(document))["metadata"]["annotations"]["pso-gen.io/config"].clone()
}

#[test]
fn pods_read_the_same_document_and_take_it() {
    let objects = render(DOCUMENT);
    let mounted = one(&objects, "ConfigMap")["data"]["storage.pso.yaml"].as_str().expect("text");
    let classes = |objects: &[Json]| -> Vec<Json> {
        objects.iter().filter(|object| object["kind"] == "StorageClass").cloned().collect()
    };
    assert_eq!(classes(&objects).len(), 3);
    assert_eq!(classes(&render(mounted)), classes(&objects));
    let read: Json = serde_yaml::from_str(mounted).expect("YAML");
    let written: Json = serde_yaml::from_str(DOCUMENT).expect("YAML");
    for field in ["cluster", "nodes", "arrays", "classes"] {
        assert_eq!(read["spec"][field], written["spec"][field]);
    }
}

#[test]
fn pods_are_rolled_when_what_they_read_changes_and_only_then() {
    let first = hash(DOCUMENT);
    assert!(first.is_string());
    let other = |from: &str, to: &str| {
        assert!(DOCUMENT.contains(from));
        hash(&DOCUMENT.replace(from, to))
    };
    assert_eq!(other("name: fb1, type: FlashBlade", "type: FlashBlade, name: fb1"), first, "order");
    assert_eq!(other("  cluster: a", "  cluster: a   # for ever"), first, "comments");
    assert_eq!(other("claims: 10", "claims: 11"), first, "quotas are not for them");
    assert_ne!(other("fa1.example.com", "fa2.example.com"), first);
    assert_ne!(other("[10.0.0.0/8]", "[10.1.0.0/16]"), first);
}

#[test]
fn pods_get_the_keys_that_arrays_name_and_no_other() {
    let objects = render(DOCUMENT);
    let spec = &pod(&objects)["spec"];
    let volumes = spec["volumes"].as_array().expect("volumes");
    let secrets = volumes.iter().find(|volume| volume["name"] == "secrets").expect("secrets");
    let source = |name: &str, keys: &[&str]| {
        let item = |key: &&str| json!({"key": key, "path": format!("{name}/{key}")});
        let items: Vec<_> = keys.iter().map(item).collect();
        json!({"secret": {"name": name, "items": items, "optional": true}})
    };
    assert_eq!(
        secrets["projected"]["sources"],
        json!([source("one", &["fa1", "fb1"]), source("trust", &["ca.pem"])])
    );
    assert!(!volumes.iter().any(|volume| volume["secret"].is_object()), "whole ones");
    let mounts = spec["containers"][0]["volumeMounts"].as_array().expect("mounts");
    assert!(mounts.iter().all(|mount| mount["readOnly"] == true), "{mounts:?}");
}

#[test]
fn without_the_field_there_are_classes_and_quotas_only() {
    let start = DOCUMENT.find("  provisioner:").expect("the field");
    let objects = render(&DOCUMENT[..start]);
    let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str()).collect();
    let class = Some("StorageClass");
    assert_eq!(kinds, [class, class, class, Some("ResourceQuota")]);
}

#[test]
fn a_class_says_where_its_arrays_are() {
    let topologies = |arrays: &str| -> Vec<Json> {
        let one = DOCUMENT.lines().find(|line| line.contains("name: fb1")).expect("an array");
        let document = DOCUMENT.replace(one, arrays);
        let document = document
            .replace("classes: {", "classes: {silver: {like: pure-file, arrays: {tier: silver}}, ");
        let objects = render(&document);
        let class = |name: &str| {
            let named = |object: &&Json| {
                object["kind"] == "StorageClass" && object["metadata"]["name"] == name
            };
            objects.iter().find(named).expect(name)["allowedTopologies"].clone()
        };
        ["pure-file", "silver", "pure-block"].map(class).into()
    };
    let array = |name: &str, more: &str| {
        format!(
            "    - {{name: {name}, type: FlashBlade, management: {name}.example.com, token: {{secret: one, key: fb1}}, ca: {{secret: trust, key: ca.pem}}{more}}}\n"
        )
    };
    let term = |zone: &str| json!({"matchLabelExpressions": [{"key": "topology.kubernetes.io/zone", "values": [zone]}]});
    let at = |zone: &str| format!(", topology: {{topology.kubernetes.io/zone: {zone}}}");
    let [a, b] = ["a", "b"].map(at);
    let silver = |more: &str| format!("{more}, labels: {{tier: silver}}");
    // One of all arrays of the class is reached by all nodes.
    let some = topologies(&(array("fb1", &silver(&a)) + &array("fb2", "")));
    assert_eq!(some, [Json::Null, json!([term("a")]), Json::Null]);
    // Two are in one place, and a FlashArray is no array of the class.
    let all = array("fb1", &silver(&b)) + &array("fb2", &a) + &array("fb3", &silver(&b));
    assert_eq!(topologies(&all), [json!([term("a"), term("b")]), json!([term("b")]), Json::Null]);
}

/// The kinds that only the node service has, and those of its objects that others have as well.
fn of_the_node_service(objects: &[Json]) -> Vec<String> {
    let labelled = |object: &&Json| {
        object["metadata"]["labels"]["app.kubernetes.io/component"] == "node-service"
            || object["metadata"]["name"] == "pso-gen-node"
    };
    let kinds = objects.iter().filter(labelled);
    let mut kinds: Vec<_> =
        kinds.map(|object| object["kind"].as_str().expect("a kind").to_owned()).collect();
    kinds.sort();
    kinds
}

const NODE_KINDS: [&str; 13] = [
    "CSIDriver",
    "ClusterRole",
    "ClusterRoleBinding",
    "DaemonSet",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "Service",
    "ServiceAccount",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicyBinding",
];

#[test]
fn the_node_service_comes_with_an_array_for_block_volumes() {
    assert_eq!(of_the_node_service(&render(DOCUMENT)), NODE_KINDS);
    let array = DOCUMENT.lines().find(|line| line.contains("name: fa1")).expect("an array");
    let files = DOCUMENT
        .replace(array, "")
        .replace("like: pure-block, fileSystem: ext4", "like: pure-file");
    assert_eq!(of_the_node_service(&render(&files)), [""; 0], "no array for block volumes");
    let without = format!("{DOCUMENT}  nodeService: {{install: false}}\n");
    assert_eq!(of_the_node_service(&render(&without)), [""; 0], "switched off");
    // A provisioner outside the cluster, and the node service inside it.
    let start = DOCUMENT.find("  provisioner:").expect("the field");
    let image = "registry.example.com/other:0.1.0";
    let outside = format!("{}  nodeService: {{image: \"{image}\"}}\n", &DOCUMENT[..start]);
    let objects = render(&outside);
    assert_eq!(of_the_node_service(&objects), NODE_KINDS);
    let container = &one(&objects, "DaemonSet")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], image);
}

#[test]
fn a_setting_of_the_node_service_restarts_no_provisioner() {
    let with = |fields: &str| format!("{DOCUMENT}  nodeService: {{{fields}}}\n");
    assert_eq!(hash(&with("maxVolumes: 10")), hash(DOCUMENT));
    let daemon_set = |document: &str| one(&render(document), "DaemonSet").clone();
    assert_eq!(daemon_set(&with("install: true")), daemon_set(DOCUMENT), "the default");
    let other = daemon_set(&with(
        "namespace: block, kubeletDirectory: /var/lib/k0s/kubelet, maxVolumes: 10, log: debug, \
         pullSecrets: [registry], resources: {limits: {memory: 2Gi}}, place: {nodeSelector: {disk: fast}, \
         tolerations: [{key: disk, operator: Exists}], priorityClass: high}",
    ));
    assert_eq!(other["metadata"]["namespace"], "block");
    let pod = &other["spec"]["template"]["spec"];
    assert_eq!(pod["nodeSelector"], json!({"disk": "fast", "kubernetes.io/os": "linux"}));
    assert_eq!(pod["tolerations"], json!([{"key": "disk", "operator": "Exists"}]));
    assert_eq!(pod["priorityClassName"], "high");
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "registry"}]));
    let container = &pod["containers"][0];
    assert_eq!(container["resources"]["limits"]["memory"], "2Gi");
    let args: Vec<_> = container["args"].as_array().expect("arguments").iter().collect();
    for arg in [
        "--kubelet-dir=/var/lib/k0s/kubelet",
        "--csi-socket=/var/lib/k0s/kubelet/plugins/pso-gen.io/csi.sock",
        "--registration-socket=/var/lib/k0s/kubelet/plugins_registry/pso-gen.io-reg.sock",
        "--max-volumes=10",
        "--log=debug",
    ] {
        assert!(args.contains(&&json!(arg)), "{arg}: {args:?}");
    }
}

/// A reviewer finds the reason for each privilege beside it, and no reason for one that is not there.
#[test]
fn each_privilege_of_the_node_service_has_its_reason() {
    let objects = render(DOCUMENT);
    let set = one(&objects, "DaemonSet");
    let reasons = set["metadata"]["annotations"]["pso-gen.io/privileges"].as_str().expect("text");
    let mut given: Vec<&str> =
        reasons.lines().map(|line| line.split_once(": ").expect("a reason").0).collect();
    let pod = &set["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mut taken = vec!["not used".to_owned()];
    for shared in ["hostPID", "hostNetwork", "hostIPC"] {
        taken.extend((pod[shared] == true).then(|| shared.to_owned()));
    }
    let context = &container["securityContext"];
    taken.extend((context["privileged"] == true).then(|| "privileged".to_owned()));
    let user = &pod["securityContext"]["runAsUser"];
    taken.extend((user == &json!(0)).then(|| "runAsUser 0".to_owned()));
    let mut paths = Vec::new();
    for volume in pod["volumes"].as_array().expect("volumes") {
        match volume["hostPath"]["path"].as_str() {
            Some(path) => paths.push(path),
            None => taken.push("token".to_owned()),
        }
    }
    taken.extend(paths.iter().map(|path| format!("hostPath {path}")));
    let ports = container["ports"].as_array().expect("ports");
    taken.extend(ports.iter().map(|port| format!("port {}", port["containerPort"])));
    given.sort_unstable();
    taken.sort();
    assert_eq!(given, taken);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["enableServiceLinks"], false);
    // kubelet connects to sockets by the paths that the host has. No mount propagates.
    for mount in container["volumeMounts"].as_array().expect("mounts") {
        let path = mount["mountPath"].as_str().expect("a path");
        assert!(mount["mountPropagation"].is_null(), "{path}");
        assert_eq!(paths.contains(&path), mount["readOnly"] != true, "{path}");
    }
    for arg in container["args"].as_array().expect("arguments") {
        let Some((flag, path)) = arg.as_str().and_then(|arg| arg.split_once("socket=")) else {
            continue;
        };
        let is_mounted =
            paths.iter().any(|folder| Path::new(path).parent() == Some(Path::new(folder)));
        assert!(is_mounted, "{flag}socket={path}");
    }
}

#[test]
fn the_namespace_of_the_node_service_alone_takes_privileged_pods() {
    let objects = render(DOCUMENT);
    let namespaces = objects.iter().filter(|object| object["kind"] == "Namespace");
    let enforced = namespaces.map(|object| {
        let label = &object["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
        (object["metadata"]["name"].as_str().expect("a name"), label.as_str().expect("a profile"))
    });
    assert_eq!(
        enforced.collect::<Vec<_>>(),
        [("pso-gen-node", "privileged"), ("pso-system", "restricted")]
    );
    let inside = objects.iter().filter(|object| object["metadata"]["namespace"] == "pso-gen-node");
    let kinds: Vec<_> = inside.map(|object| object["kind"].as_str().expect("a kind")).collect();
    for kind in ["Role", "RoleBinding", "Secret", "ConfigMap"] {
        assert!(!kinds.contains(&kind), "{kinds:?}");
    }
    // The pods are reached for their metrics, and for nothing else.
    let service = inside_service(&objects);
    assert_eq!(service["spec"]["ports"].as_array().map(Vec::len), Some(1));
    assert_eq!(service["spec"]["ports"][0]["targetPort"], "metrics");
}

fn inside_service(objects: &[Json]) -> &Json {
    let is_it = |object: &&Json| {
        object["kind"] == "Service" && object["metadata"]["namespace"] == "pso-gen-node"
    };
    objects.iter().find(is_it).expect("a Service")
}

/// The binary takes the arguments that its pods get.
#[test]
fn the_node_service_takes_its_arguments() {
    let document = format!("{DOCUMENT}  nodeService: {{maxVolumes: 10}}\n");
    let objects = render(&document);
    takes_its_arguments(&one(&objects, "DaemonSet")["spec"]["template"]["spec"]["containers"][0]);
}

fn takes_its_arguments(container: &Json) {
    let args = container["args"].as_array().expect("arguments");
    let args: Vec<_> = args.iter().map(|arg| arg.as_str().expect("text")).collect();
    let help = Command::new(env!("CARGO_BIN_EXE_pso-gen")).args([args[0], "--help"]).output();
    let help = help.expect("runs");
    assert!(help.status.success(), "{help:?}");
    let help = String::from_utf8(help.stdout).expect("text");
    for arg in &args[1..] {
        let flag = arg.split('=').next().expect("a flag");
        let is_there = help.split_whitespace().any(|word| word == flag);
        assert!(is_there, "{flag} is unknown:\n{help}");
    }
}

/// Argo CD's project in the example lets the storage document create each kind that it may render.
#[test]
fn the_project_of_the_example_has_every_kind() {
    let project = fs::read_to_string("examples/argocd/platform/projects.yaml").expect("there");
    let project: Json = serde_yaml::from_str(&project).expect("YAML");
    let mut allowed = std::collections::BTreeSet::new();
    for list in ["clusterResourceWhitelist", "namespaceResourceWhitelist"] {
        for entry in project["spec"][list].as_array().expect("a list") {
            let word = |key: &str| entry[key].as_str().expect("text").to_owned();
            allowed.insert((word("group"), word("kind")));
        }
    }
    let mut count = 0;
    let documents = [
        DOCUMENT.to_owned(),
        DOCUMENT.replace("{image", "{annotateClaims: true, image"),
        with_csi(),
    ];
    for document in documents {
        for object in render(&document) {
            let version = object["apiVersion"].as_str().expect("a version");
            let group = version.split_once('/').map_or("", |(group, _)| group).to_owned();
            let kind = object["kind"].as_str().expect("a kind").to_owned();
            let kinds = ["DaemonSet", "VolumeSnapshotClass"];
            count += usize::from(kind.starts_with("Mutating") || kinds.contains(&kind.as_str()));
            assert!(allowed.contains(&(group.clone(), kind.clone())), "{group}/{kind} is missing");
        }
    }
    assert_eq!(
        count, 6,
        "three DaemonSets, a mutating policy and its binding, a class of snapshots"
    );
}

const CSI: &str = "  csi: {snapshotter: \"registry.k8s.io/sig-storage/csi-snapshotter:v8.7.0\", resizer: \"registry.k8s.io/sig-storage/csi-resizer:v2.3.0\"}\n";

fn with_csi() -> String {
    format!("{DOCUMENT}{CSI}")
}

fn deployment<'o>(objects: &'o [Json], name: &str) -> Option<&'o Json> {
    let is_it =
        |object: &&Json| object["kind"] == "Deployment" && object["metadata"]["name"] == name;
    objects.iter().find(is_it)
}

#[test]
fn the_csi_services_come_with_their_field_and_an_array_for_block_volumes() {
    assert!(deployment(&render(DOCUMENT), "pso-gen-csi").is_none());
    let objects = render(&with_csi());
    let spec = &deployment(&objects, "pso-gen-csi").expect("rendered")["spec"];
    assert_eq!(spec["replicas"], 2);
    let names = |objects: &[Json]| -> Vec<String> {
        let pod = &deployment(objects, "pso-gen-csi").expect("rendered")["spec"]["template"];
        let containers = pod["spec"]["containers"].as_array().expect("containers").iter();
        containers.map(|container| container["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&objects), ["csi", "snapshotter", "resizer"]);
    let class = one(&objects, "VolumeSnapshotClass");
    assert_eq!(
        (&class["driver"], &class["deletionPolicy"]),
        (&json!("pso-gen.io"), &json!("Delete"))
    );

    // Without the resizer, its rights are missing too.
    let alone = with_csi().replace(
        ", resizer: \"registry.k8s.io/sig-storage/csi-resizer:v2.3.0\"",
        ", deletionPolicy: Retain, replicas: 1",
    );
    let objects = render(&alone);
    assert_eq!(names(&objects), ["csi", "snapshotter"]);
    assert_eq!(one(&objects, "VolumeSnapshotClass")["deletionPolicy"], "Retain");
    let is_role = |object: &&Json| {
        object["kind"] == "ClusterRole" && object["metadata"]["name"] == "pso-gen-csi"
    };
    let rules = &objects.iter().find(is_role).expect("a role")["rules"];
    assert!(!rules.to_string().contains("persistentvolume"), "{rules}");

    let array = DOCUMENT.lines().find(|line| line.contains("name: fa1")).expect("an array");
    let files = with_csi()
        .replace(array, "")
        .replace("like: pure-block, fileSystem: ext4", "like: pure-file");
    assert!(deployment(&render(&files), "pso-gen-csi").is_none(), "no array for block volumes");
}

/// The sidecars reach the arrays through the socket alone, and nothing reaches the host.
#[test]
fn the_pods_of_the_csi_services_share_a_socket_and_no_secret() {
    let objects = render(&with_csi());
    let pod = &deployment(&objects, "pso-gen-csi").expect("rendered")["spec"]["template"]["spec"];
    for volume in pod["volumes"].as_array().expect("volumes") {
        assert!(volume["hostPath"].is_null(), "{volume}");
    }
    assert_eq!(pod["serviceAccountName"], "pso-gen-csi");
    for container in pod["containers"].as_array().expect("containers") {
        let name = container["name"].as_str().expect("a name");
        let mounts = container["volumeMounts"].as_array().expect("mounts");
        let mounted = |volume: &str| mounts.iter().any(|mount| mount["name"] == volume);
        assert_eq!(mounted("secrets"), name == "csi", "{name}");
        assert!(mounted("socket"), "{name}");
        let writable = mounts.iter().filter(|mount| mount["readOnly"] != true);
        assert_eq!(writable.count(), 1, "{name}: the socket alone");
        let context = &container["securityContext"];
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{name}");
        assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
        if name != "csi" {
            let args = container["args"].to_string();
            assert!(args.contains("\"--leader-election\""), "{args}");
        }
    }
    takes_its_arguments(&pod["containers"][0]);
}
