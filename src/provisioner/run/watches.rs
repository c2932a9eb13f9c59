//! The sources of the reconciler's messages: watches, polls of the arrays, and timers. Decides nothing.

use std::time::Duration;

use futures::StreamExt as _;
use kube::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval_at};
use tracing::{debug, info, warn};

use super::Message;
use super::arrays::{ArrayMonitor, Arrays};
use super::listing::PAGE;
use super::metrics::Metrics;
use super::registrar::Registrar;
use super::trim::{Trim, Trimmed};
use super::unreachable::chain;
use crate::provisioner::decide::{Health, REGISTRATION_LOOK};

/// The intervals of health polls: normal, and while an array is unreachable. An array that answers again is also
/// registered a moment later: claims that wait for it are reconciled within 35 seconds.
const LOOK: Duration = Duration::from_secs(30);
const LOOK_AWAY: Duration = Duration::from_secs(10);

/// The interval of checks for due snapshots.
const TICK: Duration = Duration::from_secs(30);

/// The delay before the first complete list of the arrays.
const FIRST_LIST: Duration = Duration::from_secs(60);
/// The default interval of complete lists of the arrays.
pub const COMPARE_EVERY: Duration = Duration::from_secs(600);

/// Forwards the events of a watch.
pub(super) fn watch<K, M>(
    api: Api<Trimmed<K>>,
    metrics: Metrics,
    sender: &mpsc::Sender<M>,
    message: fn(watcher::Event<K>) -> M,
) -> tokio::task::JoinHandle<()>
where
    K: kube::Resource<DynamicType = ()>
        + Trim
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
    M: Send + 'static,
{
    let sender = sender.clone();
    let resource = K::plural(&());
    metrics.watch_restarted(&resource, 0);
    tokio::spawn(async move {
        let mut ended = false;
        let stream = watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff();
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    // A list that starts may still fail.
                    let begins = matches!(event, watcher::Event::Init);
                    if !begins && std::mem::take(&mut ended) {
                        info!(%resource, "watch goes on");
                    }
                    if sender.send(message(untrimmed(event))).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    metrics.watch_restarted(&resource, 1);
                    let error = chain(&error);
                    if std::mem::replace(&mut ended, true) {
                        debug!(%resource, %error, "watch ended again");
                    } else {
                        warn!(%resource, %error, "watch ended; it starts again");
                    }
                }
            }
        }
    })
}

/// An event with the object itself.
fn untrimmed<K>(event: watcher::Event<Trimmed<K>>) -> watcher::Event<K> {
    use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
    match event {
        Apply(object) => Apply(object.0),
        Delete(object) => Delete(object.0),
        Init => Init,
        InitApply(object) => InitApply(object.0),
        InitDone => InitDone,
    }
}

/// Checks the cluster's registrations on the arrays, periodically.
pub(super) fn register(registrar: Registrar) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut interval =
            interval_at(tokio::time::Instant::now() + REGISTRATION_LOOK, REGISTRATION_LOOK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            registrar.refresh().await;
        }
    })
}

/// Polls the arrays' health, periodically. An array on which this cluster is not registered counts as unreachable.
pub(super) fn poll_arrays(
    mut array_monitor: ArrayMonitor,
    registrar: Registrar,
    sender: &mpsc::UnboundedSender<Message>,
) -> tokio::task::JoinHandle<()> {
    let sender = sender.clone();
    tokio::spawn(async move {
        loop {
            let begun = tokio::time::Instant::now();
            let mut states = array_monitor.poll().await;
            for state in states.iter_mut().filter(|state| matches!(state.health, Health::Up { .. }))
            {
                if let Some(why) = registrar.refused(&state.name) {
                    state.health = Health::Down(why);
                }
            }
            let all_there = states.iter().all(|state| matches!(state.health, Health::Up { .. }));
            if sender.send(Message::Arrays(states)).is_err() {
                return;
            }
            tokio::time::sleep_until(begun + if all_there { LOOK } else { LOOK_AWAY }).await;
        }
    })
}

/// Lists the volumes of the arrays, periodically.
pub(super) fn list(
    arrays: Arrays,
    every: Duration,
    sender: &mpsc::UnboundedSender<Message>,
) -> tokio::task::JoinHandle<()> {
    let sender = sender.clone();
    tokio::spawn(async move {
        let first = tokio::time::Instant::now() + FIRST_LIST.min(every);
        let mut interval = interval_at(first, every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if sender.send(Message::Listed(arrays.list().await)).is_err() {
                return;
            }
        }
    })
}

/// Sends a reminder, periodically.
pub(super) fn tick(sender: &mpsc::UnboundedSender<Message>) -> tokio::task::JoinHandle<()> {
    let sender = sender.clone();
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if sender.send(Message::Tick).is_err() {
                return;
            }
        }
    })
}
