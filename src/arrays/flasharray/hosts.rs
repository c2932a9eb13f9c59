//! Hosts by which nodes are known, and the connections by which they see volumes.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::FlashArray;
use crate::arrays::bounded::{maybe, word};
use crate::arrays::convergence::{Goal, Start, reach};
use crate::arrays::error::{Error, Kind};
use crate::arrays::lifecycle::Living as _;
use crate::arrays::rest::{Talk, quoted};
use crate::contract::VolumeId;

const HOSTS: &str = "hosts";
const CONNECTIONS: &str = "connections";

/// A node, as an array is to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name on the array when it has none yet: letters, digits and `-`. It should follow from
    /// cluster, node and IQN, so that it never is another's.
    pub name: String,
    /// Its initiator name.
    pub iqn: String,
}

/// That a host sees a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The host's name on the array.
    pub host: String,
    /// The volume's name.
    pub volume: String,
    /// The number by which it sees it.
    pub lun: u64,
}

impl FlashArray {
    /// Lets a host see a volume, and makes the host known when no host has its IQN yet. An array has a
    /// limited number of hosts: one for each node is enough.
    pub async fn connect(&self, volume: &VolumeId, host: &Host) -> Result<Connection, Error> {
        let talk = self.talk();
        self.check_is_there(talk, volume).await?;
        let known = Known { array: self, talk, host };
        let there = reach(&known, Start::Reading).await?.ok_or_else(|| known.unmoved())?;
        let goal = Connected { array: self, talk, host: &there.name, volume };
        let made = reach(&goal, Start::Nothing).await?.ok_or_else(|| goal.unmoved())?;
        made.connection().ok_or_else(|| goal.unmoved())
    }

    /// Lets a host see a volume no more. Good when it does not see it.
    pub async fn disconnect(&self, volume: &VolumeId, iqn: &str) -> Result<(), Error> {
        let talk = self.talk();
        let Some(there) = self.by_id(talk, &volume.id).await? else { return Ok(()) };
        if !volume.name.is(&there.name) {
            return Err(self.not_ours(volume, &there.name));
        }
        let Some(host) = talk.find::<HostItem>(HOSTS, &quoted("iqns", iqn)).await? else {
            return Ok(());
        };
        let goal = Disconnected(Connected { array: self, talk, host: &host.name, volume });
        reach(&goal, Start::Reading).await.map(drop)
    }

    /// Returns by whom a volume is seen.
    pub async fn connections(&self, volume: &VolumeId) -> Result<Vec<Connection>, Error> {
        let filter = quoted("volume.name", volume.name.as_str());
        let query = [("filter", filter.as_str())];
        let all: Vec<ConnectionItem> = self.talk().list(CONNECTIONS, &query).await?;
        Ok(all.into_iter().filter_map(ConnectionItem::connection).collect())
    }

    async fn check_is_there(&self, talk: Talk<'_>, volume: &VolumeId) -> Result<(), Error> {
        match self.by_id(talk, &volume.id).await? {
            Some(there) if !volume.name.is(&there.name) => Err(self.not_ours(volume, &there.name)),
            Some(there) if !there.destroyed => Ok(()),
            _ => Err(self.rest.error(Kind::NotFound { name: volume.name.to_string() })),
        }
    }

    fn not_ours(&self, volume: &VolumeId, now: &str) -> Error {
        let why = format!("it is called {now} now");
        self.rest.error(Kind::NotOurs { name: volume.name.to_string(), why })
    }
}

/// A host that shall be known.
struct Known<'a> {
    array: &'a FlashArray,
    talk: Talk<'a>,
    host: &'a Host,
}

impl Goal for Known<'_> {
    type Object = HostItem;
    type Step = ();

    /// The host that has the IQN, whatever it is called: an initiator belongs to one host.
    async fn read(&self) -> Result<Option<HostItem>, Error> {
        self.talk.find(HOSTS, &quoted("iqns", &self.host.iqn)).await
    }

    fn next(&self, there: Option<&HostItem>) -> Result<Option<()>, Error> {
        Ok(there.is_none().then_some(()))
    }

    async fn take(&self, (): &()) -> Result<Option<HostItem>, Error> {
        let body = json!({"iqns": [self.host.iqn]});
        let query = [("names", self.host.name.as_str())];
        let mut made = self.talk.change(Method::POST, HOSTS, &query, Some(&body)).await?;
        Ok(made.pop())
    }

    fn unmoved(&self) -> Error {
        self.array
            .rest
            .malformed(&format!("host {} is said to be made, and is not", self.host.name))
    }
}

/// A connection that shall be there.
struct Connected<'a> {
    array: &'a FlashArray,
    talk: Talk<'a>,
    host: &'a str,
    volume: &'a VolumeId,
}

impl Goal for Connected<'_> {
    type Object = ConnectionItem;
    type Step = ();

    async fn read(&self) -> Result<Option<ConnectionItem>, Error> {
        let host = quoted("host.name", self.host);
        let volume = quoted("volume.name", self.volume.name.as_str());
        self.talk.find(CONNECTIONS, &format!("{host} and {volume}")).await
    }

    fn next(&self, there: Option<&ConnectionItem>) -> Result<Option<()>, Error> {
        Ok(there.is_none().then_some(()))
    }

    async fn take(&self, (): &()) -> Result<Option<ConnectionItem>, Error> {
        let query = [("host_names", self.host), ("volume_names", self.volume.name.as_str())];
        let mut made =
            self.talk.change(Method::POST, CONNECTIONS, &query, Some(&json!({}))).await?;
        Ok(made.pop())
    }

    fn unmoved(&self) -> Error {
        let (volume, host) = (&self.volume.name, self.host);
        self.array
            .rest
            .malformed(&format!("{volume} is said to be connected to {host}, and is not"))
    }
}

/// A connection that shall not be there.
struct Disconnected<'a>(Connected<'a>);

impl Goal for Disconnected<'_> {
    type Object = ConnectionItem;
    type Step = ();

    async fn read(&self) -> Result<Option<ConnectionItem>, Error> {
        self.0.read().await
    }

    fn next(&self, there: Option<&ConnectionItem>) -> Result<Option<()>, Error> {
        Ok(there.map(|_| ()))
    }

    async fn take(&self, (): &()) -> Result<Option<ConnectionItem>, Error> {
        let Connected { talk, host, volume, .. } = self.0;
        let query = [("host_names", host), ("volume_names", volume.name.as_str())];
        let nothing: Option<&()> = None;
        talk.change::<ConnectionItem>(Method::DELETE, CONNECTIONS, &query, nothing).await?;
        Ok(None)
    }

    fn unmoved(&self) -> Error {
        let Connected { array, host, volume, .. } = self.0;
        let volume = &volume.name;
        array
            .rest
            .malformed(&format!("{volume} is said to be disconnected from {host}, and is not"))
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
