//! Tags that record the owner of a volume.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::arrays::bounded::maybe;
use crate::arrays::error::{Error, Kind};
use crate::arrays::rest::{Operation, Rest};
use crate::contract::{CloneSource, Owner, VolumeName};

/// Namespace of pso-gen's tags. The vendor uses namespaces that begin with `pure`.
const NAMESPACE: &str = "pso-gen";

/// Key of the tag with the cluster's identity.
const CLUSTER_ID: &str = "cluster-id";

/// Key of the tag with the record of formatting, and its values. A volume without it is never formatted: it may be a
/// clone or an import, or of a version that kept no record.
const FORMAT: &str = "format";
const NEVER_FORMATTED: &str = "never-formatted";
const FORMATTED: &str = "formatted";

/// Key of the tag with the source of a clone.
const SOURCE: &str = "source";

/// The tags of one volume in pso-gen's namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tags(BTreeMap<String, String>);

#[derive(Debug, Deserialize)]
struct Tag {
    #[serde(default, deserialize_with = "maybe")]
    key: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    value: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    namespace: Option<String>,
}

/// Returns the value of the tag for a source. Names of snapshots contain the name of their volume.
fn source_word(source: &CloneSource) -> String {
    match source {
        CloneSource::Snapshot(name) => format!("snapshot {name}"),
        CloneSource::Volume(volume) => format!("volume {}", volume.id),
    }
}

impl Tags {
    /// Returns the tags of a volume that is created for an owner.
    pub(super) fn of(owner: &Owner) -> Self {
        let Owner { cluster, identities, namespace, claim, uid, since: _ } = owner;
        let tags = [("cluster", cluster), ("namespace", namespace), ("claim", claim), ("uid", uid)];
        let identity = identities.first().map(|identity| (CLUSTER_ID, identity));
        let tags = tags.into_iter().chain(identity);
        Self(tags.map(|(key, value)| (key.to_owned(), value.clone())).collect())
    }

    /// Returns the same tags with the record that nothing has ever formatted the volume.
    pub(super) fn with_never_formatted(mut self) -> Self {
        self.0.insert(FORMAT.to_owned(), NEVER_FORMATTED.to_owned());
        self
    }

    /// Returns the same tags with the source of a clone. The array itself names only the volume, also for a snapshot.
    pub(super) fn with_source(mut self, source: &CloneSource) -> Self {
        self.0.insert(SOURCE.to_owned(), source_word(source));
        self
    }

    /// Returns whether a volume was created from a source, or empty if there is none. A clone of a version that kept no
    /// record may be of any source.
    pub(super) fn are_from(&self, source: Option<&CloneSource>) -> bool {
        match (self.0.get(SOURCE), source) {
            (Some(recorded), Some(source)) => *recorded == source_word(source),
            (Some(_), None) => false,
            (None, None) => true,
            // Only a volume that was created empty has a record of formatting before it is formatted.
            (None, Some(_)) => !self.say_never_formatted(),
        }
    }

    /// Returns the record that a volume was formatted.
    pub(super) fn formatted() -> Self {
        Self([(FORMAT.to_owned(), FORMATTED.to_owned())].into())
    }

    /// Returns whether they say that nothing has ever formatted the volume.
    pub(super) fn say_never_formatted(&self) -> bool {
        self.0.get(FORMAT).is_some_and(|value| value == NEVER_FORMATTED)
    }

    /// Returns whether they contain all tags of an owner.
    pub(super) fn are_of(&self, owner: &Owner) -> bool {
        Self::of(owner).0.iter().all(|(key, value)| self.0.get(key) == Some(value))
    }

    /// Returns whether the volume has no tags of an owner. The records of formatting and source name none.
    pub(super) fn are_missing(&self) -> bool {
        self.0.keys().all(|key| [FORMAT, SOURCE].contains(&key.as_str()))
    }

    /// Fails when the tags name another owner. Missing tags name no owner.
    pub(super) fn check(&self, rest: &Rest, name: &VolumeName, owner: &Owner) -> Result<(), Error> {
        let wanted = Self::of(owner);
        // A claim's name may be reused, but cluster and UID are unique.
        for key in ["cluster", "uid"] {
            if let Some(current) =
                self.0.get(key).filter(|current| wanted.0.get(key) != Some(current))
            {
                let why = format!("its tag `{key}` is {current:?}");
                return Err(rest.error(Kind::NotOurs { name: name.to_string(), why }));
            }
        }
        // Volumes from older releases have no identity.
        if let Some(current) = self.0.get(CLUSTER_ID)
            && !owner.identities.is_empty()
            && !owner.identities.contains(current)
        {
            let why = format!(
                "its tag `{CLUSTER_ID}` is {current:?}: another cluster of the same name created it"
            );
            return Err(rest.error(Kind::NotOurs { name: name.to_string(), why }));
        }
        Ok(())
    }

    /// Returns the tags as JSON for a request. They are not copied to clones, which have other owners.
    pub(super) fn body(&self) -> Json {
        let tag = |(key, value)| json!({"namespace": NAMESPACE, "key": key, "value": value, "copyable": false});
        self.0.iter().map(tag).collect()
    }

    /// Reads the tags of a volume.
    pub(super) async fn read(operation: Operation<'_>, id: &str) -> Result<Self, Error> {
        let query = [("resource_ids", id), ("namespaces", NAMESPACE)];
        let tags: Vec<Tag> = operation.list("volumes/tags", &query).await?;
        let own = tags.into_iter().filter(|tag| tag.namespace.as_deref() == Some(NAMESPACE));
        Ok(Self(own.filter_map(|tag| Some((tag.key?, tag.value?))).collect()))
    }

    /// Writes the tags to a volume.
    pub(super) async fn write(&self, operation: Operation<'_>, id: &str) -> Result<(), Error> {
        let query = [("resource_ids", id)];
        let body = self.body();
        let _: Vec<Tag> =
            operation.change(Method::PUT, "volumes/tags/batch", &query, Some(&body)).await?;
        Ok(())
    }
}
