//! `pso-gen validate`: everything that `render` checks, and nothing else.

use super::git;
use super::input::InputArgs;
use super::out::{self, Format};
use super::session::Session;
use super::{Outcome, Trouble};
use crate::diagnostic::{Style, sort};

/// Check apps without rendering them
///
/// Runs all checks of `render`. With `--since`, also tells what Kubernetes would refuse, which major
/// versions would be skipped, and which claims would be left behind.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,

    /// What to compare with: a folder or file of earlier output, a Git revision whose app files are
    /// rendered, or `REVISION:FOLDER` with output in Git
    #[arg(long, value_name = "EARLIER")]
    since: Option<String>,

    /// How diagnostics are printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Trouble> {
    let session = Session::open(&args.input)?;
    let (mut summary, sources, apps) = super::diff::collect(session)?;
    if let (Some(since), false) = (&args.since, summary.is_broken()) {
        let earlier = git::earlier(since, &args.input, &sources)?;
        match earlier {
            Ok(earlier) => {
                let after = super::diff::objects(&apps, &summary)?;
                let changes = crate::check::changes(earlier, after);
                let owner = |identity: &_| super::diff::owner(&apps, identity);
                summary.diagnostics.extend(crate::check::since(&changes, owner));
            }
            Err(diagnostic) => summary.diagnostics.push(diagnostic),
        }
        sort(&mut summary.diagnostics, &sources);
    }
    if args.format == Format::Human {
        out::diagnostics(&summary.diagnostics, &sources, args.format);
        if summary.diagnostics.is_empty() {
            out::words(&counted(summary.apps, summary.storage));
        }
    } else {
        let text = out::rendered(&summary.diagnostics, &sources, args.format, Style::Plain);
        out::data(&text)?;
    }
    Ok(if summary.is_broken() { Outcome::Wrong } else { Outcome::Good })
}

/// Says of how much nothing is wrong.
fn counted(apps: usize, storage: usize) -> String {
    let some = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        more => format!("{more} {what}s"),
    };
    let what = match (apps, storage) {
        (0, 1..) => some(storage, "storage document"),
        (_, 0) => some(apps, "app"),
        _ => format!("{} and {}", some(apps, "app"), some(storage, "storage document")),
    };
    format!("{what} {} valid\n", if apps + storage == 1 { "is" } else { "are" })
}
