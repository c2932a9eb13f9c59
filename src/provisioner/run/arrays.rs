//! The arrays of a storage document with their clients, and the monitor of their health.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tracing::{info, warn};

use super::metrics::Metrics;
use crate::arrays::{Array, ChapFolder, Error, OnlyIf};
use crate::contract::name::volume_prefix;
use crate::contract::{ArrayKind, BlockTransport};
use crate::contract::{Volume, VolumeName};
use crate::provisioner::decide::{ArrayState, ArrayTraits, Health, Listed, Setup, refresh};

/// The arrays, and the configuration from the storage document.
#[derive(Debug, Clone)]
pub struct Arrays {
    setup: Arc<Setup>,
    arrays: Arc<BTreeMap<String, Client>>,
}

/// One array and its client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) kind: ArrayKind,
    pub(super) traits: ArrayTraits,
    /// The transport that the storage document chooses for its block devices.
    pub(super) transport: Option<BlockTransport>,
    /// The CHAP passwords of the nodes.
    pub(super) passwords: Option<ChapFolder>,
    pub(super) array: Arc<dyn Array>,
}

impl Arrays {
    pub(super) fn new(setup: Setup, arrays: impl IntoIterator<Item = Client>) -> Self {
        let arrays = arrays.into_iter();
        let named = arrays.map(|client| (client.array.name().to_owned(), client));
        Self { setup: Arc::new(setup), arrays: Arc::new(named.collect()) }
    }

    pub(super) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Returns whether an array is unreachable for some nodes.
    pub(super) fn have_topology(&self) -> bool {
        self.arrays.values().any(|client| !client.traits.topology.is_empty())
    }

    /// Returns whether an array has block devices.
    pub(super) fn have_block_devices(&self) -> bool {
        self.arrays.values().any(|client| client.kind == ArrayKind::FlashArray)
    }

    /// Returns the transport that the storage document chooses for the array with a name.
    pub(super) fn transport(&self, name: &str) -> Option<BlockTransport> {
        self.arrays.get(name)?.transport
    }

    /// Returns the CHAP passwords of the nodes at the array with a name.
    pub(super) fn passwords(&self, name: &str) -> Option<ChapFolder> {
        self.arrays.get(name)?.passwords.clone()
    }

    /// Returns the array with a name.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<dyn Array>> {
        self.arrays.get(name).map(|client| &client.array)
    }

    /// Returns the kind of the array with a name.
    pub(super) fn kind(&self, name: &str) -> Option<ArrayKind> {
        self.arrays.get(name).map(|client| client.kind)
    }

    /// Returns the arrays for a cluster whose identity is known.
    pub(super) fn of_cluster(&self, identities: Vec<String>) -> Self {
        let setup = Setup { identities, ..Setup::clone(&self.setup) };
        Self { setup: Arc::new(setup), arrays: Arc::clone(&self.arrays) }
    }

    /// Returns all arrays.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<dyn Array>> {
        self.arrays.values().map(|client| &client.array)
    }

    /// Lists the volumes of all arrays whose names start with the cluster's name, and the imported ones.
    pub(super) async fn list(&self) -> Vec<Listed> {
        let prefix = volume_prefix(&self.setup.cluster);
        let prefix = prefix.as_str();
        let lists = self.arrays.iter().map(|(name, client)| async move {
            let imports = self.setup.imports.values().filter(|import| import.array == *name);
            let imports: Vec<_> = imports.map(|import| import.volume.clone()).collect();
            let volumes = listed(client.array.as_ref(), prefix, &imports).await;
            Listed { array: name.clone(), volumes: volumes.map_err(|error| error.advised()) }
        });
        join_all(lists).await
    }

    /// Asks an array again for volumes with certain ids, and updates their list with the answer.
    pub(super) async fn look_up(
        &self,
        array: &str,
        (array_id, mut volumes): (String, Vec<Volume>),
        ids: &[String],
    ) -> Result<(String, Vec<Volume>), String> {
        let Some(client) = self.arrays.get(array) else {
            return Err(format!("the storage document has no array {array}"));
        };
        // Another array at the address has none of them.
        let only_if = OnlyIf { array_id: Some(array_id.clone()), fence: None };
        let answer = client.array.only_if(only_if).find(ids).await;
        refresh(&mut volumes, ids, answer.map_err(|error| error.to_string())?);
        Ok((array_id, volumes))
    }

    /// Ends the sessions with all arrays.
    pub async fn log_out(&self) {
        join_all(self.arrays.values().map(|client| client.array.log_out())).await;
    }
}

/// The time limit for an array to report its state.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Polls the health of the arrays.
#[derive(Debug)]
pub(super) struct ArrayMonitor {
    arrays: Arrays,
    metrics: Metrics,
    /// The last observation of each array.
    before: BTreeMap<String, Observation>,
}

/// The observation of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Observation {
    There,
    /// The reason, one word.
    Unreachable(&'static str),
}

impl ArrayMonitor {
    pub(super) fn new(arrays: Arrays, metrics: Metrics) -> Self {
        Self { arrays, metrics, before: BTreeMap::new() }
    }

    /// Asks all arrays at once. An array that does not answer in time counts as unreachable, so that it does not delay
    /// the state of the others.
    pub(super) async fn poll(&mut self) -> Vec<ArrayState> {
        let answers = self.arrays.arrays.iter().map(|(name, client)| async move {
            let Client { kind, traits, array, transport: _, passwords: _ } = client;
            (name.clone(), *kind, traits.clone(), health(array.as_ref()).await)
        });
        let mut answers = join_all(answers).await;
        refuse_duplicates(&mut answers);
        let states = answers.into_iter().map(|(name, kind, traits, answer)| {
            self.log_change(&name, &answer);
            let health = answer.unwrap_or_else(|error| Health::Down(error.why));
            ArrayState { name, kind, traits, health }
        });
        states.collect()
    }

