//! A control plane of its own: its namespace, the account of whoever provisions, its audit log. Knows
//! nothing of who that is.

use std::env;
use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value as Json, json};

use super::Anything;
use super::audit::Audit;
use super::process::Process;

/// Namespace of everything.
pub(super) const NAMESPACE: &str = "bench";
/// ServiceAccount of whoever provisions.
pub(super) const ACCOUNT: &str = "provisioner";

/// How many requests kube-controller-manager lets itself have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Limits {
    /// What it is delivered with: 20 a second, 30 at once, for each controller.
    Default,
    /// 500 a second, 1,000 at once.
    Raised,
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "20/30",
            Self::Raised => "500/1000",
        })
    }
}

/// A control plane. The process goes first, then the folder that it writes to.
pub(super) struct Stage {
    _control_plane: Process,
    client: Client,
    /// What the API server was asked for.
    pub(super) audit: Audit,
    folder: tempfile::TempDir,
}

impl Stage {
    pub(super) async fn open(limits: Limits) -> Result<Self, Anything> {
        let folder = tempfile::tempdir()?;
        let audit = Audit::new(folder.path())?;
        let project = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("not run by cargo")?);
        let mut start = Command::new(project.join("tests/controlplane/start"));
        start.arg("--until-eof").arg("--dir").arg(folder.path().join("controlplane"));
        start.env("APISERVER_FLAGS", audit.flags());
        if limits == Limits::Raised {
            start.env("CONTROLLER_MANAGER_FLAGS", "--kube-api-qps 500 --kube-api-burst 1000");
        }
        let mut process = start.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let told = process.stdout.take().ok_or("no output")?;
        let control_plane = Process(process);
        let mut line = String::new();
        BufReader::new(told).read_line(&mut line)?;
        let admin = Path::new(line.trim());
        let client = client(admin).await.map_err(|error| format!("no control plane: {error}"))?;
        let stage = Self { _control_plane: control_plane, client, audit, folder };
        stage.prepare(admin).await?;
        Ok(stage)
    }

    /// Makes the namespace, and the account with its kubeconfig.
    async fn prepare(&self, admin: &Path) -> Result<(), Anything> {
        let post = PostParams::default();
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
        Api::all(self.client.clone()).create(&post, &namespace).await?;
        let account: ServiceAccount =
            serde_json::from_value(json!({"metadata": {"name": ACCOUNT}}))?;
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), NAMESPACE);
        accounts.create(&post, &account).await?;
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": ACCOUNT},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin",
            },
            "subjects": [{"kind": "ServiceAccount", "namespace": NAMESPACE, "name": ACCOUNT}],
        }))?;
        Api::all(self.client.clone()).create(&post, &binding).await?;
        let asked: TokenRequest = serde_json::from_value(json!({
            "metadata": {}, "spec": {"audiences": [], "expirationSeconds": 86400},
        }))?;
        let given = accounts.create_token_request(ACCOUNT, &post, &asked).await?;
        let token = given.status.ok_or("no token")?.token;
        let mut file: Json = serde_yaml::from_str(&fs::read_to_string(admin)?)?;
        file["users"][0]["user"] = json!({ "token": token });
        fs::write(self.kubeconfig(), serde_json::to_string(&file)?)?;
        Ok(())
    }

    /// An administrator.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// How whoever provisions reaches the cluster.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.file("kubeconfig")
    }

    /// A file that goes with the control plane.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) async fn make_class(&self, class: Json) -> Result<(), Anything> {
        let class: StorageClass = serde_json::from_value(class)?;
        Api::all(self.client.clone()).create(&PostParams::default(), &class).await?;
        Ok(())
    }

    /// Creates a policy or its binding; it is in force some moments later.
    pub(super) async fn make_policy(&self, policy: Json) -> Result<(), Anything> {
        let kind = policy["kind"].as_str().ok_or("no kind")?;
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        let policy: DynamicObject = serde_json::from_value(policy)?;
        let plural = if kind.kind.ends_with("Binding") { "s" } else { "ies" };
        let plural = format!("{}{plural}", kind.kind.to_lowercase().trim_end_matches('y'));
        let kind = ApiResource::from_gvk_with_plural(&kind, &plural);
        let policies = Api::<DynamicObject>::all_with(self.client.clone(), &kind);
        policies.create(&PostParams::default(), &policy).await?;
        Ok(())
    }
}

/// Returns a client that is as a kubeconfig says.
pub(super) async fn client(kubeconfig: &Path) -> Result<Client, Anything> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
