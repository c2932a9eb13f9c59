//! `pso-gen orphans`: lists orphaned volumes, and destroys those that the user names.

use super::output;
use super::status::{From, OutputFormat, json};
use super::table::{age, table};
use super::{CommandError, Outcome};
use crate::contract::Quantity;
use crate::provisioner::decide::GRACE;
use crate::provisioner::report;
use crate::provisioner::run::{self, Arrays, destroy_orphan};
use crate::sanitize;

/// Longest text from an array or the cluster, in characters.
const LONGEST: usize = 1000;

/// List volumes that exist on the arrays but have no claim or PersistentVolume
///
/// Only volumes with names of this cluster are listed. Only volumes that you name are destroyed, under the same
/// conditions as by the provisioner: current data from the array and the cluster, and no connected host. The array can
/// recover them until its timer ends. Exit code 1 if there are orphans, or if a named volume was not destroyed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    from: From,

    /// Destroy this volume, NAME or ARRAY/NAME; may be given several times. Requires --lease while a provisioner runs
    #[arg(long, value_name = "NAME")]
    destroy: Vec<String>,

    /// Lease that the provisioner's replicas use for leader election
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = super::cluster::namespaced)]
    lease: Option<(String, String)>,

    /// Show what would be destroyed, and destroy nothing
    #[arg(long, requires = "destroy")]
    dry_run: bool,

    /// Minimum age of an orphan, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = GRACE, hide = true)]
    older_than: u64,

    /// Output format
    #[arg(long, value_enum, default_value = "table", conflicts_with = "destroy")]
    format: OutputFormat,
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let arrays = match args.from.arrays()? {
        Ok(arrays) => arrays,
        Err(outcome) => return Ok(outcome),
    };
    let arrays = arrays.ok_or(CommandError::MissingStorage)?;
    let runtime = tokio::runtime::Runtime::new().map_err(CommandError::Start)?;
    runtime.block_on(async {
        let outcome = if args.destroy.is_empty() {
            list(args, &arrays).await
        } else {
            destroy(args, &arrays).await
        };
        arrays.log_out().await;
        outcome
    })
}

async fn list(args: &Args, arrays: &Arrays) -> Result<Outcome, CommandError> {
    let cluster = args.from.cluster().await?;
    let inventory = run::inventory(&cluster.client, Some(arrays), None).await;
    let inventory = inventory.map_err(|error| cluster.unreachable(&error))?;
    let (orphans, _) = report::orphans(&inventory, args.older_than);
    let away = inventory.listed.iter().filter_map(|listed| {
        let why = listed.volumes.as_ref().err()?;
        Some(sanitize::line(&format!("{} cannot be read: {why}", listed.array), LONGEST) + "\n")
    });
    let away: String = away.collect();
    output::words(&away);
    match args.format {
        OutputFormat::Json => output::data(&json(&orphans)?)?,
        OutputFormat::Table if orphans.is_empty() => output::data("no orphans\n")?,
        OutputFormat::Table => {
            let head = ["ARRAY", "VOLUME", "SIZE", "AGE"].map(str::to_owned);
            let rows = orphans.iter().map(|orphan| {
                let age = orphan.age.map(age).unwrap_or_default();
                [orphan.array.clone(), orphan.name.clone(), Quantity::about(orphan.size), age]
            });
            output::data(&table(&[head].into_iter().chain(rows).collect::<Vec<_>>()))?;
        }
    }
    Ok(if orphans.is_empty() && away.is_empty() { Outcome::Success } else { Outcome::Failure })
}

async fn destroy(args: &Args, arrays: &Arrays) -> Result<Outcome, CommandError> {
    let client = args.from.cluster().await?.client;
    let mut outcome = Outcome::Success;
    for name in &args.destroy {
        let lease =
            args.lease.as_ref().map(|(namespace, name)| (namespace.as_str(), name.as_str()));
        match destroy_orphan(&client, arrays, name, lease, args.older_than, args.dry_run).await {
            Ok(stray) if args.dry_run => {
                output::data(&format!("{name}: would be destroyed on {}\n", stray.array))?;
            }
            Ok(stray) => output::data(&format!("{name}: destroyed on {}\n", stray.array))?,
            Err(why) => {
                output::words(&(sanitize::line(&format!("{name}: kept: {why}"), LONGEST) + "\n"));
                outcome = Outcome::Failure;
            }
        }
    }
    Ok(outcome)
}
