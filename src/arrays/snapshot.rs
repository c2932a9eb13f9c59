//! Snapshots, which both arrays represent in nearly the same form.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::bounded::{id, maybe, maybe_id, word};
use super::convergence::{DesiredState, Start, converge};
use super::error::{Error, Kind};
use super::rest::{Operation, Rest, quoted};
use crate::contract::{Snapshot, SnapshotOf, SnapshotSuffix, VolumeId};

/// The snapshot resource of one kind of array.
#[derive(Debug, Clone, Copy)]
pub(super) struct SnapshotResource {
    /// Path of the resource.
    pub(super) resource: &'static str,
    /// Name of the field that refers to the volume.
    pub(super) of: &'static str,
}

impl SnapshotResource {
    /// Takes a snapshot, or returns the existing one of that name.
    pub(super) async fn take(
        self,
        rest: &Rest,
        operation: Operation<'_>,
        volume: &VolumeId,
        suffix: &SnapshotSuffix,
    ) -> Result<Snapshot, Error> {
        let state = TakeSnapshot { kind: self, rest, operation, volume, suffix };
        let taken =
            converge(&state, Start::AssumeAbsent).await?.ok_or_else(|| state.not_applied())?;
        Ok(taken.snapshot())
    }

    /// Returns a volume's snapshots.
    pub(super) async fn of(
        self,
        operation: Operation<'_>,
        volume: &VolumeId,
    ) -> Result<Vec<Snapshot>, Error> {
        let filter = quoted(&format!("{}.id", self.of), &volume.id);
        let all: Vec<Item> = operation.list(self.resource, &[("filter", &filter)]).await?;
        let mut all: Vec<Snapshot> = all.into_iter().map(Item::snapshot).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|a, b| a.id == b.id);
        Ok(all)
    }

    /// Returns the snapshots whose names match a pattern in which `*` stands for any characters, each with the id of
    /// its volume.
    pub(super) async fn like(
        self,
        operation: Operation<'_>,
        pattern: &str,
    ) -> Result<Vec<SnapshotOf>, Error> {
        let filter = quoted("name", pattern);
        let mut all = operation.all(self.resource, &[("filter", &filter)], Item::of_volume).await?;
        all.sort_by(|a: &SnapshotOf, b| a.snapshot.id.cmp(&b.snapshot.id));
        all.dedup_by(|a, b| a.snapshot.id == b.snapshot.id);
        Ok(all)
    }

    /// Returns the snapshot with an id, with the id of its volume.
    pub(super) async fn by_id(
        self,
        operation: Operation<'_>,
        id: &str,
    ) -> Result<Option<SnapshotOf>, Error> {
        let found = self.find(operation, &quoted("id", id)).await?;
        Ok(found.filter(|found| found.id == id).and_then(Item::of_volume))
    }

    /// Destroys a snapshot.
    pub(super) async fn destroy(
        self,
        rest: &Rest,
        operation: Operation<'_>,
        snapshot: &Snapshot,
    ) -> Result<(), Error> {
        let state = DestroySnapshot { kind: self, rest, operation, snapshot };
        converge(&state, Start::Read).await.map(drop)
    }

    async fn find(self, operation: Operation<'_>, filter: &str) -> Result<Option<Item>, Error> {
        operation.find(self.resource, filter).await
    }

    async fn set_destroyed(
        self,
        operation: Operation<'_>,
        id: &str,
        destroyed: bool,
    ) -> Result<Option<Item>, Error> {
        let body = json!({ "destroyed": destroyed });
        let mut items =
            operation.change(Method::PATCH, self.resource, &[("ids", id)], Some(&body)).await?;
        Ok(items.pop())
    }
}

struct TakeSnapshot<'a> {
    kind: SnapshotResource,
    rest: &'a Rest,
    operation: Operation<'a>,
    volume: &'a VolumeId,
    suffix: &'a SnapshotSuffix,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Take,
    /// Recovers the snapshot with this id.
    Recover(String),
}

impl TakeSnapshot<'_> {
    fn name(&self) -> String {
        format!("{}.{}", self.volume.name, self.suffix)
    }
}

impl DesiredState for TakeSnapshot<'_> {
    type Object = Item;
    type Step = Step;

    async fn read(&self) -> Result<Option<Item>, Error> {
        self.kind.find(self.operation, &quoted("name", &self.name())).await
    }

    fn next_step(&self, current: Option<&Item>) -> Result<Option<Step>, Error> {
        let Some(current) = current else { return Ok(Some(Step::Take)) };
        if current.volume().is_some_and(|volume| volume.id.as_ref() != Some(&self.volume.id)) {
            let why = "it belongs to another volume of that name".to_owned();
            return Err(self.rest.error(Kind::NotOurs { name: self.name(), why }));
        }
        Ok((current.destroyed == Some(true)).then(|| Step::Recover(current.id.clone())))
    }

    async fn apply(&self, step: &Step) -> Result<Option<Item>, Error> {
        match step {
            Step::Recover(id) => self.kind.set_destroyed(self.operation, id, false).await,
            Step::Take => {
                let body = json!({"suffix": self.suffix.to_string()});
                let query = [("source_ids", self.volume.id.as_str())];
                let resource = self.kind.resource;
                let mut taken =
                    self.operation.change(Method::POST, resource, &query, Some(&body)).await?;
                Ok(taken.pop())
            }
        }
    }

    fn not_applied(&self) -> Error {
        self.rest.malformed(&format!(
            "the array reported that {} was taken, but it does not exist",
            self.name()
        ))
    }
}

struct DestroySnapshot<'a> {
    kind: SnapshotResource,
    rest: &'a Rest,
    operation: Operation<'a>,
    snapshot: &'a Snapshot,
}

impl DesiredState for DestroySnapshot<'_> {
    type Object = Item;
    type Step = ();

    async fn read(&self) -> Result<Option<Item>, Error> {
        self.kind.find(self.operation, &quoted("id", &self.snapshot.id)).await
    }

    fn next_step(&self, current: Option<&Item>) -> Result<Option<()>, Error> {
        Ok(current.and_then(|current| (current.destroyed != Some(true)).then_some(())))
    }

    async fn apply(&self, (): &()) -> Result<Option<Item>, Error> {
        self.kind.set_destroyed(self.operation, &self.snapshot.id, true).await
    }

    fn not_applied(&self) -> Error {
        let name = &self.snapshot.name;
        self.rest.malformed(&format!(
            "the array reported that {name} was destroyed, but it still exists"
        ))
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
    /// A FlashArray's reference to the volume. On a FlashBlade it also refers to the file system of another array.
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

    /// Returns the snapshot with the id of its volume; none if the array does not report the volume.
    fn of_volume(self) -> Option<SnapshotOf> {
        let volume_id = self.volume()?.id.clone()?;
        Some(SnapshotOf { snapshot: self.snapshot(), volume_id })
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
