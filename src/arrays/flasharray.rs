//! Client of a FlashArray, whose volumes are block devices. Connected hosts reach them over iSCSI, NVMe/TCP or Fibre
//! Channel.
//!
//! The rules are from the official REST 2.56 specification. The vendor's SDK shows which version introduced a field;
//! [`Version`] decides what older versions support.

mod connection;
mod connections;
mod hosts;
mod luns;
mod modify;
mod ports;
mod tags;

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::block::BlockArray;
use super::bounded::{id, maybe_id, word};
use super::convergence::{DesiredState, Start, converge};
use super::error::{Error, Kind};
use super::fence::OnlyIf;
use super::lifecycle::Backend;
use super::rest::{Dialect, Endpoint, Operation, Rest, quoted};
use super::snapshot::SnapshotResource;
use super::version::Version;
use crate::contract::{
    BLOCK_STEP, CloneSource, Owner, Qos, Snapshot, SnapshotSuffix, Transport, Volume, VolumeId,
    VolumeName, VolumeOptions, VolumeRequest,
};

use tags::Tags;

const VOLUMES: &str = "volumes";

static DIALECT: Dialect = Dialect {
    kind: "FlashArray",
    os: "Purity//FA",
    versions: "version",
    versioned_login: true,
    ended: &[StatusCode::UNAUTHORIZED],
    // Version 2.2 introduced ports and the capacity, 2.3 the reading of tags by namespace.
    oldest: Version(3),
    newest: Version(56),
};

/// First version with the parameter `with_default_protection`.
const WITH_PROTECTION: Version = Version(16);
/// First version that accepts tags in the request that creates a volume.
const WITH_TAGS: Version = Version(39);

/// Largest volume, in bytes.
const LARGEST: u64 = 1 << 52;

/// A FlashArray.
#[derive(Debug)]
pub struct FlashArray {
    rest: Arc<Rest>,
    only_if: OnlyIf,
}

impl FlashArray {
    /// Returns the FlashArray at an endpoint. The first operation opens the connection.
    pub fn new(endpoint: Endpoint) -> Result<Self, Error> {
        let rest = Arc::new(Rest::new(endpoint, &DIALECT)?);
        Ok(Self { rest, only_if: OnlyIf::default() })
    }

    fn untagged(&self, name: &VolumeName) -> Error {
        let why = "it has no owner tags".to_owned();
        self.rest.error(Kind::NotOurs { name: name.to_string(), why })
    }

    async fn patch(
        &self,
        operation: Operation<'_>,
        id: &str,
        body: &Json,
    ) -> Result<Option<VolumeItem>, Error> {
        // By id, because another volume may have taken the name in the meantime.
        let mut items =
            operation.change(Method::PATCH, VOLUMES, &[("ids", id)], Some(body)).await?;
        Ok(items.pop())
    }
}

impl Backend for FlashArray {
    const RESOURCE: &str = VOLUMES;
    const SNAPSHOTS: SnapshotResource =
        SnapshotResource { resource: "volume-snapshots", of: "source" };
    type Item = VolumeItem;

    fn rest(&self) -> &Rest {
        &self.rest
    }

