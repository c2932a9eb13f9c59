//! Settings of pods that app files and the storage document have in common.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// CPU, memory and other resources of one component or job, in Kubernetes' own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Resources {
    /// What is set aside: `cpu`, `memory`, `ephemeral-storage`.
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "amount"},
    ))]
    pub requests: BTreeMap<String, String>,
    /// What cannot be exceeded: the same, and devices such as `nvidia.com/gpu`.
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "amount"},
    ))]
    pub limits: BTreeMap<String, String>,
}

/// On which nodes the pods run.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Placement {
    /// Over what the pods of one component are spread, as far as possible.
    #[schemars(extend("default" = "node"))]
    pub spread: Spread,
    /// Labels that a node must have.
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "label"},
    ))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods bear.
    pub tolerations: Vec<Toleration>,
    /// PriorityClass of the pods.
    #[schemars(extend("format" = "subdomain"))]
    pub priority_class: Option<String>,
}

/// Over what pods are spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Spread {
    /// Nodes.
    #[default]
    Node,
    /// Zones, then nodes.
    Zone,
}

/// A taint that pods bear, as in Kubernetes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Toleration {
    /// Key of the taint; empty with `Exists` bears all.
    #[schemars(extend("format" = "label-key"))]
    pub key: Option<String>,
    /// Whether the taint's value is compared.
    #[schemars(extend("enum" = ["Equal", "Exists", null], "default" = "Equal"))]
    pub operator: Option<String>,
    /// Value of the taint.
    #[schemars(extend("format" = "label"))]
    pub value: Option<String>,
    /// What the taint does; all when left out.
    #[schemars(extend("enum" = ["NoSchedule", "PreferNoSchedule", "NoExecute", null]))]
    pub effect: Option<String>,
}

/// A network, for the schema's sake.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CidrText(#[schemars(extend("format" = "cidr"))] pub String);
