//! Lists in, lists out, and diagnostics as their results.

use super::*;
use crate::compiler::diagnostic::{Place, Severity};
use crate::compiler::yaml;

fn node(text: &str, sources: &Sources) -> Node {
    let read = yaml::read(sources.add("standard input", text), sources);
    assert!(read.diagnostics.is_empty(), "{:?}", read.diagnostics);
    read.documents.into_iter().next().expect("a document")
}

fn list(text: &str, sources: &Sources) -> Result<ResourceList, Diagnostic> {
    ResourceList::new(node(text, sources))
}

const HEAD: &str = "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\n";

/// A list of an object, an app with annotations of tools and of a person, and another object.
fn three(sources: &Sources) -> ResourceList {
    let text = format!(
        "{HEAD}items:
- {{apiVersion: v1, kind: ConfigMap, metadata: {{name: a, namespace: n}}, data: {{flag: \"yes\", mode: \"010\"}}}}
- apiVersion: pso-gen.io/v1alpha1
  kind: Scratch
  metadata:
    name: s
    namespace: n
    annotations:
      internal.config.kubernetes.io/path: apps/s.yaml
      internal.config.kubernetes.io/index: '2'
      config.k8s.io/id: '7'
      kpt.dev/x: y
      example.com/owner: me
  spec: {{cpu: two}}
- {{apiVersion: v1, kind: Service, metadata: {{name: b, namespace: n}}}}
"
    );
    list(&text, sources).expect("a list")
}

fn object(kind: &str, name: &str) -> Json {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "n"}})
}

fn names(list: &Json) -> Vec<&str> {
    let items = list["items"].as_array().expect("items");
    items.iter().map(|item| item["metadata"]["name"].as_str().expect("a name")).collect()
}

#[test]
fn every_version_of_the_list_is_read_and_given_back() {
    for version in LISTS {
        let sources = Sources::default();
        let text = format!("apiVersion: {version}\nkind: ResourceList\nitems: []\n");
        let list = list(&text, &sources).expect("a list");
        let expected = json!({"apiVersion": version, "kind": "ResourceList", "items": []});
        assert_eq!(list.with(Vec::new(), &[]), expected);
        assert_eq!(list.unchanged(&[]), expected);
    }
}

#[test]
fn items_may_be_left_out() {
    for text in [HEAD.to_owned(), format!("{HEAD}items:\n")] {
        let sources = Sources::default();
        let list = list(&text, &sources).expect("a list");
        assert!(list.documents().is_empty());
        assert_eq!(names(&list.with(vec![object("Service", "b")], &[])), ["b"]);
    }
}

#[test]
fn what_is_no_list_is_refused_at_its_place() {
    for (text, field, message) in [
        ("kind: ResourceList\n", "", "expected a ResourceList of config.kubernetes.io/v1"),
        (
            "apiVersion: config.kubernetes.io/v1\nkind: List\n",
            "",
            "expected a ResourceList of config.kubernetes.io/v1",
        ),
        (
            "apiVersion: config.kubernetes.io/v2\nkind: ResourceList\n",
            "",
            "expected a ResourceList of config.kubernetes.io/v1",
        ),
        ("[a]\n", "", "expected a ResourceList of config.kubernetes.io/v1"),
        (
            "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems: {a: b}\n",
            "items",
            "expected a list, found a mapping",
        ),
    ] {
        let sources = Sources::default();
        let wrong = list(text, &sources).expect_err(text);
        assert_eq!((wrong.code, wrong.path.as_str()), (Code::BadList, field), "{text}");
        assert_eq!(wrong.message, message, "{text}");
        assert!(wrong.place.is_some(), "{text}");
    }
}

#[test]
fn a_configuration_is_an_app_or_says_nothing() {
    let app =
        "functionConfig: {apiVersion: pso-gen.io/v1alpha1, kind: Scratch, metadata: {name: c}}\n";
    let name = "functionConfig: {apiVersion: v1, kind: ConfigMap, metadata: {name: fn}}\n";
    for (config, documents) in [(app, 1), (name, 0), ("functionConfig:\n", 0)] {
        let sources = Sources::default();
        let list = list(&format!("{HEAD}items: []\n{config}"), &sources).expect(config);
        assert_eq!(list.documents().len(), documents, "{config}");
        // The configuration stays where it is, and is not an item.
        let out = list.with(Vec::new(), &[]);
        assert_eq!(out["items"], json!([]));
        assert_eq!(out.get("functionConfig").is_some(), config != "functionConfig:\n", "{config}");
    }
    let sources = Sources::default();
    let settings =
        "functionConfig: {apiVersion: v1, kind: ConfigMap, metadata: {name: fn}, data: {a: b}}\n";
    let wrong = list(&format!("{HEAD}{settings}"), &sources).expect_err("settings");
    assert_eq!((wrong.code, wrong.path.as_str()), (Code::BadList, "functionConfig.data"));
    assert!(wrong.fix.is_some());
}

#[test]
fn documents_come_without_what_tools_have_written_on_them() {
    let sources = Sources::default();
    let list = three(&sources);
    let [document] = list.documents().try_into().expect("one document");
    let json = document.to_json();
    assert_eq!(json["metadata"]["annotations"], json!({"example.com/owner": "me"}));
    assert_eq!(json["spec"], json!({"cpu": "two"}));
    // The list itself still has them.
    let kept = &list.unchanged(&[])["items"][1]["metadata"]["annotations"];
    assert_eq!(kept["internal.config.kubernetes.io/path"], "apps/s.yaml");
    assert_eq!(kept.as_object().map(serde_json::Map::len), Some(5));
}

#[test]
fn objects_stand_in_place_of_documents_and_the_rest_keeps_its_order_and_its_texts() {
    let sources = Sources::default();
    let out = three(&sources).with(vec![object("Deployment", "x"), object("Service", "y")], &[]);
    assert_eq!(names(&out), ["a", "b", "x", "y"]);
    // `yes` and `010` are still texts.
    assert_eq!(out["items"][0]["data"], json!({"flag": "yes", "mode": "010"}));
    assert!(out.get("results").is_none());
}

#[test]
fn an_object_that_is_there_is_replaced_where_it_stands_and_keeps_the_marks_of_tools() {
    let sources = Sources::default();
    let text = format!(
        "{HEAD}items:
- apiVersion: apps/v1beta1
  kind: Deployment
  metadata:
    {{name: x, namespace: n, annotations: {{config.kubernetes.io/index: '3', stale: old}}}}
- {{apiVersion: v1, kind: Service, metadata: {{name: x, namespace: other}}}}
"
    );
    let list = list(&text, &sources).expect("a list");
    let mut new = object("Deployment", "x");
    new["apiVersion"] = json!("apps/v1");
    let out = list.with(vec![object("Service", "x"), new], &[]);
    // Another version of a group is the same object; another namespace is not.
    assert_eq!(names(&out), ["x", "x", "x"]);
    let items = out["items"].as_array().expect("items");
    assert_eq!(items[0]["apiVersion"], "apps/v1");
    assert_eq!(items[0]["metadata"]["annotations"], json!({"config.kubernetes.io/index": "3"}));
    assert_eq!(items[1]["metadata"]["namespace"], "other");
    assert_eq!(items[2]["metadata"]["namespace"], "n");
}

#[test]
fn a_document_for_tools_only_stays_in_the_list() {
    let sources = Sources::default();
    let local = |value: &str| {
        format!(
            "{HEAD}items:\n- {{apiVersion: pso-gen.io/v1alpha1, kind: Scratch, metadata: {{name: s, annotations: {{config.kubernetes.io/local-config: {value}}}}}}}\n"
        )
    };
    let kept = list(&local("\"true\""), &sources).expect("a list");
    assert_eq!(names(&kept.with(Vec::new(), &[])), ["s"]);
    let replaced = list(&local("\"false\""), &sources).expect("a list");
    assert!(names(&replaced.with(Vec::new(), &[])).is_empty());
}

#[test]
fn a_diagnostic_becomes_a_result_with_object_field_and_file() {
    let sources = Sources::default();
    let list = three(&sources);
    let spec = list.items()[1].get("spec").and_then(|spec| spec.get("cpu")).expect("a field");
    let diagnostic =
        Diagnostic::new(Code::BadValue, spec.place, "expected a number, found \"two\"")
            .at("spec.cpu")
            .fix("write `2`");
    assert_eq!(
        list.result(&diagnostic, &sources),
        json!({
            "message": "expected a number, found \"two\"; write `2`",
            "severity": "error",
            "tags": {"code": "bad-value"},
            "field": {"path": "spec.cpu"},
            "file": {"path": "apps/s.yaml", "index": 2},
            "resourceRef": {
                "apiVersion": "pso-gen.io/v1alpha1", "kind": "Scratch", "name": "s", "namespace": "n",
            },
        })
    );
    assert_eq!(diagnostic.severity, Severity::Error);
}

#[test]
fn a_diagnostic_of_another_file_names_that_file_and_one_without_place_none() {
    let sources = Sources::default();
    let list = three(&sources);
    let elsewhere = node("a: b\n", &sources).place;
    let result = list.result(&Diagnostic::new(Code::BadBlueprint, elsewhere, "x"), &sources);
    assert_eq!(result["file"], json!({"path": "standard input"}));
    assert!(result.get("resourceRef").is_none() && result.get("field").is_none());
    let nowhere = Diagnostic::new(Code::BadList, None::<Place>, "x");
    let result = list.result(&nowhere, &sources);
    assert_eq!(result, json!({"message": "x", "severity": "error", "tags": {"code": "bad-list"}}));
}

#[test]
fn a_message_is_one_line_of_bounded_length_without_what_steers_a_terminal() {
    let sources = Sources::default();
    let list = three(&sources);
    let message = format!("a\nb\u{1b}[2J{}", "x".repeat(2 * LONGEST));
    let result = list.result(&Diagnostic::new(Code::BadList, None::<Place>, message), &sources);
    let message = result["message"].as_str().expect("a text");
    assert!(message.chars().count() <= LONGEST + 1, "{}", message.chars().count());
    assert!(!message.contains(['\n', '\u{1b}']), "{message:.40}");
}

#[test]
fn results_go_out_with_the_list() {
    let sources = Sources::default();
    let list = three(&sources);
    let result = json!({"message": "x"});
    for out in [
        list.unchanged(std::slice::from_ref(&result)),
        list.with(Vec::new(), std::slice::from_ref(&result)),
    ] {
        assert_eq!(out["results"], json!([result]));
    }
    assert_eq!(names(&list.unchanged(&[])), ["a", "s", "b"]);
}
