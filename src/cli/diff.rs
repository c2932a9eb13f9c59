//! `pso-gen diff`: the effect of changed app files on the cluster.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io;

use similar::{ChangeTag, TextDiff};

use super::input_args::InputArgs;
use super::output::{self, Format};
use super::request::Request;
use super::{CommandError, Outcome};
use super::{baseline, rendered};
use crate::compiler::check::{Change, changes};
use crate::compiler::diagnostic::{Code, Diagnostic, Style, any_error};
use crate::compiler::manifest::Earlier;
use crate::compiler::yaml;
use crate::sanitize;

/// Show what would change against an earlier output
///
/// Prints a unified diff, object by object. Settings (`--set`) count for today's side alone, `--namespace`
/// for both; layers and blueprints are those of each side. Exit code 0: same, 1: different, 2: it could not be
/// compared.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to compare with: a folder or file of earlier output, a Git revision whose app files are
    /// rendered, or `REVISION:FOLDER` with output in Git
    #[arg(value_name = "EARLIER")]
    since: String,

    #[command(flatten)]
    input: InputArgs,

    /// Value for the apps of an earlier Git revision, like `--set`, which counts for today's apps alone
    #[arg(long = "set-earlier", value_name = "[APP:]PATH=VALUE")]
    set_earlier: Vec<String>,

    /// Print only the names of objects
    #[arg(long)]
    names: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let request = Request::read(&args.input)?;
    let (summary, sources, apps) = rendered::collect(request)?;
    output::diagnostics(&summary.diagnostics, &sources, Format::Human);
    if summary.is_broken() {
        return Err(CommandError::NotRendered);
    }
    let before = baseline::read(&args.since, &args.input, &args.set_earlier, &sources)?;
    let after = rendered::objects(&apps, &summary)?;
    let mut missing = before.missing;
    missing.extend(elsewhere(&args.since, &before.objects, &after));
    output::diagnostics(&missing, &sources, Format::Human);
    if any_error(&missing) {
        return Err(CommandError::InvalidBaseline { name: sanitize::name(&args.since) });
    }
    let changes = changes(before.objects, after);
    let style = output::style(&io::stdout());
    let mut text = String::new();
    for change in &changes {
        if args.names {
            let _ = writeln!(text, "{} {}", mark(change), change.identity);
        } else {
            text.push_str(&show(change, style)?);
        }
    }
    // The baseline may contain untrusted texts.
    output::data(&sanitize::coloured(&text))?;
    match (changes.is_empty(), missing.is_empty()) {
        (true, true) => Ok(Outcome::Success),
        (true, false) => Err(CommandError::PartlyCompared { name: sanitize::name(&args.since) }),
        (false, _) => Ok(Outcome::Failure),
    }
}

/// Says that the earlier side has nothing of today's, which is most often the wrong folder.
pub(super) fn elsewhere(since: &str, before: &[Earlier], after: &[Earlier]) -> Option<Diagnostic> {
    // Namespaces are shared.
    let of_apps = |object: &&Earlier| object.identity.kind != "Namespace";
    let earlier: HashSet<_> = before.iter().filter(of_apps).map(|o| &o.identity).collect();
    let mut today = after.iter().filter(of_apps);
    let is_other = today.next().is_some() && !earlier.is_empty();
    let mut today = after.iter().filter(of_apps);
    (is_other && !today.any(|object| earlier.contains(&object.identity))).then(|| {
        let none = format!("`{since}` has none of today's {} objects", after.len());
        let diagnostic = if before.iter().any(Earlier::is_ours) {
            let message = format!("{none}; all of them count as new");
            Diagnostic::new(Code::NotCompared, None, message)
        } else {
            let message = format!("{none}, and no other output of pso-gen");
            Diagnostic::new(Code::BadEarlier, None, message)
        };
        diagnostic.fix("name the earlier output of the same apps")
    })
}

fn mark(change: &Change) -> char {
    match (&change.before, &change.after) {
        (None, _) => '+',
        (_, None) => '-',
        _ => '~',
    }
}

fn show(change: &Change, style: Style) -> Result<String, CommandError> {
    let text = |json: &Option<serde_json::Value>| -> Result<String, CommandError> {
        let mut text = String::new();
        if let Some(json) = json {
            yaml::write(&mut text, json).map_err(|source| {
                CommandError::Manifest(crate::compiler::manifest::WriteError {
                    identity: change.identity.clone(),
                    source,
                })
            })?;
        }
        Ok(text)
    };
    let (before, after) = (text(&change.before)?, text(&change.after)?);
    let (bold, red, green, off) = match style {
        Style::Coloured => ("\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[0m"),
        Style::Plain => ("", "", "", ""),
    };
    let mut out = format!("{bold}{} {}{off}\n", mark(change), change.identity);
    let diff = TextDiff::from_lines(before.as_str(), after.as_str());
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        let _ = writeln!(out, "{}", hunk.header());
        for change in hunk.iter_changes() {
            let (sign, colour) = match change.tag() {
                ChangeTag::Delete => ('-', red),
                ChangeTag::Insert => ('+', green),
                ChangeTag::Equal => (' ', ""),
            };
            let end = if colour.is_empty() { "" } else { off };
            let _ = writeln!(out, "{colour}{sign}{}{end}", change.value().trim_end_matches('\n'));
        }
    }
    Ok(out)
}
