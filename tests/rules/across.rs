//! Rules of a run: over several apps, layers and settings.

use pso_gen::compiler::check::{AcrossApps, Facts};
use pso_gen::contract::storage::QuotaSpec;

use super::*;

const EXPOSED: &str = "parameters:\n  host: {type: hostname, default: a.example.com}\nvolumes:\n  data: {class: pure-file, size: 10Gi, owner: \"1000:1000\"}\nexpose: {web.http: \"{{ host }}\"}\n";

/// Adds apps to a run. Returns what each addition says, and what the end does.
fn run(quotas: &[QuotaSpec], apps: &[(&str, &str, &str)]) -> (Vec<String>, Vec<String>) {
    let bench = Bench::new(EXPOSED);
    let mut run = AcrossApps::new(quotas);
    let mut found = Vec::new();
    for (name, namespace, spec) in apps {
        let outcome = bench.text(&document("Small", name, namespace, spec));
        assert_eq!(outcome.errors, Vec::<String>::new(), "{name}");
        for app in &outcome.unit.apps {
            found.extend(run.add(&Facts::of(&app.app, &app.compiled)));
        }
    }
    let (end, slips) = said(&run.finish());
    (said(&found).0, end.into_iter().chain(slips).collect())
}

fn quota(namespace: &str, class: &str, claims: Option<u32>, capacity: Option<&str>) -> QuotaSpec {
    serde_json::from_value(serde_json::json!({
        "namespace": namespace, "class": class, "claims": claims, "capacity": capacity,
    }))
    .expect("a quota")
}

#[test]
fn two_apps_make_no_object_twice() {
    let host = "host: b.example.com";
    let (found, _) = run(&[], &[("a", "x", ""), ("a", "x", host)]);
    assert_eq!(found.len(), 1, "reported once for both, not for each object: {found:?}");
    assert!(found[0].starts_with("collision at metadata.name: `a` and `a` both make"), "{found:?}");
    for other in [("a", "y", host), ("b", "x", host)] {
        assert_eq!(run(&[], &[("a", "x", ""), other]).0, Vec::<String>::new());
    }
    // The third meets the first and the second.
    let third = [("a", "x", ""), ("b", "x", host), ("b", "x", "host: c.example.com")];
    assert_eq!(run(&[], &third).0.len(), 1);
}

#[test]
fn a_host_is_one_app_s() {
    let (found, _) = run(&[], &[("a", "x", ""), ("b", "y", "")]);
    assert_eq!(
        found,
        ["host-collision at spec.host: `a.example.com` is claimed by `b` and by `a`"],
        "also in another namespace"
    );
    assert_eq!(run(&[], &[("a", "x", ""), ("b", "y", "host: b.example.com")]).0.len(), 0);
}

