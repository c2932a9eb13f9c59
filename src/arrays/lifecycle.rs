//! Operations that work in the same way on both arrays: finding, listing, expanding and destroying volumes.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Array;
use super::block::BlockArray;
use super::capacity;
use super::convergence::{DesiredState, Start, converge};
use super::error::{Error, Kind};
use super::fence::OnlyIf;
use super::identity::Identity;
use super::rest::{Operation, Rest, one_of, quoted};
use super::snapshot::SnapshotResource;
use crate::contract::{
    Capacity, Owner, Snapshot, SnapshotOf, SnapshotSuffix, Transport, Volume, VolumeId, VolumeName,
    VolumeRequest,
};

/// Ids per request, which keeps the URL at a few kilobytes.
const AT_ONCE: usize = 50;

/// The differences between the two kinds of array.
pub(super) trait Backend: std::fmt::Debug + Send + Sync {
    /// Path of the volumes.
    const RESOURCE: &str;
    /// Resource of their snapshots.
    const SNAPSHOTS: SnapshotResource;
    /// A volume in the array's JSON.
    type Item: DeserializeOwned + Into<Volume> + Send;

    fn rest(&self) -> &Rest;

    /// Begins an operation under the conditions of this handle.
    fn operation(&self) -> Operation<'_>;

    /// Begins an operation that lists many objects.
    fn long_operation(&self) -> Operation<'_>;

    /// Returns another handle of the same array with conditions.
    fn only_if(&self, only_if: OnlyIf) -> Self;

    /// Returns the addresses where clients reach its volumes.
    fn read_transport(&self) -> impl Future<Output = Result<Transport, Error>> + Send;

    /// Returns the array's block devices, if it has any.
    fn block(&self) -> Option<Arc<dyn BlockArray>> {
        None
    }

    /// Creates a volume, or changes an existing one to the requested state.
    fn ensure_volume(
        &self,
        wanted: &VolumeRequest,
    ) -> impl Future<Output = Result<Volume, Error>> + Send;

    /// Sets the size of the volume with an id, in bytes.
    fn resize(
        &self,
        operation: Operation<'_>,
        id: &str,
        size: u64,
    ) -> impl Future<Output = Result<Option<Volume>, Error>> + Send;

