//! Snapshots, which both arrays have in nearly the same form.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::bounded::{id, maybe, maybe_id, word};
use super::convergence::{Goal, Start, reach};
use super::error::{Error, Kind};
use super::rest::{Rest, Talk, quoted};
use crate::contract::{Snapshot, SnapshotSuffix, VolumeId};

/// The snapshots of one kind of array.
#[derive(Debug, Clone, Copy)]
pub(super) struct SnapshotResource {
    /// Where they are.
    pub(super) resource: &'static str,
    /// Field that refers to the volume.
    pub(super) of: &'static str,
}

impl SnapshotResource {
    /// Takes a snapshot, or finds the one of that name.
    pub(super) async fn take(
        self,
        rest: &Rest,
        talk: Talk<'_>,
        volume: &VolumeId,
        suffix: &SnapshotSuffix,
    ) -> Result<Snapshot, Error> {
        let goal = Taken { kind: self, rest, talk, volume, suffix };
        let taken = reach(&goal, Start::Nothing).await?.ok_or_else(|| goal.unmoved())?;
        Ok(taken.snapshot())
    }

    /// Returns a volume's snapshots.
    pub(super) async fn of(
        self,
        talk: Talk<'_>,
        volume: &VolumeId,
    ) -> Result<Vec<Snapshot>, Error> {
        let filter = quoted(&format!("{}.id", self.of), &volume.id);
        let all: Vec<Item> = talk.list(self.resource, &[("filter", &filter)]).await?;
        let mut all: Vec<Snapshot> = all.into_iter().map(Item::snapshot).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|a, b| a.id == b.id);
        Ok(all)
    }

    /// Destroys a snapshot.
    pub(super) async fn destroy(
        self,
        rest: &Rest,
        talk: Talk<'_>,
        snapshot: &Snapshot,
    ) -> Result<(), Error> {
        let goal = Ended { kind: self, rest, talk, snapshot };
        reach(&goal, Start::Reading).await.map(drop)
    }

    async fn find(self, talk: Talk<'_>, filter: &str) -> Result<Option<Item>, Error> {
        talk.find(self.resource, filter).await
    }

    async fn set_destroyed(
        self,
        talk: Talk<'_>,
        id: &str,
        destroyed: bool,
    ) -> Result<Option<Item>, Error> {
        let body = json!({ "destroyed": destroyed });
        let mut items =
            talk.change(Method::PATCH, self.resource, &[("ids", id)], Some(&body)).await?;
        Ok(items.pop())
    }
}

struct Taken<'a> {
    kind: SnapshotResource,
    rest: &'a Rest,
    talk: Talk<'a>,
    volume: &'a VolumeId,
    suffix: &'a SnapshotSuffix,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Take,
    /// The one with an id.
    Recover(String),
}

impl Taken<'_> {
    fn name(&self) -> String {
        format!("{}.{}", self.volume.name, self.suffix)
    }
}

impl Goal for Taken<'_> {
    type Object = Item;
    type Step = Step;

    async fn read(&self) -> Result<Option<Item>, Error> {
        self.kind.find(self.talk, &quoted("name", &self.name())).await
    }

    fn next(&self, there: Option<&Item>) -> Result<Option<Step>, Error> {
        let Some(there) = there else { return Ok(Some(Step::Take)) };
        if there.volume().is_some_and(|volume| volume.id.as_ref() != Some(&self.volume.id)) {
            let why = "it is of another volume of that name".to_owned();
            return Err(self.rest.error(Kind::NotOurs { name: self.name(), why }));
        }
        Ok((there.destroyed == Some(true)).then(|| Step::Recover(there.id.clone())))
    }

    async fn take(&self, step: &Step) -> Result<Option<Item>, Error> {
        match step {
            Step::Recover(id) => self.kind.set_destroyed(self.talk, id, false).await,
            Step::Take => {
                let body = json!({"suffix": self.suffix.to_string()});
                let query = [("source_ids", self.volume.id.as_str())];
                let resource = self.kind.resource;
                let mut taken =
                    self.talk.change(Method::POST, resource, &query, Some(&body)).await?;
                Ok(taken.pop())
            }
        }
    }

    fn unmoved(&self) -> Error {
        self.rest.malformed(&format!("{} is said to be taken, and is not there", self.name()))
    }
}

struct Ended<'a> {
    kind: SnapshotResource,
    rest: &'a Rest,
    talk: Talk<'a>,
    snapshot: &'a Snapshot,
}

impl Goal for Ended<'_> {
    type Object = Item;
    type Step = ();

    async fn read(&self) -> Result<Option<Item>, Error> {
        self.kind.find(self.talk, &quoted("id", &self.snapshot.id)).await
    }

    fn next(&self, there: Option<&Item>) -> Result<Option<()>, Error> {
        Ok(there.and_then(|there| (there.destroyed != Some(true)).then_some(())))
    }

    async fn take(&self, (): &()) -> Result<Option<Item>, Error> {
        self.kind.set_destroyed(self.talk, &self.snapshot.id, true).await
    }

    fn unmoved(&self) -> Error {
        let name = &self.snapshot.name;
        self.rest.malformed(&format!("{name} is said to be destroyed, and is not"))
    }
}

#[derive(Debug, Deserialize)]
struct Item {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(deserialize_with = "word")]
    name: String,
    created: Option<u64>,
    destroyed: Option<bool>,
    provisioned: Option<u64>,
    /// A FlashBlade's reference to the file system.
    owner: Option<Reference>,
    /// A FlashArray's reference to the volume; a FlashBlade's to the file system of another array, too.
    source: Option<Reference>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    #[serde(default, deserialize_with = "maybe_id")]
    id: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    name: Option<String>,
}

impl Item {
    fn volume(&self) -> Option<&Reference> {
        self.owner.as_ref().or(self.source.as_ref())
    }

    fn snapshot(self) -> Snapshot {
        let volume = self.volume().and_then(|volume| volume.name.clone()).unwrap_or_default();
        Snapshot {
            volume,
            name: self.name,
            id: self.id,
            created: self.created,
            destroyed: self.destroyed == Some(true),
            size: self.provisioned,
        }
    }
}
