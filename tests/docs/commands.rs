//! Pages about an app: its parts of a `spec` are valid, and its commands for `kubectl` name objects, containers, labels and
//! keys that the app has.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// What an app has, as commands name it.
#[derive(Default)]
struct Names {
    /// `kind/name`, in lower case.
    objects: BTreeSet<String>,
    containers: BTreeSet<String>,
    labels: BTreeSet<String>,
    /// Keys of its Secrets.
    keys: BTreeSet<String>,
}

impl Names {
    /// Reads the objects that the first file of a page renders.
    fn of_page(page: &str, folder: &Path) -> Self {
        Self::with_layer(page, folder, "spec: {}\n")
    }

    /// Reads the objects that the first file of a page renders with these settings over its own.
    fn with_layer(page: &str, folder: &Path, layer: &str) -> Self {
        let blocks = lay_out(page, folder);
        let inside = folder.join(page.replace('/', "-")).with_extension("in");
        let first = blocks.into_iter().find_map(|block| block.file).expect("a file");
        fs::write(inside.join("layer.yaml"), layer).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pso-gen"));
        let output = command
            .current_dir(&inside)
            .args(["render", &first, "-f", "layer.yaml"])
            .output()
            .expect("runs");
        assert!(output.status.success(), "{page}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let objects: Vec<Value> = serde_yaml::from_multiple(&text).expect("YAML");
        let mut names = Self::default();
        for object in &objects {
            names.add(object);
        }
        names
    }

    fn add(&mut self, object: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = match text(&object["kind"]).to_lowercase().as_str() {
            "persistentvolumeclaim" => "pvc".to_owned(),
            kind => kind.to_owned(),
        };
        let name = text(&object["metadata"]["name"]);
        if kind == "statefulset" {
            self.objects.insert(format!("pod/{name}-0"));
        }
        self.objects.insert(format!("{kind}/{name}"));
        for (key, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
            self.labels.insert(format!("{key}={}", text(value)));
        }
        let spec = &object["spec"];
        let pod = [&spec["template"]["spec"], &spec["jobTemplate"]["spec"]["template"]["spec"]];
        let lists = pod.iter().flat_map(|pod| [&pod["initContainers"], &pod["containers"]]);
        for container in lists.filter_map(Value::as_array).flatten() {
            self.containers.insert(text(&container["name"]));
            // The step that fills a Secret gets each key with its length.
            for word in container["args"].as_array().into_iter().flatten().map(text) {
                self.keys.extend(word.split_once('=').map(|(key, _)| key.to_owned()));
            }
        }
    }

    /// Returns the first name in a script that the app does not have, and how many names were looked up.
    fn unknown(&mut self, script: &str) -> (Option<String>, usize) {
        let words: Vec<&str> = script.split_whitespace().collect();
        let mut seen = 0;
        let kinds =
            ["deployment", "statefulset", "cronjob", "job", "pod", "secret", "pvc", "namespace"];
        for (at, word) in words.iter().enumerate() {
            let before = |steps: usize| at.checked_sub(steps).map_or("", |at| words[at]);
            let mut wanted = Vec::new();
            if before(2) == "create" && before(1) == "job" {
                self.objects.insert(format!("job/{word}"));
            }
            let object = word.strip_prefix("--from=").unwrap_or(word);
            if let Some((kind, _)) = object.split_once('/').filter(|(kind, _)| kinds.contains(kind))
            {
                wanted.push((&self.objects, format!("{kind}/{}", &object[kind.len() + 1..])));
            }
            // `get secret NAME`; `get pod -l …` names no object.
            if ["get", "patch", "delete"].contains(&before(2))
                && kinds.contains(&before(1))
                && !word.starts_with('-')
            {
                wanted.push((&self.objects, format!("{}/{word}", before(1))));
            }
            if before(1) == "-i" {
                wanted.push((&self.objects, format!("pod/{word}")));
            }
            if before(1) == "-c" && before(2) != "bash" {
                wanted.push((&self.containers, (*word).to_owned()));
            }
            if before(1) == "-l" {
                wanted.extend(word.split(',').map(|label| (&self.labels, label.to_owned())));
            }
            if let Some(key) = word.split("{.data.").nth(1).and_then(|rest| rest.split('}').next())
            {
                wanted.push((&self.keys, key.to_owned()));
            }
            if let Some(rest) = word.split(r#""stringData":{""#).nth(1) {
                wanted.push((&self.keys, rest.split('"').next().unwrap_or_default().to_owned()));
            }
            seen += wanted.len();
            if let Some((_, name)) = wanted.iter().find(|(known, name)| !known.contains(name)) {
                return (Some(name.clone()), seen);
            }
        }
        (None, seen)
    }
}

/// What a page shows of a `spec` is taken by the app that the page is about.
#[test]
fn fragments_are_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    // A volume of one blueprint is none of another's: one of the two takes it.
    let two = ["examples/tiny/owncloud.pso.yaml", "examples/tiny/nextcloud.pso.yaml"];
    check_fragments("docs/apps.md", &two, 6, folder.path());
    for page in APP_PAGES {
        let text = fs::read_to_string(root().join(page)).expect("a page");
        let first = blocks(&text).into_iter().find_map(|block| block.file).expect("a file");
        check_fragments(page, &[&first], 2, folder.path());
    }
}

