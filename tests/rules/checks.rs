//! Checks of one app with its finished objects.

use super::*;

#[test]
fn a_name_is_as_long_as_what_kubernetes_makes_of_it_allows() {
    let bench = Bench::of(
        "volumes:\n  data: {class: pure-block, size: 1Gi, owner: \"1000:1000\"}\ncomponents:\n  web: {image: example.com/web:1.0.0, user: 1000, ports: {http: 8080}}\n  db: {image: example.com/db:1.0.0, user: 1000, pods: one, mounts: {data: /data}}\njobs: {j: {like: web, command: [x], when: asked}}\n",
    );
    // The Deployment's name has `-web` behind it, and may have 46 characters.
    let named = |length: usize| bench.app(&"a".repeat(length), "");
    assert_eq!(named(42).errors, Vec::<String>::new());
    let long = named(43);
    long.refused("47 characters; at most 46");
    assert!(long.errors[0].contains("Deployment"), "{:?}", long.errors);

    // That of the CronJob, which is longer by seven here, may have 52.
    let job = Bench::of(
        "components: {w: {image: example.com/w:1.0.0, user: 1, pods: one}}\njobs: {jobs-name: {image: example.com/j:1.0.0, user: 1, command: [x], when: asked}}\n",
    );
    assert_eq!(job.app(&"a".repeat(42), "").errors, Vec::<String>::new());
    job.app(&"a".repeat(43), "").refused("53 characters; at most 52");
}

#[test]
fn the_name_of_a_service_begins_with_a_letter() {
    let bench = Bench::new("");
    bench.app("4a", "").refused("must begin with a letter");
    assert_eq!(bench.app("a4", "").errors, Vec::<String>::new());
    // An app without a Service may be called so.
    let quiet = Bench::of("components:\n  web: {image: example.com/web:1.0.0, user: 1000}\n");
    assert_eq!(quiet.app("4a", "").errors, Vec::<String>::new());
}

#[test]
fn an_image_is_pinned_by_a_full_version_or_a_digest() {
    let warns = |image: &str| {
        let sections = format!("components:\n  web: {{image: \"{image}\", user: 1000}}\n");
        let outcome = Bench::of(&sections).app("a", "");
        assert_eq!(outcome.errors, Vec::<String>::new(), "{image}");
        outcome.warnings.iter().filter(|word| word.starts_with("mutable-image")).count()
    };
    let digest = "0".repeat(64);
    for pinned in
        ["example.com/a:1.2.3".to_owned(), format!("example.com/a:latest@sha256:{digest}")]
    {
        assert_eq!(warns(&pinned), 0, "{pinned}");
    }
    for moves in ["example.com/a", "example.com/a:latest", "example.com:5000/a"] {
        assert_eq!(warns(moves), 1, "{moves}");
    }
}

#[test]
fn a_setting_that_changes_nothing_is_reported() {
    let bench = Bench::new("expose: {web.http: a.example.com}\n");
    let idle = |spec: &str| -> Vec<String> {
        let outcome = bench.app("a", spec);
        assert_eq!(outcome.errors, Vec::<String>::new(), "{spec}");
        let found = outcome.warnings.iter().filter_map(|word| word.strip_prefix("no-effect at "));
        found.map(|word| word.split(':').next().unwrap_or_default().to_owned()).collect()
    };
    for (via, useful) in [
        ("ingress", vec!["class: nginx", "tls: false", "issuer: i", "annotations: {a: b}"]),
        ("gateway", vec!["gateway: infra/public/https", "annotations: {a: b}"]),
        ("nodePort", vec!["nodePort: 30080"]),
        ("none", vec![]),
    ] {
        for setting in [
            "class: nginx",
            "gateway: infra/public/https",
            "issuer: i",
            "annotations: {a: b}",
            "nodePort: 30080",
        ] {
            // A Gateway is named where there is one.
            let gateway = match (via, setting.starts_with("gateway")) {
                ("gateway", false) => ", gateway: infra/public/https",
                _ => "",
            };
            let field = setting.split(':').next().unwrap_or_default();
            let expected = if useful.contains(&setting) {
                vec![]
            } else {
                vec![format!("spec.expose.{field}")]
            };
            assert_eq!(
                idle(&format!("expose: {{via: {via}, {setting}{gateway}}}")),
                expected,
                "{via}: {setting}"
            );
        }
    }
    assert_eq!(idle("expose: {tls: false, issuer: i}"), ["spec.expose.issuer"]);
    assert_eq!(idle("network: {egress: open, to: [10.0.0.0/8]}"), ["spec.network.to"]);
    assert_eq!(idle("network: {egress: closed, to: [10.0.0.0/8]}"), Vec::<String>::new());
    assert_eq!(idle("network: {from: [infra]}"), Vec::<String>::new());
    assert_eq!(idle("expose: {via: none}, network: {from: [infra]}"), Vec::<String>::new());
    for via in ["ingress", "gateway, gateway: a/b", "nodePort", "none"] {
        let elsewhere = format!("expose: {{via: {via}, tls: elsewhere}}");
        assert_eq!(idle(&elsewhere), Vec::<String>::new(), "{via}");
    }
    assert_eq!(idle("expose: {tls: elsewhere, issuer: i}"), ["spec.expose.issuer"]);
    assert_eq!(idle("security: {ownership: init}"), ["spec.security.ownership"]);
    assert_eq!(idle("pullSecrets: []"), ["spec.pullSecrets"]);
    assert_eq!(idle("network: {to: [], egress: closed}"), ["spec.network.to"]);
}

