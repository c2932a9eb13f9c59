//! Objects of Kubernetes as the provisioner reads them, written by anybody: claims, PersistentVolumes, StorageClasses,
//! events.
//!
//! The input is a JSON object with a list of each. Every decision is taken for every object; what is printed is plain.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use pso_gen::contract::{self, ArrayKind, Capacity, Transport, class_of};
use pso_gen::provisioner::decide::{
    ArrayState, ArrayTraits, ClaimState, ClaimView, ClassSetup, Health, Input, ReclaimState,
    ReclaimView, Setup, SnapshotState, SnapshotView, SourceView, backing_ids, capacity, cluster_of,
    condition, foreign, is_handed_over, is_match, reserved_for, source_of,
};
use pso_gen::provisioner::report::{Inventory, Report, ReportFilter};
use pso_gen::sanitize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// 2026-11-23T00:00:00Z.
const NOW: u64 = 1_795_392_000;

pub(crate) fn objects(bytes: &[u8]) {
    let Ok(all) = serde_json::from_slice::<Json>(bytes) else { return };
    let setup = Setup::of("prod");
    let arrays = [
        array(
            "fb1",
            ArrayKind::FlashBlade,
            Transport::Nfs { addresses: vec!["192.0.2.1".to_owned()] },
        ),
        array("fa1", ArrayKind::FlashArray, Transport::Block(Vec::new())),
    ];
    let claims: Vec<PersistentVolumeClaim> = list(&all["claims"]);
    let volumes: Vec<PersistentVolume> = list(&all["volumes"]);
    let classes: Vec<StorageClass> = list(&all["classes"]);
    let read: BTreeMap<String, Result<ClassSetup, String>> = classes
        .iter()
        .filter_map(|class| {
            Some((class.metadata.name.clone().unwrap_or_default(), ClassSetup::read(class)?))
        })
        .collect();
    for volume in &volumes {
        let _ = (
            cluster_of(volume),
            foreign(volume),
            reserved_for(volume),
            capacity(volume),
            condition(volume, &[]),
        );
        let view =
            ReclaimView { setup: &setup, volume: Some(volume), is_shared: false, arrays: &arrays };
        let _ = ReclaimState::default().step(view, Input::Changed);
    }
    let mut persistent_volumes: HashMap<(String, String), BTreeSet<String>> = HashMap::new();
    let mut theirs: HashMap<String, BTreeSet<String>> = HashMap::new();
    for volume in &volumes {
        let name = volume.metadata.name.clone().unwrap_or_default();
        if let Some(ids) = backing_ids(volume) {
            persistent_volumes.entry(ids).or_default().insert(name.clone());
        }
        if let Some(key) = foreign(volume) {
            theirs.entry(key).or_default().insert(name);
        }
    }
    for claim in &claims {
        let class = class_of(claim).and_then(|class| read.get(class));
        let named = |name: Option<&String>| {
            volumes.iter().find(|volume| volume.metadata.name.as_ref() == name)
        };
        let bound = claim
            .spec
            .as_ref()
            .and_then(|spec| named(spec.volume_name.as_ref().filter(|name| !name.is_empty())));
        let source = source_of(claim).and_then(|(_, name)| {
            let claim = claims.iter().find(|claim| claim.metadata.name.as_deref() == Some(name))?;
            Some(SourceView { claim, volume: volumes.first() })
        });
        let rival = volumes.iter().find(|volume| is_match(volume, claim, is_handed_over(claim)));
        let uid = claim.metadata.uid.clone().unwrap_or_default();
        let view = ClaimView {
            setup: &setup,
            claim: Some(claim),
            volume: named(Some(&contract::name::persistent_volume(&uid))),
            bound,
            class,
            arrays: &arrays,
            node: None,
            source,
            persistent_volumes: &persistent_volumes,
            foreign: &theirs,
            rival: rival.and_then(|rival| rival.metadata.name.as_deref()),
            is_crowded: false,
        };
        let mut work = ClaimState::default();
        for event in [
            Input::Changed,
            Input::WatchCaughtUp,
            Input::Due,
            Input::ControllerCaughtUp,
            Input::Changed,
        ] {
            let _ = work.step(view, event);
        }
        for volume in &volumes {
            let view = SnapshotView {
                now: NOW,
                volume: Some(volume),
                is_shared: false,
                claim: Some(claim),
                class,
            };
            let _ = SnapshotState::default().step(view, Input::Changed);
        }
    }
    report(&Inventory {
        claims,
        volumes,
        classes,
        events: list(&all["events"]),
        arrays: arrays.to_vec(),
        setup: Some(setup),
        identity: Some("3f2a9c1e7b4d4e1a".to_owned()),
        now: NOW,
        ..Inventory::default()
    });
}

/// What people read of the objects steers no terminal.
fn report(census: &Inventory) {
    let report = Report::new(census, &ReportFilter::default(), None);
    for problem in &report.problems {
        for text in [&problem.about, &problem.what, &problem.remedy] {
            assert!(!text.chars().any(sanitize::steers), "{text:?}");
        }
    }
}

fn array(name: &str, kind: ArrayKind, transport: Transport) -> ArrayState {
    let capacity = Capacity { total: 1 << 50, used: 0, provisioned: Some(0) };
    let health = Health::Up { id: format!("id-of-{name}"), capacity, transport };
    ArrayState { name: name.to_owned(), kind, traits: ArrayTraits::default(), health }
}

/// The first objects of a list that are of a kind.
fn list<T: DeserializeOwned>(list: &Json) -> Vec<T> {
    let items = list.as_array().into_iter().flatten().take(8);
    items.filter_map(|item| serde_json::from_value(item.clone()).ok()).collect()
}
