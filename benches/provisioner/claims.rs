//! Makes claims and sees them bound. Knows nothing of who provisions.

use std::collections::{BTreeSet, HashMap};
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
/// What the policy writes on a claim.
const ANNOTATION: &str = "volume.kubernetes.io/storage-provisioner";
/// How long nothing may come of them before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The claims of a class, and the one watch on them.
pub(super) struct Claims {
    api: Api<PersistentVolumeClaim>,
    class: String,
    seen: mpsc::UnboundedReceiver<Seen>,
    /// Names of those that were `Lost`, if only for a moment.
    lost: BTreeSet<String>,
}

/// A claim that was seen to be bound or `Lost`.
struct Seen {
    name: String,
    phase: Phase,
    when: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Bound,
    Lost,
}

impl Claims {
    /// Begins to watch. Returns when the watch has begun.
    pub(super) async fn watch(client: Client, class: &str) -> Result<Self, Anything> {
        let api = Api::<PersistentVolumeClaim>::namespaced(client, NAMESPACE);
        let (sender, seen) = mpsc::unbounded_channel();
        let mut stream = watcher(api.clone(), watcher::Config::default()).default_backoff().boxed();
        while !matches!(stream.next().await.ok_or("no watch")??, watcher::Event::InitDone) {}
        tokio::spawn(async move {
            while let Some(event) = stream.next().await {
                let (Ok(watcher::Event::Apply(claim)), when) = (event, Instant::now()) else {
                    continue;
                };
                let Some(phase) = phase(&claim) else { continue };
                let name = claim.metadata.name.unwrap_or_default();
                if sender.send(Seen { name, phase, when }).is_err() {
                    return;
                }
            }
        });
        Ok(Self { api, class: class.to_owned(), seen, lost: BTreeSet::new() })
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
                seen = tokio::time::timeout(PATIENCE, self.seen.recv()) => {
                    let missing = |_| format!("only {} of {count} claims were bound", ends.len());
                    let seen = seen.map_err(missing)?.ok_or("the watch has ended")?;
                    if seen.phase == Phase::Lost {
                        self.lost.insert(seen.name);
                    } else if seen.name.starts_with(name) {
                        // A claim that is bound may change once more.
                        ends.entry(seen.name).or_insert(seen.when);
                    }
                }
            }
        }
        let time = |(name, start): (&String, &Instant)| {
            ends.get(name).map(|end| end.saturating_duration_since(*start))
        };
        Ok(starts.iter().filter_map(time).collect())
    }

    /// Waits until the policy that annotates claims is in force. An API server reads its own `OpenAPI` documents at a
    /// policy's first use, for a second and more, and all claims that come by then wait for that: it happens once in
    /// the life of an API server, and is not what is measured. Nothing is made.
    pub(super) async fn policy_is_in_force(&self) -> Result<(), Anything> {
        let post = PostParams { dry_run: true, ..PostParams::default() };
        let claim = self.claim("dry")?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let made = self.api.create(&post, &claim).await?;
            if made.metadata.annotations.is_some_and(|all| all.contains_key(ANNOTATION)) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err("the policy annotates no claim".into())
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
        Ok(all.items.iter().filter(|claim| phase(claim) == Some(Phase::Bound)).count())
    }

    /// How many claims were `Lost` so far, if only for a moment.
    pub(super) fn lost(&mut self) -> usize {
        while let Ok(seen) = self.seen.try_recv() {
            if seen.phase == Phase::Lost {
                self.lost.insert(seen.name);
            }
        }
        self.lost.len()
    }
}

fn phase(claim: &PersistentVolumeClaim) -> Option<Phase> {
    match claim.status.as_ref()?.phase.as_deref()? {
        "Bound" => Some(Phase::Bound),
        "Lost" => Some(Phase::Lost),
        _ => None,
    }
}
