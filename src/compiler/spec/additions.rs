//! What an app file adds to one component or job: variables, files, arguments, sidecars, placement, labels. Their doc
//! comments are the reference page. Whether the component allows an addition is unknown here.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::contract::{Placement, Resources};

/// What an app file adds to one component or job.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Additions {
    /// Further environment variables: text, `{secret: NAME/KEY}` or `{configMap: NAME/KEY}` for a key of a Secret or
    /// ConfigMap in the app's namespace, or `{field: metadata.name}` for a field of the pod. The steps before the
    /// start and the jobs that are like the component have them too; a job's own value has precedence. Variables that the
    /// blueprint sets or reserves are refused. A changed Secret or ConfigMap takes effect at the next start.
    #[schemars(example = example_of_env(), extend("propertyNames" = {"format": "variable"}))]
    pub env: BTreeMap<String, AddedValue>,
    /// Further single files, by their path in the container: `{secret: NAME/KEY}`, `{configMap: NAME/KEY}`, or
    /// `{content: TEXT}`. The steps before the start and the jobs that are like the component have them too. A path of
    /// the app, or inside one of its volumes, is refused. A changed `content` restarts the pods; a changed Secret or
    /// ConfigMap takes effect at their next start.
    #[schemars(extend("propertyNames" = {"format": "path"}))]
    pub files: BTreeMap<String, AddedFile>,
    /// Further read-only folders, by their path in the container, with all keys of a Secret or ConfigMap:
    /// `{secret: NAME}` or `{configMap: NAME}`. Like `files`, also in steps and jobs; Kubernetes updates them in a
    /// running pod.
    #[schemars(extend("propertyNames" = {"format": "path"}))]
    pub mounts: BTreeMap<String, AddedFolder>,
    /// Further arguments, after those of the blueprint. Refused for a component that runs its image's own command
    /// without arguments.
    pub args: Vec<String>,
    /// Further containers in each pod of the component, which run beside it: an exporter, a log shipper. They run
    /// without root and without capabilities, as the component does. A sidecar that ends is started again, and until
    /// then its pod is not ready. Jobs cannot have sidecars.
    pub sidecars: Vec<Sidecar>,
    /// Nodes that the pods may run on, in place of the app's `place`, also for the jobs that are like the component or
    /// that share a block volume with it.
    pub place: Option<Placement>,
    /// Labels for the component's pods and its objects. A change restarts the pods.
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "label"},
    ))]
    pub labels: BTreeMap<String, String>,
    /// Annotations for the component's pods and its objects. A change restarts the pods.
    #[schemars(extend("propertyNames" = {"format": "label-key"}))]
    pub annotations: BTreeMap<String, String>,
}

fn example_of_env() -> serde_json::Value {
    serde_json::json!({"LICENSE_KEY": {"secret": "license/key"}})
}

fn example_of_resources() -> serde_json::Value {
    serde_json::json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}})
}

/// A kind of objects that have keys with values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

impl ObjectKind {
    /// Returns the kind in Kubernetes.
    pub fn word(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }

    /// Returns the parts of a reference, `NAME/KEY`.
    pub fn key(self, reference: &str) -> KeyOf<'_> {
        let (object, key) = reference.split_once('/').unwrap_or((reference, ""));
        KeyOf { kind: self, object, key }
    }
}

/// A key of an object in the app's namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyOf<'t> {
    /// Kind of the object.
    pub kind: ObjectKind,
    /// Name of the object.
    pub object: &'t str,
    /// Key in the object.
    pub key: &'t str,
}

/// The value of an added variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddedValue {
    /// Text.
    Text(String),
    /// A key of an object, `NAME/KEY`.
    Key(ObjectKind, String),
    /// A field of the pod.
    Field(String),
    /// A mapping with no field or several. The check of the app reports it.
    Ambiguous,
}

/// The long form of an added variable: exactly one of the fields.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ValueFields {
    /// A key of a Secret in the app's namespace, `NAME/KEY`.
    #[schemars(extend("format" = "object-key"))]
    secret: Option<String>,
    /// A key of a ConfigMap in the app's namespace, `NAME/KEY`.
    #[schemars(extend("format" = "object-key"))]
    config_map: Option<String>,
    /// A field of the pod, such as `metadata.name` or `status.podIP`.
    #[schemars(extend("format" = "pod-field"))]
    field: Option<String>,
}

