//! Folders and repositories that others have prepared: links, indices and configurations lead no command
//! out of where it is at work, neither reading nor writing, and start no program.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const APP: &str = "apiVersion: pso-gen.io/v1alpha1
kind: Scratch
metadata: {name: s, namespace: apps}
spec: {replicas: 1}
";
/// What stands outside, and must be neither shown nor changed.
const SESAME: &str = "spec: {sesame: open}\n";

/// A folder `here` to work in, and `outside` beside it.
fn place(files: &[(&str, &str)]) -> TempDir {
    let top = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = top.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }
    top
}

fn pso_gen(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .current_dir(folder)
        .args(arguments)
        .env("SESAME", "sesame")
        .stdin(Stdio::null())
        .output()
        .expect("starts")
}

fn words(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    )
}

#[track_caller]
fn good(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", words(output));
}

/// Refused with words, and nothing of what stands outside among them.
#[track_caller]
fn refused(output: &Output, wanted: &str) {
    let words = words(output);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{:?}: {words}", output.status);
    assert!(words.contains(wanted), "{words}");
    assert!(!words.contains("sesame") && !words.contains("panicked"), "{words}");
}

fn git(folder: &Path, arguments: &[&str]) {
    let identity =
        ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
    let done = Command::new("git").current_dir(folder).args(identity).args(arguments).output();
    let done = done.expect("git is there");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

const OUT: [&str; 4] = ["render", "app.pso.yaml", "--out", "out"];
const DEPLOYMENT: &str = "out/apps/s/deployment-s-shell.yaml";

#[test]
fn a_link_in_place_of_a_folder_is_refused_before_anything_is_written() {
    for link in ["out/apps", "out/apps/s"] {
        let top = place(&[("here/app.pso.yaml", APP), ("outside/keep", "")]);
        let (here, outside) = (top.path().join("here"), top.path().join("outside"));
        let path = here.join(link);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        symlink(&outside, &path).expect("linked");
        refused(&pso_gen(&here, &OUT), "is a link");
        refused(&pso_gen(&here, &[&OUT[..], &["--check"]].concat()), "is a link");
        assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 1, "{link}");
        assert_eq!(names(&here.join("out")), ["apps"], "{link}: what waited is gone");
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a word"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_folder_in_place_of_a_file_stops_before_anything_is_written() {
    let top = place(&[("here/app.pso.yaml", APP)]);
    let here = top.path().join("here");
    fs::create_dir_all(here.join(DEPLOYMENT)).expect("made");
    refused(&pso_gen(&here, &OUT), "directory");
    assert_eq!(names(&here.join("out/apps/s")), ["deployment-s-shell.yaml"]);
}

#[test]
fn a_link_in_place_of_a_file_is_replaced() {
    let top = place(&[("here/app.pso.yaml", APP), ("outside/file", SESAME)]);
    let (here, outside) = (top.path().join("here"), top.path().join("outside/file"));
    fs::create_dir_all(here.join("out/apps/s")).expect("made");
    for link in [DEPLOYMENT, "out/.pso-gen.index"] {
        symlink(&outside, here.join(link)).expect("linked");
    }
    good(&pso_gen(&here, &OUT));
    assert_eq!(fs::read_to_string(&outside).expect("there"), SESAME);
    for link in [DEPLOYMENT, "out/.pso-gen.index"] {
        assert!(here.join(link).symlink_metadata().expect("there").is_file(), "{link}");
    }
    good(&pso_gen(&here, &[&OUT[..], &["--check"]].concat()));
}

#[test]
fn the_folder_itself_may_be_a_link() {
    let top = place(&[("here/app.pso.yaml", APP), ("outside/keep", "")]);
    let here = top.path().join("here");
    symlink("../outside", here.join("out")).expect("linked");
    good(&pso_gen(&here, &OUT));
    assert!(top.path().join("outside/apps/s/deployment-s-shell.yaml").is_file());
}

#[test]
fn an_index_says_where_to_look_and_nothing_more() {
    let ours = {
        let top = place(&[("here/app.pso.yaml", APP)]);
        good(&pso_gen(&top.path().join("here"), &OUT));
        fs::read_to_string(top.path().join("here").join(DEPLOYMENT)).expect("there")
    };
    let top = place(&[
        ("here/app.pso.yaml", APP),
        ("here/near/deployment-s-shell.yaml", &ours),
        ("outside/deployment-s-shell.yaml", &ours),
        // Of somebody else: without our label, under another name, two objects, no YAML.
        (
            "here/out/old/deployment-x.yaml",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n",
        ),
        ("here/out/old/values.yaml", &ours),
        ("here/out/old/deployment-two.yaml", &format!("{ours}---\n{ours}")),
        ("here/out/old/notes.txt", "mine"),
        // Of an earlier run.
        ("here/out/old/deployment-s-shell.yaml", &ours),
    ]);
    let here = top.path().join("here");
    symlink("../../outside", here.join("out/away")).expect("linked");
    symlink("../../../outside/deployment-s-shell.yaml", here.join("out/old/deployment-y.yaml"))
        .expect("linked");
    let absolute = top.path().join("outside/deployment-s-shell.yaml").display().to_string();
    let index = serde_json::json!({"files": [
        "../near/deployment-s-shell.yaml", "old/../../near/deployment-s-shell.yaml", absolute,
        "/etc/hostname", "", ".", "..", "old", "old/", "/", "\u{0}", "away/deployment-s-shell.yaml",
        "old/deployment-y.yaml", "old/deployment-x.yaml", "old/values.yaml", "old/deployment-two.yaml",
        "old/notes.txt", "old/deployment-s-shell.yaml", ".pso-gen.index",
    ]});
    fs::write(here.join("out/.pso-gen.index"), index.to_string()).expect("written");
    let output = pso_gen(&here, &OUT);
    good(&output);
    assert!(words(&output).contains(" 1 removed"), "{}", words(&output));
    let old = [
        "deployment-two.yaml",
        "deployment-x.yaml",
        "deployment-y.yaml",
        "notes.txt",
        "values.yaml",
    ];
    assert_eq!(names(&here.join("out/old")), old);
    assert_eq!(names(&here.join("near")), ["deployment-s-shell.yaml"]);
    assert_eq!(names(&top.path().join("outside")), ["deployment-s-shell.yaml"]);

    fs::write(here.join("out/.pso-gen.index"), "sesame").expect("written");
    refused(&pso_gen(&here, &OUT), "remove it");
}

#[test]
fn what_one_command_writes_goes_through_no_link() {
    let values = "clusterID: k\narrays:\n  FlashArrays:\n  - MgmtEndPoint: a.example.com\n    APIToken: 5cd4c32f-4a1e-d00c-9a5b-90d6c7e8b2a1\n";
    let top =
        place(&[("here/values.yaml", values), ("outside/file", SESAME), ("here/man/keep", "")]);
    let (here, outside) = (top.path().join("here"), top.path().join("outside/file"));
    for link in ["storage.pso.yaml", "arrays.secret.yaml", "man/pso-gen.1", "scratch.pso.yaml"] {
        symlink(&outside, here.join(link)).expect("linked");
    }
    let import = ["import-pso", "values.yaml", "--nodes", "10.0.0.0/8"];
    refused(&pso_gen(&here, &import), "already exists");
    good(&pso_gen(&here, &[&import[..], &["--force"]].concat()));
    good(&pso_gen(&here, &["man", "--out", "man"]));
    refused(&pso_gen(&here, &["init", "Scratch"]), "exists");
    assert_eq!(fs::read_to_string(&outside).expect("there"), SESAME);
    assert!(here.join("storage.pso.yaml").symlink_metadata().expect("there").is_file());
    // A link that leads nowhere is there, too: its file would be made.
    fs::remove_file(here.join("storage.pso.yaml")).expect("removed");
    fs::remove_file(here.join("arrays.secret.yaml")).expect("removed");
    symlink("../outside/new", here.join("storage.pso.yaml")).expect("linked");
    refused(&pso_gen(&here, &import), "already exists");
    assert!(!top.path().join("outside/new").exists());
}

#[test]
fn links_that_lead_out_of_a_repository_are_not_read() {
    for with_git in [true, false] {
        let top = place(&[
            ("here/app.pso.yaml", APP),
            ("here/layers/good.yaml", "spec: {replicas: 3}\n"),
            ("outside/file.yaml", SESAME),
            ("outside/blueprint/blueprint.yaml", "sesame: x\n"),
        ]);
        let here = top.path().join("here");
        if with_git {
            git(&here, &["init", "-q"]);
            git(&here, &["add", "-A"]);
            git(&here, &["commit", "-q", "-m", "first"]);
        }
        symlink("layers/good.yaml", here.join("near.yaml")).expect("linked");
        for (link, target) in [
            ("away.pso.yaml", "../outside/file.yaml"),
            ("again.yaml", "away.pso.yaml"),
            ("environ.yaml", "/proc/self/environ"),
            ("environ.pso.yaml", "/proc/self/environ"),
            ("absolute.yaml", &top.path().join("outside/file.yaml").display().to_string()),
            ("folder", "../outside"),
            ("inside.yaml", ".git/config"),
        ] {
            symlink(target, here.join(link)).expect("linked");
        }
        good(&pso_gen(&here, &["render", "app.pso.yaml", "-f", "near.yaml"]));
        let mut attacks: Vec<Vec<&str>> = Vec::new();
        let files =
            ["away.pso.yaml", "again.yaml", "environ.yaml", "absolute.yaml", "folder/file.yaml"];
        for file in files {
            attacks.push(vec!["validate", file]);
            attacks.push(vec!["validate", "app.pso.yaml", "-f", file]);
            attacks.push(vec!["validate", "app.pso.yaml", "--storage", file]);
            attacks.push(vec!["validate", "app.pso.yaml", "--since", file]);
            attacks.push(vec!["diff", file, "app.pso.yaml"]);
            attacks.push(vec!["import-pso", file]);
            attacks.push(vec!["graph", file]);
            attacks.push(vec!["expired", file]);
            attacks.push(vec!["provisioner", "--storage", file, "--kubeconfig", file]);
        }
        attacks.push(vec!["render", "folder"]);
        attacks.push(vec!["render", "app.pso.yaml", "--blueprints", "folder/blueprint"]);
        attacks.push(vec!["explain", "--blueprints", "folder/blueprint"]);
        attacks.push(vec!["diff", "folder", "app.pso.yaml"]);
        if with_git {
            attacks.push(vec!["validate", "inside.yaml"]);
        }
        for attack in attacks {
            let output = pso_gen(&here, &attack);
            refused(&output, "");
            assert!(
                words(&output).contains("link that leads out"),
                "{attack:?}: {}",
                words(&output)
            );
        }
        // Found in a folder: a link is never followed, and never left out without a word.
        refused(&pso_gen(&here, &["validate", "."]), "is a link");
        // Beside an app: a folder of blueprints that leads out.
        symlink("../outside", here.join("blueprints")).expect("linked");
        refused(&pso_gen(&here, &["validate", "app.pso.yaml"]), "leads out");
    }
}

#[test]
fn what_git_leaves_out_is_read_from_files_only() {
    let top = place(&[("here/apps/a/s.pso.yaml", APP), ("here/fine/s.pso.yaml", APP)]);
    let here = top.path().join("here");
    for folder in ["apps", "apps/a"] {
        let path = here.join(folder).join(".gitignore");
        symlink("/dev/zero", &path).expect("linked");
        refused(&pso_gen(&here, &["validate", "apps"]), ".gitignore is a link");
        fs::remove_file(&path).expect("removed");
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("starts").success());
        refused(&pso_gen(&here, &["validate", "apps"]), ".gitignore is a link");
        fs::remove_file(&path).expect("removed");
    }
    good(&pso_gen(&here, &["validate", "apps"]));
}

