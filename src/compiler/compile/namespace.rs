//! The Namespace of one or several apps, labelled with the Pod Security profile that they meet.
//!
//! <https://kubernetes.io/docs/concepts/security/pod-security-admission/>

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::claim::KEEP;
use super::wave;
use crate::compiler::manifest::Object;
use crate::compiler::spec::Profile;
use crate::contract::{MANAGER, annotation, label};

/// Returns the Namespace. If claims hold data that outlives their app, the Namespace is kept as well: deleting it
/// would delete all claims.
pub fn namespace(name: &str, profile: Profile, holds_data: bool) -> Object {
    let profile = profile.word().to_owned();
    let labels = [
        (label::MANAGED_BY, MANAGER.to_owned()),
        ("pod-security.kubernetes.io/enforce", profile.clone()),
        ("pod-security.kubernetes.io/audit", profile.clone()),
        ("pod-security.kubernetes.io/warn", profile),
    ];
    let mut annotations: BTreeMap<String, String> =
        [(annotation::SYNC_WAVE.to_owned(), wave::NAMESPACE.to_string())].into();
    if holds_data {
        annotations.insert(KEEP.0.to_owned(), KEEP.1.to_owned());
    }
    Object::from(Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value)).into()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    })
}
