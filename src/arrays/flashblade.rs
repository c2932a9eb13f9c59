//! Client of a FlashBlade, whose volumes are file systems. Clients mount them over NFS.
//!
//! The rules are from the official REST 2.28 specification. The vendor's SDK shows which version introduced a field;
//! [`Version`] decides what older versions support.

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::bounded::{id, maybe, rules, word, words};
use super::convergence::{DesiredState, Start, converge};
use super::error::{Error, Kind};
use super::fence::OnlyIf;
use super::lifecycle::Backend;
use super::rest::{Dialect, Endpoint, Operation, Rest, quoted};
use super::snapshot::SnapshotResource;
use super::version::Version;
use crate::contract::{
    CloneSource, ExportRule, NfsExport, NfsVersions, Owner, Transport, Volume, VolumeId,
    VolumeName, VolumeOptions, VolumeRequest,
};

const FILE_SYSTEMS: &str = "file-systems";
const PERFORMANCE: &str = "file-systems/performance";
/// The server that exports file systems by default.
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
/// First version that clones a file system from a snapshot.
const WITH_CLONES: Version = Version(25);

/// A FlashBlade.
#[derive(Debug)]
pub struct FlashBlade {
    rest: Arc<Rest>,
    only_if: OnlyIf,
}

impl FlashBlade {
    /// Returns the FlashBlade at an endpoint. The first operation opens the connection.
    pub fn new(endpoint: Endpoint) -> Result<Self, Error> {
        let rest = Arc::new(Rest::new(endpoint, &DIALECT)?);
        Ok(Self { rest, only_if: OnlyIf::default() })
    }

    async fn patch(
        &self,
        operation: Operation<'_>,
        id: &str,
        body: &FileSystemBody,
    ) -> Result<Option<FileSystem>, Error> {
        // By id, because another file system may have taken the name in the meantime.
        let mut items =
            operation.change(Method::PATCH, FILE_SYSTEMS, &[("ids", id)], Some(body)).await?;
        Ok(items.pop())
    }
}

impl Backend for FlashBlade {
    const RESOURCE: &str = FILE_SYSTEMS;
    const SNAPSHOTS: SnapshotResource =
        SnapshotResource { resource: "file-system-snapshots", of: "owner" };
    type Item = FileSystem;

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
        let all: Vec<Interface> = self.operation().list("network-interfaces", &[]).await?;
        let mut addresses: Vec<String> = all.into_iter().filter_map(Interface::address).collect();
        addresses.sort();
        if addresses.is_empty() {
            let name = "an enabled network interface with the service `data`".to_owned();
            return Err(self.rest.error(Kind::NotFound { name }));
        }
        Ok(Transport::Nfs { addresses })
    }

    async fn ensure_volume(&self, wanted: &VolumeRequest) -> Result<Volume, Error> {
        let VolumeOptions::File { exports, nfs } = &wanted.details else {
            let needs = "a block volume needs a FlashArray".to_owned();
            return Err(self.rest.error(Kind::Unsupported { needs }));
        };
        let operation = self.operation();
        let version = operation.version().await?;
        let source = match &wanted.source {
            None => None,
            Some(CloneSource::Snapshot(_)) if version < WITH_CLONES => {
                let needs = format!("a file system from a snapshot requires REST {WITH_CLONES}");
                return Err(self.rest.error(Kind::Unsupported { needs }));
            }
            Some(CloneSource::Snapshot(name)) => Some(name.as_str()),
            Some(CloneSource::Volume(_)) => {
                let needs = "a FlashBlade clones only snapshots; take one first".to_owned();
                return Err(self.rest.error(Kind::Unsupported { needs }));
            }
        };
        let size = self.size(wanted.size)?;
        let state = EnsureFileSystem {
            array: self,
            operation,
            version,
            name: &wanted.name,
            owner: &wanted.owner,
            size,
            exports,
            nfs: *nfs,
            source,
        };
        match converge(&state, Start::AssumeAbsent).await? {
            Some(created) => Ok(created.into()),
            None => Err(state.not_applied()),
        }
    }

    async fn resize(
        &self,
        operation: Operation<'_>,
        id: &str,
        size: u64,
    ) -> Result<Option<Volume>, Error> {
        let body = FileSystemBody { provisioned: Some(size), ..FileSystemBody::default() };
        Ok(self.patch(operation, id, &body).await?.map(Volume::from))
    }

    async fn destroy_by_id(
        &self,
        operation: Operation<'_>,
        id: &str,
    ) -> Result<Option<Volume>, Error> {
        // Disable NFS in the same request, as the vendor's own tools do: no client can write to a destroyed file
        // system.
        let off =
            NfsBody { v3_enabled: Some(false), v4_1_enabled: Some(false), ..NfsBody::default() };
        let body =
            FileSystemBody { destroyed: Some(true), nfs: Some(off), ..FileSystemBody::default() };
        Ok(self.patch(operation, id, &body).await?.map(Volume::from))
    }

    async fn check_owner(&self, _: Operation<'_>, _: &VolumeId, _: &Owner) -> Result<(), Error> {
        // A FlashBlade has no tags to compare: the id alone identifies the file system.
        Ok(())
    }

    async fn check_unused(&self, operation: Operation<'_>, volume: &VolumeId) -> Result<(), Error> {
        let query = [("ids", volume.id.as_str()), ("protocol", "NFS")];
        let all: Result<Vec<Performance>, _> = operation.list(PERFORMANCE, &query).await;
        // This is an additional check: skip it when the array does not support it or the user lacks the permission.
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
        // 0 bytes would mean a file system without a limit.
        Ok(bytes.max(1))
    }
}

