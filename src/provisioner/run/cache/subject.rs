//! Describes the subject of an effect and its state, for log lines, metric labels and counts.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::jiff::Timestamp;

use super::super::Key;
use super::Cache;
use crate::contract::annotation;
use crate::contract::name::volume;
use crate::provisioner::decide::{backing_volume, source_of};
use crate::sanitize;

/// The subject of an effect, as log lines and labels show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Subject {
    /// The claim, `namespace/name`.
    pub(in super::super) claim: String,
    /// The name of its volume on the array.
    pub(in super::super) volume: Option<String>,
    /// The array of the volume.
    pub(in super::super) array: Option<String>,
    /// Its class.
    pub(in super::super) class: String,
    /// The kind of the claim's source; empty without a source or with an unknown kind.
    pub(in super::super) source: &'static str,
    /// Whether it is being deleted.
    pub(in super::super) is_being_deleted: bool,
    /// Whether nothing is left to do except an expansion.
    pub(in super::super) is_settled: bool,
}

/// The state of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum State {
    /// It has a PersistentVolume.
    Bound,
    /// It has none yet.
    Pending,
    /// It has none, and waits for its first pod.
    Waiting,
}

impl Subject {
    /// Returns the namespace of its claim.
    pub(in super::super) fn namespace(&self) -> &str {
        self.claim.split_once('/').map_or("", |(namespace, _)| namespace)
    }
}

impl State {
    /// All values of the label `state`; `failing` is known only to the tally.
    pub(in super::super) const WORDS: [&str; 4] = ["bound", "pending", "waiting", "failing"];

    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Pending => "pending",
            Self::Waiting => "waiting",
        }
    }
}

impl Cache {
    /// Returns the subject of a key; none if it is gone or belongs to another provisioner.
    pub(in super::super) fn subject(&self, key: &Key) -> Option<Subject> {
        match key {
            Key::Claim(uid) => self.claim_subject(uid),
            Key::Volume(name) | Key::Snapshots(name) => self.volume_subject(name),
        }
    }

    fn claim_subject(&self, uid: &str) -> Option<Subject> {
        let cached = self.claims.get(uid)?;
        let class = cached.class.as_deref().unwrap_or_default();
        if cached.is_free && !self.is_ours(class) {
            return None;
        }
        let claim = cached.object.open()?;
        let annotation = |key: &str| claim.metadata.annotations.as_ref()?.get(key);
        // The last array that was asked is the current one.
        let array = annotation(annotation::ARRAY).and_then(|asked| asked.rsplit(',').next());
        let own = volume(&self.setup.cluster, uid).map(|name| name.to_string());
        Some(Subject {
            claim: path(claim.metadata.namespace.as_deref(), claim.metadata.name.as_deref()),
            volume: annotation(annotation::IMPORT).map(|volume| safe_name(volume)).or(own),
            array: array.map(safe_name),
            class: safe_name(class),
            source: source_kind(&claim),
            is_being_deleted: claim.metadata.deletion_timestamp.is_some(),
            is_settled: self.is_settled(uid),
        })
    }

    fn volume_subject(&self, name: &str) -> Option<Subject> {
        let volume = self.volume(name)?;
        let array = backing_volume(&volume)?.array;
        let spec = volume.spec.as_ref();
        let claim = spec.and_then(|spec| spec.claim_ref.as_ref());
        let claim = claim.map(|claim| path(claim.namespace.as_deref(), claim.name.as_deref()));
        Some(Subject {
            claim: claim.unwrap_or_default(),
            volume: volume
                .metadata
                .annotations
                .as_ref()
                .and_then(|all| all.get(annotation::VOLUME))
                .map(|volume| safe_name(volume)),
            array: Some(safe_name(&array)),
            class: safe_name(
                spec.and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default(),
            ),
            source: "",
            is_being_deleted: volume.metadata.deletion_timestamp.is_some(),
            is_settled: false,
        })
    }

    fn is_ours(&self, class: &str) -> bool {
        self.classes.objects.get(class).is_some_and(Option::is_some)
    }

    /// Returns the claims of the provisioner's classes, each with its state, its class and its creation time.
    pub(in super::super) fn states(
        &self,
    ) -> impl Iterator<Item = (Key, State, &str, Option<Timestamp>)> {
        let ours = self.classes.objects.iter().filter_map(|(name, class)| {
            let waits = class.as_ref()?.as_ref().is_ok_and(|class| class.waits);
            Some((name.as_str(), waits))
        });
        let claims = ours.flat_map(|(class, waits)| {
            self.claims.of_class(class).map(move |uid| (uid, class, waits))
        });
        claims.filter_map(|(uid, class, waits)| {
            let claim = self.claims.get(uid)?;
            let state = if claim.is_bound {
                State::Bound
            } else if waits && !claim.is_placed {
                State::Waiting
            } else {
                State::Pending
            };
            Some((Key::Claim(uid.clone()), state, class, claim.created_at))
        })
    }
}

/// Returns the kind of a claim's source, from a closed list, because claims may have any text there.
fn source_kind(claim: &PersistentVolumeClaim) -> &'static str {
    match source_of(claim) {
        Some(("PersistentVolumeClaim", _)) => "PersistentVolumeClaim",
        Some(("VolumeSnapshot", _)) => "VolumeSnapshot",
        _ => "",
    }
}

/// Returns a name with its namespace.
fn path(namespace: Option<&str>, name: Option<&str>) -> String {
    format!("{}/{}", safe_name(namespace.unwrap_or_default()), safe_name(name.unwrap_or_default()))
}

/// Returns a name that is safe for a log line and a label.
fn safe_name(name: &str) -> String {
    const LONGEST: usize = 253;
    sanitize::line(name, LONGEST)
}