/// A program that leaves a trace, for each place in which a configuration may name one.
fn trap(repository: &Path, trace: &Path) {
    let run = |word: &str| format!("touch {}/{word}; cat", trace.display());
    for key in [
        "core.fsmonitor",
        "core.pager",
        "core.editor",
        "core.sshCommand",
        "core.askPass",
        "core.alternateRefsCommand",
        "diff.external",
        "diff.trap.textconv",
        "diff.trap.command",
        "filter.trap.smudge",
        "filter.trap.clean",
        "filter.trap.process",
        "merge.trap.driver",
        "credential.helper",
        "alias.rev-parse",
        "alias.ls-tree",
        "alias.cat-file",
        "gpg.program",
        "uploadpack.packObjectsHook",
    ] {
        git(repository, &["config", key, &run(key)]);
    }
    git(repository, &["config", "alias.rev-parse", &format!("!{}", run("alias"))]);
    let hooks = trace.join("hooks");
    fs::create_dir_all(&hooks).expect("made");
    for hook in
        ["post-checkout", "post-index-change", "fsmonitor-watchman", "reference-transaction"]
    {
        let path = hooks.join(hook);
        fs::write(&path, format!("#!/bin/sh\ntouch {}/{hook}\n", trace.display()))
            .expect("written");
        let made = Command::new("chmod").arg("+x").arg(&path).status();
        assert!(made.expect("starts").success());
    }
    git(repository, &["config", "core.hooksPath", &hooks.display().to_string()]);
}

