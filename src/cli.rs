//! The command line: one file per command. Alone reads arguments, files, environment and terminal.
//!
//! Data goes to standard output, words to standard error. Exit codes: 0 good, 1 what was given is
//! wrong, 2 it could not be tried (usage, files); `diff`: 0 same, 1 different, 2 trouble; 128 and the number of
//! the signal that stopped it while files were written.

mod argocd;
mod ask;
mod below;
mod bounds;
mod cluster;
mod completions;
mod csi;
mod demo;
mod diff;
mod earlier;
mod expired;
mod explain;
mod files;
mod folder;
mod function;
mod git;
mod graph;
mod help;
mod import_pso;
mod init;
mod input;
mod links;
mod man;
mod missed;
mod node;
mod orphans;
mod out;
mod path;
mod provisioner;
mod render;
mod rendered;
mod request;
mod schema;
mod screen;
mod share;
mod simulate;
mod sink;
mod status;
mod stop;
mod table;
mod tenant;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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

/// How a command ended, when nothing kept it from being tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Good,
    /// What was given is wrong; `diff`: there are differences.
    Wrong,
}

/// What kept a command from being tried.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("cannot read {path}")]
    Read { path: String, source: std::io::Error },
    #[error("cannot write {path}")]
    Write { path: String, source: std::io::Error },
    #[error("{0}")]
    Usage(String),
    /// More than one run may take, of an input that nobody vouches for.
    #[error("{0}; split the folder into several applications")]
    TooMuch(String),
    /// Others have all the memory.
    #[error(
        "{0} commands are at work already and have all memory; Argo CD tries again, and a larger memory limit of the sidecar helps"
    )]
    Busy(u8),
    /// A signal came while files were written.
    #[error(
        "stopped by {} after {done} of {all} files; run `pso-gen render --out` again, which writes the others and removes what is no longer rendered",
        signal_name(.signal)
    )]
    Stopped { signal: i32, done: usize, all: usize },
    #[error("stopped by a defect of pso-gen")]
    Defect,
    #[error("git: {0}")]
    Git(String),
    #[error("cluster: {0}")]
    Cluster(String),
    /// A request to a cluster that failed, with what to try.
    #[error("cluster {address}: {cause}; {remedy}")]
    Unreached { address: String, cause: String, remedy: &'static str },
    #[error("cannot start")]
    Start(#[source] std::io::Error),
    #[error("cannot simulate arrays")]
    Simulate(#[source] std::io::Error),
    #[error(transparent)]
    Manifest(#[from] crate::compiler::manifest::WriteError),
    #[error("cannot write YAML")]
    Yaml(#[from] crate::compiler::yaml::WriteError),
    #[error("cannot turn an object into JSON")]
    Json(#[from] serde_json::Error),
    /// The reader of our output has gone: no matter of ours.
    #[error("nobody reads the output")]
    BrokenPipe,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match help::parsed() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; everything else is usage, in which words of others may stand.
            if error.use_stderr() {
                out::usage(&error);
            } else {
                let _ = error.print();
            }
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(cli.command) {
        Ok(Outcome::Good) | Err(Trouble::BrokenPipe) => ExitCode::SUCCESS,
        Ok(Outcome::Wrong) => ExitCode::from(1),
        Err(trouble) => {
            out::trouble(&trouble);
            ExitCode::from(exit_code(&trouble))
        }
    }
}

/// What is too much is wrong with the input, a signal has its own code, and everything else is wrong with how
/// the program was started.
fn exit_code(trouble: &Trouble) -> u8 {
    match trouble {
        Trouble::TooMuch(_) => 1,
        // As shells have it.
        Trouble::Stopped { signal, .. } => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        _ => 2,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "fields of an error are handed out so")]
fn signal_name(number: &i32) -> &'static str {
    if *number == 2 { "SIGINT" } else { "SIGTERM" }
}

fn run(command: Command) -> Result<Outcome, Trouble> {
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
