//! Where an app's pods may open connections to, by the NetworkPolicies that are rendered with them: nowhere
//! near an array, or where a cloud gives out credentials.

use std::fs;
use std::path::Path;
use std::process::Command;

use ipnet::IpNet;
use serde_json::Value as Json;

const STORAGE: &str = "
apiVersion: pso-gen.io/v1alpha1
kind: Storage
metadata: {name: pso, namespace: pso-system}
spec:
  cluster: a
  nodes: [10.20.0.0/16]
  arrays:
    - {name: fb1, type: FlashBlade, management: \"10.20.8.1:8443\", data: 10.20.9.1, token: {secret: one, key: fb1}}
    - {name: fb2, type: FlashBlade, management: fb2.example.com, data: \"fd00:20::1\", networks: [10.21.0.0/24], token: {secret: one, key: fb2}}
    - {name: fa1, type: FlashArray, management: \"[fd00:20::2]:443\", networks: [10.22.0.0/24, \"fd00:22::/64\"], token: {secret: one, key: fa1}}
  provisioner:
    image: registry.example.com/pso-gen:0.1.0
    network: {kubernetesApi: {networks: [10.20.0.0/28]}}
";
const ARRAYS: [&str; 9] = [
    "10.20.8.1",
    "10.20.9.1",
    "fd00:20::1",
    "10.21.0.1",
    "10.21.0.255",
    "fd00:20::2",
    "10.22.0.1",
    "10.22.0.7",
    "fd00:22::7",
];
const METADATA: [&str; 9] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fe80::1",
];
const PORTS: [i64; 8] = [22, 80, 111, 443, 2049, 3260, 8443, 20048];
/// What an app may need: a mail server, another site, by IPv6 too.
const OUTSIDE: [(&str, i64); 4] =
    [("203.0.113.5", 443), ("10.99.0.1", 587), ("2001:db8::1", 443), ("10.20.9.2", 443)];

fn render(inputs: &[&Path], more: &[&str]) -> Vec<Json> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pso-gen"));
    command.arg("render").args(inputs).args(more);
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_yaml::from_multiple(&String::from_utf8(output.stdout).expect("text")).expect("YAML")
}

/// A pod that an object makes: its name, namespace and labels.
struct Pod<'o> {
    name: &'o str,
    namespace: &'o Json,
    labels: &'o Json,
}

fn pods(objects: &[Json]) -> Vec<Pod<'_>> {
    objects.iter().filter_map(pod).collect()
}

fn pod(object: &Json) -> Option<Pod<'_>> {
    let spec = &object["spec"];
    let template = match object["kind"].as_str()? {
        "CronJob" => &spec["jobTemplate"]["spec"]["template"],
        "Deployment" | "StatefulSet" | "Job" => &spec["template"],
        _ => return None,
    };
    let name = object["metadata"]["name"].as_str()?;
    let namespace = &object["metadata"]["namespace"];
    Some(Pod { name, namespace, labels: &template["metadata"]["labels"] })
}

/// Whether policies let a pod reach a port, as Kubernetes defines it.
/// <https://kubernetes.io/docs/concepts/services-networking/network-policies/>
fn reaches(objects: &[Json], pod: &Pod<'_>, address: &str, port: i64) -> bool {
    let address: IpNet = address.parse::<std::net::IpAddr>().expect("an address").into();
    let network = |text: &Json| text.as_str().expect("text").parse::<IpNet>().expect("a network");
    let policies = objects.iter().filter(|object| {
        let labels = object["spec"]["podSelector"]["matchLabels"].as_object();
        object["kind"] == "NetworkPolicy"
            && object["metadata"]["namespace"] == *pod.namespace
            && labels.is_some_and(|all| all.iter().all(|(key, value)| pod.labels[key] == *value))
            && object["spec"]["policyTypes"].as_array().expect("types").contains(&"Egress".into())
    });
    let mut any = false;
    for policy in policies {
        any = true;
        for rule in policy["spec"]["egress"].as_array().into_iter().flatten() {
            let mut ports = rule["ports"].as_array().into_iter().flatten();
            let by_port = rule["ports"].is_null()
                || ports.any(|each| each["port"] == port && each["protocol"] == "TCP");
            let by_peer = rule["to"].is_null()
                || rule["to"].as_array().into_iter().flatten().any(|peer| {
                    let block = &peer["ipBlock"];
                    let mut except = block["except"].as_array().into_iter().flatten();
                    !block.is_null()
                        && network(&block["cidr"]).contains(&address)
                        && !except.any(|except| network(except).contains(&address))
                });
            if by_port && by_peer {
                return true;
            }
        }
    }
    !any
}