    fn operation(&self) -> Operation<'_> {
        self.rest.operation(&self.only_if)
    }

    fn long_operation(&self) -> Operation<'_> {
        self.rest.long_operation(&self.only_if)
    }

    fn only_if(&self, only_if: OnlyIf) -> Self {
        Self { rest: Arc::clone(&self.rest), only_if }
    }

    async fn read_transport(&self) -> Result<Transport, Error> {
        Ok(Transport::Block(self.targets(self.operation()).await?))
    }

    fn block(&self) -> Option<Arc<dyn BlockArray>> {
        Some(Arc::new(Backend::only_if(self, self.only_if.clone())))
    }

    async fn ensure_volume(&self, wanted: &VolumeRequest) -> Result<Volume, Error> {
        let VolumeOptions::Block { default_protection, qos } = wanted.details else {
            let needs = "a file system needs a FlashBlade".to_owned();
            return Err(self.rest.error(Kind::Unsupported { needs }));
        };
        let size = self.size(wanted.size)?;
        let operation = self.operation();
        let version = operation.version().await?;
        let state =
            EnsureVolume { array: self, operation, version, wanted, size, default_protection, qos };
        match converge(&state, Start::AssumeAbsent).await? {
            Some(created) => Ok(created.volume.into()),
            None => Err(state.not_applied()),
        }
    }

    async fn resize(
        &self,
        operation: Operation<'_>,
        id: &str,
        size: u64,
    ) -> Result<Option<Volume>, Error> {
        let body = json!({ "provisioned": size });
        Ok(self.patch(operation, id, &body).await?.map(Volume::from))
    }

    async fn destroy_by_id(
        &self,
        operation: Operation<'_>,
        id: &str,
    ) -> Result<Option<Volume>, Error> {
        Ok(self.patch(operation, id, &json!({"destroyed": true})).await?.map(Volume::from))
    }

    async fn check_owner(
        &self,
        operation: Operation<'_>,
        volume: &VolumeId,
        owner: &Owner,
    ) -> Result<(), Error> {
        let tags = Tags::read(operation, &volume.id).await?;
        tags.check(&self.rest, &volume.name, owner)?;
        if !tags.are_missing() {
            return Ok(());
        }
        // A volume without tags, because its creator stopped before tagging it: only while its claim exists.
        let own_name = format!("{}-pvc-{}", owner.cluster, owner.uid);
        let unfinished = operation.version().await? < WITH_TAGS
            && owner.since.is_some()
            && volume.name.is(&own_name);
        if unfinished { Ok(()) } else { Err(self.untagged(&volume.name)) }
    }

    /// Its connections show whether nodes use it. Its snapshots are destroyed with it, and the VolumeSnapshots of the
    /// cluster would promise data that is gone.
    async fn check_unused(&self, operation: Operation<'_>, volume: &VolumeId) -> Result<(), Error> {
        let all = Self::SNAPSHOTS.of(operation, volume).await?;
        let is_kept =
            |snapshot: &&Snapshot| !snapshot.destroyed && SnapshotSuffix::is_of_csi(&snapshot.name);
        let Some(kept) = all.iter().find(is_kept) else { return Ok(()) };
        let by = format!(
            "its snapshot {} would be destroyed with it; delete the VolumeSnapshots of the volume first, or destroy the snapshot on the array if no VolumeSnapshotContent names it",
            kept.name
        );
        let name = volume.name.to_string();
        Err(self.rest.error(Kind::InUse { name, by }))
    }

    fn size(&self, bytes: u64) -> Result<u64, Error> {
        let size =
            bytes.max(1).checked_next_multiple_of(BLOCK_STEP).filter(|size| *size <= LARGEST);
        size.ok_or_else(|| {
            let needs = format!("{bytes} bytes are more than the {LARGEST} of its largest volume");
            self.rest.error(Kind::Unsupported { needs })
        })
    }
}

/// Brings a volume into the requested state.
struct EnsureVolume<'a> {
    array: &'a FlashArray,
    operation: Operation<'a>,
    version: Version,
    wanted: &'a VolumeRequest,
    size: u64,
    default_protection: bool,
    qos: Qos,
}

/// A volume with its tags.
struct Tagged {
    volume: VolumeItem,
    tags: Tags,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Create,
    /// All further steps concern the volume with this id. The volume has no tags at all yet.
    TagNew(String),
    Tag(String),
    Recover(String),
    Grow(String),
    Limit(String),
}

impl EnsureVolume<'_> {
    /// Returns the tags of a new volume. Only an empty one gets the record that allows a node to format it.
    fn tags_of_new(&self) -> Tags {
        let tags = Tags::of(&self.wanted.owner);
        match &self.wanted.source {
            None => tags.with_never_formatted(),
            Some(source) => tags.with_source(source),
        }
    }

    async fn create(&self) -> Result<Option<Tagged>, Error> {
        let protection = self.default_protection.to_string();
        let mut query = vec![("names", self.wanted.name.as_str())];
        if self.version >= WITH_PROTECTION {
            query.push(("with_default_protection", &protection));
        }
        // A clone has the size of its source and is expanded afterwards.
        let mut body = match &self.wanted.source {
            None => json!({"provisioned": self.size}),
            Some(CloneSource::Snapshot(name)) => json!({"source": {"name": name}}),
            Some(CloneSource::Volume(volume)) => json!({"source": {"name": volume.name.as_str()}}),
        };
        if self.qos != Qos::default() {
            body["qos"] = limits(self.qos);
        }
        let tags = if self.version >= WITH_TAGS {
            let tags = self.tags_of_new();
            body["tags"] = tags.body();
            tags
        } else {
            Tags::default()
        };
        let mut created = self.operation.change(Method::POST, VOLUMES, &query, Some(&body)).await?;
        Ok(created.pop().map(|volume| Tagged { volume, tags }))
    }
}

