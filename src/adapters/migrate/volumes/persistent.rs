//! Reads one PersistentVolume of an old driver, and determines the steps that are necessary before its volume can be
//! imported for another claim.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec};

use super::{Import, Left};
use crate::adapters::migrate::OldConfig;
use crate::contract::VolumeName;
use crate::contract::storage::ArrayType;

/// CSI drivers of Pure Service Orchestrator and of Portworx.
const DRIVERS: [&str; 2] = ["pure-csi", "pxd.portworx.com"];
/// Prefix of the names of the Flex driver.
const FLEX: &str = "pure/";
/// Part of the target names of FlashArrays, and prefix of the identifiers of their volumes.
const FLASH_ARRAY: [&str; 2] = ["com.purestorage", "624a937"];

/// A step that the admin has to take, and whether it is required before the import.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) blocks: bool,
    pub(super) message: String,
    pub(super) fix: String,
}

/// The driver that attached the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Driver {
    /// CSI, of PSO or Portworx.
    Csi,
    /// Flex, of PSO 2 to 5.
    Flex,
    /// Kubernetes' own NFS driver, for an array of the list.
    Nfs,
    /// Kubernetes' own iSCSI or FC driver, for a FlashArray.
    Blocks,
    /// Kubernetes' own driver for Portworx.
    Portworx,
}

/// The fields of a PersistentVolume of an old driver.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about one volume")]
pub(super) struct Persistent {
    driver: Driver,
    claim: Option<(String, String)>,
    bound: bool,
    /// Kind of its array, if known.
    pub(super) kind: Option<ArrayType>,
    /// The listed arrays that may hold it.
    arrays: Vec<String>,
    /// The name on its array, and whether it is stated or derived from other names.
    volume: Option<String>,
    follows: bool,
    /// Whether it is a file system on a FlashArray, which pso-gen does not support.
    fa_file: bool,
    /// The folder of its file system that it mounts, if it mounts only one.
    folder: Option<String>,
    raw: bool,
    /// Whether it is mounted with NFS 3.
    pub(super) nfs3: bool,
    /// Its class.
    pub(super) class: Option<String>,
}

