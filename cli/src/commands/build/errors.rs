//! How the errors of a build are shown: exit code and hints by kind.

use polyarch_builder::dockerfile::ParseError;
use polyarch_builder::node::probe::ProbeError;
use polyarch_builder::node::reach::ReachError;
use polyarch_builder::plan::{Problem, ProblemKind};
use polyarch_builder::request::DockerfileSource;
use polyarch_builder::run::session::SessionError;

use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;

/// Returns the Dockerfile's name as the user knows it.
pub(super) fn dockerfile_name(source: &DockerfileSource) -> String {
    match source {
        DockerfileSource::File(path) => path.display().to_string(),
        DockerfileSource::InContext(path) => path.clone(),
        DockerfileSource::Text(_) => "Dockerfile from standard input".to_owned(),
    }
}

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

/// Returns all errors of a Dockerfile, each with its line.
pub(super) fn of_dockerfile(errors: &[ParseError], name: &str) -> Diagnostic {
    let lines: Vec<String> = errors.iter().take(10).map(|error| at(error, name)).collect();
    let mut diagnostic = Diagnostic::message(ExitCode::Plan, lines.join("\n"));
    for error in errors {
        let near = error.kind.near();
        if !near.is_empty() {
            diagnostic = diagnostic.hint(format!("did you mean {}?", near.join(" or ")));
        }
    }
    diagnostic
}

fn at(error: &ParseError, name: &str) -> String {
    let line = error.line_text.trim_end();
    format!("{name}:{}:{}: {}\n  {:>4} | {line}", error.span.line, error.span.column, error.kind, error.span.line)
}

/// Returns a problem of the plan with what helps against it.
pub(super) fn of_plan(problem: &Problem, name: &str) -> Diagnostic {
    let text = match problem.span {
        Some(span) => format!("{name}:{}: {problem}", span.line),
        None => problem.to_string(),
    };
    let diagnostic = Diagnostic::message(ExitCode::Plan, text);
    match &problem.kind {
        ProblemKind::UnknownTarget { near, .. } if !near.is_empty() => {
            diagnostic.hint(format!("did you mean {}?", near.join(" or ")))
        }
        ProblemKind::UnknownTarget { stages, .. } if !stages.is_empty() => {
            diagnostic.hint(format!("the stages are {}", stages.join(", ")))
        }
        ProblemKind::CannotRun(cannot) => {
            let offers: Vec<String> = cannot.offers.iter().map(ToString::to_string).collect();
            let diagnostic = diagnostic.hint(format!("the node offers {}", offers.join(", ")));
            if cannot.needs.os != "linux" {
                // QEMU's user mode runs Linux programs only.
                return diagnostic.hint(format!(
                    "no emulator runs {} programs on Linux: run the stage's commands on the build platform, \
                     FROM --platform=$BUILDPLATFORM, and cross-compile",
                    cannot.needs.os
                ));
            }
            diagnostic
                .hint(format!(
                    "register the emulator on the node: apt-get install qemu-user-static binfmt-support, \
                     or docker run --privileged --rm tonistiigi/binfmt --install {}",
                    cannot.needs.architecture
                ))
                .hint("or name a node that runs it with another --builder")
        }
        _ => diagnostic,
    }
}

#[cfg(test)]
mod tests {
    use polyarch_builder::plan::CannotRun;

    use super::*;

    #[test]
    fn an_emulator_is_suggested_only_where_there_is_one() {
        let hints = |needs: &str| {
            let needs: polyarch_registry::oci::Platform = needs.parse().unwrap();
            let cannot = CannotRun {
                stage: "app".into(),
                platform: needs.clone(),
                needs,
                node: "docker".into(),
                offers: vec!["linux/amd64".parse().unwrap()],
            };
            let problem = Problem { kind: ProblemKind::CannotRun(Box::new(cannot)), span: None };
            of_plan(&problem, "Dockerfile").hints.join("\n")
        };
        let linux = hints("linux/s390x");
        assert!(linux.contains("binfmt --install s390x") && linux.contains("another --builder"), "{linux}");
        for other in ["windows/amd64", "darwin/arm64"] {
            let shown = hints(other);
            assert!(!shown.contains("binfmt") && shown.contains("--platform=$BUILDPLATFORM"), "{shown}");
        }
    }
}
