//! `polyarch build`. The run is connected here.

use tokio_util::sync::CancellationToken;

use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::report::Look;
use crate::settings::{BuildSettings, Env, GlobalSettings};

/// What a build gets from its surroundings.
pub struct Context<'a> {
    /// Settings of every command.
    pub global: &'a GlobalSettings,
    /// Environment variables.
    pub env: &'a Env,
    /// How text on stderr looks.
    pub look: Look,
    /// Fired by the first Ctrl-C.
    pub cancel: CancellationToken,
}

/// Runs `polyarch build`.
///
/// # Errors
/// What ended the build before any platform was solved; failures of platforms are in the report.
pub async fn run(_settings: &BuildSettings, _context: &Context<'_>) -> Result<ExitCode, Diagnostic> {
    Err(Diagnostic::message(ExitCode::Bug, "building is not connected yet"))
}