/// Fails unless one of the apps takes each fragment of a page, of which there are at least some.
fn check_fragments(page: &str, apps: &[&str], least: usize, folder: &Path) {
    let blocks = lay_out(page, folder);
    let inside = folder.join(page.replace('/', "-")).with_extension("in");
    let mut checked = 0;
    for block in blocks.iter().filter(|block| block.text.starts_with("spec:")) {
        fs::write(inside.join("fragment.yaml"), &block.text).expect("written");
        let taken: Vec<_> = apps
            .iter()
            .map(|app| {
                let mut command = Command::new(env!("CARGO_BIN_EXE_pso-gen"));
                command.current_dir(&inside).args(["validate", app, "-f", "fragment.yaml"]);
                command.output().expect("runs")
            })
            .collect();
        let errors: Vec<_> =
            taken.iter().map(|output| String::from_utf8_lossy(&output.stderr)).collect();
        let any = taken.iter().any(|output| output.status.success());
        assert!(any, "{page}:{}: {}", block.line, errors.join("\n"));
        checked += 1;
    }
    assert!(checked >= least, "only {checked} fragments were found in {page}");
}

#[test]
fn commands_name_what_the_app_has() {
    let folder = tempfile::tempdir().expect("a folder");
    for (page, least) in APP_PAGES.iter().zip([40, 40, 8]) {
        let mut names = Names::of_page(page, folder.path());
        let text = fs::read_to_string(root().join(page)).expect("a page");
        let mut seen = 0;
        for block in blocks(&text).iter().filter(|block| block.language == "sh") {
            let (unknown, looked_up) = names.unknown(&block.text);
            assert_eq!(unknown, None, "{page}:{}: the app has no such name", block.line);
            seen += looked_up;
        }
        assert!(seen >= least, "{page}: only {seen} names were found");
    }
}

/// The commands under *Remove* name the kind of each object that the app can have.
#[test]
fn a_removal_names_every_kind() {
    let folder = tempfile::tempdir().expect("a folder");
    // What the page's own file leaves out: a Gateway, pods by load, and the budget of several pods.
    let large = "spec:\n  expose: {via: gateway, gateway: infra/public, class: ~, issuer: ~}\n  replicas: {min: 2, max: 4}\n";
    for (page, layer) in APP_PAGES.iter().zip([large, large, "spec: {}\n"]) {
        let text = fs::read_to_string(root().join(page)).expect("a page");
        let remove = text.split("\n## Remove\n").nth(1).expect("a section");
        let listed: BTreeSet<&str> = remove
            .lines()
            .filter_map(|line| line.strip_prefix("kubectl delete ")?.split_once(" -l "))
            .flat_map(|(kinds, _)| kinds.split(','))
            .collect();
        let mut objects = Names::of_page(page, folder.path()).objects;
        objects.append(&mut Names::with_layer(page, folder.path(), layer).objects);
        // Their names are in commands of their own, or in the text.
        let apart = ["pod", "secret", "namespace"];
        let kinds = objects.iter().filter_map(|object| object.split('/').next());
        let rendered: BTreeSet<&str> = kinds.filter(|kind| !apart.contains(kind)).collect();
        assert_eq!(listed, rendered, "{page}");
    }
}

#[test]
fn commands_with_other_names_are_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    for (script, wrong) in [
        ("kubectl scale deployment/cloud-wep --replicas=0", "deployment/cloud-wep"),
        ("kubectl create job one --from=cronjob/cloud-dump", "cronjob/cloud-dump"),
        ("kubectl logs job/two", "job/two"),
        ("kubectl get secret cloud-passwords", "secret/cloud-passwords"),
        ("kubectl get secret cloud-credentials -o jsonpath='{.data.password}'", "password"),
        (r#"printf '{"stringData":{"db-pass":"%s"}}'"#, "db-pass"),
        ("kubectl exec -i cloud-db-1 -c db -- true", "pod/cloud-db-1"),
        ("kubectl logs deployment/cloud-web -c php", "php"),
        (
            "kubectl delete pvc -l app.kubernetes.io/instance=clout",
            "app.kubernetes.io/instance=clout",
        ),
    ] {
        let mut names = Names::of_page("docs/nextcloud.md", folder.path());
        assert_eq!(names.unknown(script).0.as_deref(), Some(wrong), "{script}");
    }
}
