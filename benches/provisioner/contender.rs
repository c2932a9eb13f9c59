//! Who provisions: how each is started and of which class its claims are. Knows nothing of what is
//! measured.

use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::Anything;
use super::bare::{self, Binding};
use super::process::Process;
use super::stage::{NAMESPACE, Stage};

/// Class and provisioner of the driver that keeps volumes in memory; its source has the same name.
const MEMORY: (&str, &str) = ("memory", "memory.bench.pso-gen.io");
/// Class of ours.
const FILE: &str = "pure-file";

/// One that provisions.
#[derive(Debug, Clone)]
pub(super) enum Contender {
    /// Ours, with who binds, where it can be told; and whether a policy annotates claims.
    Ours(Option<&'static str>, bool),
    /// The CSI project's.
    External { provisioner: PathBuf, driver: PathBuf, tuned: bool },
    /// The bare loop.
    Bare(Binding),
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(None, _) => f.write_str("pso-gen"),
            Self::Ours(Some(binding), false) => write!(f, "pso-gen, {binding}"),
            Self::Ours(Some(binding), true) => write!(f, "pso-gen, {binding}, annotated claims"),
            Self::External { tuned: false, .. } => f.write_str("external-provisioner 5/10"),
            Self::External { tuned: true, .. } => f.write_str("external-provisioner 500/1000"),
            Self::Bare(Binding::Direct) => f.write_str("bare loop, direct"),
            Self::Bare(Binding::Same) => f.write_str("bare loop, all writes"),
            Self::Bare(Binding::Controller) => f.write_str("bare loop, controller"),
        }
    }
}

impl Contender {
    /// Returns all that there are here.
    pub(super) fn all() -> Result<Vec<Self>, Anything> {
        let help = Command::new(binary()).args(["provisioner", "--help"]).output()?;
        let mut all = if String::from_utf8_lossy(&help.stdout).contains("--binding") {
            let each = [("direct", false), ("direct", true), ("controller", false)];
            each.map(|(binding, annotates)| Self::Ours(Some(binding), annotates)).to_vec()
        } else {
            vec![Self::Ours(None, false)]
        };
        match (built("csi-provisioner"), built("driver")) {
            (Ok(provisioner), Ok(driver)) => {
                all.extend([false, true].map(|tuned| {
                    let (provisioner, driver) = (provisioner.clone(), driver.clone());
                    Self::External { provisioner, driver, tuned }
                }));
            }
            (Err(error), _) | (_, Err(error)) => eprintln!("no external-provisioner: {error}"),
        }
        all.extend([Binding::Same, Binding::Direct, Binding::Controller].map(Self::Bare));
        Ok(all)
    }

    /// Whether a policy annotates the claims.
    pub(super) fn annotates(&self) -> bool {
        matches!(self, Self::Ours(_, true))
    }

    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(..))
    }

    /// Starts it, ours with a lease if it is wanted.
    pub(super) async fn start(&self, stage: &Stage, lease: bool) -> Result<Running, Anything> {
        let kubeconfig = stage.kubeconfig();
        let mut beside = None;
        let mut page = None;
        let (command, class) = match self {
            Self::Ours(binding, annotates) => {
                let storage = stage.file("storage.pso.yaml");
                let (simulator, told) = simulator(&storage)?;
                beside = Some(simulator);
                page = Some(told);
                for class in classes(&storage)? {
                    stage.make_class(class).await?;
                }
                if *annotates {
                    for object in policy(&storage)? {
                        stage.make_policy(object).await?;
                    }
                }
                let mut command = Command::new(binary());
                command.arg("provisioner").arg("--storage").arg(storage);
                command.arg("--kubeconfig").arg(kubeconfig);
                command.args(binding.iter().flat_map(|binding| ["--binding", *binding]));
                if lease {
                    command.arg("--lease").arg(format!("{NAMESPACE}/pso-gen"));
                }
                (command, FILE)
            }
            Self::External { provisioner, driver, tuned } => {
                let socket = stage.file("csi.sock");
                beside = Some(Process(Command::new(driver).arg(&socket).spawn()?));
                let (class, provisioned_by) = MEMORY;
                stage.make_class(of(class, provisioned_by)).await?;
                let mut command = Command::new(provisioner);
                command.arg("--csi-address").arg(socket).arg("--kubeconfig").arg(kubeconfig);
                if *tuned {
                    command.args(["--kube-api-qps", "500", "--kube-api-burst", "1000"]);
                    command.args(["--worker-threads", "100"]);
                }
                (command, class)
            }
            Self::Bare(binding) => {
                stage.make_class(of(bare::CLASS, bare::PROVISIONER)).await?;
                let mut command = Command::new(env::current_exe()?);
                let binding = match binding {
                    Binding::Direct => "direct",
                    Binding::Same => "same",
                    Binding::Controller => "controller",
                };
                command.args(["--bare", binding]).arg("--kubeconfig").arg(kubeconfig);
                (command, bare::CLASS)
            }
        };
        let log = stage.file("provisioner.log");
        let mut running = Running { process: None, beside, command, class, page, log };
        running.again()?;
        Ok(running)
    }
}

