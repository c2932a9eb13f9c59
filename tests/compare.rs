//! Both sides of a comparison, `validate --since` and `diff`: what is missing on the earlier side is reported, and
//! what is there is compared.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const APP: &str = "apiVersion: pso-gen.io/v1alpha1
kind: Scratch
metadata: {name: NAME, namespace: apps}
spec: {volumes: {scratch: 20Ti}}
";
const STORAGE: &str = "apiVersion: pso-gen.io/v1alpha1
kind: Storage
metadata: {name: storage, namespace: pso-system}
spec:
  cluster: prod-a
  nodes: [10.20.0.0/16]
  arrays:
  - {name: fb1, type: FlashBlade, management: fb1.example.com, data: 10.20.9.1, id: 11111111-0000-0000-0000-000000000000, token: {secret: arrays, key: fb1}}
  - {name: fa1, type: FlashArray, management: fa1.example.com, token: {secret: arrays, key: fa1}}
  classes:
    tier: {like: pure-file, mountOptions: [nconnect=4]}
";

fn app(name: &str) -> String {
    APP.replace("NAME", name)
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(path, text).expect("written");
}

fn pso_gen(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("starts")
}

/// Runs the program; returns its exit code, standard error and standard output.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = pso_gen(folder, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("a code"), text(&output.stderr), text(&output.stdout))
}

fn git(folder: &Path, arguments: &[&str]) {
    let identity =
        ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
    let done = Command::new("git").current_dir(folder).args(identity).args(arguments).output();
    let done = done.expect("git is there");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A repository with one revision.
fn repository(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    git(folder.path(), &["init", "-q"]);
    for (path, text) in files {
        write(folder.path(), path, text);
    }
    git(folder.path(), &["add", "-A"]);
    git(folder.path(), &["commit", "-q", "-m", "first"]);
    folder
}

#[test]
fn a_broken_app_of_the_earlier_side_is_reported_and_the_others_are_compared() {
    let broken = app("a").replace("scratch: 20Ti", "scratch: 20TiB");
    let unclosed = "kind: [";
    let nothing = app("c").replace("kind: Scratch", "kind: Scrtch");
    for wrong in [broken.as_str(), unclosed, &nothing] {
        let folder = repository(&[("apps/a.pso.yaml", wrong), ("apps/b.pso.yaml", &app("b"))]);
        let root = folder.path();
        write(root, "apps/a.pso.yaml", &app("a"));
        let (code, words, _) = run(root, &["validate", "apps", "--since", "HEAD"]);
        assert_eq!(code, 0, "{words}");
        assert!(words.contains("warning[not-compared]: HEAD:apps/a.pso.yaml:"), "{words}");
        assert!(!words.contains("valid") && !words.contains("/tmp"), "{words}");
        // What could be compared is the same, and the rest is new.
        let (code, words, text) = run(root, &["diff", "HEAD", "apps", "--names"]);
        assert_eq!(code, 1, "{words}");
        assert!(text.contains("+ Deployment a-shell in apps\n"), "{text}");
        assert!(!text.contains("b-shell") && words.contains("not-compared"), "{text}{words}");

        write(root, "apps/b.pso.yaml", &app("b").replace("20Ti", "1Ti"));
        let (code, words, _) = run(root, &["validate", "apps", "--since", "HEAD"]);
        assert_eq!(code, 1, "{words}");
        assert!(words.contains("error[volume-shrinks]: spec.volumes.scratch"), "{words}");
        let (code, words, text) = run(root, &["diff", "HEAD", "apps", "--names"]);
        assert_eq!(code, 1, "{words}");
        assert!(text.contains("~ PersistentVolumeClaim b-scratch in apps\n"), "{text}");
    }
}

#[test]
fn a_revision_of_which_nothing_renders_is_no_comparison() {
    let folder = repository(&[("a.pso.yaml", &app("a").replace("20Ti", "20TiB"))]);
    let root = folder.path();
    write(root, "a.pso.yaml", &app("a"));
    let (code, words, _) = run(root, &["validate", "--since", "HEAD"]);
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("error[bad-earlier]: nothing of `HEAD` renders"), "{words}");
    let (code, words, text) = run(root, &["diff", "HEAD"]);
    assert_eq!((code, text.as_str()), (2, ""), "{words}");
    // JSON has both.
    let (_, _, json) = run(root, &["validate", "--since", "HEAD", "--format", "json"]);
    assert!(json.contains("not-compared") && json.contains("bad-earlier"), "{json}");
}

