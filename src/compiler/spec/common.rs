//! Fields of every app, independent of its blueprint. Their doc comments are the reference page.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value as Json;

use super::additions::Additions;
use crate::contract::{CidrText, Placement, Quantity, Resources, SnapshotPolicy};

/// The part of an app document's `spec` that does not depend on its blueprint.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Common {
    /// The app's volumes, by name. A size alone keeps the blueprint's class, and a class alone keeps the
    /// blueprint's size, so one word switches between file and block storage.
    pub volumes: BTreeMap<String, VolumeSpec>,
    /// Existing Secrets, in place of generated ones or for values that only the developer knows: the name of the
    /// blueprint's secret, then the name of the Kubernetes Secret in the app's namespace.
    #[schemars(extend("additionalProperties" = {"type": "string", "format": "subdomain"}))]
    pub secrets: BTreeMap<String, String>,
    /// How the app is reached from outside the cluster.
    pub expose: Expose,
    /// Container images by component, in place of those of the catalogue. Pin a digest for reproducible rollouts.
    #[schemars(extend("additionalProperties" = {"type": "string", "format": "image"}))]
    pub images: BTreeMap<String, String>,
    /// CPU, memory and other resources by component or job, in place of the blueprint's.
    pub resources: BTreeMap<String, Resources>,
    /// Additions to single components and jobs: variables, files, arguments, sidecars, placement, labels. A job that is
    /// like a component has its variables, files and placement too.
    pub components: BTreeMap<String, Additions>,
    /// Network traffic to and from the app's pods.
    pub network: Network,
    /// Nodes that the pods may run on.
    pub place: Placement,
    /// Pod Security profile of the app, and ownership of its volumes.
    pub security: Security,
    /// Names of Secrets with registry credentials.
    #[schemars(extend("items" = {"type": "string", "format": "subdomain"}))]
    pub pull_secrets: Vec<String>,
    /// Whether the output contains the Namespace, labelled with the strictest Pod Security profile that the app
    /// meets. The Namespace is kept when the app is deleted, because its claims hold data.
    pub create_namespace: bool,
    /// Changes to the rendered objects, as a last resort. The result passes the same checks as everything else.
    pub patches: Vec<Patch>,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            volumes: BTreeMap::new(),
            secrets: BTreeMap::new(),
            expose: Expose::default(),
            images: BTreeMap::new(),
            resources: BTreeMap::new(),
            components: BTreeMap::new(),
            network: Network::default(),
            place: Placement::default(),
            security: Security::default(),
            pull_secrets: Vec::new(),
            create_namespace: true,
            patches: Vec::new(),
        }
    }
}

/// One volume. Omitted fields come from the blueprint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Class, such as `pure-file`.
    pub class: Option<String>,
    /// Size.
    pub size: Option<Quantity>,
    /// Name of an existing claim to mount instead of a new one.
    pub claim: Option<String>,
    /// Folder inside the claim, `.` for its top.
    pub path: Option<String>,
    /// Scheduled snapshots, in addition to those of the class. A policy that keeps fewer snapshots than the class
    /// is refused, unless the class sets `claimsMayReduce`.
    pub snapshots: Option<SnapshotPolicy>,
}

/// The long form of a volume.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct VolumeFields {
    /// Storage class: `pure-file` (FlashBlade, NFS), `pure-block` (FlashArray, iSCSI), or a class that the
    /// Storage document declares.
    #[schemars(extend("format" = "class"))]
    class: Option<String>,
    /// Size. It can be increased later, never decreased.
    size: Option<Quantity>,
    /// Name of an existing PersistentVolumeClaim to mount instead of creating one.
    #[schemars(extend("format" = "subdomain"))]
    claim: Option<String>,
    /// Folder inside the claim that is mounted, or `.` for its top. If omitted: the top on a file class, and a folder
    /// with the volume's name on a block class. Two volumes of the app may use different folders of one claim.
    #[schemars(extend("format" = "folder"))]
    path: Option<String>,
    /// Snapshots that the array takes of the volume by schedule, in addition to those of its class: a mapping with
    /// `every` and `keep`. `never`, or fewer than the class keeps, is refused unless the class sets
    /// `claimsMayReduce`.
    snapshots: Option<SnapshotPolicy>,
}

