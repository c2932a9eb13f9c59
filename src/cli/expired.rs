//! `pso-gen expired`: apps whose end has passed, and their removal from Git's work tree.

use std::path::PathBuf;

use super::files::{self, Input};
use super::out;
use super::{Outcome, Trouble};
use crate::diagnostic::Sources;
use crate::plain;
use crate::yaml;

/// List apps whose `expires` has passed
///
/// For a scheduled pipeline: `pso-gen expired --delete apps && git commit -am "Remove expired apps"`.
/// What the file made is then pruned by whoever applies it. Exit code 1 when there are any.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files or folders with apps
    #[arg(default_value = ".", value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Delete the files; one that holds other documents, too, is left and told
    #[arg(long)]
    delete: bool,

    /// Day that counts as today
    #[arg(long, value_name = "YYYY-MM-DD", hide = true)]
    today: Option<jiff::civil::Date>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Trouble> {
    let today = files::day(args.today);
    let sources = Sources::default();
    let mut any = false;
    let mut kept = false;
    for input in files::find(&args.paths, files::Ignored::ByGit)?.inputs {
        if input == Input::Stdin {
            continue;
        }
        let Ok(source) = yaml::decode(&input.name(), input.read()?, &sources) else {
            continue;
        };
        let documents = yaml::read(source, &sources).documents;
        let last = |node: &yaml::Node| -> Option<String> {
            let day = node.get("spec")?.get("expires")?.text()?;
            (today.as_str() > day).then(|| day.to_owned())
        };
        let ended: Vec<String> = documents.iter().filter_map(last).collect();
        let Some(day) = ended.iter().max() else {
            continue;
        };
        any = true;
        out::data(&format!("{}\t{}\n", input.name(), plain::line(day, plain::LONGEST)))?;
        if args.delete && ended.len() == documents.len() {
            input.delete()?;
        } else if args.delete {
            kept = true;
            out::words(&format!("{} holds other documents, too; it is left\n", input.name()));
        }
    }
    let done = args.delete && !kept;
    Ok(if any && !done { Outcome::Wrong } else { Outcome::Good })
}
