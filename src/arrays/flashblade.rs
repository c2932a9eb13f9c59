//! A FlashBlade: volumes are file systems, reached over NFS.
//!
//! Source of the rules: the official REST 2.28 document. What older versions lack is asked by
//! [`Version`]; what they have since when is read from the vendor's SDK.

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::bounded::{id, maybe, rules, word, words};
use super::convergence::{Goal, Start, reach};
use super::error::{Error, Kind};
use super::fence::OnlyIf;
use super::lifecycle::Living;
use super::rest::{Dialect, Endpoint, Rest, Talk, quoted};
use super::snapshot::SnapshotResource;
use super::version::Version;
use crate::contract::{
    CloneSource, ExportRule, NfsExport, NfsVersions, Owner, Transport, Volume, VolumeId,
    VolumeName, VolumeOptions, VolumeRequest,
};

const FILE_SYSTEMS: &str = "file-systems";
const PERFORMANCE: &str = "file-systems/performance";
/// The server that file systems are exported on when nobody asks for another.
const DEFAULT_SERVER: &str = "_array_server";

static DIALECT: Dialect = Dialect {
    kind: "FlashBlade",
    os: "Purity//FB",
    versions: "versions",
    versioned_login: false,
    ended: &[StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN],
    oldest: Version(0),
    newest: Version(28),
};

/// First version with the parameter `default_exports`.
const WITH_EXPORTS: Version = Version(16);
/// First version that makes a new file system from a snapshot.
const WITH_COPIES: Version = Version(25);

/// A FlashBlade.
#[derive(Debug)]
pub struct FlashBlade {
    rest: Arc<Rest>,
    only_if: OnlyIf,
}

impl FlashBlade {
    /// Returns the FlashBlade at an endpoint; it is asked for the first time when something is wanted.
    pub fn new(endpoint: Endpoint) -> Result<Self, Error> {
        let rest = Arc::new(Rest::new(endpoint, &DIALECT)?);
        Ok(Self { rest, only_if: OnlyIf::default() })
    }

    async fn patch(
        &self,
        talk: Talk<'_>,
        id: &str,
        body: &FileSystemBody,
    ) -> Result<Option<FileSystem>, Error> {
        // By id, so that it cannot be another that has taken the name in the meantime.
        let mut items =
            talk.change(Method::PATCH, FILE_SYSTEMS, &[("ids", id)], Some(body)).await?;
        Ok(items.pop())
    }
}

impl Living for FlashBlade {
    const RESOURCE: &str = FILE_SYSTEMS;
    const SNAPSHOTS: SnapshotResource =
        SnapshotResource { resource: "file-system-snapshots", of: "owner" };
    type Item = FileSystem;

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
        let all: Vec<Interface> = self.talk().list("network-interfaces", &[]).await?;
        let mut addresses: Vec<String> = all.into_iter().filter_map(Interface::address).collect();
        addresses.sort();
        if addresses.is_empty() {
            let name = "an enabled network interface with the service `data`".to_owned();
            return Err(self.rest.error(Kind::NotFound { name }));
        }
        Ok(Transport::Nfs { addresses })
    }

    async fn made(&self, wanted: &VolumeRequest) -> Result<Volume, Error> {
        let VolumeOptions::File { exports, nfs } = &wanted.details else {
            let needs = "a block volume needs a FlashArray".to_owned();
            return Err(self.rest.error(Kind::Unsupported { needs }));
        };
        let talk = self.talk();
        let version = talk.version().await?;
        let source = match &wanted.source {
            None => None,
            Some(CloneSource::Snapshot(_)) if version < WITH_COPIES => {
                let needs = format!("a file system from a snapshot needs REST {WITH_COPIES}");
                return Err(self.rest.error(Kind::Unsupported { needs }));
            }
            Some(CloneSource::Snapshot(name)) => Some(name.as_str()),
            Some(CloneSource::Volume(_)) => {
                let needs = "a FlashBlade copies snapshots; take one first".to_owned();
                return Err(self.rest.error(Kind::Unsupported { needs }));
            }
        };
        let size = self.size(wanted.size)?;
        let goal = Made {
            array: self,
            talk,
            version,
            name: &wanted.name,
            owner: &wanted.owner,
            size,
            exports,
            nfs: *nfs,
            source,
        };
        match reach(&goal, Start::Nothing).await? {
            Some(made) => Ok(made.into()),
            None => Err(goal.unmoved()),
        }
    }

    async fn resize(&self, talk: Talk<'_>, id: &str, size: u64) -> Result<Option<Volume>, Error> {
        let body = FileSystemBody { provisioned: Some(size), ..FileSystemBody::default() };
        Ok(self.patch(talk, id, &body).await?.map(Volume::from))
    }

    async fn end(&self, talk: Talk<'_>, id: &str) -> Result<Option<Volume>, Error> {
        // Switched off together, as the vendor's own tools do: nobody writes into what is to go.
        let off =
            NfsBody { v3_enabled: Some(false), v4_1_enabled: Some(false), ..NfsBody::default() };
        let body =
            FileSystemBody { destroyed: Some(true), nfs: Some(off), ..FileSystemBody::default() };
        Ok(self.patch(talk, id, &body).await?.map(Volume::from))
    }

    async fn check_owner(&self, _: Talk<'_>, _: &VolumeId, _: &Owner) -> Result<(), Error> {
        // There are no tags to compare: the id alone tells that it is the one that was made.
        Ok(())
    }

    async fn check_unused(&self, talk: Talk<'_>, volume: &VolumeId) -> Result<(), Error> {
        let query = [("ids", volume.id.as_str()), ("protocol", "NFS")];
        let all: Result<Vec<Performance>, _> = talk.list(PERFORMANCE, &query).await;
        // It is a further look: an array that does not allow it, or does not know it, tells nothing.
        let all = match all {
            Err(error) if error.is_refusal() || matches!(error.kind(), Kind::Forbidden { .. }) => {
                return Ok(());
            }
            all => all?,
        };
        let rate: f64 = all.iter().map(Performance::operations).sum();
        if rate > 0.0 {
            let name = volume.name.to_string();
            let by = format!("clients send {rate:.1} operations a second");
            return Err(self.rest.error(Kind::InUse { name, by }));
        }
        Ok(())
    }

    fn size(&self, bytes: u64) -> Result<u64, Error> {
        // 0 bytes are a file system without a limit.
        Ok(bytes.max(1))
    }
}

