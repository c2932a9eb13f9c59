//! Volumes as the provisioner requests them, and as arrays report them. Knows nothing about REST requests.

use super::{ExportRule, VolumeName};

/// Identifies a volume unambiguously: an array reuses names after eradication, but never ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VolumeId {
    /// Its name.
    pub name: VolumeName,
    /// Its `id` on the array.
    pub id: String,
}

/// The owner of a volume. A FlashArray stores it in tags of the volume. A FlashBlade has no tags: only the name, the id
/// and the time of creation can be compared there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's identity, followed by the identities of the clusters that it has taken over. Empty when the
    /// identity is unknown. The provisioner writes the first one and recognises all of them.
    pub identities: Vec<String>,
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub claim: String,
    /// UID of the claim, which distinguishes it from other claims of the same name.
    pub uid: String,
    /// Time when the claim was created, in milliseconds since 1970. `None` when the claim is gone. The volume's name
    /// contains the UID, so an older volume cannot belong to the claim.
    pub since: Option<u64>,
}

impl Owner {
    /// Tolerated difference between the clocks of the array and the cluster, in milliseconds.
    const CLOCKS: u64 = 60 * 60 * 1000;

    /// Returns whether a volume is older than the claim that it is supposed to belong to.
    pub(crate) fn is_younger_than(&self, created: Option<u64>) -> bool {
        let times = self.since.zip(created);
        times.is_some_and(|(since, created)| created.saturating_add(Self::CLOCKS) < since)
    }
}

/// A volume as requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeRequest {
    /// Its name. It should contain the claim's UID.
    pub name: VolumeName,
    /// Its owner.
    pub owner: Owner,
    /// Size in bytes. Arrays may round it up.
    pub size: u64,
    /// The source to clone. `None` for an empty volume.
    pub source: Option<CloneSource>,
    /// Options that depend on the kind of array.
    pub details: VolumeOptions,
}

/// The source of a cloned volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloneSource {
    /// A snapshot, named `name.suffix`.
    Snapshot(String),
    /// The present state of another volume on the same array.
    Volume(VolumeId),
}

/// Options that depend on the kind of array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeOptions {
    /// A file system of a FlashBlade. Its size is a hard limit. The array's API has no owner and mode of the top
    /// folder: root owns that folder, and a pod that mounts the file system changes it.
    File {
        /// Clients that may mount it. With an empty list, no client may.
        exports: Vec<ExportRule>,
        /// NFS versions under which the array serves it.
        nfs: NfsVersions,
    },
    /// A volume of a FlashArray.
    Block {
        /// Whether the volume joins the protection groups that the array's administrator has configured for new volumes
        /// (REST 2.16 and later).
        default_protection: bool,
        /// Performance limits.
        qos: Qos,
    },
}

/// Performance limits of one volume of a FlashArray.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Qos {
    /// Limit in bytes per second, 1 MiB to 512 GiB. `None` leaves the current limit.
    pub bandwidth: Option<u64>,
    /// Limit in operations per second, 100 to 100 million. `None` leaves the current limit.
    pub iops: Option<u64>,
}

/// NFS versions under which a file system is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NfsVersions {
    /// NFSv3.
    pub v3: bool,
    /// NFSv4.1.
    pub v4_1: bool,
}

/// A volume or file system as an array reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// Its name, in the array's spelling.
    pub name: String,
    /// Its id, which the array never gives to another object.
    pub id: String,
    /// Size in bytes.
    pub size: u64,
    /// Whether it has been destroyed. [`Array::ensure`](crate::arrays::Array::ensure) can recover it until the array
    /// eradicates it.
    pub destroyed: bool,
    /// Time when it was created, in milliseconds since 1970.
    pub created: Option<u64>,
    /// FlashArray: serial number, 24 hexadecimal digits.
    pub serial: Option<String>,
    /// FlashArray: number of connected hosts.
    pub connections: u64,
    /// For a destroyed volume, the time until the array eradicates it, in milliseconds. `None` when the array does not
    /// report it.
    pub time_left: Option<u64>,
    /// FlashBlade: its NFS export. `None` in lists.
    pub served: Option<NfsExport>,
}

/// The NFS export of a file system on a FlashBlade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NfsExport {
    /// NFS versions under which the array serves it.
    pub nfs: NfsVersions,
    /// Export rules in the array's syntax. `None` when the rules are in an export policy, or when the array does not
    /// report them.
    pub rules: Option<String>,
    /// Whether clients may write.
    pub writable: bool,
}

impl Volume {
    /// Returns its name and id, or `None` when the provisioner could not have created a volume of this name.
    pub fn volume_id(&self) -> Option<VolumeId> {
        Some(VolumeId { name: VolumeName::new(self.name.as_str())?, id: self.id.clone() })
    }

    /// FlashArray: returns the World Wide Identifier of the device on a node: the vendor's prefix and the serial number
    /// in lower case.
    pub fn wwid(&self) -> Option<String> {
        self.serial.as_ref().map(|serial| format!("3624a9370{}", serial.to_ascii_lowercase()))
    }
}

/// A snapshot of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name, `volume.suffix`.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Name of the volume.
    pub volume: String,
    /// Time when it was taken, in milliseconds since 1970.
    pub created: Option<u64>,
    /// Whether it has been destroyed.
    pub destroyed: bool,
    /// Size in bytes of a volume that is cloned from it, if the array reports it.
    pub size: Option<u64>,
}

/// A snapshot, and the volume that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotOf {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The id of the volume.
    pub volume_id: String,
}
