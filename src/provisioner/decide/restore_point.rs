//! Reads from a VolumeSnapshot and its VolumeSnapshotContent which snapshot on an array they stand for, and checks the one that
//! the array has. A developer writes the VolumeSnapshot, an admin or the snapshot-controller the specification of the content,
//! and the CSI services its status: the specification alone decides whose data a claim gets.
//! <https://kubernetes.io/docs/concepts/storage/volume-snapshots/>

use serde_json::Value as Json;

use super::setup::{ArrayState, Health};
use crate::contract::{ArrayKind, DRIVER, Snapshot, SnapshotOf, SnapshotSuffix, VolumeName, name};

/// The snapshot on an array whose content a claim's volume gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RestorePoint {
    /// The array that has it, by its name in the storage document.
    pub(super) array: String,
    /// The snapshot.
    pub(super) snapshot: Snapshot,
    /// The `volumeMode` of its volume, if the VolumeSnapshotContent records it.
    pub(super) mode: Option<String>,
}

/// A snapshot by its ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotIds {
    /// The id of the array.
    pub array: String,
    /// The id of the snapshot.
    pub snapshot: String,
    /// The id of the volume that it has to be of. None for a snapshot that the specification of the content itself names.
    pub volume: Option<String>,
    /// The `volumeMode` of its volume, if it is recorded.
    pub mode: Option<String>,
}

/// The progress of the search for the snapshot of a claim's VolumeSnapshot.
#[derive(Debug, Clone, Default)]
pub(super) enum RestoreSearch {
    /// Nothing was read.
    #[default]
    NotYet,
    /// The VolumeSnapshot was read; an error says why it stands for no snapshot.
    Read(Result<Box<SnapshotIds>, String>),
    /// The array of that name answered; none if it has no snapshot of the id.
    Answered(Box<SnapshotIds>, String, Option<Box<SnapshotOf>>),
}

impl RestoreSearch {
    /// Returns the search after the answer of an array.
    pub(super) fn answered(self, array: String, found: Option<Box<SnapshotOf>>) -> Self {
        match self {
            Self::Read(Ok(ids)) | Self::Answered(ids, ..) => Self::Answered(ids, array, found),
            before => before,
        }
    }
}

/// Returns the name of the VolumeSnapshotContent of a VolumeSnapshot; an error says why there is none.
pub fn content_of(snapshot: Option<&Json>) -> Result<String, String> {
    let snapshot = snapshot.ok_or("is not there")?;
    if snapshot["metadata"]["deletionTimestamp"].is_string() {
        return Err("is being deleted".to_owned());
    }
    if let Some(error) = snapshot["status"]["error"]["message"].as_str() {
        return Err(format!("has failed: {error}"));
    }
    if snapshot["status"]["readyToUse"] != true {
        return Err("is not ready yet".to_owned());
    }
    let content = snapshot["status"]["boundVolumeSnapshotContentName"].as_str();
    Ok(content.ok_or("has no VolumeSnapshotContent yet")?.to_owned())
}

/// Returns the snapshot of a VolumeSnapshot and its VolumeSnapshotContent; an error says why there is none.
pub fn snapshot_ids(snapshot: &Json, content: Option<&Json>) -> Result<SnapshotIds, String> {
    let content = content.ok_or("has lost its VolumeSnapshotContent")?;
    let (metadata, names) = (&snapshot["metadata"], &content["spec"]["volumeSnapshotRef"]);
    let is_same = |field: &str| metadata[field].is_string() && metadata[field] == names[field];
    if !["namespace", "name", "uid"].into_iter().all(is_same) {
        return Err("has the VolumeSnapshotContent of another VolumeSnapshot".to_owned());
    }
    if content["spec"]["driver"] != DRIVER {
        return Err("is one of another driver".to_owned());
    }
    let handle = content["status"]["snapshotHandle"].as_str().ok_or("has no snapshot yet")?;
    let (array, id) = ids(handle).ok_or("has a snapshot of unknown form")?;
    // The CSI services write the status, and the token of their account may be stolen.
    let source = &content["spec"]["source"];
    let volume = match (source["volumeHandle"].as_str(), source["snapshotHandle"].as_str()) {
        (None, Some(named)) if named == handle => None,
        (Some(of), None) => {
            let volume =
                ids(of).filter(|(on, _)| *on == array).map(|(_, volume)| volume.to_owned());
            Some(volume.ok_or(OTHER_SOURCE)?)
        }
        _ => return Err(OTHER_SOURCE.to_owned()),
    };
    let mode = content["spec"]["sourceVolumeMode"].as_str();
    Ok(SnapshotIds {
        array: array.to_owned(),
        snapshot: id.to_owned(),
        volume,
        mode: mode.map(str::to_owned),
    })
}

