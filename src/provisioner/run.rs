//! Runs the provisioner: watches the cluster, lets [`decide`](crate::provisioner::decide) choose the next effects,
//! executes them and passes their outcomes back.
//!
//! One task takes all decisions, one after the other; the effects run concurrently. Only this module talks to the
//! Kubernetes API.

mod apply;
mod arrays;
mod attacher;
mod cache;
mod effect_error;
mod executor;
mod fencing;
mod http;
mod instrument;
mod inventory;
mod leader_election;
mod listing;
mod log;
mod metrics;
mod orphan;
mod pagination;
mod reconciler;
mod registrar;
mod serialized;
mod setup;
mod snapshot_limit;
mod start_queue;
mod trim;
mod unreachable;
mod volume_snapshot;
mod watches;

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::jiff::Timestamp;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::provisioner::decide::{ArrayState, EffectError, Listed, Outcome};
pub use apply::{Applied, Before, before};
use arrays::ArrayMonitor;
pub use arrays::Arrays;
use attacher::Attacher;
use cache::Cache;
use executor::Executor;
use http::BEAT;
pub use http::{Status, serve};
pub use instrument::{CountRequests, CountedRequests};
pub use inventory::inventory;
use leader_election::{Candidate, Leadership};
use metrics::EffectMetrics;
pub use metrics::Metrics;
pub use orphan::{NotDestroyed, destroy_orphan};
pub use pagination::{SmallPages, SmallPagesOf};
use reconciler::{BarrierOf, Reconciler};
use registrar::{IDENTITY_RETRY, Registrar, check_name};
pub use registrar::{IdentityError, cluster_uid};
pub use setup::{SetupError, flasharrays, set_up};
pub use unreachable::{cause, chain, remedy};
pub use watches::COMPARE_EVERY;
use watches::{list, poll_arrays, register, tick, watch};

/// The number of watch events that may wait for the reconciler.
const WATCH_QUEUE: usize = 256;

/// The time limit for effects in flight at the end, before the lease is released.
const DRAIN: Duration = Duration::from_secs(20);

/// The subject of a state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    /// The claim with a UID.
    Claim(String),
    /// The PersistentVolume of a name.
    Volume(String),
    /// The snapshots of the volume of the PersistentVolume with this name.
    Snapshots(String),
}

/// A message to the reconciler.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is alive for a moment; a box for each would not pay"
)]
enum Message {
    Claims(watcher::Event<PersistentVolumeClaim>),
    Volumes(watcher::Event<PersistentVolume>),
    Classes(watcher::Event<StorageClass>),
    Nodes(watcher::Event<PartialObjectMeta<Node>>),
    Arrays(Vec<ArrayState>),
    /// The volumes of the arrays.
    Listed(Vec<Listed>),
    /// The volumes of an array, after the array was asked again for those that differ from their PersistentVolumes.
    Compared(Listed),
    /// A periodic reminder.
    Tick,
    Done(Key, Result<Outcome, EffectError>),
    /// The time of an attempt has come; the number is that of its timer.
    Due(Key, u64),
    /// The time to publish an event that was held back has come.
    Announce(Key),
    /// The time to create a barrier has come.
    BarrierDue(BarrierOf),
    /// The barrier of this name is gone, or was never created.
    BarrierGone(String),
}

/// The reason why the provisioner ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A signal requested the end.
    Asked,
    /// Another replica leads.
    LeaseLost,
}

/// The Lease by which replicas elect a leader.
#[derive(Clone)]
pub struct LeaseName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// A client for the lease only, so that no other traffic delays its renewal.
    pub client: Client,
}

/// Runs the provisioner until `end` completes or the lease is lost; the next process finishes the effects in flight.
/// Without a lease, it must be the only process. It compares bound volumes with the arrays after each `compare_every`.
/// `status` shows the progress.
pub async fn run(
    client: Client,
    arrays: Arrays,
    lease: Option<LeaseName>,
    compare_every: Duration,
    status: &Status,
    end: impl Future<Output = ()>,
) -> End {
    let mut end = std::pin::pin!(end);
    let Some(LeaseName { namespace, name, client: own }) = lease else {
        warn!("without a lease: no other provisioner may run");
        lead(client, arrays, Leadership::alone(), compare_every, status, &mut end).await;
        return End::Asked;
    };
    let mut candidate = Candidate::new(own, &namespace, &name, status.clone());
    let leadership = tokio::select! {
        () = &mut end => return End::Asked,
        leadership = candidate.wait() => leadership,
    };
    let client = fencing::fenced(client, &leadership);
    let how = tokio::select! {
        () = lead(client, arrays, leadership, compare_every, status, &mut end) => End::Asked,
        // Effects in flight end with the process: it must not execute any more.
        () = candidate.hold() => End::LeaseLost,
    };
    if how == End::Asked {
        candidate.release().await;
    }
    how
}

