//! Reports the state of the provisioner for the on-call engineer: claims, released volumes, arrays, the leader and
//! orphaned volumes, and each problem with its remedy.
//!
//! Pure: the report is built from one inventory. Clients and output formats are unknown here.

mod arrays;
mod attachments;
mod claims;
mod leader;
mod released;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass, VolumeAttachment};
use serde::Serialize;

use crate::contract::FINALIZER;
use crate::contract::annotation;
use crate::provisioner::decide::{
    ArrayState, ClassSetup, GRACE, Listed, Reason, Registration, Setup, UnknownVolume, backing_ids,
    backing_volume, cluster_of, condition, is_barrier, registered_elsewhere, unknown_volumes,
};

pub use arrays::ArrayLine;
pub use attachments::AttachmentLine;
pub use claims::ClaimLine;
pub use leader::Leader;
pub use released::ReleasedLine;

/// The age from which something unfinished is a problem, in seconds.
const PATIENCE: u64 = 120;

/// The state of cluster and arrays; the arrays' volumes were read first.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// All claims.
    pub claims: Vec<PersistentVolumeClaim>,
    /// All PersistentVolumes.
    pub volumes: Vec<PersistentVolume>,
    /// All classes.
    pub classes: Vec<StorageClass>,
    /// The attachments of volumes to nodes, those of other drivers included; none without the right to read them.
    pub attachments: Vec<VolumeAttachment>,
    /// The drivers of each node; none without the right to read them.
    pub csi_nodes: Option<Vec<CSINode>>,
    /// The events of the provisioner.
    pub events: Vec<Event>,
    /// The lease by which replicas elect a leader; none if it does not exist or was not requested.
    pub lease: Option<Lease>,
    /// The arrays of the storage document; none without one.
    pub arrays: Vec<ArrayState>,
    /// The volumes of the arrays.
    pub listed: Vec<Listed>,
    /// The configuration from the storage document; none without one.
    pub setup: Option<Setup>,
    /// This cluster's identity; none if it could not be read.
    pub identity: Option<String>,
    /// The clusters that are registered under the cluster's name on each array that answered.
    pub registrations: Vec<(String, Vec<Registration>)>,
    /// The time, in seconds since 1970.
    pub now: u64,
}

/// The report.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The leader; none if no lease was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<Leader>,
    /// The arrays.
    pub arrays: Vec<ArrayLine>,
    /// The claims of the provisioner's classes.
    pub claims: Vec<ClaimLine>,
    /// Attachments of block volumes to nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachmentLine>,
    /// PersistentVolumes of the provisioner without a claim.
    pub released: Vec<ReleasedLine>,
    /// Orphaned volumes.
    pub orphans: Vec<UnknownVolume>,
    /// The number of PersistentVolumes that are barriers.
    pub barriers: usize,
    /// All problems, those with the widest effect first.
    pub problems: Vec<Problem>,
}

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The object, such as `array fa1` or `claim files/data`.
    pub about: String,
    /// The cause.
    pub what: String,
    /// The remedy.
    pub remedy: String,
    /// A link to the documentation.
    pub page: &'static str,
}

/// The claims to report.
#[derive(Debug, Clone, Default)]
pub struct ReportFilter {
    /// The claims of a namespace.
    pub namespace: Option<String>,
    /// The claim with a name.
    pub claim: Option<String>,
}

impl Report {
    /// Builds the report. Problems cover everything, claims only the scope.
    pub fn new(inventory: &Inventory, scope: &ReportFilter, lease: Option<&str>) -> Self {
        let classes = our_classes(inventory);
        let leader = lease.map(|name| leader::leader(inventory, name));
        let (arrays, mut problems) = arrays::arrays(inventory);
        problems.splice(0..0, leader.as_ref().and_then(|leader| leader.problem.clone()));
        problems.extend(registrations(inventory));
        problems.extend(former_name(inventory));
        problems.extend(removed_arrays(inventory));
        problems.extend(abnormal_volumes(inventory));
        let (claims, of_claims) = claims::claims(inventory, &classes, scope);
        problems.extend(of_claims);
        let (attachments, of_attachments) = attachments::attachments(inventory, scope);
        problems.extend(of_attachments);
        let (released, of_released) = released::released(inventory, scope);
        problems.extend(of_released);
        let (orphans, of_orphans) = orphans(inventory, GRACE);
        problems.extend(of_orphans);
        let name = |volume: &PersistentVolume| volume.metadata.name.clone().unwrap_or_default();
        let barriers = inventory.volumes.iter().filter(|volume| is_barrier(&name(volume))).count();
        Self { leader, arrays, claims, attachments, released, orphans, barriers, problems }
    }
}

