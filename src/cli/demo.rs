//! `pso-gen demo`: everything at once against a cluster, with simulated arrays, and away again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::cluster::{Cluster, storage};
use super::input_args::InputArgs;
use super::request::Request;
use super::{CommandError, Outcome, output, simulate, status, terminal};
use crate::compiler::diagnostic::{Sources, any_error};
use crate::provisioner::decide::Binding;
use crate::provisioner::report::{Report, ReportFilter};
use crate::provisioner::run::{self, Applied, Arrays, COMPARE_EVERY, Metrics, Status, before};

/// The apps that are shown.
const APPS: [(&str, &str); 3] = [
    ("scratch", include_str!("../../examples/tiny/scratch.pso.yaml")),
    ("nextcloud", include_str!("../../examples/tiny/nextcloud.pso.yaml")),
    ("owncloud", include_str!("../../examples/tiny/owncloud.pso.yaml")),
];

/// How all namespaces of a demo begin.
const NAMESPACE: &str = "pso-gen-demo-";

/// Kinds that start pods, which could not mount simulated volumes.
const WORKLOADS: [&str; 4] = ["Deployment", "StatefulSet", "Job", "CronJob"];

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long taking everything away may last.
const END: Duration = Duration::from_secs(180);

/// Show it all against a cluster: simulated arrays, the provisioner, three apps
///
/// Writes the three apps into namespaces of their own (`pso-gen-demo-...`), makes their volumes on simulated
/// arrays, and shows how their claims become Bound. At the end, or with Ctrl-C, all of it is taken away again.
/// Where the cluster has nodes, no pods are started: they could not mount a simulated array.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How the cluster is reached; as kubectl would, when left out
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// End when all claims are bound, instead of waiting for Ctrl-C
    #[arg(long)]
    once: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let runtime = tokio::runtime::Runtime::new().map_err(CommandError::Start)?;
    runtime.block_on(show(args))
}

