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
    reserved_for: HashMap<String, ReservedFor>,
}

impl MatchingVolumes {
    /// Records for which claims a PersistentVolume is reserved; none if it is not available. Returns the reservations
    /// that changed.
    pub(super) fn update(
        &mut self,
        name: &str,
        reserved_for: Option<ReservedFor>,
    ) -> Vec<ReservedFor> {
        let before = match &reserved_for {
            Some(reserved_for) => self.reserved_for.insert(name.to_owned(), reserved_for.clone()),
            None => self.reserved_for.remove(name),
        };
        if let Some(before) =
            before.as_ref().filter(|before| Some(*before) != reserved_for.as_ref())
            && let Some(names) = self.names.get_mut(before)
        {
            names.remove(name);
            if names.is_empty() {
                self.names.remove(before);
            }
        }
        if let Some(reserved_for) = &reserved_for {
            self.names.entry(reserved_for.clone()).or_default().insert(name.to_owned());
        }
        // The same PersistentVolume may fit another claim by now.
        before.into_iter().chain(reserved_for).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Returns the names of the PersistentVolumes that may fit a claim.
    pub(super) fn of(&self, claim: &PersistentVolumeClaim) -> impl Iterator<Item = &String> {
        let meta = &claim.metadata;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let reserved_for = [
            ReservedFor::Uid(text(&meta.uid)),
            ReservedFor::Claim(text(&meta.namespace), text(&meta.name)),
            ReservedFor::Class(class_of(claim).unwrap_or_default().to_owned()),
        ];
        reserved_for.into_iter().filter_map(|reserved_for| self.names.get(&reserved_for)).flatten()
    }
}