/// Brings a file system into the requested state.
struct EnsureFileSystem<'a> {
    array: &'a FlashBlade,
    operation: Operation<'a>,
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
    /// Changes the file system with this id.
    Change(String, FileSystemBody),
}

impl EnsureFileSystem<'_> {
    fn nfs(&self) -> NfsBody {
        NfsBody {
            v3_enabled: Some(self.nfs.v3),
            v4_1_enabled: Some(self.nfs.v4_1),
            rules: Some(ExportRule::text(self.exports)),
            export_policy: None,
        }
    }

    /// Returns the fields to change in an existing file system.
    fn difference(&self, current: &FileSystem) -> FileSystemBody {
        let nfs = current.nfs.clone().unwrap_or_default();
        let wanted = self.nfs();
        let rules = nfs.rules.as_deref().unwrap_or_default();
        let nfs = NfsBody {
            v3_enabled: wanted.v3_enabled.filter(|on| nfs.v3_enabled.unwrap_or(false) != *on),
            v4_1_enabled: wanted.v4_1_enabled.filter(|on| nfs.v4_1_enabled.unwrap_or(false) != *on),
            rules: wanted.rules.filter(|_| !ExportRule::are_in(self.exports, rules)),
            export_policy: None,
        };
        FileSystemBody {
            provisioned: Some(self.size).filter(|size| current.size() < *size),
            hard_limit_enabled: Some(true).filter(|_| current.hard_limit_enabled != Some(true)),
            writable: Some(true).filter(|_| current.writable == Some(false)),
            nfs: Some(nfs).filter(|nfs| *nfs != NfsBody::default()),
            ..FileSystemBody::default()
        }
    }
}

impl DesiredState for EnsureFileSystem<'_> {
    type Object = FileSystem;
    type Step = Step;

    async fn read(&self) -> Result<Option<FileSystem>, Error> {
        self.array.find(self.operation, &quoted("name", self.name.as_str())).await
    }

    fn next_step(&self, current: Option<&FileSystem>) -> Result<Option<Step>, Error> {
        let Some(current) = current else { return Ok(Some(Step::Create)) };
        if !self.name.is(&current.name) {
            return Err(self
                .array
                .rest
                .malformed(&format!("`{}` was not requested", current.name)));
        }
        // Without tags there is no proof of the owner of a destroyed file system, so it is never recovered. One that is
        // not destroyed may result from an earlier request whose response was lost.
        let why = if current.is_destroyed() {
            "it is destroyed, and a FlashBlade does not record its owner; eradicate it, or rename and import it"
        } else if self.owner.is_younger_than(current.created) {
            "it is older than its claim; rename it, or import it"
        } else {
            ""
        };
        if !why.is_empty() {
            let (name, why) = (self.name.to_string(), why.to_owned());
            return Err(self.array.rest.error(Kind::NotOurs { name, why }));
        }
        let difference = self.difference(current);
        let changes = difference != FileSystemBody::default();
        Ok(changes.then(|| Step::Change(current.id.clone(), difference)))
    }

    async fn apply(&self, step: &Step) -> Result<Option<FileSystem>, Error> {
        let body = match step {
            Step::Change(id, body) => return self.array.patch(self.operation, id, body).await,
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
            // The export rules create the NFS export; there must be no other.
            query.push(("default_exports", ""));
        }
        if self.source.is_some() {
            query.push(("include_snapshot", "true"));
        }
        let mut created =
            self.operation.change(Method::POST, FILE_SYSTEMS, &query, Some(&body)).await?;
        Ok(created.pop())
    }

    fn not_applied(&self) -> Error {
        self.array.rest.malformed(&format!(
            "the array reported that {} was created or changed, but it was not",
            self.name
        ))
    }
}

/// Load of a file system.
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

/// The fields of a file system that are written.
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
    /// Read-only.
    #[serde(skip_serializing)]
    export_policy: Option<NamedPolicy>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct NamedPolicy {}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Reference {
    name: String,
}

/// The fields of a file system that are read.
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
            // Rules in an export policy are not in this field, which is empty then.
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
    /// REST 2.16 and later; an empty list means every server.
    attached_servers: Option<Vec<NamedServer>>,
}

#[derive(Debug, Deserialize)]
struct NamedServer {
    #[serde(default, deserialize_with = "maybe")]
    name: Option<String>,
}

impl Interface {
    /// Returns the address if it serves file systems of the default server.
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
        let expected = Some("192.0.2.1".to_owned());
        assert_eq!(address(json!({})), expected);
        assert_eq!(address(json!({"attached_servers": null})), expected);
        assert_eq!(address(json!({"attached_servers": [{"name": "_array_server"}]})), expected);
        assert_eq!(address(json!({"attached_servers": [{"name": "tenant"}]})), None);
        assert_eq!(address(json!({"enabled": false})), None);
        assert_eq!(address(json!({"services": ["management"]})), None);
        assert_eq!(address(json!({"services": null})), None);
    }
}