/// Adds arrays on which another cluster has this cluster's name, or on which several processes have registered.
fn registrations(inventory: &Inventory) -> Vec<Problem> {
    let Some((own, setup)) = inventory.identity.as_ref().zip(inventory.setup.as_ref()) else {
        return Vec::new();
    };
    let is_ours =
        |it: &&Registration| it.identity == *own || setup.takes_over.contains(&it.identity);
    let wrong = inventory.registrations.iter().filter_map(|(array, there)| {
        let what = match there.iter().find(|it| !is_ours(it)) {
            Some(other) => registered_elsewhere(&setup.cluster, &other.identity, own),
            None if there.len() > 1 => {
                "several provisioners of this cluster have registered on it".to_owned()
            }
            None => return None,
        };
        Some(Problem {
            about: format!("array {array}"),
            what,
            remedy: "find out which clusters use this array under this name; the provisioner destroys nothing on it meanwhile".to_owned(),
            page: "docs/arrays.md#which-cluster-has-a-name",
        })
    });
    wrong.collect()
}

/// Adds bound volumes that differ from their PersistentVolumes.
fn abnormal_volumes(inventory: &Inventory) -> Vec<Problem> {
    let mut problems = Vec::new();
    for listed in &inventory.listed {
        let Ok((array_id, there)) = &listed.volumes else { continue };
        let is_on = |volume: &&PersistentVolume| {
            backing_ids(volume).is_some_and(|(array, _)| array == *array_id)
        };
        let found = inventory.volumes.iter().filter(is_on).filter_map(|it| condition(it, there));
        problems.extend(found.map(|found| Problem {
            about: format!("claim {}", found.claim),
            what: found.description(),
            remedy: found.remedy(),
            page: "docs/arrays.md#volumes-that-are-missing",
        }));
    }
    problems.sort_by(|a, b| a.about.cmp(&b.about));
    problems
}

/// Adds a storage document whose cluster name differs from the one in the cluster's volumes.
fn former_name(inventory: &Inventory) -> Option<Problem> {
    let now = &inventory.setup.as_ref()?.cluster;
    let names: BTreeSet<String> = inventory.volumes.iter().filter_map(cluster_of).collect();
    let before = names.first().filter(|_| !names.iter().any(|it| it.eq_ignore_ascii_case(now)))?;
    Some(Problem {
        about: format!("cluster {now}"),
        what: format!("its volumes are called {before}-pvc-…, which is another cluster's name"),
        remedy: format!(
            "write `cluster: {before}` in the storage document: volumes keep their names"
        ),
        page: "docs/provisioner.md#log",
    })
}

/// Adds arrays that PersistentVolumes or claims name and that the storage document does not have any more.
fn removed_arrays(inventory: &Inventory) -> Vec<Problem> {
    if inventory.setup.is_none() {
        return Vec::new();
    }
    let is_known = |name: &str| inventory.arrays.iter().any(|state| state.name == name);
    let mut named: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for backing_volume in inventory.volumes.iter().filter_map(backing_volume) {
        if !is_known(&backing_volume.array) {
            named.entry(backing_volume.array).or_default().0 += 1;
        }
    }
    for claim in &inventory.claims {
        let unfinished = claim.metadata.finalizers.iter().flatten().any(|it| it == FINALIZER);
        let asked = claim.metadata.annotations.as_ref().and_then(|all| all.get(annotation::ARRAY));
        for array in asked.into_iter().flat_map(|all| all.split(',')).filter(|_| unfinished) {
            if !array.is_empty() && !is_known(array) {
                named.entry(array.to_owned()).or_default().1 += 1;
            }
        }
    }
    let problem = |(array, (volumes, claims)): (String, (usize, usize))| {
        Problem {
        about: format!("array {array}"),
        what: format!(
            "the storage document does not have it, and {volumes} PersistentVolumes and {claims} claims on their \
             way name it"
        ),
        remedy: "put it back into the storage document; when it is gone for good, move the data of its volumes and \
                 delete their claims, with the PersistentVolumes' reclaim policy set to Retain: the claims on their \
                 way end by themselves"
            .to_owned(),
        page: "docs/arrays.md#an-array-that-is-taken-out",
    }
    };
    named.into_iter().map(problem).collect()
}