impl<'de> Deserialize<'de> for VolumeSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = VolumeSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size, a class or a mapping with both")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<VolumeSpec, E> {
                Ok(match Quantity::parse(word) {
                    Some(size) => VolumeSpec { size: Some(size), ..VolumeSpec::default() },
                    None => VolumeSpec { class: Some(word.to_owned()), ..VolumeSpec::default() },
                })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<VolumeSpec, A::Error> {
                let fields = VolumeFields::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let VolumeFields { class, size, claim, path, snapshots } = fields;
                Ok(VolumeSpec { class, size, claim, path, snapshots })
            }

            fn visit_unit<E: de::Error>(self) -> Result<VolumeSpec, E> {
                Ok(VolumeSpec::default())
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for VolumeSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Volume".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let fields = generator.subschema_for::<VolumeFields>();
        json_schema!({"anyOf": [
            {"type": "string", "format": "quantity"},
            {"type": "string", "format": "class"},
            fields,
        ]})
    }
}

/// How an app is reached from outside the cluster.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Expose {
    /// `ingress` renders an Ingress, `gateway` an HTTPRoute of the Gateway API, and `nodePort` a port on every
    /// node. With `none` the app is reachable only inside the cluster.
    #[schemars(extend("default" = "ingress"))]
    pub via: Via,
    /// Ingress class. If omitted, the cluster's default class.
    #[schemars(extend("format" = "subdomain"))]
    pub class: Option<String>,
    /// Gateway to attach to: `namespace/name` or `namespace/name/listener`. Required with `gateway`.
    #[schemars(example = "infra/public", extend("format" = "gateway"))]
    pub gateway: Option<String>,
    /// With `ingress`: name of the Secret that holds the certificate, or `false` for plain HTTP. If omitted, the
    /// name is `<app>-tls`. With `gateway`, the listener terminates TLS; `false` declares that it serves plain
    /// HTTP. With any `via`, `elsewhere` declares that a proxy in front of the cluster terminates TLS: clients use
    /// `https`, and the cluster receives plain HTTP.
    pub tls: Tls,
    /// Name of a cert-manager ClusterIssuer that fills the certificate's Secret.
    #[schemars(extend("format" = "subdomain"))]
    pub issuer: Option<String>,
    /// Annotations of the Ingress or HTTPRoute, for settings that only your controller has.
    #[schemars(extend("propertyNames" = {"format": "label-key"}))]
    pub annotations: BTreeMap<String, String>,
    /// With `nodePort`: the port, 30000 to 32767. If omitted, Kubernetes chooses one.
    #[schemars(range(min = 30000, max = 32767))]
    pub node_port: Option<u16>,
}

/// Route by which requests from outside the cluster reach the app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Via {
    /// An Ingress.
    #[default]
    Ingress,
    /// An HTTPRoute.
    Gateway,
    /// A port on every node.
    NodePort,
    /// No route from outside.
    None,
}

impl Via {
    /// Returns the word used in app files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Gateway => "gateway",
            Self::NodePort => "nodePort",
            Self::None => "none",
        }
    }
}

/// TLS for requests from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tls {
    /// On, with the Secret `<app>-tls`.
    #[default]
    Standard,
    /// On, with the named Secret.
    Secret(String),
    /// On for clients, and ended before requests reach the cluster.
    Elsewhere,
    /// Off.
    Off,
}

impl<'de> Deserialize<'de> for Tls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Tls;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a Secret, `elsewhere`, `true` or `false`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Tls, E> {
                Ok(match word {
                    "true" | "True" | "TRUE" => Tls::Standard,
                    "false" | "False" | "FALSE" => Tls::Off,
                    "elsewhere" => Tls::Elsewhere,
                    name => Tls::Secret(name.to_owned()),
                })
            }

            fn visit_unit<E: de::Error>(self) -> Result<Tls, E> {
                Ok(Tls::Standard)
            }
        }
        // The scalar as written: `007` is a valid name.
        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for Tls {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Tls".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "boolean"}, {"type": "string", "format": "subdomain"}]})
    }
}

