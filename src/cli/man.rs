//! `pso-gen man`: prints manual pages.

use std::path::PathBuf;

use super::confined_folder::ConfinedFolder;
use super::{CommandError, Outcome, help, output};

/// Print the manual page, or write all pages into a folder
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write one page for each command into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let pages = man_pages();
    let Some(folder) = &args.out else {
        let first = pages.first().map(|(_, page)| page.as_str()).unwrap_or_default();
        output::data(first)?;
        return Ok(Outcome::Success);
    };
    let folder = ConfinedFolder::made(folder)?;
    for (name, page) in pages {
        folder.replace(&name, page.as_bytes(), 0o666)?;
    }
    Ok(Outcome::Success)
}

/// Returns the manual pages by file name, the program's own page first.
pub fn man_pages() -> Vec<(String, String)> {
    let mut command = help::command().disable_help_subcommand(true);
    command.build();
    let page = |command: &clap::Command, title: &str| {
        let mut text = Vec::new();
        // Writing to memory cannot fail.
        let _ = clap_mangen::Man::new(command.clone()).title(title).render(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    let mut pages = vec![("pso-gen.1".to_owned(), page(&command, "pso-gen"))];
    for inner in command.get_subcommands() {
        let name = format!("pso-gen-{}", inner.get_name());
        pages.push((format!("{name}.1"), page(inner, &name)));
    }
    pages
}
