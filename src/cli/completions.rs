//! `pso-gen completions`: prints completion scripts for shells.

use clap_complete::Shell;

use super::{CommandError, Outcome, help, output};

/// Print completions for a shell
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut help::command(), "pso-gen", &mut text);
    output::data(&String::from_utf8_lossy(&text))?;
    Ok(Outcome::Success)
}