    /// Fails unless the volume's own tags name the owner, on arrays that have tags.
    fn check_owner(
        &self,
        operation: Operation<'_>,
        volume: &VolumeId,
        owner: &Owner,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Fails while clients use a volume, on arrays whose volumes have no connections.
    fn check_unused(
        &self,
        operation: Operation<'_>,
        volume: &VolumeId,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Destroys the volume with an id.
    fn destroy_by_id(
        &self,
        operation: Operation<'_>,
        id: &str,
    ) -> impl Future<Output = Result<Option<Volume>, Error>> + Send;

    /// Returns the size of the volume that the array creates for a request of `bytes`.
    fn size(&self, bytes: u64) -> Result<u64, Error>;

    /// Reads the one volume that matches a filter.
    fn find(
        &self,
        operation: Operation<'_>,
        filter: &str,
    ) -> impl Future<Output = Result<Option<Self::Item>, Error>> + Send {
        operation.find(Self::RESOURCE, filter)
    }

    /// Reads the volume with an id.
    fn by_id(
        &self,
        operation: Operation<'_>,
        id: &str,
    ) -> impl Future<Output = Result<Option<Volume>, Error>> + Send {
        let filter = quoted("id", id);
        async move { Ok(self.find(operation, &filter).await?.map(Into::into)) }
    }
}

#[async_trait]
impl<A: Backend + 'static> Array for A {
    fn name(&self) -> &str {
        &self.rest().name
    }

    fn only_if(&self, only_if: OnlyIf) -> Arc<dyn Array> {
        Arc::new(Backend::only_if(self, only_if))
    }

    async fn identity(&self) -> Result<Identity, Error> {
        let run = async { Ok(self.operation().session(None).await?.identity.clone()) };
        self.rest().observe("identity", run).await
    }

    async fn capacity(&self) -> Result<Capacity, Error> {
        let run = async { capacity::capacity(self.rest(), self.operation()).await };
        self.rest().observe("capacity", run).await
    }

    async fn transport(&self) -> Result<Transport, Error> {
        let run = async { self.read_transport().await };
        self.rest().observe("transport", run).await
    }

    fn block(&self) -> Option<Arc<dyn BlockArray>> {
        Backend::block(self)
    }

    async fn ensure(&self, wanted: &VolumeRequest) -> Result<Volume, Error> {
        let run = async { self.ensure_volume(wanted).await };
        self.rest().observe("ensure", run).await
    }

    async fn describe(&self, name: &VolumeName) -> Result<Option<Volume>, Error> {
        let run = async {
            let found = self.find(self.operation(), &quoted("name", name.as_str())).await?;
            let found = found.map(Into::<Volume>::into);
            match found.as_ref().filter(|found| !name.is(&found.name)) {
                Some(other) => {
                    Err(self.rest().malformed(&format!("`{}` was not requested", other.name)))
                }
                None => Ok(found),
            }
        };
        self.rest().observe("describe", run).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Volume>, Error> {
        let run = async {
            let filter = quoted("name", &format!("{prefix}*"));
            let query = [("filter", filter.as_str())];
            let operation = self.long_operation();
            // Other volumes on the array are dropped at once.
            let own = |item: A::Item| {
                let volume: Volume = item.into();
                let own = VolumeName::new(volume.name.as_str())?.begins_with(prefix);
                own.then_some(Volume { served: None, ..volume })
            };
            let all = operation.all(A::RESOURCE, &query, own).await?;
            Ok(once_each(all.into_iter()))
        };
        self.rest().observe("list", run).await
    }

    async fn find(&self, ids: &[String]) -> Result<Vec<Volume>, Error> {
        let run = async {
            let operation = self.long_operation();
            let mut found = Vec::new();
            for some in ids.chunks(AT_ONCE) {
                let filter = one_of("id", some);
                let asked_for = |item: A::Item| {
                    let volume: Volume = item.into();
                    some.contains(&volume.id).then_some(Volume { served: None, ..volume })
                };
                found.extend(operation.all(A::RESOURCE, &[("filter", &filter)], asked_for).await?);
            }
            Ok(once_each(found.into_iter()))
        };
        self.rest().observe("find", run).await
    }

    async fn rename(&self, from: &VolumeName, to: &VolumeName) -> Result<(), Error> {
        let run = async {
            // By name: if another client has renamed the volume first, this fails.
            let query = [("names", from.as_str())];
            let body = json!({ "name": to.as_str() });
            let change = self.operation().change(Method::PATCH, A::RESOURCE, &query, Some(&body));
            let _: Vec<A::Item> = change.await?;
            Ok(())
        };
        self.rest().observe("rename", run).await
    }

    async fn expand(&self, volume: &VolumeId, size: u64) -> Result<Volume, Error> {
        let run = async {
            let size = self.size(size)?;
            let state = ExpandVolume { array: self, operation: self.operation(), volume, size };
            converge(&state, Start::Read).await?.ok_or_else(|| state.not_applied())
        };
        self.rest().observe("expand", run).await
    }

    async fn destroy(&self, volume: &VolumeId, owner: &Owner) -> Result<(), Error> {
        let run = async {
            let operation = self.operation();
            let state = DestroyVolume { array: self, operation, volume, owner };
            converge(&state, Start::Read).await.map(drop)
        };
        self.rest().observe("destroy", run).await
    }

    async fn snapshot(
        &self,
        volume: &VolumeId,
        suffix: &SnapshotSuffix,
    ) -> Result<Snapshot, Error> {
        let run = async { A::SNAPSHOTS.take(self.rest(), self.operation(), volume, suffix).await };
        self.rest().observe("snapshot", run).await
    }

    async fn snapshots(&self, volume: &VolumeId) -> Result<Vec<Snapshot>, Error> {
        let run = async { A::SNAPSHOTS.of(self.operation(), volume).await };
        self.rest().observe("snapshots", run).await
    }

    async fn snapshots_like(&self, pattern: &str) -> Result<Vec<SnapshotOf>, Error> {
        let run = async { A::SNAPSHOTS.like(self.long_operation(), pattern).await };
        self.rest().observe("snapshots-like", run).await
    }

    async fn find_snapshot(&self, id: &str) -> Result<Option<SnapshotOf>, Error> {
        let run = async { A::SNAPSHOTS.by_id(self.operation(), id).await };
        self.rest().observe("find-snapshot", run).await
    }

    async fn destroy_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let run = async { A::SNAPSHOTS.destroy(self.rest(), self.operation(), snapshot).await };
        self.rest().observe("destroy-snapshot", run).await
    }

    async fn log_out(&self) {
        self.rest().log_out().await;
    }
}

/// Removes duplicates, which occur when objects are created or deleted between pages.
fn once_each(volumes: impl Iterator<Item = Volume>) -> Vec<Volume> {
    let mut seen = HashSet::new();
    volumes.filter(|volume| seen.insert(volume.id.clone())).collect()
}

/// Fails when the object with the volume's id has another name: an administrator has reused it.
fn same(rest: &Rest, volume: &VolumeId, current: &Volume) -> Result<(), Error> {
    if volume.name.is(&current.name) {
        return Ok(());
    }
    let why = format!("its name is {} now", current.name);
    Err(rest.error(Kind::NotOurs { name: volume.name.to_string(), why }))
}

struct ExpandVolume<'a, A> {
    array: &'a A,
    operation: Operation<'a>,
    volume: &'a VolumeId,
    size: u64,
}

