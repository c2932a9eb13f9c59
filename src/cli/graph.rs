//! `pso-gen graph`: draws apps with their volumes and traffic.

use clap::ValueEnum;

use super::input_args::InputArgs;
use super::output::{self, Format};
use super::request::Request;
use super::{CommandError, Outcome};
use crate::adapters::graph::{Graph, mermaid, svg};
use crate::compiler::run::Unit;

/// Draw workloads, volumes, classes and traffic
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,

    /// Output format
    #[arg(long = "as", value_enum, default_value_t = Drawing::Svg, value_name = "FORMAT")]
    drawing: Drawing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Drawing {
    /// A picture for browsers
    Svg,
    /// Text for Markdown pages
    Mermaid,
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let request = Request::read(&args.input)?;
    let mut graphs = Vec::new();
    let prepare = |unit: &Unit| {
        Ok(unit.apps.iter().map(|rendered| Graph::of(&rendered.app)).collect::<Vec<_>>())
    };
    let (summary, sources) = request.render(prepare, |unit| {
        graphs.extend(unit);
        Ok(())
    })?;
    output::diagnostics(&summary.diagnostics, &sources, Format::Human);
    if summary.is_broken() {
        return Ok(Outcome::Failure);
    }
    output::data(&match args.drawing {
        Drawing::Svg => svg(&graphs),
        Drawing::Mermaid => mermaid(&graphs),
    })?;
    Ok(Outcome::Success)
}
