//! Serves `/metrics` and the probes `/livez` and `/readyz`. Other modules write their state into [`Status`], so that an
//! answer never waits for them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tokio::net::TcpListener;

use super::metrics::Metrics;
use crate::monitoring::{metrics_text, probe_answer};

/// The interval at which the reconciler reports that it works.
pub(super) const BEAT: Duration = Duration::from_secs(2);
/// The time without a report after which the process counts as stuck.
const SILENCE: Duration = Duration::from_secs(30);

/// The state of the process, and its metrics. Clones share both.
#[derive(Debug, Clone, Default)]
pub struct Status {
    metrics: Metrics,
    phase: Arc<Mutex<Phase>>,
}

/// The phase of the process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Phase {
    /// It has not started.
    #[default]
    Starting,
    /// Another replica leads.
    Waiting,
    /// This process leads.
    Leading {
        /// The last report of the reconciler.
        beat: Instant,
        /// Kinds of objects that were not seen yet.
        missing: Vec<&'static str>,
    },
    /// It drains effects in flight.
    Stopping,
}

impl Status {
    /// Returns the status of a starting process.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Sets that another replica leads, and that the lease could be read.
    pub(super) fn waits(&self) {
        self.set(Phase::Waiting);
    }

    /// Sets that the reconciler works, with the kinds of objects that were not seen yet.
    pub(super) fn record_progress(&self, beat: Instant, missing: Vec<&'static str>) {
        self.set(Phase::Leading { beat, missing });
    }

    /// Sets that the process stops.
    pub(super) fn stops(&self) {
        self.set(Phase::Stopping);
    }

    fn set(&self, phase: Phase) {
        self.metrics.leads(matches!(phase, Phase::Leading { .. }));
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn phase(&self) -> Phase {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether the process works, or why it should be restarted. Unreachable arrays or an unreachable
    /// Kubernetes API do not count, because a restart would not help.
    fn is_alive(&self, now: Instant) -> Result<(), String> {
        match self.phase() {
            Phase::Leading { beat, .. } if now.duration_since(beat) > SILENCE => {
                let silent = now.duration_since(beat).as_secs();
                Err(format!("the deciding task has shown nothing for {silent} s"))
            }
            _ => Ok(()),
        }
    }

    /// Returns whether the process is ready, or why not. A replica that waits to lead is ready: otherwise a rollout
    /// would wait for it while it waits for the pod that the rollout replaces.
    fn is_ready(&self, now: Instant) -> Result<(), String> {
        self.is_alive(now)?;
        match self.phase() {
            Phase::Starting => Err("the lease has not been read yet".to_owned()),
            Phase::Leading { missing, .. } if !missing.is_empty() => {
                Err(format!("not seen yet: {}", missing.join(", ")))
            }
            Phase::Stopping => Err("stopping".to_owned()),
            Phase::Leading { .. } | Phase::Waiting => Ok(()),
        }
    }
}

/// Serves probes and metrics until the process ends. Any client may reach the port.
pub async fn serve(listener: TcpListener, status: Status) {
    crate::monitoring::serve(listener, routes(status)).await;
}

fn routes(status: Status) -> Router {
    let metrics = async |State(status): State<Status>| metrics_text(status.metrics.text());
    let live = async |State(status): State<Status>| probe_answer(status.is_alive(Instant::now()));
    let ready = async |State(status): State<Status>| probe_answer(status.is_ready(Instant::now()));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(status)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn get(status: &Status, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = routes(status.clone()).oneshot(request).await.expect("an answer");
        let code = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
        (code, String::from_utf8(body.to_vec()).expect("text"))
    }

    fn unavailable(why: &str) -> (u16, String) {
        (503, format!("{why}\n"))
    }

    fn yes() -> (u16, String) {
        (200, "ok\n".to_owned())
    }

    #[tokio::test]
    async fn who_waits_is_ready_and_who_leads_when_all_has_been_seen() {
        let status = Status::new();
        assert_eq!(get(&status, "/livez").await, yes());
        assert_eq!(get(&status, "/readyz").await, unavailable("the lease has not been read yet"));
        status.waits();
        assert_eq!(get(&status, "/readyz").await, yes());
        status.record_progress(Instant::now(), vec!["claims", "arrays"]);
        assert_eq!(get(&status, "/livez").await, yes());
        assert_eq!(get(&status, "/readyz").await, unavailable("not seen yet: claims, arrays"));
        assert!(get(&status, "/metrics").await.1.contains("\npso_gen_leader 1\n"));
        status.record_progress(Instant::now(), Vec::new());
        assert_eq!(get(&status, "/readyz").await, yes());
        status.stops();
        assert_eq!(get(&status, "/livez").await, yes());
        assert_eq!(get(&status, "/readyz").await, unavailable("stopping"));
        assert!(get(&status, "/metrics").await.1.contains("\npso_gen_leader 0\n"));
    }

    #[test]
    fn a_deciding_task_that_hangs_is_noticed() {
        let status = Status::new();
        let start = Instant::now();
        status.record_progress(start, Vec::new());
        assert_eq!(status.is_alive(start + SILENCE), Ok(()));
        let late = start + SILENCE + Duration::from_secs(1);
        let why = Err("the deciding task has shown nothing for 31 s".to_owned());
        assert_eq!((status.is_alive(late), status.is_ready(late)), (why.clone(), why));
        status.waits();
        assert_eq!(status.is_alive(late), Ok(()), "who waits decides nothing");
    }
}
