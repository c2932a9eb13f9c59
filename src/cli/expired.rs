//! `pso-gen expired`: lists apps that have expired, and removes their files from Git's work tree.

use std::path::PathBuf;

use jiff::civil::Date;

use super::input_files::{self, Input};
use super::output;
use super::{CommandError, Outcome};
use crate::compiler::diagnostic::{Code, Diagnostic, Sources};
use crate::compiler::spec::Format;
use crate::compiler::yaml;
use crate::sanitize;

/// List apps whose `expires` date has passed
///
/// For a scheduled pipeline: `pso-gen expired --delete apps && git commit -am "Remove expired apps"`. The tool that
/// applies the manifests, such as Argo CD, then prunes the app's objects. Exit code 1 if an app has expired.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files or folders with apps
    #[arg(default_value = ".", value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Delete the files. A file that contains other documents as well is kept and reported
    #[arg(long)]
    delete: bool,

    /// Date to use as today
    #[arg(long, value_name = "YYYY-MM-DD", hide = true)]
    today: Option<jiff::civil::Date>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let today = input_files::date(args.today);
    let sources = Sources::default();
    let mut any = false;
    let mut any_left = false;
    let mut unread = Vec::new();
    for input in input_files::find(&args.paths, input_files::Ignored::ByGit)?.inputs {
        if input == Input::Stdin {
            continue;
        }
        let Ok(source) = yaml::decode(&input.name(), input.read()?, &sources) else {
            continue;
        };
        let documents = yaml::read(source, &sources).documents;
        let mut ended = Vec::new();
        for node in &documents {
            let day = node.get("spec").and_then(|spec| spec.get("expires"));
            let Some(day) = day.filter(|day| !day.is_null()) else { continue };
            let text = day.text().unwrap_or_default();
            match text.parse::<Date>().ok().filter(|_| Format::Date.accepts(text)) {
                Some(last) if last < today => ended.push(last),
                Some(_) => {}
                // If it were ignored, the app would never expire.
                None => unread.push(unreadable(day)),
            }
        }
        let Some(day) = ended.iter().max() else {
            continue;
        };
        any = true;
        output::data(&format!("{}\t{day}\n", sanitize::name(&input.name())))?;
        if args.delete && ended.len() == documents.len() {
            input.delete()?;
        } else if args.delete {
            any_left = true;
            let name = sanitize::name(&input.name());
            output::words(&format!("{name} holds other documents, too; it is left\n"));
        }
    }
    output::diagnostics(&unread, &sources, output::Format::Human);
    let done = args.delete && !any_left;
    Ok(if any && !done || !unread.is_empty() { Outcome::Failure } else { Outcome::Success })
}

fn unreadable(day: &yaml::Node) -> Diagnostic {
    let message = format!("expected {}, found {}", Format::Date.phrase(), day.found());
    Diagnostic::new(Code::BadValue, day.place, message).at("spec.expires")
}
