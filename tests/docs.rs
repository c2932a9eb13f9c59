//! Every command in the documentation is run, and prints what the page says.
//!
//! A block ` ```console ` is a transcript. A block with `file=NAME` behind its language is written
//! to that file beforehand, beside a copy of `examples/`. Blocks of YAML without a name that stand
//! alone (`spec:`) are merged over the page's first file and must be valid. A block with `from=PATH` is
//! a quotation of that file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "docs/commands.rs"]
mod commands;

const PAGES: [&str; 12] = [
    "CONTRIBUTING.md",
    "README.md",
    "docs/apps.md",
    "docs/blueprints.md",
    "docs/checks.md",
    "docs/migrate.md",
    "docs/nextcloud.md",
    "docs/node.md",
    "docs/operate.md",
    "docs/owncloud.md",
    "docs/scratch.md",
    "docs/storage.md",
];

/// Pages about one app, which is their first file. Their shell blocks are commands for its cluster.
const APP_PAGES: [&str; 3] = ["docs/nextcloud.md", "docs/owncloud.md", "docs/scratch.md"];

/// A page with a shell script, for what does not end by itself.
const SCRIPTED: &str = "docs/simulator.md";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What a page quotes stands in the file, line by line.
#[test]
fn quotations_are_true() {
    let mut quoted = 0;
    for page in pages() {
        for block in blocks(&fs::read_to_string(&page).expect("a page")) {
            let Some(path) = &block.from else { continue };
            let file = fs::read_to_string(root().join(path)).expect("a file");
            let is_there = format!("\n{file}").contains(&format!("\n{}", block.text));
            assert!(is_there, "{}:{}: {path} has no such lines", page.display(), block.line);
            quoted += 1;
        }
    }
    assert!(quoted >= 4, "only {quoted} quotations were found");
}

