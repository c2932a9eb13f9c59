//! The arrays of a storage document: who talks to each, and how each is.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use tracing::warn;

use crate::array::{Array, Error, Volume};
use crate::volume::{ArrayKind, ArrayState, ArrayTraits, Health, Listed, Setup, volume_prefix};

/// The arrays, and what the admin has set.
#[derive(Debug, Clone)]
pub struct Arrays {
    setup: Arc<Setup>,
    arrays: Arc<BTreeMap<String, Client>>,
}

/// One array: what is known of it, and who talks to it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) kind: ArrayKind,
    pub(super) traits: ArrayTraits,
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

    /// Whether some array is not reached by all nodes.
    pub(super) fn have_topology(&self) -> bool {
        self.arrays.values().any(|client| !client.traits.topology.is_empty())
    }

    /// Returns the array of a name.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<dyn Array>> {
        self.arrays.get(name).map(|client| &client.array)
    }

    /// Asks all arrays at once how they are. One that does not answer holds up no other for longer than
    /// its own patience.
    pub(super) async fn look(&self) -> Vec<ArrayState> {
        let states = self.arrays.iter().map(|(name, client)| async move {
            let health = match health(client.array.as_ref()).await {
                Ok(health) => health,
                Err(error) => {
                    warn!(array = name, %error, "array is away");
                    Health::Down(error.kind().to_string())
                }
            };
            let Client { kind, traits, .. } = client;
            ArrayState { name: name.clone(), kind: *kind, traits: traits.clone(), health }
        });
        join_all(states).await
    }

    /// Lists the volumes of all arrays whose names begin with the cluster's.
    pub(super) async fn list(&self) -> Vec<Listed> {
        let prefix = volume_prefix(&self.setup.cluster);
        let prefix = prefix.as_str();
        let lists = self.arrays.iter().map(|(name, client)| async move {
            let volumes = listed(client.array.as_ref(), prefix).await;
            Listed { array: name.clone(), volumes: volumes.map_err(|error| error.to_string()) }
        });
        join_all(lists).await
    }

    /// Ends the sessions with all arrays.
    pub(super) async fn log_out(&self) {
        join_all(self.arrays.values().map(|client| client.array.log_out())).await;
    }
}

async fn health(array: &dyn Array) -> Result<Health, Error> {
    let id = array.identity().await?.id;
    let capacity = array.capacity().await?;
    let reach = array.reach().await?;
    Ok(Health::Up { id, capacity, reach })
}

async fn listed(array: &dyn Array, prefix: &str) -> Result<(String, Vec<Volume>), Error> {
    let volumes = array.list(prefix).await?;
    // Every log-in compares the id with the one before; asked for afterwards, it is that of the list.
    Ok((array.identity().await?.id, volumes))
}
