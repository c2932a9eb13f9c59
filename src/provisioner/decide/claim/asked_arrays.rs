//! Reads from a claim which arrays were asked for its volume, and derives the facts whose change ends a wait. An array
//! may have been removed from the storage document or renamed since.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::{CLEANUP_FAILED, ClaimState, ClaimView};
use crate::contract::annotation;
use crate::contract::name;
use crate::provisioner::decide::backoff::WaitBasis;
use crate::provisioner::decide::claim_spec;
use crate::provisioner::decide::effect::{Effect, Regarding, Severity};
use crate::provisioner::decide::setup::{ArrayState, Health};

impl ClaimState {
    /// Returns the event of an effect that leaves a volume behind: on an array that the storage document does not have.
    pub(super) fn warn(&mut self, view: ClaimView<'_>, effect: &Effect) -> Option<Effect> {
        let claim = view.claim?;
        let (reason, message) = match effect {
            Effect::RemoveClaimFinalizer { .. } | Effect::RecordIntent { .. } => {
                let gone = asked_arrays(view, claim).into_iter().filter(|each| is_gone(view, each));
                let gone: Vec<String> = gone.map(|each| each.array).collect();
                let uid = claim.metadata.uid.as_deref().unwrap_or_default();
                let name = name::volume(&view.setup.cluster, uid).filter(|_| !gone.is_empty())?;
                let gone = gone.join(" and ");
                (
                    CLEANUP_FAILED,
                    format!(
                        "the storage document does not have {gone} any more, where {name} may have been created; check that array: if the volume exists, nothing uses it"
                    ),
                )
            }
            _ => return None,
        };
        self.retry.backoff.event_if_new(
            Regarding::Claim,
            Severity::Warning,
            reason,
            &message.clone(),
            message,
        )
    }
}

/// An array that has been asked for a claim's volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AskedArray {
    pub(super) array: String,
    /// The id of the array; none on a claim of a release that recorded no ids.
    pub(super) id: Option<String>,
}

/// Returns the arrays that were asked for a claim's volume; the last one is the current one. The admission policy lets
/// only the provisioner write them. An array that was renamed in the storage document has its new name here.
pub(super) fn asked_arrays(view: ClaimView<'_>, claim: &PersistentVolumeClaim) -> Vec<AskedArray> {
    let list = |key: &str| {
        let all = claim.metadata.annotations.as_ref().and_then(|all| all.get(key));
        all.map(String::as_str).unwrap_or_default().split(',')
    };
    let ids = list(annotation::ARRAY_ID).map(Some).chain(std::iter::repeat(None));
    let all = list(annotation::ARRAY).zip(ids).filter(|(array, _)| !array.is_empty());
    all.map(|(array, id)| {
        let id = id.filter(|id| !id.is_empty());
        let has_id = |state: &&ArrayState| {
            matches!(&state.health, Health::Up { id: now, .. } if Some(now.as_str()) == id)
        };
        let is_known = view.arrays.iter().any(|state| state.name == array);
        let renamed = view.arrays.iter().find(has_id).filter(|_| !is_known);
        AskedArray {
            array: renamed.map_or(array, |state| &state.name).to_owned(),
            id: id.map(str::to_owned),
        }
    })
    .collect()
}

/// Returns whether the storage document does not have an array any more. Its volumes are beyond reach.
pub(super) fn is_gone(view: ClaimView<'_>, asked: &AskedArray) -> bool {
    view.arrays.iter().all(|state| state.name != asked.array)
}

/// Returns the facts whose change ends a claim's wait: the arrays, its requests, its deletion and its class.
pub(super) fn wait_basis(view: ClaimView<'_>) -> WaitBasis {
    let is_being_deleted =
        view.claim.is_some_and(|claim| claim.metadata.deletion_timestamp.is_some());
    let class = view.class.map(|class| match class {
        Ok(class) => format!("{class:?}"),
        Err(why) => why.clone(),
    });
    let attributes = view.claim.is_some_and(|claim| claim_spec::check_attributes(claim).is_err());
    WaitBasis::of(
        view.arrays,
        &(view.claim.and_then(claim_spec::size), is_being_deleted, class, attributes),
    )
}
