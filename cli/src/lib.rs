//! The polyarch command: the only crate that knows argv, the environment, the terminal and exit codes.
//!
//! Arguments ([`args`]) and the environment become settings ([`settings`]), a command
//! runs on settings, and displays ([`report`]) consume the run's events.

pub mod args;
pub mod diagnostics;
pub mod exit_code;
pub mod report;
pub mod settings;
pub mod style;
pub mod text;

/// Runs the command line.
pub fn main() -> std::process::ExitCode {
    exit_code::ExitCode::Done.into()
}
