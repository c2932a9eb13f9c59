//! Declarations of a blueprint: parameters, volumes, secrets, connections, rules.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Connection, Exposure, Program, Schedule, Serving};
use crate::compiler::spec::{Field, Kind, Shape};
use crate::contract::Quantity;

/// A blueprint: the parameters, components and storage of one kind of app.
///
/// Every value may be an expression, `"{{ … }}"`. A mapping with `if: "{{ … }}"` exists only if the condition
/// holds; `{if, then, else}` chooses a value; `for: {name: "{{ list }}"}` repeats a list item, or, under the key
/// `+`, the entries of a mapping.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used: a blueprint is read part by part")]
struct BlueprintFile {
    /// Kind of the app documents, such as `NextCloud`.
    blueprint: String,
    /// Description of the app in one or two sentences.
    about: String,
    /// Name of the app if `metadata.name` is omitted.
    name: Option<String>,
    /// Parts that the blueprint builds on, such as `mariadb`. A part is a blueprint without a name whose sections
    /// are merged under those written here. Mappings merge; `rules` and `manifests` are appended.
    #[serde(default)]
    parts: Vec<String>,
    /// Settings under `spec`, in addition to those that every app has.
    #[serde(default)]
    parameters: IndexMap<String, Parameter>,
    /// Names for computed values. Each value may use the names before it.
    #[serde(default)]
    r#let: IndexMap<String, Json>,
    /// Storage that the app needs.
    #[serde(default)]
    volumes: IndexMap<String, VolumeDeclaration>,
    /// Secrets by name, each with its keys. They are generated once in the cluster and never rendered.
    #[serde(default)]
    secrets: IndexMap<String, SecretKeys>,
    /// Programs that serve.
    components: IndexMap<String, Json>,
    /// Programs that run and end.
    #[serde(default)]
    jobs: IndexMap<String, Json>,
    /// Allowed connections: a component or job, then a list of `component.port`, or of `{to: component.port, waits:
    /// false}`. All other connections are blocked. A component starts after those that it connects to, unless it does
    /// not wait. A component may name itself: its pods may then connect to each other. `{host: NAME, port: NUMBER}` is a
    /// server outside the app.
    #[serde(default)]
    talks: IndexMap<String, Vec<Connection>>,
    /// Ports that are reachable from outside: `component.port`, then a host name, a list of host names, or
    /// `{hosts, maxBody, timeout}`.
    #[serde(default)]
    expose: IndexMap<String, Exposure>,
    /// Combinations of settings that fail or are inadvisable. A rule is broken if its `if` holds.
    #[serde(default)]
    rules: Vec<Rule>,
    /// Additional labels for every object, for example an owner.
    #[serde(default)]
    labels: IndexMap<String, Option<String>>,
    /// Additional annotations for every object.
    #[serde(default)]
    annotations: IndexMap<String, Option<String>>,
    /// Last day of the app, if it has one, such as `2026-12-24`.
    expires: Option<String>,
    /// Kubernetes objects that are rendered as written, for features that the language does not cover. They pass
    /// the same checks as all objects.
    #[serde(default)]
    manifests: Vec<Json>,
}

/// A parameter.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Parameter {
    /// `string`, `integer`, `boolean`, `scale` (a number of pods or `{min, max, cpu}`), `list`,
    /// `map`, `object`, `any` (whatever YAML says that it is), or a text with a format: `quantity` (bytes), `duration` (seconds),
    /// `hostname`, `name`, `subdomain`, `server`, `cidr`, `cron`, `date`, `image`, `variable`, `path`, `cpu`.
    pub r#type: String,
    /// Description for `explain`, the schemas and the reference page.
    pub about: String,
    /// Value if the parameter is omitted. Without a default, the value is `none` in expressions.
    pub default: Option<Json>,
    /// Whether an app file must set it.
    pub required: bool,
    /// An example of a value.
    pub example: Option<Json>,
    /// Unit of a number, for documentation.
    pub unit: Option<String>,
    /// Smallest allowed value (a number, a size, a duration).
    pub min: Option<Json>,
    /// Largest allowed value.
    pub max: Option<Json>,
    /// The only allowed values.
    pub choices: Vec<String>,
    /// For a list or map: the type of its items.
    pub of: Option<Box<Parameter>>,
    /// For an object: its fields.
    pub fields: IndexMap<String, Parameter>,
}

