//! Applies objects to a cluster and deletes them again, for the demo, as `kubectl apply --server-side` does.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiCapabilities, ApiResource, Scope, pinned_kind};
use kube::{Api, Client};
use serde_json::Value as Json;

/// The field manager.
const MANAGER: &str = "pso-gen-demo";

/// Objects that were applied, and can be deleted again.
#[derive(Default)]
pub struct Applied {
    /// Kinds that the cluster does not have; objects of these kinds were skipped.
    pub unknown: BTreeSet<String>,
    /// Objects without a namespace, in the order in which they were applied.
    whole: Vec<(ApiResource, String)>,
    kinds: HashMap<GroupVersionKind, Option<(ApiResource, ApiCapabilities)>>,
}

impl Applied {
    /// Applies objects in their order. Objects with a namespace are deleted with it.
    pub async fn apply(&mut self, client: &Client, objects: &[Json]) -> Result<(), kube::Error> {
        for object in objects {
            let word = |value: &Json| value.as_str().unwrap_or_default().to_owned();
            let (group, version) = match object["apiVersion"].as_str().unwrap_or_default() {
                version if !version.contains('/') => ("", version),
                both => both.split_once('/').unwrap_or_default(),
            };
            let kind = GroupVersionKind::gvk(group, version, &word(&object["kind"]));
            let Some((resource, capabilities)) = self.kind(client, &kind).await? else {
                self.unknown.insert(kind.kind);
                continue;
            };
            let metadata = &object["metadata"];
            let name = word(&metadata["name"]);
            let api: Api<DynamicObject> = if capabilities.scope == Scope::Namespaced {
                Api::namespaced_with(client.clone(), &word(&metadata["namespace"]), &resource)
            } else {
                self.whole.push((resource.clone(), name.clone()));
                Api::all_with(client.clone(), &resource)
            };
            let params = PatchParams::apply(MANAGER).force();
            api.patch(&name, &params, &Patch::Apply(object)).await?;
        }
        Ok(())
    }

    async fn kind(
        &mut self,
        client: &Client,
        kind: &GroupVersionKind,
    ) -> Result<Option<(ApiResource, ApiCapabilities)>, kube::Error> {
        if let Some(known) = self.kinds.get(kind) {
            return Ok(known.clone());
        }
        let found = match pinned_kind(client, kind).await {
            Ok(found) => Some(found),
            Err(kube::Error::Discovery(_)) => None,
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => return Err(error),
        };
        self.kinds.insert(kind.clone(), found.clone());
        Ok(found)
    }

    /// Deletes the objects, the last one first; a namespace is deleted with its content. The classes stay, so that
    /// released volumes can still be processed: see [`finish`](Self::finish).
    pub async fn delete(&mut self, client: &Client) -> Result<(), kube::Error> {
        let (classes, others) =
            self.whole.drain(..).partition(|(resource, _)| resource.kind == "StorageClass");
        self.whole = classes;
        for (resource, name) in others.into_iter().rev() {
            delete(client, &resource, &name).await?;
        }
        Ok(())
    }

    /// Deletes the classes.
    pub async fn finish(&mut self, client: &Client) -> Result<(), kube::Error> {
        for (resource, name) in self.whole.drain(..).rev() {
            delete(client, &resource, &name).await?;
        }
        Ok(())
    }
}

async fn delete(client: &Client, resource: &ApiResource, name: &str) -> Result<(), kube::Error> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), resource);
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

/// The state of a cluster before a demo.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Names of the namespaces.
    pub namespaces: Vec<String>,
    /// The number of nodes.
    pub nodes: usize,
}

/// Reads the state of a cluster before a demo.
pub async fn before(client: &Client) -> Result<Before, kube::Error> {
    let all = ListParams::default();
    let classes = Api::<StorageClass>::all(client.clone()).list(&all).await?;
    let namespaces = Api::<Namespace>::all(client.clone()).list(&all).await?;
    let nodes = Api::<Node>::all(client.clone()).list_metadata(&all).await?;
    Ok(Before {
        classes: classes.into_iter().filter_map(|class| class.metadata.name).collect(),
        namespaces: namespaces
            .into_iter()
            .filter_map(|namespace| namespace.metadata.name)
            .collect(),
        nodes: nodes.items.len(),
    })
}
