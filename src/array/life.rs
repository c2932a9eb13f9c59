//! What is the same on both arrays for a volume that is there: it grows, and it is destroyed.

use std::collections::HashSet;
use std::future::Future;

use super::error::{Error, Kind};
use super::goal::{Goal, Start, reach};
use super::rest::{Rest, Talk};
use super::volume::{Volume, VolumeId};

/// An array's requests about one volume, which is always told by its id.
pub(super) trait Living: Sync {
    fn rest(&self) -> &Rest;

    /// Reads it.
    fn by_id(
        &self,
        talk: Talk<'_>,
        id: &str,
    ) -> impl Future<Output = Result<Option<Volume>, Error>> + Send;

    /// Sets its size, in bytes.
    fn resize(
        &self,
        talk: Talk<'_>,
        id: &str,
        size: u64,
    ) -> impl Future<Output = Result<Option<Volume>, Error>> + Send;

    /// Destroys it.
    fn end(
        &self,
        talk: Talk<'_>,
        id: &str,
    ) -> impl Future<Output = Result<Option<Volume>, Error>> + Send;
}

/// Makes a volume at least so large.
pub(super) async fn grow<A: Living>(
    array: &A,
    volume: &VolumeId,
    size: u64,
) -> Result<Volume, Error> {
    let goal = Grown { array, talk: array.rest().talk(), volume, size };
    reach(&goal, Start::Reading).await?.ok_or_else(|| goal.unmoved())
}

/// Destroys a volume.
pub(super) async fn destroy<A: Living>(array: &A, volume: &VolumeId) -> Result<(), Error> {
    let goal = Destroyed { array, talk: array.rest().talk(), volume };
    reach(&goal, Start::Reading).await.map(drop)
}

/// Returns volumes without those that came twice, as happens when objects come and go between pages.
pub(super) fn once_each(volumes: impl Iterator<Item = Volume>) -> Vec<Volume> {
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
            let (name, connections) = (there.name.clone(), there.connections);
            return Err(self.array.rest().error(Kind::InUse { name, connections }));
        }
        Ok(Some(()))
    }

    async fn take(&self, (): &()) -> Result<Option<Volume>, Error> {
        self.array.end(self.talk, &self.volume.id).await
    }

    fn unmoved(&self) -> Error {
        let cause = format!("{} is said to be destroyed, and is not", self.volume.name);
        self.array.rest().malformed(&cause)
    }
}