/// The refusal of a snapshot that is not the one of the content's source.
const OTHER_SOURCE: &str = "has a VolumeSnapshotContent whose `status.snapshotHandle` is not a snapshot of its `spec.source`; take a new VolumeSnapshot, and look for the program or person that changed the status";

/// Returns the ids in the handle of a volume or snapshot, `ARRAY_ID/ID`.
fn ids(handle: &str) -> Option<(&str, &str)> {
    let is_id =
        |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    handle.split_once('/').filter(|(array, id)| is_id(array) && is_id(id))
}

/// Why no array is known to have an id; the texts follow the name of a VolumeSnapshot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UnknownArray {
    /// An array that does not answer may have it.
    MayBeDown(String),
    /// No array has it.
    None(String),
}

/// Returns the name of the FlashArray with an id.
pub(super) fn array_with_id<'v>(
    arrays: &'v [ArrayState],
    id: &str,
) -> Result<&'v str, UnknownArray> {
    let mut away = Vec::new();
    for state in arrays.iter().filter(|state| state.kind == ArrayKind::FlashArray) {
        match &state.health {
            Health::Up { id: own, .. } if own == id => return Ok(&state.name),
            Health::Up { .. } => {}
            Health::Down(why) => away.push(format!("{}: {why}", state.name)),
        }
    }
    if away.is_empty() {
        let why = "is on an array that the storage document does not have";
        return Err(UnknownArray::None(why.to_owned()));
    }
    let why = format!("is on none of the arrays that answer; {}", away.join("; "));
    Err(UnknownArray::MayBeDown(why))
}

