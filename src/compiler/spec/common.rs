//! The fields that every app has, whatever its blueprint. Their doc comments are the reference.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value as Json;

use crate::contract::{CidrText, Placement, Quantity, Resources, SnapshotPolicy};

/// What an app document's `spec` holds beside the parameters of its blueprint.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Common {
    /// The app's volumes: a bare size takes the blueprint's class, a bare class takes the
    /// blueprint's size, so one word switches between file and block storage.
    pub volumes: BTreeMap<String, VolumeSpec>,
    /// Existing Secrets to use instead of those that are filled once in the cluster: the name of
    /// the blueprint's secret, then the name of the Kubernetes Secret in the app's namespace.
    #[schemars(extend("additionalProperties" = {"type": "string", "format": "subdomain"}))]
    pub secrets: BTreeMap<String, String>,
    /// How the app is reached from outside the cluster.
    pub expose: Expose,
    /// Container images by component, instead of those of the catalogue. Pin a digest for
    /// reproducible roll-outs.
    #[schemars(extend("additionalProperties" = {"type": "string", "format": "image"}))]
    pub images: BTreeMap<String, String>,
    /// CPU, memory and other resources by component or job, over those of the blueprint.
    pub resources: BTreeMap<String, Resources>,
    /// Which network traffic is allowed.
    pub network: Network,
    /// On which nodes the pods run.
    pub place: Placement,
    /// Which Pod Security profile is asked for and who makes the volumes writable.
    pub security: Security,
    /// Names of Secrets with registry credentials.
    #[schemars(extend("items" = {"type": "string", "format": "subdomain"}))]
    pub pull_secrets: Vec<String>,
    /// Whether the Namespace is part of the output, labelled with the Pod Security profile that
    /// the app really meets. It is kept when the app is deleted, since its claims hold data.
    pub create_namespace: bool,
    /// Last resort: changes to the finished objects, checked like everything else.
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
            network: Network::default(),
            place: Placement::default(),
            security: Security::default(),
            pull_secrets: Vec::new(),
            create_namespace: true,
            patches: Vec::new(),
        }
    }
}

/// One volume: everything that is left out is the blueprint's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Class, such as `pure-file`.
    pub class: Option<String>,
    /// Size.
    pub size: Option<Quantity>,
    /// An existing claim that is mounted instead of a new one.
    pub claim: Option<String>,
    /// Snapshots by schedule, on top of those of the class. Fewer than the class keeps are refused, unless the
    /// class has `claimsMayReduce`.
    pub snapshots: Option<SnapshotPolicy>,
}

/// The long form of a volume.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct VolumeFields {
    /// Storage class: `pure-file` (FlashBlade, NFS), `pure-block` (FlashArray, iSCSI), or one
    /// that the Storage document declares.
    #[schemars(extend("format" = "class"))]
    class: Option<String>,
    /// Size. It can grow later, never shrink.
    size: Option<Quantity>,
    /// Name of an existing PersistentVolumeClaim to mount instead of making one.
    #[schemars(extend("format" = "subdomain"))]
    claim: Option<String>,
    /// Snapshots that the array takes of it by schedule, in place of those of its class: a mapping with
    /// `every` and `keep`, or `never` for none.
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
                let VolumeFields { class, size, claim, snapshots } = fields;
                Ok(VolumeSpec { class, size, claim, snapshots })
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
    /// `ingress` makes an Ingress, `gateway` an HTTPRoute of the Gateway API, `nodePort` a port on
    /// every node, `none` leaves the app to the inside of the cluster.
    #[schemars(extend("default" = "ingress"))]
    pub via: Via,
    /// Ingress class; the cluster's default one when left out.
    #[schemars(extend("format" = "subdomain"))]
    pub class: Option<String>,
    /// Gateway to attach to, `namespace/name` or `namespace/name/listener`. Needed with `gateway`.
    #[schemars(example = "infra/public", extend("format" = "gateway"))]
    pub gateway: Option<String>,
    /// With `ingress`: the Secret with the certificate, `false` for plain HTTP. When left out, the
    /// Secret is called `<app>-tls`. With `gateway`, TLS is the listener's; `false` says that it
    /// has none.
    pub tls: Tls,
    /// Name of a cert-manager ClusterIssuer that fills the certificate's Secret.
    #[schemars(extend("format" = "subdomain"))]
    pub issuer: Option<String>,
    /// Annotations of the Ingress or HTTPRoute, for what only your controller knows.
    #[schemars(extend("propertyNames" = {"format": "label-key"}))]
    pub annotations: BTreeMap<String, String>,
    /// With `nodePort`: the port, 30000 to 32767; Kubernetes picks one when left out.
    #[schemars(range(min = 30000, max = 32767))]
    pub node_port: Option<u16>,
}

