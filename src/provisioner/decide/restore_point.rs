//! Reads from a VolumeSnapshot and its VolumeSnapshotContent which snapshot on an array they stand for. A developer writes the
//! first and an admin or the snapshot-controller the second, so both have to name the other one.
//! <https://kubernetes.io/docs/concepts/storage/volume-snapshots/>

use serde_json::Value as Json;

use crate::contract::{DRIVER, Snapshot};

/// The snapshot on an array whose content a claim's volume gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePoint {
    /// The array that has it, by its name in the storage document.
    pub array: String,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The `volumeMode` of its volume, if the VolumeSnapshotContent records it.
    pub mode: Option<String>,
}

/// A snapshot by its ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotIds {
    /// The id of the array.
    pub array: String,
    /// The id of the snapshot.
    pub snapshot: String,
    /// The `volumeMode` of its volume, if it is recorded.
    pub mode: Option<String>,
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
    let (array, id) = handle.split_once('/').ok_or("has a snapshot of unknown form")?;
    let mode = content["spec"]["sourceVolumeMode"].as_str();
    Ok(SnapshotIds {
        array: array.to_owned(),
        snapshot: id.to_owned(),
        mode: mode.map(str::to_owned),
    })
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
                "volumeSnapshotRef": {"namespace": "files", "name": "before", "uid": "u1"},
            },
            "status": {"snapshotHandle": "array-1/snapshot-1"},
        })
    }

    #[test]
    fn a_snapshot_that_is_ready_leads_to_its_ids() {
        assert_eq!(content_of(Some(&snapshot())), Ok("snapcontent-u1".to_owned()));
        let ids = snapshot_ids(&snapshot(), Some(&content())).expect("found");
        assert_eq!((ids.array.as_str(), ids.snapshot.as_str()), ("array-1", "snapshot-1"));
        assert_eq!(ids.mode.as_deref(), Some("Filesystem"));
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
        assert!(with(json!({"status": {"snapshotHandle": "odd"}})).contains("unknown form"));
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
