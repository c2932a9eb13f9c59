//! PersistentVolumes of the old drivers as imports of the storage document.

use k8s_openapi::api::core::v1::PersistentVolume;
use serde::Serialize;

use super::Old;
use crate::array::Name;
use crate::diagnostic::{Code, Diagnostic};
use crate::spec::ArrayType;

/// CSI drivers of Pure Service Orchestrator and of Portworx.
const DRIVERS: [&str; 2] = ["pure-csi", "pxd.portworx.com"];

/// What `kubectl get pv -o json` says.
#[derive(Debug, Default)]
pub struct Found {
    /// Volumes of which all is known.
    pub imports: Vec<Import>,
    /// Volumes of which something is not.
    pub left: Vec<Left>,
    /// How many PersistentVolumes are of other drivers.
    pub others: usize,
}

/// An entry of `imports`.
#[derive(Debug, Serialize)]
pub struct Import {
    namespace: String,
    claim: String,
    array: String,
    volume: String,
}

/// A volume that cannot be imported as it is, as far as it is known.
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
    /// Returns the entry as far as it is known, on one line.
    pub fn line(&self) -> String {
        let Self { namespace, claim, arrays, volume } = self;
        let array = match arrays.as_slice() {
            [] => "?".to_owned(),
            names => names.join(" or "),
        };
        let volume = volume.as_deref().unwrap_or("?");
        format!("- {{namespace: {namespace}, claim: {claim}, array: {array}, volume: {volume}}}")
    }
}

/// A list as kubectl prints it.
#[derive(serde::Deserialize)]
struct List {
    items: Vec<PersistentVolume>,
}

/// Reads what `kubectl get pv -o json` prints. The error is for people.
pub fn volumes(text: &str, old: &Old) -> Result<(Found, Vec<Diagnostic>), String> {
    let list: List = serde_json::from_str(text)
        .map_err(|error| format!("expected what `kubectl get pv -o json` prints: {error}"))?;
    let (mut found, mut told) = (Found::default(), Vec::new());
    let mut destroyed = Vec::new();
    for volume in &list.items {
        let name = volume.metadata.name.as_deref().unwrap_or_default();
        let Some(read) = Persistent::read(volume, old) else {
            found.others += 1;
            continue;
        };
        let policy =
            volume.spec.as_ref().and_then(|it| it.persistent_volume_reclaim_policy.as_deref());
        if policy == Some("Delete") {
            destroyed.push(name);
        }
        let word = read.word();
        let blocks = word.as_ref().is_some_and(|word| word.blocks);
        match read.import() {
            Ok(import) if !blocks => found.imports.push(import),
            Ok(import) => found.left.push(import.into()),
            Err(left) => found.left.push(left),
        }
        told.extend(word.map(|Word { message, fix, .. }| {
            let path = format!("PersistentVolume {name}");
            Diagnostic::new(Code::ImportVolume, None, message).at(path).fix(fix)
        }));
    }
    if !destroyed.is_empty() {
        let names: Vec<&str> = destroyed.iter().copied().take(3).collect();
        let more = if destroyed.len() > names.len() { ", …" } else { "" };
        let message = format!(
            "{} PersistentVolumes have the reclaim policy Delete ({}{more}): with their claims, their volumes and all that is on them would be destroyed",
            destroyed.len(),
            names.join(", ")
        );
        let fix = "before anything else: `kubectl patch pv NAME -p '{\"spec\":{\"persistentVolumeReclaimPolicy\":\"Retain\"}}'`";
        told.push(Diagnostic::new(Code::ImportVolume, None, message).fix(fix));
    }
    Ok((found, told))
}

/// What somebody has to find out or do, and whether nothing can be imported before.
struct Word {
    blocks: bool,
    message: String,
    fix: String,
}

/// What a PersistentVolume of an old driver says.
struct Persistent {
    claim: Option<(String, String)>,
    bound: bool,
    /// Those of the kind that it is on, as far as that can be told.
    arrays: Vec<String>,
    /// How it may be called on its array, and whether that is written or follows from other names.
    volume: Option<String>,
    follows: bool,
    ours: bool,
}

