//! Serves metrics and probes over plain http to any client, within limits that keep no probe out. The routes and what
//! they answer are unknown here.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

/// The maximum number of connections. Another connection closes the oldest: a real client has sent its request by then,
/// and idle connections cannot block a probe.
const CONNECTIONS: usize = 64;
/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// Until the head of a request is complete.
    head: Duration,
    /// Until the answer was read. A connection serves one request.
    whole: Duration,
}

const PATIENCE: Patience =
    Patience { head: Duration::from_secs(5), whole: Duration::from_secs(15) };
/// The maximum size of a request's head, in bytes.
const LARGEST_HEAD: usize = 16 << 10;
/// The wait after a connection could not be accepted, for example because too many files are open.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves routes until the process ends. Any client may reach the port.
pub(crate) async fn serve(listener: TcpListener, routes: Router) {
    serve_with(listener, routes, PATIENCE).await;
}

async fn serve_with(listener: TcpListener, routes: Router, patience: Patience) {
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
        let connection = tokio::spawn(connection(stream, routes.clone(), patience));
        open.push_back(connection.abort_handle());
    }
}

/// Answers one request.
async fn connection(stream: TcpStream, routes: Router, patience: Patience) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let answer = routes.clone().oneshot(request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .keep_alive(false)
        .max_buf_size(LARGEST_HEAD);
    // A connection that the client closes early is no error.
    let _ =
        tokio::time::timeout(patience.whole, http.serve_connection(TokioIo::new(stream), service))
            .await;
}

/// Returns the answer to a request for metrics, in the text format of `OpenMetrics` 1.0.
pub(crate) fn metrics_text(text: String) -> impl IntoResponse {
    let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, form)], text)
}

/// Returns the answer of a probe: success, or the reason why not.
pub(crate) fn probe_answer(good: Result<(), String>) -> impl IntoResponse {
    match good {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const NEVER: Patience =
        Patience { head: Duration::from_secs(3600), whole: Duration::from_secs(3600) };

    /// Serves on a free port. Returns its address.
    async fn served(patience: Patience) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let routes = Router::new().route("/livez", get(async || probe_answer(Ok(()))));
        tokio::spawn(serve_with(listener, routes, patience));
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
        for patience in
            [Patience { head: short, whole: long }, Patience { head: long, whole: short }]
        {
            let address = served(patience).await;
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
