//! A FlashArray: volumes are block devices, reached over iSCSI by hosts that are connected to them.
//!
//! Source of the rules: the official REST 2.56 document. What older versions lack is asked by
//! [`Version`]; what they have since when is read from the vendor's SDK.

mod hosts;
mod tags;

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::bounded::{id, maybe, maybe_id, word};
use super::convergence::{Goal, Start, reach};
use super::error::{Error, Kind};
use super::fence::OnlyIf;
use super::lifecycle::Living;
use super::rest::{Dialect, Endpoint, Rest, Talk, quoted};
use super::snapshot::SnapshotResource;
use super::version::Version;
use crate::contract::{
    BLOCK_STEP, CloneSource, Owner, Qos, Transport, Volume, VolumeId, VolumeName, VolumeOptions,
    VolumeRequest,
};

pub use hosts::{Connection, Host};
use tags::Tags;

const VOLUMES: &str = "volumes";

static DIALECT: Dialect = Dialect {
    kind: "FlashArray",
    os: "Purity//FA",
    versions: "version",
    versioned_login: true,
    ended: &[StatusCode::UNAUTHORIZED],
    // Ports and the capacity came with 2.2, reading tags by their namespace with 2.3.
    oldest: Version(3),
    newest: Version(56),
};

/// First version with the parameter `with_default_protection`.
const WITH_PROTECTION: Version = Version(16);
/// First version that takes a volume's tags together with the volume.
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
    /// Returns the FlashArray at an endpoint; it is asked for the first time when something is wanted.
    pub fn new(endpoint: Endpoint) -> Result<Self, Error> {
        let rest = Arc::new(Rest::new(endpoint, &DIALECT)?);
        Ok(Self { rest, only_if: OnlyIf::default() })
    }

    fn untagged(&self, name: &VolumeName) -> Error {
        let why = "it has no tags of an owner".to_owned();
        self.rest.error(Kind::NotOurs { name: name.to_string(), why })
    }

    async fn patch(
        &self,
        talk: Talk<'_>,
        id: &str,
        body: &Json,
    ) -> Result<Option<VolumeItem>, Error> {
        // By id, so that it cannot be another that has taken the name in the meantime.
        let mut items = talk.change(Method::PATCH, VOLUMES, &[("ids", id)], Some(body)).await?;
        Ok(items.pop())
    }
}

impl Living for FlashArray {
    const RESOURCE: &str = VOLUMES;
    const SNAPSHOTS: SnapshotResource =
        SnapshotResource { resource: "volume-snapshots", of: "source" };
    type Item = VolumeItem;

    fn rest(&self) -> &Rest {
        &self.rest
    }

    fn talk(&self) -> Talk<'_> {
        self.rest.talk(&self.only_if)
    }

    fn long_talk(&self) -> Talk<'_> {
        self.rest.long_talk(&self.only_if)
    }

    fn only_if(&self, only_if: OnlyIf) -> Self {
        Self { rest: Arc::clone(&self.rest), only_if }
    }

    async fn reached(&self) -> Result<Transport, Error> {
        let ports: Vec<Port> = self.talk().list("ports", &[]).await?;
        let mut targets: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for port in ports {
            if let (Some(iqn), Some(portal)) = (port.iqn, port.portal) {
                targets.entry(iqn).or_default().push(portal);
            }
        }
        // An array shows one target name on all its ports.
        let Some((target, mut portals)) = targets.pop_first() else {
            let name = "a port with an IQN and a portal".to_owned();
            return Err(self.rest.error(Kind::NotFound { name }));
        };
        portals.sort();
        Ok(Transport::Iscsi { target, portals })
    }

    async fn made(&self, wanted: &VolumeRequest) -> Result<Volume, Error> {
        let VolumeOptions::Block { default_protection, qos } = wanted.details else {
            let needs = "a file system needs a FlashBlade".to_owned();
            return Err(self.rest.error(Kind::Unsupported { needs }));
        };
        let size = self.size(wanted.size)?;
        let talk = self.talk();
        let version = talk.version().await?;
        let goal = Made { array: self, talk, version, wanted, size, default_protection, qos };
        match reach(&goal, Start::Nothing).await? {
            Some(made) => Ok(made.volume.into()),
            None => Err(goal.unmoved()),
        }
    }

    async fn resize(&self, talk: Talk<'_>, id: &str, size: u64) -> Result<Option<Volume>, Error> {
        let body = json!({ "provisioned": size });
        Ok(self.patch(talk, id, &body).await?.map(Volume::from))
    }

    async fn end(&self, talk: Talk<'_>, id: &str) -> Result<Option<Volume>, Error> {
        Ok(self.patch(talk, id, &json!({"destroyed": true})).await?.map(Volume::from))
    }

    async fn check_owner(
        &self,
        talk: Talk<'_>,
        volume: &VolumeId,
        owner: &Owner,
    ) -> Result<(), Error> {
        let tags = Tags::read(talk, &volume.id).await?;
        tags.check(&self.rest, &volume.name, owner)?;
        if !tags.are_missing() {
            return Ok(());
        }
        // One that was never tagged, because its maker ended in between: only while its claim is there.
        let own_name = format!("{}-pvc-{}", owner.cluster, owner.uid);
        let unfinished =
            talk.version().await? < WITH_TAGS && owner.since.is_some() && volume.name.is(&own_name);
        if unfinished { Ok(()) } else { Err(self.untagged(&volume.name)) }
    }

    async fn check_unused(&self, _: Talk<'_>, _: &VolumeId) -> Result<(), Error> {
        // Its connections tell it.
        Ok(())
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

/// A volume as it shall be.
struct Made<'a> {
    array: &'a FlashArray,
    talk: Talk<'a>,
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
    /// All further ones are about the volume with an id.
    Tag(String),
    Recover(String),
    Grow(String),
    Limit(String),
}