/// The way into the app.
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
    /// No way in.
    None,
}

impl Via {
    /// Returns the word that is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Gateway => "gateway",
            Self::NodePort => "nodePort",
            Self::None => "none",
        }
    }
}

/// Transport security at the way in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tls {
    /// On, with the Secret `<app>-tls`.
    #[default]
    Standard,
    /// On, with a Secret of that name.
    Secret(String),
    /// Off.
    Off,
}

impl<'de> Deserialize<'de> for Tls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Tls;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a Secret, `true` or `false`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Tls, E> {
                Ok(match word {
                    "true" | "True" | "TRUE" => Tls::Standard,
                    "false" | "False" | "FALSE" => Tls::Off,
                    name => Tls::Secret(name.to_owned()),
                })
            }

            fn visit_unit<E: de::Error>(self) -> Result<Tls, E> {
                Ok(Tls::Standard)
            }
        }
        // The word as it is written: `007` is a name.
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

/// Which network traffic is allowed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Network {
    /// Namespaces whose pods may reach the exposed component, for example that of the ingress
    /// controller. When left out, everybody may.
    #[schemars(extend("items" = {"type": "string", "format": "name"}))]
    pub from: Vec<String>,
    /// `open`: the pods may connect to all pods of the cluster and to networks outside. `closed`: only to DNS,
    /// to each other, and to the networks in `to`. A component that its blueprint closes, such as a database,
    /// may connect only to the components that it talks to. Arrays of the Storage document, link-local addresses
    /// and metadata services of clouds are always blocked.
    #[schemars(extend("default" = "open"))]
    pub egress: Egress,
    /// With `closed`: networks that the pods may connect to as well.
    pub to: Vec<CidrText>,
    /// Further networks that are always blocked. List the arrays here when the run has no Storage document.
    #[schemars(example = ["10.20.9.0/24"])]
    pub except: Vec<CidrText>,
}

/// Whether pods may open connections to the outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Egress {
    /// To all pods of the cluster and to networks outside, except those that are always blocked.
    #[default]
    Open,
    /// Only where the blueprint and `to` say.
    Closed,
}

/// Which Pod Security profile is asked for and who makes the volumes writable.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Security {
    /// Pod Security profile that the app must meet; it is an error when it cannot. When left out,
    /// the Namespace is labelled with the strictest profile that the app meets.
    /// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>
    pub profile: Option<Profile>,
    /// Who gives the top folder of a file volume to the app's user, since Kubernetes does not do
    /// it on NFS. `init`: a first step as root, once per volume (profile `baseline`). `array`: the
    /// array does, by its export rules or when it makes the volume; a first step only checks that
    /// the user can write (profile `restricted`). `none`: no step at all.
    #[schemars(extend("default" = "init"))]
    pub ownership: Ownership,
}

/// A Pod Security profile, the strictest last.
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
    /// Returns the word that Kubernetes uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// Who gives a file volume to the app's user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Ownership {
    /// A first step as root.
    #[default]
    Init,
    /// The array.
    Array,
    /// Nobody.
    None,
}

/// A change to finished objects.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Patch {
    /// Which objects of the app are changed; it is an error when none matches.
    pub target: PatchTarget,
    /// Strategic merge: the part of the object that changes. Lists of named things (containers,
    /// env, volumes, ports) merge by name, `null` removes, `$patch: delete` removes an item.
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
    /// What is done.
    op: PatchOp,
    /// Where, as a JSON pointer such as `/spec/replicas`.
    #[schemars(extend("format" = "pointer"))]
    path: String,
    /// What is added, put there, or compared.
    #[serde(default)]
    value: Json,
    /// Of `move` and `copy`: where it comes from.
    #[schemars(extend("format" = "pointer"))]
    from: Option<String>,
}

/// What an operation of a JSON patch does.
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

/// Which objects a patch changes: those for which everything that is given holds.
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
