//! Blocks requests to the Kubernetes API that change objects when this process does not lead any more: the last check
//! before a request is sent, after all waits. The content of requests is unknown here.

use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::Either;
use hyper::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use tower::Service;

use super::leader_election::Leadership;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request was blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeaseLost;

impl fmt::Display for LeaseLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another replica is the leader now; nothing was changed")
    }
}

impl std::error::Error for LeaseLost {}

/// Returns a client that blocks changes when the process does not lead any more. Reads are always sent.
pub(super) fn fenced(client: Client, leadership: &Leadership) -> Client {
    let namespace = client.default_namespace().to_owned();
    let leadership = leadership.clone();
    Client::new(Fenced { inner: Sends(client), may_write: move || leadership.leads() }, namespace)
}

/// A service that checks the leadership before each request that changes an object.
struct Fenced<S, F> {
    inner: S,
    may_write: F,
}

impl<S, F, B> Service<Request<Body>> for Fenced<S, F>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    F: Fn() -> bool,
    B: 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Either<
        Ready<Result<Self::Response, BoxError>>,
        Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if !reads && !(self.may_write)() {
            return Either::Left(ready(Err(LeaseLost.into())));
        }
        let sent = self.inner.call(request);
        Either::Right(Box::pin(async move { sent.await.map_err(Into::into) }))
    }
}

/// A client as a service.
struct Sends(Client);

impl Service<Request<Body>> for Sends {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = Pin<Box<dyn Future<Output = kube::Result<Response<Body>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<kube::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = self.0.clone();
        Box::pin(async move { client.send(request).await })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;

    #[tokio::test]
    async fn only_what_changes_something_is_held_back_and_only_without_the_lease() {
        let (leads, sent) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let count = Arc::clone(&sent);
        let inner = tower::service_fn(move |_: Request<Body>| {
            count.fetch_add(1, Ordering::Relaxed);
            ready(Ok::<_, BoxError>(Response::new(())))
        });
        let asked = Arc::clone(&leads);
        let mut service = Fenced { inner, may_write: move || asked.load(Ordering::Relaxed) };
        let writes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        for (leading, methods, expected) in [
            (true, &writes[..], 4),
            (false, &writes[..], 4),
            (false, &[Method::GET, Method::HEAD][..], 6),
        ] {
            leads.store(leading, Ordering::Relaxed);
            for method in methods {
                let request = Request::builder().method(method).body(Body::empty());
                let answer = service.call(request.expect("a request")).await;
                let is_fenced = answer.err().is_some_and(|error| error.is::<LeaseLost>());
                assert_eq!(is_fenced, !leading && methods.len() == 4, "{method}");
            }
            assert_eq!(sent.load(Ordering::Relaxed), expected);
        }
    }
}
