//! Servers outside an app: what its NetworkPolicies allow, and where a blocked one is reported.

use serde_json::json;

use super::*;

/// A component `web` with these further fields and these `talks`, and a parameter `NAME.host` for each name.
fn bench(fields: &str, talks: &str, parameters: &[&str]) -> Bench {
    let parameter = |name: &&str| {
        format!(
            "  {name}: {{type: object, about: x, fields: {{host: {{type: server, about: x}}}}}}\n"
        )
    };
    let parameters: String = parameters.iter().map(parameter).collect();
    let parameters =
        if parameters.is_empty() { parameters } else { format!("parameters:\n{parameters}") };
    Bench::of(&format!(
        "{parameters}components:\n  web: {{image: example.com/web:1.0.0, user: 1000, ports: {{http: 8080}}{fields}}}\ntalks: {{web: [{talks}]}}\n"
    ))
}

/// A network plugin sees the port of the pod, which may differ from the Service's.
#[test]
fn only_an_address_has_its_port_in_a_policy() {
    let talks =
        "{host: sql.data.svc, port: 3307}, {host: sql, port: 3307}, {host: 10.1.2.3, port: 3307}";
    let app = bench(", egress: closed", talks, &[]).app("a", "");
    let policy = app.object("NetworkPolicy", "a-web");
    let port = json!([{"port": 3307, "protocol": "TCP"}]);
    let labels = json!({"kubernetes.io/metadata.name": "data"});
    assert_eq!(
        policy["spec"]["egress"].as_array().expect("rules")[1..],
        [
            json!({"to": [{"namespaceSelector": {"matchLabels": labels}}]}),
            json!({"to": [{"podSelector": {}}]}),
            json!({"ports": port, "to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}]}),
        ]
    );
}

#[test]
fn a_closed_component_reaches_no_server_that_only_dns_knows() {
    let talks = "{host: db.example.com, port: 5432}";
    let network = "network: {egress: closed, to: [10.1.0.0/16]}";
    // `network.to` does not apply to a component that the blueprint closes.
    for spec in ["", network] {
        let closed = bench(", egress: closed", talks, &[]).app("a", spec);
        closed.refused(
            "server-blocked at kind: in the blueprint's `talks`, `web` has `egress: closed`",
        );
        assert_eq!(bench("", talks, &[]).app("a", spec).errors, Vec::<String>::new(), "{spec}");
    }
    bench("", talks, &[]).app("a", "network: {egress: closed}").refused("`egress: closed` blocks");
    let talks = "{host: \"{{ sql.host }}\", port: 5432}";
    let closed = bench(", egress: closed", talks, &["sql"]);
    closed
        .app("a", "sql: {host: db.example.com}")
        .refused("server-blocked at spec.sql.host: `web`");
    assert_eq!(closed.app("a", "sql: {host: db.data.svc}").errors, Vec::<String>::new());
}

#[test]
fn each_blocked_server_is_reported_at_its_own_field() {
    let talks = "{host: \"{{ one.host }}\", port: 1}, {host: \"{{ two.host }}\", port: 1}, {host: 169.254.0.9, port: 1}";
    let bench = bench("", talks, &["one", "two", "other"]);
    // Another field with the same text is not the server's.
    let spec = "other: {host: 169.254.0.9}, one: {host: 169.254.0.9}, two: {host: 169.254.0.9}";
    let errors = bench.app("a", spec).errors;
    let places: Vec<&str> = errors.iter().filter_map(|error| error.split(": ").next()).collect();
    assert_eq!(
        places,
        [
            "server-blocked at spec.one.host",
            "server-blocked at spec.two.host",
            "server-blocked at kind"
        ],
        "{errors:#?}"
    );
}
