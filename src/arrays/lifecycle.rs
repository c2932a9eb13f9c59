//! What is the same on both arrays: how volumes are found, listed, grown and destroyed.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Array;
use super::capacity;
use super::convergence::{Goal, Start, reach};
use super::error::{Error, Kind};
use super::fence::OnlyIf;
use super::identity::Identity;
use super::rest::{Rest, Talk, one_of, quoted};
use super::snapshot::SnapshotResource;
use crate::contract::{
    Capacity, Owner, Snapshot, SnapshotSuffix, Transport, Volume, VolumeId, VolumeName,
    VolumeRequest,
};

/// How many ids are asked for in one request: its address has a few kilobytes then.
const AT_ONCE: usize = 50;

/// In what the two kinds of array differ.
pub(super) trait Living: std::fmt::Debug + Send + Sync {
    /// Where its volumes are.
    const RESOURCE: &str;
    /// Where their snapshots are.
    const SNAPSHOTS: SnapshotResource;
    /// A volume as the array writes it.
    type Item: DeserializeOwned + Into<Volume> + Send;

    fn rest(&self) -> &Rest;

    /// Begins an operation, under the conditions of this handle.
    fn talk(&self) -> Talk<'_>;

    /// Begins one that reads very much.
    fn long_talk(&self) -> Talk<'_>;

    /// Returns another handle of the same array, under conditions.
    fn only_if(&self, only_if: OnlyIf) -> Self;

    /// Where clients reach its volumes.
    fn reached(&self) -> impl Future<Output = Result<Transport, Error>> + Send;

    /// Makes a volume, or brings one that is there to what is wanted.
    fn made(&self, wanted: &VolumeRequest) -> impl Future<Output = Result<Volume, Error>> + Send;

    /// Sets the size of the volume with an id, in bytes.
    fn resize(
        &self,
        talk: Talk<'_>,
        id: &str,
        size: u64,
    ) -> impl Future<Output = Result<Option<Volume>, Error>> + Send;

    /// Fails unless a volume says itself whose it is, on arrays where one can.
    fn check_owner(
        &self,
        talk: Talk<'_>,
        volume: &VolumeId,
        owner: &Owner,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Fails while clients work on a volume, on arrays whose volumes know no hosts.
    fn check_unused(
        &self,
        talk: Talk<'_>,
        volume: &VolumeId,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Destroys the volume with an id.
    fn end(
        &self,
        talk: Talk<'_>,
        id: &str,
    ) -> impl Future<Output = Result<Option<Volume>, Error>> + Send;

    /// Returns the size that a volume gets for so many bytes.
    fn size(&self, bytes: u64) -> Result<u64, Error>;

    /// Reads the one volume for which a filter holds.
    fn find(
        &self,
        talk: Talk<'_>,
        filter: &str,
    ) -> impl Future<Output = Result<Option<Self::Item>, Error>> + Send {
        talk.find(Self::RESOURCE, filter)
    }

    /// Reads the volume with an id.
    fn by_id(
        &self,
        talk: Talk<'_>,
        id: &str,
    ) -> impl Future<Output = Result<Option<Volume>, Error>> + Send {
        let filter = quoted("id", id);
        async move { Ok(self.find(talk, &filter).await?.map(Into::into)) }
    }
}

#[async_trait]
impl<A: Living + 'static> Array for A {
    fn name(&self) -> &str {
        &self.rest().name
    }

    fn only_if(&self, only_if: OnlyIf) -> Arc<dyn Array> {
        Arc::new(Living::only_if(self, only_if))
    }

    async fn identity(&self) -> Result<Identity, Error> {
        Ok(self.talk().session(None).await?.identity.clone())
    }

    async fn capacity(&self) -> Result<Capacity, Error> {
        capacity::capacity(self.rest(), self.talk()).await
    }

    async fn reach(&self) -> Result<Transport, Error> {
        self.reached().await
    }

    async fn ensure(&self, wanted: &VolumeRequest) -> Result<Volume, Error> {
        self.made(wanted).await
    }

    async fn describe(&self, name: &VolumeName) -> Result<Option<Volume>, Error> {
        let found = self.find(self.talk(), &quoted("name", name.as_str())).await?;
        let found = found.map(Into::<Volume>::into);
        match found.as_ref().filter(|found| !name.is(&found.name)) {
            Some(other) => {
                Err(self.rest().malformed(&format!("`{}` was not asked for", other.name)))
            }
            None => Ok(found),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Volume>, Error> {
        let filter = quoted("name", &format!("{prefix}*"));
        let query = [("filter", filter.as_str())];
        let talk = self.long_talk();
        // Whatever else an array lists is not kept.
        let ours = |item: A::Item| {
            let volume: Volume = item.into();
            let ours = VolumeName::new(volume.name.as_str())?.begins_with(prefix);
            ours.then_some(Volume { served: None, ..volume })
        };
        let all = talk.all(A::RESOURCE, &query, ours).await?;
        Ok(once_each(all.into_iter()))
    }

    async fn find(&self, ids: &[String]) -> Result<Vec<Volume>, Error> {
        let talk = self.long_talk();
        let mut found = Vec::new();
        for some in ids.chunks(AT_ONCE) {
            let filter = one_of("id", some);
            let asked_for = |item: A::Item| {
                let volume: Volume = item.into();
                some.contains(&volume.id).then_some(Volume { served: None, ..volume })
            };
            found.extend(talk.all(A::RESOURCE, &[("filter", &filter)], asked_for).await?);
        }
        Ok(once_each(found.into_iter()))
    }

    async fn rename(&self, from: &VolumeName, to: &VolumeName) -> Result<(), Error> {
        // By its name: whoever has renamed it first was faster.
        let query = [("names", from.as_str())];
        let body = json!({ "name": to.as_str() });
        let change = self.talk().change(Method::PATCH, A::RESOURCE, &query, Some(&body));
        let _: Vec<A::Item> = change.await?;
        Ok(())
    }

    async fn grow(&self, volume: &VolumeId, size: u64) -> Result<Volume, Error> {
        let size = self.size(size)?;
        let goal = Grown { array: self, talk: self.talk(), volume, size };
        reach(&goal, Start::Reading).await?.ok_or_else(|| goal.unmoved())
    }

    async fn destroy(&self, volume: &VolumeId, owner: &Owner) -> Result<(), Error> {
        let talk = self.talk();
        let goal = Destroyed { array: self, talk, volume, owner };
        reach(&goal, Start::Reading).await.map(drop)
    }

    async fn snapshot(
        &self,
        volume: &VolumeId,
        suffix: &SnapshotSuffix,
    ) -> Result<Snapshot, Error> {
        A::SNAPSHOTS.take(self.rest(), self.talk(), volume, suffix).await
    }

    async fn snapshots(&self, volume: &VolumeId) -> Result<Vec<Snapshot>, Error> {
        A::SNAPSHOTS.of(self.talk(), volume).await
    }

    async fn destroy_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        A::SNAPSHOTS.destroy(self.rest(), self.talk(), snapshot).await
    }

    async fn log_out(&self) {
        self.rest().log_out().await;
    }
}

/// Returns volumes without those that came twice, as happens when objects come and go between pages.
fn once_each(volumes: impl Iterator<Item = Volume>) -> Vec<Volume> {
    let mut seen = HashSet::new();
    volumes.filter(|volume| seen.insert(volume.id.clone())).collect()
}

/// Fails when an object that has a volume's id has another name: somebody has taken it for something
/// else.
fn same(rest: &Rest, volume: &VolumeId, there: &Volume) -> Result<(), Error> {
    if volume.name.is(&there.name) {
        return Ok(());
    }
    let why = format!("it is called {} now", there.name);
    Err(rest.error(Kind::NotOurs { name: volume.name.to_string(), why }))
}

struct Grown<'a, A> {
    array: &'a A,
    talk: Talk<'a>,
    volume: &'a VolumeId,
    size: u64,
}

impl<A: Living> Goal for Grown<'_, A> {
    type Object = Volume;
    type Step = ();