impl Persistent {
    fn read(volume: &PersistentVolume, old: &Old) -> Option<Self> {
        let spec = volume.spec.as_ref()?;
        let csi = spec.csi.as_ref().filter(|csi| DRIVERS.contains(&csi.driver.as_str()))?;
        let name = volume.metadata.name.as_deref().unwrap_or_default();
        let claim = spec.claim_ref.as_ref();
        let claim = claim.and_then(|claim| Some((claim.namespace.clone()?, claim.name.clone()?)));
        let kind = kind(volume);
        let arrays = old.arrays.iter().filter(|array| kind.is_none_or(|kind| array.kind == kind));
        // Portworx and the database of PSO 6 have numbers and ids of their own for volumes.
        let opaque = csi.volume_handle.len() >= 16
            && csi.volume_handle.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        // Portworx does not take its prefix from `clusterID`.
        let px = csi.driver != DRIVERS[0];
        let follows = opaque || px;
        let prefix = if px { &old.portworx_prefix } else { &old.prefix };
        let prefix = prefix.as_ref().filter(|_| name.starts_with("pvc-"));
        let called = if follows {
            prefix.map(|prefix| format!("{prefix}-{name}"))
        } else {
            Some(csi.volume_handle.clone())
        };
        let backend = csi.volume_attributes.as_ref().and_then(|all| all.get("backend"));
        Some(Self {
            claim,
            bound: volume.status.as_ref().and_then(|status| status.phase.as_deref())
                == Some("Bound"),
            arrays: arrays.map(|array| array.name.clone()).collect(),
            volume: called,
            follows,
            ours: backend.is_none_or(|backend| backend != "pure_fa_file"),
        })
    }

    /// What somebody has to find out or do.
    fn word(&self) -> Option<Word> {
        let word = |blocks, message: String, fix: &str| {
            Some(Word { blocks, message, fix: fix.to_owned() })
        };
        if !self.ours {
            let message = "is a file system on a FlashArray; here they are on FlashBlades alone";
            let fix = "keep the old driver for it, or copy its files to a claim of `pure-file`";
            return word(true, message.to_owned(), fix);
        }
        if self.claim.is_none() || !self.bound {
            let fix = "import it only if somebody needs what is on it";
            return word(true, "is not bound to a claim".to_owned(), fix);
        }
        let Some(volume) = &self.volume else {
            let fix = "give `--prefix`: for Portworx `px_` and the first 8 digits of its cluster's UUID, `clusterUid` of `kubectl get storagecluster -A -o yaml`";
            return word(true, "does not tell its volume's name on the array".to_owned(), fix);
        };
        if Name::new(volume.as_str()).is_none() {
            let message = format!(
                "its volume {volume:?} is in a pod or volume group, from which nothing can be imported"
            );
            let fix =
                "move it out on the array; then write the line into `imports` with its new name";
            return word(true, message, fix);
        }
        match self.arrays.as_slice() {
            [] => {
                let message = format!("no array of the kind that {volume} is on is listed");
                word(true, message, "list the array, and run this again")
            }
            [_] if self.follows => {
                let message = format!("its volume's name follows from other names: {volume}");
                word(
                    false,
                    message,
                    "see that the array has it: a claim for one that is not there waits, and its events say so",
                )
            }
            [_] => None,
            several => {
                let message =
                    format!("does not tell which array has {volume}: {}", several.join(" or "));
                word(
                    true,
                    message,
                    "look for the name on the arrays; then write the line into `imports` with the right one",
                )
            }
        }
    }

    /// The entry as far as it is known.
    fn import(self) -> Result<Import, Left> {
        let (namespace, claim) = self.claim.unwrap_or_else(|| ("?".to_owned(), "?".to_owned()));
        match (self.arrays.as_slice(), self.volume) {
            ([array], Some(volume)) => {
                Ok(Import { namespace, claim, array: array.clone(), volume })
            }
            (_, volume) => Err(Left { namespace, claim, arrays: self.arrays, volume }),
        }
    }
}

/// The kind of array that a volume is on, as far as it can be told.
fn kind(volume: &PersistentVolume) -> Option<ArrayType> {
    let spec = volume.spec.as_ref()?;
    let csi = spec.csi.as_ref()?;
    let backend = csi.volume_attributes.as_ref().and_then(|all| all.get("backend"));
    if let Some(backend) = backend {
        if backend.contains("file") {
            return Some(ArrayType::FlashBlade);
        }
        return backend.contains("block").then_some(ArrayType::FlashArray);
    }
    let mut options = spec.mount_options.iter().flatten();
    if options.any(|option| option.starts_with("nfsvers") || option.starts_with("vers=")) {
        return Some(ArrayType::FlashBlade);
    }
    let blocks = spec.volume_mode.as_deref() == Some("Block")
        || csi.fs_type.as_deref().is_some_and(|kind| ["xfs", "ext4"].contains(&kind));
    blocks.then_some(ArrayType::FlashArray)
}
