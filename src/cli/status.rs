//! `pso-gen status`: shows claims, arrays and problems to the on-call engineer.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cluster::{Cluster, storage};
use super::output::{self, Format as Diagnostics};
use super::table::{age, table};
use super::{CommandError, Outcome, terminal};
use crate::compiler::diagnostic::Sources;
use crate::contract::Quantity;
use crate::provisioner::decide::Binding;
use crate::provisioner::report::{ArrayLine, Problem, Report, ReportFilter};
use crate::provisioner::run::{self, Arrays, Metrics};
use crate::sanitize;

/// Longest text of a problem, in characters, as in an event.
const LONGEST: usize = 1024;

/// Show the status of claims and arrays, and list problems
///
/// Reads the cluster, and the arrays too if you pass `--storage`. Changes nothing. Lists problems that need action at
/// the end, each with a remedy, and exits with code 1 if there are any.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A claim, NAMESPACE/NAME; the default is all claims
    #[arg(value_name = "CLAIM", value_parser = super::cluster::namespaced)]
    claim: Option<(String, String)>,

    /// Show only claims of this namespace
    #[arg(long, short, conflicts_with = "claim")]
    namespace: Option<String>,

    #[command(flatten)]
    from: From,

    /// Lease that the provisioner's replicas use for leader election
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = super::cluster::namespaced)]
    lease: Option<(String, String)>,

    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    format: OutputFormat,

    /// Repeat after so many seconds, until Ctrl-C
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5",
          value_parser = clap::value_parser!(u64).range(1..))]
    watch: Option<u64>,
}

/// Sources of the report.
#[derive(Debug, clap::Args)]
pub(super) struct From {
    /// Storage document; without it, arrays are not queried
    #[arg(long, value_name = "FILE")]
    pub(super) storage: Option<PathBuf>,

    /// Kubeconfig of the cluster; the default is the pod's service account, or the context of kubectl
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,

    /// Folder with a subfolder for each Secret that the storage document names
    #[arg(long, value_name = "FOLDER", default_value = "/etc/pso-gen/secrets")]
    pub(super) secrets: PathBuf,
}

/// Output format of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OutputFormat {
    /// Columns of text
    Table,
    /// One JSON object, for scripts
    Json,
}

