//! Stories of claims that have to do with others: their copies, their namespace, other clusters.

use super::*;

fn copy_of(source: &str, name: &str, class: &str, size: &str) -> PersistentVolumeClaim {
    let mut copy = serde_json::to_value(claim(name, class, size)).expect("JSON");
    copy["spec"]["dataSource"] = json!({"kind": "PersistentVolumeClaim", "name": source});
    serde_json::from_value(copy).expect("typed")
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn copies_are_made_by_the_array_and_outlive_their_source() {
    let mut stage = Stage::open("copies").await;
    stage.start();
    let claims = stage.claims("copies");
    let post = PostParams::default();
    // Copies are asked for before there is anything to copy, and by one that asks for more.
    for (source, class) in [("file", "pure-file"), ("block", "pure-block")] {
        for (number, size) in ["1Gi", "3Gi"].into_iter().enumerate() {
            let copy = copy_of(source, &format!("{source}-copy-{number}"), class, size);
            claims.create(&post, &copy).await.expect("made");
        }
        claims.create(&post, &claim(source, class, "1Gi")).await.expect("made");
    }
    let all = ListParams::default();
    let bound = async || {
        let list = claims.list(&all).await.expect("listed").items;
        list.len() == 6 && list.iter().all(is_bound)
    };
    stage.until("sources and copies are bound", bound).await;

    let there = stage.objects(&["file systems", "volumes"]).await;
    let of = |uid: &str| {
        let name = format!("demo-pvc-{uid}");
        there.iter().find(|(_, object)| object["name"] == name.as_str()).expect("on an array")
    };
    let list = claims.list(&all).await.expect("listed").items;
    let claim_of = |name: &str| {
        list.iter().find(|claim| claim.metadata.name.as_deref() == Some(name)).expect("there")
    };
    for source in ["file", "block"] {
        let own = uid(claim_of(source));
        let (array, _) = of(&own);
        for (number, gib) in [1_u64, 3].into_iter().enumerate() {
            let copy = uid(claim_of(&format!("{source}-copy-{number}")));
            let (on, object) = of(&copy);
            assert_eq!(on, array, "a copy is where its source is");
            let from = object["source"]["name"].as_str().expect("made from something");
            assert!(from.starts_with(&format!("demo-pvc-{own}")), "{from} is not of {source}");
            assert_eq!(object["provisioned"], gib << 30);
        }
    }
    assert_eq!(stage.snapshots().await, BTreeSet::new(), "what it took to copy is gone");

    for source in ["file", "block"] {
        claims.delete(source, &DeleteParams::default()).await.expect("deleted");
    }
    let gone = async || stage.own_volumes().await.len() == 4;
    stage.until("the sources are gone", gone).await;
    let left: BTreeSet<String> = stage.on_arrays().await.into_keys().collect();
    let copies =
        list.iter().filter(|claim| claim.spec.as_ref().is_some_and(|s| s.data_source.is_some()));
    assert_eq!(left, copies.map(|copy| format!("demo-pvc-{}", uid(copy))).collect());
}

#[tokio::test]
#[ignore = "starts a control plane"]
async fn nothing_is_left_of_a_namespace_that_is_deleted_at_any_moment() {
    let mut stage = Stage::open("brief").await;
    stage.start();
    let namespaces = Api::<Namespace>::all(stage.client.clone());
    let post = PostParams::default();
    let uids = async |name: &str| {
        let claims = stage.claims(name).list(&ListParams::default()).await.expect("listed").items;
        claims.iter().map(uid).collect::<Vec<_>>()
    };
    // Of four claims, how many have a volume, how many a PersistentVolume, and how many are bound.
    let steps = async |namespace: &str, uids: &[String]| {
        let there = stage.on_arrays().await;
        let made = uids.iter().filter(|uid| there.contains_key(&format!("demo-pvc-{uid}")));
        let volumes = stage.volumes().list(&ListParams::default()).await.expect("listed").items;
        let name = |volume: &PersistentVolume| volume.metadata.name.clone().unwrap_or_default();
        let volumes: BTreeSet<String> = volumes.iter().map(name).collect();
        let written = uids.iter().filter(|uid| volumes.contains(&format!("pvc-{uid}")));
        let claims = stage.claims(namespace).list(&ListParams::default()).await.expect("listed");
        made.count() + written.count() + claims.items.iter().filter(|c| is_bound(c)).count()
    };
    for round in 0..=12 {
        let name = format!("brief-{round}");
        let namespace = json!({"metadata": {"name": name}});
        let namespace = serde_json::from_value(namespace).expect("typed");
        namespaces.create(&post, &namespace).await.expect("made");
        for number in 0..4 {
            let class = ["pure-file", "pure-block"][number % 2];
            let claim = claim(&format!("c{number}"), class, "1Gi");
            stage.claims(&name).create(&post, &claim).await.expect("made");
        }
        // From at once to after all are bound.
        let uids = uids(&name).await;
        let far = async || steps(&name, &uids).await >= round;
        assert!(in_time(Duration::from_millis(5), far).await, "{round} steps");
        namespaces.delete(&name, &DeleteParams::default()).await.expect("deleted");
    }
    let gone = async || {
        let left = namespaces.list(&ListParams::default()).await.expect("listed").items;
        let name = |namespace: &Namespace| namespace.metadata.name.clone().unwrap_or_default();
        left.iter().all(|namespace| !name(namespace).starts_with("brief-"))
    };
    stage.until("the namespaces are gone", gone).await;
    let nothing = async || {
        let volumes = stage.volumes().list(&ListParams::default()).await.expect("listed").items;
        stage.on_arrays().await.is_empty() && volumes.is_empty()
    };
    stage.until("nothing of them is on any array, nor any PersistentVolume", nothing).await;
}

#[tokio::test]
#[ignore = "starts two control planes"]
async fn two_clusters_share_arrays_and_leave_each_other_alone() {
    let mut one = Stage::open_with("mine", Some("")).await;
    one.start();
    let mut other = one.neighbour("theirs", "next").await;
    other.start();
    let post = PostParams::default();
    for stage in [&one, &other] {
        for number in 0..10 {
            let class = ["pure-file", "pure-block"][number % 2];
            // The same names in both, as they are where both follow one repository.
            let claim = claim(&format!("c{number}"), class, "1Gi");
            stage.claims(&stage.namespace).create(&post, &claim).await.expect("made");
        }
    }
    let all = ListParams::default();
    for stage in [&one, &other] {
        let bound = async || {
            let list = stage.claims(&stage.namespace).list(&all).await.expect("listed").items;
            list.len() == 10 && list.iter().all(is_bound)
        };
        stage.until("all are bound", bound).await;
    }
    let of = |names: &BTreeMap<String, u64>, cluster: &str| {
        names.keys().filter(|name| name.starts_with(&format!("{cluster}-pvc-"))).count()
    };
    let there = one.on_arrays().await;
    assert_eq!((of(&there, "demo"), of(&there, "next")), (10, 10));

    // One loses all that it has, and is started anew meanwhile.
    let mine = one.claims("mine");
    mine.delete_collection(&DeleteParams::default(), &all).await.expect("deleted");
    one.kill();
    one.start();
    let gone = async || of(&one.on_arrays().await, "demo") == 0;
    one.until("what is the one's is gone", gone).await;
    assert_eq!(of(&one.on_arrays().await, "next"), 10);
    let list = other.claims("theirs").list(&all).await.expect("listed").items;
    assert!(list.iter().all(is_bound));
}
