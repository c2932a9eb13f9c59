//! Snapshots of volumes, and volumes restored from them.

use super::*;

#[tokio::test]
async fn snapshots_are_taken_and_restored_and_keep_their_volume() {
    let lab = Fixture::new(&["fa1"]).await;
    let service = lab.service("prod", "aaaa");
    let volume = created(&service, wanted(CLAIM, 2 * GIB)).await;
    let other = created(&service, wanted("other", GIB)).await;
    let take = |name: &str, of: &Volume| CreateSnapshotRequest {
        name: name.to_owned(),
        source_volume_id: of.volume_id.clone(),
        ..CreateSnapshotRequest::default()
    };
    let taken = service.create_snapshot(take("snapshot-1", &volume)).await.expect("taken");
    let taken = taken.snapshot.expect("a snapshot");
    assert_eq!((taken.size_bytes, &taken.source_volume_id), (2 * GIB, &volume.volume_id));
    let again = service.create_snapshot(take("snapshot-1", &volume)).await.expect("there");
    assert_eq!(again.snapshot.as_ref(), Some(&taken));
    let used = service.create_snapshot(take("snapshot-1", &other)).await.expect_err("used");
    assert_eq!(used.code(), Code::AlreadyExists);

    let kept = service.delete_volume(delete(&volume.volume_id)).await.expect_err("snapshots");
    assert_eq!(kept.code(), Code::FailedPrecondition);
    let from = |name: &str, size: i64| {
        let source = SnapshotSource { snapshot_id: taken.snapshot_id.clone() };
        let source = VolumeContentSource { r#type: Some(ContentSource::Snapshot(source)) };
        CreateVolumeRequest { volume_content_source: Some(source), ..wanted(name, size) }
    };
    let restored = created(&service, from("restored", 3 * GIB)).await;
    assert_eq!(restored.capacity_bytes, 3 * GIB, "expanded after the clone");
    assert_eq!(created(&service, from("restored", 3 * GIB)).await, restored);
    // A repeated request has the same source.
    let second = service.create_snapshot(take("snapshot-2", &volume)).await.expect("taken");
    let second = second.snapshot.expect("a snapshot").snapshot_id;
    let source = SnapshotSource { snapshot_id: second.clone() };
    let source = VolumeContentSource { r#type: Some(ContentSource::Snapshot(source)) };
    let elsewhere =
        CreateVolumeRequest { volume_content_source: Some(source), ..wanted("restored", 3 * GIB) };
    for (what, other) in [("another snapshot", elsewhere), ("none", wanted("restored", 3 * GIB))] {
        let refused = service.create_volume(other).await.expect_err(what);
        assert_eq!(refused.code(), Code::AlreadyExists, "{what}");
    }
    let empty = service.create_volume(from("other", GIB * 2)).await.expect_err("created empty");
    assert_eq!(empty.code(), Code::AlreadyExists);
    let small = service.create_volume(from("small", GIB)).await.expect_err("less than the source");
    assert_eq!(small.code(), Code::OutOfRange);
    let source = VolumeSource { volume_id: volume.volume_id.clone() };
    let source = VolumeContentSource { r#type: Some(ContentSource::Volume(source)) };
    let clone =
        CreateVolumeRequest { volume_content_source: Some(source), ..wanted("clone", 2 * GIB) };
    let clone = created(&service, clone).await;
    assert_eq!(clone.capacity_bytes, 2 * GIB);
    let attached = service.publish(publish(&clone.volume_id, "one")).await.expect("attached");
    let attachment = Attachment::from_context(&attached.publish_context).expect("a context");
    assert!(!attachment.never_formatted, "it has the data of its source");

    // An admin's snapshot is neither listed nor destroyed.
    let array = lab.client("fa1");
    let there = array.list("prod-pvc-0f8fad5b").await.expect("a list").remove(0);
    let suffix = crate::contract::SnapshotSuffix::new("before-upgrade").expect("a suffix");
    let admins = array.snapshot(&there.volume_id().expect("ours"), &suffix).await.expect("taken");
    let listed = service.list_snapshots(ListSnapshotsRequest::default()).await.expect("a list");
    assert_eq!(listed.entries.len(), 2);
    let array_id = volume.volume_id.split_once('/').expect("two parts").0;
    let destroy = |id: String| DeleteSnapshotRequest { snapshot_id: id, ..Default::default() };
    let foreign = format!("{array_id}/{}", admins.id);
    service.delete_snapshot(destroy(foreign)).await.expect("it is none of ours");
    service.delete_snapshot(destroy(second)).await.expect("destroyed");
    // Neither this service nor the provisioner destroys a volume with a VolumeSnapshot.
    let owner = crate::contract::Owner {
        cluster: "prod".to_owned(),
        uid: CLAIM.trim_start_matches("pvc-").to_owned(),
        ..crate::contract::Owner::default()
    };
    let kept = array.destroy(&there.volume_id().expect("ours"), &owner).await.expect_err("kept");
    assert!(kept.to_string().contains("delete the VolumeSnapshots"), "{kept}");
    service.delete_snapshot(destroy(taken.snapshot_id.clone())).await.expect("destroyed");
    service.delete_snapshot(destroy(taken.snapshot_id.clone())).await.expect("already");
    let left = array.snapshots(&there.volume_id().expect("ours")).await.expect("a list");
    let alive: Vec<_> = left.iter().filter(|each| !each.destroyed).map(|each| &each.name).collect();
    assert_eq!(alive, [&admins.name]);
    service.delete_volume(delete(&volume.volume_id)).await.expect("no snapshot of ours is left");
}
