//! The attacher: watches VolumeAttachments and CSINodes, lets [`decide`](crate::provisioner::decide) choose the next
//! effects, executes them and passes their outcomes back. One task decides; effects of different volumes run at once.
//! Requests are unknown here, and so are claims, which the reconciler has.

mod attachment_metrics;
mod cache;
mod executor;
mod passwords;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume};
use k8s_openapi::api::storage::v1::{CSINode, VolumeAttachment};
use kube::runtime::watcher::Event;
use kube::{Api, Client, Resource};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, info, warn};

use super::WATCH_QUEUE;
use super::arrays::Arrays;
use super::executor::Executor;
use super::leader_election::Leadership;
use super::metrics::Metrics;
use super::registrar::Registrar;
use super::watches::watch;
use crate::concurrency::with_flow;
use crate::provisioner::decide::{
    AttachmentEffect, AttachmentInput, AttachmentOutcome, AttachmentState, EffectError, Severity,
    is_attached, recorded_node, recorded_volume,
};
use attachment_metrics::AttachmentMetrics;
use cache::AttachmentCache;
use executor::AttachmentExecutor;
use passwords::{AttachedHosts, PasswordChecks};

/// On whose behalf requests are sent: attachments take turns with the namespaces of claims.
const FLOW: &str = "VolumeAttachments";

/// The volume of an effect on an array: the ids of array and volume.
type VolumeKey = (String, String);

/// A message of a watch.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is alive for a moment; a box for each would not pay"
)]
enum WatchEvent {
    Attachment(Event<VolumeAttachment>),
    Node(Event<CSINode>),
}

/// A message of an effect or a timer, with the name of the VolumeAttachment.
#[derive(Debug)]
enum InternalMessage {
    Done(String, Result<AttachmentOutcome, EffectError>),
    Due(String, u64),
}

/// The state of the attacher.
pub(super) struct Attacher {
    cache: AttachmentCache,
    states: HashMap<String, AttachmentState>,
    /// The claims of the volumes, for events.
    claims: HashMap<String, ObjectReference>,
    /// Effects in flight, by the name of their VolumeAttachment.
    in_flight: HashMap<String, AttachmentEffect>,
    /// Effects that wait for another one on the same volume. A volume has an entry while an effect changes it.
    waiting: HashMap<VolumeKey, VecDeque<(String, AttachmentEffect)>>,
    timers: HashMap<String, u64>,
    timer_count: u64,
    executor: Arc<AttachmentExecutor>,
    tasks: JoinSet<()>,
    password_checks: PasswordChecks,
    attachment_metrics: AttachmentMetrics,
    watch_events: mpsc::Receiver<WatchEvent>,
    messages: mpsc::UnboundedReceiver<InternalMessage>,
    sender: mpsc::UnboundedSender<InternalMessage>,
    watches: Vec<JoinHandle<()>>,
}

impl Attacher {
    /// Starts the watches; none if no array has block devices, because then nothing is attached.
    pub(super) fn start(
        client: &Client,
        arrays: &Arrays,
        leadership: &Leadership,
        registrar: &Registrar,
        common: &Arc<Executor>,
        metrics: &Metrics,
    ) -> Option<Self> {
        if !arrays.have_block_devices() {
            return None;
        }
        // The channel is bounded, so that a list of thousands of objects arrives at the speed of the attacher.
        let (watch_sender, watch_events) = mpsc::channel(WATCH_QUEUE);
        let (sender, messages) = mpsc::unbounded_channel();
        let watches = vec![
            watch(Api::all(client.clone()), metrics.clone(), &watch_sender, WatchEvent::Attachment),
            watch(Api::all(client.clone()), metrics.clone(), &watch_sender, WatchEvent::Node),
        ];
        let executor = AttachmentExecutor::new(
            client.clone(),
            arrays.clone(),
            leadership.clone(),
            registrar.clone(),
            Arc::clone(common),
        );
        Some(Self {
            cache: AttachmentCache::new(arrays.setup().cluster.clone()),
            states: HashMap::new(),
            claims: HashMap::new(),
            in_flight: HashMap::new(),
            waiting: HashMap::new(),
            timers: HashMap::new(),
            timer_count: 0,
            executor: Arc::new(executor),
            tasks: JoinSet::new(),
            password_checks: PasswordChecks::default(),
            attachment_metrics: AttachmentMetrics::new(metrics.clone()),
            watch_events,
            messages,
            sender,
            watches,
        })
    }

