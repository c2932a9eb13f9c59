//! Counts outgoing requests: operations on arrays, and requests to the Kubernetes API. The wrappers read only the names
//! of operations and their outcomes, and pass requests and answers on unchanged.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;
use hyper::{Request, Response};
use tower::{Layer, Service};

use super::metrics::Metrics;
use crate::arrays::{Array, AttachRequest, Attached, BlockArray, Error, Identity, OnlyIf};
use crate::contract::{
    BlockHost, Capacity, NodeHost, Owner, Snapshot, SnapshotSuffix, Transport, Volume, VolumeId,
    VolumeName, VolumeRequest,
};

/// Wraps an array and counts its operations.
#[derive(Debug)]
pub(super) struct CountedArray {
    array: Arc<dyn Array>,
    metrics: Metrics,
}

impl CountedArray {
    pub(super) fn new(array: Arc<dyn Array>, metrics: Metrics) -> Self {
        Self { array, metrics }
    }

    async fn count<T>(
        &self,
        operation: &'static str,
        done: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        count(&self.metrics, self.array.name(), operation, done).await
    }
}

#[async_trait]
impl Array for CountedArray {
    fn name(&self) -> &str {
        self.array.name()
    }

    fn only_if(&self, only_if: OnlyIf) -> Arc<dyn Array> {
        Arc::new(Self { array: self.array.only_if(only_if), metrics: self.metrics.clone() })
    }

    async fn identity(&self) -> Result<Identity, Error> {
        self.count("identity", self.array.identity()).await
    }

    async fn capacity(&self) -> Result<Capacity, Error> {
        self.count("capacity", self.array.capacity()).await
    }

    async fn reach(&self) -> Result<Transport, Error> {
        self.count("reach", self.array.reach()).await
    }

    fn block(&self) -> Option<Arc<dyn BlockArray>> {
        let array = self.array.block()?;
        let name = self.array.name().to_owned();
        Some(Arc::new(CountedBlockArray { array, name, metrics: self.metrics.clone() }))
    }

    async fn ensure(&self, wanted: &VolumeRequest) -> Result<Volume, Error> {
        self.count("ensure", self.array.ensure(wanted)).await
    }

    async fn describe(&self, name: &VolumeName) -> Result<Option<Volume>, Error> {
        self.count("describe", self.array.describe(name)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Volume>, Error> {
        self.count("list", self.array.list(prefix)).await
    }

    async fn find(&self, ids: &[String]) -> Result<Vec<Volume>, Error> {
        self.count("find", self.array.find(ids)).await
    }

    async fn rename(&self, from: &VolumeName, to: &VolumeName) -> Result<(), Error> {
        self.count("rename", self.array.rename(from, to)).await
    }

    async fn grow(&self, volume: &VolumeId, size: u64) -> Result<Volume, Error> {
        self.count("expand", self.array.grow(volume, size)).await
    }

    async fn destroy(&self, volume: &VolumeId, owner: &Owner) -> Result<(), Error> {
        self.count("destroy", self.array.destroy(volume, owner)).await
    }

    async fn snapshot(
        &self,
        volume: &VolumeId,
        suffix: &SnapshotSuffix,
    ) -> Result<Snapshot, Error> {
        self.count("snapshot", self.array.snapshot(volume, suffix)).await
    }

    async fn snapshots(&self, volume: &VolumeId) -> Result<Vec<Snapshot>, Error> {
        self.count("snapshots", self.array.snapshots(volume)).await
    }

    async fn destroy_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.count("destroy-snapshot", self.array.destroy_snapshot(snapshot)).await
    }

    async fn log_out(&self) {
        self.array.log_out().await;
    }
}

/// Wraps the block devices of an array and counts their operations.
#[derive(Debug)]
struct CountedBlockArray {
    array: Arc<dyn BlockArray>,
    name: String,
    metrics: Metrics,
}

impl CountedBlockArray {
    async fn count<T>(
        &self,
        operation: &'static str,
        done: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        count(&self.metrics, &self.name, operation, done).await
    }
}

#[async_trait]
impl BlockArray for CountedBlockArray {
    async fn attach(&self, wanted: &AttachRequest) -> Result<Attached, Error> {
        self.count("attach", self.array.attach(wanted)).await
    }

    async fn detach(&self, volume: &VolumeId, host: &NodeHost) -> Result<(), Error> {
        self.count("detach", self.array.detach(volume, host)).await
    }

    async fn disconnect(&self, volume: &VolumeId, host: &str) -> Result<(), Error> {
        self.count("disconnect", self.array.disconnect(volume, host)).await
    }

    async fn hosts(&self, volume: &VolumeId) -> Result<Vec<BlockHost>, Error> {
        self.count("hosts", self.array.hosts(volume)).await
    }

    async fn record_formatted(&self, volume: &VolumeId) -> Result<(), Error> {
        self.count("record-formatted", self.array.record_formatted(volume)).await
    }

    async fn delete_hosts(&self, host: &NodeHost) -> Result<(), Error> {
        self.count("delete-hosts", self.array.delete_hosts(host)).await
    }
}

/// Counts an operation with its outcome and its duration.
async fn count<T>(
    metrics: &Metrics,
    array: &str,
    operation: &'static str,
    done: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let start = Instant::now();
    let done = done.await;
    let outcome = done.as_ref().map_or_else(Error::reason, |_| "ok");
    metrics.called(array, operation, outcome, start.elapsed());
    done
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