/// Returns the snapshot that an array has for these ids; an error says why a claim of the cluster does not get it.
pub(super) fn restore_point(
    ids: &SnapshotIds,
    cluster: &str,
    array: &str,
    found: Option<&SnapshotOf>,
) -> Result<RestorePoint, String> {
    let found = found.filter(|found| {
        let (volume, _) = found.snapshot.name.split_once('.').unwrap_or_default();
        let prefix = name::volume_prefix(cluster);
        found.snapshot.id == ids.snapshot
            && !found.snapshot.destroyed
            && SnapshotSuffix::is_of_csi(&found.snapshot.name)
            && VolumeName::new(volume).is_some_and(|volume| volume.begins_with(&prefix))
    });
    let found = found.ok_or_else(|| format!("has lost its snapshot on {array}"))?;
    if ids.volume.as_ref().is_some_and(|volume| *volume != found.volume_id) {
        return Err(OTHER_SOURCE.to_owned());
    }
    let (array, snapshot) = (array.to_owned(), found.snapshot.clone());
    Ok(RestorePoint { array, snapshot, mode: ids.mode.clone() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn snapshot() -> Json {
        json!({
            "metadata": {"namespace": "files", "name": "before", "uid": "u1"},
            "status": {"readyToUse": true, "boundVolumeSnapshotContentName": "snapcontent-u1"},
        })
    }

    fn content() -> Json {
        json!({
            "spec": {
                "driver": "pso-gen.io", "sourceVolumeMode": "Filesystem",
                "source": {"volumeHandle": "array-1/volume-1"},
                "volumeSnapshotRef": {"namespace": "files", "name": "before", "uid": "u1"},
            },
            "status": {"snapshotHandle": "array-1/snapshot-1"},
        })
    }

    /// A content that an admin wrote for a snapshot that exists.
    fn static_content() -> Json {
        let mut content = content();
        content["spec"]["source"] = json!({"snapshotHandle": "array-1/snapshot-1"});
        content
    }

    /// The snapshot of that volume on its array.
    fn found() -> SnapshotOf {
        let volume = "prod-pvc-0".to_owned();
        let snapshot = Snapshot {
            name: format!("{volume}.csi-0123456789abcdef0123456789abcdef"),
            id: "snapshot-1".to_owned(),
            volume,
            created: None,
            destroyed: false,
            size: Some(1 << 30),
        };
        SnapshotOf { snapshot, volume_id: "volume-1".to_owned() }
    }

    #[test]
    fn a_snapshot_that_is_ready_leads_to_its_ids() {
        assert_eq!(content_of(Some(&snapshot())), Ok("snapcontent-u1".to_owned()));
        let ids = snapshot_ids(&snapshot(), Some(&content())).expect("found");
        assert_eq!((ids.array.as_str(), ids.snapshot.as_str()), ("array-1", "snapshot-1"));
        assert_eq!(ids.volume.as_deref(), Some("volume-1"));
        assert_eq!(ids.mode.as_deref(), Some("Filesystem"));
        let ids = snapshot_ids(&snapshot(), Some(&static_content())).expect("found");
        assert_eq!((ids.snapshot.as_str(), ids.volume), ("snapshot-1", None));
    }

    /// A stolen token of the CSI services can change the status of any content, and not its specification.
    #[test]
    fn a_changed_status_leads_to_no_snapshot_of_another_volume() {
        let ids = snapshot_ids(&snapshot(), Some(&content())).expect("found");
        let own = restore_point(&ids, "prod", "fa1", Some(&found())).expect("the own one");
        assert_eq!((own.array.as_str(), own.snapshot), ("fa1", found().snapshot));
        // The status names a snapshot of another tenant's volume.
        let theirs = SnapshotOf { volume_id: "volume-2".to_owned(), ..found() };
        let refusal = restore_point(&ids, "prod", "fa1", Some(&theirs)).expect_err("another's");
        assert!(refusal.contains("is not a snapshot of its `spec.source`"), "{refusal}");
        for other in ["array-1/snapshot-2", "array-2/snapshot-1"] {
            let mut content = static_content();
            content["status"]["snapshotHandle"] = json!(other);
            let refusal = snapshot_ids(&snapshot(), Some(&content)).expect_err("another one");
            assert_eq!(refusal, OTHER_SOURCE);
        }
        for source in [
            json!({}),
            json!({"volumeHandle": "array-2/volume-1"}),
            json!({"volumeHandle": "odd"}),
            json!({"volumeHandle": "array-1/volume-1", "snapshotHandle": "array-1/snapshot-1"}),
        ] {
            let mut content = content();
            content["spec"]["source"] = source.clone();
            assert!(snapshot_ids(&snapshot(), Some(&content)).is_err(), "{source}");
        }
    }

    #[test]
    fn only_snapshots_that_the_csi_services_of_this_cluster_took_are_restored() {
        for content in [content(), static_content()] {
            let ids = snapshot_ids(&snapshot(), Some(&content)).expect("found");
            let with = |change: &dyn Fn(&mut Snapshot)| {
                let mut other = found();
                change(&mut other.snapshot);
                restore_point(&ids, "prod", "fa1", Some(&other)).expect_err("refused")
            };
            let lost = "has lost its snapshot on fa1";
            assert_eq!(with(&|it| it.destroyed = true), lost);
            assert_eq!(with(&|it| it.id = "snapshot-2".to_owned()), lost);
            assert_eq!(with(&|it| it.name = it.name.replace("prod-", "test-")), lost);
            assert_eq!(with(&|it| it.name = "prod-pvc-0.nightly".to_owned()), lost);
            assert_eq!(restore_point(&ids, "prod", "fa1", None).expect_err("none"), lost);
        }
    }

    /// An array that is away delays only the restores from its own snapshots.
    #[test]
    fn the_array_is_found_while_others_are_away() {
        let state = |name: &str, health: Health| ArrayState {
            name: name.to_owned(),
            kind: ArrayKind::FlashArray,
            traits: super::super::setup::ArrayTraits::default(),
            health,
        };
        let up = |id: &str| Health::Up {
            id: id.to_owned(),
            capacity: crate::contract::Capacity { total: 1, used: 0, provisioned: None },
            transport: crate::contract::Transport::Block(Vec::new()),
        };
        let mut arrays =
            [state("fa1", Health::Down("no route".to_owned())), state("fa2", up("array-1"))];
        assert_eq!(array_with_id(&arrays, "array-1"), Ok("fa2"));
        let away = array_with_id(&arrays, "array-2").expect_err("it may be the one that is away");
        let why = "is on none of the arrays that answer; fa1: no route";
        assert_eq!(away, UnknownArray::MayBeDown(why.to_owned()));
        arrays[0].health = up("array-3");
        let none = array_with_id(&arrays, "array-2").expect_err("none has it");
        let why = "is on an array that the storage document does not have";
        assert_eq!(none, UnknownArray::None(why.to_owned()));
    }

    #[test]
    fn a_snapshot_that_is_not_ready_is_none() {
        let with = |change: Json| {
            let mut snapshot = snapshot();
            json_merge(&mut snapshot, change);
            content_of(Some(&snapshot)).expect_err("none")
        };
        assert_eq!(content_of(None), Err("is not there".to_owned()));
        assert_eq!(with(json!({"metadata": {"deletionTimestamp": "now"}})), "is being deleted");
        assert_eq!(with(json!({"status": {"readyToUse": false}})), "is not ready yet");
        let failed = json!({"status": {"error": {"message": "no room"}}});
        assert_eq!(with(failed), "has failed: no room");
        let unbound = json!({"status": {"boundVolumeSnapshotContentName": null}});
        assert_eq!(with(unbound), "has no VolumeSnapshotContent yet");
    }

    /// A developer can write a VolumeSnapshot that names any content.
    #[test]
    fn the_content_of_another_snapshot_or_driver_is_refused() {
        let with = |change: Json| {
            let mut content = content();
            json_merge(&mut content, change);
            snapshot_ids(&snapshot(), Some(&content)).expect_err("refused")
        };
        for (field, value) in [("uid", "u2"), ("name", "other"), ("namespace", "elsewhere")] {
            let why = with(json!({"spec": {"volumeSnapshotRef": {field: value}}}));
            assert!(why.contains("of another VolumeSnapshot"), "{field}: {why}");
        }
        assert!(with(json!({"spec": {"driver": "other"}})).contains("another driver"));
        assert!(with(json!({"status": {"snapshotHandle": null}})).contains("no snapshot yet"));
        for odd in ["odd", "array-1/*", "/snapshot-1", "array-1/", "array-1/a' or id='b"] {
            let why = with(json!({"status": {"snapshotHandle": odd}}));
            assert!(why.contains("unknown form"), "{odd}: {why}");
        }
        assert!(snapshot_ids(&snapshot(), None).expect_err("lost").contains("has lost"));
        let mut without = snapshot();
        without["metadata"]["uid"] = Json::Null;
        let mut also = content();
        also["spec"]["volumeSnapshotRef"]["uid"] = Json::Null;
        assert!(snapshot_ids(&without, Some(&also)).is_err(), "no UID proves nothing");
    }

    fn json_merge(object: &mut Json, change: Json) {
        match (object, change) {
            (Json::Object(fields), Json::Object(changes)) => {
                for (key, value) in changes {
                    json_merge(fields.entry(key).or_insert(Json::Null), value);
                }
            }
            (object, value) => *object = value,
        }
    }
}
