//! Frontends other than the built-in one.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::dockerfile::{Dockerfile, Span};

/// The frontend image that reads the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frontend {
    /// Its reference.
    pub reference: String,
    /// It is one of Docker's own, whose rules this module knows.
    pub is_docker: bool,
}

/// How far a plan can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// The rules are known.
    Exact,
    /// A foreign frontend decides, whose rules may be others; or something is too large to be followed.
    Guess,
}

impl Frontend {
    /// Returns the frontend a Dockerfile or the build argument `BUILDKIT_SYNTAX` names.
    pub fn of(file: &Dockerfile, build_args: &BTreeMap<String, String>) -> Option<Self> {
        let given = build_args.get("BUILDKIT_SYNTAX").or(file.directives.syntax.as_ref())?;
        // What follows is for the frontend.
        let reference = given.split_whitespace().next()?;
        Some(Self { reference: reference.to_owned(), is_docker: is_docker_frontend(reference) })
    }

    /// Returns where the Dockerfile names it; its first line where a build argument does.
    pub(super) fn span(file: &Dockerfile, build_args: &BTreeMap<String, String>) -> Span {
        let written = file.directives.syntax_at.filter(|_| !build_args.contains_key("BUILDKIT_SYNTAX"));
        let (line, column) = written.unwrap_or((1, 1));
        Span { line, column, end_line: line }
    }
}

impl Confidence {
    pub(super) fn of(frontend: Option<&Frontend>) -> Self {
        match frontend {
            Some(Frontend { is_docker: false, .. }) => Self::Guess,
            _ => Self::Exact,
        }
    }
}

/// Returns whether a `# syntax=` reference is Docker's own Dockerfile frontend, whose rules this module knows.
pub fn is_docker_frontend(syntax: &str) -> bool {
    let name = syntax.split('@').next().unwrap_or_default();
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
    matches!(repository, "docker/dockerfile" | "docker/dockerfile-upstream")
}

#[cfg(test)]
mod tests {
    use super::is_docker_frontend;

    #[test]
    fn knows_its_own() {
        for (syntax, own) in [
            ("docker/dockerfile:1", true),
            ("docker.io/docker/dockerfile:1.7-labs@sha256:00", true),
            ("docker/dockerfile-upstream:master", true),
            ("docker/dockerfile", true),
            ("tonistiigi/xx:1", false),
            ("localhost:5000/docker/dockerfile:1", false),
        ] {
            assert_eq!(is_docker_frontend(syntax), own, "{syntax}");
        }
    }
}
