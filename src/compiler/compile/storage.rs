//! The storage document's objects: `StorageClasses`, `ResourceQuotas`, the provisioner, the CSI services and the node service.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value as Json, json};

use super::storage_class::{Storage, classes, metadata};
use super::{flux, platform, wave};
use crate::compiler::blueprint::PURE_FILE;
use crate::compiler::manifest::{self, Object};
use crate::contract::StorageSpec;
use crate::contract::annotation;

/// Compiles a storage document to objects.
pub fn storage(storage: &Storage<'_>) -> Vec<Object> {
    let mut classes = classes(storage);
    // Every document has this class.
    if let Some(class) = classes.iter_mut().find(|c| c.metadata.name.as_deref() == Some(PURE_FILE))
    {
        class.metadata.annotations.get_or_insert_default().extend(remembered(storage.spec));
    }
    let classes = classes.into_iter().map(Object::from);
    let provisioner = storage.spec.provisioner.iter();
    let provisioner = provisioner.flat_map(|own| platform::platform(storage, own));
    let mut objects: Vec<Object> = classes.chain(quotas(storage.spec)).chain(provisioner).collect();
    objects.extend(platform::csi_services(storage));
    objects.extend(platform::node_service(storage));
    flux::keep(&mut objects);
    manifest::sort(&mut objects);
    objects
}

/// Returns the fields of this document that later runs compare with.
fn remembered(spec: &StorageSpec) -> [(String, String); 2] {
    let arrays = spec.arrays.iter().map(|array| {
        let mut fields = json!({"type": array.r#type.word()});
        for (field, value) in [("id", &array.id), ("data", &array.data)] {
            if let Some(value) = value {
                fields[field] = json!(value);
            }
        }
        (array.name.clone(), fields)
    });
    let arrays: BTreeMap<String, Json> = arrays.collect();
    [
        (annotation::CLUSTER.to_owned(), spec.cluster.clone()),
        (annotation::ARRAYS.to_owned(), json!(arrays).to_string()),
    ]
}

/// Returns one ResourceQuota for each namespace, with the limits of all its classes.
/// <https://kubernetes.io/docs/concepts/policy/resource-quotas/#storage-resource-quota>
fn quotas(spec: &StorageSpec) -> Vec<Object> {
    let mut by_namespace: BTreeMap<&str, BTreeMap<String, Quantity>> = BTreeMap::new();
    for quota in &spec.quotas {
        let hard = by_namespace.entry(&quota.namespace).or_default();
        let key = |what: &str| format!("{}.storageclass.storage.k8s.io/{what}", quota.class);
        if let Some(claims) = quota.claims {
            hard.insert(key("persistentvolumeclaims"), Quantity(claims.to_string()));
        }
        if let Some(capacity) = &quota.capacity {
            hard.insert(key("requests.storage"), Quantity(capacity.text().to_owned()));
        }
    }
    by_namespace
        .into_iter()
        .map(|(namespace, hard)| {
            Object::from(ResourceQuota {
                metadata: metadata("pso-gen-storage", Some(namespace), wave::CONFIG),
                spec: Some(ResourceQuotaSpec { hard: Some(hard), ..ResourceQuotaSpec::default() }),
                status: None,
            })
        })
        .collect()
}
