//! Installation of the provisioner in the cluster: the part of the storage document that becomes its Deployment.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::contract::{CidrText, Placement, Resources};

/// Installation of the provisioner in the cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProvisionerSpec {
    /// Image with `pso-gen` as its entry point, pinned to a full version or a digest. No public image is
    /// published: build it with `image/build` and push it to your own registry.
    #[schemars(extend("format" = "image"), example = "registry.example.com/pso-gen:0.1.0")]
    pub image: String,
    /// Number of pods. One is the leader; the others wait to take over.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 9))]
    pub replicas: u8,
    /// Program that binds claims to their PersistentVolumes.
    #[serde(default)]
    #[schemars(extend("default" = "direct"))]
    pub binding: BindingSpec,
    /// Whether a MutatingAdmissionPolicy annotates new claims as kube-controller-manager would later. Needs
    /// Kubernetes 1.36 or later. Without it, kube-controller-manager may write a Warning ("Error saving claim") on a
    /// healthy claim when more than 24 claims are created at once.
    #[serde(default)]
    pub annotate_claims: bool,
    /// Log level: error, warn, info, debug, or a filter such as `pso_gen=debug`.
    #[serde(default = "info")]
    pub log: String,
    /// CPU, memory and other resources, in place of the defaults: requests of 50m and 128Mi, limits of 1 and
    /// 512Mi, enough for 10,000 claims.
    #[serde(default)]
    pub resources: Resources,
    /// Nodes that the pods may run on. The default PriorityClass is `system-cluster-critical`.
    #[serde(default)]
    pub place: Placement,
    /// Names of Secrets with registry credentials.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "subdomain"}))]
    pub pull_secrets: Vec<String>,
    /// Network traffic to and from the provisioner.
    #[serde(default)]
    pub network: ProvisionerNetwork,
    /// Network storage of other systems that pods may mount without a claim, and that PersistentVolumes of other
    /// provisioners may use. Admission policies refuse all other NFS servers, iSCSI portals and drivers, because
    /// a pod that names an array itself could mount the volume of any claim.
    #[serde(default)]
    pub foreign: Foreign,
    /// Objects for Prometheus and Grafana.
    #[serde(default)]
    pub monitoring: Monitoring,
}

fn two() -> u8 {
    2
}

fn info() -> String {
    "info".to_owned()
}

/// Programs that can bind claims.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BindingSpec {
    /// The provisioner, as soon as kube-controller-manager has cached the PersistentVolume.
    #[default]
    Direct,
    /// kube-controller-manager alone, at about four claims a second with its default limits.
    Controller,
}

impl BindingSpec {
    /// Returns the value of `pso-gen provisioner --binding`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Controller => "controller",
        }
    }
}

/// Network traffic to and from the provisioner.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ProvisionerNetwork {
    /// Namespaces whose pods may read its metrics, for example that of Prometheus. If omitted, all clients may
    /// read them.
    #[schemars(extend("items" = {"type": "string", "format": "name"}))]
    pub from: Vec<String>,
    /// Addresses of the Kubernetes API servers. Most network plugins do not see the address of the Service
    /// `kubernetes`, so do not use that one.
    pub kubernetes_api: KubernetesApi,
}

/// Addresses and ports of the Kubernetes API servers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct KubernetesApi {
    /// Networks of the servers. If omitted, the provisioner may connect to any address at these ports.
    pub networks: Vec<CidrText>,
    /// Ports of the servers.
    #[schemars(extend("items" = {"type": "integer", "minimum": 1, "maximum": 65535}))]
    pub ports: Vec<u16>,
}

impl Default for KubernetesApi {
    fn default() -> Self {
        Self { networks: Vec::new(), ports: vec![443, 6443] }
    }
}

/// Network storage of other systems.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Foreign {
    /// NFS servers, iSCSI portals and Fibre Channel WWNs, spelled exactly as in pods and PersistentVolumes.
    /// Naming an array of this document is an error.
    #[schemars(example = ["nas.example.com", "192.0.2.7:3260"])]
    pub servers: Vec<String>,
    /// CSI and FlexVolume drivers by which pods may mount network storage without a claim. CSI drivers that mount
    /// no network storage, such as the Secrets Store driver, need no entry.
    #[schemars(example = ["nfs.csi.k8s.io"])]
    pub drivers: Vec<String>,
}

/// Objects for Prometheus and Grafana.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Monitoring {
    /// Whether to render a `ServiceMonitor` of the Prometheus operator.
    pub service_monitor: bool,
    /// Whether to render a `PrometheusRule` of the Prometheus operator with the alerts.
    pub alerts: bool,
    /// Whether to render a ConfigMap with a dashboard for Grafana's sidecar.
    pub dashboard: bool,
    /// Labels of these objects, by which Prometheus or Grafana selects them, such as `release: prometheus`.
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "label"},
    ))]
    pub labels: BTreeMap<String, String>,
    /// URL of the page that alerts link to: a copy of `docs/provisioner.md` that the on-call engineer can read.
    /// If omitted, alerts have no `runbook_url`.
    #[schemars(example = "https://git.example.com/pso-gen/docs/provisioner.md")]
    pub runbooks: Option<String>,
}
