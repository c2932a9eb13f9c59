//! What Kubernetes accepts and refuses, by the tables of `tests/formats/tables`: texts with the verdict of Kubernetes'
//! own code, written by the Go program in that folder.
//!
//! Each format is held twice: what an app file, a Storage document, a layer or a setting may say ([`Format`]), and
//! what a finished object may say ([`refused`]). Where we differ from Kubernetes, it is on purpose, and the reason
//! stands here.

use std::fs;
use std::path::Path;

use pso_gen::compiler::manifest::Object;
use pso_gen::compiler::manifest::refused::refused;
use pso_gen::compiler::spec::{
    Format, Shape, go_nanoseconds, is_config_key, is_ipv6_server, is_port_name, repair, schema,
};
use pso_gen::contract::{Quantity, Seconds, thousandths};
use serde_json::{Value as Json, json};

#[expect(dead_code, reason = "only the good objects are of use here")]
#[path = "refused/table.rs"]
mod table;

/// A text with Kubernetes' verdict.
struct Line {
    text: String,
    accepted: bool,
    values: Vec<String>,
}

fn lines(name: &str) -> Vec<Line> {
    let path = format!("{}/tests/formats/tables/{name}.tsv", env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(Path::new(&path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let lines = table.lines().filter(|line| !line.starts_with("# "));
    let read = |line: &str| {
        let mut cells = line.split('\t');
        let accepted = match cells.next() {
            Some("yes") => true,
            Some("no") => false,
            other => panic!("{name}: {other:?}"),
        };
        let cell = cells.next().expect("a text");
        let text = if cell.starts_with('"') {
            serde_json::from_str(cell).expect("a JSON string")
        } else {
            cell.to_owned()
        };
        Line { text, accepted, values: cells.map(str::to_owned).collect() }
    };
    let read: Vec<Line> = lines.map(read).collect();
    assert!(read.len() >= 300, "{name}: only {} lines", read.len());
    read
}

/// Texts on which we differ from Kubernetes on purpose.
struct Exception {
    /// Why, for a user who asks.
    reason: &'static str,
    covers: fn(&str) -> bool,
}

const fn except(reason: &'static str, covers: fn(&str) -> bool) -> Exception {
    Exception { reason, covers }
}

/// What we refuse and Kubernetes accepts, and the other way round.
#[derive(Default)]
struct Exceptions {
    narrower: Vec<Exception>,
    wider: Vec<Exception>,
}

/// Holds a parser against a table. Each exception must be needed.
fn hold(name: &str, what: &str, ours: impl Fn(&str) -> bool, exceptions: &Exceptions) {
    let mut needed = Vec::new();
    let mut wrong = Vec::new();
    for line in lines(name) {
        let accepted = ours(&line.text);
        let list = match (line.accepted, accepted) {
            (true, false) => &exceptions.narrower,
            (false, true) => &exceptions.wider,
            _ => continue,
        };
        match list.iter().find(|one| (one.covers)(&line.text)) {
            Some(one) => needed.push(one.reason),
            None if accepted => wrong.push(format!("only we accept {:?}", line.text)),
            None => wrong.push(format!("only we refuse {:?}", line.text)),
        }
    }
    for one in exceptions.narrower.iter().chain(&exceptions.wider) {
        if !needed.contains(&one.reason) {
            wrong.push(format!("an exception that nothing needs: {}", one.reason));
        }
    }
    assert!(wrong.is_empty(), "{name}, {what}: {}\n{}", wrong.len(), wrong.join("\n"));
}

/// Holds what people write.
fn language(name: &str, format: Format, exceptions: &Exceptions) {
    hold(name, "the language", |text| format.accepts(text), exceptions);
}

/// Holds a field of a finished object; what is empty there, counts as not written.
fn object(
    name: &str,
    kind: &'static str,
    pointer: &'static str,
    exceptions: &Exceptions,
    value: fn(&str) -> Json,
) {
    let accepts = |text: &str| {
        let change = table::Change { kind, set: vec![(pointer, value(text))], field: None };
        Object::from_json(&change.object()).is_ok_and(|object| refused(&object).is_empty())
    };
    hold(name, pointer, accepts, exceptions);
}

fn none() -> Exceptions {
    Exceptions::default()
}

fn narrower(list: Vec<Exception>) -> Exceptions {
    Exceptions { narrower: list, wider: Vec::new() }
}

const POD: &str = "/spec/template/spec/";

fn in_pod(field: &str) -> &'static str {
    format!("{POD}{field}").leak()
}

#[test]
fn schedules() {
    let list = narrower(vec![
        except(
            "an interval is counted from the CronJob's creation: times say when a backup runs",
            |text| text.starts_with("@every"),
        ),
        except(
            "the schedule never runs: no month has that day, or a field has no number",
            |text| {
                let fields: Vec<&str> = text.split_whitespace().collect();
                fields[2].trim_start_matches('0').starts_with('3')
                    && matches!(fields[3], "2" | "feb")
                    || fields.iter().any(|field| field.trim_matches(',').is_empty())
            },
        ),
        except("a comma with nothing before or behind it is a slip", |text| {
            text.split_whitespace().flat_map(|field| field.split(',')).any(str::is_empty)
        }),
        except("what stands behind a star is not read", |text| {
            text.contains("*-") || text.contains("?-")
        }),
        except("a sign is not read", |text| text.contains('+')),
        except("a space that is not of ASCII cannot be seen", |text| !text.is_ascii()),
    ]);
    language("cron", Format::Cron, &list);
    object("cron", "CronJob", "/spec/schedule", &none(), |text| json!(text));
}

#[test]
fn time_zones() {
    object("time-zone", "CronJob", "/spec/timeZone", &none(), |text| json!(text));
}

#[test]
fn images() {
    language("image", Format::Image, &none());
    object("image", "Deployment", in_pod("containers/0/image"), &none(), |text| json!(text));
}

fn has_no_digit(text: &str) -> bool {
    !text.trim_end_matches(|c: char| c.is_ascii_digit()).contains(|c: char| c.is_ascii_digit())
        && !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
        || !text.contains(|c: char| c.is_ascii_digit())
}

const NO_DIGIT: Exception =
    except("a quantity without a number is a slip, and Kubernetes reads it as 0", has_no_digit);

#[test]
fn quantities() {
    let too_large = except("it is more than any machine or array has", |text| {
        thousandths(text).is_some_and(|amount| amount > 1 << 100)
            || Quantity::bytes_of(text).is_some_and(|bytes| bytes > 1 << 62)
    });
    let fraction = except("a fraction of one byte is a slip: megabytes are meant, `M`", |text| {
        Quantity::bytes_of(text) == Some(1)
    });
    language("amount-memory", Format::Amount, &narrower(vec![NO_DIGIT, too_large]));
    let too_large = except("it is more than any machine or array has", |text| {
        Quantity::bytes_of(text).is_some_and(|bytes| bytes > 1 << 62)
    });
    let cpus = narrower(vec![
        NO_DIGIT,
        except("a number of CPUs is `2`, `0.5` or `250m`, as in every manual", |text| {
            text.bytes().any(|b| !b.is_ascii_digit() && b != b'.' && b != b'm')
        }),
        except("it is no CPU, or more than any machine has", |text| {
            thousandths(text).is_some_and(|amount| amount == 0 || amount >= 10_000_000)
        }),
        except("a thousandth is the least that Kubernetes shares", |text| text.ends_with('m')),
    ]);
    language("amount-memory", Format::Cpu, &cpus);
    language("claim-size", Format::Quantity, &narrower(vec![fraction, too_large]));
    let list = narrower(vec![NO_DIGIT]);
    let resources = in_pod("containers/0/resources");
    object(
        "amount-memory",
        "Deployment",
        resources,
        &list,
        |text| json!({"limits": {"memory": text}}),
    );
    let list = narrower(vec![
        NO_DIGIT,
        except(
            "Kubernetes counts devices in thousandths, in 63 bits: what is more overflows",
            |text| thousandths(text).is_some_and(|amount| amount > i64::MAX as u128),
        ),
    ]);
    object(
        "amount-device",
        "Deployment",
        resources,
        &list,
        |text| json!({"limits": {"example.com/gpu": text}}),
    );
    object(
        "claim-size",
        "PersistentVolumeClaim",
        "/spec/resources/requests/storage",
        &none(),
        |text| json!(text),
    );
}

#[test]
fn quantities_have_the_value_that_kubernetes_reads() {
    let mut compared = 0;
    for line in lines("quantity").iter().filter(|line| line.accepted && !has_no_digit(&line.text)) {
        let [units, thousandth] = line.values.as_slice() else {
            panic!("{:?} has no value", line.text)
        };
        let is_negative = line.text.starts_with('-');
        let (Ok(units), Ok(thousandth)) = (units.parse::<u128>(), thousandth.parse::<u128>())
        else {
            assert!(is_negative || thousandths(&line.text).is_some_and(|amount| amount > 1 << 100));
            continue;
        };
        if is_negative {
            continue;
        }
        // Sizes are counted in 63 bits. Kubernetes bounds what has a binary suffix by itself.
        let bytes = u64::try_from(units.min(i64::MAX as u128)).expect("in 63 bits");
        assert_eq!(Quantity::bytes_of(&line.text), Some(bytes), "bytes of {:?}", line.text);
        if units < i64::MAX as u128 {
            assert_eq!(thousandths(&line.text), Some(thousandth), "thousandths of {:?}", line.text);
        }
        compared += 1;
    }
    assert!(compared > 150, "{compared}");
}

#[test]
fn durations() {
    // The language has durations of its own: whole seconds, minutes, hours and days. None reaches Kubernetes as text.
    let list = Exceptions {
        narrower: vec![except(
            "one number and one unit: a reader compares such durations at a glance",
            |text| go_nanoseconds(text).is_some(),
        )],
        wider: vec![
            except("days, since snapshots and backups are kept for days", |text| {
                text.ends_with('d')
            }),
            except(
                "a number alone is seconds, as in every field of Kubernetes that ends with `Seconds`",
                |text| text.bytes().all(|b| b.is_ascii_digit()),
            ),
        ],
    };
    language("duration", Format::Duration, &list);
    for line in lines("duration") {
        let value = line.accepted.then(|| line.values[0].parse::<i64>().expect("a number"));
        assert_eq!(go_nanoseconds(&line.text), value, "{:?}", line.text);
        if let (Some(Seconds(seconds)), Some(value)) = (Seconds::parse(&line.text), value) {
            assert_eq!(i64::from(seconds) * 1_000_000_000, value, "{:?}", line.text);
        }
    }
}

#[test]
fn names() {
    let dns = except("DNS has no label of more than 63 characters", |text| {
        text.split('.').any(|label| label.len() > 63)
    });
    let digits = except("a host of digits only is taken for an address", |text| {
        !text.contains(|c: char| c.is_ascii_lowercase())
    });
    language("name", Format::Name, &none());
    language("subdomain", Format::Subdomain, &none());
    let stars = except("each host is written: requests and certificates are per host", |text| {
        text.starts_with("*.")
    });
    language("ingress-host", Format::Hostname, &narrower(vec![dns, digits, stars]));
    object("name", "Deployment", in_pod("containers/0/name"), &none(), |text| json!(text));
    object("subdomain", "ConfigMap", "/metadata/name", &none(), |text| json!(text));
    object("service-name", "Service", "/metadata/name", &none(), |text| json!(text));
    object(
        "service-name",
        "Ingress",
        "/spec/rules/0/http/paths/0/backend/service/name",
        &none(),
        |text| json!(text),
    );
}

#[test]
fn hosts() {
    object("ingress-host", "Ingress", "/spec/rules/0/host", &none(), |text| json!(text));
    object("certificate-host", "Ingress", "/spec/tls/0/hosts/0", &none(), |text| json!(text));
    let list = narrower(vec![except(
        "the Gateway API forbids addresses, and its schema does not see them",
        |text| text.split('.').count() == 4 && !text.contains(|c: char| c.is_ascii_lowercase()),
    )]);
    object("route-host", "HTTPRoute", "/spec/hostnames/0", &list, |text| json!(text));
    object("route-duration", "HTTPRoute", "/spec/rules/0/timeouts/request", &none(), |text| {
        json!(text)
    });
}

#[test]
fn addresses() {
    language("cidr", Format::Cidr, &none());
    object(
        "cidr",
        "NetworkPolicy",
        "/spec/egress/0/to/0/ipBlock",
        &none(),
        |text| json!({"cidr": text}),
    );
    object(
        "ip",
        "Deployment",
        in_pod("hostAliases"),
        &none(),
        |text| json!([{"ip": text, "hostnames": ["a"]}]),
    );
}

#[test]
fn labels() {
    language("label-key", Format::LabelKey, &none());
    language("label-value", Format::Label, &none());
    let upper = except(
        "a key is written in one way: Kubernetes keeps upper case in a prefix, and compares it",
        |text| text.contains(|c: char| c.is_ascii_uppercase()),
    );
    language("annotation-key", Format::LabelKey, &narrower(vec![upper]));
    object("label-key", "ConfigMap", "/metadata/labels", &none(), |text| json!({text: ""}));
    object("label-value", "ConfigMap", "/metadata/labels", &none(), |text| json!({"a": text}));
    object(
        "annotation-key",
        "ConfigMap",
        "/metadata/annotations",
        &none(),
        |text| json!({text: ""}),
    );
    object("label-key", "Deployment", in_pod("nodeSelector"), &none(), |text| json!({text: ""}));
}

#[test]
fn ports_variables_and_keys() {
    hold("port-name", "a port of a blueprint", is_port_name, &none());
    hold("config-key", "a key of a Secret", is_config_key, &none());
    let shell = except("programs and shells read letters, digits and `_` only", |text| {
        text.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            || text.starts_with(|c: char| c.is_ascii_digit())
    });
    language("variable", Format::Variable, &narrower(vec![shell]));
    let empty = Exceptions {
        narrower: Vec::new(),
        wider: vec![except("an empty name counts as none", str::is_empty)],
    };
    object("port-name", "Deployment", in_pod("containers/0/ports/0/name"), &empty, |text| {
        json!(text)
    });
    object("port-name", "Service", "/spec/ports/0/targetPort", &none(), |text| json!(text));
    object("port-name", "NetworkPolicy", "/spec/egress/0/ports/0/port", &none(), |text| {
        json!(text)
    });
    object("variable", "Deployment", in_pod("containers/0/env/0/name"), &none(), |text| {
        json!(text)
    });
    object("config-key", "ConfigMap", "/data", &none(), |text| json!({text: ""}));
    object(
        "config-key",
        "Deployment",
        in_pod("containers/0/env/0"),
        &none(),
        |text| json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": text}}}),
    );
}

#[test]
fn nfs_volumes() {
    object(
        "nfs-server",
        "Deployment",
        in_pod("volumes/0"),
        &none(),
        |text| json!({"name": "data", "nfs": {"server": text, "path": "/a"}}),
    );
    object(
        "nfs-path",
        "Deployment",
        in_pod("volumes/0"),
        &none(),
        |text| json!({"name": "data", "nfs": {"server": "a", "path": text}}),
    );
}

/// Before Kubernetes 1.36, the name of a Service began with a letter: `check` refuses other names for these.
#[test]
fn names_of_services_differ_between_versions_only_by_the_first_character() {
    for (new, old) in lines("service-name").iter().zip(lines("service-name-1035")) {
        assert_eq!(new.text, old.text);
        let begins_with_a_letter = new.text.starts_with(|c: char| c.is_ascii_lowercase());
        assert_eq!(old.accepted, new.accepted && begins_with_a_letter, "{:?}", new.text);
    }
}

/// An editor underlines what the program refuses, and nothing else, as far as a regular expression goes.
#[test]
fn schemas_say_what_the_program_says() {
    for (name, format, is_exact) in [
        ("cron", Format::Cron, false),
        ("image", Format::Image, false),
        ("amount-memory", Format::Amount, false),
        ("amount-memory", Format::Cpu, false),
        ("claim-size", Format::Quantity, false),
        ("duration", Format::Duration, false),
        ("name", Format::Name, true),
        ("subdomain", Format::Subdomain, true),
        ("ingress-host", Format::Hostname, true),
        ("cidr", Format::Cidr, false),
        ("label-key", Format::LabelKey, false),
        ("label-value", Format::Label, true),
        ("variable", Format::Variable, true),
    ] {
        let json = schema("Text", &Shape::text("", format));
        let validator = jsonschema::validator_for(&json).expect("a JSON Schema");
        let mut wrong = Vec::new();
        for line in lines(name) {
            let (ours, editor) =
                (format.accepts(&line.text), validator.is_valid(&json!(line.text)));
            if ours && !editor || is_exact && editor && !ours {
                wrong.push(format!("{:?}: program {ours}, schema {editor}", line.text));
            }
        }
        assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
    }
}

/// A remedy is one: what it says to write is accepted.
#[test]
fn remedies_are_accepted() {
    let mut remedies = 0;
    for (name, format) in [
        ("cron", Format::Cron),
        ("image", Format::Image),
        ("amount-memory", Format::Amount),
        ("amount-memory", Format::Cpu),
        ("claim-size", Format::Quantity),
        ("duration", Format::Duration),
        ("name", Format::Name),
        ("subdomain", Format::Subdomain),
        ("ingress-host", Format::Hostname),
        ("cidr", Format::Cidr),
        ("label-key", Format::LabelKey),
        ("label-value", Format::Label),
        ("variable", Format::Variable),
    ] {
        for line in lines(name).iter().filter(|line| !format.accepts(&line.text)) {
            let Some(remedy) = repair(format, &line.text) else { continue };
            let Some((_, written)) = remedy.split_once("write `") else { continue };
            let written = written.split('`').next().expect("a text");
            assert!(format.accepts(written), "{name}: {:?}: {remedy}", line.text);
            remedies += 1;
        }
    }
    assert!(remedies > 500, "{remedies}");
}

/// A format of our own: Kubernetes has no field for a server outside a pod.
#[test]
fn servers() {
    let good = [
        "mariadb.databases.svc",
        "mariadb",
        "db.example.com",
        "10.30.0.7",
        "3com",
        "10.1.2.x3",
        "localhost.example.com",
        "1-2",
    ];
    let bad = [
        "127.0.0.1",
        "127.8.9.1",
        "0.0.0.0",
        "localhost",
        "db.localhost",
        "10.1.2.300",
        "10.1.2",
        "42",
        "db.example.com:3306",
        "fd00::5",
        "Db",
        "",
        "a..b",
    ];
    let schema = schema("server", &Shape::text("", Format::Server));
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for (texts, verdict) in [(&good[..], true), (&bad[..], false)] {
        for text in texts {
            assert_eq!(Format::Server.accepts(text), verdict, "{text:?}");
            assert_eq!(validator.is_valid(&json!(text)), verdict, "an editor: {text:?}");
        }
    }
    assert!(!Format::Server.accepts("010.1.2.3"), "resolvers differ in how they read it");
    assert!(is_ipv6_server("fd00::5"));
    for text in ["::1", "::", "::ffff:10.0.0.1", "db"] {
        assert!(!is_ipv6_server(text), "{text:?}");
    }
}
