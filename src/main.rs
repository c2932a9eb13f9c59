//! One process: parse arguments, call a command, print, exit code.

/// A run makes and drops a few thousand small values for each app; this allocator takes half the
/// time of the system's, and a tenth of that of a static musl build.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    pso_gen::cli::main()
}
