//! The report as it is, see docs/audit.md.

use polyarch_registry::audit::Report;

use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;

/// Returns the document.
///
/// # Errors
/// None that a report can cause.
pub fn render(report: &Report) -> Result<String, Diagnostic> {
    let json = serde_json::to_string_pretty(report);
    Ok(json.map_err(|error| Diagnostic::new(ExitCode::Bug, &error))? + "\n")
}
