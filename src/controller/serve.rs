//! What the process tells over HTTP: `/metrics`, and the probes `/livez` and `/readyz`. Knows of the rest
//! of the controller only what that has written down here, so that it answers at once, whatever hangs.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::metrics::Metrics;

/// How often the deciding task shows that it works.
pub(super) const BEAT: Duration = Duration::from_secs(2);
/// How long it may show nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// How the process is, and what it has counted. A clone tells the same.
#[derive(Debug, Clone, Default)]
pub struct Status {
    metrics: Metrics,
    phase: Arc<Mutex<Phase>>,
}

/// What the process is at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Phase {
    /// It has not begun.
    #[default]
    Starting,
    /// Somebody else leads.
    Waiting,
    /// It leads.
    Leading {
        /// When the deciding task last showed that it works.
        beat: Instant,
        /// What it has not seen once.
        missing: Vec<&'static str>,
    },
    /// It finishes what is under way.
    Stopping,
}

impl Status {
    /// Returns that of a process that is starting.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns what is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Somebody else leads, as the lease says, which could be read.
    pub(super) fn waits(&self) {
        self.set(Phase::Waiting);
    }

    /// The deciding task works at a moment, and has not seen some things yet.
    pub(super) fn beats(&self, beat: Instant, missing: Vec<&'static str>) {
        self.set(Phase::Leading { beat, missing });
    }

    /// No more is begun.
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

    /// Whether the process works, or why it should be started anew. That arrays or the Kubernetes API are
    /// away is no reason: starting anew would not help.
    fn lives(&self, now: Instant) -> Result<(), String> {
        match self.phase() {
            Phase::Leading { beat, .. } if now.duration_since(beat) > SILENCE => {
                let silent = now.duration_since(beat).as_secs();
                Err(format!("the deciding task has shown nothing for {silent} s"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the process does its part, or why not. Of one that waits to lead, that is to wait: were it
    /// not ready, a rollout would wait for it while it waits for the one that the rollout replaces.
    fn is_ready(&self, now: Instant) -> Result<(), String> {
        self.lives(now)?;
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

/// Serves probes and metrics, until the process ends.
pub async fn serve(listener: TcpListener, status: Status) -> io::Result<()> {
    axum::serve(listener, routes(status)).await
}

fn routes(status: Status) -> Router {
    let metrics = async |State(status): State<Status>| {
        let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        ([(header::CONTENT_TYPE, form)], status.metrics.text())
    };
    let live = async |State(status): State<Status>| answer(status.lives(Instant::now()));
    let ready = async |State(status): State<Status>| answer(status.is_ready(Instant::now()));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(status)
}

fn answer(good: Result<(), String>) -> impl IntoResponse {
    match good {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
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

    fn no(why: &str) -> (u16, String) {
        (503, format!("{why}\n"))
    }

    fn yes() -> (u16, String) {
        (200, "ok\n".to_owned())
    }

    #[tokio::test]
    async fn who_waits_is_ready_and_who_leads_when_all_has_been_seen() {
        let status = Status::new();
        assert_eq!(get(&status, "/livez").await, yes());
        assert_eq!(get(&status, "/readyz").await, no("the lease has not been read yet"));
        status.waits();
        assert_eq!(get(&status, "/readyz").await, yes());
        status.beats(Instant::now(), vec!["claims", "arrays"]);
        assert_eq!(get(&status, "/livez").await, yes());
        assert_eq!(get(&status, "/readyz").await, no("not seen yet: claims, arrays"));
        assert!(get(&status, "/metrics").await.1.contains("\npso_gen_leading 1\n"));
        status.beats(Instant::now(), Vec::new());
        assert_eq!(get(&status, "/readyz").await, yes());
        status.stops();
        assert_eq!(get(&status, "/livez").await, yes());
        assert_eq!(get(&status, "/readyz").await, no("stopping"));
        assert!(get(&status, "/metrics").await.1.contains("\npso_gen_leading 0\n"));
    }

    #[test]
    fn a_deciding_task_that_hangs_is_noticed() {
        let status = Status::new();
        let start = Instant::now();
        status.beats(start, Vec::new());
        assert_eq!(status.lives(start + SILENCE), Ok(()));
        let late = start + SILENCE + Duration::from_secs(1);
        let why = Err("the deciding task has shown nothing for 31 s".to_owned());
        assert_eq!((status.lives(late), status.is_ready(late)), (why.clone(), why));
        status.waits();
        assert_eq!(status.lives(late), Ok(()), "who waits decides nothing");
    }
}
