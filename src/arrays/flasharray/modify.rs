//! What CSI's Controller service asks of a FlashArray beside what every array does: limits of a volume in use, and proof of
//! its owner.

use serde_json::json;

use super::tags::Tags;
use super::{FlashArray, VolumeItem, limits};
use crate::arrays::convergence::{DesiredState, Start, converge};
use crate::arrays::error::{Error, Kind};
use crate::arrays::lifecycle::Backend;
use crate::arrays::rest::{Operation, quoted};
use crate::contract::{CloneSource, Owner, Qos, VolumeId};

impl FlashArray {
    /// Fails unless the volume's tags name the owner.
    pub async fn check_owned(&self, volume: &VolumeId, owner: &Owner) -> Result<(), Error> {
        self.check_owner(self.operation(), volume, owner).await
    }

    /// Returns whether a volume was created from a source, or empty if there is none.
    pub async fn is_from(
        &self,
        volume: &VolumeId,
        source: Option<&CloneSource>,
    ) -> Result<bool, Error> {
        Ok(Tags::read(self.operation(), &volume.id).await?.are_from(source))
    }

    /// Limits a volume, also while hosts are connected. Fails when name, id and owner do not match.
    pub async fn limit(&self, volume: &VolumeId, owner: &Owner, qos: Qos) -> Result<(), Error> {
        let operation = self.operation();
        self.check_owner(operation, volume, owner).await?;
        let state = LimitVolume { array: self, operation, volume, qos };
        converge(&state, Start::Read).await.map(drop)
    }
}

/// Ensures that a volume has limits.
struct LimitVolume<'a> {
    array: &'a FlashArray,
    operation: Operation<'a>,
    volume: &'a VolumeId,
    qos: Qos,
}

impl DesiredState for LimitVolume<'_> {
    type Object = VolumeItem;
    type Step = ();

    async fn read(&self) -> Result<Option<VolumeItem>, Error> {
        self.array.find(self.operation, &quoted("id", &self.volume.id)).await
    }

    fn next_step(&self, current: Option<&VolumeItem>) -> Result<Option<()>, Error> {
        let rest = self.array.rest();
        let name = self.volume.name.to_string();
        let Some(current) = current.filter(|current| current.destroyed != Some(true)) else {
            return Err(rest.error(Kind::NotFound { name }));
        };
        if !self.volume.name.is(&current.name) {
            let why = format!("its name is {} now", current.name);
            return Err(rest.error(Kind::NotOurs { name, why }));
        }
        Ok((!current.is_limited(self.qos)).then_some(()))
    }

    async fn apply(&self, (): &()) -> Result<Option<VolumeItem>, Error> {
        let body = json!({"qos": limits(self.qos)});
        self.array.patch(self.operation, &self.volume.id, &body).await
    }

    fn not_applied(&self) -> Error {
        let name = &self.volume.name;
        self.array.rest().malformed(&format!(
            "the array reported that {name} was limited, but its limits are unchanged"
        ))
    }
}
