//! What the storage document installs: what its pods read, and when they are rolled.

use std::fs;
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
