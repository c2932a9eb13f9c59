//! How the provisioner runs in the cluster: the part of the storage document that becomes its Deployment.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::contract::{CidrText, Placement, Resources};

/// How the provisioner is installed in the cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProvisionerSpec {
    /// Image with `pso-gen` as its entry point, pinned to a full version or a digest. No public image is published: build it with `image/build` and push it to your own registry.
    #[schemars(extend("format" = "image"), example = "registry.example.com/pso-gen:0.1.0")]
    pub image: String,
    /// How many pods there are; one of them leads, the others wait to take over.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 9))]
    pub replicas: u8,
    /// Who binds claims to their PersistentVolumes.
    #[serde(default)]
    #[schemars(extend("default" = "direct"))]
    pub binding: BindingSpec,
    /// Whether a MutatingAdmissionPolicy annotates new claims as kube-controller-manager would later. Needs
    /// Kubernetes 1.36 or later. Without it, kube-controller-manager may write a Warning ("Error saving claim") on a
    /// healthy claim when more than 24 claims are created at once.
    #[serde(default)]
    pub annotate_claims: bool,
    /// What is logged: error, warn, info, debug, or a filter such as `pso_gen=debug`.
    #[serde(default = "info")]
    pub log: String,
    /// CPU, memory and other resources, over those that are set here: 50m and 128Mi are set aside, 1 and
    /// 512Mi cannot be exceeded. Enough for 10,000 claims.
    #[serde(default)]
    pub resources: Resources,
    /// On which nodes the pods run. Their PriorityClass is `system-cluster-critical` when left out.
    #[serde(default)]
    pub place: Placement,
    /// Names of Secrets with registry credentials.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "subdomain"}))]
    pub pull_secrets: Vec<String>,
    /// Which network traffic is allowed.
    #[serde(default)]
    pub network: ProvisionerNetwork,
    /// Network storage of others that pods may mount without a claim, and that PersistentVolumes of other
    /// provisioners may use. Admission policies refuse all other NFS servers, iSCSI portals and drivers: a pod
    /// that names an array itself could mount the volume of any claim.
    #[serde(default)]
    pub foreign: Foreign,
    /// What is made for Prometheus and Grafana.
    #[serde(default)]
    pub monitoring: Monitoring,
}

fn two() -> u8 {
    2
}

fn info() -> String {
    "info".to_owned()
}

/// Who binds claims.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BindingSpec {
    /// The provisioner, as soon as kube-controller-manager knows the PersistentVolume.
    #[default]
    Direct,
    /// kube-controller-manager alone: about four claims a second at its default limits.
    Controller,
}

impl BindingSpec {
    /// Returns the word that `pso-gen provisioner --binding` takes.
    pub fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Controller => "controller",
        }
    }
}

/// Which network traffic of the provisioner is allowed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ProvisionerNetwork {
    /// Namespaces whose pods may read its metrics, for example that of Prometheus. When left out, everybody
    /// may.
    #[schemars(extend("items" = {"type": "string", "format": "name"}))]
    pub from: Vec<String>,
    /// Where the Kubernetes API is: the addresses of its servers, not that of the Service `kubernetes`,
    /// which most network plugins do not see.
    pub kubernetes_api: KubernetesApi,
}

/// Where the Kubernetes API is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct KubernetesApi {
    /// Networks of its servers. When left out, the ports are open to anywhere.
    pub networks: Vec<CidrText>,
    /// Its ports.
    #[schemars(extend("items" = {"type": "integer", "minimum": 1, "maximum": 65535}))]
    pub ports: Vec<u16>,
}

impl Default for KubernetesApi {
    fn default() -> Self {
        Self { networks: Vec::new(), ports: vec![443, 6443] }
    }
}

/// Network storage of others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Foreign {
    /// NFS servers, iSCSI portals and Fibre Channel WWNs, spelled exactly as in pods and PersistentVolumes. An
    /// array of this document is an error.
    #[schemars(example = ["nas.example.com", "192.0.2.7:3260"])]
    pub servers: Vec<String>,
    /// CSI and FlexVolume drivers by which pods may mount network storage without a claim. CSI drivers that
    /// mount no network storage, such as the Secrets Store driver, need no entry.
    #[schemars(example = ["nfs.csi.k8s.io"])]
    pub drivers: Vec<String>,
}

/// What is made for Prometheus and Grafana.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Monitoring {
    /// Whether there is a `ServiceMonitor` of the Prometheus operator.
    pub service_monitor: bool,
    /// Whether there is a `PrometheusRule` of the Prometheus operator with the alerts.
    pub alerts: bool,
    /// Whether there is a ConfigMap with a dashboard, which Grafana's sidecar finds.
    pub dashboard: bool,
    /// Labels of these objects, by which Prometheus or Grafana chooses them, such as `release: prometheus`.
    #[schemars(extend(
        "propertyNames" = {"format": "label-key"},
        "additionalProperties" = {"type": "string", "format": "label"},
    ))]
    pub labels: BTreeMap<String, String>,
    /// Address of the page that alerts lead to, for a copy of `docs/provisioner.md` that the on-call engineer can read. When left out, alerts have no `runbook_url`.
    #[schemars(example = "https://git.example.com/pso-gen/docs/provisioner.md")]
    pub runbooks: Option<String>,
}
