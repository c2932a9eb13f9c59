//! `PersistentVolumeClaims`: the storage of an app.
//!
//! Claims are separate objects, never templates in a StatefulSet, so that their size can be increased and a sync
//! shows no permanent difference. A sync never prunes or deletes a claim that holds data.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Context;
use crate::compiler::blueprint::{AppVolume, ClassKind};
use crate::compiler::manifest::Object;
use crate::contract::Quantity as Size;
use crate::contract::annotation;

/// Annotation that prevents Argo CD from deleting a claim.
pub(super) const KEEP: (&str, &str) = (annotation::SYNC_OPTIONS, "Prune=false,Delete=false");
/// Returns one claim for each volume that does not use an existing one.
pub(super) fn claims(context: &Context<'_>) -> Vec<Object> {
    let volumes = context.app.volumes.iter().filter(|(_, volume)| volume.claim.is_none());
    volumes.map(|(name, volume)| claim(context, name, volume)).collect()
}

fn claim(context: &Context<'_>, name: &str, volume: &AppVolume) -> Object {
    let app = context.app;
    let users = app.components.iter().filter(|(_, c)| c.program.mounts.contains_key(name));
    let wave = users.map(|(component, _)| context.waves.of(component)).min();
    let wave = wave.unwrap_or(super::wave::LAST);
    let mut metadata = context.metadata(app.object_name(name), "", wave);
    let annotations = metadata.annotations.get_or_insert_default();
    if volume.keep {
        annotations.insert(KEEP.0.to_owned(), KEEP.1.to_owned());
    }
    if !volume.about.is_empty() {
        annotations
            .insert(annotation::ABOUT.to_owned(), volume.about.trim_end_matches('.').to_owned());
    }
    if let Some(snapshots) = volume.snapshots {
        annotations.insert(annotation::SNAPSHOTS.to_owned(), snapshots.to_string());
    }
    let access_mode = match volume.class.kind {
        ClassKind::File => "ReadWriteMany",
        ClassKind::Block => "ReadWriteOnce",
    };
    let size = Quantity(volume.size.text().to_owned());
    Object::from(PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            storage_class_name: Some(volume.class.name.clone()),
            access_modes: Some(vec![access_mode.to_owned()]),
            volume_mode: Some("Filesystem".to_owned()),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), size)].into()),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    })
}

/// Rounds the sizes of all claims up to whole bytes, including those of an app's own manifests and patches. The
/// API server would warn of a fraction, and keep it.
pub(super) fn round_up(objects: &mut [Object]) {
    let whole = |spec: &mut PersistentVolumeClaimSpec| {
        let Some(resources) = &mut spec.resources else { return };
        for sizes in [&mut resources.requests, &mut resources.limits].into_iter().flatten() {
            if let Some(size) = sizes.get_mut("storage")
                && let Some(whole) = Size::parse(&size.0)
            {
                whole.text().clone_into(&mut size.0);
            }
        }
    };
    for object in objects {
        match object {
            Object::PersistentVolumeClaim(claim) => claim.spec.iter_mut().for_each(whole),
            Object::StatefulSet(set) => {
                let templates =
                    set.spec.iter_mut().flat_map(|spec| &mut spec.volume_claim_templates);
                templates.flatten().filter_map(|claim| claim.spec.as_mut()).for_each(whole);
            }
            _ => {}
        }
    }
}
