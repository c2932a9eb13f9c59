//! Converts PersistentVolumes of the old drivers into imports of the storage document.

mod persistent;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::PersistentVolume;
use serde::Serialize;
use serde_json::json;

use self::persistent::Persistent;
use super::{OldConfig, dump, storage_classes};
use crate::compiler::blueprint::{PURE_BLOCK, PURE_FILE};
use crate::compiler::diagnostic::{Code, Diagnostic};
use crate::contract::storage::ArrayType;

/// Class for file systems that are mounted with NFS 3, when their own class does not use it.
const NFS3: &str = "pure-file-nfs3";

/// The contents of a dump from `kubectl get pv,sc -o json`.
#[derive(Debug, Default)]
pub struct Found {
    /// Volumes that can be imported.
    pub imports: Vec<Import>,
    /// Volumes of which some information is missing.
    pub left: Vec<Left>,
    /// Number of objects of other drivers, or of other kinds, by description.
    pub others: BTreeMap<String, usize>,
}

/// An entry of `imports`.
#[derive(Debug, Serialize)]
pub struct Import {
    namespace: String,
    claim: String,
    array: String,
    volume: String,
}

/// A volume that cannot be imported without changes, with the known fields.
#[derive(Debug, Default)]
pub struct Left {
    namespace: String,
    claim: String,
    arrays: Vec<String>,
    volume: Option<String>,
}

impl From<Import> for Left {
    fn from(Import { namespace, claim, array, volume }: Import) -> Self {
        Self { namespace, claim, arrays: vec![array], volume: Some(volume) }
    }
}

impl Left {
    /// Returns the known fields of the entry on one line.
    pub fn line(&self) -> String {
        let Self { namespace, claim, arrays, volume } = self;
        let array = match arrays.as_slice() {
            [] => "?".to_owned(),
            names => names.join(" or "),
        };
        let volume = volume.as_deref().unwrap_or("?");
        let line = format!(
            "- {{namespace: {namespace}, claim: {claim}, array: {array}, volume: {volume}}}"
        );
        // The line becomes a comment, so it must stay one line whatever the cluster's names contain.
        crate::sanitize::name(&line)
    }
}

/// Reads the output of `kubectl get pv,sc -o json`, and adds its classes to those of the old file.
pub fn volumes(text: &str, old: &mut OldConfig) -> Result<(Found, Vec<Diagnostic>), String> {
    let dump = dump::read(text)?;
    let mut found = Found::default();
    for kind in dump.others {
        *found.others.entry(kind).or_default() += 1;
    }
    for class in &dump.classes {
        if !storage_classes::PROVISIONERS.contains(&class.provisioner.as_str()) {
            let what = format!("StorageClass of {}", class.provisioner);
            *found.others.entry(what).or_default() += 1;
        }
    }
    let warnings = storage_classes::add(&dump.classes, old);
    let mut reading =
        Reading { old, found, warnings, seen: BTreeSet::new(), classes: BTreeMap::new() };
    let mut destroyed = Vec::new();
    for volume in &dump.volumes {
        let policy =
            volume.spec.as_ref().and_then(|it| it.persistent_volume_reclaim_policy.as_deref());
        if reading.volume(volume) && policy == Some("Delete") {
            destroyed.push(volume.metadata.name.as_deref().unwrap_or_default());
        }
    }
    reading.unknown_classes(!dump.classes.is_empty());
    let Reading { found, mut warnings, .. } = reading;
    if !destroyed.is_empty() {
        let names: Vec<&str> = destroyed.iter().copied().take(3).collect();
        let more = if destroyed.len() > names.len() { ", …" } else { "" };
        let message = format!(
            "{} the reclaim policy Delete ({}{more}): when the claims are deleted, the volumes are destroyed with all their data",
            have(destroyed.len()),
            names.join(", ")
        );
        let fix = "first run `kubectl patch pv NAME -p '{\"spec\":{\"persistentVolumeReclaimPolicy\":\"Retain\"}}'`";
        warnings.push(Diagnostic::new(Code::ImportVolume, None, message).fix(fix));
    }
    Ok((found, warnings))
}

/// Returns a number of PersistentVolumes with the verb.
fn have(number: usize) -> String {
    match number {
        1 => "1 PersistentVolume has".to_owned(),
        more => format!("{more} PersistentVolumes have"),
    }
}

