//! Finds the snapshot that a VolumeSnapshot stands for, by requests to the cluster and to the array that has it. Decides
//! nothing: what the objects say is read in `decide`.

use std::sync::Arc;

use futures::future::join_all;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value as Json;

use super::arrays::Arrays;
use super::effect_error::{of_array, refused};
use crate::arrays::Array;
use crate::contract::{SnapshotSuffix, name};
use crate::provisioner::decide::{
    EffectError, RestorePoint, SnapshotIds, content_of, snapshot_ids,
};
use crate::sanitize;

/// The maximum length of a text of another program in an event, in characters.
const WORDS: usize = 300;

/// Returns the snapshot of a VolumeSnapshot; an inner error says why there is none.
pub(super) async fn find(
    client: &Client,
    arrays: &Arrays,
    namespace: &str,
    name: &str,
) -> Result<Result<Box<RestorePoint>, String>, EffectError> {
    let (snapshots, contents) = (resource("VolumeSnapshot"), resource("VolumeSnapshotContent"));
    let snapshot = Api::namespaced_with(client.clone(), namespace, &snapshots);
    let snapshot = read(&snapshot, name).await?;
    let content = match content_of(snapshot.as_ref()) {
        Ok(content) => content,
        Err(why) => return Ok(Err(sanitize::line(&why, WORDS))),
    };
    let content = read(&Api::all_with(client.clone(), &contents), &content).await?;
    match snapshot_ids(&snapshot.unwrap_or_default(), content.as_ref()) {
        Ok(ids) => on_array(arrays, ids).await,
        Err(why) => Ok(Err(why)),
    }
}

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(name::SNAPSHOT_GROUP, "v1", kind))
}

/// Returns an object; none if it, or its kind, does not exist.
async fn read(api: &Api<DynamicObject>, name: &str) -> Result<Option<Json>, EffectError> {
    let object = api.get_opt(name).await.map_err(|error| refused(&error))?;
    let json = object.map(serde_json::to_value).transpose();
    json.map_err(|error| EffectError::Cluster(sanitize::line(&error.to_string(), WORDS)))
}

/// Finds the snapshot on its array.
async fn on_array(
    arrays: &Arrays,
    ids: SnapshotIds,
) -> Result<Result<Box<RestorePoint>, String>, EffectError> {
    let Some(array) = with_id(arrays, &ids.array).await? else {
        return Ok(Err("is on an array that the storage document does not have".to_owned()));
    };
    let pattern = format!(
        "{}*.{}*",
        name::volume_prefix(&arrays.setup().cluster),
        crate::contract::CSI_PREFIX
    );
    let all = array.snapshots_like(&pattern).await.map_err(|error| of_array(&error))?;
    let mut all = all.into_iter().map(|each| each.snapshot);
    let found = all.find(|each| each.id == ids.snapshot);
    let found = found.filter(|found| !found.destroyed && SnapshotSuffix::is_of_csi(&found.name));
    Ok(match found {
        Some(snapshot) => {
            let array = array.name().to_owned();
            Ok(Box::new(RestorePoint { array, snapshot, mode: ids.mode }))
        }
        None => Err(format!("has lost its snapshot on {}", array.name())),
    })
}

/// Returns the array with an id. Fails while an array does not answer that may be it.
async fn with_id(arrays: &Arrays, id: &str) -> Result<Option<Arc<dyn Array>>, EffectError> {
    let asked = arrays.all().map(|array| async move { (array, array.identity().await) });
    let mut silent = None;
    for (array, answer) in join_all(asked).await {
        match answer {
            Ok(identity) if identity.id == id => return Ok(Some(Arc::clone(array))),
            Ok(_) => {}
            Err(error) => silent = Some(of_array(&error)),
        }
    }
    silent.map_or(Ok(None), Err)
}