/// Leads until `end` completes.
async fn lead(
    client: Client,
    arrays: Arrays,
    leadership: Leadership,
    compare_every: Duration,
    status: &Status,
    end: &mut (impl Future<Output = ()> + Unpin),
) {
    let Some(registrar) = registered(&client, &arrays, &leadership, status, end).await else {
        return;
    };
    let arrays = registrar.arrays().clone();
    let (sender, mut messages) = mpsc::unbounded_channel();
    // The channel is bounded, so that a list of thousands of objects arrives at the speed of the reconciler.
    let (watch_sender, mut watch_events) = mpsc::channel(WATCH_QUEUE);
    let metrics = status.metrics();
    let mut tasks = vec![
        watch(Api::all(client.clone()), metrics.clone(), &watch_sender, Message::Claims),
        watch(Api::all(client.clone()), metrics.clone(), &watch_sender, Message::Volumes),
        watch(Api::all(client.clone()), metrics.clone(), &watch_sender, Message::Classes),
        register(registrar.clone()),
        poll_arrays(ArrayMonitor::new(arrays.clone(), metrics.clone()), registrar.clone(), &sender),
        list(arrays.clone(), compare_every, &sender),
        tick(&sender),
    ];
    // The nodes matter only if not every node reaches every array.
    let nodes = arrays.have_topology();
    if nodes {
        tasks.push(watch(Api::all(client.clone()), metrics.clone(), &watch_sender, Message::Nodes));
    }
    let executor =
        Executor::new(client.clone(), arrays.clone(), leadership.clone(), registrar.clone());
    let executor = Arc::new(executor);
    let mut attacher =
        Attacher::start(&client, &arrays, &leadership, &registrar, &executor, metrics);
    let cache = Cache::new(arrays.setup().clone(), nodes);
    let mut reconciler =
        Reconciler::new(cache, executor, EffectMetrics::new(metrics.clone()), sender);
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            () = &mut *end => break,
            () = reconciler.ended() => {}
            _ = beat.tick() => {
                let mut missing = reconciler.missing();
                if let Some(attacher) = &attacher {
                    missing.extend(attacher.missing());
                    attacher.update_gauges();
                    reconciler.set_node_service(attacher.has_node_service());
                }
                status.record_progress(Instant::now(), missing);
                reconciler.update_gauges(messages.len());
            }
            () = next_of(&mut attacher) => {}
            Some(message) = watch_events.recv() => reconciler.handle(message),
            message = messages.recv() => match message {
                Some(message) => reconciler.handle(message),
                None => break,
            },
        }
    }
    status.stops();
    for task in tasks {
        task.abort();
    }
    let attachments_in_flight = attacher.as_ref().map_or(0, Attacher::in_flight_count);
    info!(in_flight = reconciler.in_flight_count() + attachments_in_flight, "stopping");
    // A drained effect saves the next process the search for its outcome.
    let drained = async {
        reconciler.drained().await;
        match &mut attacher {
            Some(attacher) => attacher.drained().await,
            None => true,
        }
    };
    let drained = tokio::time::timeout(DRAIN, drained).await.unwrap_or(false);
    // Otherwise the next leader waits, as after a crash.
    if drained {
        registrar.end().await;
    }
    arrays.log_out().await;
}

/// Lets the attacher process a message; without one, it waits forever.
async fn next_of(attacher: &mut Option<Attacher>) {
    match attacher {
        Some(attacher) => attacher.process_next().await,
        None => std::future::pending().await,
    }
}

/// Reads the cluster's identity, and checks its registrations on the arrays; none if `end` completes first.
async fn registered(
    client: &Client,
    arrays: &Arrays,
    leadership: &Leadership,
    status: &Status,
    end: &mut (impl Future<Output = ()> + Unpin),
) -> Option<Registrar> {
    let mut is_reported = false;
    loop {
        let registrar = async {
            let uid = cluster_uid(client).await?;
            check_name(client, &arrays.setup().cluster).await?;
            Registrar::new(arrays, leadership, status.metrics(), &uid)
        };
        let registrar = tokio::select! {
            () = &mut *end => return None,
            registrar = registrar => registrar,
        };
        match registrar {
            Ok(registrar) => {
                // The first check is awaited, so that no claim fails without it.
                tokio::select! {
                    () = &mut *end => return None,
                    () = registrar.refresh() => return Some(registrar),
                }
            }
            Err(error) if !std::mem::replace(&mut is_reported, true) => {
                warn!(%error, "it is not certain which cluster this is; nothing is done yet");
            }
            Err(_) => {}
        }
        status.record_progress(Instant::now(), vec!["the cluster's identity"]);
        tokio::select! {
            () = &mut *end => return None,
            () = tokio::time::sleep(IDENTITY_RETRY) => {}
        }
    }
}

/// Returns the time, in seconds since 1970.
fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}
