//! Events on a claim: the start of provisioning, its success, and each step of an expansion. Decides nothing.

use super::{ClaimState, ClaimView, PROVISIONING, RESIZED, RESIZING, SUCCEEDED};
use crate::provisioner::decide::effect::{Effect, Outcome, Regarding, Severity};
use crate::provisioner::decide::object::is_bound_to_own;
use crate::provisioner::decide::persistent_volume::{backing_volume, quantity};

impl ClaimState {
    /// Returns the event of an effect that starts, if it has one.
    pub(super) fn announce(&mut self, effect: &Effect) -> Option<Effect> {
        let (reason, message) = match effect {
            Effect::RecordIntent { asked, import, .. } => {
                let array = asked.last().map(String::as_str).unwrap_or_default();
                let message = match import {
                    Some(volume) => format!("{volume} on {array} is being imported"),
                    None => {
                        format!(
                            "a volume is being created on {array}: {}",
                            self.arrays.choice_reason
                        )
                    }
                };
                (PROVISIONING, message)
            }
            Effect::SetResizing { size, .. } => {
                (RESIZING, format!("the volume is being expanded to {}", quantity(*size).0))
            }
            Effect::SetResized { size, on_node: false, .. } => {
                (RESIZED, format!("the volume was expanded to {}", quantity(*size).0))
            }
            Effect::SetResized { size, on_node: true, .. } => {
                let size = quantity(*size).0;
                (RESIZED, format!("the volume was expanded to {size}; its node expands the device"))
            }
            _ => return None,
        };
        // The choice of another array is new, and another reason for the same array is not.
        let kind = match effect {
            Effect::RecordIntent { asked, .. } => asked.last().cloned().unwrap_or_default(),
            _ => message.clone(),
        };
        self.retry.backoff.event_if_new(Regarding::Claim, Severity::Normal, reason, &kind, message)
    }

    /// Returns the event that a claim is bound to the volume that was created for it. Until the claim is bound,
    /// Kubernetes may bind it to another PersistentVolume.
    pub(super) fn announce_success(
        &mut self,
        view: ClaimView<'_>,
        effect: &Effect,
        outcome: &Outcome,
    ) -> Option<Effect> {
        let (
            Effect::RemoveClaimFinalizer { .. } | Effect::BindClaim { .. },
            Outcome::Claim(Some(claim)),
        ) = (effect, outcome)
        else {
            return None;
        };
        if self.arrays.created.is_none() || !is_bound_to_own(claim) {
            return None;
        }
        let message = self.success(view);
        let kind = message.clone();
        self.retry.backoff.event_if_new(
            Regarding::Claim,
            Severity::Normal,
            SUCCEEDED,
            &kind,
            message,
        )
    }

    fn success(&self, view: ClaimView<'_>) -> String {
        let name = self
            .arrays
            .created
            .as_ref()
            .map(|created| created.item.name.as_str())
            .unwrap_or_default();
        let array = self
            .newest_volume(view)
            .and_then(backing_volume)
            .map(|backing_volume| backing_volume.array)
            .unwrap_or_default();
        let why = self.arrays.choice_reason.as_str();
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        format!("volume {name} on {array}{why}")
    }
}
