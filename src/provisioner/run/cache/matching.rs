//! Indexes PersistentVolumes that Kubernetes may still bind by the claims that they are reserved for, so that the cost
//! of a lookup does not depend on their number.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::contract::class_of;
use crate::provisioner::decide::ReservedFor;

/// The index.
#[derive(Debug, Default)]
pub(super) struct MatchingVolumes {
    names: HashMap<ReservedFor, BTreeSet<String>>,
    kept: HashMap<String, ReservedFor>,
}

impl MatchingVolumes {
    /// Records for which claims a PersistentVolume is reserved; none if it is not available. Returns the reservations
    /// that changed.
    pub(super) fn note(&mut self, name: &str, kept: Option<ReservedFor>) -> Vec<ReservedFor> {
        let before = match &kept {
            Some(kept) => self.kept.insert(name.to_owned(), kept.clone()),
            None => self.kept.remove(name),
        };
        if let Some(before) = before.as_ref().filter(|before| Some(*before) != kept.as_ref())
            && let Some(names) = self.names.get_mut(before)
        {
            names.remove(name);
            if names.is_empty() {
                self.names.remove(before);
            }
        }
        if let Some(kept) = &kept {
            self.names.entry(kept.clone()).or_default().insert(name.to_owned());
        }
        // The same PersistentVolume may fit another claim by now.
        before.into_iter().chain(kept).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Returns the names of the PersistentVolumes that may fit a claim.
    pub(super) fn of(&self, claim: &PersistentVolumeClaim) -> impl Iterator<Item = &String> {
        let meta = &claim.metadata;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let kept = [
            ReservedFor::Uid(text(&meta.uid)),
            ReservedFor::Claim(text(&meta.namespace), text(&meta.name)),
            ReservedFor::Class(class_of(claim).unwrap_or_default().to_owned()),
        ];
        kept.into_iter().filter_map(|kept| self.names.get(&kept)).flatten()
    }
}