#[test]
fn no_program_of_a_repository_runs() {
    let top = place(&[
        ("here/app.pso.yaml", APP),
        ("here/values.yaml", "clusterID: k\n"),
        ("here/.gitattributes", "* filter=trap diff=trap merge=trap\n"),
        ("trace/keep", ""),
    ]);
    let (here, trace) = (top.path().join("here"), top.path().join("trace"));
    git(&here, &["init", "-q"]);
    git(&here, &["add", "-A"]);
    git(&here, &["commit", "-q", "-m", "first"]);
    trap(&here, &trace);
    fs::write(here.join("app.pso.yaml"), APP.replace("replicas: 1", "replicas: 2"))
        .expect("written");
    let output = pso_gen(&here, &["diff", "HEAD", "app.pso.yaml"]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(words(&output).contains("+  replicas: 2"), "{}", words(&output));
    good(&pso_gen(&here, &["validate", "app.pso.yaml", "--since", "HEAD"]));
    pso_gen(&here, &["diff", "HEAD:.", "app.pso.yaml"]);
    pso_gen(&here, &["import-pso", "values.yaml"]);
    assert_eq!(names(&trace), ["hooks", "keep"]);
}

#[test]
fn a_folder_that_passes_for_a_repository_is_none() {
    let top = place(&[("here/bare/app.pso.yaml", APP), ("trace/keep", "")]);
    let (here, trace) = (top.path().join("here"), top.path().join("trace"));
    let bare = here.join("bare");
    git(&bare, &["init", "-q"]);
    git(&bare, &["add", "-A"]);
    git(&bare, &["commit", "-q", "-m", "first"]);
    trap(&bare, &trace);
    git(&bare, &["config", "core.worktree", "."]);
    // As it lies in somebody's repository: Git would not take a folder called `.git` into one.
    for name in names(&bare.join(".git")) {
        fs::rename(bare.join(".git").join(&name), bare.join(&name)).expect("moved");
    }
    fs::remove_dir(bare.join(".git")).expect("removed");
    git(&here, &["init", "-q"]);
    for arguments in
        [&["diff", "HEAD~0", "app.pso.yaml"][..], &["diff", "HEAD~0:.", "app.pso.yaml"]]
    {
        refused(&pso_gen(&bare, arguments), "cannot use bare repository");
    }
    assert_eq!(names(&trace), ["hooks", "keep"]);
}

#[test]
fn what_a_partial_clone_has_not_got_is_not_fetched() {
    let top = place(&[("origin/app.pso.yaml", APP), ("trace/keep", "")]);
    let (origin, trace) = (top.path().join("origin"), top.path().join("trace"));
    git(&origin, &["init", "-q"]);
    git(&origin, &["config", "uploadpack.allowFilter", "true"]);
    git(&origin, &["add", "-A"]);
    git(&origin, &["commit", "-q", "-m", "first"]);
    let url = format!("file://{}", origin.display());
    git(top.path(), &["clone", "-q", "--filter=blob:none", "--no-checkout", &url, "here"]);
    let here = top.path().join("here");
    fs::write(here.join("app.pso.yaml"), APP).expect("written");
    let fetch = format!("touch {}/fetched; git-upload-pack", trace.display());
    git(&here, &["config", "remote.origin.uploadpack", &fetch]);
    for key in ["protocol.allow", "protocol.file.allow", "protocol.ext.allow"] {
        git(&here, &["config", key, "always"]);
    }
    refused(
        &pso_gen(&here, &["diff", "HEAD", "app.pso.yaml"]),
        "this clone does not contain the whole revision",
    );
    assert_eq!(names(&trace), ["keep"]);
}

#[test]
fn links_of_a_revision_are_its_files() {
    let top = place(&[
        ("here/apps/s.pso.yaml", APP),
        ("here/base/three.yaml", "spec: {replicas: 3}\n"),
        ("outside/five.yaml", "spec: {replicas: 5}\n"),
    ]);
    let here = top.path().join("here");
    symlink("base", here.join("bases")).expect("linked");
    symlink("./again.yaml", here.join("layer.yaml")).expect("linked");
    symlink("base/three.yaml", here.join("again.yaml")).expect("linked");
    symlink("loop.yaml", here.join("loop.yaml")).expect("linked");
    git(&here, &["init", "-q"]);
    git(&here, &["add", "-A"]);
    git(&here, &["commit", "-q", "-m", "first"]);
    good(&pso_gen(&here, &["diff", "HEAD", "apps", "-f", "layer.yaml"]));
    // In an old revision a link leads out: it is as if it were not there.
    fs::remove_file(here.join("layer.yaml")).expect("removed");
    symlink("../outside/five.yaml", here.join("layer.yaml")).expect("linked");
    git(&here, &["add", "-A"]);
    git(&here, &["commit", "-q", "-m", "second"]);
    fs::remove_file(here.join("layer.yaml")).expect("removed");
    fs::write(here.join("layer.yaml"), "spec: {replicas: 2}\n").expect("written");
    let output = pso_gen(&here, &["diff", "HEAD", "apps", "-f", "layer.yaml"]);
    assert!(words(&output).contains("-  replicas: 1\n+  replicas: 2\n"), "{}", words(&output));
}
