//! The program among files, pipes and Git, as a user runs it.
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const APP: &str = "apiVersion: pso-gen.io/v1alpha1
kind: Scratch
metadata: {name: s, namespace: apps}
spec: {replicas: 1}
";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }
    folder
}

fn pso_gen(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("starts")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn tree(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.push(path.strip_prefix(root).expect("inside").display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_folder_holds_one_file_for_each_object_and_nothing_stale() {
    let folder =
        folder(&[("s.pso.yaml", APP), ("t.pso.yaml", &APP.replace("name: s,", "name: t,"))]);
    let root = folder.path();
    assert_eq!(code(&pso_gen(root, &["render", "--out", "out"])), 0);
    let stranger = root.join("out/apps/s/notes.txt");
    fs::write(&stranger, "mine").expect("written");
    let all = tree(&root.join("out"));
    assert!(all.contains(&"apps/s/deployment-s-shell.yaml".to_owned()), "{all:?}");
    assert!(all.contains(&"apps/namespace-apps.yaml".to_owned()), "{all:?}");

    fs::remove_file(root.join("t.pso.yaml")).expect("removed");
    let stale = pso_gen(root, &["render", "--out", "out", "--check"]);
    assert_eq!(code(&stale), 1);
    assert!(words(&stale).contains("apps/t/deployment-t-shell.yaml"), "{}", words(&stale));
    assert_eq!(tree(&root.join("out")), all, "`--check` writes nothing");

    assert_eq!(code(&pso_gen(root, &["render", "--out", "out"])), 0);
    let left = tree(&root.join("out"));
    assert!(left.iter().all(|path| !path.starts_with("apps/t/")), "{left:?}");
    assert!(stranger.exists(), "what others wrote stays");
    assert_eq!(code(&pso_gen(root, &["render", "--out", "out", "--check"])), 0);
}

#[test]
fn with_an_error_nothing_is_written() {
    let folder = folder(&[("s.pso.yaml", APP)]);
    let root = folder.path();
    assert_eq!(code(&pso_gen(root, &["render", "--out", "out"])), 0);
    let before = tree(&root.join("out"));
    let bad =
        APP.replace("name: s,", "name: b,").replace("replicas: 1", "replicas: 1, tools: none");
    fs::write(root.join("b.pso.yaml"), bad).expect("written");
    fs::write(root.join("s.pso.yaml"), APP.replace("replicas: 1", "replicas: 5")).expect("written");
    let output = pso_gen(root, &["render", "--out", "out"]);
    assert_eq!(code(&output), 1);
    assert_eq!(tree(&root.join("out")), before);
    let deployment =
        fs::read_to_string(root.join("out/apps/s/deployment-s-shell.yaml")).expect("there");
    assert!(deployment.contains("replicas: 1\n"), "the old file is untouched");

    let stdout = pso_gen(root, &["render"]);
    assert_eq!((code(&stdout), stdout.stdout.len()), (1, 0));
}

#[test]
fn an_index_that_leads_outside_is_not_followed() {
    let folder = folder(&[
        ("apps/s.pso.yaml", APP),
        ("precious.txt", "keep me"),
        ("apps/out/.pso-gen.index", r#"{"files": ["../../precious.txt", "/etc/hostname"]}"#),
    ]);
    let root = folder.path();
    assert_eq!(code(&pso_gen(&root.join("apps"), &["render", "--out", "out"])), 0);
    assert!(root.join("precious.txt").exists());
}

/// Returns what a command prints on a terminal; none without the program `script` (util-linux), which makes one.
fn on_a_terminal(folder: &Path, term: &str, arguments: &str) -> Option<String> {
    let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_pso-gen"));
    let mut script = Command::new("script");
    script.current_dir(folder).args(["-q", "-e", "-c", &command, "/dev/null"]);
    let output = script.env("TERM", term).env_remove("NO_COLOR").stdin(Stdio::null()).output();
    match output {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).replace('\r', "")),
        Err(error) => {
            eprintln!("SKIPPED: no terminal to print on: `script`: {error}");
            None
        }
    }
}

#[test]
fn a_stream_on_a_terminal_ends_with_what_it_holds() {
    let folder = folder(&[("one.pso.yaml", APP)]);
    let ends = "rendered 1 app; `--out DIR` writes one file for each object below a folder\n";
    if let Some(printed) = on_a_terminal(folder.path(), "xterm", "render one.pso.yaml") {
        assert!(printed.contains("kind: Deployment") && printed.ends_with(ends), "{printed}");
    }
    let piped = pso_gen(folder.path(), &["render", "one.pso.yaml"]);
    assert_eq!((code(&piped), words(&piped).as_str()), (0, ""), "a pipe gets nothing beside it");
}

#[test]
fn a_terminal_without_escape_sequences_gets_none() {
    let folder = folder(&[("bad.pso.yaml", &APP.replace("replicas: 1", "replicas: x"))]);
    let printed = |term| on_a_terminal(folder.path(), term, "validate bad.pso.yaml");
    if let (Some(plain), Some(coloured)) = (printed("dumb"), printed("xterm")) {
        assert!(plain.contains("error[") && !plain.contains('\x1b'), "{plain}");
        assert!(coloured.contains("\x1b["), "{coloured}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let folder =
        folder(&[("s.pso.yaml", APP), ("a/t.pso.yaml", &APP.replace("name: s,", "name: t,"))]);
    let first = pso_gen(folder.path(), &["render"]).stdout;
    assert!(!first.is_empty());
    for _ in 0..3 {
        assert_eq!(pso_gen(folder.path(), &["render"]).stdout, first);
    }
}

#[test]
fn standard_input_is_a_file_like_others() {
    let folder = folder(&[]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .current_dir(folder.path())
        .args(["render", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let bad = APP.replace("replicas", "replica");
    child.stdin.take().expect("piped").write_all(bad.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(code(&output), 1);
    assert!(words(&output).contains("<stdin>:4:8"), "{}", words(&output));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = folder(&[("s.pso.yaml", APP)]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .current_dir(folder.path())
        .args(["schema", "nextcloud"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert_eq!((code(&output), words(&output).as_str()), (0, ""));
}

#[test]
fn colours_are_for_terminals() {
    let folder = folder(&[("s.pso.yaml", &APP.replace("replicas", "replica"))]);
    let output = pso_gen(folder.path(), &["render"]);
    assert!(!words(&output).contains('\u{1b}'));
}

fn git(folder: &Path, arguments: &[&str]) {
    let identity =
        ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
    let done = Command::new("git")
        .current_dir(folder)
        .args(identity)
        .args(arguments)
        .output()
        .expect("git is there");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_git_revision_is_rendered_and_compared_with() {
    let folder = folder(&[("apps/s.pso.yaml", APP)]);
    let root = folder.path();
    git(root, &["init", "-q"]);
    assert_eq!(code(&pso_gen(root, &["render", "apps", "--out", "out"])), 0);
    git(root, &["add", "-A"]);
    git(root, &["commit", "-q", "-m", "first"]);
    let same = pso_gen(root, &["diff", "HEAD", "apps"]);
    assert_eq!((code(&same), same.stdout.len()), (0, 0));

    fs::write(root.join("apps/s.pso.yaml"), APP.replace("replicas: 1", "replicas: 3"))
        .expect("written");
    for since in ["HEAD", "HEAD:out", "out"] {
        let output = pso_gen(root, &["diff", since, "apps"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(code(&output), 1, "{since}: {}", words(&output));
        assert!(text.contains("-  replicas: 1\n+  replicas: 3\n"), "{since}: {text}");
    }
    // From inside the folder, too.
    assert_eq!(code(&pso_gen(&root.join("apps"), &["diff", "HEAD"])), 1);
    let shrunk = APP.replace("replicas: 1", "replicas: 1, volumes: {scratch: 1Ti}");
    fs::write(root.join("apps/s.pso.yaml"), shrunk).expect("written");
    let output = pso_gen(root, &["validate", "apps", "--since", "HEAD"]);
    assert_eq!(code(&output), 1);
    assert!(words(&output).contains("error[volume-shrinks]"), "{}", words(&output));
    assert_eq!(code(&pso_gen(root, &["diff", "no-such-revision", "apps"])), 2);
    assert_eq!(code(&pso_gen(root, &["diff", "HEAD:nowhere", "apps"])), 2);
    // A revision that looks like a flag is a revision that does not exist.
    assert_eq!(code(&pso_gen(root, &["diff", "--", "--output=/tmp/x", "apps"])), 2);
}

#[test]
fn expired_apps_are_deleted_and_others_left() {
    let expired = APP.replace("replicas: 1", "replicas: 1, expires: 2026-12-24");
    let both = format!("{expired}---\n{}", APP.replace("name: s,", "name: t,"));
    let folder =
        folder(&[("old.pso.yaml", &expired), ("both.pso.yaml", &both), ("s.pso.yaml", APP)]);
    let root = folder.path();
    let output = pso_gen(root, &["expired", "--today", "2026-12-25", "--delete"]);
    assert_eq!(code(&output), 1, "one could not be deleted");
    assert_eq!(tree(root), ["both.pso.yaml", "s.pso.yaml"]);
    assert!(words(&output).contains("both.pso.yaml"), "{}", words(&output));
    assert_eq!(code(&pso_gen(root, &["expired", "--today", "2026-12-24"])), 0);
}

#[test]
fn init_never_replaces_a_file() {
    let folder = folder(&[("s.pso.yaml", "mine")]);
    let output = pso_gen(folder.path(), &["init", "Scratch", "--name", "s"]);
    assert_eq!(code(&output), 2);
    assert_eq!(fs::read_to_string(folder.path().join("s.pso.yaml")).expect("there"), "mine");
    let output = pso_gen(folder.path(), &["init", "Scratch", "--name", "t", "--namespace", "apps"]);
    assert_eq!(code(&output), 0, "{}", words(&output));
    assert_eq!(code(&pso_gen(folder.path(), &["render", "t.pso.yaml"])), 0);
}

#[test]
fn links_are_not_followed_and_ignored_files_are_left_out() {
    let folder = folder(&[
        ("apps/s.pso.yaml", APP),
        ("apps/.gitignore", "draft.pso.yaml\n"),
        ("apps/draft.pso.yaml", "not: [yaml"),
        ("elsewhere/x.pso.yaml", "not: [yaml"),
    ]);
    let root = folder.path();
    #[cfg(unix)]
    std::os::unix::fs::symlink(root.join("elsewhere"), root.join("apps/link")).expect("linked");
    let output = pso_gen(root, &["validate", "apps"]);
    assert_eq!(code(&output), 0, "{}", words(&output));
    #[cfg(unix)]
    {
        // One that is named like an app is not left out without a word.
        std::os::unix::fs::symlink(root.join("nowhere"), root.join("apps/l.pso.yaml"))
            .expect("linked");
        let output = pso_gen(root, &["render", "apps"]);
        assert_eq!((code(&output), output.stdout.len()), (2, 0));
        assert!(words(&output).contains("apps/l.pso.yaml is a link"), "{}", words(&output));
    }
}

#[test]
fn thousands_of_apps_are_one_stream_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    for number in 0..700 {
        let app = APP.replace("name: s,", &format!("name: s{number:04},"));
        fs::write(folder.path().join(format!("{number:04}.pso.yaml")), app).expect("written");
    }
    let output = pso_gen(folder.path(), &["render"]);
    assert_eq!((code(&output), words(&output).as_str()), (0, ""));
    let text = String::from_utf8(output.stdout).expect("text");
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  name: ")?.strip_suffix("-shell"))
        .collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names.len(), 1400, "a Deployment and a NetworkPolicy each");
    assert_eq!(names, sorted);
    assert_eq!(text.matches("kind: Namespace").count(), 1, "shared by all");
}

#[test]
fn completions_and_manual_pages_are_there() {
    let folder = folder(&[]);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = pso_gen(folder.path(), &["completions", shell]);
        assert!(code(&output) == 0 && output.stdout.len() > 1000, "{shell}");
    }
    assert_eq!(code(&pso_gen(folder.path(), &["man", "--out", "man"])), 0);
    assert!(tree(&folder.path().join("man")).contains(&"pso-gen-render.1".to_owned()));
}

/// The command of `plugin.yaml`, in an Application's folder.
#[test]
fn the_plugin_renders_the_folder_it_is_in() {
    let text = include_str!("../plugin.yaml");
    let (_, command) = text.split_once("    command: [pso-gen, ").expect("a command");
    let (words, _) = command.split_once(']').expect("a list");
    let arguments: Vec<&str> = words.split(", ").collect();
    let good = folder(&[("s.pso.yaml", APP), ("notes.txt", "not ours")]);
    let output = pso_gen(good.path(), &arguments);
    assert_eq!(code(&output), 0);
    assert!(String::from_utf8_lossy(&output.stdout).contains("\nkind: Deployment\n"));
    // Empty output with exit code 0 would have Argo CD prune everything.
    for files in [&[][..], &[("s.pso.yaml", "")][..], &[("s.pso.yaml", "kind: Scratch")][..]] {
        let output = pso_gen(folder(files).path(), &arguments);
        assert_eq!((code(&output), output.stdout.len()), (1, 0), "{files:?}");
    }
}

/// `pso-gen simulate` as a process, over plain http.
struct Simulator {
    process: std::process::Child,
    announced: serde_json::Value,
}

impl Simulator {
    fn start(arguments: &[&str]) -> Self {
        use std::io::{BufRead as _, BufReader};
        let mut process = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
            .args(["simulate", "--http", "--format", "json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        Self { process, announced: serde_json::from_str(&line).expect("JSON") }
    }

    fn url(&self, array: usize) -> &str {
        self.announced["arrays"][array]["url"].as_str().expect("a url")
    }

    /// Sends a request and returns the whole answer, with its head.
    fn ask(url: &str, request: &str, headers: &[(&str, &str)], body: &str) -> String {
        use std::io::Read as _;
        let address = url.trim_start_matches("http://");
        let mut stream = std::net::TcpStream::connect(address).expect("listens");
        let headers: Vec<String> = headers.iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
        let headers = headers.concat();
        let length = body.len();
        let head = format!(
            "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        write!(stream, "{head}{body}").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer
    }

    /// Sends a request to the first array, a FlashBlade, within a session of its own.
    fn talk(&self, request: &str, body: &str) -> String {
        let token = self.announced["arrays"][0]["token"].as_str().expect("a token");
        let login = Self::ask(self.url(0), "POST /api/login", &[("api-token", token)], "");
        let session = login.lines().find_map(|line| line.strip_prefix("x-auth-token: "));
        let session = [("x-auth-token", session.expect("let in"))];
        let answer = Self::ask(self.url(0), request, &session, body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{request}: {answer}");
        answer
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // As `kill -9` does.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn simulated_arrays_answer_until_they_are_ended() {
    let simulator = Simulator::start(&["--flasharrays", "2"]);
    let arrays = simulator.announced["arrays"].as_array().expect("a list");
    let kinds: Vec<_> = arrays.iter().map(|array| &array["kind"]).collect();
    assert_eq!(kinds, ["FlashBlade", "FlashArray", "FlashArray"]);
    let get = |url: &str, path: &str| Simulator::ask(url, &format!("GET {path}"), &[], "");
    let url = |index| simulator.url(index);
    assert!(get(url(0), "/api/api_version").contains(r#""versions":["2.0""#));
    assert!(get(url(1), "/api/api_version").contains(r#""version":["2.0""#));
    assert!(get(url(2), "/api/2.56/volumes").starts_with("HTTP/1.1 401"));
    let page = simulator.announced["page"].as_str().expect("a page");
    assert!(get(page, "/").contains("<h1>Simulated arrays</h1>"));
    assert!(get(page, "/state").contains(r#""path":"/api/2.56/volumes""#));
}

#[test]
fn simulated_arrays_outlive_a_kill_in_their_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("arrays.jsonl").display().to_string();
    let made = {
        let simulator = Simulator::start(&["--state", &file]);
        for name in ["a", "b", "c"] {
            let request = format!("POST /api/2.28/file-systems?names={name}");
            simulator.talk(&request, r#"{"provisioned":4096}"#);
        }
        simulator.talk("PATCH /api/2.28/file-systems?names=b", r#"{"destroyed":true}"#);
        simulator.talk("POST /api/2.28/file-system-snapshots?source_names=a", "");
        simulator.talk("GET /api/2.28/file-systems?names=a,c", "")
    };
    let text = std::fs::read_to_string(&file).expect("kept");
    assert!(!text.contains("T-0000") && !text.contains("session-"), "no secrets: {text}");
    // The last write may have been cut off: it was never answered.
    fs::write(&file, text + r#"{"array":"fb1","now":17"#).expect("written");
    let body = |answer: &str| answer.split("\r\n\r\n").nth(1).expect("a body").to_owned();
    for _ in 0..2 {
        let simulator = Simulator::start(&["--state", &file]);
        let there = simulator.talk("GET /api/2.28/file-systems?names=a,c", "");
        assert_eq!(body(&there), body(&made), "with the same ids and times");
        let gone = simulator.talk("GET /api/2.28/file-systems?destroyed=true", "");
        assert!(gone.contains(r#""name":"b""#), "{gone}");
        let taken = simulator.talk("GET /api/2.28/file-system-snapshots", "");
        assert!(taken.contains(r#""name":"a.s"#), "{taken}");
    }
    let others = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .args(["simulate", "--http", "--state", &file, "--flashblades", "2"])
        .output()
        .expect("runs");
    assert_eq!(others.status.code(), Some(2));
    let output = String::from_utf8_lossy(&others.stderr);
    assert!(output.contains("is of other arrays, or of other settings"), "{output}");
}

#[test]
fn the_provisioner_says_what_it_cannot_start_with() {
    let app = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/tiny/nextcloud.pso.yaml");
    let storage = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/storage/storage.pso.yaml");
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
            .arg("provisioner")
            .args(arguments)
            .output()
            .expect("runs");
        assert!(output.stdout.is_empty());
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (code, output) = run(&["--storage", app]);
    assert_eq!(code, Some(1));
    assert!(
        output.contains("error[unknown-kind]") && output.contains("nextcloud.pso.yaml:2:7"),
        "{output}"
    );
    for (arguments, expected) in [
        (&["--storage", "/nowhere.yaml"][..], "cannot read /nowhere.yaml"),
        (
            &["--storage", storage, "--kubeconfig", "/nowhere"],
            "cluster of /nowhere: failed to read kubeconfig",
        ),
        (&["--storage", storage, "--lease", "x"], "pso-system/pso-gen"),
        (&["--storage", storage, "--log", "pso_gen=loud"], "--log"),
    ] {
        let (code, output) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {output}");
        assert!(output.contains(expected), "{arguments:?}: {output}");
    }
}

const TOKEN: &str = "T-00000000-1111-2222-3333-555555555555";

/// Values of the old chart with one array.
fn old_values() -> String {
    format!(
        "clusterID: prod\narrays:\n  FlashArrays:\n    - {{MgmtEndPoint: fa1.example.com, APIToken: {TOKEN}}}\n"
    )
}

#[test]
fn tokens_of_old_values_go_into_the_secret_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder(&[("values.yaml", &old_values())]);
    let root = folder.path();
    let output = pso_gen(root, &["import-pso", "values.yaml"]);
    assert_eq!(code(&output), 0, "{}", words(&output));
    assert!(!words(&output).contains(TOKEN) && output.stdout.is_empty());
    assert!(words(&output).contains("keep it out of Git"), "{}", words(&output));
    let document = fs::read_to_string(root.join("storage.pso.yaml")).expect("written");
    assert!(!document.contains(TOKEN), "{document}");
    let secret = root.join("arrays.secret.yaml");
    assert!(fs::read_to_string(&secret).expect("written").contains(&format!("fa1: {TOKEN}")));
    let mode = fs::metadata(&secret).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let valid = pso_gen(root, &["validate"]);
    assert_eq!(code(&valid), 0, "{}", words(&valid));

    // What is there stays, and nothing is half done.
    fs::write(&secret, "mine").expect("written");
    fs::remove_file(root.join("storage.pso.yaml")).expect("removed");
    let again = pso_gen(root, &["import-pso", "values.yaml"]);
    assert_eq!(code(&again), 2);
    assert!(words(&again).contains("arrays.secret.yaml already exists"), "{}", words(&again));
    assert_eq!(tree(root), ["arrays.secret.yaml", "values.yaml"]);
    assert_eq!(code(&pso_gen(root, &["import-pso", "values.yaml", "--force"])), 0);
    assert_ne!(fs::read_to_string(&secret).expect("there"), "mine");
    let mode = fs::metadata(&secret).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn no_secret_is_written_where_git_would_keep_it() {
    let folder = folder(&[("values.yaml", &old_values())]);
    let root = folder.path();
    let init = Command::new("git").args(["init", "--quiet"]).current_dir(root).status();
    assert!(init.expect("git runs").success());
    let left = |root: &Path| -> Vec<String> {
        tree(root).into_iter().filter(|path| !path.starts_with(".git/")).collect()
    };
    let refused = pso_gen(root, &["import-pso", "values.yaml", "--force"]);
    assert_eq!(code(&refused), 2);
    assert!(words(&refused).contains("Git does not ignore it"), "{}", words(&refused));
    assert_eq!(left(root), ["values.yaml"], "nothing is written");
    // When Git cannot be asked, it is not written either.
    fs::rename(root.join(".git/HEAD"), root.join(".git/HEAD-")).expect("renamed");
    fs::write(root.join(".gitignore"), "*.secret.yaml\n").expect("written");
    assert_eq!(code(&pso_gen(root, &["import-pso", "values.yaml"])), 2);
    fs::rename(root.join(".git/HEAD-"), root.join(".git/HEAD")).expect("renamed");
    assert_eq!(code(&pso_gen(root, &["import-pso", "values.yaml"])), 0);
    assert!(root.join("arrays.secret.yaml").exists());
}

#[test]
fn an_old_file_with_an_error_leaves_nothing_behind() {
    let bad = old_values() + "clusterID: twice\n";
    let folder = folder(&[("values.yaml", &bad), ("pv.json", "{\"items\": 3}")]);
    let root = folder.path();
    let output = pso_gen(root, &["import-pso", "values.yaml"]);
    assert_eq!(code(&output), 1);
    assert!(words(&output).contains("duplicate-key"), "{}", words(&output));
    fs::write(root.join("values.yaml"), old_values()).expect("written");
    let output = pso_gen(root, &["import-pso", "values.yaml", "--volumes", "pv.json"]);
    assert_eq!(code(&output), 2);
    assert!(
        words(&output).contains("pv.json: expected the output of `kubectl get pv"),
        "{}",
        words(&output)
    );
    assert_eq!(tree(root), ["pv.json", "values.yaml"]);
}

/// A cluster that does not answer is named with its address, the cause and what to try.
#[test]
fn a_cluster_that_does_not_answer_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    // A port that was free a moment ago, and that nobody listens at.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let kubeconfig = folder.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: a, cluster: {{server: 'https://127.0.0.1:{port}'}}}}]\n\
         contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\nusers: [{{name: a, user: {{}}}}]\n"
    );
    fs::write(&kubeconfig, text).expect("written");
    let storage = folder.path().join("storage.pso.yaml");
    fs::write(folder.path().join("token"), "T-1").expect("written");
    let document = format!(
        "apiVersion: pso-gen.io/v1alpha1\nkind: Storage\nmetadata: {{name: a}}\nspec:\n  cluster: a\n  nodes: [10.0.0.0/16]\n  arrays:\n  \
         - {{name: fb1, type: FlashBlade, management: '127.0.0.1:{port}', data: 10.0.0.1, token: {{file: token}}}}\n"
    );
    fs::write(&storage, document).expect("written");
    let kubeconfig = kubeconfig.to_str().expect("text");
    let storage = storage.to_str().expect("text");
    for arguments in [
        vec!["status"],
        vec!["status", "--storage", storage],
        vec!["orphans", "--storage", storage],
        vec!["demo", "--once"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
            .args(&arguments)
            .args(["--kubeconfig", kubeconfig])
            .output()
            .expect("starts");
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {words}");
        for part in [
            format!("https://127.0.0.1:{port}"),
            "refused".to_owned(),
            "kubectl config view".to_owned(),
        ] {
            assert!(words.contains(&part), "{arguments:?}: {part} is not in: {words}");
        }
        assert!(!words.contains("ServiceError"), "{words}");
    }
}

/// One set of documents, by every way in: the storage document declares the class that the app uses.
#[test]
fn the_same_documents_are_valid_by_every_way() {
    let storage = "apiVersion: pso-gen.io/v1alpha1\nkind: Storage\nmetadata: {name: storage}\nspec:\n  cluster: a\n  classes: {gold: {like: pure-block}}\n";
    let app = |class: &str| {
        format!(
            "apiVersion: pso-gen.io/v1alpha1\nkind: Scratch\nmetadata: {{name: lab, namespace: files}}\nspec: {{replicas: 1, volumes: {{scratch: {{class: {class}, size: 1Gi}}}}}}\n"
        )
    };
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str], input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pso-gen"))
            .args(args)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (class, code) in [("gold", Some(0)), ("silver", Some(1))] {
        // The app first: storage documents count wherever they stand.
        let text = format!("{}---\n{storage}", app(class));
        fs::write(folder.path().join("all.pso.yaml"), &text).expect("written");
        fs::write(folder.path().join("storage.yaml"), storage).expect("written");
        let item = |text: &str| text.replace('\n', "\n  ").trim_end().to_owned();
        let list = format!(
            "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n- {}\n- {}\n",
            item(&app(class)),
            item(storage)
        );
        let ways: [(&[&str], &str); 6] = [
            (&["validate", "all.pso.yaml"], ""),
            (&["validate", "."], ""),
            (&["validate", "-"], &text),
            (&["render", "-"], &text),
            (&["validate", "-", "--storage", "storage.yaml"], &app(class)),
            (&["fn"], &list),
        ];
        for (args, input) in ways {
            let (ended, errors) = run(args, input);
            assert_eq!(ended, code, "{args:?} with {class}: {errors}");
            assert_eq!(errors.contains("unknown-class"), class == "silver", "{args:?}: {errors}");
        }
    }
}

/// The first command of the README: each example renders by itself in `tests/stories`, and here all of them in one run.
#[test]
fn the_examples_render_together() {
    let output = pso_gen(Path::new(env!("CARGO_MANIFEST_DIR")), &["render", "examples"]);
    assert_eq!((code(&output), words(&output).as_str()), (0, ""));
}
