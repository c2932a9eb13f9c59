//! One connection of a host to a volume: how it is created, under which number, and how it is deleted.

use std::collections::BTreeSet;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{FlashArray, luns};
use crate::arrays::bounded::maybe;
use crate::arrays::convergence::DesiredState;
use crate::arrays::error::{Error, Kind};
use crate::arrays::rest::{Operation, quoted};
use crate::contract::BlockTransport;

pub(super) const CONNECTIONS: &str = "connections";

/// A host and a volume.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) array: &'a FlashArray,
    pub(super) operation: Operation<'a>,
    pub(super) host: &'a str,
    pub(super) volume: &'a str,
}

impl Pair<'_> {
    /// Reads their connection.
    async fn connection(self) -> Result<Option<ConnectionItem>, Error> {
        let host = quoted("host.name", self.host);
        let volume = quoted("volume.name", self.volume);
        self.operation.find(CONNECTIONS, &format!("{host} and {volume}")).await
    }

    /// Returns the parameters of a change of their connection.
    fn query(&self) -> [(&'static str, &str); 2] {
        [("host_names", self.host), ("volume_names", self.volume)]
    }
}

/// Ensures that a connection exists. The array does not choose its LUN: it would give the lowest free one, which is that
/// of the volume that was disconnected last. A node that was cut off may still have a device of that LUN in use.
pub(super) struct ConnectHost<'a> {
    pub(super) pair: Pair<'a>,
    pub(super) volume_id: &'a str,
    pub(super) transport: BlockTransport,
}

/// The connections of a host.
#[derive(Debug, Default)]
pub(super) struct OfHost {
    /// The one to the volume.
    pub(super) own: Option<ConnectionItem>,
    /// The LUNs of the others. Empty if there is one to the volume, or if they were not read.
    taken: BTreeSet<u32>,
}

/// The number under which the host will see the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Lun(u32),
    /// The array chooses the namespace id. Hosts identify a namespace by its NGUID, and a new one is a new device.
    Namespace,
}

impl DesiredState for ConnectHost<'_> {
    type Object = OfHost;
    type Step = Number;

    async fn read(&self) -> Result<Option<OfHost>, Error> {
        let own = self.pair.connection().await?;
        let mut taken = BTreeSet::new();
        if own.is_none() && self.transport != BlockTransport::NvmeTcp {
            let filter = quoted("host.name", self.pair.host);
            let all: Vec<ConnectionItem> =
                self.pair.operation.list(CONNECTIONS, &[("filter", &filter)]).await?;
            taken.extend(all.iter().filter_map(|each| each.number(self.transport)));
        }
        Ok(Some(OfHost { own, taken }))
    }

    fn next_step(&self, current: Option<&OfHost>) -> Result<Option<Number>, Error> {
        let nothing = OfHost::default();
        let current = current.unwrap_or(&nothing);
        if current.own.is_some() {
            return Ok(None);
        }
        if self.transport == BlockTransport::NvmeTcp {
            return Ok(Some(Number::Namespace));
        }
        let lun = luns::choose(self.volume_id, &current.taken).ok_or_else(|| {
            let message = format!("all LUNs of host {} are in use", self.pair.host);
            self.pair.array.rest.error(Kind::Exhausted { message })
        })?;
        Ok(Some(Number::Lun(lun)))
    }

    async fn apply(&self, number: &Number) -> Result<Option<OfHost>, Error> {
        let body = match number {
            Number::Lun(lun) => json!({"lun": lun}),
            Number::Namespace => json!({}),
        };
        let query = self.pair.query();
        let mut created =
            self.pair.operation.change(Method::POST, CONNECTIONS, &query, Some(&body)).await?;
        match created.pop() {
            Some(own) => Ok(Some(OfHost { own: Some(own), taken: BTreeSet::new() })),
            None => self.read().await,
        }
    }

    fn not_applied(&self) -> Error {
        let Pair { array, host, volume, .. } = self.pair;
        array.rest.malformed(&format!(
            "the array reported that {volume} was connected to {host}, but it is not"
        ))
    }
}

/// Ensures that a connection does not exist.
pub(super) struct DisconnectHost<'a>(pub(super) Pair<'a>);

impl DesiredState for DisconnectHost<'_> {
    type Object = ConnectionItem;
    type Step = ();

    async fn read(&self) -> Result<Option<ConnectionItem>, Error> {
        self.0.connection().await
    }

    fn next_step(&self, current: Option<&ConnectionItem>) -> Result<Option<()>, Error> {
        Ok(current.map(|_| ()))
    }

    async fn apply(&self, (): &()) -> Result<Option<ConnectionItem>, Error> {
        let (query, nothing): (_, Option<&()>) = (self.0.query(), None);
        let operation = self.0.operation;
        operation.change::<ConnectionItem>(Method::DELETE, CONNECTIONS, &query, nothing).await?;
        // The array's word is not enough: another node may write from now on.
        self.read().await
    }

    fn not_applied(&self) -> Error {
        let Pair { array, host, volume, .. } = self.0;
        array
            .rest
            .malformed(&format!("the array reported that {volume} was disconnected from {host}, but it is still connected"))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ConnectionItem {
    host: Option<Named>,
    host_group: Option<Named>,
    lun: Option<u64>,
    nsid: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "maybe")]
    name: Option<String>,
}

impl ConnectionItem {
    /// Returns whether it is a host's own.
    pub(super) fn is_of(&self, host: &str) -> bool {
        let name = self.host.as_ref().and_then(|named| named.name.as_deref());
        name.is_some_and(|name| name.eq_ignore_ascii_case(host))
    }

    /// Returns the name of its host, or of its host group.
    pub(super) fn owner(self) -> String {
        let mut named = [self.host, self.host_group].into_iter().flatten();
        named.find_map(|named| named.name).unwrap_or_else(|| "unknown".to_owned())
    }

    /// Returns the number under which the host sees the volume. Older arrays report the namespace id as LUN.
    pub(super) fn number(&self, transport: BlockTransport) -> Option<u32> {
        let number = match transport {
            BlockTransport::NvmeTcp => self.nsid.or(self.lun),
            BlockTransport::Iscsi | BlockTransport::FibreChannel => self.lun,
        };
        number.and_then(|number| number.try_into().ok())
    }
}