#[test]
fn a_node_port_is_one_app_s() {
    let port = |number: u32, host: &str| {
        format!("host: {host}, expose: {{via: nodePort, nodePort: {number}}}")
    };
    let (first, same, other) =
        (port(30080, "a.example.com"), port(30080, "b.example.com"), port(30081, "b.example.com"));
    let (found, _) = run(&[], &[("a", "x", &first), ("b", "y", &same)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("the node port 30080: `b` and `a` both take it"), "{found:?}");
    assert_eq!(run(&[], &[("a", "x", &first), ("b", "y", &other)]).0.len(), 0);
}

#[test]
fn a_quota_is_for_all_apps_of_a_namespace_and_a_class() {
    let two = [("a", "x", ""), ("b", "x", "host: b.example.com")];
    let end = |quota: QuotaSpec| run(&[quota], &two).1;
    let nothing = Vec::<String>::new();
    assert_eq!(end(quota("x", "pure-file", Some(2), Some("20Gi"))), nothing, "just enough");
    let claims = end(quota("x", "pure-file", Some(1), None));
    assert!(claims.len() == 1 && claims[0].contains("requests 2 claims"), "{claims:?}");
    let bytes = end(quota("x", "pure-file", None, Some("20479Mi")));
    assert!(bytes.len() == 1 && bytes[0].contains("requests 20Gi"), "{bytes:?}");
    assert_eq!(end(quota("x", "pure-file", Some(1), Some("1Gi"))).len(), 2, "both are reported");
    assert_eq!(end(quota("x", "pure-block", Some(0), Some("1Gi"))), nothing, "another class");
    assert_eq!(end(quota("y", "pure-file", Some(0), Some("1Gi"))), nothing, "another namespace");
    // Of two for the same, what the later one says counts; what it leaves out stays.
    let both = [quota("x", "pure-file", Some(1), None), quota("x", "pure-file", None, Some("1Ti"))];
    assert_eq!(run(&both, &two).1.len(), 1);
}

#[test]
fn a_name_that_is_nearly_another_s_is_most_likely_a_slip() {
    let from = |name: &str| {
        let spec = format!("host: b.example.com, network: {{from: [{name}]}}");
        run(&[], &[("a", "monitoring", ""), ("b", "apps", &spec)]).1
    };
    let near = from("monitorin");
    assert_eq!(near.len(), 1, "{near:?}");
    assert!(near[0].contains("no app of this run has the namespace `monitorin`"), "{near:?}");
    for good in ["monitoring", "apps", "ingress-nginx"] {
        assert_eq!(from(good), Vec::<String>::new(), "{good}");
    }
}

#[test]
fn a_shared_namespace_is_as_strict_as_its_weakest_app_and_keeps_what_any_keeps() {
    let keeps = "volumes:\n  data: {class: pure-file, size: 1Gi, owner: '1000:1000'}\n";
    let none = "volumes:\n  data: {class: pure-file, size: 1Gi, owner: '1000:1000', keep: false}\n";
    let bench = |volumes: &str| {
        let mut bench = Bench::new(volumes);
        bench.blueprint = bench.blueprint.replace("ports:", "mounts: {data: /data}, ports:");
        bench
    };
    let (keeps, none) = (bench(keeps), bench(none));
    let shared = |apps: &[(&Bench, &str, &str)]| {
        let mut run = AcrossApps::new(&[]);
        for (number, (bench, namespace, spec)) in apps.iter().enumerate() {
            let outcome = bench.text(&document("Small", &format!("a{number}"), namespace, spec));
            assert_eq!(outcome.errors, Vec::<String>::new());
            for app in &outcome.unit.apps {
                run.add(&Facts::of(&app.app, &app.compiled));
            }
        }
        let all = run.namespaces().map(|shared| (shared.name, shared.holds_data, shared.profile));
        all.collect::<Vec<_>>()
    };
    let alone = |bench: &Bench, spec: &str| shared(&[(bench, "x", spec)]).remove(0);
    let (_, data, profile) = alone(&keeps, "");
    assert!(data, "{profile:?}");
    assert!(!alone(&none, "").1);
    let array = "security: {ownership: check, profile: restricted}";
    let strict = alone(&none, array).2;
    assert!(strict > profile, "{strict:?}, {profile:?}");
    for order in
        [[(&keeps, "x", ""), (&none, "x", array)], [(&none, "x", array), (&keeps, "x", "")]]
    {
        assert_eq!(shared(&order), [("x".to_owned(), true, profile)], "in either order");
    }
    // Those of the cluster, and those that others make, are not made here.
    for (namespace, spec) in
        [("default", ""), ("kube-system", ""), ("kube-other", ""), ("x", "createNamespace: false")]
    {
        assert_eq!(shared(&[(&keeps, namespace, spec)]), [], "{namespace}");
    }
}

#[test]
fn a_layer_changes_the_apps_that_it_names() {
    let replicas = |layer: &str| {
        let bench = Bench::new("parameters:\n  p: {type: string, default: own}\n");
        let mut bench = bench.layer(layer);
        bench.blueprint = bench.blueprint.replace("ports:", "env: {A: \"{{ p }}\"}, ports:");
        bench.app("a", "").env().remove("A").expect("a variable")
    };
    for suits in
        ["kind: Small\n", "metadata: {name: a}\n", "", "kind: Small\nmetadata: {name: a}\n"]
    {
        assert_eq!(replicas(&format!("{suits}spec: {{p: layer}}\n")), "layer", "{suits}");
    }
    for other in ["kind: Large\n", "metadata: {name: b}\n", "kind: Small\nmetadata: {name: b}\n"] {
        assert_eq!(replicas(&format!("{other}spec: {{p: layer}}\n")), "own", "{other}");
    }
}

#[test]
fn a_setting_lies_over_the_layers_and_the_last_one_on_top() {
    let bench = || {
        let mut bench = Bench::new("parameters:\n  p: {type: string, default: own}\n");
        bench.blueprint = bench.blueprint.replace("ports:", "env: {A: \"{{ p }}\"}, ports:");
        bench
    };
    let p = |bench: Bench| bench.app("a", "p: file").env().remove("A").expect("a variable");
    let layer = |word: &str| format!("spec: {{p: {word}}}\n");
    assert_eq!(p(bench()), "file");
    assert_eq!(p(bench().layer(&layer("one")).layer(&layer("two"))), "two");
    assert_eq!(p(bench().set("spec.p=set").layer(&layer("one"))), "set");
    assert_eq!(p(bench().set("spec.p=one").set("spec.p=two")), "two");
    assert_eq!(p(bench().set("a:spec.p=mine")), "mine");
    assert_eq!(p(bench().set("b:spec.p=theirs")), "file");
    assert_eq!(p(bench().set("spec.p=~")), "own", "nothing is the default");
}

#[test]
fn a_namespace_from_outside_is_for_apps_that_name_none() {
    let mut bench = Bench::new("");
    bench.namespace = Some("outside".to_owned());
    let of = |metadata: &str| {
        let text = format!(
            "apiVersion: pso-gen.io/v1alpha1\nkind: Small\nmetadata: {{name: a{metadata}}}\nspec: {{}}\n"
        );
        bench.text(&text).object("Deployment", "a-web")["metadata"]["namespace"].clone()
    };
    assert_eq!(of(""), "outside");
    assert_eq!(of(", namespace: own"), "own");
}

#[test]
fn the_rest_of_a_text_with_very_many_errors_is_left_unread() {
    let text = |documents: usize| {
        let one = "---\nkind: Nothing\n";
        one.repeat(documents)
    };
    let errors = |documents| Bench::new("").text(&text(documents)).errors.len();
    assert_eq!(errors(200), 200);
    assert_eq!(errors(1000), 201);
}
