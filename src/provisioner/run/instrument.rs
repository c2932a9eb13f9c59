//! Counts outgoing requests: operations on arrays, and requests to the Kubernetes API. Only the names of operations and
//! their outcomes are read here; requests and answers pass unchanged.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::{Request, Response};
use tower::{Layer, Service};

use super::metrics::Metrics;
use crate::arrays::{EndedOperation, Observer};

impl Observer for Metrics {
    fn ended(&self, operation: &EndedOperation<'_>) {
        let EndedOperation { array, name, outcome, duration } = *operation;
        self.called(array, name, outcome, duration);
    }
}

/// A layer that counts the requests of a Kubernetes client.
#[derive(Debug, Clone)]
pub struct CountRequests(Metrics);

impl CountRequests {
    /// Returns a layer that counts in `metrics`.
    pub fn new(metrics: &Metrics) -> Self {
        Self(metrics.clone())
    }
}

impl<S> Layer<S> for CountRequests {
    type Service = CountedRequests<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CountedRequests { inner, metrics: self.0.clone() }
    }
}

/// The service of [`CountRequests`].
#[derive(Debug)]
pub struct CountedRequests<S> {
    inner: S,
    metrics: Metrics,
}

impl<S, A, B> Service<Request<A>> for CountedRequests<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (metrics, method) = (self.metrics.clone(), request.method().clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
            metrics.requested(method.as_str(), status);
            answer
        })
    }
}