impl<'de> Deserialize<'de> for AddedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = AddedValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or a mapping with `secret`, `configMap` or `field`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AddedValue, E> {
                Ok(AddedValue::Text(text.to_owned()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<AddedValue, A::Error> {
                let fields = ValueFields::deserialize(de::value::MapAccessDeserializer::new(map))?;
                match (fields.secret, fields.config_map, fields.field) {
                    (Some(secret), None, None) => Ok(AddedValue::Key(ObjectKind::Secret, secret)),
                    (None, Some(map), None) => Ok(AddedValue::Key(ObjectKind::ConfigMap, map)),
                    (None, None, Some(field)) => Ok(AddedValue::Field(field)),
                    _ => Ok(AddedValue::Ambiguous),
                }
            }
        }
        // The scalar as written: `007` and `yes` are texts.
        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for AddedValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AddedValue".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let fields = generator.subschema_for::<ValueFields>();
        json_schema!({"anyOf": [{"type": "string"}, fields]})
    }
}

/// An added file: exactly one of `secret`, `configMap` and `content`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AddedFile {
    /// A key of a Secret in the app's namespace, `NAME/KEY`.
    #[schemars(extend("format" = "object-key"))]
    pub secret: Option<String>,
    /// A key of a ConfigMap in the app's namespace, `NAME/KEY`.
    #[schemars(extend("format" = "object-key"))]
    pub config_map: Option<String>,
    /// Content of the file. It is not for secrets.
    pub content: Option<String>,
    /// Mode in octal, such as `0555`. If omitted, 0444, and 0440 for a key of a Secret.
    #[schemars(extend("format" = "mode"))]
    pub mode: Option<String>,
}

/// Source of an added file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSource<'f> {
    /// A key of an object.
    Key(KeyOf<'f>),
    /// Text.
    Content(&'f str),
}

impl AddedFile {
    /// Returns the source, if exactly one is set.
    pub fn source(&self) -> Option<FileSource<'_>> {
        match (&self.secret, &self.config_map, &self.content) {
            (Some(key), None, None) => Some(FileSource::Key(ObjectKind::Secret.key(key))),
            (None, Some(key), None) => Some(FileSource::Key(ObjectKind::ConfigMap.key(key))),
            (None, None, Some(text)) => Some(FileSource::Content(text)),
            _ => None,
        }
    }

    /// Returns the mode.
    pub fn mode(&self) -> i32 {
        let written = self.mode.as_deref().and_then(|mode| i32::from_str_radix(mode, 8).ok());
        written.unwrap_or(if self.secret.is_some() { 0o440 } else { 0o444 })
    }
}

/// An added folder: either `secret` or `configMap`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AddedFolder {
    /// Name of a Secret in the app's namespace.
    #[schemars(extend("format" = "subdomain"))]
    pub secret: Option<String>,
    /// Name of a ConfigMap in the app's namespace.
    #[schemars(extend("format" = "subdomain"))]
    pub config_map: Option<String>,
}

impl AddedFolder {
    /// Returns kind and name of the object, if exactly one is set.
    pub fn source(&self) -> Option<(ObjectKind, &str)> {
        match (&self.secret, &self.config_map) {
            (Some(name), None) => Some((ObjectKind::Secret, name)),
            (None, Some(name)) => Some((ObjectKind::ConfigMap, name)),
            _ => None,
        }
    }
}

/// A container beside a component.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sidecar {
    /// Name of the container.
    #[schemars(extend("format" = "name"))]
    pub name: String,
    /// Image with a full version.
    #[schemars(extend("format" = "image"))]
    pub image: String,
    /// Command in place of the image's entrypoint.
    #[serde(default)]
    pub command: Vec<String>,
    /// Arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment variables, as in `env` of the component.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "variable"}))]
    pub env: BTreeMap<String, AddedValue>,
    /// Files by path, as in `files` of the component. They are the sidecar's alone.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "path"}))]
    pub files: BTreeMap<String, AddedFile>,
    /// Folders by path, as in `mounts` of the component. They are the sidecar's alone.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "path"}))]
    pub mounts: BTreeMap<String, AddedFolder>,
    /// Volumes of the component, by name: the path at which the sidecar reads them. It cannot write to them.
    #[serde(default)]
    #[schemars(extend("additionalProperties" = {"type": "string", "format": "path"}))]
    pub volumes: BTreeMap<String, String>,
    /// Ports by name, such as `metrics: 9205`. The app's NetworkPolicies keep other pods from connecting to them: add a
    /// policy of your own for those that may.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
    /// User ID that it runs as, other than 0. If omitted, that of the component.
    #[serde(default)]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub user: Option<u32>,
    /// Whether the image's own files are read-only.
    #[serde(default = "yes")]
    pub read_only_root: bool,
    /// Requests and limits of the sidecar: it needs requests of `cpu` and `memory`, and a limit of `memory`.
    #[schemars(example = example_of_resources())]
    pub resources: Resources,
}

fn yes() -> bool {
    true
}