impl From {
    /// Returns the arrays of the storage document, if there is one. The inner error means that its diagnostics have
    /// been printed.
    pub(super) fn arrays(&self) -> Result<Result<Option<Arrays>, Outcome>, CommandError> {
        let Some(path) = &self.storage else { return Ok(Ok(None)) };
        let sources = Sources::default();
        let spec = match storage(path, &sources)? {
            Ok(spec) => spec,
            Err(errors) => {
                output::diagnostics(&errors, &sources, Diagnostics::Human);
                return Ok(Err(Outcome::Failure));
            }
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let arrays =
            run::set_up(&spec, folder, &self.secrets, Binding::Direct, &Metrics::default());
        Ok(Ok(Some(arrays?)))
    }

    pub(super) async fn cluster(&self) -> Result<Cluster, CommandError> {
        Cluster::of(self.kubeconfig.as_deref(), &Metrics::default()).await
    }
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let arrays = match args.from.arrays()? {
        Ok(arrays) => arrays,
        Err(outcome) => return Ok(outcome),
    };
    let (namespace, claim) = match &args.claim {
        Some((namespace, claim)) => (Some(namespace.clone()), Some(claim.clone())),
        None => (args.namespace.clone(), None),
    };
    let scope = ReportFilter { namespace, claim };
    let lease = args.lease.as_ref().map(|(namespace, name)| (namespace.as_str(), name.as_str()));
    let runtime = tokio::runtime::Runtime::new().map_err(CommandError::Start)?;
    runtime.block_on(async {
        let cluster = args.from.cluster().await?;
        let look = async || {
            let inventory = run::inventory(&cluster.client, arrays.as_ref(), lease).await;
            let inventory = inventory.map_err(|error| cluster.unreachable(&error))?;
            let lease = lease.map(|(namespace, name)| format!("{namespace}/{name}"));
            Ok::<_, CommandError>(Report::new(&inventory, &scope, lease.as_deref()))
        };
        let again = async {
            loop {
                let report = look().await?;
                let text = match args.format {
                    OutputFormat::Table => written(&report),
                    OutputFormat::Json => json(&report)?,
                };
                if args.watch.is_some() && terminal::redraws() {
                    // Move to the top left and clear the screen, so that the table stays in place.
                    output::data("\u{1b}[H\u{1b}[2J")?;
                }
                output::data(&text)?;
                let Some(seconds) = args.watch else {
                    return Ok(if report.problems.is_empty() {
                        Outcome::Success
                    } else {
                        Outcome::Failure
                    });
                };
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
        };
        let outcome = tokio::select! {
            outcome = again => outcome,
            _ = tokio::signal::ctrl_c() => Ok(Outcome::Success),
        };
        if let Some(arrays) = &arrays {
            arrays.log_out().await;
        }
        outcome
    })
}

/// Returns a value as JSON with a line end.
pub(super) fn json(value: &impl serde::Serialize) -> Result<String, CommandError> {
    Ok(sanitize::json(&serde_json::to_string_pretty(value)?) + "\n")
}

/// Returns a report as text.
pub(super) fn written(report: &Report) -> String {
    let mut text = String::new();
    if let Some(leader) = &report.leader {
        let renewed = leader.renewed.map(|renewed| format!(", renewed {} ago", age(renewed)));
        let renewed = renewed.unwrap_or_default();
        let _ = match &leader.holder {
            Some(holder) => {
                let holder = sanitize::line(holder, sanitize::LONGEST);
                writeln!(text, "leader: {holder}{renewed}\n")
            }
            None => writeln!(text, "leader: none, the lease has no holder{renewed}\n"),
        };
    }
    if !report.arrays.is_empty() {
        let head = ["ARRAY", "KIND", "STATE", "VOLUMES", "USED", "PROVISIONED"].map(str::to_owned);
        let rows: Vec<_> = [head].into_iter().chain(report.arrays.iter().map(array)).collect();
        let _ = writeln!(text, "{}", table(&rows));
    }
    if report.claims.is_empty() {
        text.push_str("no claims\n");
    } else {
        let head = ["CLAIM", "CLASS", "STATE", "SIZE", "ARRAY", "VOLUME", "AGE"].map(str::to_owned);
        let rows = report.claims.iter().map(|claim| {
            let size = match (claim.size, claim.asked) {
                (Some(size), Some(asked)) if asked > size => {
                    format!("{} of {}", Quantity::about(size), Quantity::about(asked))
                }
                (size, asked) => size.or(asked).map(Quantity::about).unwrap_or_default(),
            };
            let word = |word: &Option<String>| word.clone().unwrap_or_default();
            [
                format!("{}/{}", claim.namespace, claim.name),
                claim.class.clone(),
                claim.state.to_owned(),
                size,
                word(&claim.array),
                word(&claim.volume),
                age(claim.age),
            ]
        });
        text.push_str(&table(&[head].into_iter().chain(rows).collect::<Vec<_>>()));
    }
    if !report.attachments.is_empty() {
        let head = ["ATTACHED", "ARRAY", "NODE", "STATE", "FORMATTED", "AGE"].map(str::to_owned);
        let rows = report.attachments.iter().map(|line| {
            let formatted = if line.formatted { "recorded" } else { "" };
            [
                line.claim.clone(),
                line.array.clone(),
                line.node.clone(),
                line.state.to_owned(),
                formatted.to_owned(),
                age(line.age),
            ]
        });
        let rows: Vec<_> = [head].into_iter().chain(rows).collect();
        let _ = write!(text, "\n{}", table(&rows));
    }
    if !report.released.is_empty() {
        let head = ["RELEASED", "POLICY", "WAS", "ARRAY", "VOLUME"].map(str::to_owned);
        let rows = report.released.iter().map(|line| {
            [&line.name, &line.policy, &line.claim, &line.array, &line.volume].map(String::clone)
        });
        let rows: Vec<_> = [head].into_iter().chain(rows).collect();
        let _ = write!(text, "\n{}", table(&rows));
    }
    match report.problems.as_slice() {
        [] => text.push_str("\nno problems\n"),
        problems => {
            for Problem { about, what, remedy, page } in problems {
                // Texts from events and arrays are untrusted and must stay on one line.
                let (about, what) = (sanitize::line(about, LONGEST), sanitize::line(what, LONGEST));
                let remedy = sanitize::line(remedy, LONGEST);
                let _ =
                    write!(text, "\nproblem: {about}: {what}\n  fix: {remedy}\n  see: {page}\n");
            }
        }
    }
    text
}

fn array(line: &ArrayLine) -> [String; 6] {
    let about = |bytes: Option<u64>| bytes.map(Quantity::about).unwrap_or_default();
    let used = match (line.used, line.capacity) {
        (Some(used), Some(total)) => {
            let share = used.saturating_mul(100).checked_div(total).unwrap_or_default();
            format!("{share}% of {}", Quantity::about(total))
        }
        _ => String::new(),
    };
    [
        line.name.clone(),
        line.kind.to_owned(),
        line.state.to_owned(),
        line.volumes.map(|volumes| volumes.to_string()).unwrap_or_default(),
        used,
        about(line.provisioned),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provisioner::report::{AttachmentLine, ClaimLine, Inventory};

    #[test]
    fn words_of_others_make_no_line_of_ours() {
        let forged = "no\n\nproblem: array fb1: gone\n  fix: rm -rf /\u{1b}[2J\u{9b}2J\u{202e}";
        let mut report = Report::new(&Inventory::default(), &ReportFilter::default(), None);
        let (text, size) = (forged.to_owned(), None);
        report.claims = vec![ClaimLine {
            namespace: text.clone(),
            name: text.clone(),
            class: text.clone(),
            state: "Pending",
            asked: size,
            size,
            array: Some(text.clone()),
            volume: Some(text.clone()),
            age: 0,
            problem: Some(text.clone()),
        }];
        report.attachments = vec![AttachmentLine {
            claim: text.clone(),
            volume: text.clone(),
            array: text.clone(),
            node: text.clone(),
            state: "Attached",
            formatted: true,
            age: 0,
            problem: Some(text.clone()),
        }];
        let (about, what, remedy) = (text.clone(), text.repeat(1000), text);
        report.problems = vec![Problem { about, what, remedy, page: "docs" }];
        let shown = written(&report);
        let begins = |word: &str| shown.lines().filter(|line| line.starts_with(word)).count();
        assert_eq!(
            (begins("problem: "), begins("  fix: "), begins("  see: ")),
            (1, 1, 1),
            "{shown}"
        );
        assert_eq!(shown.lines().count(), 9, "{shown}");
        assert!(shown.len() < 16 << 10, "{} bytes", shown.len());
        let json = json(&report).expect("written");
        for text in [shown, json] {
            assert!(!text.chars().any(|c| c != '\n' && sanitize::steers(c)), "{text:?}");
        }
    }
}
