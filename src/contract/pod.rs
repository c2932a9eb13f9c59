//! Pod settings that app files and the storage document have in common.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// CPU, memory and other resources of one component or job, with the names that Kubernetes uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Resources {
    /// Resources reserved for each pod: `cpu`, `memory`, `ephemeral-storage`.
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "amount"},
    ))]
    pub requests: BTreeMap<String, String>,
    /// Upper limits: the same resources, and devices such as `nvidia.com/gpu`.
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "amount"},
    ))]
    pub limits: BTreeMap<String, String>,
}

/// Nodes that the pods may run on.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Placement {
    /// Topology over which the pods of one component are spread, as far as possible.
    #[schemars(extend("default" = "node"))]
    pub spread: Spread,
    /// Labels that a node must have.
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "label"},
    ))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate.
    pub tolerations: Vec<Toleration>,
    /// PriorityClass of the pods.
    #[schemars(extend("format" = "subdomain"))]
    pub priority_class: Option<String>,
}

/// Topology over which pods are spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Spread {
    /// Nodes.
    #[default]
    Node,
    /// Zones, then nodes.
    Zone,
}

/// A toleration of a taint, as in Kubernetes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Toleration {
    /// Key of the taint. With `Exists`, an empty key tolerates all taints.
    #[schemars(extend("format" = "label-key"))]
    pub key: Option<String>,
    /// `Equal` to compare the taint's value, `Exists` to ignore it.
    #[schemars(extend("enum" = ["Equal", "Exists", null], "default" = "Equal"))]
    pub operator: Option<String>,
    /// Value of the taint.
    #[schemars(extend("format" = "label"))]
    pub value: Option<String>,
    /// Effect of the taint. If omitted, all effects.
    #[schemars(extend("enum" = ["NoSchedule", "PreferNoSchedule", "NoExecute", null]))]
    pub effect: Option<String>,
}

/// A network in CIDR notation, as a type of its own for the schema.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CidrText(#[schemars(extend("format" = "cidr"))] pub String);
