//! Volumes as the provisioner asks for them, and as arrays report them. Knows no request.

use super::{ExportRule, VolumeName};

/// Which volume is meant, beyond doubt: names are used again after eradication, ids never.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VolumeId {
    /// Its name.
    pub name: VolumeName,
    /// Its `id` on the array.
    pub id: String,
}

/// For whom a volume is made. A FlashArray keeps this in tags of the volume; a FlashBlade has no tags:
/// there the name, the id and the time of creation are all there is to compare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's identity, and after it those of the clusters that it has taken over; empty when it is
    /// not known. The first is written, any of them is recognised.
    pub identities: Vec<String>,
    /// Namespace of the claim.
    pub namespace: String,
    /// VolumeName of the claim.
    pub claim: String,
    /// UID of the claim: what makes it this one and no other.
    pub uid: String,
    /// When the claim was created, in milliseconds since 1970; none when that is not known any more. The
    /// UID is in the volume's name, so that a volume from before was not made for the claim.
    pub since: Option<u64>,
}

impl Owner {
    /// How far an array's clock may differ from that of the cluster, in milliseconds.
    const CLOCKS: u64 = 60 * 60 * 1000;

    /// Returns whether a volume is older than the claim that it is said to be made for.
    pub(crate) fn is_younger_than(&self, created: Option<u64>) -> bool {
        let times = self.since.zip(created);
        times.is_some_and(|(since, created)| created.saturating_add(Self::CLOCKS) < since)
    }
}

/// What a volume shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeRequest {
    /// Its name, of which the claim's UID should be part.
    pub name: VolumeName,
    /// For whom.
    pub owner: Owner,
    /// Size in bytes. Arrays may round it up.
    pub size: u64,
    /// What it is a copy of; an empty volume when there is none.
    pub source: Option<CloneSource>,
    /// What only one kind of array has.
    pub details: VolumeOptions,
}

/// What a new volume is a copy of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloneSource {
    /// A snapshot, `name.suffix`.
    Snapshot(String),
    /// Another volume of the same array, as it is now.
    Volume(VolumeId),
}

/// What only one kind of array has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeOptions {
    /// A file system of a FlashBlade. Its size is a hard limit. Owner and mode of its top folder are not
    /// in the array's API: that folder belongs to root, and a pod that mounts it changes it.
    File {
        /// Who may mount it; nobody when empty.
        exports: Vec<ExportRule>,
        /// NFS versions that it is served with.
        nfs: NfsVersions,
    },
    /// A volume of a FlashArray.
    Block {
        /// Whether it joins the protection groups that the array's administrator has set for new
        /// volumes (REST 2.16 and later).
        default_protection: bool,
        /// What the array limits it to.
        qos: Qos,
    },
}

/// Limits of one volume of a FlashArray.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Qos {
    /// Most bytes per second, 1 MiB to 512 GiB; none to leave it as it is.
    pub bandwidth: Option<u64>,
    /// Most operations per second, 100 to 100 million; none to leave it as it is.
    pub iops: Option<u64>,
}

/// NFS versions that a file system is served with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NfsVersions {
    /// NFSv3.
    pub v3: bool,
    /// NFSv4.1.
    pub v4_1: bool,
}

/// A volume or file system as it is on an array.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// Its name, as the array writes it.
    pub name: String,
    /// Its id, which no other object of the array ever has.
    pub id: String,
    /// Size in bytes.
    pub size: u64,
    /// Whether it has been destroyed: it comes back by [`Array::ensure`](super::Array::ensure) until the
    /// array eradicates it.
    pub destroyed: bool,
    /// When it was made, in milliseconds since 1970.
    pub created: Option<u64>,
    /// FlashArray: serial number, 24 hexadecimal digits.
    pub serial: Option<String>,
    /// FlashArray: how many hosts see it.
    pub connections: u64,
    /// When it is destroyed, milliseconds until the array eradicates it; none when the array does not say.
    pub time_left: Option<u64>,
    /// FlashBlade: how clients reach it; none in lists.
    pub served: Option<NfsExport>,
}

/// How a FlashBlade serves a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NfsExport {
    /// NFS versions that it is served with.
    pub nfs: NfsVersions,
    /// Who may mount it, as the array says it; none when that is in an export policy, or the array does not say.
    pub rules: Option<String>,
    /// Whether clients may write.
    pub writable: bool,
}

impl Volume {
    /// Returns which volume it is; none when its name is one that we would not give.
    pub fn volume_id(&self) -> Option<VolumeId> {
        Some(VolumeId { name: VolumeName::new(self.name.as_str())?, id: self.id.clone() })
    }

    /// FlashArray: returns the World Wide Identifier by which a node knows the device, which is the
    /// vendor's prefix and the serial number in lower case.
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
    /// VolumeName of the volume.
    pub volume: String,
    /// When it was taken, in milliseconds since 1970.
    pub created: Option<u64>,
    /// Whether it has been destroyed.
    pub destroyed: bool,
    /// Size of a volume made from it, in bytes, where the array says so.
    pub size: Option<u64>,
}
