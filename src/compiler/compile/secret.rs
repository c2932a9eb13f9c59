//! Secrets without data, and the step that fills them once, in the cluster.
//!
//! Nothing random is ever rendered: Git would hold it, and every sync would show a difference. The
//! step may read and change these Secrets by name and nothing else; it keeps existing values.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile,
    Secret, ServiceAccount, Volume, VolumeMount,
};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest, Sha256};

use super::config::{Script, short};
use super::container::{PodVolumes, scripts_mount, small, unprivileged};
use super::names::labels;
use super::{Context, wave};
use crate::compiler::blueprint::{App, Secret as Filled};
use crate::compiler::manifest::Object;
use crate::contract::annotation;

/// The script, and its key among the app\'s files.
const SCRIPT: Script = ("fill-secret.sh", include_str!("fill-secret.sh"));
/// Name of the step, as a component's.
pub(super) const PART: &str = "secrets";
/// A user that owns nothing.
const NOBODY: i64 = 65532;

/// Whether the app has a Secret to fill.
pub(super) fn is_needed(app: &App) -> bool {
    app.secrets.values().any(Filled::is_filled)
}

/// Returns the script when it is needed.
pub(super) fn script(app: &App) -> Option<Script> {
    is_needed(app).then_some(SCRIPT)
}

/// The Secrets, and what fills them.
pub(super) fn secrets(context: &Context<'_>) -> Vec<Object> {
    let app = context.app;
    if !is_needed(app) {
        return Vec::new();
    }
    let new = app.secrets.values().filter(|secret| secret.is_filled());
    let mut objects: Vec<Object> = new
        .map(|secret| {
            let mut metadata = context.metadata(secret.name.clone(), "", wave::CONFIG);
            // Its contents exist once: without it, a database is locked.
            let (key, value) = super::claim::KEEP;
            if app.volumes.values().any(|volume| volume.keep) {
                metadata
                    .annotations
                    .get_or_insert_default()
                    .insert(key.to_owned(), value.to_owned());
            }
            Object::from(Secret { metadata, type_: Some("Opaque".to_owned()), ..Secret::default() })
        })
        .collect();
    let name = app.object_name(PART);
    let metadata = || context.metadata(name.clone(), PART, wave::CONFIG);
    objects.push(Object::from(ServiceAccount {
        metadata: metadata(),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }));
    objects.push(Object::from(Role { metadata: metadata(), rules: Some(vec![rule(app)]) }));
    objects.push(Object::from(RoleBinding {
        metadata: metadata(),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name,
            namespace: app.namespace.clone(),
            api_group: None,
        }]),
    }));
    objects.push(job(context));
    objects
}

fn rule(app: &App) -> PolicyRule {
    let names = app.secrets.values().filter(|secret| secret.is_filled());
    PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["secrets".to_owned()]),
        resource_names: Some(names.map(|secret| secret.name.clone()).collect()),
        verbs: ["get", "patch"].map(str::to_owned).to_vec(),
        non_resource_urls: None,
    }
}

/// A finished Job stays, since a sync would make it again; a changed one has another name, since a
/// Job cannot be changed.
fn job(context: &Context<'_>) -> Object {
    let app = context.app;
    let template = pods(context);
    let digest = serde_json::to_vec(&template).map(|bytes| short(&Sha256::digest(bytes)));
    let name = format!("{}-{}", app.object_name(PART), digest.unwrap_or_default());
    Object::from(Job {
        metadata: context.metadata(name, PART, wave::SECRETS),
        spec: Some(JobSpec { backoff_limit: Some(10), template, ..JobSpec::default() }),
        status: None,
    })
}

fn pods(context: &Context<'_>) -> PodTemplateSpec {
    let app = context.app;
    let mut volumes = PodVolumes::default();
    let script = volumes.script(SCRIPT.0);
    let new = app.secrets.iter().filter(|(_, secret)| secret.is_filled());
    let containers = new.map(|(part, secret)| {
        let keys = secret.keys.iter().map(|(key, key_spec)| format!("{key}={}", key_spec.length));
        Container {
            name: part.clone(),
            image: Some(app.helper.clone()),
            command: Some(vec!["sh".to_owned(), script.clone(), secret.name.clone()]),
            args: Some(keys.collect()),
            volume_mounts: Some(vec![
                scripts_mount(),
                VolumeMount {
                    name: "tmp".to_owned(),
                    mount_path: "/tmp".to_owned(),
                    ..VolumeMount::default()
                },
            ]),
            resources: Some(small()),
            security_context: Some(unprivileged(true)),
            ..Container::default()
        }
    });
    let containers = containers.collect();
    let hash = context.hash(volumes.file_keys());
    let mut volumes = volumes.finish(app);
    volumes.push(Volume {
        name: "tmp".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: Some("Memory".to_owned()),
            size_limit: Some(Quantity("1Mi".to_owned())),
        }),
        ..Volume::default()
    });
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels(app, PART)),
            annotations: hash.map(|hash| [(annotation::CONFIG.to_owned(), hash)].into()),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(app.object_name(PART)),
            automount_service_account_token: Some(true),
            enable_service_links: Some(false),
            restart_policy: Some("Never".to_owned()),
            containers,
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(NOBODY),
                run_as_group: Some(NOBODY),
                fs_group: Some(NOBODY),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            volumes: Some(volumes),
            ..PodSpec::default()
        }),
    }
}
