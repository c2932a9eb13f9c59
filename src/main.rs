//! One process: parse arguments, call a command, print, exit code.

/// A run makes and drops a few thousand small values for each app; this allocator takes half the
/// time of the system's, and a tenth of that of a static musl build.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // A program of the host for the node service. It has to happen before there is a second thread.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == pso_gen::node::host::ENTER) {
        return pso_gen::node::host::enter(arguments);
    }
    pso_gen::cli::main()
}