impl Made<'_> {
    async fn create(&self) -> Result<Option<Tagged>, Error> {
        let protection = self.default_protection.to_string();
        let mut query = vec![("names", self.wanted.name.as_str())];
        if self.version >= WITH_PROTECTION {
            query.push(("with_default_protection", &protection));
        }
        // The size of a copy is that of its source; it grows afterwards.
        let mut body = match &self.wanted.source {
            None => json!({"provisioned": self.size}),
            Some(CloneSource::Snapshot(name)) => json!({"source": {"name": name}}),
            Some(CloneSource::Volume(volume)) => json!({"source": {"name": volume.name.as_str()}}),
        };
        if self.qos != Qos::default() {
            body["qos"] = limits(self.qos);
        }
        let tags = if self.version >= WITH_TAGS {
            let tags = Tags::of(&self.wanted.owner);
            body["tags"] = tags.body();
            tags
        } else {
            Tags::default()
        };
        let mut made = self.talk.change(Method::POST, VOLUMES, &query, Some(&body)).await?;
        Ok(made.pop().map(|volume| Tagged { volume, tags }))
    }
}

impl Goal for Made<'_> {
    type Object = Tagged;
    type Step = Step;

    async fn read(&self) -> Result<Option<Tagged>, Error> {
        let name = quoted("name", self.wanted.name.as_str());
        let Some(volume) = self.array.find(self.talk, &name).await? else { return Ok(None) };
        let tags = Tags::read(self.talk, &volume.id).await?;
        Ok(Some(Tagged { volume, tags }))
    }

    fn next(&self, there: Option<&Tagged>) -> Result<Option<Step>, Error> {
        let Some(Tagged { volume, tags }) = there else { return Ok(Some(Step::Create)) };
        if !self.wanted.name.is(&volume.name) {
            let cause = format!("`{}` was not asked for", volume.name);
            return Err(self.array.rest.malformed(&cause));
        }
        let owner = &self.wanted.owner;
        tags.check(&self.array.rest, &self.wanted.name, owner)?;
        // Younger versions tag a volume with the request that makes it. On older ones, what has no tags may
        // be what one of us made that ended in between; it is empty then, and alive.
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
        // It was made for a claim that has no volume yet: no node can have it.
        let connections = volume.connection_count.unwrap_or_default();
        if connections > 0 {
            let by = format!("{connections} hosts are connected, and its claim is not bound yet");
            let name = self.wanted.name.to_string();
            return Err(self.array.rest.error(Kind::InUse { name, by }));
        }
        let id = volume.id.clone();
        Ok(if volume.destroyed == Some(true) {
            Some(Step::Recover(id))
        } else if !tags.are_of(owner) {
            // Made by an array that takes tags only afterwards, or by one of us that ended in between.
            Some(Step::Tag(id))
        } else if volume.size() < self.size {
            Some(Step::Grow(id))
        } else if !volume.is_limited(self.qos) {
            Some(Step::Limit(id))
        } else {
            None
        })
    }

    async fn take(&self, step: &Step) -> Result<Option<Tagged>, Error> {
        let body = match step {
            Step::Create => return self.create().await,
            Step::Tag(id) => {
                Tags::of(&self.wanted.owner).write(self.talk, id).await?;
                return self.read().await;
            }
            Step::Recover(_) => json!({"destroyed": false}),
            Step::Grow(_) => json!({"provisioned": self.size}),
            Step::Limit(_) => json!({"qos": limits(self.qos)}),
        };
        let (Step::Recover(id) | Step::Grow(id) | Step::Limit(id)) = step else {
            return self.read().await;
        };
        let volume = self.array.patch(self.talk, id, &body).await?;
        let tags = Tags::of(&self.wanted.owner);
        Ok(volume.map(|volume| Tagged { volume, tags }))
    }

    fn unmoved(&self) -> Error {
        let cause = format!("{} is said to be made or changed, and is not", self.wanted.name);
        self.array.rest.malformed(&cause)
    }
}

/// What is read of a volume.
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

/// Limits as the array takes them.
fn limits(qos: Qos) -> Json {
    let limit = |key: &str, value: Option<u64>| value.map(|value| (key.to_owned(), json!(value)));
    let all = [limit("bandwidth_limit", qos.bandwidth), limit("iops_limit", qos.iops)];
    Json::Object(all.into_iter().flatten().collect())
}

impl VolumeItem {
    /// Whether it has these limits, as far as there are any.
    fn is_limited(&self, qos: Qos) -> bool {
        let there = self.qos.unwrap_or_default();
        let is = |wanted: Option<u64>, there| wanted.is_none() || wanted == there;
        is(qos.bandwidth, there.bandwidth_limit) && is(qos.iops, there.iops_limit)
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

#[derive(Debug, Deserialize)]
struct Port {
    #[serde(default, deserialize_with = "maybe")]
    iqn: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    portal: Option<String>,
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
        let fibre = json!({"name": "CT0.FC0", "iqn": null, "portal": null, "wwn": "52:4A"});
        assert!(serde_json::from_value::<Port>(fibre).expect("read").iqn.is_none());
    }
}
