//! Connections of hosts to volumes, and what attaching and detaching a volume consists of.

use async_trait::async_trait;

use super::FlashArray;
use super::connection::{CONNECTIONS, ConnectHost, ConnectionItem, DisconnectHost, Pair};
use super::tags::Tags;
use crate::arrays::block::{AttachRequest, Attached, BlockArray};
use crate::arrays::convergence::{DesiredState as _, Start, converge};
use crate::arrays::error::{Error, Kind};
use crate::arrays::lifecycle::Backend as _;
use crate::arrays::rest::{Operation, quoted};
use crate::contract::{
    Attachment, BlockHost, BlockTarget, BlockTransport, ChapPassword, Initiators, NodeHost, Volume,
    VolumeId,
};

#[async_trait]
impl BlockArray for FlashArray {
    async fn attach(&self, wanted: &AttachRequest) -> Result<Attached, Error> {
        let run = async {
            let operation = self.operation();
            let volume = self.existing(operation, &wanted.volume).await?;
            let target = self.target(operation, wanted).await?;
            // Read before the first change.
            let password = match &wanted.passwords {
                Some(passwords) if target.transport == BlockTransport::Iscsi => {
                    let read = passwords.read(&wanted.host.node.node).await;
                    Some(read.map_err(|cause| self.rest.error(Kind::NoPassword { cause }))?)
                }
                _ => None,
            };
            // Before the connections, because a host that two nodes share would look like the node's own.
            let host = self.ensure_host(operation, &wanted.host, target.transport).await?;
            if let Some(password) = &password {
                self.set_host_password(operation, &host, &wanted.host, password).await?;
            }
            let connections = self.connected(operation, &volume.name).await?;
            if wanted.exclusive && connections.iter().any(|each| !each.is_of(&host)) {
                return Ok(Attached::Elsewhere(
                    self.connected_hosts(operation, connections).await?,
                ));
            }
            let connection = if let Some(there) =
                connections.into_iter().find(|each| each.is_of(&host))
            {
                there
            } else {
                let pair = Pair { array: self, operation, host: &host, volume: &volume.name };
                let transport = target.transport;
                let state = ConnectHost { pair, volume_id: &volume.id, transport };
                let new = converge(&state, Start::AssumeAbsent).await?;
                let new = new.and_then(|host| host.own).ok_or_else(|| state.not_applied())?;
                // Another client of the array may have connected a host in the same moment.
                let now = self.connected(operation, &volume.name).await?;
                if wanted.exclusive && now.iter().any(|each| !each.is_of(&host)) {
                    converge(&DisconnectHost(pair), Start::Read).await?;
                    return Ok(Attached::Elsewhere(self.connected_hosts(operation, now).await?));
                }
                new
            };
            let tags = Tags::read(operation, &volume.id).await?;
            let lun = connection.number(target.transport).ok_or_else(|| {
                let cause = format!("the connection of {} to {host} has no number", volume.name);
                self.rest.malformed(&cause)
            })?;
            let serial =
                volume.serial.clone().filter(|serial| is_serial(serial)).ok_or_else(|| {
                    self.rest.malformed(&format!("{} has no serial number", volume.name))
                })?;
            Ok(Attached::Here(Attachment {
                transport: target.transport,
                target: target.target,
                portals: target.portals,
                lun,
                serial: serial.to_ascii_uppercase(),
                size: volume.size,
                never_formatted: tags.say_never_formatted(),
            }))
        };
        self.rest.observe("attach", run).await
    }

    async fn detach(&self, volume: &VolumeId, host: &NodeHost) -> Result<(), Error> {
        let run = async {
            let operation = self.operation();
            // By id: the volume may have been renamed, and another one may have its name.
            let Some(volume) = self.by_id(operation, &volume.id).await? else { return Ok(()) };
            let connections = self.connected(operation, &volume.name).await?;
            for connected in self.connected_hosts(operation, connections).await? {
                if host.is(&connected) {
                    self.cut(operation, &volume.name, &connected.name).await?;
                }
            }
            Ok(())
        };
        self.rest.observe("detach", run).await
    }

    async fn disconnect(&self, volume: &VolumeId, host: &str) -> Result<(), Error> {
        let run = async {
            let operation = self.operation();
            match self.by_id(operation, &volume.id).await? {
                Some(volume) => self.cut(operation, &volume.name, host).await,
                None => Ok(()),
            }
        };
        self.rest.observe("disconnect", run).await
    }

    async fn set_password(&self, host: &NodeHost, password: &ChapPassword) -> Result<(), Error> {
        let run = self.set_node_password(self.operation(), host, password);
        self.rest.observe("set-password", run).await
    }

    async fn hosts(&self, volume: &VolumeId) -> Result<Vec<BlockHost>, Error> {
        let run = async {
            let operation = self.operation();
            let Some(volume) = self.by_id(operation, &volume.id).await? else {
                return Ok(Vec::new());
            };
            let connections = self.connected(operation, &volume.name).await?;
            self.connected_hosts(operation, connections).await
        };
        self.rest.observe("hosts", run).await
    }