/// Network traffic to and from the app's pods.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Network {
    /// Namespaces whose pods may reach the exposed component, for example that of the ingress controller. If
    /// omitted, all clients may reach it; with `via: none`, all pods of the cluster.
    #[schemars(extend("items" = {"type": "string", "format": "name"}))]
    pub from: Vec<String>,
    /// `open`: the pods may connect to all pods of the cluster and to networks outside. `closed`: only to DNS, to
    /// each other, and to the networks in `to`. A component that its blueprint closes, such as a database, may
    /// connect only to the components under its `talks`. Arrays of the Storage document, link-local addresses and
    /// metadata services of clouds are always blocked.
    #[schemars(extend("default" = "open"))]
    pub egress: Egress,
    /// With `closed`: further networks that the pods may connect to.
    pub to: Vec<CidrText>,
    /// Further networks that are always blocked. List the arrays here if the run has no Storage document.
    #[schemars(example = ["10.20.9.0/24"])]
    pub except: Vec<CidrText>,
}

/// Outgoing connections that the pods may open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Egress {
    /// To all pods of the cluster and to networks outside, except those that are always blocked.
    #[default]
    Open,
    /// Only to the destinations that the blueprint and `to` name.
    Closed,
}

/// Pod Security profile of the app, and ownership of its volumes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Security {
    /// Pod Security profile that the app must meet; if it does not, rendering fails. If omitted, the Namespace is
    /// labelled with the strictest profile that the app meets.
    /// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>
    pub profile: Option<Profile>,
    /// How the top folder of a file volume gets the app's user as its owner, since neither Kubernetes nor the array sets
    /// owners on NFS. `init`: an init container sets it as root, once per volume (profile `baseline`). `check`: the
    /// folder has its owner from an earlier start with `init`, or from an admin who has mounted the volume; an init
    /// container checks it without root (profile `restricted`). `none`: no init container.
    #[schemars(extend("default" = "init"))]
    pub ownership: Ownership,
}

/// A Pod Security profile. The strictest is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Profile {
    /// No restriction.
    Privileged,
    /// No known privilege escalation.
    Baseline,
    /// Hardened.
    Restricted,
}

impl Profile {
    /// Returns the name that Kubernetes uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// How a file volume gets the app's user as its owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Ownership {
    /// An init container sets it as root.
    #[default]
    Init,
    /// It is set already; an init container checks it.
    Check,
    /// Nothing sets it.
    None,
}

/// A change to rendered objects.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Patch {
    /// Objects of the app to change. If none matches, rendering fails.
    pub target: PatchTarget,
    /// Strategic merge: the part of the object that changes. Lists of named items (containers, env, volumes,
    /// ports) merge by name, `null` removes a field, and `$patch: delete` removes an item.
    pub merge: Option<Json>,
    /// JSON patch, RFC 6902: operations with `op`, `path`, `value`, `from`.
    #[schemars(with = "Option<Vec<PatchOperation>>")]
    pub json: Option<Vec<Json>>,
}

/// One operation of a JSON patch: <https://www.rfc-editor.org/rfc/rfc6902>
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used: operations are applied as JSON")]
struct PatchOperation {
    /// Kind of the operation.
    op: PatchOp,
    /// Target, as a JSON pointer such as `/spec/replicas`.
    #[schemars(extend("format" = "pointer"))]
    path: String,
    /// Value to add, to replace with, or to compare.
    #[serde(default)]
    value: Json,
    /// For `move` and `copy`: the source, as a JSON pointer.
    #[schemars(extend("format" = "pointer"))]
    from: Option<String>,
}

/// Kinds of operation in a JSON patch.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
enum PatchOp {
    Add,
    Remove,
    Replace,
    Move,
    Copy,
    Test,
}

/// Objects that a patch changes: those that match all given fields.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PatchTarget {
    /// Kubernetes kind, such as `Deployment`.
    pub kind: Option<String>,
    /// Name of the object.
    pub name: Option<String>,
    /// Component of the app, such as `web`.
    pub component: Option<String>,
}
