//! The service beside the provisioner: it serves snapshots and lists, and refuses what the provisioner does.

use super::*;

#[tokio::test]
async fn beside_the_provisioner_it_does_nothing_that_the_provisioner_does() {
    let lab = Fixture::new(&["fa1"]).await;
    let all = lab.service("prod", "3f2a9c1e7b4d4e1a");
    let id = created(&all, wanted(CLAIM, GIB)).await.volume_id;
    let beside = Controller { scope: Scope::BesideProvisioner, ..all.clone() };
    let refused = [
        beside.create_volume(wanted("pvc-2", GIB)).await.map(drop),
        beside.delete_volume(delete(&id)).await.map(drop),
        beside.publish(publish(&id, "one")).await.map(drop),
        beside.unpublish(unpublish(&id, "one")).await.map(drop),
        beside.get_capacity(GetCapacityRequest::default()).await.map(drop),
        beside
            .expand(ControllerExpandVolumeRequest {
                volume_id: id.clone(),
                capacity_range: Some(of_size(2 * GIB, 0)),
                ..ControllerExpandVolumeRequest::default()
            })
            .await
            .map(drop),
    ];
    for refused in refused {
        assert_eq!(refused.expect_err("the provisioner's").code(), Code::Unimplemented);
    }
    let listed = all.list_volumes(ListVolumesRequest::default()).await.expect("listed").entries;
    let listed: Vec<_> = listed.into_iter().filter_map(|entry| entry.volume).collect();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((&listed[0].volume_id, listed[0].capacity_bytes), (&id, GIB), "as it was");

    let offered = beside.capabilities(ControllerGetCapabilitiesRequest {}).await.expect("offered");
    let offered: Vec<_> = offered.capabilities.into_iter().filter_map(|it| it.r#type).collect();
    let rpc = |r#type: ControllerRpcType| {
        ControllerServiceCapabilityType::Rpc(ControllerRpc { r#type: r#type.into() })
    };
    for provisioners in [
        ControllerRpcType::CreateDeleteVolume,
        ControllerRpcType::PublishUnpublishVolume,
        ControllerRpcType::ExpandVolume,
        ControllerRpcType::CloneVolume,
    ] {
        assert!(!offered.contains(&rpc(provisioners)), "{provisioners:?}");
    }
    assert!(offered.contains(&rpc(ControllerRpcType::CreateDeleteSnapshot)), "{offered:?}");
    let snapshot = beside
        .create_snapshot(CreateSnapshotRequest {
            name: "snapshot-1".to_owned(),
            source_volume_id: id.clone(),
            ..CreateSnapshotRequest::default()
        })
        .await
        .expect("taken")
        .snapshot
        .expect("a snapshot");
    assert_eq!(snapshot.source_volume_id, id);
}
