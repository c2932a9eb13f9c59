//! Reads a VolumeSnapshot and its VolumeSnapshotContent. Decides nothing, and knows no arrays: what the objects say is read in
//! `decide`.

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value as Json;

use super::effect_error::refused;
use crate::contract::name;
use crate::provisioner::decide::{EffectError, SnapshotIds, content_of, snapshot_ids};
use crate::sanitize;

/// The maximum length of a text of another program in an event, in characters.
const WORDS: usize = 300;

/// Returns the snapshot that a VolumeSnapshot stands for; an inner error says why there is none.
pub(super) async fn read(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Result<Box<SnapshotIds>, String>, EffectError> {
    let (snapshots, contents) = (resource("VolumeSnapshot"), resource("VolumeSnapshotContent"));
    let snapshot = Api::namespaced_with(client.clone(), namespace, &snapshots);
    let snapshot = get(&snapshot, name).await?;
    let content = match content_of(snapshot.as_ref()) {
        Ok(content) => content,
        Err(why) => return Ok(Err(sanitize::line(&why, WORDS))),
    };
    let content = get(&Api::all_with(client.clone(), &contents), &content).await?;
    Ok(snapshot_ids(&snapshot.unwrap_or_default(), content.as_ref()).map(Box::new))
}

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(name::SNAPSHOT_GROUP, "v1", kind))
}

/// Returns an object; none if it, or its kind, does not exist.
async fn get(api: &Api<DynamicObject>, name: &str) -> Result<Option<Json>, EffectError> {
    let object = api.get_opt(name).await.map_err(|error| refused(&error))?;
    let json = object.map(serde_json::to_value).transpose();
    json.map_err(|error| EffectError::Cluster(sanitize::line(&error.to_string(), WORDS)))
}