impl<A: Backend> DesiredState for ExpandVolume<'_, A> {
    type Object = Volume;
    type Step = ();

    async fn read(&self) -> Result<Option<Volume>, Error> {
        self.array.by_id(self.operation, &self.volume.id).await
    }

    fn next_step(&self, current: Option<&Volume>) -> Result<Option<()>, Error> {
        let Some(current) = current.filter(|current| !current.destroyed) else {
            let name = self.volume.name.to_string();
            return Err(self.array.rest().error(Kind::NotFound { name }));
        };
        same(self.array.rest(), self.volume, current)?;
        Ok((current.size < self.size).then_some(()))
    }

    async fn apply(&self, (): &()) -> Result<Option<Volume>, Error> {
        self.array.resize(self.operation, &self.volume.id, self.size).await
    }

    fn not_applied(&self) -> Error {
        let cause = format!(
            "the array reported that {} was expanded, but its size is unchanged",
            self.volume.name
        );
        self.array.rest().malformed(&cause)
    }
}

struct DestroyVolume<'a, A> {
    array: &'a A,
    operation: Operation<'a>,
    volume: &'a VolumeId,
    owner: &'a Owner,
}

impl<A: Backend> DesiredState for DestroyVolume<'_, A> {
    type Object = Volume;
    type Step = ();

    async fn read(&self) -> Result<Option<Volume>, Error> {
        self.array.by_id(self.operation, &self.volume.id).await
    }

    fn next_step(&self, current: Option<&Volume>) -> Result<Option<()>, Error> {
        let Some(current) = current.filter(|current| !current.destroyed) else { return Ok(None) };
        same(self.array.rest(), self.volume, current)?;
        if current.connections > 0 {
            let name = current.name.clone();
            let by = format!("{} hosts are connected", current.connections);
            return Err(self.array.rest().error(Kind::InUse { name, by }));
        }
        Ok(Some(()))
    }

    async fn apply(&self, (): &()) -> Result<Option<Volume>, Error> {
        self.array.check_owner(self.operation, self.volume, self.owner).await?;
        self.array.check_unused(self.operation, self.volume).await?;
        self.array.destroy_by_id(self.operation, &self.volume.id).await
    }

    fn not_applied(&self) -> Error {
        let cause = format!(
            "the array reported that {} was destroyed, but it still exists",
            self.volume.name
        );
        self.array.rest().malformed(&cause)
    }
}