    /// Logs a change; an array that stays unreachable causes no further line.
    fn log_change(&mut self, array: &str, answer: &Result<Health, Unreachable>) {
        let capacity = match answer {
            Ok(Health::Up { capacity, .. }) => Some(*capacity),
            _ => None,
        };
        self.metrics.array(array, capacity);
        let reported = answer
            .as_ref()
            .map_or_else(|error| Observation::Unreachable(error.reason), |_| Observation::There);
        let before = self.before.insert(array.to_owned(), reported);
        match (change(before, reported), answer) {
            (Some(what), Err(Unreachable { reason, why })) => {
                warn!(array, reason, error = why, "array {what}");
            }
            (Some(what), Ok(_)) => info!(array, "array {what}"),
            (None, _) => {}
        }
    }
}

/// The answer of an array, with its name and its traits from the storage document.
type Answer = (String, ArrayKind, ArrayTraits, Result<Health, Unreachable>);

/// Rejects an array that the storage document has under two names: a volume that is destroyed under one name would be
/// missing under the other.
fn refuse_duplicates(answers: &mut [Answer]) {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, _, _, answer) in &*answers {
        if let Ok(Health::Up { id, .. }) = answer {
            names.entry(id.clone()).or_default().push(name.clone());
        }
    }
    for (_, _, _, answer) in answers {
        if let Ok(Health::Up { id, .. }) = answer
            && let Some(names) = names.get(id).filter(|names| names.len() > 1)
        {
            let why = format!(
                "{} are one array, whose id is {id}; remove all but one of them from the storage document",
                names.join(" and ")
            );
            *answer = Err(Unreachable { reason: "NamedTwice", why });
        }
    }
}

/// Returns the log text of a change, if there is one.
fn change(before: Option<Observation>, now: Observation) -> Option<&'static str> {
    match (before, now) {
        (Some(before), now) if before == now => None,
        (_, Observation::Unreachable(_)) => Some("is unreachable"),
        (None, Observation::There) => Some("is reachable"),
        (Some(_), Observation::There) => Some("is reachable again"),
    }
}

/// The reason why an array is unreachable: a word and a text for events.
#[derive(Debug)]
struct Unreachable {
    reason: &'static str,
    why: String,
}

async fn health(array: &dyn Array) -> Result<Health, Unreachable> {
    let asked = async {
        let id = array.identity().await?.id;
        let capacity = array.capacity().await?;
        let transport = array.transport().await?;
        Ok(Health::Up { id, capacity, transport })
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
        Ok(Ok(health)) => Ok(health),
        Ok(Err(error)) => {
            let error: Error = error;
            Err(Unreachable { reason: error.reason(), why: error.kind().to_string() })
        }
        Err(_) => {
            let why = format!(
                "the array does not report its state within {} s",
                ANSWER_TIMEOUT.as_secs()
            );
            Err(Unreachable { reason: "Slow", why })
        }
    }
}

async fn listed(
    array: &dyn Array,
    prefix: &str,
    imports: &[VolumeName],
) -> Result<(String, Vec<Volume>), Error> {
    let mut volumes = array.list(prefix).await?;
    for import in imports {
        let imported = array.describe(import).await?;
        volumes.extend(imported.filter(|volume| volumes.iter().all(|each| each.id != volume.id)));
    }
    // Each login compares the id with the one before; after the list, the id is that of the array that sent the list.
    Ok((array.identity().await?.id, volumes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_array_under_two_names_is_refused_under_both() {
        let answer = |name: &str, id: &str| {
            let capacity = crate::contract::Capacity { total: 1, used: 0, provisioned: None };
            let transport =
                crate::contract::Transport::Nfs { addresses: vec!["192.0.2.1".to_owned()] };
            let health = Health::Up { id: id.to_owned(), capacity, transport };
            (name.to_owned(), ArrayKind::FlashBlade, ArrayTraits::default(), Ok(health))
        };
        let mut answers = [answer("fb1", "1"), answer("fb2", "2"), answer("old", "1")];
        refuse_duplicates(&mut answers);
        let why = answers
            .map(|(_, _, _, answer)| answer.map_or_else(|error| error.why, |_| String::new()));
        let double = "fb1 and old are one array, whose id is 1; remove all but one of them from the storage document";
        assert_eq!(why, [double, "", double]);
    }

    #[test]
    fn an_array_that_stays_unreachable_is_logged_once() {
        let mut before = None;
        let mut next_change = |now| change(before.replace(now), now);
        assert_eq!(next_change(Observation::There), Some("is reachable"));
        assert_eq!(next_change(Observation::There), None);
        assert_eq!(next_change(Observation::Unreachable("Unreachable")), Some("is unreachable"));
        assert_eq!(next_change(Observation::Unreachable("Unreachable")), None);
        assert_eq!(
            next_change(Observation::Unreachable("LoginRefused")),
            Some("is unreachable"),
            "for another reason"
        );
        assert_eq!(next_change(Observation::There), Some("is reachable again"));
        assert_eq!(
            change(None, Observation::Unreachable("NoToken")),
            Some("is unreachable"),
            "from the start"
        );
    }
}
