//! Hosts, which represent nodes on an array.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::FlashArray;
use crate::arrays::bounded::{word, words};
use crate::arrays::convergence::{DesiredState, Start, converge};
use crate::arrays::error::{Error, Kind};
use crate::arrays::rest::{Operation, one_of};
use crate::contract::{BlockHost, BlockTransport, ChapPassword, Initiators, NodeHost, wwpn};

const HOSTS: &str = "hosts";

impl FlashArray {
    /// Returns the name of the node's host for a transport. Creates the host if there is none.
    pub(super) async fn ensure_host(
        &self,
        operation: Operation<'_>,
        host: &NodeHost,
        transport: BlockTransport,
    ) -> Result<String, Error> {
        let state = EnsureHost {
            array: self,
            operation,
            host,
            name: host.name(transport),
            node: Initiators::of(&host.node),
            wanted: Initiators::of(&host.node).of_transport(transport),
        };
        let found = converge(&state, Start::Read).await?;
        let used = found.and_then(Found::used);
        used.map(|host| host.name).ok_or_else(|| state.not_applied())
    }

    /// Sets the password that the array asks a host for; its name there is the initiator's. Sessions stay, and the next
    /// log-in needs it. The array never shows a password, so it is set each time.
    pub(super) async fn set_host_password(
        &self,
        operation: Operation<'_>,
        name: &str,
        host: &NodeHost,
        password: &ChapPassword,
    ) -> Result<(), Error> {
        let user = Initiators::of(&host.node).iqns.into_iter().next().unwrap_or_default();
        let chap = json!({"host_user": user, "host_password": password.expose()});
        let (query, body) = ([("names", name)], json!({ "chap": chap }));
        let set = operation.change::<HostItem>(Method::PATCH, HOSTS, &query, Some(&body)).await;
        // An array may repeat what it refuses.
        set.map(drop).map_err(|error| error.without(password.expose()))
    }

    /// Sets the password at each host of a node that has its iSCSI initiator.
    pub(super) async fn set_node_password(
        &self,
        operation: Operation<'_>,
        host: &NodeHost,
        password: &ChapPassword,
    ) -> Result<(), Error> {
        let initiators = Initiators::of(&host.node).of_transport(BlockTransport::Iscsi);
        for found in self.hosts_with(operation, &initiators).await? {
            if host.is(&found) {
                self.set_host_password(operation, &found.name, host, password).await?;
            }
        }
        Ok(())
    }

    /// Reads the hosts of some names; those that do not exist are left out.
    pub(super) async fn hosts_named(
        &self,
        operation: Operation<'_>,
        names: &[String],
    ) -> Result<Vec<BlockHost>, Error> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let filter = one_of("name", names);
        let items: Vec<HostItem> = operation.list(HOSTS, &[("filter", &filter)]).await?;
        let asked =
            |host: &BlockHost| names.iter().any(|name| name.eq_ignore_ascii_case(&host.name));
        Ok(items.into_iter().filter_map(HostItem::host).filter(asked).collect())
    }

    /// Reads the hosts that have one of some initiators.
    async fn hosts_with(
        &self,
        operation: Operation<'_>,
        initiators: &Initiators,
    ) -> Result<Vec<BlockHost>, Error> {
        let wwns: Vec<String> = initiators
            .wwns
            .iter()
            .flat_map(|name| [colons(name), colons(name).replace(':', ""), wwpn(name)])
            .collect();
        let kinds = [("iqns", &initiators.iqns), ("nqns", &initiators.nqns), ("wwns", &wwns)];
        let terms: Vec<String> = kinds
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(field, names)| one_of(field, names))
            .collect();
        if terms.is_empty() {
            return Ok(Vec::new());
        }
        let filter = terms.join(" or ");
        let items: Vec<HostItem> = operation.list(HOSTS, &[("filter", &filter)]).await?;
        let has = |host: &BlockHost| initiators.shared(&host.initiators).is_some();
        Ok(items.into_iter().filter_map(HostItem::host).filter(has).collect())
    }

    /// Deletes the host of a name if it is the node's alone, and has no connection.
    pub(super) async fn delete_host(
        &self,
        operation: Operation<'_>,
        host: &NodeHost,
        name: String,
    ) -> Result<(), Error> {
        let state = DeleteHost { array: self, operation, name, node: Initiators::of(&host.node) };
        converge(&state, Start::Read).await.map(drop)
    }
}

/// Ensures that a node has a host.
struct EnsureHost<'a> {
    array: &'a FlashArray,
    operation: Operation<'a>,
    host: &'a NodeHost,
    /// The host's name if it is created.
    name: String,
    /// All initiators of the node.
    node: Initiators,
    /// Those of them that the host needs.
    wanted: Initiators,
}

