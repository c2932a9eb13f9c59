//! Connections to the arrays: TLS, their number, and timeouts. Knows nothing about requests.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tower::ServiceExt as _;

/// Largest request head, in bytes.
const LARGEST_HEAD: usize = 64 << 10;
/// Idle timeout of a connection, and timeout for a request head.
const HEAD: Duration = Duration::from_secs(120);
/// Concurrent connections of one array. Further ones wait until others end.
const CONNECTIONS: usize = 1024;

/// Marks a response that is not sent: the connection is closed instead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unanswered;

/// Returns an acceptor for TLS with a temporary certificate, and the certificate as PEM.
pub(super) fn certificate(address: IpAddr) -> io::Result<(Option<TlsAcceptor>, Option<String>)> {
    let names = vec!["localhost".to_owned(), address.to_string()];
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    let key =
        PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .map_err(io::Error::other)?;
    Ok((Some(TlsAcceptor::from(Arc::new(config))), Some(made.cert.pem())))
}

/// Accepts connections, until the process ends.
pub(super) async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // For example, too many open files: a temporary error.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            connection(stream, acceptor, router).await;
            drop(place);
        });
    }
}

/// Serves one connection until it ends. The client handles errors.
async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, router: Router) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let answer = router.clone().oneshot(request.map(Body::new));
        async move {
            let response = answer.await.unwrap_or_else(|never: Infallible| match never {});
            match response.extensions().get::<Unanswered>() {
                Some(_) => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
                None => Ok(response),
            }
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LARGEST_HEAD);
    let _ = match acceptor {
        None => http.serve_connection(TokioIo::new(stream), service).await,
        Some(acceptor) => match tokio::time::timeout(HEAD, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => http.serve_connection(TokioIo::new(stream), service).await,
            _ => return,
        },
    };
}
