//! `pso-gen fn` as Kustomize and kpt call it; that Kustomize really does is tests/functions/run's matter.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn call(list: &Value, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .arg("fn")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(list.to_string().as_bytes()).expect("written");
    drop(stdin);
    child.wait_with_output().expect("ends")
}

fn list(items: &Value) -> Value {
    json!({"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", "items": items})
}

fn scratch(annotations: &Value) -> Value {
    json!({
        "apiVersion": "pso-gen.io/v1alpha1", "kind": "Scratch",
        "metadata": {"name": "s", "namespace": "apps", "annotations": annotations},
        "spec": {"replicas": 1},
    })
}

fn other(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "yes", "b": "010"}})
}

#[track_caller]
fn answer(output: &Output, code: i32) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    serde_yaml::from_str(&String::from_utf8_lossy(&output.stdout)).expect("YAML")
}

fn items(answer: &Value) -> Vec<Value> {
    answer["items"].as_array().expect("a list").clone()
}

#[test]
fn documents_are_replaced_and_others_left_alone() {
    let tools = json!({"internal.config.kubernetes.io/path": "s.yaml", "config.kubernetes.io/index": "0", "mine": "x"});
    let items =
        items(&answer(&call(&list(&json!([other("a"), scratch(&tools), other("b")])), &[]), 0));
    assert_eq!(items[..2], [other("a"), other("b")]);
    assert!(items.len() > 5);
    let all = Value::from(items).to_string();
    assert!(!all.contains("pso-gen.io/v1alpha1") && !all.contains("config.kubernetes.io"), "{all}");
    // What people write on an app is for every object of it.
    assert!(all.contains(r#""mine":"x""#), "{all}");
}

#[test]
fn a_second_run_replaces_what_the_first_made() {
    let local = scratch(&json!({"config.kubernetes.io/local-config": "true"}));
    let first = answer(&call(&list(&json!([other("a"), local])), &[]), 0);
    let mut made = items(&first);
    assert_eq!(made[1]["kind"], "Scratch", "what is local stays");
    // As a tool would have kept it, and somebody changed by hand.
    let deployment = made.iter_mut().find(|item| item["kind"] == "Deployment").expect("there");
    deployment["spec"]["replicas"] = json!(7);
    deployment["metadata"]["annotations"]["internal.config.kubernetes.io/path"] = json!("d.yaml");
    let second = items(&answer(&call(&list(&Value::from(made)), &[]), 0));
    assert_eq!(second.len(), items(&first).len());
    let deployment = second.iter().find(|item| item["kind"] == "Deployment").expect("there");
    assert_eq!(deployment["spec"]["replicas"], 1);
    let path = &deployment["metadata"]["annotations"]["internal.config.kubernetes.io/path"];
    assert_eq!(path, "d.yaml");
}

#[test]
fn an_app_may_be_the_functions_configuration() {
    let mut asked = list(&json!([]));
    asked["functionConfig"] =
        scratch(&json!({"config.kubernetes.io/function": "exec: {path: pso-gen}"}));
    let made = answer(&call(&asked, &[]), 0);
    assert!(items(&made).iter().any(|item| item["kind"] == "Deployment"));
    assert_eq!(made["functionConfig"], asked["functionConfig"]);
}

#[test]
fn storage_documents_among_the_items_give_classes() {
    let storage = json!({
        "apiVersion": "pso-gen.io/v1alpha1", "kind": "Storage", "metadata": {"name": "x", "namespace": "pso-system"},
        "spec": {
            "cluster": "c", "nodes": ["10.0.0.0/8"],
            "arrays": [{"name": "fb", "type": "FlashBlade", "management": "fb.example.com", "token": {"secret": "t", "key": "k"}}],
            "classes": {"gold": {"like": "pure-file"}},
        },
    });
    let mut app = scratch(&json!({}));
    app["spec"]["volumes"] = json!({"scratch": "gold"});
    answer(&call(&list(&json!([app])), &[]), 1);
    let made = items(&answer(&call(&list(&json!([app, storage])), &[]), 0));
    assert!(made.iter().any(|item| item["kind"] == "StorageClass"));
}

#[test]
fn errors_are_results_and_the_list_stays_as_it_was() {
    let mut app = scratch(
        &json!({"internal.config.kubernetes.io/path": "apps/s.yaml", "internal.config.kubernetes.io/index": "2"}),
    );
    app["spec"]["replica"] = json!(3);
    let asked = list(&json!([other("a"), app, other("b")]));
    let output = call(&asked, &[]);
    let answered = answer(&output, 1);
    assert_eq!(answered["items"], asked["items"]);
    assert_eq!(
        answered["results"],
        json!([{
            "message": "there is no field `replica`; did you mean `replicas`?",
            "severity": "error",
            "tags": {"code": "unknown-field"},
            "field": {"path": "spec"},
            "resourceRef": {"apiVersion": "pso-gen.io/v1alpha1", "kind": "Scratch", "name": "s", "namespace": "apps"},
            "file": {"path": "apps/s.yaml", "index": 2},
        }])
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean `replicas`?"));
}

#[test]
fn what_is_no_list_is_refused() {
    let configured = json!({
        "apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", "items": [],
        "functionConfig": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"replicas": "3"}},
    });
    for wrong in
        [json!({}), json!([]), json!({"kind": "ResourceList"}), list(&json!("x")), configured]
    {
        let output = call(&wrong, &[]);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()));
        assert!(String::from_utf8_lossy(&output.stderr).contains("[bad-list]"), "{wrong}");
    }
    let nothing = answer(&call(&list(&json!([other("a")])), &[]), 0);
    assert_eq!(items(&nothing), [other("a")]);
}