impl Persistent {
    /// Reads a PersistentVolume. For one of another driver, returns the driver's name as the error.
    pub(super) fn read(volume: &PersistentVolume, old: &OldConfig) -> Result<Self, String> {
        let empty = PersistentVolumeSpec::default();
        let spec = volume.spec.as_ref().unwrap_or(&empty);
        let name = volume.metadata.name.as_deref().unwrap_or_default();
        let claim = spec.claim_ref.as_ref();
        let claim = claim.and_then(|claim| Some((claim.namespace.clone()?, claim.name.clone()?)));
        let options: Vec<&str> = spec.mount_options.iter().flatten().map(String::as_str).collect();
        let version = |option: &&str| {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            (["nfsvers", "vers"].contains(&name)).then(|| value.to_owned())
        };
        let version = options.iter().find_map(version);
        let mut this = Self {
            driver: Driver::Csi,
            claim,
            bound: volume.status.as_ref().and_then(|status| status.phase.as_deref())
                == Some("Bound"),
            kind: None,
            arrays: Vec::new(),
            volume: None,
            follows: false,
            fa_file: false,
            folder: None,
            raw: spec.volume_mode.as_deref() == Some("Block"),
            nfs3: version.as_deref() == Some("3"),
            class: spec.storage_class_name.clone().filter(|class| !class.is_empty()),
        };
        if let Some(csi) = spec.csi.as_ref().filter(|csi| DRIVERS.contains(&csi.driver.as_str())) {
            let attribute = |name: &str| csi.volume_attributes.as_ref()?.get(name);
            let backend = attribute("backend");
            this.fa_file = backend.is_some_and(|backend| backend == "pure_fa_file");
            let file_system = csi.fs_type.as_deref();
            this.kind = kind(backend.map(String::as_str), version.is_some(), this.raw, file_system);
            // Portworx and the database of PSO 6 use numbers and ids of their own for volumes.
            let opaque = csi.volume_handle.len() >= 16
                && csi.volume_handle.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
            // Portworx does not derive its prefix from `clusterID`.
            let px = csi.driver != DRIVERS[0];
            this.follows = opaque || px;
            let prefix = if px { &old.portworx_prefix } else { &old.prefix };
            let prefix = prefix.as_ref().filter(|_| name.starts_with("pvc-"));
            this.volume = if this.follows {
                prefix.map(|prefix| format!("{prefix}-{name}"))
            } else {
                Some(csi.volume_handle.clone())
            };
        } else if let Some(flex) = spec.flex_volume.as_ref().filter(|f| f.driver.starts_with(FLEX))
        {
            this.driver = Driver::Flex;
            let option = |name: &str| flex.options.as_ref()?.get(name).map(String::as_str);
            let class = this.class.as_deref().unwrap_or_default();
            let by_class = ["file", "block"].into_iter().find(|word| class.contains(word));
            let backend = option("backend").or(by_class);
            this.kind = kind(backend, version.is_some(), this.raw, flex.fs_type.as_deref());
            let short = option("kubernetes.io/pvOrVolumeName").unwrap_or(name);
            this.follows = true;
            this.volume = old.prefix.as_ref().map(|prefix| format!("{prefix}-{short}"));
        } else if let Some(nfs) = &spec.nfs {
            this.driver = Driver::Nfs;
            this.kind = Some(ArrayType::FlashBlade);
            let on = old.arrays.iter().find(|array| array.data_addresses.contains(&nfs.server));
            let Some(array) = on else { return Err(format!("NFS server {}", nfs.server)) };
            this.arrays = vec![array.name.clone()];
            let path = nfs.path.trim_matches('/');
            let (file_system, folder) = path.split_once('/').unwrap_or((path, ""));
            this.volume = Some(file_system.to_owned()).filter(|name| !name.is_empty());
            this.folder = Some(folder.to_owned()).filter(|folder| !folder.is_empty());
            return Ok(this);
        } else if spec.portworx_volume.is_some() {
            this.driver = Driver::Portworx;
            return Ok(this);
        } else {
            let iscsi = spec.iscsi.as_ref().map(|iscsi| iscsi.iqn.as_str());
            let fc = spec.fc.as_ref().map(|fc| {
                let names = fc.wwids.iter().chain(&fc.target_wwns).flatten();
                names.cloned().collect::<Vec<_>>().join(" ")
            });
            let target = iscsi.map(str::to_owned).or(fc);
            let is_flash = |target: &String| FLASH_ARRAY.iter().any(|word| target.contains(word));
            if !target.as_ref().is_some_and(is_flash) {
                return Err(driver(spec, target.as_deref()));
            }
            this.driver = Driver::Blocks;
            this.kind = Some(ArrayType::FlashArray);
        }
        let arrays = old.arrays.iter().filter(|a| this.kind.is_none_or(|kind| a.kind == kind));
        this.arrays = arrays.map(|array| array.name.clone()).collect();
        Ok(this)
    }

    /// The claim, as `namespace/name`.
    pub(super) fn claim(&self) -> Option<&(String, String)> {
        self.claim.as_ref()
    }

    /// Returns array and volume, if both are known.
    pub(super) fn place(&self) -> Option<(&str, &str)> {
        match (self.arrays.as_slice(), &self.volume) {
            ([array], Some(volume)) => Some((array, volume)),
            _ => None,
        }
    }

    /// Returns the steps that the admin has to take, the most severe one first.
    pub(super) fn words(&self) -> Vec<Word> {
        let mut words = Vec::from_iter(self.first_word());
        if self.raw && self.driver == Driver::Csi {
            words.push(Word {
                blocks: false,
                message: "is a block device without a file system".to_owned(),
                fix: "write `volumeMode: Block` in the new claim".to_owned(),
            });
        }
        words
    }

