//! The part of the Gateway API's HTTPRoute that pso-gen uses.
//!
//! The published crate of these types depends on another release of the Kubernetes types than pso-gen. These few
//! fields follow <https://gateway-api.sigs.k8s.io/reference/spec/#httproute>.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Routes requests of some host names from a Gateway to a Service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    api_version: String,
    kind: String,
    /// Name, namespace, labels, annotations.
    pub metadata: ObjectMeta,
    /// The routing.
    pub spec: HttpRouteSpec,
}

impl HttpRoute {
    /// Its API version.
    pub const API_VERSION: &'static str = "gateway.networking.k8s.io/v1";
    /// Its kind.
    pub const KIND: &'static str = "HTTPRoute";

    /// Returns a route.
    pub fn new(metadata: ObjectMeta, spec: HttpRouteSpec) -> Self {
        let (api_version, kind) = (Self::API_VERSION.to_owned(), Self::KIND.to_owned());
        Self { api_version, kind, metadata, spec }
    }
}

/// The routing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// Gateways that the route attaches to.
    pub parent_refs: Vec<ParentReference>,
    /// Host names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// Rules. The first match wins.
    #[serde(default)]
    pub rules: Vec<HttpRouteRule>,
}

/// A Gateway. Group and kind are written although they are the defaults: the API server adds them to lists that
/// are owned as a whole by the client that applies them, which would be a permanent difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// API group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteRule {
    /// Matched requests. Kept as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Json>,
    /// Changes to requests and responses. Kept as written: only patches use them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Json>,
    /// Destinations of requests.
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
    /// Timeouts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<HttpRouteTimeouts>,
}

/// A Service and one of its ports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    /// API group; empty for Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name of the Service.
    pub name: String,
    /// Port number.
    pub port: i32,
    /// Share of the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
}

/// Timeouts, as Gateway API durations (`3600s`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteTimeouts {
    /// The whole request.
    pub request: String,
    /// One attempt at the backend.
    pub backend_request: String,
}