    async fn record_formatted(&self, volume: &VolumeId) -> Result<(), Error> {
        let run = async {
            let operation = self.operation();
            let Some(there) = self.by_id(operation, &volume.id).await? else { return Ok(()) };
            // Only a volume with the record needs the change: none of the others is ever formatted.
            if !Tags::read(operation, &there.id).await?.say_never_formatted() {
                return Ok(());
            }
            match Tags::formatted().write(operation, &there.id).await {
                Ok(()) => Ok(()),
                Err(error) if error.is_refusal() || error.may_be_done() => {
                    let gone = self.by_id(operation, &volume.id).await?.is_none();
                    let done =
                        gone || !Tags::read(operation, &there.id).await?.say_never_formatted();
                    if done { Ok(()) } else { Err(error) }
                }
                Err(error) => Err(error),
            }
        };
        self.rest.observe("record-formatted", run).await
    }

    async fn delete_hosts(&self, host: &NodeHost) -> Result<(), Error> {
        let run = async {
            let operation = self.operation();
            let mut names = BlockTransport::ALL.map(|transport| host.name(transport)).to_vec();
            names.sort();
            names.dedup();
            for name in names {
                self.delete_host(operation, host, name).await?;
            }
            Ok(())
        };
        self.rest.observe("delete-hosts", run).await
    }
}

impl FlashArray {
    /// Returns a volume that must exist, and have its name still.
    async fn existing(&self, operation: Operation<'_>, volume: &VolumeId) -> Result<Volume, Error> {
        match self.by_id(operation, &volume.id).await? {
            Some(current) if !volume.name.is(&current.name) => {
                let why = format!("its name is {} now", current.name);
                Err(self.rest.error(Kind::NotOurs { name: volume.name.to_string(), why }))
            }
            Some(current) if !current.destroyed => Ok(current),
            _ => Err(self.rest.error(Kind::NotFound { name: volume.name.to_string() })),
        }
    }

    /// Chooses the ports for a node.
    async fn target(
        &self,
        operation: Operation<'_>,
        wanted: &AttachRequest,
    ) -> Result<BlockTarget, Error> {
        let targets = self.targets(operation).await?;
        let node = Initiators::of(&wanted.host.node);
        let words = |all: Vec<BlockTransport>| {
            let words: Vec<&str> = all.into_iter().map(BlockTransport::word).collect();
            if words.is_empty() { "none".to_owned() } else { words.join(", ") }
        };
        let array = words(targets.iter().map(|target| target.transport).collect());
        let fits = |target: &BlockTarget| {
            wanted.transport.is_none_or(|transport| transport == target.transport)
                && !node.of_transport(target.transport).is_empty()
        };
        targets.into_iter().find(fits).ok_or_else(|| {
            let has = |transport: &BlockTransport| !node.of_transport(*transport).is_empty();
            let node = words(BlockTransport::ALL.into_iter().filter(has).collect());
            let chosen = wanted.transport.map(|transport| {
                format!(", and `transport` of the array in the storage document is {}", transport.word())
            });
            let needs = format!(
                "a transport that array and node {} have in common; the array has {array}, the node {node}{}",
                wanted.host.node.node,
                chosen.unwrap_or_default()
            );
            self.rest.error(Kind::Unsupported { needs })
        })
    }

    /// Lists the connections of a volume.
    async fn connected(
        &self,
        operation: Operation<'_>,
        volume: &str,
    ) -> Result<Vec<ConnectionItem>, Error> {
        let filter = quoted("volume.name", volume);
        operation.list(CONNECTIONS, &[("filter", &filter)]).await
    }

    /// Returns the hosts of connections. One that does not exist as a host, such as a host group, has only a name.
    async fn connected_hosts(
        &self,
        operation: Operation<'_>,
        connections: Vec<ConnectionItem>,
    ) -> Result<Vec<BlockHost>, Error> {
        let mut names: Vec<String> = connections.into_iter().map(ConnectionItem::owner).collect();
        names.sort();
        names.dedup();
        let known = self.hosts_named(operation, &names).await?;
        let host = |name: String| {
            let known = known.iter().find(|host| host.name.eq_ignore_ascii_case(&name)).cloned();
            known.unwrap_or_else(|| BlockHost { name, ..BlockHost::default() })
        };
        Ok(names.into_iter().map(host).collect())
    }

    /// Disconnects a host from a volume.
    async fn cut(&self, operation: Operation<'_>, volume: &str, host: &str) -> Result<(), Error> {
        let state = DisconnectHost(Pair { array: self, operation, host, volume });
        converge(&state, Start::Read).await.map(drop)
    }
}

/// Returns whether a text has the format of a volume's serial number.
fn is_serial(text: &str) -> bool {
    text.len() == 24 && text.chars().all(|c| c.is_ascii_hexdigit())
}
