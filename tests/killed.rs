//! `render --out`, ended by signals while it writes: its index lists every file of its own, and the next run leaves
//! exactly what a run in an empty folder leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

const INDEX: &str = ".pso-gen.index";
const APPS: usize = 30;

/// A folder of apps whose names begin with a letter.
fn apps(root: &Path, folder: &str, first: char) {
    fs::create_dir_all(root.join(folder)).expect("made");
    for number in 0..APPS {
        let app = format!(
            "apiVersion: pso-gen.io/v1alpha1\nkind: Scratch\nmetadata: {{name: {first}{number}, namespace: apps}}\n"
        );
        fs::write(root.join(folder).join(format!("{first}{number}.pso.yaml")), app)
            .expect("written");
    }
}

fn render(root: &Path, from: &str, to: &str, more: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_pso-gen"))
        .current_dir(root)
        .args(["render", from, "--out", to])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts")
}

fn finished(child: Child) -> (ExitStatus, String) {
    let output = child.wait_with_output().expect("ends");
    (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// All files below a folder, with their texts, and folders that are empty.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(folder) = left.pop() {
        let entries: Vec<_> = fs::read_dir(&folder).expect("a folder").collect();
        let name = |path: &Path| path.strip_prefix(root).expect("below").display().to_string();
        if entries.is_empty() {
            found.insert(format!("{}/", name(&folder)), String::new());
        }
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.insert(name(&path), fs::read_to_string(&path).expect("text"));
            }
        }
    }
    found
}

/// How many apps of the new run have a file.
fn begun(out: &Path) -> usize {
    let apps = fs::read_dir(out.join("apps")).into_iter().flatten();
    apps.filter(|app| app.as_ref().is_ok_and(|a| a.file_name().to_string_lossy().starts_with('b')))
        .count()
}

#[test]
fn a_run_that_a_signal_ends_is_taken_up_by_the_next() {
    let top = tempfile::tempdir().expect("a folder");
    let root = top.path();
    apps(root, "old", 'a');
    apps(root, "new", 'b');
    let good = |from: &str, to: &str| {
        let (status, words) = finished(render(root, from, to, &[]));
        assert!(status.success(), "{words}");
    };
    good("old", "fresh-old");
    good("new", "fresh-new");
    let fresh = [tree(&root.join("fresh-old")), tree(&root.join("fresh-new"))];
    let mut stopped = 0;
    for (signal, code) in
        [(Signal::INT, Some(130)), (Signal::TERM, Some(143)), (Signal::KILL, None)]
    {
        for wanted in [1, APPS / 3, APPS - 1] {
            let out = root.join("out");
            let _ = fs::remove_dir_all(&out);
            good("old", "out");
            let mut child = render(root, "new", "out", &[]);
            let mut ended = None;
            while begun(&out) < wanted && ended.is_none() {
                thread::sleep(Duration::from_micros(200));
                ended = child.try_wait().expect("asked");
            }
            // It may have ended meanwhile.
            let _ = kill_process(Pid::from_child(&child), signal);
            let (status, words) = finished(child);
            let there = tree(&out);
            let index = &there[INDEX];
            let listed: BTreeSet<&str> =
                index.lines().filter(|line| !line.starts_with('#')).collect();
            for path in there.keys().filter(|path| *path != INDEX && !path.ends_with('/')) {
                let is_part = path == ".pso-gen.part" && signal == Signal::KILL;
                assert!(
                    is_part || listed.contains(path.as_str()),
                    "{signal:?}: {path} is in no list"
                );
            }
            if !status.success() {
                stopped += 1;
                // Before it writes, a signal ends it as any program.
                let by_signal = status.signal() == Some(signal.as_raw());
                assert!(by_signal || status.code() == code, "{status:?}: {words}");
                assert!(by_signal || words.contains("run `pso-gen render --out` again"), "{words}");
                let (status, words) = finished(render(root, "new", "out", &["--check"]));
                assert_eq!(status.code(), Some(1), "{words}");
            }
            let next = wanted % 2;
            good(["old", "new"][next], "out");
            assert!(tree(&out) == fresh[next], "{signal:?} at {wanted}");
            let (status, words) = finished(render(root, ["old", "new"][next], "out", &["--check"]));
            assert!(status.success(), "{words}");
        }
    }
    assert!(stopped >= 3, "only {stopped} runs were ended while they were at work");
}

#[test]
fn a_conflict_in_the_list_is_an_error_that_says_what_to_keep() {
    let top = tempfile::tempdir().expect("a folder");
    let root = top.path();
    apps(root, "old", 'a');
    let (status, _) = finished(render(root, "old", "out", &[]));
    assert!(status.success());
    let index = root.join("out").join(INDEX);
    let text = fs::read_to_string(&index).expect("there");
    let conflict = text.replacen(
        "apps/a0/",
        "<<<<<<< HEAD\napps/z/pod-z.yaml\n=======\napps/y/pod-y.yaml\n>>>>>>> theirs\napps/a0/",
        1,
    );
    fs::write(&index, &conflict).expect("written");
    for more in [&[][..], &["--check"]] {
        let (status, words) = finished(render(root, "old", "out", more));
        assert_eq!(status.code(), Some(2));
        assert!(words.contains("out/.pso-gen.index has a merge conflict"), "{words}");
        assert_eq!(fs::read_to_string(&index).expect("there"), conflict, "nothing is written");
    }
    let is_mark =
        |line: &&str| !["<<<<<<<", "=======", ">>>>>>>"].iter().any(|m| line.starts_with(m));
    let kept: Vec<&str> = conflict.lines().filter(is_mark).collect();
    fs::write(&index, kept.join("\n")).expect("written");
    let (status, words) = finished(render(root, "old", "out", &[]));
    assert!(status.success(), "{words}");
    assert_eq!(fs::read_to_string(&index).expect("there"), text);
}
