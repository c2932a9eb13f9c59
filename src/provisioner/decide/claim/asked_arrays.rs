//! The arrays that have been asked for a claim's volume, and what a claim waits for. An array may have left the
//! storage document since, for good or for another name.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::{CLEANUP_FAILED, ClaimState, ClaimView};
use crate::contract::annotation;
use crate::contract::name;
use crate::provisioner::decide::backoff::WaitBasis;
use crate::provisioner::decide::claim_spec;
use crate::provisioner::decide::effect::{Effect, Regarding, Severity};
use crate::provisioner::decide::setup::{ArrayState, Health};

impl ClaimState {
    /// What people are told of a step that leaves something undone for good.
    pub(super) fn warn(&mut self, view: ClaimView<'_>, effect: &Effect) -> Option<Effect> {
        let claim = view.claim?;
        let (reason, message) = match effect {
            Effect::RemoveClaimFinalizer { .. } | Effect::RecordIntent { .. } => {
                let gone = asked(view, claim).into_iter().filter(|asking| is_gone(view, asking));
                let gone: Vec<String> = gone.map(|asking| asking.array).collect();
                let uid = claim.metadata.uid.as_deref().unwrap_or_default();
                let name = name::volume(&view.setup.cluster, uid).filter(|_| !gone.is_empty())?;
                let gone = gone.join(" and ");
                (
                    CLEANUP_FAILED,
                    format!(
                        "the storage document does not have {gone} any more, where {name} may have been made; see to that array: if the volume is there, nothing uses it"
                    ),
                )
            }
            _ => return None,
        };
        self.tries.tell(Regarding::Claim, Severity::Warning, reason, &message.clone(), message)
    }
}

/// An array that has been asked for a claim's volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asking {
    pub(super) array: String,
    /// None on a claim that was written on before ids were.
    pub(super) id: Option<String>,
}

/// The arrays that have been asked for a claim's volume, the last one now. The policy in the API server lets
/// the provisioner alone write this. One that the storage document calls by another name since is called by that.
pub(super) fn asked(view: ClaimView<'_>, claim: &PersistentVolumeClaim) -> Vec<Asking> {
    let words = |key: &str| {
        let all = claim.metadata.annotations.as_ref().and_then(|all| all.get(key));
        all.map(String::as_str).unwrap_or_default().split(',')
    };
    let ids = words(annotation::ARRAY_ID).map(Some).chain(std::iter::repeat(None));
    let all = words(annotation::ARRAY).zip(ids).filter(|(array, _)| !array.is_empty());
    all.map(|(array, id)| {
        let id = id.filter(|id| !id.is_empty());
        let has_id = |state: &&ArrayState| {
            matches!(&state.health, Health::Up { id: there, .. } if Some(there.as_str()) == id)
        };
        let is_known = view.arrays.iter().any(|state| state.name == array);
        let renamed = view.arrays.iter().find(has_id).filter(|_| !is_known);
        Asking {
            array: renamed.map_or(array, |state| &state.name).to_owned(),
            id: id.map(str::to_owned),
        }
    })
    .collect()
}

/// Whether the storage document has an array no more. What may be on it is beyond reach.
pub(super) fn is_gone(view: ClaimView<'_>, asking: &Asking) -> bool {
    view.arrays.iter().all(|state| state.name != asking.array)
}

/// What a claim's wait rests on: the arrays, what it asks for, whether it goes, and its class.
pub(super) fn ground(view: ClaimView<'_>) -> WaitBasis {
    let goes = view.claim.is_some_and(|claim| claim.metadata.deletion_timestamp.is_some());
    let class = view.class.map(|class| match class {
        Ok(class) => format!("{class:?}"),
        Err(why) => why.clone(),
    });
    let attributes = view.claim.is_some_and(|claim| claim_spec::check_attributes(claim).is_err());
    WaitBasis::of(view.arrays, &(view.claim.and_then(claim_spec::size), goes, class, attributes))
}
