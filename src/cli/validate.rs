//! `pso-gen validate`: everything that `render` checks, and nothing else.

use super::input_args::InputArgs;
use super::output::{self, Format};
use super::request::Request;
use super::{CommandError, Outcome, diff};
use super::{baseline, rendered};
use crate::compiler::check;
use crate::compiler::diagnostic::{Style, any_error, sort};

/// Check apps without rendering them
///
/// Runs all checks of `render`. With `--since`, also reports changes that Kubernetes would refuse, major versions
/// that would be skipped, names in a storage document that must stay, and claims that would be left behind.
/// Settings (`--set`) count for today's side alone, `--namespace` for both; layers and blueprints are those of
/// each side. An app of the earlier side that had ended counts as if it had not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,

    /// What to compare with: a folder or file of earlier output, a Git revision whose app files are
    /// rendered, or `REVISION:FOLDER` with output in Git
    #[arg(long, value_name = "EARLIER")]
    since: Option<String>,

    /// Value for the apps of an earlier Git revision, like `--set`, which counts for today's apps alone
    #[arg(long = "set-earlier", value_name = "[APP:]PATH=VALUE", requires = "since")]
    set_earlier: Vec<String>,

    /// How diagnostics are printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let request = Request::read(&args.input)?;
    let (mut summary, sources, apps) = rendered::collect(request)?;
    let broken = summary.is_broken();
    if let (Some(since), false) = (&args.since, broken) {
        let before = baseline::read(since, &args.input, &args.set_earlier, &sources)?;
        let missing = any_error(&before.missing);
        summary.diagnostics.extend(before.missing);
        if !missing {
            let after = rendered::objects(&apps, &summary)?;
            summary.diagnostics.extend(diff::elsewhere(since, &before.objects, &after));
            let today = apps.iter().map(|rendered| (&rendered.owner, rendered.objects.as_slice()));
            summary.diagnostics.extend(check::claims_since(&before.objects, today));
            let changes = check::changes(before.objects, after);
            let owner = |change: &_| rendered::owner(&apps, change);
            summary.diagnostics.extend(check::since(&changes, owner));
        }
        sort(&mut summary.diagnostics, &sources);
    }
    if args.format == Format::Human {
        output::diagnostics(&summary.diagnostics, &sources, args.format);
        if let (Some(since), true) = (&args.since, broken) {
            let since = crate::sanitize::name(since);
            output::words(&format!("not compared with `{since}`: correct these errors first\n"));
        }
        if summary.diagnostics.is_empty() {
            output::words(&summary_text(summary.apps, summary.storage));
        }
    } else {
        let text = output::rendered(&summary.diagnostics, &sources, args.format, Style::Plain);
        output::data(&text)?;
    }
    Ok(if summary.is_broken() { Outcome::Failure } else { Outcome::Success })
}

/// Says of how much nothing is wrong.
fn summary_text(apps: usize, storage: usize) -> String {
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
