//! Values with a short form (a word) and a long form (a mapping).

use std::fmt;
use std::num::NonZeroU16;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::compiler::spec::Format;
use crate::contract::{Quantity, Seconds};
use crate::sanitize::quoted;

/// Implements deserialization of a type that is a word or a mapping; the mapping is another type.
macro_rules! word_or_fields {
    ($type:ident, $name:literal, $fields:ident, $expecting:literal, $text:expr, $from:expr, $schema:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> de::Visitor<'de> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: de::Error>(self, word: &str) -> Result<$type, E> {
                        let read: fn(&str) -> Result<$type, String> = $text;
                        read(word).map_err(E::custom)
                    }

                    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        let map = de::value::MapAccessDeserializer::new(map);
                        let from: fn($fields) -> Result<$type, String> = $from;
                        from($fields::deserialize(map)?).map_err(de::Error::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let fields = generator.subschema_for::<$fields>();
                json_schema!({"anyOf": [$schema, fields]})
            }
        }
    };
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// Text.
    Text(String),
    /// A key of a declared secret, `name/key`.
    Secret(String),
    /// A field of the pod, such as `metadata.name`.
    Field(String),
}

/// The long form of a variable: exactly one of the two fields.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EnvFields {
    /// A key of a declared secret, `NAME/KEY`.
    secret: Option<String>,
    /// A field of the pod, such as `metadata.name` or `status.podIP`.
    field: Option<String>,
}

word_or_fields!(
    EnvValue,
    "EnvValue",
    EnvFields,
    "text, `{secret: NAME/KEY}` or `{field: PATH}`",
    |text| Ok(EnvValue::Text(text.to_owned())),
    |fields| match (fields.secret, fields.field) {
        (Some(secret), None) => Ok(EnvValue::Secret(secret)),
        (None, Some(field)) => Ok(EnvValue::Field(field)),
        _ => Err("write either `secret` or `field`".to_owned()),
    },
    {"type": "string"}
);

/// A single file in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMount {
    /// Source of its content.
    pub content: FileContent,
    /// Its mode. If omitted, 0444 (0555 for a script, 0440 for a secret).
    pub mode: Option<i32>,
}

/// Source of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// A file beside the blueprint.
    File(String),
    /// Text in the blueprint.
    Text(String),
    /// A key of a declared secret, `name/key`.
    Secret(String),
}

/// The long form of a file: exactly one of `file`, `content`, `secret`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileFields {
    /// A file beside the blueprint.
    file: Option<String>,
    /// Content of the file.
    content: Option<String>,
    /// A key of a declared secret, `NAME/KEY`.
    secret: Option<String>,
    /// Mode in octal, such as `0555`.
    #[schemars(extend("format" = "mode"))]
    mode: Option<String>,
}

word_or_fields!(
    FileMount,
    "FileMount",
    FileFields,
    "a file beside the blueprint, or a mapping with `file`, `content` or `secret`",
    |file| Ok(FileMount { content: FileContent::File(file.to_owned()), mode: None }),
    |fields| {
        let content = match (fields.file, fields.content, fields.secret) {
            (Some(file), None, None) => FileContent::File(file),
            (None, Some(text), None) => FileContent::Text(text),
            (None, None, Some(secret)) => FileContent::Secret(secret),
            _ => return Err("write exactly one of `file`, `content`, `secret`".to_owned()),
        };
        let octal = |text: String| {
            i32::from_str_radix(&text, 8).map_err(|_| format!("{text} is not a mode in octal", text = quoted(text)))
        };
        Ok(FileMount { content, mode: fields.mode.map(octal).transpose()? })
    },
    {"type": "string"}
);

/// A volume in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Mount path.
    pub path: String,
    /// Whether the mount is read-only.
    pub read_only: bool,
}

/// The long form of a mount.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MountFields {
    /// Mount path.
    #[schemars(extend("format" = "path"))]
    path: String,
    /// Whether the mount is read-only.
    #[serde(default)]
    read_only: bool,
}

word_or_fields!(
    Mount,
    "Mount",
    MountFields,
    "a path, or a mapping with `path` and `readOnly`",
    |path| Ok(Mount { path: path.to_owned(), read_only: false }),
    |fields| Ok(Mount { path: fields.path, read_only: fields.read_only }),
    {"type": "string", "format": "path"}
);

/// A writable folder that is empty in every new pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writable {
    /// Largest size. Kubernetes evicts the pod if the folder exceeds it.
    pub size: Option<Quantity>,
    /// Whether the folder is in memory.
    pub memory: bool,
    /// Whether it starts with the image's content.
    pub seed: bool,
}

/// The long form of a writable folder.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WritableFields {
    /// Largest size. Kubernetes evicts the pod if the folder exceeds it.
    size: Option<Quantity>,
    /// Whether the folder is in memory, and counts towards the memory limit.
    #[serde(default)]
    memory: bool,
    /// Whether it starts with the image's content.
    #[serde(default)]
    seed: bool,
}

word_or_fields!(
    Writable,
    "Writable",
    WritableFields,
    "a size, or a mapping with `size`, `memory`, `seed`",
    |size| Quantity::parse(size)
        .map(|size| Writable { size: Some(size), ..Writable::default() })
        .ok_or_else(|| format!("{size} is not a size", size = quoted(size))),
    |fields| {
        let WritableFields { size, memory, seed } = fields;
        Ok(Writable { size, memory, seed })
    },
    {"type": "string", "format": "quantity"}
);