    async fn read(&self) -> Result<Option<Volume>, Error> {
        self.array.by_id(self.talk, &self.volume.id).await
    }

    fn next(&self, there: Option<&Volume>) -> Result<Option<()>, Error> {
        let Some(there) = there.filter(|there| !there.destroyed) else {
            let name = self.volume.name.to_string();
            return Err(self.array.rest().error(Kind::NotFound { name }));
        };
        same(self.array.rest(), self.volume, there)?;
        Ok((there.size < self.size).then_some(()))
    }

    async fn take(&self, (): &()) -> Result<Option<Volume>, Error> {
        self.array.resize(self.talk, &self.volume.id, self.size).await
    }

    fn unmoved(&self) -> Error {
        let cause = format!("{} is said to be grown, and is not", self.volume.name);
        self.array.rest().malformed(&cause)
    }
}

struct Destroyed<'a, A> {
    array: &'a A,
    talk: Talk<'a>,
    volume: &'a VolumeId,
    owner: &'a Owner,
}

impl<A: Living> Goal for Destroyed<'_, A> {
    type Object = Volume;
    type Step = ();

    async fn read(&self) -> Result<Option<Volume>, Error> {
        self.array.by_id(self.talk, &self.volume.id).await
    }

    fn next(&self, there: Option<&Volume>) -> Result<Option<()>, Error> {
        let Some(there) = there.filter(|there| !there.destroyed) else { return Ok(None) };
        same(self.array.rest(), self.volume, there)?;
        if there.connections > 0 {
            let name = there.name.clone();
            let by = format!("{} hosts are connected", there.connections);
            return Err(self.array.rest().error(Kind::InUse { name, by }));
        }
        Ok(Some(()))
    }

    async fn take(&self, (): &()) -> Result<Option<Volume>, Error> {
        self.array.check_owner(self.talk, self.volume, self.owner).await?;
        self.array.check_unused(self.talk, self.volume).await?;
        self.array.end(self.talk, &self.volume.id).await
    }

    fn unmoved(&self) -> Error {
        let cause = format!("{} is said to be destroyed, and is not", self.volume.name);
        self.array.rest().malformed(&cause)
    }
}
