//! The layout of `src/`: what `docs/architecture.md` allows, and nothing else.
//!
//! Reads the tables of that page and the text of every source file, without comments and unit tests.

#![allow(missing_docs, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A source file: its module path, such as `["compiler", "yaml", "read"]`, and its code.
struct Module {
    path: Vec<String>,
    code: String,
}

impl Module {
    fn name(&self) -> String {
        self.path.join("::")
    }
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path())
    {
        if entry.is_dir() {
            rust_files(&entry, files);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
}

/// All modules of the library, without unit tests and comments.
fn modules() -> Vec<Module> {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    files.sort();
    let module = |file: &PathBuf| {
        let below = file.strip_prefix(root().join("src")).expect("below").with_extension("");
        let path: Vec<_> =
            below.iter().map(|step| step.to_str().expect("text").to_owned()).collect();
        let is_test = path.iter().any(|step| step == "tests");
        let is_root = ["lib", "main"].contains(&path[0].as_str());
        (!is_test && !is_root).then(|| {
            let text = fs::read_to_string(file).expect("text");
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
            Module { path, code: lines.collect::<Vec<_>>().join("\n") }
        })
    };
    let modules: Vec<_> = files.iter().filter_map(module).collect();
    assert!(modules.len() > 200, "{} files", modules.len());
    modules
}

/// The words in backquotes of a table's cell, without the slash at their ends.
fn names(cell: &str) -> Vec<String> {
    let words = cell.split('`').skip(1).step_by(2);
    words.map(|word| word.trim_end_matches('/').to_owned()).collect()
}

/// The rows of the table with some heading, as cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(root().join("docs/architecture.md")).expect("the page");
    let lines = page.lines().skip_while(|line| *line != heading);
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| -> Vec<String> {
        row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let rows: Vec<_> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "no table {heading:?}");
    rows
}

/// The rooms, each with those that it may use; none for one that may use all.
fn rooms() -> BTreeMap<String, Option<BTreeSet<String>>> {
    let rows = table("| room | is for | must not know | may use |");
    let room = |row: Vec<String>| {
        let name = names(&row[0]).remove(0);
        let all = row[3] == "every room";
        (name, (!all).then(|| names(&row[3]).into_iter().collect()))
    };
    rows.into_iter().map(room).collect()
}

/// The room that a module path belongs to: the innermost, where one room is inside another.
fn room_of<'r>(rooms: impl Iterator<Item = &'r String>, path: &[String]) -> Option<&'r String> {
    let path = path.join("/");
    let is_in = |room: &&String| path == **room || path.starts_with(&format!("{room}/"));
    rooms.into_iter().filter(is_in).max_by_key(|room| room.len())
}

fn is_name(byte: char) -> bool {
    byte.is_ascii_alphanumeric() || byte == '_'
}

/// What code imports or names: every path that starts at the crate or at a parent, from the crate's root.
fn paths(module: &Module) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in module.code.match_indices(start) {
            // Not in the midst of a name, and not the second `super` of two.
            if module.code[..at].ends_with(|c| is_name(c) || c == ':') {
                continue;
            }
            let mut base = if start == "crate::" { Vec::new() } else { module.path.clone() };
            let mut rest = &module.code[at + start.len()..];
            if start == "super::" {
                base.pop();
                while let Some(further) = rest.strip_prefix("super::") {
                    base.pop();
                    rest = further;
                }
            }
            gather(&base, rest, &mut all);
        }
    }
    all
}

