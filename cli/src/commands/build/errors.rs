//! How the errors of a build are shown: exit code and hints by kind.

use polyarch_builder::node::probe::ProbeError;
use polyarch_builder::node::reach::ReachError;
use polyarch_builder::run::session::SessionError;

use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;

impl From<ProbeError> for Diagnostic {
    fn from(error: ProbeError) -> Self {
        let code = match &error {
            ProbeError::Reach(ReachError::Endpoint(_) | ReachError::Context(_)) => ExitCode::Usage,
            _ => ExitCode::Plan,
        };
        let advice = match &error {
            ProbeError::Reach(error) => error.advice(),
            ProbeError::BuildKit { .. } => None,
        };
        let diagnostic = Self::new(code, &error);
        match advice {
            Some(advice) => diagnostic.hint(advice),
            None => diagnostic,
        }
    }
}

impl From<SessionError> for Diagnostic {
    fn from(error: SessionError) -> Self {
        let code = match error {
            SessionError::Connect(_) => ExitCode::Build,
            SessionError::Layout { .. } | SessionError::NoEntry { .. } => ExitCode::Usage,
        };
        Self::new(code, &error)
    }
}