    /// Returns the kinds of objects that were not seen yet.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        self.cache.missing()
    }

    /// Returns whether the node service is registered on a node; none while the nodes are unknown.
    pub(super) fn has_node_service(&self) -> Option<bool> {
        self.cache.has_node_service()
    }

    /// Returns the number of effects in flight.
    pub(super) fn in_flight_count(&self) -> usize {
        self.tasks.len()
    }

    /// Updates the gauges.
    pub(super) fn update_gauges(&self) {
        let states = &self.states;
        self.attachment_metrics.update_gauges(self.cache.iter().map(|(name, attachment)| {
            let failing = states.get(name).is_some_and(AttachmentState::is_failing);
            (AttachmentState::work(attachment), failing)
        }));
    }

    /// Waits for the next message, and processes it. May be dropped while it waits.
    pub(super) async fn process_next(&mut self) {
        tokio::select! {
            Some(watch_events) = self.watch_events.recv() => self.handle_watch_event(watch_events),
            Some(messages) = self.messages.recv() => self.handle_message(messages),
            () = self.password_checks.due() => self.check_passwords(),
            Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
        }
    }

    /// Ends the watches and the checks of passwords, and waits until all effects in flight have ended. Returns whether no
    /// request was cut off.
    pub(super) async fn drained(&mut self) -> bool {
        for watch in self.watches.drain(..) {
            watch.abort();
        }
        let is_complete = self.password_checks.end().await;
        while self.tasks.join_next().await.is_some() {}
        is_complete
    }

    /// Lets the arrays have the CHAP passwords that have changed.
    fn check_passwords(&mut self) {
        if self.cache.is_ready() {
            let hosts = self.hosts_with_password();
            self.password_checks.start(&self.executor, FLOW, hosts);
        }
    }

    /// Returns the hosts with an attached volume of an array with passwords, and no attachment under way.
    fn hosts_with_password(&self) -> AttachedHosts {
        let attached = self.cache.iter().filter_map(|(_, attachment)| {
            let is_there =
                is_attached(attachment) && attachment.metadata.deletion_timestamp.is_none();
            let volume = recorded_volume(attachment).filter(|_| is_there)?;
            let node = recorded_node(attachment)?;
            self.executor.have_passwords(&volume.array).then_some((volume, node))
        });
        let mut hosts = AttachedHosts::new();
        for (volume, node) in attached {
            let on_array = hosts.entry(volume.array.clone()).or_default();
            on_array.insert(node.node.clone(), (volume, node));
        }
        for effect in self.in_flight.values() {
            if let AttachmentEffect::Attach { volume, node, .. } = effect
                && let Some(on_array) = hosts.get_mut(&volume.array)
            {
                on_array.remove(&node.node);
            }
        }
        hosts
    }

    /// Notes that an attachment begins or ends: it sets a password as well.
    fn forget_password(&mut self, effect: &AttachmentEffect) {
        if let AttachmentEffect::Attach { volume, node, .. } = effect
            && self.executor.have_passwords(&volume.array)
        {
            self.password_checks.forget(&volume.array, &node.node);
        }
    }

    fn handle_watch_event(&mut self, watch_events: WatchEvent) {
        let was_ready = self.cache.is_ready();
        let touched = match watch_events {
            WatchEvent::Attachment(event) => self.cache.attachments(event),
            WatchEvent::Node(event) => {
                let (touched, gone) = self.cache.nodes(event);
                for node in gone.into_iter().filter(|_| was_ready) {
                    let executor = Arc::clone(&self.executor);
                    self.tasks.spawn(async move { executor.delete_hosts(node).await });
                }
                touched
            }
        };
        // An incomplete view allows no decision.
        if !self.cache.is_ready() {
            return;
        }
        for name in if was_ready { touched } else { self.cache.all() } {
            self.step(&name, AttachmentInput::Changed);
        }
    }

    fn handle_message(&mut self, messages: InternalMessage) {
        match messages {
            InternalMessage::Due(name, number) => {
                // Only the newest timer counts: a wait that ended early leaves its timer behind.
                if self.timers.get(&name) == Some(&number) {
                    self.timers.remove(&name);
                    self.step(&name, AttachmentInput::Due);
                }
            }
            InternalMessage::Done(name, done) => {
                if let Some(effect) = self.in_flight.remove(&name) {
                    self.forget_password(&effect);
                    self.record_outcome(&name, &effect, &done);
                    if let Some(volume) = volume_key(&effect) {
                        self.start_next(&volume);
                    }
                }
                self.step(&name, AttachmentInput::Done(done));
            }
        }
    }

    /// Logs and counts the outcome of an effect.
    fn record_outcome(
        &mut self,
        name: &str,
        effect: &AttachmentEffect,
        done: &Result<AttachmentOutcome, EffectError>,
    ) {
        self.attachment_metrics.effect_ended(name, effect, done, Instant::now());
        if let Ok(AttachmentOutcome::PersistentVolume(Some(volume))) = done
            && let Some(claim) = claim_of(volume)
        {
            self.claims.insert(name.to_owned(), claim);
        }
        let claim = self.claims.get(name).map(|claim| {
            let word = |text: &Option<String>| text.clone().unwrap_or_default();
            format!("{}/{}", word(&claim.namespace), word(&claim.name))
        });
        let attachment = self.cache.get(name);
        let node = attachment.map(|attachment| attachment.spec.node_name.as_str());
        let (label, volume) = (effect.label(), effect.on_array());
        let array = volume.map(|volume| volume.array.as_str());
        let volume = volume.map(|volume| volume.volume.name.to_string());
        match (effect, done) {
            (AttachmentEffect::Attach { .. }, Ok(AttachmentOutcome::Attached(_))) => {
                info!(attachment = name, claim, node, volume, array, "volume connected");
            }
            (AttachmentEffect::Detach { .. }, Ok(_)) => {
                info!(attachment = name, claim, node, volume, array, "volume disconnected");
            }
            (AttachmentEffect::Disconnect { host, .. }, Ok(_)) => {
                warn!(attachment = name, claim, host, volume, array, "stale connection removed");
            }
            (_, Ok(_)) => debug!(attachment = name, claim, node, volume, effect = label, "done"),
            (_, Err(error)) => {
                debug!(attachment = name, claim, node, volume, effect = label, ?error, "failed");
            }
        }
    }

    fn step(&mut self, name: &str, input: AttachmentInput) {
        let state = self.states.entry(name.to_owned()).or_default();
        let effects = self.cache.with(name, |view| state.step(view, input));
        if state.is_idle() && self.cache.get(name).is_none() {
            self.states.remove(name);
            self.timers.remove(name);
            self.claims.remove(name);
            self.attachment_metrics.gone(name);
        }
        for effect in effects {
            self.start_or_queue(name, effect);
        }
    }

    /// Starts an effect; one on a volume that another effect changes waits.
    fn start_or_queue(&mut self, name: &str, effect: AttachmentEffect) {
        let sender = self.sender.clone();
        match effect {
            AttachmentEffect::Requeue(wait) => {
                self.timer_count += 1;
                let number = self.timer_count;
                self.timers.insert(name.to_owned(), number);
                let name = name.to_owned();
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let _ = sender.send(InternalMessage::Due(name, number));
                });
            }
            AttachmentEffect::RecordEvent { severity, reason, message } => {
                let claim = self.claims.get(name).cloned();
                let Some(object) = claim.or_else(|| Some(self.cache.get(name)?.object_ref(&())))
                else {
                    return;
                };
                match severity {
                    Severity::Normal => info!(attachment = name, %reason, note = message, "event"),
                    Severity::Warning => warn!(attachment = name, %reason, note = message, "event"),
                }
                self.attachment_metrics.event(severity, reason);
                let executor = Arc::clone(&self.executor);
                tokio::spawn(async move {
                    let event = executor.common.record_event(object, severity, reason, message);
                    with_flow(FLOW, event).await;
                });
            }
            effect => {
                self.attachment_metrics.effect_started(name, &effect, Instant::now());
                if let Some(volume) = volume_key(&effect) {
                    if let Some(waiting) = self.waiting.get_mut(&volume) {
                        waiting.push_back((name.to_owned(), effect));
                        return;
                    }
                    self.waiting.insert(volume, VecDeque::new());
                }
                self.spawn(name.to_owned(), effect);
            }
        }
    }

    /// Starts the next effect on a volume.
    fn start_next(&mut self, volume: &VolumeKey) {
        let next = self.waiting.get_mut(volume).and_then(VecDeque::pop_front);
        let Some((name, effect)) = next else {
            self.waiting.remove(volume);
            return;
        };
        let attaches = matches!(effect, AttachmentEffect::Attach { .. });
        let goes = self.cache.get(&name).is_none_or(|it| it.metadata.deletion_timestamp.is_some());
        if attaches && goes {
            // It is not wanted any more.
            self.in_flight.insert(name.clone(), effect);
            let _ = self.sender.send(InternalMessage::Done(name, Err(EffectError::Conflict)));
        } else {
            self.spawn(name, effect);
        }
    }

    fn spawn(&mut self, name: String, effect: AttachmentEffect) {
        debug!(attachment = name, ?effect, "effect");
        self.forget_password(&effect);
        self.in_flight.insert(name.clone(), effect.clone());
        let (sender, executor) = (self.sender.clone(), Arc::clone(&self.executor));
        self.tasks.spawn(async move {
            let done = with_flow(FLOW, executor.act(effect)).await;
            let _ = sender.send(InternalMessage::Done(name, done));
        });
    }
}

fn volume_key(effect: &AttachmentEffect) -> Option<VolumeKey> {
    let volume = effect.on_array()?;
    Some((volume.array_id.clone(), volume.volume.id.clone()))
}

/// Returns the claim of a PersistentVolume.
fn claim_of(volume: &PersistentVolume) -> Option<ObjectReference> {
    let claim = volume.spec.as_ref()?.claim_ref.clone()?;
    Some(ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("PersistentVolumeClaim".to_owned()),
        namespace: claim.namespace,
        name: claim.name,
        uid: claim.uid,
        ..ObjectReference::default()
    })
}
