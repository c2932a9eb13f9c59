//! The provisioner's executor: watches the cluster, asks [`volume`](crate::provisioner::decide) what is to be done, does
//! it, and tells it what came of it.
//!
//! All decisions are taken one after the other by one task; what they ask for is done by many at once.
//! Alone talks to the Kubernetes API.

mod apply;
mod arrays;
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
mod watches;

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
use cache::Cache;
use executor::Executor;
use http::BEAT;
pub use http::{Status, serve};
pub use instrument::{CountRequests, CountedRequests};
pub use inventory::inventory;
use leader_election::{Candidate, Leadership};
pub use metrics::Metrics;
use metrics::Tally;
pub use orphan::{NotDestroyed, destroy_orphan};
pub use pagination::{SmallPages, SmallPagesOf};
use reconciler::{BarrierOf, Reconciler};
use registrar::{AGAIN, Registrar, check_name, cluster_uid};
pub use setup::{SetupError, set_up};
pub use unreachable::{cause, chain, remedy};
pub use watches::COMPARE_EVERY;
use watches::{list, look, register, tick, watch};

/// How many objects that watches have told of may wait to be looked at.
const SEEN: usize = 256;

/// How long what is under way may take at the end, before the lease is given back.
const DRAIN: Duration = Duration::from_secs(20);

/// What a work is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// The claim with a UID.
    Claim(String),
    /// The PersistentVolume of a name.
    Volume(String),
    /// The snapshots of the volume behind it.
    Snapshots(String),
}

/// What the deciding task hears of.
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
    /// What is on the arrays.
    Listed(Vec<Listed>),
    /// What is on an array, after it was asked once more for what was not as it should be.
    Compared(Listed),
    /// Time has passed.
    Tick,
    Done(Key, Result<Outcome, EffectError>),
    /// The time of an attempt has come; the number is that of its timer.
    Due(Key, u64),
    /// It is time for a mark.
    MarkDue(BarrierOf),
    /// The mark of a name is not there, or will not be any more.
    MarkGone(String),
}

/// How the provisioner ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    Asked,
    /// Somebody else leads now.
    LeaseLost,
}

/// The Lease by which processes agree on who leads.
#[derive(Clone)]
pub struct LeaseName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// A client for it alone, so that no other traffic keeps it waiting.
    pub client: Client,
}

/// Runs the provisioner until `end` comes or its lease is lost; what has been begun by then is finished
/// by the next one. Without a lease it must be the only one. Bound volumes are compared with the arrays after each
/// `compare_every`. How it goes is written down in `status`.
pub async fn run(
    client: Client,
    arrays: Arrays,
    lease: Option<LeaseName>,
    compare_every: Duration,
    status: &Status,
    end: impl Future<Output = ()>,
) -> End {
    let mut end = std::pin::pin!(end);
    let arrays = arrays.counted(status.metrics());
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
        // All that is under way ends with the process: it must not do anything more.
        () = candidate.keep() => End::LeaseLost,
    };
    if how == End::Asked {
        candidate.release().await;
    }
    how
}

/// Does the work, until `end` comes.
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
    // A list of thousands comes no faster than it is looked at.
    let (watched, mut seen) = mpsc::channel(SEEN);
    let metrics = status.metrics();
    let mut tasks = vec![
        watch(Api::all(client.clone()), metrics.clone(), &watched, Message::Claims),
        watch(Api::all(client.clone()), metrics.clone(), &watched, Message::Volumes),
        watch(Api::all(client.clone()), metrics.clone(), &watched, Message::Classes),
        register(registrar.clone()),
        look(ArrayMonitor::new(arrays.clone(), metrics.clone()), registrar.clone(), &sender),
        list(arrays.clone(), compare_every, &sender),
        tick(&sender),
    ];
    // Who they are matters only when not every one reaches every array.
    let nodes = arrays.have_topology();
    if nodes {
        tasks.push(watch(Api::all(client.clone()), metrics.clone(), &watched, Message::Nodes));
    }
    let executor = Executor::new(client, arrays.clone(), leadership, registrar.clone());
    let cache = Cache::new(arrays.setup().clone(), nodes);
    let mut reconciler = Reconciler::new(cache, executor, Tally::new(metrics.clone()), sender);
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            () = &mut *end => break,
            () = reconciler.ended() => {}
            _ = beat.tick() => {
                status.beats(Instant::now(), reconciler.missing());
                reconciler.survey(messages.len());
            }
            Some(message) = seen.recv() => reconciler.handle(message),
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
    info!(under_way = reconciler.under_way(), "stopping");
    // The next one need not find out what came of it; what takes longer, it does find out.
    let drained = tokio::time::timeout(DRAIN, reconciler.drained()).await.is_ok();
    // What is still under way keeps the next leader waiting, as after a crash.
    if drained {
        registrar.end().await;
    }
    arrays.log_out().await;
}

/// Finds out which cluster this is, and looks at its registrations on the arrays; none when `end` comes first.
async fn registered(
    client: &Client,
    arrays: &Arrays,
    leadership: &Leadership,
    status: &Status,
    end: &mut (impl Future<Output = ()> + Unpin),
) -> Option<Registrar> {
    let mut told = false;
    loop {
        let found = async {
            let uid = cluster_uid(client).await?;
            check_name(client, &arrays.setup().cluster).await?;
            Registrar::new(arrays, leadership, status.metrics(), &uid)
        };
        let found = tokio::select! {
            () = &mut *end => return None,
            found = found => found,
        };
        match found {
            Ok(registrar) => {
                // The first look is waited for, so that no claim fails for want of it.
                tokio::select! {
                    () = &mut *end => return None,
                    () = registrar.look() => return Some(registrar),
                }
            }
            Err(error) if !std::mem::replace(&mut told, true) => {
                warn!(%error, "it is not certain which cluster this is; nothing is done yet");
            }
            Err(_) => {}
        }
        status.beats(Instant::now(), vec!["the cluster's identity"]);
        tokio::select! {
            () = &mut *end => return None,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// The time, in seconds since 1970.
fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}