impl DesiredState for EnsureVolume<'_> {
    type Object = Tagged;
    type Step = Step;

    async fn read(&self) -> Result<Option<Tagged>, Error> {
        let name = quoted("name", self.wanted.name.as_str());
        let Some(volume) = self.array.find(self.operation, &name).await? else { return Ok(None) };
        let tags = Tags::read(self.operation, &volume.id).await?;
        Ok(Some(Tagged { volume, tags }))
    }

    fn next_step(&self, current: Option<&Tagged>) -> Result<Option<Step>, Error> {
        let Some(Tagged { volume, tags }) = current else { return Ok(Some(Step::Create)) };
        if !self.wanted.name.is(&volume.name) {
            let cause = format!("`{}` was not requested", volume.name);
            return Err(self.array.rest.malformed(&cause));
        }
        let owner = &self.wanted.owner;
        tags.check(&self.array.rest, &self.wanted.name, owner)?;
        // Newer versions tag a volume in the request that creates it. On older ones, a volume without tags may come
        // from a provisioner that stopped before tagging it; such a volume is empty and not destroyed.
        let unfinished = self.version < WITH_TAGS
            && volume.destroyed != Some(true)
            && volume.connection_count.unwrap_or_default() == 0;
        if tags.are_missing() && !unfinished {
            return Err(self.array.untagged(&self.wanted.name));
        }
        if tags.are_missing() && owner.is_younger_than(volume.created) {
            let why = "it is older than its claim".to_owned();
            let name = self.wanted.name.to_string();
            return Err(self.array.rest.error(Kind::NotOurs { name, why }));
        }
        // The claim is not bound yet, so no node can use the volume.
        let connections = volume.connection_count.unwrap_or_default();
        if connections > 0 {
            let by = format!("{connections} hosts are connected, and its claim is not bound yet");
            let name = self.wanted.name.to_string();
            return Err(self.array.rest.error(Kind::InUse { name, by }));
        }
        let id = volume.id.clone();
        Ok(if volume.destroyed == Some(true) {
            Some(Step::Recover(id))
        } else if tags.are_missing() {
            // Nothing has been connected to it since it was created, see above.
            Some(Step::TagNew(id))
        } else if !tags.are_of(owner) {
            // Created on an older version, or by a provisioner that stopped before tagging it.
            Some(Step::Tag(id))
        } else if volume.size() < self.size {
            Some(Step::Grow(id))
        } else if !volume.is_limited(self.qos) {
            Some(Step::Limit(id))
        } else {
            None
        })
    }

    async fn apply(&self, step: &Step) -> Result<Option<Tagged>, Error> {
        let body = match step {
            Step::Create => return self.create().await,
            Step::TagNew(id) => {
                self.tags_of_new().write(self.operation, id).await?;
                return self.read().await;
            }
            Step::Tag(id) => {
                Tags::of(&self.wanted.owner).write(self.operation, id).await?;
                return self.read().await;
            }
            Step::Recover(_) => json!({"destroyed": false}),
            Step::Grow(_) => json!({"provisioned": self.size}),
            Step::Limit(_) => json!({"qos": limits(self.qos)}),
        };
        let (Step::Recover(id) | Step::Grow(id) | Step::Limit(id)) = step else {
            return self.read().await;
        };
        let volume = self.array.patch(self.operation, id, &body).await?;
        let tags = Tags::of(&self.wanted.owner);
        Ok(volume.map(|volume| Tagged { volume, tags }))
    }

    fn not_applied(&self) -> Error {
        let cause = format!(
            "the array reported that {} was created or changed, but it was not",
            self.wanted.name
        );
        self.array.rest.malformed(&cause)
    }
}

/// The fields of a volume that are read.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct VolumeItem {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(deserialize_with = "word")]
    name: String,
    #[serde(default, deserialize_with = "maybe_id")]
    serial: Option<String>,
    provisioned: Option<u64>,
    destroyed: Option<bool>,
    created: Option<u64>,
    time_remaining: Option<u64>,
    connection_count: Option<u64>,
    qos: Option<QosItem>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct QosItem {
    bandwidth_limit: Option<u64>,
    iops_limit: Option<u64>,
}

/// Returns the limits as the array expects them.
fn limits(qos: Qos) -> Json {
    let limit = |key: &str, value: Option<u64>| value.map(|value| (key.to_owned(), json!(value)));
    let all = [limit("bandwidth_limit", qos.bandwidth), limit("iops_limit", qos.iops)];
    Json::Object(all.into_iter().flatten().collect())
}

impl VolumeItem {
    /// Returns whether the volume has these limits. Limits that are `None` are not compared.
    fn is_limited(&self, qos: Qos) -> bool {
        let current = self.qos.unwrap_or_default();
        let is = |wanted: Option<u64>, current| wanted.is_none() || wanted == current;
        is(qos.bandwidth, current.bandwidth_limit) && is(qos.iops, current.iops_limit)
    }

    fn size(&self) -> u64 {
        self.provisioned.unwrap_or_default()
    }
}

impl From<VolumeItem> for Volume {
    fn from(from: VolumeItem) -> Self {
        Self {
            size: from.size(),
            destroyed: from.destroyed == Some(true),
            name: from.name,
            id: from.id,
            created: from.created,
            serial: from.serial,
            connections: from.connection_count.unwrap_or_default(),
            time_left: from.time_remaining,
            served: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_null_is_as_good_as_absent() {
        let bare = json!({"id": "1", "name": "a"});
        let nulls = json!({
            "id": "1", "name": "a", "serial": null, "provisioned": null, "destroyed": null,
            "created": null, "connection_count": null, "pod": null,
        });
        let read = |json| serde_json::from_value::<VolumeItem>(json).map(Volume::from);
        assert_eq!(read(nulls).expect("read"), read(bare).expect("read"));
    }
}