struct Reading<'o> {
    old: &'o mut OldConfig,
    found: Found,
    warnings: Vec<Diagnostic>,
    /// Volumes (array and name) and claims that have an entry already.
    seen: BTreeSet<(String, String)>,
    /// Number of volumes for each class that the document does not have.
    classes: BTreeMap<String, usize>,
}

impl Reading<'_> {
    /// Processes a PersistentVolume. Returns whether it belongs to an old driver.
    fn volume(&mut self, volume: &PersistentVolume) -> bool {
        let name = volume.metadata.name.clone().unwrap_or_default();
        let read = match Persistent::read(volume, self.old) {
            Ok(read) => read,
            Err(driver) => {
                *self.found.others.entry(driver).or_default() += 1;
                return false;
            }
        };
        let mut words = read.words();
        let mut blocks = words.iter().any(|word| word.blocks);
        if !blocks {
            if let Some(word) = self.taken(&read) {
                words.push(word);
                blocks = true;
            } else {
                words.extend(self.class_of(&read));
            }
        }
        for word in words {
            let path = format!("PersistentVolume {name}");
            let warning = Diagnostic::new(Code::ImportVolume, None, word.message).at(path);
            self.warnings.push(warning.fix(word.fix));
        }
        match read.import() {
            Ok(import) if !blocks => self.found.imports.push(import),
            Ok(import) => self.found.left.push(import.into()),
            Err(left) => self.found.left.push(left),
        }
        true
    }

    /// Checks that a volume has only one claim, and a claim only one volume.
    fn taken(&mut self, read: &Persistent) -> Option<persistent::Word> {
        let claim = read.claim().map(|(space, name)| (format!("claim {space}"), name.clone()));
        let place = read.place().map(|(array, volume)| (array.to_owned(), volume.to_owned()));
        let both: Vec<_> = claim.into_iter().chain(place).collect();
        if let Some((of, name)) = both.iter().find(|key| self.seen.contains(*key)) {
            return Some(persistent::Word {
                blocks: true,
                message: format!("another PersistentVolume already has {name} of {of}"),
                fix: "keep the entry of the one that is mounted".to_owned(),
            });
        }
        self.seen.extend(both);
        None
    }

    /// Returns a hint about the class of the new claim, where it differs from the old one or follows from the mount
    /// options.
    fn class_of(&mut self, read: &Persistent) -> Option<persistent::Word> {
        let class = read.class.as_deref().unwrap_or_default().to_owned();
        let is_base = [PURE_FILE, PURE_BLOCK].contains(&class.as_str());
        let known = is_base || self.old.classes.contains_key(&class);
        let is_nfs3 =
            |fields: Option<&serde_json::Value>| fields.is_some_and(|it| it["nfs"] == "3");
        if !read.nfs3 || read.kind != Some(ArrayType::FlashBlade) {
            if !known {
                *self.classes.entry(class).or_default() += 1;
            }
            return None;
        }
        let right = if is_nfs3(self.old.classes.get(&class)) {
            class
        } else {
            let name = if known || class.is_empty() { NFS3.to_owned() } else { class };
            let mut fields = match self.old.classes.get(PURE_FILE) {
                Some(serde_json::Value::Object(fields)) => fields.clone(),
                _ => serde_json::Map::new(),
            };
            fields.remove("default");
            fields.insert("like".to_owned(), json!(PURE_FILE));
            fields.insert("nfs".to_owned(), json!("3"));
            self.old.classes.insert(name.clone(), fields.into());
            name
        };
        Some(persistent::Word {
            blocks: false,
            message: "is mounted with NFS 3; a claim of `pure-file` would mount it with 4.1, which its file system may not have".to_owned(),
            fix: format!("give the new claim the class `{right}`, which is in the document with `nfs: \"3\"`; or enable NFS 4.1 on the file system"),
        })
    }

    /// Reports classes that the document does not have.
    fn unknown_classes(&mut self, dumped: bool) {
        for (class, number) in &self.classes {
            let message = match class.as_str() {
                "" => format!("{} no class", have(*number)),
                class => {
                    format!("{} the class {class:?}, which is not in the document", have(*number))
                }
            };
            let fix = if dumped || class.is_empty() {
                "write `pure-file`, `pure-block` or a class of the document in the new claims"
            } else {
                "add its StorageClass, `kubectl get pv,sc -o json`, or write `pure-file` or `pure-block` in the new claims"
            };
            self.warnings.push(Diagnostic::new(Code::ImportVolume, None, message).fix(fix));
        }
    }
}
