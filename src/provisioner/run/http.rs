//! Serves `/metrics` and the probes `/livez` and `/readyz`. Other modules write their state into [`Status`], so that an
//! answer never waits for them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use super::metrics::Metrics;

/// The interval at which the reconciler reports that it works.
pub(super) const BEAT: Duration = Duration::from_secs(2);
/// The time without a report after which the process counts as stuck.
const SILENCE: Duration = Duration::from_secs(30);

/// The maximum number of connections. Another connection closes the oldest: a real client has sent its request by then,
/// and idle connections cannot block a probe.
const CONNECTIONS: usize = 64;
/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    /// Until the head of a request is complete.
    head: Duration,
    /// Until the answer was read. A connection serves one request.
    connection: Duration,
}

const PATIENCE: Timeouts =
    Timeouts { head: Duration::from_secs(5), connection: Duration::from_secs(15) };
/// The maximum size of a request's head, in bytes.
const LARGEST_HEAD: usize = 16 << 10;
/// The wait after a connection could not be accepted, for example because too many files are open.
const PAUSE: Duration = Duration::from_millis(50);

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
    serve_with(listener, status, PATIENCE).await;
}

async fn serve_with(listener: TcpListener, status: Status, timeouts: Timeouts) {
    let routes = routes(status);
    let mut open: VecDeque<tokio::task::AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        open.retain(|connection| !connection.is_finished());
        while open.len() >= CONNECTIONS {
            if let Some(oldest) = open.pop_front() {
                oldest.abort();
            }
        }
        let connection = tokio::spawn(connection(stream, routes.clone(), timeouts));
        open.push_back(connection.abort_handle());
    }
}

/// Answers one request.
async fn connection(stream: TcpStream, routes: Router, timeouts: Timeouts) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let answer = routes.clone().oneshot(request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(timeouts.head)
        .keep_alive(false)
        .max_buf_size(LARGEST_HEAD);
    // A connection that the client closes early is not an error.
    let _ = tokio::time::timeout(
        timeouts.connection,
        http.serve_connection(TokioIo::new(stream), service),
    )
    .await;
}

fn routes(status: Status) -> Router {
    let metrics = async |State(status): State<Status>| {
        let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        ([(header::CONTENT_TYPE, form)], status.metrics.text())
    };
    let live = async |State(status): State<Status>| answer(status.is_alive(Instant::now()));
    let ready = async |State(status): State<Status>| answer(status.is_ready(Instant::now()));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(status)
}

fn answer(result: Result<(), String>) -> impl IntoResponse {
    match result {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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

    const NEVER: Timeouts =
        Timeouts { head: Duration::from_secs(3600), connection: Duration::from_secs(3600) };

    /// Serves on a free port. Returns its address.
    async fn served(timeouts: Timeouts) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve_with(listener, Status::new(), timeouts));
        address
    }

    /// Sends a request by hand, and reads to the end of the connection.
    async fn ask(address: std::net::SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    /// Opens connections that send an incomplete request.
    async fn half_open(address: std::net::SocketAddr, count: usize) -> Vec<TcpStream> {
        let mut all = Vec::new();
        for _ in 0..count {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.write_all(b"GET /metrics HTTP/1.1\r\nx: ").await.expect("sent");
            all.push(stream);
        }
        all
    }

    /// Returns whether the other side has closed a connection.
    async fn is_ended(stream: &mut TcpStream) -> bool {
        matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_))
    }

    #[tokio::test]
    async fn an_answer_ends_its_connection() {
        let answer = ask(served(NEVER).await).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok\n"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }

    #[tokio::test]
    async fn half_open_connections_keep_no_probe_out() {
        let address = served(NEVER).await;
        let mut open = half_open(address, 400).await;
        assert!(ask(address).await.ends_with("ok\n"));
        // All but the newest connections have ended: as many as exceed the limit.
        for stream in &mut open[..400 - CONNECTIONS] {
            assert!(is_ended(stream).await);
        }
    }

    #[tokio::test]
    async fn who_says_nothing_is_not_waited_for() {
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(3600));
        for timeouts in
            [Timeouts { head: short, connection: long }, Timeouts { head: long, connection: short }]
        {
            let address = served(timeouts).await;
            let mut silent = TcpStream::connect(address).await.expect("a connection");
            let mut half = TcpStream::connect(address).await.expect("a connection");
            // On a busy machine its time is over before it has said anything.
            let _ = half.write_all(b"GET /metrics HTTP/1.1\r\nx: ").await;
            assert!(is_ended(&mut silent).await && is_ended(&mut half).await);
        }
    }

    #[tokio::test]
    async fn a_head_has_an_end() {
        let mut stream = TcpStream::connect(served(NEVER).await).await.expect("a connection");
        let mut sent = 0;
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nx: ").await;
        while sent < 64 << 20 {
            let Ok(()) = stream.write_all(&vec![b'a'; 64 << 10]).await else { break };
            sent += 64 << 10;
        }
        assert!(sent < 64 << 20, "it read {sent} bytes");
    }
}
