//! What the deciding task hears of by itself: watches, the arrays, the clock. Decides nothing.

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

/// How often arrays are asked how they are; and while one is away, which may have come back and be registered a
/// moment later: what waits for it is served within 35 seconds.
const LOOK: Duration = Duration::from_secs(30);
const LOOK_AWAY: Duration = Duration::from_secs(10);

/// How often it is seen whether snapshots are due.
const TICK: Duration = Duration::from_secs(30);

/// When arrays are asked for all that they have for the first time.
const FIRST_LIST: Duration = Duration::from_secs(60);
/// How often, when nothing else is said.
pub const COMPARE_EVERY: Duration = Duration::from_secs(600);

/// Forwards what a watch sees.
pub(super) fn watch<K>(
    api: Api<Trimmed<K>>,
    metrics: Metrics,
    sender: &mpsc::Sender<Message>,
    message: fn(watcher::Event<K>) -> Message,
) -> tokio::task::JoinHandle<()>
where
    K: kube::Resource<DynamicType = ()>
        + Trim
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
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
                    // A list that begins may yet go wrong.
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

/// Looks at the cluster's registrations on the arrays, again and again.
pub(super) fn register(registrar: Registrar) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut interval =
            interval_at(tokio::time::Instant::now() + REGISTRATION_LOOK, REGISTRATION_LOOK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            registrar.look().await;
        }
    })
}

/// Asks the arrays how they are, again and again. One on which this cluster is not registered is as good as
/// away.
pub(super) fn look(
    mut array_monitor: ArrayMonitor,
    registrar: Registrar,
    sender: &mpsc::UnboundedSender<Message>,
) -> tokio::task::JoinHandle<()> {
    let sender = sender.clone();
    tokio::spawn(async move {
        loop {
            let begun = tokio::time::Instant::now();
            let mut states = array_monitor.look().await;
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

/// Lists what is on the arrays, again and again.
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

/// Tells that time passes.
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
