//! All blueprints of a run: those that we ship and those that users keep beside their apps.

use std::sync::{Arc, OnceLock};

use include_dir::{Dir, include_dir};

use super::catalogue::Catalogue;
use super::folder::Folder;
use super::load::{Blueprint, FILE, PART_FILE, Validation};
use crate::compiler::diagnostic::{Diagnostic, Sources};
use crate::compiler::yaml;

/// What we ship.
static SHIPPED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/blueprints");
/// The file beside blueprint folders that maps names to images.
const CATALOGUE: &str = "catalogue.yaml";

/// The blueprints of a run, parsed when first asked for.
#[derive(Debug, Default)]
pub struct Library {
    catalogue: Catalogue,
    parts: Vec<Folder>,
    entries: Vec<Entry>,
}

impl Folder {
    /// Returns whether the last step of its path is `name`.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name.rsplit('/').next() == Some(name)
    }
}

#[derive(Debug)]
struct Entry {
    kind: String,
    folder: Folder,
    trust: Validation,
    loaded: OnceLock<Result<Blueprint, Vec<Diagnostic>>>,
}

impl Library {
    /// Returns the shipped blueprints and those in `folders`, which come first: a user's blueprint
    /// replaces a shipped one of the same kind. Other folders may hold a part, or a catalogue for
    /// those beside them.
    pub fn new(folders: Vec<Folder>, sources: &Sources) -> Result<Self, Vec<Diagnostic>> {
        let text = SHIPPED.get_file(CATALOGUE).and_then(include_dir::File::contents_utf8);
        let mut catalogue = catalogue("blueprints", text.unwrap_or_default(), sources)?;
        let (mut parts, mut entries) = (Vec::new(), Vec::new());
        for folder in folders {
            if let Some(text) = folder.files.get(CATALOGUE) {
                catalogue = catalogue.with(&self::catalogue(&folder.name, text, sources)?);
            }
            if let Some(text) = folder.files.get(FILE) {
                let kind = kind_of(text);
                let (trust, loaded) = (Validation::Checked, OnceLock::new());
                entries.push(Entry { kind, folder, trust, loaded });
            } else if folder.files.contains_key(PART_FILE) {
                parts.push(folder);
            }
        }
        for dir in SHIPPED.dirs() {
            let folder = shipped(dir);
            if let Some(text) = folder.files.get(FILE) {
                let kind = kind_of(text);
                if entries.iter().all(|entry: &Entry| entry.kind != kind) {
                    let (trust, loaded) = (Validation::Shipped, OnceLock::new());
                    entries.push(Entry { kind, folder, trust, loaded });
                }
            }
        }
        let shipped_parts = SHIPPED.get_dir("parts").into_iter().flat_map(Dir::dirs).map(shipped);
        parts.extend(shipped_parts);
        Ok(Self { catalogue, parts, entries })
    }

    /// Returns the kinds, sorted.
    pub fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> = self.entries.iter().map(|entry| entry.kind.clone()).collect();
        kinds.sort();
        kinds
    }

    /// Returns the blueprint of a kind, or its errors. Each call returns the same errors.
    pub fn get(
        &self,
        kind: &str,
        sources: &Sources,
    ) -> Option<Result<&Blueprint, Vec<Diagnostic>>> {
        let entry = self.entries.iter().find(|entry| entry.kind == kind)?;
        let loaded = entry.loaded.get_or_init(|| {
            Blueprint::load(
                entry.folder.clone(),
                &self.parts,
                &self.catalogue,
                entry.trust,
                sources,
            )
        });
        Some(loaded.as_ref().map_err(Clone::clone))
    }

    /// Returns the folders of what we ship, so that a test can hold them to what users are held to.
    pub fn shipped_folders() -> Vec<Folder> {
        let parts = SHIPPED.get_dir("parts").into_iter().flat_map(Dir::dirs);
        SHIPPED.dirs().chain(parts).map(shipped).collect()
    }
}

fn shipped(dir: &'static Dir<'static>) -> Folder {
    let name = format!("blueprints/{}", dir.path().display());
    let files = dir.files().filter_map(|file| {
        let name = file.path().file_name()?.to_str()?.to_owned();
        Some((name, Arc::from(file.contents_utf8()?)))
    });
    Folder { name, files: files.collect() }
}

/// Reads the kind without parsing the rest: a run parses only the blueprints that it uses.
fn kind_of(text: &str) -> String {
    let line = text
        .trim_start_matches('\u{feff}')
        .lines()
        .find_map(|line| line.strip_prefix("blueprint:"));
    let word = line.unwrap_or_default().split('#').next().unwrap_or_default();
    word.trim().trim_matches(['"', '\'']).to_owned()
}

fn catalogue(folder: &str, text: &str, sources: &Sources) -> Result<Catalogue, Vec<Diagnostic>> {
    let source = sources.add(format!("{folder}/{CATALOGUE}"), text);
    let read = yaml::read(source, sources);
    if read.diagnostics.is_empty() {
        let json = read.documents.first().map(yaml::Node::to_json);
        Ok(Catalogue::new(json.unwrap_or_else(|| serde_json::json!({}))))
    } else {
        Err(read.diagnostics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_ship_is_held_to_what_users_are_held_to() {
        let sources = Sources::default();
        let library = Library::new(Library::shipped_folders(), &sources).expect("a catalogue");
        assert_eq!(library.kinds(), ["NextCloud", "OwnCloud", "Scratch"]);
        for kind in library.kinds() {
            let loaded = library.get(&kind, &sources).expect("there");
            if let Err(errors) = loaded {
                panic!(
                    "{}",
                    crate::compiler::diagnostic::human(
                        &errors,
                        &sources,
                        crate::compiler::diagnostic::Style::Plain
                    )
                );
            }
        }
    }
}
