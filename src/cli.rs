//! The command line: one file per command. Alone reads arguments, files, environment and terminal.
//!
//! Data goes to standard output, messages to standard error. Exit codes: 0 success, 1 the input has errors, 2 the command
//! could not run (usage, files); `diff`: 0 same, 1 different, 2 the comparison could not run; 128 plus the number of the
//! signal that stopped the command while it wrote files.

mod argocd;
mod baseline;
mod cluster;
mod completions;
mod confined_folder;
mod csi;
mod demo;
mod diff;
mod error;
mod expired;
mod explain;
mod function;
mod git;
mod graph;
mod help;
mod import_pso;
mod init;
mod input_args;
mod input_files;
mod man;
mod manifest_output;
mod memory_share;
mod misnamed_files;
mod node;
mod orphans;
mod output;
mod output_folder;
mod path_text;
mod prompt;
mod provisioner;
mod render;
mod rendered;
mod request;
mod resource_limits;
mod schema;
mod signals;
mod simulate;
mod status;
mod symlinks;
mod table;
mod tenant_rules;
mod terminal;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::CommandError;
pub use man::man_pages;
pub use schema::generated;

/// Short app files become Kubernetes manifests with volumes on FlashBlade and FlashArray.
#[derive(Debug, Parser)]
#[command(name = "pso-gen", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Render(render::Args),
    Validate(validate::Args),
    Diff(diff::Args),
    Explain(explain::Args),
    Schema(schema::Args),
    Init(init::Args),
    ImportPso(import_pso::Args),
    Graph(graph::Args),
    Expired(expired::Args),
    Provisioner(provisioner::Args),
    Csi(csi::Args),
    Node(node::Args),
    Status(status::Args),
    Orphans(orphans::Args),
    Simulate(simulate::Args),
    Demo(demo::Args),
    Argocd(argocd::Args),
    #[command(name = "fn")]
    Function(function::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// The result of a command that ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Success,
    /// The input has errors, or the command found something that needs attention; `diff`: there are differences.
    Failure,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match help::parsed() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; everything else is a usage error, which may quote untrusted text.
            if error.use_stderr() {
                output::usage(&error);
            } else {
                let _ = error.print();
            }
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(cli.command) {
        Ok(Outcome::Success) => ExitCode::SUCCESS,
        Ok(Outcome::Failure) => ExitCode::from(1),
        Err(error) => {
            if !matches!(error, CommandError::ReaderClosed) {
                output::error(&error);
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: Command) -> Result<Outcome, CommandError> {
    match command {
        Command::Render(args) => render::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Init(args) => init::run(&args),
        Command::ImportPso(args) => import_pso::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::Expired(args) => expired::run(&args),
        Command::Provisioner(args) => provisioner::run(&args),
        Command::Csi(args) => csi::run(&args),
        Command::Node(args) => node::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Orphans(args) => orphans::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Argocd(args) => argocd::run(&args),
        Command::Function(args) => function::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}