/// A connection to another component, or to a server outside the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Connection {
    /// To another component.
    Component {
        /// The component and its port, `component.port`.
        to: String,
        /// Whether it starts only after the other component.
        waits: bool,
    },
    /// To a server outside the app.
    Server {
        /// Host name or address.
        host: String,
        /// Port.
        port: NonZeroU16,
    },
}

/// The long form of a connection: `to`, or `host` and `port`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConnectionFields {
    /// The other component and its port, `component.port`.
    to: Option<String>,
    /// Host name or address of a server outside the app.
    host: Option<String>,
    /// Port of that server.
    port: Option<NonZeroU16>,
    /// Whether it starts only after the other component. Two components that connect to each other need `false` on one
    /// side.
    #[serde(default = "yes")]
    waits: bool,
}

word_or_fields!(
    Connection,
    "Connection",
    ConnectionFields,
    "`COMPONENT.PORT`, or a mapping with `to` and `waits`, or with `host` and `port`",
    |to| Ok(Connection::Component { to: to.to_owned(), waits: true }),
    |fields| match (fields.to, fields.host, fields.port) {
        (Some(to), None, None) => Ok(Connection::Component { to, waits: fields.waits }),
        (None, Some(host), Some(port)) => Ok(Connection::Server { host, port }),
        _ => Err("write either `to`, or `host` and `port`".to_owned()),
    },
    {"type": "string"}
);

/// How a port is reachable from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// Host names.
    pub hosts: Vec<String>,
    /// Largest request body, for Ingress controllers and Gateways that limit it.
    pub max_body: Option<Quantity>,
    /// Longest time that a request may take.
    pub timeout: Option<Seconds>,
}

/// The long form of an exposure.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExposureFields {
    /// Host names.
    hosts: Vec<String>,
    /// Largest request body, for Ingress controllers and Gateways that limit it.
    #[serde(default)]
    max_body: Option<Quantity>,
    /// Longest time that a request may take.
    #[serde(default)]
    timeout: Option<Seconds>,
}

impl<'de> Deserialize<'de> for Exposure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Exposure;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a host name, a list of them, or a mapping with `hosts`")
            }

            fn visit_str<E: de::Error>(self, host: &str) -> Result<Exposure, E> {
                Ok(Exposure { hosts: vec![host.to_owned()], max_body: None, timeout: None })
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Exposure, A::Error> {
                let hosts = Vec::deserialize(de::value::SeqAccessDeserializer::new(list))?;
                Ok(Exposure { hosts, max_body: None, timeout: None })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Exposure, A::Error> {
                let map = de::value::MapAccessDeserializer::new(map);
                let ExposureFields { hosts, max_body, timeout } = ExposureFields::deserialize(map)?;
                Ok(Exposure { hosts, max_body, timeout })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Exposure {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Exposure".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let fields = generator.subschema_for::<ExposureFields>();
        json_schema!({"anyOf": [
            {"type": "string", "format": "hostname"},
            {"type": "array", "items": {"type": "string", "format": "hostname"}},
            fields,
        ]})
    }
}

/// Number of pods of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pods {
    /// Exactly one, never two at the same time.
    One,
    /// A fixed number.
    Count(u32),
    /// A number that follows the load.
    Scale(Scale),
}

impl Default for Pods {
    fn default() -> Self {
        Self::Count(1)
    }
}

impl Pods {
    /// Returns the largest number of pods that may run at the same time.
    pub fn most(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Count(count) => count,
            Self::Scale(scale) => scale.max,
        }
    }

    /// Returns the smallest number of pods that are kept running.
    pub fn fewest(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Count(count) => count,
            Self::Scale(scale) => scale.min,
        }
    }
}

/// Bounds for a number of pods that follows the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Smallest number of pods.
    #[schemars(range(min = 1, max = 1000))]
    pub min: u32,
    /// Largest number of pods.
    #[schemars(range(min = 1, max = 1000))]
    pub max: u32,
    /// Target for the average CPU use, in percent of the request.
    #[serde(default = "seventy")]
    #[schemars(range(min = 1, max = 100))]
    pub cpu: u32,
}

fn yes() -> bool {
    true
}

fn seventy() -> u32 {
    70
}

impl<'de> Deserialize<'de> for Pods {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Pods;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`one`, a number or a mapping with `min` and `max`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Pods, E> {
                match word {
                    "one" => Ok(Pods::One),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Pods, E> {
                u32::try_from(count)
                    .map(Pods::Count)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(count), &self))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Pods, A::Error> {
                Scale::deserialize(de::value::MapAccessDeserializer::new(map)).map(Pods::Scale)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Pods {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pods".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let scale = generator.subschema_for::<Scale>();
        json_schema!({"anyOf": [
            {"type": "integer", "minimum": 0, "maximum": 1000},
            {"enum": ["one"]},
            scale,
        ]})
    }
}

/// When a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// On request.
    Asked,
    /// By a schedule.
    Every(String),
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        match word.as_str() {
            "asked" => Ok(Self::Asked),
            schedule if Format::Cron.accepts(schedule) => Ok(Self::Every(word)),
            _ => Err(de::Error::custom(format!(
                "expected `asked` or {}, found {}",
                Format::Cron.phrase(),
                quoted(word)
            ))),
        }
    }
}

impl JsonSchema for When {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "When".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"enum": ["asked"]}, {"type": "string", "format": "cron"}]})
    }
}