/// The hosts that concern a node.
#[derive(Debug, Default)]
struct Found {
    /// Those with one of the initiators that the host needs.
    with_initiator: Vec<BlockHost>,
    /// The one that has the name of a new host.
    named: Option<BlockHost>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Create,
    /// All further steps concern the host with this name.
    Rename(String),
    Add(String, Initiators),
    Remove(String, Initiators),
    Replace(String),
}

impl Found {
    /// Returns the host that is used.
    fn used(mut self) -> Option<BlockHost> {
        self.with_initiator.pop().or(self.named)
    }
}

impl EnsureHost<'_> {
    fn not_usable(&self, host: &BlockHost, why: String) -> Error {
        self.array.rest.error(Kind::NotOurs { name: host.name.clone(), why })
    }

    /// Decides about a host that has the node's name and none of its initiators: the node was installed anew, or
    /// another cluster has a node of that name.
    fn named(&self, host: &BlockHost) -> Result<Step, Error> {
        if host.connections == 0 {
            return Ok(Step::Replace(host.name.clone()));
        }
        let (node, count) = (&self.host.node.node, host.connections);
        Err(self.not_usable(
            host,
            format!(
                "its initiators are {}, those of node {node} are {}, and {count} volumes are connected to it; disconnect them on the array if that machine is gone",
                host.initiators, self.wanted
            ),
        ))
    }

    /// Decides about the one host that has an initiator of the node.
    fn with_initiator(
        &self,
        host: &BlockHost,
        named: Option<&BlockHost>,
    ) -> Result<Option<Step>, Error> {
        let node = &self.host.node.node;
        let is_named = self.host.is_named(&host.name);
        if !is_named && NodeHost::is_of_cluster(&self.host.cluster, &host.name) {
            // It has the name of another node. A node that was renamed leaves a host without connections behind.
            if host.connections == 0 && named.is_none() {
                return Ok(Some(Step::Rename(host.name.clone())));
            }
            let shared = self.wanted.shared(&host.initiators).unwrap_or_default();
            return Err(self.not_usable(
                host,
                format!(
                    "two nodes have the initiator name {shared}: node {node}, whose host is {}, and the node of host {}; give one of them another name (iSCSI: /etc/iscsi/initiatorname.iscsi, NVMe: /etc/nvme/hostnqn) and restart it",
                    self.name, host.name
                ),
            ));
        }
        let others = host.initiators.without(&self.node);
        if !others.is_empty() && is_named {
            // Of hardware that was replaced.
            return Ok(Some(Step::Remove(host.name.clone(), others)));
        }
        if !others.is_empty() {
            return Err(self.not_usable(
                host,
                format!(
                    "it has an initiator of node {node} and others ({others}), so that other machines would reach the volume too; remove one or the other from the host on the array"
                ),
            ));
        }
        let missing = self.wanted.without(&host.initiators);
        Ok((!missing.is_empty()).then(|| Step::Add(host.name.clone(), missing)))
    }
}

impl DesiredState for EnsureHost<'_> {
    type Object = Found;
    type Step = Step;

    async fn read(&self) -> Result<Option<Found>, Error> {
        let with_initiator = self.array.hosts_with(self.operation, &self.wanted).await?;
        let is_named = |host: &BlockHost| host.name.eq_ignore_ascii_case(&self.name);
        let named = if let Some(host) = with_initiator.iter().find(|host| is_named(host)) {
            Some(host.clone())
        } else {
            let names = std::slice::from_ref(&self.name);
            self.array.hosts_named(self.operation, names).await?.pop()
        };
        Ok(Some(Found { with_initiator, named }))
    }

    fn next_step(&self, current: Option<&Found>) -> Result<Option<Step>, Error> {
        let Some(Found { with_initiator, named }) = current else { return Ok(Some(Step::Create)) };
        match (with_initiator.as_slice(), named) {
            ([], None) => Ok(Some(Step::Create)),
            ([], Some(named)) => self.named(named).map(Some),
            ([host], named) => self.with_initiator(host, named.as_ref()),
            ([first, second, ..], _) => {
                let why = format!(
                    "hosts {} and {} both have initiators of node {}; move them to one of the hosts on the array",
                    first.name, second.name, self.host.node.node
                );
                Err(self.not_usable(first, why))
            }
        }
    }

    async fn apply(&self, step: &Step) -> Result<Option<Found>, Error> {
        let operation = self.operation;
        let items: Vec<HostItem> = match step {
            Step::Create => {
                let query = [("names", self.name.as_str())];
                let body = fields("", &self.wanted);
                operation.change(Method::POST, HOSTS, &query, Some(&body)).await?
            }
            Step::Rename(host) => {
                let body = json!({"name": self.name});
                operation.change(Method::PATCH, HOSTS, &[("names", host)], Some(&body)).await?
            }
            Step::Add(host, initiators) => {
                let body = fields("add_", initiators);
                operation.change(Method::PATCH, HOSTS, &[("names", host)], Some(&body)).await?
            }
            Step::Remove(host, initiators) => {
                let body = fields("remove_", initiators);
                operation.change(Method::PATCH, HOSTS, &[("names", host)], Some(&body)).await?
            }
            Step::Replace(host) => {
                let names = |all: &[String]| {
                    all.iter().map(|name| Json::from(name.as_str())).collect::<Json>()
                };
                let wwns: Vec<String> = self.wanted.wwns.iter().map(|name| colons(name)).collect();
                let body = json!({
                    "iqns": names(&self.wanted.iqns), "nqns": names(&self.wanted.nqns), "wwns": wwns,
                });
                operation.change(Method::PATCH, HOSTS, &[("names", host)], Some(&body)).await?
            }
        };
        let hosts: Vec<BlockHost> = items.into_iter().filter_map(HostItem::host).collect();
        let named = hosts.first().cloned();
        let has = |host: &BlockHost| self.wanted.shared(&host.initiators).is_some();
        Ok(Some(Found { with_initiator: hosts.into_iter().filter(has).collect(), named }))
    }

    fn not_applied(&self) -> Error {
        self.array.rest.malformed(&format!(
            "the array reported that host {} was created or changed, but it was not",
            self.name
        ))
    }
}