#[test]
fn a_network_that_is_always_blocked_cannot_be_asked_for() {
    let to = |network: &str| {
        Bench::new("").app("a", &format!("network: {{egress: closed, to: [\"{network}\"]}}"))
    };
    for never in ["169.254.0.0/16", "169.254.169.254/32", "fe80::/10", "fe80::1/128"] {
        to(never).refused("is always blocked");
    }
    // Networks in which one is are narrowed, not refused.
    for some in ["10.0.0.0/8", "169.0.0.0/8", "0.0.0.0/0", "fd00::/8"] {
        assert_eq!(to(some).errors, Vec::<String>::new(), "{some}");
    }
}

#[test]
fn a_secret_in_clear_text_is_found_wherever_it_stands() {
    let bench = Bench::new("parameters:\n  config: {type: map, of: {type: string}}\n");
    let patch =
        |merge: &str| format!("patches: [{{target: {{kind: Deployment}}, merge: {merge}}}]");
    let container = |more: &str| {
        patch(&format!("{{spec: {{template: {{spec: {{containers: [{{name: web, {more}}}]}}}}}}}}"))
    };
    for spec in [
        "config: {db_password: Tr0ub4dor-3x}".to_owned(),
        container("env: [{name: DB_PASSWORD, value: Tr0ub4dor-3x}]"),
        container("args: [--password=Tr0ub4dor-3x]"),
        container("args: [--password, Tr0ub4dor-3x]"),
        container("command: [run, --db-password, Tr0ub4dor-3x]"),
    ] {
        let outcome = bench.app("a", &spec);
        let all: Vec<&String> = outcome.errors.iter().chain(&outcome.warnings).collect();
        let found = all.iter().filter(|word| word.starts_with("secret-in-file")).count();
        assert_eq!(found, 1, "{spec}: {all:#?}");
        assert!(!all.iter().any(|word| word.contains("Tr0ub4dor")), "{spec}: {all:#?}");
    }
    for spec in [
        "config: {db_host: Tr0ub4dor-3x}".to_owned(),
        container("env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: s, key: k}}}]"),
        container("args: [--password, --verbose]"),
        container("args: [--password=$(DB_PASSWORD)]"),
    ] {
        assert_eq!(bench.app("a", &spec).errors, Vec::<String>::new(), "{spec}");
    }
}

#[test]
fn a_second_pod_does_not_restart_the_first() {
    let pods = |class: &str, count: u32| {
        let bench = Bench::of(&format!(
            "parameters:\n  count: {{type: scale, default: 1}}\nvolumes:\n  data: {{class: {class}, size: 1Gi, owner: \"1000:1000\"}}\ncomponents:\n  web: {{image: example.com/web:1.0.0, user: 1000, pods: \"{{{{ count }}}}\", mounts: {{data: /data}}}}\n"
        ));
        let outcome = bench.app("a", &format!("count: {count}"));
        outcome.object("Deployment", "a-web")["spec"]["template"].clone()
    };
    assert_eq!(pods("pure-file", 1), pods("pure-file", 3));
    assert_ne!(pods("pure-file", 1)["spec"]["affinity"], Json::Null);
    // A block volume has one pod, which has no others to keep away from.
    assert_eq!(pods("pure-block", 1)["spec"]["affinity"], Json::Null);
}

#[test]
fn a_job_follows_the_block_volumes_of_one_component_only() {
    let job = |index: &str| {
        Bench::of(&format!(
            "volumes:\n  data: {{class: pure-block, size: 1Gi, owner: \"1000:1000\"}}\n  index: {{class: {index}, size: 1Gi, owner: \"1000:1000\"}}\ncomponents:\n  web: {{image: example.com/web:1.0.0, user: 1000, mounts: {{data: /data}}}}\n  db: {{image: example.com/web:1.0.0, user: 1000, mounts: {{index: /index}}}}\njobs: {{j: {{like: web, command: [x], when: asked, mounts: {{index: /index}}}}}}\n"
        ))
        .app("a", "")
        .errors
    };
    assert_eq!(job("pure-file"), Vec::<String>::new());
    let errors = job("pure-block");
    assert!(errors.len() == 1 && errors[0].contains("different nodes"), "{errors:#?}");
}

