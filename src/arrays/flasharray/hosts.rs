//! Hosts, which represent nodes on an array, and their connections to volumes.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::FlashArray;
use crate::arrays::bounded::{maybe, word};
use crate::arrays::convergence::{DesiredState, Start, converge};
use crate::arrays::error::{Error, Kind};
use crate::arrays::lifecycle::Backend as _;
use crate::arrays::rest::{Operation, quoted};
use crate::contract::VolumeId;

const HOSTS: &str = "hosts";
const CONNECTIONS: &str = "connections";

/// A node, as it is registered on an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Name of a host that is created: letters, digits and `-`. It should be derived from cluster, node and IQN, so
    /// that it is unique.
    pub name: String,
    /// IQN of its initiator.
    pub iqn: String,
}

/// A host's connection to a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The host's name on the array.
    pub host: String,
    /// The volume's name.
    pub volume: String,
    /// The logical unit number under which the host sees the volume.
    pub lun: u64,
}

impl FlashArray {
    /// Connects a host to a volume. Creates the host when no host has its IQN yet. An array has a limited number of
    /// hosts: use one per node.
    pub async fn connect(&self, volume: &VolumeId, host: &Host) -> Result<Connection, Error> {
        let operation = self.operation();
        self.check_is_there(operation, volume).await?;
        let state = EnsureHost { array: self, operation, host };
        let current = converge(&state, Start::Read).await?.ok_or_else(|| state.not_applied())?;
        let state = ConnectHost { array: self, operation, host: &current.name, volume };
        let created =
            converge(&state, Start::AssumeAbsent).await?.ok_or_else(|| state.not_applied())?;
        created.connection().ok_or_else(|| state.not_applied())
    }

    /// Disconnects a host from a volume. Succeeds when it is not connected.
    pub async fn disconnect(&self, volume: &VolumeId, iqn: &str) -> Result<(), Error> {
        let operation = self.operation();
        let Some(current) = self.by_id(operation, &volume.id).await? else { return Ok(()) };
        if !volume.name.is(&current.name) {
            return Err(self.not_ours(volume, &current.name));
        }
        let Some(host) = operation.find::<HostItem>(HOSTS, &quoted("iqns", iqn)).await? else {
            return Ok(());
        };
        let state =
            DisconnectHost(ConnectHost { array: self, operation, host: &host.name, volume });
        converge(&state, Start::Read).await.map(drop)
    }

    /// Returns the connections of a volume.
    pub async fn connections(&self, volume: &VolumeId) -> Result<Vec<Connection>, Error> {
        let filter = quoted("volume.name", volume.name.as_str());
        let query = [("filter", filter.as_str())];
        let all: Vec<ConnectionItem> = self.operation().list(CONNECTIONS, &query).await?;
        Ok(all.into_iter().filter_map(ConnectionItem::connection).collect())
    }

    async fn check_is_there(
        &self,
        operation: Operation<'_>,
        volume: &VolumeId,
    ) -> Result<(), Error> {
        match self.by_id(operation, &volume.id).await? {
            Some(current) if !volume.name.is(&current.name) => {
                Err(self.not_ours(volume, &current.name))
            }
            Some(current) if !current.destroyed => Ok(()),
            _ => Err(self.rest.error(Kind::NotFound { name: volume.name.to_string() })),
        }
    }

    fn not_ours(&self, volume: &VolumeId, now: &str) -> Error {
        let why = format!("its name is {now} now");
        self.rest.error(Kind::NotOurs { name: volume.name.to_string(), why })
    }
}

/// Ensures that a host exists.
struct EnsureHost<'a> {
    array: &'a FlashArray,
    operation: Operation<'a>,
    host: &'a Host,
}

impl DesiredState for EnsureHost<'_> {
    type Object = HostItem;
    type Step = ();

    /// Reads the host that has the IQN, whatever its name is: an initiator belongs to one host.
    async fn read(&self) -> Result<Option<HostItem>, Error> {
        self.operation.find(HOSTS, &quoted("iqns", &self.host.iqn)).await
    }

    fn next_step(&self, current: Option<&HostItem>) -> Result<Option<()>, Error> {
        Ok(current.is_none().then_some(()))
    }

    async fn apply(&self, (): &()) -> Result<Option<HostItem>, Error> {
        let body = json!({"iqns": [self.host.iqn]});
        let query = [("names", self.host.name.as_str())];
        let mut created = self.operation.change(Method::POST, HOSTS, &query, Some(&body)).await?;
        Ok(created.pop())
    }

    fn not_applied(&self) -> Error {
        self.array.rest.malformed(&format!(
            "the array reported that host {} was created, but it does not exist",
            self.host.name
        ))
    }
}

/// Ensures that a connection exists.
struct ConnectHost<'a> {
    array: &'a FlashArray,
    operation: Operation<'a>,
    host: &'a str,
    volume: &'a VolumeId,
}

impl DesiredState for ConnectHost<'_> {
    type Object = ConnectionItem;
    type Step = ();

    async fn read(&self) -> Result<Option<ConnectionItem>, Error> {
        let host = quoted("host.name", self.host);
        let volume = quoted("volume.name", self.volume.name.as_str());
        self.operation.find(CONNECTIONS, &format!("{host} and {volume}")).await
    }

    fn next_step(&self, current: Option<&ConnectionItem>) -> Result<Option<()>, Error> {
        Ok(current.is_none().then_some(()))
    }

    async fn apply(&self, (): &()) -> Result<Option<ConnectionItem>, Error> {
        let query = [("host_names", self.host), ("volume_names", self.volume.name.as_str())];
        let mut created =
            self.operation.change(Method::POST, CONNECTIONS, &query, Some(&json!({}))).await?;
        Ok(created.pop())
    }

    fn not_applied(&self) -> Error {
        let (volume, host) = (&self.volume.name, self.host);
        self.array.rest.malformed(&format!(
            "the array reported that {volume} was connected to {host}, but it is not"
        ))
    }
}

/// Ensures that a connection does not exist.
struct DisconnectHost<'a>(ConnectHost<'a>);

impl DesiredState for DisconnectHost<'_> {
    type Object = ConnectionItem;
    type Step = ();

    async fn read(&self) -> Result<Option<ConnectionItem>, Error> {
        self.0.read().await
    }

    fn next_step(&self, current: Option<&ConnectionItem>) -> Result<Option<()>, Error> {
        Ok(current.map(|_| ()))
    }

    async fn apply(&self, (): &()) -> Result<Option<ConnectionItem>, Error> {
        let ConnectHost { operation, host, volume, .. } = self.0;
        let query = [("host_names", host), ("volume_names", volume.name.as_str())];
        let nothing: Option<&()> = None;
        operation.change::<ConnectionItem>(Method::DELETE, CONNECTIONS, &query, nothing).await?;
        Ok(None)
    }

    fn not_applied(&self) -> Error {
        let ConnectHost { array, host, volume, .. } = self.0;
        let volume = &volume.name;
        array
            .rest
            .malformed(&format!("the array reported that {volume} was disconnected from {host}, but it is still connected"))
    }
}

#[derive(Debug, Deserialize)]
struct HostItem {
    #[serde(deserialize_with = "word")]
    name: String,
}

#[derive(Debug, Deserialize)]
struct ConnectionItem {
    host: Option<Named>,
    volume: Option<Named>,
    lun: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "maybe")]
    name: Option<String>,
}

impl ConnectionItem {
    fn connection(self) -> Option<Connection> {
        let name = |reference: Option<Named>| reference?.name;
        Some(Connection { host: name(self.host)?, volume: name(self.volume)?, lun: self.lun? })
    }
}
