//! Determines the initial content of a claim's volume: empty, a clone of another claim's volume, a snapshot, or an imported
//! volume.

use crate::contract::ArrayKind;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::claim_spec;
use super::claim_view::ClaimView;
use super::effect::Effect;
use super::object::claim_uid;
use super::persistent_volume::{BackingVolume, backing_volume, quantity};
use super::restore_point::{self, RestorePoint, RestoreSearch, UnknownArray};
use super::setup::{ClassSetup, Import};
use crate::contract::annotation;
use crate::contract::name::SNAPSHOT_GROUP;

/// The initial content of a volume.
#[derive(Debug)]
pub(super) enum Origin<'v> {
    /// No content.
    Empty,
    /// A clone of a volume on the same array, from the moment of cloning.
    Copy(BackingVolume),
    /// A copy of a snapshot on the same array.
    Restore(Box<RestorePoint>),
    /// An existing volume.
    Import(&'v Import),
}

/// The reason why the initial content is unknown.
#[derive(Debug)]
pub(super) enum Unknown {
    /// A volume populator fills volumes of claims like this.
    NotOurs,
    /// The effect that reads the source.
    NotRead(Effect),
    /// The source does not exist; the text is for events. It may have existed, and the clone may be complete.
    NotThere(String),
    /// Text for events and logs.
    Wrong(String),
}

impl Origin<'_> {
    /// Returns the only array that fits, if the source decides it.
    pub(super) fn array(&self) -> Option<&str> {
        match self {
            Self::Empty => None,
            Self::Copy(backing_volume) => Some(&backing_volume.array),
            Self::Restore(point) => Some(&point.array),
            Self::Import(import) => Some(&import.array),
        }
    }
}

/// Returns the initial content of a claim's volume. `ours` is whether the claim has the annotations of the provisioner, and
/// `search` the progress of the search for the snapshot of its VolumeSnapshot.
pub(super) fn origin<'v>(
    view: ClaimView<'v>,
    claim: &PersistentVolumeClaim,
    class: &ClassSetup,
    ours: bool,
    search: &RestoreSearch,
) -> Result<Origin<'v>, Unknown> {
    if let Some(import) = import(view, claim, ours).map_err(Unknown::Wrong)? {
        return Ok(Origin::Import(import));
    }
    if let Some(("VolumeSnapshot", name)) = source_of(claim) {
        return restore(view, claim, class, name, search).map(Box::new).map(Origin::Restore);
    }
    Ok(source(view, claim, class)?.map_or(Origin::Empty, Origin::Copy))
}

/// Returns the volume of the claim that a claim names as its source.
/// <https://kubernetes.io/docs/concepts/storage/volume-pvc-datasource/>
fn source(
    view: ClaimView<'_>,
    claim: &PersistentVolumeClaim,
    class: &ClassSetup,
) -> Result<Option<BackingVolume>, Unknown> {
    let Some((kind, name)) = source_of(claim) else { return Ok(None) };
    match kind {
        "PersistentVolumeClaim" => {}
        // Populators create a claim of their own and bind its volume to this one.
        _ => return Err(Unknown::NotOurs),
    }
    if is_elsewhere(claim) {
        let message = format!("the claim {name} to copy is in another namespace");
        return Err(Unknown::Wrong(message));
    }
    let not_there = |what: &str| Unknown::NotThere(format!("the claim {name} to copy {what}"));
    let source = view.source.ok_or_else(|| not_there("is not there"))?;
    let uid = source.claim.metadata.uid.as_deref();
    let volume = source.volume.filter(|volume| uid.is_some() && claim_uid(volume) == uid);
    let volume = volume.ok_or_else(|| not_there("is not bound"))?;
    let wrong = |what: String| Unknown::Wrong(format!("the claim {name} to copy {what}"));
    let backing_volume =
        backing_volume(volume).ok_or_else(|| wrong("has a volume of another driver".to_owned()))?;
    let is_file = volume.spec.as_ref().is_some_and(|spec| spec.nfs.is_some());
    if is_file != (class.kind == ArrayKind::FlashBlade) {
        return Err(wrong(format!("is on the other kind of array than {}", class.name)));
    }
    let mode = |mode: Option<&String>| mode.is_some_and(|mode| mode == "Block");
    let own = claim.spec.as_ref().and_then(|spec| spec.volume_mode.as_ref());
    if mode(own) != mode(volume.spec.as_ref().and_then(|spec| spec.volume_mode.as_ref())) {
        return Err(wrong("has another volumeMode".to_owned()));
    }
    if view.arrays.iter().all(|state| state.name != backing_volume.array) {
        let array = &backing_volume.array;
        return Err(not_there(&format!("is on {array}, which the storage document does not have")));
    }
    // A smaller clone would be truncated. The array may have rounded one of the two sizes up.
    let asks = claim_spec::size(claim).map(|size| class.kind.rounded(size));
    if let Some((has, asks)) =
        claim_spec::capacity(volume).zip(asks).filter(|(has, asks)| asks < has)
    {
        let (has, asks) = (quantity(has).0, quantity(asks).0);
        return Err(not_there(&format!(
            "has {has}, and its copy asks for {asks}; ask for {has} or more"
        )));
    }
    Ok(Some(backing_volume))
}