/// The app with one exposed port, whose variable `A` is the scheme of its clients.
fn exposed(spec: &str) -> Outcome {
    Bench::of(
        "parameters:\n  host: {type: hostname, default: a.example.com}\ncomponents:\n  web: {image: example.com/web:1.0.0, user: 1000, ports: {http: 8080}, env: {A: \"{{ expose.scheme }}\"}}\nexpose:\n  web.http: {hosts: [\"{{ host }}\"], maxBody: 20Gi}\n",
    )
    .app("a", spec)
}

#[test]
fn tls_may_end_elsewhere() {
    for (spec, scheme, warns) in [
        ("", "https", false),
        ("expose: {tls: elsewhere}", "https", false),
        ("expose: {tls: false}", "http", true),
        ("expose: {via: nodePort}", "http", true),
        ("expose: {via: nodePort, tls: elsewhere}", "https", false),
        ("expose: {via: none}", "http", false),
        ("expose: {via: none, tls: elsewhere}", "https", false),
        ("expose: {via: gateway, gateway: a/b, tls: elsewhere}", "https", false),
    ] {
        let outcome = exposed(spec);
        assert_eq!(outcome.env()["A"], scheme, "{spec}");
        let plain = outcome.warnings.iter().any(|word| word.starts_with("plain-http"));
        assert_eq!(plain, warns, "{spec}: {:#?}", outcome.warnings);
    }
    let ingress = exposed("expose: {tls: elsewhere}").object("Ingress", "a-web");
    assert_eq!(ingress["spec"]["tls"], Json::Null);
}

#[test]
fn an_app_without_a_way_in_is_reached_from_inside() {
    let from = |spec: &str| {
        let policy = exposed(spec).object("NetworkPolicy", "a-web");
        policy["spec"]["ingress"].clone()
    };
    let ports = serde_json::json!([{"port": "http", "protocol": "TCP"}]);
    let only = |namespaces: Json| serde_json::json!([{"from": namespaces, "ports": ports}]);
    let infra = serde_json::json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "infra"}}}]);
    let every_pod = serde_json::json!([{"namespaceSelector": {}}]);
    assert_eq!(from("expose: {via: none}"), only(every_pod));
    assert_eq!(from("expose: {via: none}, network: {from: [infra]}"), only(infra.clone()));
    assert_eq!(from("network: {from: [infra]}"), only(infra));
    assert_eq!(from(""), serde_json::json!([{"ports": ports}]), "any client");
}

#[test]
fn limits_of_an_unknown_ingress_class_are_advised_on() {
    let advised =
        |spec: &str| exposed(spec).warnings.iter().any(|word| word.starts_with("ingress-limit"));
    assert!(advised(""));
    for quiet in [
        "expose: {class: nginx}",
        "expose: {annotations: {example.com/body: 20g}}",
        "expose: {via: gateway, gateway: a/b}",
        "expose: {via: none}",
    ] {
        assert!(!advised(quiet), "{quiet}");
    }
    let annotations = |class: &str| {
        let ingress = exposed(&format!("expose: {{class: {class}}}")).object("Ingress", "a-web");
        ingress["metadata"]["annotations"].clone()
    };
    let nginx = annotations("nginx");
    assert_eq!(nginx["nginx.ingress.kubernetes.io/proxy-body-size"], "20480m");
    assert_eq!(nginx["nginx.ingress.kubernetes.io/proxy-request-buffering"], "off");
    assert_eq!(annotations("haproxy")["nginx.ingress.kubernetes.io/proxy-body-size"], Json::Null);
}

#[test]
fn settings_of_any_type_show_no_secret() {
    let bench = Bench::new("parameters:\n  config: {type: map, of: {type: any}}\n");
    for secret in [
        "{mail_smtppassword: hunter2}",
        "{a: {b: {db_password: hunter2}}}",
        "{a: [{db_password: hunter2}]}",
        "{db_password: [hunter2]}",
        "{x: \"mysql://app:sesame@db/app\"}",
        "{db_password: 123456}",
    ] {
        let outcome = bench.app("a", &format!("config: {secret}"));
        let all: Vec<&String> = outcome.errors.iter().chain(&outcome.warnings).collect();
        assert!(all.len() == 1 && all[0].starts_with("secret-in-file"), "{secret}: {all:#?}");
        assert!(!all[0].contains("hunter2") && !all[0].contains("sesame"), "{all:#?}");
    }
    for setting in
        ["{db_host: hunter2}", "{token_auth_enforced: true}", "{password_policy: {length: 12}}"]
    {
        assert_eq!(bench.app("a", &format!("config: {setting}")).errors, Vec::<String>::new());
    }
}