#[test]
fn an_app_that_is_broken_and_the_same_on_both_sides_but_one_is_not_the_same() {
    let folder = repository(&[
        ("apps/a.pso.yaml", &app("a").replace("20Ti", "20TiB")),
        ("apps/b.pso.yaml", &app("b")),
    ]);
    let root = folder.path();
    fs::remove_file(root.join("apps/a.pso.yaml")).expect("removed");
    let (code, words, text) = run(root, &["diff", "HEAD", "apps"]);
    assert_eq!((code, text.as_str()), (2, ""), "{words}");
    assert!(words.contains("the others could not be compared"), "{words}");
}

#[test]
fn an_app_that_had_ended_is_compared() {
    let ended = app("a").replace("spec: {", "spec: {expires: 2020-02-03, ");
    let folder = repository(&[("apps/a.pso.yaml", &ended), ("apps/b.pso.yaml", &app("b"))]);
    let root = folder.path();
    let longer = ended.replace("2020-02-03", "2999-02-03");
    write(root, "apps/a.pso.yaml", &longer);
    let (code, words, _) = run(root, &["validate", "apps", "--since", "HEAD"]);
    assert_eq!((code, words.as_str()), (0, "2 apps are valid\n"));
    write(root, "apps/a.pso.yaml", &longer.replace("20Ti", "1Ti"));
    let (code, words, _) = run(root, &["validate", "apps", "--since", "HEAD"]);
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("volume-shrinks") && !words.contains("not-compared"), "{words}");
}

#[test]
fn rules_of_today_do_not_count_for_the_earlier_side() {
    // Two apps on one host: refused, and yet what was applied.
    let web = "apiVersion: pso-gen.io/v1alpha1\nkind: NextCloud\nmetadata: {name: NAME, namespace: apps}\nspec: {host: h.example.com}\n";
    let (a, b) = (web.replace("NAME", "a"), web.replace("NAME", "b"));
    let folder = repository(&[("a.pso.yaml", &a), ("b.pso.yaml", &b)]);
    let root = folder.path();
    write(root, "b.pso.yaml", &b.replace("h.example.com", "b.example.com, volumes: {data: 1Ti}"));
    let (code, words, _) = run(root, &["validate", "--since", "HEAD"]);
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("volume-shrinks") && !words.contains("not-compared"), "{words}");
}

#[test]
fn settings_are_of_today_and_those_of_the_earlier_side_have_a_flag() {
    let folder = repository(&[
        ("apps/a.pso.yaml", &app("a")),
        ("env.yaml", "spec: {volumes: {scratch: 30Ti}}\n"),
    ]);
    let root = folder.path();
    let set = ["diff", "HEAD", "apps", "--set", "spec.volumes.scratch=21Ti"];
    let (code, _, text) = run(root, &set);
    assert_eq!(code, 1);
    assert!(text.contains("-      storage: 20Ti\n+      storage: 21Ti\n"), "{text}");
    let (code, words, _) =
        run(root, &["validate", "apps", "--since", "HEAD", "--set", "spec.volumes.scratch=1Ti"]);
    assert_eq!(code, 1, "{words}");
    let both = [&set[..], &["--set-earlier", "spec.volumes.scratch=21Ti"]].concat();
    assert_eq!(run(root, &both).0, 0);
    // Layers are those of each side, the namespace is that of both.
    let layered = ["diff", "HEAD", "apps", "-f", "env.yaml"];
    assert_eq!(run(root, &layered).0, 0);
    write(root, "env.yaml", "spec: {volumes: {scratch: 31Ti}}\n");
    let (code, _, text) = run(root, &layered);
    assert_eq!(code, 1);
    assert!(text.contains("-      storage: 30Ti\n+      storage: 31Ti\n"), "{text}");
    write(root, "n.pso.yaml", &app("n").replace(", namespace: apps", ""));
    git(root, &["add", "-A"]);
    git(root, &["commit", "-q", "-m", "second"]);
    assert_eq!(run(root, &["diff", "HEAD", "n.pso.yaml", "-n", "elsewhere"]).0, 0);
    // A value that only `--set` has.
    let web =
        "apiVersion: pso-gen.io/v1alpha1\nkind: NextCloud\nmetadata: {name: w, namespace: apps}\n";
    write(root, "w.pso.yaml", web);
    git(root, &["add", "-A"]);
    git(root, &["commit", "-q", "-m", "third"]);
    let set = ["diff", "HEAD", "w.pso.yaml", "--set", "spec.host=w.example.com"];
    let (code, words, _) = run(root, &set);
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("--set-earlier"), "{words}");
    assert_eq!(run(root, &[&set[..], &["--set-earlier", "spec.host=w.example.com"]].concat()).0, 0);
}