/// Ensures that a host does not exist, unless it is not the node's alone.
struct DeleteHost<'a> {
    array: &'a FlashArray,
    operation: Operation<'a>,
    name: String,
    node: Initiators,
}

impl DesiredState for DeleteHost<'_> {
    type Object = BlockHost;
    type Step = ();

    async fn read(&self) -> Result<Option<BlockHost>, Error> {
        let names = std::slice::from_ref(&self.name);
        Ok(self.array.hosts_named(self.operation, names).await?.pop())
    }

    fn next_step(&self, current: Option<&BlockHost>) -> Result<Option<()>, Error> {
        let is_its_own = |host: &&BlockHost| {
            host.connections == 0 && host.initiators.without(&self.node).is_empty()
        };
        Ok(current.filter(is_its_own).map(|_| ()))
    }

    async fn apply(&self, (): &()) -> Result<Option<BlockHost>, Error> {
        let (query, nothing): (_, Option<&()>) = ([("names", self.name.as_str())], None);
        self.operation.change::<HostItem>(Method::DELETE, HOSTS, &query, nothing).await?;
        self.read().await
    }

    fn not_applied(&self) -> Error {
        let name = &self.name;
        self.array.rest.malformed(&format!(
            "the array reported that host {name} was deleted, but it still exists"
        ))
    }
}

/// Returns initiators as the array expects them, in fields whose names begin with `prefix`.
fn fields(prefix: &str, initiators: &Initiators) -> Json {
    let wwns: Vec<String> = initiators.wwns.iter().map(|name| colons(name)).collect();
    let kinds = [("iqns", &initiators.iqns), ("nqns", &initiators.nqns), ("wwns", &wwns)];
    let kinds = kinds.iter().filter(|(_, names)| !names.is_empty());
    Json::Object(kinds.map(|(field, names)| (format!("{prefix}{field}"), json!(names))).collect())
}

/// Returns a WWPN as arrays show it: upper case, with a colon after every second digit.
fn colons(name: &str) -> String {
    let digits: Vec<char> = wwpn(name).to_ascii_uppercase().chars().collect();
    let pairs: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
    pairs.join(":")
}

#[derive(Debug, Deserialize)]
struct HostItem {
    #[serde(deserialize_with = "word")]
    name: String,
    #[serde(default, deserialize_with = "words")]
    iqns: Option<Vec<String>>,
    #[serde(default, deserialize_with = "words")]
    nqns: Option<Vec<String>>,
    #[serde(default, deserialize_with = "words")]
    wwns: Option<Vec<String>>,
    connection_count: Option<u64>,
    is_local: Option<bool>,
    destroyed: Option<bool>,
}

impl HostItem {
    /// Returns the host; none for one of another array, or one that is destroyed.
    fn host(self) -> Option<BlockHost> {
        if self.is_local == Some(false) || self.destroyed == Some(true) {
            return None;
        }
        let initiators = Initiators {
            iqns: self.iqns.unwrap_or_default(),
            nqns: self.nqns.unwrap_or_default(),
            wwns: self.wwns.unwrap_or_default(),
        };
        let connections = self.connection_count.unwrap_or_default();
        Some(BlockHost { name: self.name, initiators, connections })
    }
}