/// Returns the snapshot that a claim's VolumeSnapshot stands for.
/// <https://kubernetes.io/docs/concepts/storage/volume-snapshots/#provisioning-volumes-from-snapshots>
fn restore(
    view: ClaimView<'_>,
    claim: &PersistentVolumeClaim,
    class: &ClassSetup,
    name: &str,
    search: &RestoreSearch,
) -> Result<RestorePoint, Unknown> {
    let not_there = |why: &str| Unknown::NotThere(format!("the VolumeSnapshot {name} {why}"));
    let wrong = |why: &str| Unknown::Wrong(format!("the VolumeSnapshot {name} {why}"));
    if !view.setup.snapshots {
        return Err(Unknown::Wrong(
            "a VolumeSnapshot cannot be a source here: the storage document installs no CSI services (`csi`); name a claim to copy".to_owned(),
        ));
    }
    if class.kind != ArrayKind::FlashArray {
        return Err(wrong(&format!("is one of a block volume, and {} is for files", class.name)));
    }
    if is_elsewhere(claim) {
        return Err(wrong("is in another namespace"));
    }
    let point = match search {
        RestoreSearch::NotYet => {
            let namespace = claim.metadata.namespace.clone().unwrap_or_default();
            let name = name.to_owned();
            return Err(Unknown::NotRead(Effect::ReadVolumeSnapshot { namespace, name }));
        }
        RestoreSearch::Read(Err(why)) => return Err(not_there(why)),
        RestoreSearch::Read(Ok(ids)) => {
            let array = restore_point::array_with_id(view.arrays, &ids.array);
            let array = array.map_err(|unknown| match unknown {
                UnknownArray::MayBeDown(why) => wrong(&why),
                UnknownArray::None(why) => not_there(&why),
            })?;
            let array = array.to_owned();
            let (array_id, id) = (ids.array.clone(), ids.snapshot.clone());
            return Err(Unknown::NotRead(Effect::FindSnapshot { array, array_id, id }));
        }
        RestoreSearch::Answered(ids, array, found) => {
            let cluster = &view.setup.cluster;
            let point = restore_point::restore_point(ids, cluster, array, found.as_deref());
            point.map_err(|why| not_there(&why))?
        }
    };
    let own = claim.spec.as_ref().and_then(|spec| spec.volume_mode.as_deref());
    let own = own.unwrap_or("Filesystem");
    if point.mode.as_deref().is_some_and(|mode| mode != own) {
        return Err(wrong(&format!("is one of another volumeMode than {own}")));
    }
    // A smaller copy would be truncated.
    let asks = claim_spec::size(claim).map(|size| class.kind.rounded(size));
    if let Some((has, asks)) = point.snapshot.size.zip(asks).filter(|(has, asks)| asks < has) {
        let (has, asks) = (quantity(has).0, quantity(asks).0);
        return Err(not_there(&format!(
            "has {has}, and the claim asks for {asks}; ask for {has} or more"
        )));
    }
    Ok(point)
}

/// Returns whether a claim's source is in another namespace.
fn is_elsewhere(claim: &PersistentVolumeClaim) -> bool {
    let spec = claim.spec.as_ref();
    let other = spec.and_then(|spec| spec.data_source_ref.as_ref()?.namespace.as_ref());
    other.is_some_and(|other| claim.metadata.namespace.as_ref() != Some(other))
}

/// Returns kind and name of a claim's source. The kind is empty for API groups other than those of Kubernetes, whose
/// kinds may have the same names.
/// <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#volume-populators-and-data-sources>
pub fn source_of(claim: &PersistentVolumeClaim) -> Option<(&str, &str)> {
    let spec = claim.spec.as_ref()?;
    let of_ref = spec.data_source_ref.as_ref();
    let of_ref = of_ref.map(|source| (source.api_group.as_deref(), &source.kind, &source.name));
    let plain = spec.data_source.as_ref();
    let plain = plain.map(|source| (source.api_group.as_deref(), &source.kind, &source.name));
    let (group, kind, name) = of_ref.or(plain)?;
    let kind = match (group.unwrap_or_default(), kind.as_str()) {
        ("", "PersistentVolumeClaim") | (SNAPSHOT_GROUP, "VolumeSnapshot") => kind.as_str(),
        _ => "",
    };
    Some((kind, name.as_str()))
}

/// Returns the volume that the storage document imports for a claim.
fn imported<'v>(view: ClaimView<'v>, claim: &PersistentVolumeClaim) -> Option<&'v Import> {
    let (namespace, name) = (claim.metadata.namespace.clone(), claim.metadata.name.clone());
    view.setup.imports.get(&(namespace?, name?))
}

/// Returns the volume to import for a claim. If the claim has the annotations of the provisioner already, the storage
/// document must agree with them.
fn import<'v>(
    view: ClaimView<'v>,
    claim: &PersistentVolumeClaim,
    ours: bool,
) -> Result<Option<&'v Import>, String> {
    let said = imported(view, claim);
    if !ours {
        return Ok(said);
    }
    let written = claim.metadata.annotations.as_ref().and_then(|all| all.get(annotation::IMPORT));
    match (said, written) {
        (Some(import), Some(written)) if import.volume.is(written) => Ok(Some(import)),
        (_, None) => Ok(None),
        (_, Some(written)) => Err(format!(
            "{written} was to be imported, and the storage document does not say so any more; create the claim again"
        )),
    }
}