#[test]
fn what_is_no_earlier_output_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    write(root, "apps/a.pso.yaml", &app("a"));
    write(root, "apps/named-otherwise.yaml", &app("x"));
    write(root, "others/pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n");
    write(root, "empty/note.txt", "nothing\n");
    let refused = |since: &str, wanted: &str| {
        let diff = ["diff", since, "apps/a.pso.yaml"];
        let validate = ["validate", "apps/a.pso.yaml", "--since", since];
        for arguments in [&diff[..], &validate] {
            let (code, words, text) = run(root, arguments);
            let wrong = if words.contains("bad-earlier") && arguments == validate { 1 } else { 2 };
            assert_eq!((code, text.as_str()), (wrong, ""), "{since}: {words}");
            assert!(words.contains(wanted), "{since}: {words}");
        }
    };
    refused("apps", "holds app files (a.pso.yaml) instead of output");
    refused("apps/a.pso.yaml", "holds app files");
    refused("others", "and no other output of pso-gen");
    refused("empty", "holds no output to compare with");
    // App files beside output are no objects.
    assert_eq!(run(root, &["render", "apps/a.pso.yaml", "--out", "apps"]).0, 0);
    let (code, words, text) = run(root, &["diff", "apps", "apps/a.pso.yaml"]);
    assert_eq!((code, text.as_str()), (0, ""), "{words}");
    // Output of other apps is most often the wrong folder.
    write(root, "b.pso.yaml", &app("b"));
    let (code, words, _) = run(root, &["validate", "b.pso.yaml", "--since", "apps"]);
    assert_eq!(code, 0);
    assert!(words.contains("`apps` has none of today's"), "{words}");
}

#[test]
fn what_a_storage_document_must_keep_is_refused_by_since() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let installed = format!(
        "{STORAGE}  provisioner: {{image: registry.example.com/pso-gen@sha256:{}}}\n",
        "0".repeat(64)
    );
    let id = "id: 11111111-0000-0000-0000-000000000000";
    for (number, storage) in [STORAGE, installed.as_str()].iter().enumerate() {
        let out = format!("out{number}");
        write(root, "s.pso.yaml", storage);
        let (code, words, _) = run(root, &["render", "s.pso.yaml", "--out", &out]);
        assert_eq!(code, 0, "{words}");
        let cases: &[(&str, &str, &str)] = &[
            (
                "cluster: prod-a",
                "cluster: prod-b",
                "spec.cluster: the cluster's name cannot change from `prod-a` to `prod-b`",
            ),
            ("name: fb1, ", "name: fb2, ", "the array's name cannot change from `fb1` to `fb2`"),
            (
                "  - {name: fa1, type: FlashArray, management: fa1.example.com, token: {secret: arrays, key: fa1}}\n",
                "",
                "array `fa1` is no longer listed",
            ),
            (
                "data: 10.20.9.1",
                "data: 10.20.9.2",
                "`data` of array `fb1` cannot change from `10.20.9.1` to `10.20.9.2`",
            ),
            (
                "data: 10.20.9.1, ",
                "",
                "`data` of array `fb1` cannot change from `10.20.9.1` to the value that the array reports",
            ),
            (id, "id: 22222222-0000-0000-0000-000000000000", "`id` of array `fb1` cannot change"),
            (
                "name: fa1, type: FlashArray",
                "name: fa1, type: FlashBlade",
                "`type` of array `fa1` cannot change",
            ),
        ];
        for (from, to, wanted) in cases {
            assert!(storage.contains(from), "{from}");
            write(root, "s.pso.yaml", &storage.replace(from, to));
            let (code, words, _) = run(root, &["validate", "s.pso.yaml", "--since", &out]);
            assert_eq!(code, 1, "{to}: {words}");
            assert!(words.contains(wanted), "{wanted}: {words}");
            assert!(words.contains("error[immutable-change]: spec."), "{words}");
            assert!(words.contains("--> s.pso.yaml:"), "{words}");
        }
        // What may change.
        let free: &[(&str, &str)] = &[
            ("management: fa1.example.com", "management: fa1.example.org"),
            ("key: fa1", "key: fa2"),
            ("nodes: [10.20.0.0/16]", "nodes: [10.20.0.0/16, 10.21.0.0/16]"),
            (
                "key: fb1}}",
                "key: fb1}}\n  - {name: fb2, type: FlashBlade, management: fb2.example.com, token: {secret: arrays, key: fb2}}",
            ),
            // Kubernetes lets mount options change, and growth.
            ("nconnect=4", "nconnect=8"),
            ("nconnect=4]", "nconnect=4], expansion: false"),
        ];
        for (from, to) in free {
            assert!(storage.contains(from), "{from}");
            write(root, "s.pso.yaml", &storage.replace(from, to));
            let (code, words, _) = run(root, &["validate", "s.pso.yaml", "--since", &out]);
            assert_eq!((code, words.contains("error")), (0, false), "{to}: {words}");
        }
        // What Kubernetes does not let change.
        for (from, to) in [
            ("nconnect=4]", "nconnect=4], waitForPod: true"),
            ("nconnect=4]", "nconnect=4], reclaimPolicy: Retain"),
            ("nconnect=4]", "nconnect=4], exportRules: [{clients: 10.0.0.0/16}]"),
        ] {
            write(root, "s.pso.yaml", &storage.replace(from, to));
            let (code, words, _) = run(root, &["validate", "s.pso.yaml", "--since", &out]);
            assert_eq!(code, 1, "{to}: {words}");
            assert!(words.contains("StorageClass tier"), "{words}");
        }
    }
    // Output of earlier versions has no annotation, and the document in the ConfigMap.
    let class = root.join("out1/storage/storageclass-pure-file.yaml");
    let text = fs::read_to_string(&class).expect("there");
    let old: Vec<_> = text
        .lines()
        .filter(|line| !line.contains("pso-gen.io/cluster") && !line.contains("pso-gen.io/arrays"))
        .collect();
    assert!(old.len() < text.lines().count());
    fs::write(&class, old.join("\n")).expect("written");
    write(root, "s.pso.yaml", &installed.replace("cluster: prod-a", "cluster: prod-b"));
    let (code, words, _) = run(root, &["validate", "s.pso.yaml", "--since", "out1"]);
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("the cluster's name cannot change"), "{words}");
}

