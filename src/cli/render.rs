//! `pso-gen render`: apps become manifests.

use std::path::PathBuf;

use super::input_args::InputArgs;
use super::manifest_output::{self, BufferedOutput, OutputFile};
use super::output::{self, Format};
use super::output_folder::OutputFolder;
use super::request::Request;
use super::signals::StopSignals;
use super::{CommandError, Outcome, terminal};
use crate::compiler::diagnostic::Sources;
use crate::compiler::manifest::{self, Object};
use crate::compiler::run::Summary;
use crate::compiler::run::{Rendered, Unit};

/// Render apps as Kubernetes manifests
///
/// Prints one YAML stream, or writes one file for each object below a folder. With any error, nothing
/// is printed or written.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,

    /// Write one file for each object below this folder, and remove files of earlier runs that are
    /// no longer made
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Write nothing; exit with 1 when the folder of `--out` is not up to date
    #[arg(long, requires = "out")]
    check: bool,

    /// How diagnostics are printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<Outcome, CommandError> {
    let request = Request::read(&args.input)?;
    match &args.out {
        None => to_stdout(request, args.format),
        Some(folder) if args.check => {
            let folder = OutputFolder::compare_with(folder)?;
            let (folder, outcome) = to_folder(request, folder, args.format)?;
            let stale = folder.stale()?;
            if outcome == Outcome::Failure || stale.is_empty() {
                return Ok(outcome);
            }
            output::words(&format!("{} files are not up to date:\n", stale.len()));
            for path in stale.iter().take(20) {
                output::words(&format!("  {path}\n"));
            }
            output::words("run `pso-gen render --out` again\n");
            Ok(Outcome::Failure)
        }
        Some(folder) => {
            let folder = OutputFolder::write_to(folder)?;
            let (folder, outcome) = to_folder(request, folder, args.format)?;
            if outcome == Outcome::Success {
                let stop = StopSignals::listen()?;
                let (written, removed) = folder.finish(&mut |done, all| stop.check(done, all))?;
                output::words(&format!("{written} files written, {removed} removed\n"));
            }
            Ok(outcome)
        }
    }
}

fn to_stdout(request: Request, format: Format) -> Result<Outcome, CommandError> {
    let (stream, first, summary, sources) = gather(request, BufferedOutput::new())?;
    let outcome = report(&summary, &sources, format);
    if outcome == Outcome::Success {
        stream.finish(&first)?;
        // On a terminal, nothing but this is left on the screen of thousands of lines.
        if format == Format::Human && terminal::shows_output() {
            output::words(&conclusion(&summary));
        }
    }
    Ok(outcome)
}

/// Returns the line that concludes a stream on a terminal.
fn conclusion(summary: &Summary) -> String {
    let count = |count: usize, name: &str| match count {
        1 => format!("1 {name}"),
        _ => format!("{count} {name}s"),
    };
    let (apps, storage) = (count(summary.apps, "app"), count(summary.storage, "storage document"));
    let rendered = match (summary.apps, summary.storage) {
        (_, 0) => apps,
        (0, _) => storage,
        _ => format!("{apps} and {storage}"),
    };
    format!("rendered {rendered}; `--out DIR` writes one file for each object below a folder\n")
}

/// Renders everything into a stream, and the text that stands before it.
pub(super) fn gather(
    request: Request,
    mut stream: BufferedOutput,
) -> Result<(BufferedOutput, String, Summary, Sources), CommandError> {
    let mut first: Vec<Object> = Vec::new();
    let prepare = |unit: &Unit| {
        let mut text = String::new();
        for Rendered { compiled, .. } in &unit.apps {
            manifest::write(&mut text, &compiled.objects)?;
        }
        let storage = unit.storage.iter().flat_map(|stored| stored.objects.clone());
        Ok((text, storage.collect::<Vec<_>>()))
    };
    let (summary, sources) = request.render(prepare, |(text, storage)| {
        first.extend(storage);
        stream.take(&text)
    })?;
    let mut text = String::new();
    if !summary.is_broken() {
        first.extend(summary.namespaces.iter().cloned());
        manifest::sort(&mut first);
        manifest::write(&mut text, &first)?;
    }
    Ok((stream, text, summary, sources))
}

fn to_folder(
    request: Request,
    mut folder: OutputFolder,
    format: Format,
) -> Result<(OutputFolder, Outcome), CommandError> {
    let prepare = |unit: &Unit| {
        let mut files: Vec<OutputFile> = Vec::new();
        for Rendered { app, compiled } in &unit.apps {
            files.extend(manifest_output::app_files(app, &compiled.objects)?);
        }
        for stored in &unit.storage {
            for object in &stored.objects {
                files.push(manifest_output::file(&stored.name, object)?);
            }
        }
        Ok(files)
    };
    let (summary, sources) =
        request.render(prepare, |files| files.iter().try_for_each(|file| folder.take(file)))?;
    let outcome = report(&summary, &sources, format);
    for namespace in &summary.namespaces {
        folder.take(&manifest_output::file(namespace.name(), namespace)?)?;
    }
    Ok((folder, outcome))
}

fn report(summary: &Summary, sources: &Sources, format: Format) -> Outcome {
    output::diagnostics(&summary.diagnostics, sources, format);
    if !summary.is_broken() {
        return Outcome::Success;
    }
    if format == Format::Human {
        output::words("nothing was rendered\n");
    }
    Outcome::Failure
}

#[cfg(test)]
mod tests {
    use super::{Summary, conclusion};

    #[test]
    fn a_stream_ends_with_the_number_of_what_there_is() {
        let line = |apps, storage| conclusion(&Summary { apps, storage, ..Summary::default() });
        assert!(line(2, 0).starts_with("rendered 2 apps;"), "{}", line(2, 0));
        assert!(line(0, 1).starts_with("rendered 1 storage document;"), "{}", line(0, 1));
        assert!(
            line(1, 2).starts_with("rendered 1 app and 2 storage documents;"),
            "{}",
            line(1, 2)
        );
    }
}