/// A file system as it shall be.
struct Made<'a> {
    array: &'a FlashBlade,
    talk: Talk<'a>,
    version: Version,
    name: &'a VolumeName,
    owner: &'a Owner,
    size: u64,
    exports: &'a [ExportRule],
    nfs: NfsVersions,
    source: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Create,
    /// Of the file system with an id.
    Change(String, FileSystemBody),
}

impl Made<'_> {
    fn nfs(&self) -> NfsBody {
        NfsBody {
            v3_enabled: Some(self.nfs.v3),
            v4_1_enabled: Some(self.nfs.v4_1),
            rules: Some(ExportRule::text(self.exports)),
            export_policy: None,
        }
    }

    /// What has to be changed of a file system that is there.
    fn difference(&self, there: &FileSystem) -> FileSystemBody {
        let nfs = there.nfs.clone().unwrap_or_default();
        let wanted = self.nfs();
        let rules = nfs.rules.as_deref().unwrap_or_default();
        let nfs = NfsBody {
            v3_enabled: wanted.v3_enabled.filter(|on| nfs.v3_enabled.unwrap_or(false) != *on),
            v4_1_enabled: wanted.v4_1_enabled.filter(|on| nfs.v4_1_enabled.unwrap_or(false) != *on),
            rules: wanted.rules.filter(|_| !ExportRule::are_in(self.exports, rules)),
            export_policy: None,
        };
        FileSystemBody {
            provisioned: Some(self.size).filter(|size| there.size() < *size),
            hard_limit_enabled: Some(true).filter(|_| there.hard_limit_enabled != Some(true)),
            writable: Some(true).filter(|_| there.writable == Some(false)),
            nfs: Some(nfs).filter(|nfs| *nfs != NfsBody::default()),
            ..FileSystemBody::default()
        }
    }
}

impl Goal for Made<'_> {
    type Object = FileSystem;
    type Step = Step;

    async fn read(&self) -> Result<Option<FileSystem>, Error> {
        self.array.find(self.talk, &quoted("name", self.name.as_str())).await
    }

    fn next(&self, there: Option<&FileSystem>) -> Result<Option<Step>, Error> {
        let Some(there) = there else { return Ok(Some(Step::Create)) };
        if !self.name.is(&there.name) {
            return Err(self.array.rest.malformed(&format!("`{}` was not asked for", there.name)));
        }
        // Without tags nothing proves whose files are in one that was destroyed: it is never recovered. One
        // that is alive may be what a request of ours made whose answer was lost.
        let why = if there.is_destroyed() {
            "it is destroyed, and a FlashBlade does not tell who made it; eradicate it, or rename and import it"
        } else if self.owner.is_younger_than(there.created) {
            "it is older than its claim; rename it, or import it"
        } else {
            ""
        };
        if !why.is_empty() {
            let (name, why) = (self.name.to_string(), why.to_owned());
            return Err(self.array.rest.error(Kind::NotOurs { name, why }));
        }
        let difference = self.difference(there);
        let changes = difference != FileSystemBody::default();
        Ok(changes.then(|| Step::Change(there.id.clone(), difference)))
    }

    async fn take(&self, step: &Step) -> Result<Option<FileSystem>, Error> {
        let body = match step {
            Step::Change(id, body) => return self.array.patch(self.talk, id, body).await,
            Step::Create => FileSystemBody {
                provisioned: Some(self.size),
                hard_limit_enabled: Some(true),
                snapshot_directory_enabled: Some(false),
                nfs: Some(self.nfs()),
                source: self.source.map(|name| Reference { name: name.to_owned() }),
                ..FileSystemBody::default()
            },
        };
        let mut query = vec![("names", self.name.as_str())];
        if self.version >= WITH_EXPORTS {
            // Rules make the NFS export; no other shall be there.
            query.push(("default_exports", ""));
        }
        if self.source.is_some() {
            query.push(("include_snapshot", "true"));
        }
        let mut made = self.talk.change(Method::POST, FILE_SYSTEMS, &query, Some(&body)).await?;
        Ok(made.pop())
    }

    fn unmoved(&self) -> Error {
        self.array.rest.malformed(&format!("{} is made or changed, and is not", self.name))
    }
}