/// A contender at work. It goes before what it stands on.
#[derive(Debug)]
pub(super) struct Running {
    process: Option<Process>,
    /// What it stands on: arrays, or a driver.
    #[expect(dead_code, reason = "ends with it")]
    beside: Option<Process>,
    command: Command,
    class: &'static str,
    /// Where the simulated arrays tell about themselves.
    page: Option<String>,
    log: PathBuf,
}

impl Running {
    /// Starts it, after it was killed if it runs.
    pub(super) fn again(&mut self) -> Result<(), Anything> {
        self.process = None;
        let log = File::options().create(true).append(true).open(&self.log)?;
        self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(Process(self.command.spawn()?));
        Ok(())
    }

    /// The class of the claims that it provisions.
    pub(super) fn class(&self) -> &'static str {
        self.class
    }

    fn process(&self) -> Result<&Process, Anything> {
        self.process.as_ref().ok_or_else(|| "it does not run".into())
    }

    pub(super) fn cpu(&self) -> Result<Duration, Anything> {
        self.process()?.cpu()
    }

    /// Memory now, in bytes.
    pub(super) fn resident(&self) -> Result<u64, Anything> {
        self.process()?.memory("VmRSS")
    }

    /// The most memory that it has had, in bytes.
    pub(super) fn peak(&self) -> Result<u64, Anything> {
        self.process()?.memory("VmHWM")
    }

    /// Requests that all arrays have had; none where there are no arrays.
    pub(super) async fn array_calls(&self) -> Result<Option<u64>, Anything> {
        let Some(page) = &self.page else { return Ok(None) };
        let state: Json = reqwest::get(format!("{page}/state?most=0")).await?.json().await?;
        let arrays = state["arrays"].as_array().into_iter().flatten();
        Ok(Some(arrays.map(|array| array["requests"].as_u64().unwrap_or_default()).sum()))
    }

    /// Adds the end of its log to an error.
    pub(super) fn explain(&self, error: &Anything) -> Anything {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(10)..].join("\n");
        format!("{error}; its log ends with:\n{end}").into()
    }
}

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_pso-gen")
}

/// Returns a peer, built when it has to be.
fn built(part: &str) -> Result<PathBuf, Anything> {
    let project = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("not run by cargo")?);
    let built = Command::new(project.join("benches/peers/build")).arg(part).output()?;
    if !built.status.success() {
        return Err(String::from_utf8_lossy(&built.stderr).into_owned().into());
    }
    Ok(PathBuf::from(String::from_utf8(built.stdout)?.trim()))
}

fn of(class: &str, provisioner: &str) -> Json {
    json!({"metadata": {"name": class}, "provisioner": provisioner, "reclaimPolicy": "Delete"})
}

/// Starts simulated arrays. Returns where they tell about themselves.
fn simulator(storage: &PathBuf) -> Result<(Process, String), Anything> {
    let mut process = Command::new(binary())
        .args(["simulate", "--format", "json", "--storage-out"])
        .arg(storage)
        .stdout(Stdio::piped())
        .spawn()?;
    let told = process.stdout.take().ok_or("no output")?;
    let process = Process(process);
    let mut line = String::new();
    BufReader::new(told).read_line(&mut line)?;
    let told: Json = serde_json::from_str(&line)?;
    Ok((process, told["page"].as_str().ok_or("no page")?.to_owned()))
}

/// Returns the classes of a storage document, as they are rendered.
fn classes(storage: &PathBuf) -> Result<Vec<Json>, Anything> {
    let rendered = Command::new(binary()).arg("render").arg(storage).output()?;
    let objects: Vec<Json> = serde_yaml::from_multiple(&String::from_utf8(rendered.stdout)?)?;
    Ok(objects.into_iter().filter(|object| object["kind"] == "StorageClass").collect())
}

/// Returns the policy that annotates claims with its binding, as a storage document renders them.
fn policy(storage: &Path) -> Result<Vec<Json>, Anything> {
    let mut document: Json = serde_yaml::from_str(&fs::read_to_string(storage)?)?;
    document["metadata"]["namespace"] = json!("pso-system");
    document["spec"]["provisioner"] =
        json!({"image": "registry.example.com/pso-gen:0.1.0", "annotateClaims": true});
    for array in document["spec"]["arrays"].as_array_mut().into_iter().flatten() {
        for field in ["token", "ca"] {
            array[field] = json!({"secret": "arrays", "key": field});
        }
    }
    let file = storage.with_file_name("annotates.pso.yaml");
    fs::write(&file, document.to_string())?;
    let rendered = Command::new(binary()).arg("render").arg(&file).output()?;
    let mut objects: Vec<Json> = serde_yaml::from_multiple(&String::from_utf8(rendered.stdout)?)?;
    objects.retain(|object| {
        object["kind"].as_str().is_some_and(|kind| kind.starts_with("MutatingAdmissionPolicy"))
    });
    if objects.len() == 2 { Ok(objects) } else { Err("no policy is rendered".into()) }
}
