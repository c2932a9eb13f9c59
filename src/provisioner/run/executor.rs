//! Executes effects, in the cluster and on arrays, and returns their outcomes. Decides nothing.

mod cluster;

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tracing::warn;

use super::arrays::Arrays;
use super::effect_error::of_array;
use super::leader_election::Leadership;
use super::registrar::Registrar;
use super::snapshot_limit::{self, SnapshotLimit};
use super::trim::trimmed;
use crate::arrays::{Array, OnlyIf};
use crate::concurrency::{Purpose, RequestLimit};
use crate::contract::{PROVISIONER, Retry};
use crate::provisioner::decide::{
    BarrierEffect, Effect, EffectError, Listed, Outcome, ReadTime, Reason, Severity,
};
use crate::sanitize;
use cluster::Cluster;
pub(super) use cluster::params;

/// The field manager, and the reporting controller of events.
const MANAGER: &str = "pso-gen";

/// The maximum number of concurrent requests to the API server. More requests slow it down and cause 429.
const AT_ONCE: usize = 32;

/// Executes effects in the cluster and on arrays.
pub(super) struct Executor {
    client: Client,
    cluster: Cluster,
    arrays: Arrays,
    leadership: Leadership,
    registrar: Registrar,
    reporter: Reporter,
    snapshots: SnapshotLimit,
    /// Permits for requests to the API server. Each request in flight has a connection of its own.
    limit: RequestLimit,
}

impl Executor {
    pub(super) fn new(
        client: Client,
        arrays: Arrays,
        leadership: Leadership,
        registrar: Registrar,
    ) -> Self {
        let reporter = Reporter { controller: PROVISIONER.to_owned(), instance: None };
        Self {
            cluster: Cluster { client: client.clone(), leadership: leadership.clone() },
            client,
            arrays,
            leadership,
            registrar,
            reporter,
            snapshots: SnapshotLimit::default(),
            limit: RequestLimit::new(AT_ONCE),
        }
    }

    /// Executes an effect when its turn has come.
    pub(super) async fn act(&self, effect: Effect) -> Result<Outcome, EffectError> {
        let _permit = self.snapshots.permit(&effect).await;
        let _permit =
            if effect.is_for_array() { None } else { Some(self.limit.take(Purpose::Work).await) };
        if !self.leadership.leads() {
            return Err(EffectError::NotLeading);
        }
        // Thousands may wait: the request is built after the permit.
        if effect.is_for_array() {
            return Box::pin(self.on_array(effect)).await;
        }
        let reads = matches!(effect, Effect::ReadClaim { .. });
        let outcome = Box::pin(self.cluster.act(effect)).await?;
        // The answer to a write is kept in memory while the claim is reconciled.
        Ok(if reads { outcome } else { trimmed(outcome) })
    }

    /// Asks an array again for volumes with certain ids; an error replaces the list.
    pub(super) async fn look_up(&self, mut listed: Listed, ids: &[String]) -> Listed {
        listed.volumes = match listed.volumes {
            Ok(volumes) => self.arrays.look_up(&listed.array, volumes, ids).await,
            away => away,
        };
        listed
    }

    /// Executes an effect on an array.
    async fn on_array(&self, effect: Effect) -> Result<Outcome, EffectError> {
        match effect {
            Effect::EnsureVolume { array, array_id, wanted } => {
                let made = self.array(&array, array_id, None)?.ensure(&wanted).await;
                Ok(Outcome::Volume(Some(made.map_err(|error| of_array(&error))?)))
            }
            Effect::FindVolume { array, array_id, name } => {
                let found = self.array(&array, array_id, None)?.describe(&name).await;
                Ok(Outcome::Volume(found.map_err(|error| of_array(&error))?))
            }
            Effect::FindSnapshot { array, array_id, id } => {
                let found = self.array(&array, Some(array_id), None)?.find_snapshot(&id).await;
                let found = found.map_err(|error| of_array(&error))?;
                Ok(Outcome::FoundSnapshot(found.map(Box::new)))
            }
            Effect::DestroyVolume { array, array_id, volume, owner, read } => {
                let array = self.array(&array, array_id, Some(read))?;
                self.registrar.check_to_destroy(array.as_ref()).await?;
                array.destroy(&volume, &owner).await.map_err(|error| of_array(&error))?;
                Ok(Outcome::Good)
            }
            Effect::ExpandVolume { array, array_id, volume, size } => {
                let grown = self.array(&array, Some(array_id), None)?.expand(&volume, size).await;
                let grown = grown.map_err(|error| of_array(&error))?;
                Ok(Outcome::Volume(Some(grown)))
            }
            Effect::ListSnapshots { ref array, .. }
            | Effect::TakeSnapshot { ref array, .. }
            | Effect::DestroySnapshot { ref array, .. } => {
                let read = match &effect {
                    Effect::DestroySnapshot { read, .. } => *read,
                    _ => None,
                };
                let array = self.array(array, None, read)?;
                if read.is_some() {
                    self.registrar.check_to_destroy(array.as_ref()).await?;
                }
                snapshot_limit::act(array.as_ref(), &effect, self.leadership.now()).await
            }
            _ => Ok(Outcome::Good),
        }
    }