fn with_storage() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = folder.path().join("storage.pso.yaml");
    fs::write(&storage, STORAGE).expect("written");
    (folder, storage)
}

fn example(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

#[test]
fn no_pod_of_an_app_reaches_an_array_or_metadata() {
    let (_folder, storage) = with_storage();
    let mut seen = 0;
    for name in ["tiny", "full", "static-site"] {
        let alone = render(&[&example(name)], &[]);
        let with = render(&[&example(name), &storage], &[]);
        for (is_with, objects) in [(false, &alone), (true, &with)] {
            let pods = pods(objects);
            let pods = pods.iter().filter(|pod| *pod.namespace != "pso-system");
            for pod in pods {
                seen += 1;
                let arrays = ARRAYS.iter().filter(|_| is_with);
                for (address, port) in
                    arrays.chain(&METADATA).flat_map(|a| PORTS.map(|port| (a, port)))
                {
                    // Where the Kubernetes API is not known, its port is open to the step that fills Secrets.
                    if !is_with && pod.name.contains("-secrets-") && port == 443 {
                        continue;
                    }
                    let reaches = reaches(objects, pod, address, port);
                    assert!(!reaches, "{name}: {} reaches {address}:{port}", pod.name);
                }
            }
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn open_components_reach_the_outside_and_databases_do_not() {
    let (_folder, storage) = with_storage();
    let objects = render(&[&example("tiny"), &storage], &[]);
    let (mut open, mut closed) = (Vec::new(), Vec::new());
    for pod in pods(&objects).iter().filter(|pod| *pod.namespace != "pso-system") {
        let component = pod.labels["app.kubernetes.io/component"].as_str().expect("a component");
        let reached =
            OUTSIDE.iter().filter(|(address, port)| reaches(&objects, pod, address, *port));
        match reached.count() {
            0 => closed.push(component),
            4 => open.push(component),
            _ => panic!("{component} reaches some of it"),
        }
        assert!(reaches(&objects, pod, "169.254.20.10", 53), "{component}: DNS of the node");
    }
    open.sort_unstable();
    open.dedup();
    closed.sort_unstable();
    closed.dedup();
    assert_eq!(open, ["cron", "occ", "shell", "web"]);
    assert_eq!(closed, ["backup", "db", "redis", "restore", "secrets"]);
    let api = pods(&objects);
    let secrets = api.iter().find(|pod| pod.name.contains("-secrets-")).expect("a step");
    assert!(reaches(&objects, secrets, "10.20.0.1", 6443));
    assert!(!reaches(&objects, secrets, "10.20.0.1", 22));
}

#[test]
fn what_an_app_asks_for_has_no_array_in_it() {
    let (_folder, storage) = with_storage();
    let app = example("tiny/scratch.pso.yaml");
    let asked = ["--set", "spec.network.egress=closed", "--set", "spec.network.to=[10.0.0.0/8]"];
    let except = ["--set", "spec.network.except=[10.5.0.0/16]"];
    let objects = render(
        &[&app, &storage],
        &[asked, [except[0], except[1], "--set", "spec.replicas=1"]].concat(),
    );
    let pods = pods(&objects);
    let pod = pods.iter().find(|pod| *pod.namespace != "pso-system").expect("a pod");
    assert!(reaches(&objects, pod, "10.4.0.1", 443));
    for address in ["10.5.0.1", "10.20.9.1", "10.21.0.1", "203.0.113.5"] {
        assert!(!reaches(&objects, pod, address, 443), "{address}");
    }
}
