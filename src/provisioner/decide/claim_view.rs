//! The view of one claim: everything that a decision on it rests on, as values. Decides nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::setup::{ArrayState, ClassSetup, Setup};

/// Everything known about a claim when it is reconciled.
#[derive(Debug, Clone, Copy)]
pub struct ClaimView<'v> {
    /// The configuration from the storage document.
    pub setup: &'v Setup,
    /// The claim; none if it is gone.
    pub claim: Option<&'v PersistentVolumeClaim>,
    /// The PersistentVolume of the claim's own name.
    pub volume: Option<&'v PersistentVolume>,
    /// The PersistentVolume that the claim is bound to, if that has another name.
    pub bound: Option<&'v PersistentVolume>,
    /// The claim's class; none if it does not exist or has another provisioner, an error if it is invalid.
    pub class: Option<&'v Result<ClassSetup, String>>,
    /// The arrays.
    pub arrays: &'v [ArrayState],
    /// Labels of the node that the scheduler chose for the claim's first pod; none before that, or if the node does not
    /// exist.
    pub node: Option<&'v BTreeMap<String, String>>,
    /// The claim to clone; none if the claim names no source, or the source does not exist.
    pub source: Option<SourceView<'v>>,
    /// Names of the PersistentVolumes of each volume on an array, by the id of the array and the id of the volume.
    pub persistent_volumes: &'v HashMap<(String, String), BTreeSet<String>>,
    /// Names of the PersistentVolumes of other drivers that use a volume, or that destroy it with their claims, by
    /// [`foreign_key`](super::foreign_key).
    pub foreign: &'v HashMap<String, BTreeSet<String>>,
    /// Another PersistentVolume to which Kubernetes would bind the claim.
    pub rival: Option<&'v str>,
    /// Whether more claims wait for kube-controller-manager than it can reconcile in time.
    pub is_crowded: bool,
}

/// The source of a clone.
#[derive(Debug, Clone, Copy)]
pub struct SourceView<'v> {
    /// The claim.
    pub claim: &'v PersistentVolumeClaim,
    /// The PersistentVolume that the claim is bound to, if it is bound.
    pub volume: Option<&'v PersistentVolume>,
}
