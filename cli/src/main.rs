//! The polyarch command: everything is in the library, so that tests reach it.

fn main() -> std::process::ExitCode {
    polyarch_cli::main()
}