/// Reads `a::b`, `a::{b, c::d}` and so on.
fn gather(base: &[String], text: &str, all: &mut Vec<Vec<String>>) {
    if let Some(inner) = text.strip_prefix('{') {
        let mut depth = 1;
        let mut item = 0;
        for (at, byte) in inner.char_indices() {
            match byte {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if (byte == ',' && depth == 1) || depth == 0 {
                gather(base, inner[item..at].trim_start(), all);
                item = at + 1;
            }
            if depth == 0 {
                return;
            }
        }
        return;
    }
    let end = text.find(|byte| !is_name(byte)).unwrap_or(text.len());
    if end == 0 {
        return;
    }
    let mut path = base.to_vec();
    if &text[..end] != "self" {
        path.push(text[..end].to_owned());
    }
    match text[end..].strip_prefix("::") {
        Some(rest) if rest.starts_with(|byte| is_name(byte) || byte == '{') => {
            gather(&path, rest, all);
        }
        _ => all.push(path),
    }
}

#[test]
fn every_arrow_between_rooms_is_allowed() {
    let rooms = rooms();
    let mut wrong = BTreeSet::new();
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for module in modules() {
        // The roots of groups only declare their rooms.
        if ["compiler", "adapters", "provisioner"].contains(&module.name().as_str()) {
            continue;
        }
        let Some(room) = room_of(rooms.keys(), &module.path) else {
            wrong.insert(format!("src/{}.rs is in no room", module.path.join("/")));
            continue;
        };
        for path in paths(&module) {
            let Some(other) = room_of(rooms.keys(), &path) else { continue };
            if other == room {
                continue;
            }
            used.entry(room.clone()).or_default().insert(other.clone());
            if rooms[room].as_ref().is_some_and(|allowed| !allowed.contains(other)) {
                wrong.insert(format!("src/{}.rs uses {other}", module.path.join("/")));
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new(), "arrows that docs/architecture.md does not allow");
    for (room, allowed) in rooms {
        let unused: Vec<_> = allowed.into_iter().flatten().collect();
        let used = used.remove(&room).unwrap_or_default();
        let unused: Vec<_> = unused.iter().filter(|other| !used.contains(*other)).collect();
        assert!(unused.is_empty(), "{room} may use {unused:?} by the page, and does not");
    }
}

#[test]
fn files_clocks_and_the_rest_of_the_world_are_reached_where_the_page_allows_it() {
    let patterns: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("files", &["std::fs", "tokio::fs", "File::open"][..]),
        ("environment", &["std::env", "env::var"]),
        ("clock", &["::now()", "tokio::time", "thread::sleep"]),
        ("network", &["std::net::Tcp", "tokio::net", "reqwest::Client", "kube::Client", "hyper::"]),
        ("randomness", &["fastrand", "RandomState"]),
        ("processes", &["std::process", "tokio::process"]),
    ]);
    let rows = table("| access | allowed in |");
    let allowed: BTreeMap<String, Vec<String>> =
        rows.into_iter().map(|row| (row[0].clone(), names(&row[1]))).collect();
    assert_eq!(
        allowed.keys().map(String::as_str).collect::<Vec<_>>(),
        patterns.keys().copied().collect::<Vec<_>>(),
        "kinds of access"
    );
    let rooms = rooms();
    let mut wrong = Vec::new();
    for module in modules() {
        let Some(room) = room_of(rooms.keys(), &module.path) else { continue };
        for (access, patterns) in &patterns {
            let found = patterns.iter().find(|pattern| module.code.contains(**pattern));
            if let (Some(found), false) = (found, allowed[*access].contains(room)) {
                wrong.push(format!("src/{}.rs: {access} ({found})", module.path.join("/")));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "access that docs/architecture.md does not allow");
}

#[test]
fn the_files_of_a_room_form_no_circle() {
    let modules = modules();
    let known: BTreeSet<String> = modules.iter().map(Module::name).collect();
    // Arrows between modules of the same parent: what is below a module counts as the module.
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for module in &modules {
        for mut path in paths(module) {
            while !path.is_empty() && !known.contains(&path.join("::")) {
                path.pop();
            }
            let same =
                module.path.iter().zip(&path).take_while(|(one, other)| one == other).count();
            if same < module.path.len() && same < path.len() {
                let (from, to) = (module.path[..=same].join("::"), path[..=same].join("::"));
                arrows.entry(from).or_default().insert(to);
            }
        }
    }
    // A module that nothing points to, or that points to nothing, is in no circle.
    loop {
        let targets: BTreeSet<String> = arrows.values().flatten().cloned().collect();
        let before = arrows.len();
        arrows.retain(|from, _| targets.contains(from));
        let sources: BTreeSet<String> = arrows.keys().cloned().collect();
        for to in arrows.values_mut() {
            to.retain(|to| sources.contains(to));
        }
        arrows.retain(|_, to| !to.is_empty());
        if arrows.len() == before {
            break;
        }
    }
    assert_eq!(arrows, BTreeMap::new(), "circles");
}

#[test]
fn names_of_the_contract_are_written_out_nowhere_else() {
    let modules = modules();
    let declares = |module: &&Module| {
        let path = module.name();
        ["contract::annotation", "contract::label", "contract::name"].contains(&path.as_str())
    };
    let mut literals = BTreeSet::new();
    for module in modules.iter().filter(declares) {
        for line in module.code.lines() {
            if let Some((_, value)) = line.split_once(": &str = ")
                && value.contains('/')
            {
                literals.insert(value.trim_end_matches(';').to_owned());
            }
        }
    }
    assert!(literals.len() > 25, "{literals:?}");
    let mut wrong = Vec::new();
    for module in modules.iter().filter(|module| !declares(module)) {
        for literal in &literals {
            if module.code.contains(literal.as_str()) {
                wrong.push(format!("src/{}.rs: {literal}", module.path.join("/")));
            }
        }
        if module.code.contains("\"pso-gen.io/") {
            wrong.push(format!("src/{}.rs: a name of pso-gen.io", module.path.join("/")));
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "names that belong into src/contract");
}