/// Returns the volumes without claim and PersistentVolume that are at least `grace` seconds old, and the remedy.
pub fn orphans(inventory: &Inventory, grace: u64) -> (Vec<UnknownVolume>, Option<Problem>) {
    let Some(setup) = &inventory.setup else { return (Vec::new(), None) };
    let times = (inventory.now, grace);
    let mut old = unknown_volumes(
        &setup.cluster,
        &inventory.listed,
        &inventory.claims,
        &inventory.volumes,
        times,
    );
    old.retain(|stray| stray.is_orphan);
    old.sort_by(|a, b| (&a.array, &a.name).cmp(&(&b.array, &b.name)));
    let problem = (!old.is_empty()).then(|| Problem {
        about: "arrays".to_owned(),
        what: format!(
            "{} volumes are known neither to a claim nor to a PersistentVolume",
            old.len()
        ),
        remedy: "look at them with `pso-gen orphans`; nothing destroys them by itself".to_owned(),
        page: "docs/arrays.md#orphaned-volumes",
    });
    (old, problem)
}

/// Returns the provisioner's classes by name; an error is a text for the report.
fn our_classes(inventory: &Inventory) -> BTreeMap<&str, Result<ClassSetup, String>> {
    let named = inventory.classes.iter().filter_map(|class| {
        let name = class.metadata.name.as_deref()?;
        Some((name, ClassSetup::read(class)?))
    });
    named.collect()
}

/// Returns the newest event about an object that reports a problem or a success, if it is a warning.
fn failure_event<'c>(inventory: &'c Inventory, uid: &str) -> Option<&'c Event> {
    let about = |event: &&Event| {
        let regarding = event.regarding.as_ref().and_then(|object| object.uid.as_deref());
        regarding == Some(uid)
    };
    // One problem for all claims says it, as of now.
    let is_of_driver = |event: &&Event| {
        let reasons = [Reason::NodeServiceMissing, Reason::NodeServiceAvailable];
        inventory.csi_nodes.is_some()
            && reasons.iter().any(|reason| event.reason.as_deref() == Some(reason.as_str()))
    };
    let newest = inventory
        .events
        .iter()
        .filter(about)
        .filter(|event| !is_of_driver(event))
        .max_by_key(|event| event.event_time.as_ref().map(|time| time.0.as_microsecond()))?;
    (newest.type_.as_deref() == Some("Warning")).then_some(newest)
}

/// Returns the remedy for the reason of an event.
fn remedy(reason: &str) -> &'static str {
    let reason = Reason::ALL.into_iter().find(|each| each.as_str() == reason);
    match reason {
        Some(Reason::ProvisioningFailed) => {
            "fix the cause in the message: an array that is unreachable or full, the class, the access mode, or a PersistentVolume of that name"
        }
        Some(Reason::ProvisioningCleanupFailed) => {
            "check the array; keep the claim's finalizer, otherwise the volume is orphaned"
        }
        Some(Reason::VolumeResizeFailed) => {
            "free capacity on the array, or lower the claim's request to any size above `status.capacity`; the volume works as before"
        }
        Some(Reason::VolumeModifyFailed) => {
            "set limits by the StorageClass of a new claim; the volume works as before"
        }
        Some(Reason::SnapshotFailed) => "fix the cause in the message; the volume works",
        Some(Reason::VolumeConditionAbnormal) => {
            "correct the volume on the array as the message says, before the array eradicates it"
        }
        Some(Reason::SnapshotScheduleRefused) => {
            "request as many as the class keeps or omit `snapshots`; the admin may set `claimsMayReduce` at the class"
        }
        Some(Reason::VolumeFailedDelete) => {
            "fix the cause in the message: a node that still uses the volume, or an unreachable array"
        }
        Some(Reason::NodeServiceMissing) => {
            "install the node service with the storage document (`nodeService`), and check its DaemonSet"
        }
        _ => "see the provisioner's log for this claim",
    }
}

/// Returns the seconds since a moment.
fn age(
    inventory: &Inventory,
    made: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
) -> u64 {
    let made = made.and_then(|made| u64::try_from(made.0.as_second()).ok());
    made.map_or(0, |made| inventory.now.saturating_sub(made))
}