/// What clients do with a file system.
#[derive(Debug, Clone, Copy, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of the API")]
struct Performance {
    reads_per_sec: Option<f64>,
    writes_per_sec: Option<f64>,
    others_per_sec: Option<f64>,
}

impl Performance {
    fn operations(&self) -> f64 {
        let all = [self.reads_per_sec, self.writes_per_sec, self.others_per_sec];
        all.into_iter().flatten().filter(|rate| rate.is_finite()).sum()
    }
}

/// What is written of a file system.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct FileSystemBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    provisioned: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hard_limit_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    writable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot_directory_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nfs: Option<NfsBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destroyed: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct NfsBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    v3_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v4_1_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default, deserialize_with = "rules")]
    rules: Option<String>,
    /// Only read.
    #[serde(skip_serializing)]
    export_policy: Option<NamedPolicy>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct NamedPolicy {}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Reference {
    name: String,
}

/// What is read of a file system.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct FileSystem {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(deserialize_with = "word")]
    name: String,
    provisioned: Option<u64>,
    hard_limit_enabled: Option<bool>,
    nfs: Option<NfsBody>,
    destroyed: Option<bool>,
    created: Option<u64>,
    time_remaining: Option<u64>,
    writable: Option<bool>,
}

impl FileSystem {
    fn size(&self) -> u64 {
        self.provisioned.unwrap_or_default()
    }

    fn is_destroyed(&self) -> bool {
        self.destroyed == Some(true)
    }
}

impl From<FileSystem> for Volume {
    fn from(from: FileSystem) -> Self {
        let nfs = from.nfs.clone().unwrap_or_default();
        let on = |on: Option<bool>| on.unwrap_or(false);
        let served = NfsExport {
            nfs: NfsVersions { v3: on(nfs.v3_enabled), v4_1: on(nfs.v4_1_enabled) },
            // Those of an export policy are written there, and nothing here.
            rules: nfs.rules.filter(|rules| !rules.is_empty() || nfs.export_policy.is_none()),
            writable: from.writable.unwrap_or(true),
        };
        Self {
            served: Some(served),
            time_left: from.time_remaining,
            size: from.size(),
            destroyed: from.is_destroyed(),
            name: from.name,
            id: from.id,
            created: from.created,
            serial: None,
            connections: 0,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Interface {
    #[serde(default, deserialize_with = "maybe")]
    address: Option<String>,
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "words")]
    services: Option<Vec<String>>,
    /// REST 2.16 and later; empty means every server.
    attached_servers: Option<Vec<NamedServer>>,
}

#[derive(Debug, Deserialize)]
struct NamedServer {
    #[serde(default, deserialize_with = "maybe")]
    name: Option<String>,
}

impl Interface {
    /// Its address, when file systems of the default server are reached by it.
    fn address(self) -> Option<String> {
        let servers = self.attached_servers.unwrap_or_default();
        let serves = servers.is_empty()
            || servers.iter().any(|server| server.name.as_deref() == Some(DEFAULT_SERVER));
        let data = self.services?.iter().any(|service| service == "data");
        self.address.filter(|_| self.enabled == Some(true) && data && serves)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_null_is_as_good_as_absent() {
        let bare = json!({"id": "1", "name": "a"});
        let nulls = json!({
            "id": "1", "name": "a", "provisioned": null, "hard_limit_enabled": null, "nfs": null,
            "destroyed": null, "created": null, "context": null,
        });
        let read = |json| serde_json::from_value::<FileSystem>(json).map(Volume::from);
        assert_eq!(read(nulls).expect("read"), read(bare).expect("read"));
        let nfs = json!({"v3_enabled": null, "v4_1_enabled": true, "rules": null});
        serde_json::from_value::<NfsBody>(nfs).expect("read");
    }

    #[test]
    fn addresses_are_those_of_data_on_the_default_server() {
        let address = |mut extra: serde_json::Value| {
            let mut interface =
                json!({"address": "192.0.2.1", "enabled": true, "services": ["data"]});
            let fields = interface.as_object_mut().expect("fields");
            fields.append(extra.as_object_mut().expect("fields"));
            serde_json::from_value::<Interface>(interface).expect("read").address()
        };
        let there = Some("192.0.2.1".to_owned());
        assert_eq!(address(json!({})), there);
        assert_eq!(address(json!({"attached_servers": null})), there);
        assert_eq!(address(json!({"attached_servers": [{"name": "_array_server"}]})), there);
        assert_eq!(address(json!({"attached_servers": [{"name": "tenant"}]})), None);
        assert_eq!(address(json!({"enabled": false})), None);
        assert_eq!(address(json!({"services": ["management"]})), None);
        assert_eq!(address(json!({"services": null})), None);
    }
}