async fn show(args: &Args) -> Result<Outcome, CommandError> {
    let mut end = End::new()?;
    let cluster = Cluster::of(args.kubeconfig.as_deref(), &Metrics::default()).await?;
    let client = &cluster.client;
    let cluster_state = before(client).await.map_err(|error| cluster.unreachable(&error))?;
    check_unused(&cluster_state)?;
    let folder = tempfile::tempdir().map_err(CommandError::Simulate)?;
    let document = folder.path().join("storage.pso.yaml");
    let page = simulate::start(&document).await.map_err(CommandError::Simulate)?;
    let status = Status::new();
    let arrays = arrays(&document, status.metrics())?;
    let objects = objects(folder.path(), &document, cluster_state.nodes > 0)?;
    output::words(&format!("the arrays: {page}\n"));

    let (stop, mut stopped) = watch::channel(false);
    let provisioner = tokio::spawn({
        let (client, arrays) = (client.clone(), arrays.clone());
        async move {
            let ended = async {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            run::run(client, arrays, None, COMPARE_EVERY, &status, ended).await
        }
    });
    let mut applied = Applied::default();
    let shown = tokio::select! {
        shown = watched(&cluster, &arrays, &objects, &mut applied, args.once) => shown,
        () = end.asked() => Ok(()),
    };
    output::words("taking everything away\n");
    let cleaned = tokio::select! {
        cleaned = tokio::time::timeout(END, clean(&cluster, &arrays, &mut applied)) => cleaned
            .unwrap_or_else(|_| Err(CommandError::DemoNotDeleted { seconds: END.as_secs() })),
        () = end.asked() => Err(CommandError::DemoNotWaited),
    };
    let _ = stop.send(true);
    let _ = provisioner.await;
    shown.and(cleaned).map(|()| Outcome::Success)
}

/// Fails when the cluster has objects that a demo would disturb, or that another demo has left.
fn check_unused(cluster: &run::Before) -> Result<(), CommandError> {
    let class =
        cluster.classes.iter().find(|name| ["pure-file", "pure-block"].contains(&name.as_str()));
    let namespace = cluster.namespaces.iter().find(|name| name.starts_with(NAMESPACE));
    match (class, namespace) {
        (Some(class), _) => Err(CommandError::DemoClass { class: class.clone() }),
        (None, Some(namespace)) => {
            Err(CommandError::DemoNamespace { namespace: namespace.clone() })
        }
        (None, None) => Ok(()),
    }
}

fn arrays(document: &Path, metrics: &Metrics) -> Result<Arrays, CommandError> {
    let spec = storage(document, &Sources::default())?.map_err(|_| CommandError::Defect)?;
    let folder = document.parent().unwrap_or(Path::new(""));
    Ok(run::set_up(&spec, folder, Path::new(""), Binding::Direct, metrics)?)
}

/// Renders the classes, and each app in a namespace of its own.
fn objects(folder: &Path, document: &Path, has_nodes: bool) -> Result<Vec<Json>, CommandError> {
    let mut objects = rendered(document, &[], &[])?;
    objects.retain(|object| object["kind"] == "StorageClass");
    for (name, text) in APPS {
        let path = folder.join(format!("{name}.pso.yaml"));
        let unwritten = |source| CommandError::Write { path: path.display().to_string(), source };
        fs::write(&path, text).map_err(unwritten)?;
        let namespace = format!("metadata.namespace={NAMESPACE}{name}");
        objects.extend(rendered(&path, &[namespace], &[document.to_owned()])?);
    }
    let starts = |object: &Json| WORKLOADS.iter().any(|kind| object["kind"] == *kind);
    objects.retain(|object| !(has_nodes && starts(object)));
    Ok(objects)
}

fn rendered(
    path: &Path,
    settings: &[String],
    storage: &[PathBuf],
) -> Result<Vec<Json>, CommandError> {
    let request = Request::read(&InputArgs {
        paths: vec![path.to_owned()],
        settings: settings.to_vec(),
        storage: storage.to_vec(),
        layers: Vec::new(),
        namespace: None,
        blueprints: Vec::new(),
        tenant_rules: Vec::new(),
        application: None,
        ignored: super::input_files::Ignored::default(),
        side: crate::compiler::run::Side::Today,
        today: None,
    })?;
    let mut objects = Vec::new();
    let prepare = |unit: &crate::compiler::run::Unit| {
        let apps = unit.apps.iter().flat_map(|app| app.compiled.objects.clone());
        let storage = unit.storage.iter().flat_map(|stored| stored.objects.clone());
        Ok(storage.chain(apps).collect::<Vec<_>>())
    };
    let (summary, _) = request.render(prepare, |mut each| {
        objects.append(&mut each);
        Ok(())
    })?;
    if any_error(&summary.diagnostics) {
        return Err(CommandError::Defect);
    }
    let all = summary.namespaces.iter().chain(&objects);
    let all = all.map(crate::compiler::manifest::Object::to_json).collect::<Result<Vec<_>, _>>();
    Ok(all?)
}

/// Applies everything, and shows what becomes of it.
async fn watched(
    cluster: &Cluster,
    arrays: &Arrays,
    objects: &[Json],
    applied: &mut Applied,
    once: bool,
) -> Result<(), CommandError> {
    let is_claim = |object: &&Json| object["kind"] == "PersistentVolumeClaim";
    let wanted = objects.iter().filter(is_claim).count();
    applied.apply(&cluster.client, objects).await.map_err(|error| cluster.unreachable(&error))?;
    for kind in &applied.unknown {
        output::words(&format!("left out: the cluster does not know the kind {kind}\n"));
    }
    let redraw = terminal::redraws();
    let mut before = None;
    loop {
        let report = look(cluster, arrays).await?;
        let bound = report.claims.iter().filter(|claim| claim.state == "Bound").count();
        if redraw {
            output::data("\u{1b}[H\u{1b}[2J")?;
            output::data(&status::written(&report))?;
        } else if before.replace(bound) != Some(bound) {
            output::data(&format!("{bound} of {wanted} claims are bound\n"))?;
        }
        if bound == wanted && once {
            if !redraw {
                output::data(&status::written(&report))?;
            }
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn look(cluster: &Cluster, arrays: &Arrays) -> Result<Report, CommandError> {
    let inventory = run::inventory(&cluster.client, Some(arrays), None).await;
    let mut inventory = inventory.map_err(|error| cluster.unreachable(&error))?;
    // Simulated volumes cannot be mounted, so the demo installs no node service.
    (inventory.csi_nodes, inventory.attachments) = (None, Vec::new());
    Ok(Report::new(&inventory, &ReportFilter::default(), None))
}

/// Takes everything away: first what needs the provisioner, which still runs.
async fn clean(
    cluster: &Cluster,
    arrays: &Arrays,
    applied: &mut Applied,
) -> Result<(), CommandError> {
    applied.delete(&cluster.client).await.map_err(|error| cluster.unreachable(&error))?;
    loop {
        let report = look(cluster, arrays).await?;
        let is_up = |state: &&crate::provisioner::report::ArrayLine| state.volumes != Some(0);
        let left = report.claims.len()
            + report.released.len()
            + report.arrays.iter().filter(is_up).count();
        let cluster_state =
            before(&cluster.client).await.map_err(|error| cluster.unreachable(&error))?;
        if left == 0 && !cluster_state.namespaces.iter().any(|name| name.starts_with(NAMESPACE)) {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    applied.finish(&cluster.client).await.map_err(|error| cluster.unreachable(&error))?;
    output::words("nothing is left\n");
    Ok(())
}

/// SIGTERM and Ctrl-C.
struct End(Signal);

impl End {
    fn new() -> Result<Self, CommandError> {
        signal(SignalKind::terminate()).map(Self).map_err(CommandError::Start)
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}