    /// Creates or deletes a barrier.
    pub(super) async fn execute_barrier(&self, effect: BarrierEffect) -> Result<(), EffectError> {
        let _permit = self.limit.take(Purpose::Work).await;
        if !self.leadership.leads() {
            return Err(EffectError::NotLeading);
        }
        self.cluster.act_barrier(effect).await
    }

    /// Records an event on an object. An event that cannot be published stops nothing.
    pub(super) async fn record_event(
        &self,
        object: ObjectReference,
        severity: Severity,
        reason: Reason,
        message: String,
    ) {
        let type_ = match severity {
            Severity::Normal => EventType::Normal,
            Severity::Warning => EventType::Warning,
        };
        let event = Event {
            type_,
            reason: reason.as_str().to_owned(),
            note: Some(shortened(&message)),
            action: "Provision".to_owned(),
            secondary: None,
        };
        let _permit = self.limit.take(Purpose::Event).await;
        // Each event has a recorder of its own: a recorder remembers events for minutes, and merges events of the same
        // reason even if their texts differ.
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        if !self.leadership.leads() {
            return;
        }
        if let Err(error) = recorder.publish(&event, &object).await {
            let (namespace, name) = (object.namespace, object.name);
            warn!(%error, %reason, namespace, name, "event not published");
        }
    }

    /// Returns an array of the storage document, which must have the given id. It rejects changes unless this process
    /// leads, and unless the given time of a read is recent.
    pub(super) fn array(
        &self,
        name: &str,
        array_id: Option<String>,
        read: Option<ReadTime>,
    ) -> Result<Arc<dyn Array>, EffectError> {
        let array = self.arrays.get(name).ok_or_else(|| EffectError::Array {
            reason: "UnknownArray",
            message: format!("the storage document has no array {name}"),
            retry: Retry::Later,
        })?;
        self.registrar.check(name)?;
        let fence = Some(self.leadership.fence(read));
        Ok(array.only_if(OnlyIf { array_id, fence }))
    }
}

/// Returns a note that the API server accepts: it limits the bytes of an event.
fn shortened(note: &str) -> String {
    const LONGEST: usize = 1024;
    let mut note = sanitize::line(note, LONGEST);
    if note.len() > LONGEST {
        let end = (0..=LONGEST - '…'.len_utf8()).rev().find(|end| note.is_char_boundary(*end));
        note.truncate(end.unwrap_or_default());
        note.push('…');
    }
    note
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::FutureExt as _;
    use hyper::{Request, Response};
    use kube::client::Body;

    use super::super::metrics::Metrics;
    use super::*;
    use crate::provisioner::decide::Setup;

    /// Returns an executor without arrays, and whether the API server was asked.
    fn executor() -> (Executor, Arc<AtomicBool>) {
        let asked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&asked);
        let server = tower::service_fn(move |_: Request<Body>| {
            seen.store(true, Ordering::Relaxed);
            let status = r#"{"kind": "Status", "code": 404, "reason": "NotFound"}"#;
            let answer =
                Response::builder().status(404).body(Body::from(status.as_bytes().to_vec()));
            std::future::ready(Ok::<_, Infallible>(answer.expect("an answer")))
        });
        let client = Client::new(server, "default");
        let (arrays, leadership) = (Arrays::new(Setup::of("prod"), []), Leadership::alone());
        let uid = "3f2a9c1e-7b4d-4e1a-9c1e-000000000001";
        let registrar = Registrar::new(&arrays, &leadership, &Metrics::default(), uid);
        let registrar = registrar.expect("a UID");
        (Executor::new(client, arrays, leadership, registrar), asked)
    }

    /// An array may be silent for minutes: a request to it keeps no write to the cluster waiting, and waits for none.
    #[tokio::test]
    async fn what_asks_an_array_takes_no_permit_of_the_api_server() {
        let (executor, asked) = executor();
        let mut permits = Vec::new();
        while let Some(permit) = executor.limit.take(Purpose::Work).now_or_never() {
            permits.push(permit);
        }
        assert_eq!(permits.len(), AT_ONCE);
        let word = |text: &str| text.to_owned();
        let (array, array_id) = (word("fa1"), word("1"));
        let id = word("s1");
        let find = executor.act(Effect::FindSnapshot { array, array_id, id }).now_or_never();
        assert!(matches!(find, Some(Err(EffectError::Array { .. }))), "it waits: {find:?}");
        let read = || Effect::ReadVolumeSnapshot { namespace: word("files"), name: word("before") };
        assert!(executor.act(read()).now_or_never().is_none(), "it waits");
        assert!(!asked.load(Ordering::Relaxed), "without a permit");
        permits.clear();
        let read = executor.act(read()).await;
        assert!(matches!(read, Ok(Outcome::VolumeSnapshot(Err(_)))), "{read:?}");
        assert!(asked.load(Ordering::Relaxed));
    }

    #[test]
    fn an_event_never_says_more_than_it_may() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"a".repeat(1024)).len(), 1024);
        let long = shortened(&format!("a{}", "é".repeat(1000)));
        assert!(long.len() <= 1024 && long.ends_with("é…"), "{long}");
    }
}