/// Storage that the app needs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct VolumeDeclaration {
    /// Description of the data.
    #[serde(default)]
    pub about: String,
    /// Class, unless the app file sets another one: `pure-file` or `pure-block`.
    #[schemars(extend("format" = "class"))]
    pub class: String,
    /// Size, unless the app file sets another one.
    pub size: Quantity,
    /// User and group ID of its top folder, `33:33`. On a block volume, of a folder inside it.
    #[serde(default)]
    #[schemars(extend("format" = "owner"))]
    pub owner: Option<String>,
    /// Mode of that folder, in octal.
    #[serde(default = "private")]
    #[schemars(extend("format" = "mode"))]
    pub mode: String,
    /// Files or folders by which the app's own data is recognized: one of them is at the top of every volume that the app
    /// has used. An init container refuses a volume with other content, and none of these, before anything is written. It
    /// runs if the volume has an `owner`.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "folder"}))]
    pub holds: Vec<String>,
    /// Whether the data outlives the app. The claim is then never pruned or deleted by a sync.
    #[serde(default = "yes")]
    pub keep: bool,
}

/// The keys of a secret.
pub type SecretKeys = IndexMap<String, SecretKey>;

/// One key of a secret: random letters and digits, generated once in the cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretKey {
    /// Description of its use.
    #[serde(default)]
    pub about: String,
    /// Number of characters.
    #[serde(default = "thirty_two")]
    #[schemars(range(min = 12, max = 128))]
    pub length: u16,
    /// Whether the developer chooses the value. The key exists only if the app names a Secret of its own under
    /// `spec.secrets`, so uses of it need `if: "{{ secrets.NAME.existing }}"`. All keys of a secret are given, or none.
    #[serde(default)]
    pub given: bool,
}

/// A combination of settings that fails or is inadvisable.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rule {
    /// Field under `spec` at which the rule is reported.
    pub at: String,
    /// Description of the problem, in lower case and without a full stop.
    pub problem: String,
    /// Correction, as an imperative.
    #[serde(default)]
    pub fix: Option<String>,
    /// Whether a broken rule is reported as a warning instead of an error.
    #[serde(default)]
    pub advice: bool,
}

/// Returns the shape of a `blueprint.yaml`.
pub fn blueprint_shape() -> Shape {
    let mut shape = Shape::of::<BlueprintFile>();
    let component = joined(&[Shape::of::<Program>(), Shape::of::<Serving>()], &[]);
    // A job with `like` inherits these fields from its component.
    let job = joined(&[Shape::of::<Program>(), Shape::of::<Schedule>()], &["image", "user"]);
    if let Kind::Object(fields) = &mut shape.kind {
        for field in fields {
            let values = match (field.name.as_str(), &mut field.shape.kind) {
                ("components", Kind::Map { values, .. }) => (values, &component),
                ("jobs", Kind::Map { values, .. }) => (values, &job),
                _ => continue,
            };
            **values.0 = values.1.clone();
        }
    }
    shape
}

fn joined(shapes: &[Shape], optional: &[&str]) -> Shape {
    let fields = shapes.iter().flat_map(|shape| shape.fields().unwrap_or_default()).cloned();
    let fields = fields
        .map(|field| Field {
            required: field.required && !optional.contains(&field.name.as_str()),
            ..field
        })
        .collect();
    Shape::new("", Kind::Object(fields))
}

fn yes() -> bool {
    true
}

fn private() -> String {
    "0750".to_owned()
}

fn thirty_two() -> u16 {
    32
}