    fn first_word(&self) -> Option<Word> {
        let word = |blocks, message: &str, fix: &str| {
            Some(Word { blocks, message: message.to_owned(), fix: fix.to_owned() })
        };
        if self.fa_file {
            let message = "is a file system on a FlashArray; pso-gen supports file systems only on FlashBlades";
            let fix = "keep the old driver for it, or copy its files to a claim of `pure-file`";
            return word(true, message, fix);
        }
        if self.driver == Driver::Portworx {
            let message =
                "belongs to Kubernetes' own driver for Portworx, and does not name an array";
            let fix = "keep Portworx for it, or copy its files to a new claim";
            return word(true, message, fix);
        }
        if self.claim.is_none() || !self.bound {
            let fix = "import it only if its data is needed";
            return word(true, "is not bound to a claim", fix);
        }
        if self.driver == Driver::Blocks {
            let message = "was written by hand and does not name its volume on the FlashArray";
            let fix = "find the volume with this LUN or serial number on the array, and add the line with its name to `imports`";
            return word(true, message, fix);
        }
        if let Some(folder) = &self.folder {
            let message = format!(
                "mounts the folder {folder:?} of a file system that other PersistentVolumes may mount too; a claim gets the whole file system"
            );
            let fix = "keep the PersistentVolume, which needs no driver, or copy the folder to a claim of `pure-file`";
            return word(true, &message, fix);
        }
        let Some(volume) = &self.volume else {
            let fix = "add `--prefix`: for Portworx `px_` and the first 8 digits of its cluster's UUID, `clusterUid` of `kubectl get storagecluster -A -o yaml`";
            return word(true, "does not name its volume on the array", fix);
        };
        if VolumeName::new(volume.as_str()).is_none() {
            let message = format!(
                "its volume {volume:?} is in a pod or volume group, and cannot be imported from there"
            );
            let fix = "move it out on the array, and add the line with its new name to `imports`";
            return word(true, &message, fix);
        }
        match self.arrays.as_slice() {
            [] => {
                let message = format!(
                    "the arrays of the kind that has {volume} are missing in the configuration"
                );
                word(true, &message, "add the array, and run this again")
            }
            [_] if self.driver == Driver::Nfs => {
                let message =
                    format!("was written by hand; its path names the file system {volume}");
                word(
                    false,
                    &message,
                    "remove the line from `imports` to keep the PersistentVolume, which needs no driver",
                )
            }
            [_] if self.follows => {
                let message =
                    format!("the name of its volume, {volume}, was derived from other names");
                let fix = "check that the array has it: otherwise the claim waits, and its events name the reason";
                word(false, &message, fix)
            }
            [_] => None,
            several => {
                let message =
                    format!("does not name the array that has {volume}: {}", several.join(" or "));
                let fix = "find the name on the arrays, and add the line with the right array to `imports`";
                word(true, &message, fix)
            }
        }
    }

    /// Returns the entry with the known fields.
    pub(super) fn import(self) -> Result<Import, Left> {
        let (namespace, claim) = self.claim.unwrap_or_else(|| ("?".to_owned(), "?".to_owned()));
        match (self.arrays.as_slice(), self.volume) {
            ([array], Some(volume)) => {
                Ok(Import { namespace, claim, array: array.clone(), volume })
            }
            (_, volume) => Err(Left { namespace, claim, arrays: self.arrays, volume }),
        }
    }
}

/// Returns the kind of array that holds a volume, if it can be determined.
fn kind(
    backend: Option<&str>,
    nfs: bool,
    raw: bool,
    file_system: Option<&str>,
) -> Option<ArrayType> {
    if let Some(backend) = backend {
        if backend.contains("file") {
            return Some(ArrayType::FlashBlade);
        }
        return backend.contains("block").then_some(ArrayType::FlashArray);
    }
    if nfs {
        return Some(ArrayType::FlashBlade);
    }
    let blocks = raw || file_system.is_some_and(|kind| ["xfs", "ext4"].contains(&kind));
    blocks.then_some(ArrayType::FlashArray)
}

/// Returns the name of the driver of another volume.
fn driver(spec: &PersistentVolumeSpec, target: Option<&str>) -> String {
    if let Some(csi) = &spec.csi {
        return csi.driver.clone();
    }
    if let Some(flex) = &spec.flex_volume {
        return format!("Flex driver {}", flex.driver);
    }
    match target {
        Some(_) if spec.iscsi.is_some() => "iSCSI of another array".to_owned(),
        Some(_) => "FC of another array".to_owned(),
        None if spec.host_path.is_some() || spec.local.is_some() => "disks of nodes".to_owned(),
        None => "another in-tree driver of Kubernetes".to_owned(),
    }
}