#[test]
fn a_claim_of_another_app_is_seen_in_the_run_and_in_the_earlier_output() {
    let cloud = "apiVersion: pso-gen.io/v1alpha1\nkind: NextCloud\nmetadata: {name: nc, namespace: apps}\nspec: {host: h.example.com}\n";
    let on = |name: &str, claim: &str| {
        app(name).replace("scratch: 20Ti", &format!("scratch: {{claim: {claim}}}"))
    };
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    write(root, "apps/nc.pso.yaml", cloud);
    assert_eq!(run(root, &["render", "apps", "--out", "out"]).0, 0);
    // Another app's live database, mounted by a scratch space.
    write(root, "s.pso.yaml", &on("s", "nc-db"));
    for arguments in [
        &["validate", "apps", "s.pso.yaml"][..],
        &["render", "apps", "s.pso.yaml"],
        &["validate", "s.pso.yaml", "--since", "out"],
    ] {
        let (code, words, text) = run(root, arguments);
        assert_eq!((code, text.as_str()), (1, ""), "{words}");
        assert!(
            words.contains("error[claim-shared]: spec.volumes.scratch: claim `nc-db`"),
            "{words}"
        );
    }
    // Another namespace has claims of its own.
    write(root, "s.pso.yaml", &on("s", "nc-db").replace("namespace: apps", "namespace: other"));
    assert_eq!(run(root, &["validate", "apps", "s.pso.yaml"]).0, 0);
    let (code, words, _) = run(root, &["validate", "s.pso.yaml", "--since", "out"]);
    assert_eq!((code, words.contains("claim-shared")), (0, false), "{words}");
    // Scratch spaces share an existing data set; an app does not keep its data there.
    write(root, "both/s.pso.yaml", &on("s", "set"));
    write(root, "both/t.pso.yaml", &on("t", "set"));
    assert_eq!(run(root, &["validate", "both"]).0, 0);
    let with =
        cloud.replace("host: h.example.com", "host: h.example.com, volumes: {data: {claim: set}}");
    write(root, "both/nc.pso.yaml", &with);
    let (code, words, _) = run(root, &["validate", "both"]);
    assert_eq!(code, 1, "{words}");
    // With each of the two.
    assert_eq!(words.matches("error[claim-shared]").count(), 2, "{words}");
    // The same app is not another one.
    write(root, "apps/nc.pso.yaml", &cloud.replace("h.example.com", "i.example.com"));
    let (code, words, _) = run(root, &["validate", "apps", "--since", "out"]);
    assert_eq!(code, 0, "{words}");
}