/// What is installed, or called, is named by a commit: a branch or tag is whatever it is today.
#[test]
fn examples_pin_what_they_run() {
    let pinned = |word: &str| word.len() == 40 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let mut seen = 0;
    for path in ["examples/ci/github.yaml", "examples/ci/gitlab.yaml", "docs/gitops.md"] {
        let text = fs::read_to_string(root().join(path)).expect("there");
        for line in
            text.lines().filter(|line| line.contains("cargo install") && line.contains("--git"))
        {
            assert!(
                line.contains("--locked") && line.contains("--rev \"$PSO_GEN\""),
                "{path}: {line}"
            );
            seen += 1;
        }
        for key in ["PSO_GEN: ", "rev: ", "uses: actions/checkout@"] {
            for line in text.lines().filter(|line| line.contains(key)) {
                let (_, word) = line.split_once(key).expect("there");
                let word = word.split_whitespace().next().unwrap_or_default().trim_matches('"');
                assert!(pinned(word), "{path}: {line}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 6);
}

struct Block {
    line: usize,
    language: String,
    file: Option<String>,
    from: Option<String>,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(""), Some(_)) => blocks.extend(open.take()),
            (_, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (Some(info), None) => {
                let language = info.split(' ').next().unwrap_or_default().to_owned();
                let named = |key| info.split(' ').find_map(|word| word.strip_prefix(key));
                let [file, from] = ["file=", "from="].map(|key| named(key).map(str::to_owned));
                open = Some(Block { line: index + 1, language, file, from, text: String::new() });
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

/// Lays a page out as a transcript with a folder of its own, and returns its blocks.
fn lay_out(page: &str, to: &Path) -> Vec<Block> {
    let text = fs::read_to_string(root().join(page)).expect("a page");
    let name = page.replace('/', "-");
    let folder = to.join(&name).with_extension("in");
    copy(&root().join("examples"), &folder.join("examples"));
    let blocks = blocks(&text);
    for block in &blocks {
        if let Some(file) = &block.file {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, &block.text).expect("written");
        }
    }
    fs::write(to.join(&name), text).expect("written");
    blocks
}

#[test]
fn transcripts_are_true() {
    let folder = tempfile::tempdir().expect("a folder");
    for page in PAGES {
        lay_out(page, folder.path());
    }
    trycmd::TestCases::new()
        .register_bin("pso-gen", Path::new(env!("CARGO_BIN_EXE_pso-gen")))
        .env("NO_COLOR", "1")
        .case(format!("{}/*.md", folder.path().display()));
}

/// What the storage document's page shows is valid in a document.
#[test]
fn parts_of_the_storage_document_are_valid() {
    let read = |path: &Path| fs::read_to_string(path).expect("text");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("storage.pso.yaml");
    let mut checked = 0;
    let page = read(&root().join("docs/storage.md"));
    let is_part = |block: &&Block| block.language == "yaml" && block.file.is_none();
    for block in blocks(&page).iter().filter(is_part) {
        let example = read(&root().join("examples/storage/storage.pso.yaml"));
        let mut document: serde_json::Value = serde_yaml::from_str(&example).expect("YAML");
        let part: serde_json::Value = serde_yaml::from_str(&block.text).expect("YAML");
        for (field, value) in part.as_object().expect("fields") {
            document["spec"][field] = value.clone();
        }
        fs::write(&path, document.to_string()).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pso-gen"));
        let output = command.arg("validate").arg(&path).output().expect("runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docs/storage.md:{}: {stderr}", block.line);
        checked += 1;
    }
    assert!(checked >= 2, "only {checked} parts were found");
}

/// The script of the simulator's page runs as it stands, and ends.
#[cfg(unix)]
#[test]
fn scripts_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let binary = Path::new(env!("CARGO_BIN_EXE_pso-gen")).parent().expect("a folder");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths([binary.to_owned()].into_iter().chain(std::env::split_paths(&path)));
    let text = fs::read_to_string(root().join(SCRIPTED)).expect("a page");
    let scripts: Vec<Block> = blocks(&text).into_iter().filter(|b| b.language == "sh").collect();
    assert!(!scripts.is_empty());
    for Block { line, text, .. } in scripts {
        let mut command = Command::new("sh");
        command.args(["-e", "-c", &text]).current_dir(folder.path());
        let output = command.env("PATH", path.as_ref().expect("paths")).output().expect("runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{SCRIPTED}:{line}: {stderr}");
        assert!(stderr.contains("1 storage document is valid"), "{SCRIPTED}:{line}: {stderr}");
        let shown = String::from_utf8_lossy(&output.stdout);
        for word in ["FlashBlade fb2", "FlashArray fa1", "page "] {
            assert!(shown.contains(word), "{SCRIPTED}:{line}: no {word:?} in {shown}");
        }
    }
}

/// The faults that the simulator's page lists are all that there are, in the form in which they are
/// written.
#[test]
fn faults_are_reported_as_they_are_written() {
    use pso_gen::simulator::{Fault, FaultRule};
    let text = fs::read_to_string(root().join(SCRIPTED)).expect("a page");
    for block in blocks(&text).iter().filter(|block| block.language == "json") {
        serde_json::from_str::<FaultRule>(&block.text).expect("a rule");
    }
    let table = text.split("| fault | |").nth(1).and_then(|rest| rest.split("\n\n").next());
    let cells = table.expect("a table").lines().skip(2).filter_map(|line| line.split('`').nth(1));
    let listed: Vec<String> = cells
        .map(|cell| {
            let fault: Fault = serde_json::from_str(cell).unwrap_or_else(|e| panic!("{cell}: {e}"));
            format!("{fault:?}").split(' ').next().unwrap_or_default().to_owned()
        })
        .collect();
    let error = serde_json::from_str::<Fault>("\"no\"").expect_err("no fault").to_string();
    // serde lists what it would take.
    assert_eq!(error.matches('`').count() / 2 - 1, listed.len(), "{error}\n{listed:?}");
}

/// How a heading is called in a link, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

/// Returns the pages that are read as such: the README, and all in `docs`.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|word| word == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// Lines outside of blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_block = false;
    text.lines().filter(move |line| {
        let fence = line.starts_with("```");
        in_block ^= fence;
        !fence && !in_block
    })
}

/// Every link to a file leads to one, and to a heading that it has.
#[test]
fn links_lead_somewhere() {
    let mut followed = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for link in prose(&text).flat_map(|line| line.split("](").skip(1)) {
            let link = link.split(')').next().unwrap_or_default();
            if link.contains("://") || link.is_empty() {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let folder = page.parent().expect("a folder");
            let target = if file.is_empty() { page.clone() } else { folder.join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            if !heading.is_empty() {
                let there = fs::read_to_string(&target).expect("a page");
                let mut headings = prose(&there).filter(|line| line.starts_with('#'));
                let found = headings.any(|line| anchor(line.trim_start_matches('#')) == heading);
                assert!(found, "{}: there is no heading for {link}", page.display());
            }
            followed += 1;
        }
    }
    assert!(followed > 50, "only {followed} links were found");
}

/// The book has every page, so that no page is found by chance alone; and has it once, or mdBook makes none.
/// All Rust code of some folders.
fn code(folders: &[&str]) -> String {
    let mut text = String::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                text.push_str(&fs::read_to_string(&path).expect("text"));
            }
        }
    }
    text
}

/// Each rule of binding is held by a test, and that is there.
#[test]
fn rules_of_binding_name_tests_that_are_there() {
    let page = fs::read_to_string(root().join("docs/binding.md")).expect("there");
    let code = code(&["src", "tests"]);
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let mut seen = 0;
    for row in rows.filter(|row| !row.ends_with("| tests |")) {
        let last = row.trim_end_matches(" |").rsplit(" | ").next().expect("a column");
        let tests: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty() || last.starts_with("decision "), "{row}");
        for test in tests {
            assert!(code.contains(&format!("fn {test}()")), "there is no test {test}");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn the_book_has_every_page_once() {
    let docs = root().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).expect("a summary");
    for page in pages().iter().filter(|page| page.starts_with(&docs)) {
        let name = page.strip_prefix(&docs).expect("inside").display().to_string();
        let times = summary.matches(&format!("]({name})")).count();
        let wanted = usize::from(name != "SUMMARY.md");
        assert_eq!(times, wanted, "{name} in docs/SUMMARY.md");
    }
}

/// Nothing that a reader could type goes unchecked: shell blocks are those of [`SCRIPTED`], those of [`APP_PAGES`], and
/// the README's two commands, which `.ci/run` runs in a fresh clone.
#[test]
fn no_other_command_blocks() {
    let mut pages: Vec<PathBuf> = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    let entries = fs::read_dir(root().join("docs")).expect("docs");
    let files = entries.map(|entry| entry.expect("an entry").path());
    pages.extend(files.filter(|path| path.extension().is_some_and(|word| word == "md")));
    for page in pages {
        let name = page.strip_prefix(root()).expect("inside").display().to_string();
        let listed = PAGES.contains(&name.as_str());
        for block in blocks(&fs::read_to_string(&page).expect("a page")) {
            let Block { line, language, .. } = block;
            let good = match language.as_str() {
                "console" => listed,
                "sh" => {
                    let two = "cargo run -- render examples\ncargo test\n";
                    let of_app = APP_PAGES.contains(&name.as_str());
                    of_app || name == SCRIPTED || (name == "README.md" && block.text == two)
                }
                "json" => name == SCRIPTED,
                "yaml" | "text" | "mermaid" => true,
                _ => false,
            };
            assert!(good, "{name}:{line}: nobody runs this block of `{language}`");
        }
    }
}
