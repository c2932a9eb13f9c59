//! Makes claims and sees them bound. Knows nothing of who provisions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{ListParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::Anything;
use super::stage::NAMESPACE;

/// Claims that are made at once.
const AT_ONCE: usize = 32;
/// How long nothing may come of them before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The claims of a class, and the one watch on them.
pub(super) struct Claims {
    api: Api<PersistentVolumeClaim>,
    class: String,
    /// Names of those that are bound, and when that was seen.
    bound: mpsc::UnboundedReceiver<(String, Instant)>,
}

impl Claims {
    /// Begins to watch. Returns when the watch has begun.
    pub(super) async fn watch(client: Client, class: &str) -> Result<Self, Anything> {
        let api = Api::<PersistentVolumeClaim>::namespaced(client, NAMESPACE);
        let (sender, bound) = mpsc::unbounded_channel();
        let mut stream = watcher(api.clone(), watcher::Config::default()).default_backoff().boxed();
        while !matches!(stream.next().await.ok_or("no watch")??, watcher::Event::InitDone) {}
        tokio::spawn(async move {
            while let Some(event) = stream.next().await {
                let (Ok(watcher::Event::Apply(claim)), now) = (event, Instant::now()) else {
                    continue;
                };
                if is_bound(&claim)
                    && sender.send((claim.metadata.name.unwrap_or_default(), now)).is_err()
                {
                    return;
                }
            }
        });
        Ok(Self { api, class: class.to_owned(), bound })
    }

    /// Makes claims and waits until all are bound. Returns how long each one took.
    pub(super) async fn make(
        &mut self,
        name: &str,
        count: usize,
    ) -> Result<Vec<Duration>, Anything> {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut making = JoinSet::new();
        for number in 0..count {
            let claim = self.claim(&format!("{name}-{number}"))?;
            let (api, places) = (self.api.clone(), Arc::clone(&places));
            making.spawn(async move {
                let _place = places.acquire().await;
                let start = Instant::now();
                let made = api.create(&PostParams::default(), &claim).await?;
                Ok::<_, kube::Error>((made.metadata.name.unwrap_or_default(), start))
            });
        }
        let (mut starts, mut ends) = (HashMap::new(), HashMap::new());
        while ends.len() < count || starts.len() < count {
            tokio::select! {
                Some(made) = making.join_next() => {
                    let (name, start) = made??;
                    starts.insert(name, start);
                }
                seen = tokio::time::timeout(PATIENCE, self.bound.recv()) => {
                    let missing = |_| format!("only {} of {count} claims were bound", ends.len());
                    let (claim, end) = seen.map_err(missing)?.ok_or("the watch has ended")?;
                    // A claim that is bound may change once more.
                    if claim.starts_with(name) {
                        ends.entry(claim).or_insert(end);
                    }
                }
            }
        }
        let time = |(name, start): (&String, &Instant)| {
            ends.get(name).map(|end| end.saturating_duration_since(*start))
        };
        Ok(starts.iter().filter_map(time).collect())
    }

    fn claim(&self, name: &str) -> Result<PersistentVolumeClaim, Anything> {
        Ok(serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteMany"], "storageClassName": self.class,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }))?)
    }

    /// How many claims are bound now.
    pub(super) async fn bound(&self) -> Result<usize, Anything> {
        let all = self.api.list(&ListParams::default()).await?;
        Ok(all.items.iter().filter(|claim| is_bound(claim)).count())
    }
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}
