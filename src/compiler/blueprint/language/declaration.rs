//! What a blueprint declares: parameters, volumes, secrets, who talks to whom, rules.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Exposure, Program, Schedule, Serving};
use crate::compiler::spec::{Field, Kind, Shape};
use crate::contract::Quantity;

/// A blueprint: what an app is, which parameters it has and what it is made of.
///
/// Every value may be an expression, `"{{ … }}"`. Any mapping may carry `if: "{{ … }}"` and is then
/// there only when it holds; `{if, then, else}` chooses a value; `for: {name: "{{ list }}"}`
/// repeats a list item, or, under the key `+`, the entries of a mapping.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used: a blueprint is read part by part")]
struct BlueprintFile {
    /// The kind that people write in their app document, such as `NextCloud`.
    blueprint: String,
    /// What the app is, in a sentence or two.
    about: String,
    /// The app's name when `metadata.name` is left out.
    name: Option<String>,
    /// Parts that it is built on, such as `mariadb`: blueprints without a name whose sections lie
    /// under those written here. Mappings merge, `rules` and `manifests` are added.
    #[serde(default)]
    parts: Vec<String>,
    /// What people can set under `spec`, beside what every app has.
    #[serde(default)]
    parameters: IndexMap<String, Parameter>,
    /// Names for computed values; each sees those before it.
    #[serde(default)]
    r#let: IndexMap<String, Json>,
    /// Needs for storage.
    #[serde(default)]
    volumes: IndexMap<String, VolumeDeclaration>,
    /// Secrets by name, each with its keys. They are filled once in the cluster, never rendered.
    #[serde(default)]
    secrets: IndexMap<String, SecretKeys>,
    /// The programs that serve.
    components: IndexMap<String, Json>,
    /// The programs that run and end.
    #[serde(default)]
    jobs: IndexMap<String, Json>,
    /// Who may connect to whom: a component or job, then a list of `component.port`. Nothing else
    /// is open.
    #[serde(default)]
    talks: IndexMap<String, Vec<String>>,
    /// Ports that are reached from outside: `component.port`, then a host name, a list of them, or
    /// `{hosts, maxBody, timeout}`.
    #[serde(default)]
    expose: IndexMap<String, Exposure>,
    /// Settings that do not work together, or work badly: each has an `if` and is broken when it
    /// holds.
    #[serde(default)]
    rules: Vec<Rule>,
    /// More labels for every object, for example an owner.
    #[serde(default)]
    labels: IndexMap<String, Option<String>>,
    /// More annotations for every object.
    #[serde(default)]
    annotations: IndexMap<String, Option<String>>,
    /// Day on which the app ends, if it does, such as `2026-12-24`.
    expires: Option<String>,
    /// Kubernetes objects as they are, for what the language has no words for. Checked like all.
    #[serde(default)]
    manifests: Vec<Json>,
}

/// A parameter.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Parameter {
    /// `string`, `integer`, `boolean`, `scale` (a number of pods or `{min, max, cpu}`), `list`,
    /// `map`, `object`, or a text with a format: `quantity` (bytes), `duration` (seconds),
    /// `hostname`, `name`, `subdomain`, `cidr`, `cron`, `date`, `image`, `variable`, `path`, `cpu`.
    pub r#type: String,
    /// What it is for: the text of `explain`, the schemas, the reference page.
    pub about: String,
    /// What holds when it is left out. Without a default it is `none` in expressions.
    pub default: Option<Json>,
    /// Whether it must be written.
    pub required: bool,
    /// An example of a value.
    pub example: Option<Json>,
    /// Unit of a number, for people.
    pub unit: Option<String>,
    /// Smallest value (a number, a size, a duration).
    pub min: Option<Json>,
    /// Largest value.
    pub max: Option<Json>,
    /// The only values allowed.
    pub choices: Vec<String>,
    /// Of a list or map: what it holds.
    pub of: Option<Box<Parameter>>,
    /// Of an object: its fields.
    pub fields: IndexMap<String, Parameter>,
}

/// A need for storage.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct VolumeDeclaration {
    /// What is stored there.
    #[serde(default)]
    pub about: String,
    /// Class unless the app file sets another: `pure-file` or `pure-block`.
    #[schemars(extend("format" = "class"))]
    pub class: String,
    /// Size unless the app file sets another.
    pub size: Quantity,
    /// User and group number that its top folder belongs to, `33:33`. On a block volume, a folder
    /// inside it.
    #[serde(default)]
    #[schemars(extend("format" = "owner"))]
    pub owner: Option<String>,
    /// Mode of that folder, in octal.
    #[serde(default = "private")]
    #[schemars(extend("format" = "mode"))]
    pub mode: String,
    /// Whether the data outlives the app: the claim is then never pruned or deleted by a sync.
    #[serde(default = "yes")]
    pub keep: bool,
}

/// The keys of a secret.
pub type SecretKeys = IndexMap<String, SecretKey>;

/// One key of a secret: random letters and digits, made once in the cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretKey {
    /// What it is for.
    #[serde(default)]
    pub about: String,
    /// Number of characters.
    #[serde(default = "thirty_two")]
    #[schemars(range(min = 12, max = 128))]
    pub length: u16,
}

/// Settings that do not work together.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rule {
    /// The field under `spec` at which it is reported.
    pub at: String,
    /// The problem: lower case, no full stop.
    pub problem: String,
    /// What to write instead.
    #[serde(default)]
    pub fix: Option<String>,
    /// Whether it is only advice.
    #[serde(default)]
    pub advice: bool,
}

/// Returns the shape of a `blueprint.yaml`.
pub fn blueprint_shape() -> Shape {
    let mut shape = Shape::of::<BlueprintFile>();
    let component = joined(&[Shape::of::<Program>(), Shape::of::<Serving>()], &[]);
    // A job that is `like` a component takes these from it.
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
