//! One process: parse arguments, call a command, print, exit code.

fn main() -> std::process::ExitCode {
    pso_gen::cli::main()
}
