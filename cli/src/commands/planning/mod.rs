//! Planning before anything runs, the same for `build`, `plan` and `check`.
//!
//! Owns: reading the Dockerfile, turning nodes into facts, and how what is wrong is told. Never: judges what the planner
//! does not understand: a foreign frontend's Dockerfile is BuildKit's to judge.

pub mod base;
pub mod denied;
pub mod errors;
pub mod images;
pub mod locked;
pub mod nodes;
pub mod this_machine;
pub mod trials;

use std::fs;

use indexmap::IndexMap;
use polyarch_builder::dockerfile::{self, Dockerfile};
use polyarch_builder::plan::{NodeFacts, Plan, PlanInput, Problem, is_docker_frontend};
use polyarch_builder::request::{BuildRequest, ContextSource, DockerfileSource};
use polyarch_registry::oci::Platform;

use crate::diagnostics::Diagnostic;
use crate::settings::plan::Subject;

/// Most doubts told.
const MOST_DOUBTS: usize = 5;

/// What a plan is made of, as far as the command line says.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Where the Dockerfile is.
    pub dockerfile: &'a DockerfileSource,
    /// Stage.
    pub target: Option<&'a str>,
    /// Build arguments.
    pub build_args: &'a IndexMap<String, String>,
    /// Named contexts.
    pub build_contexts: &'a IndexMap<String, ContextSource>,
}

impl<'a> From<&'a BuildRequest> for Asked<'a> {
    fn from(request: &'a BuildRequest) -> Self {
        let BuildRequest { dockerfile, target, build_args, build_contexts, .. } = request;
        Self { dockerfile, target: target.as_deref(), build_args, build_contexts }
    }
}

impl<'a> From<&'a Subject> for Asked<'a> {
    fn from(subject: &'a Subject) -> Self {
        let Subject { dockerfile, target, build_args, build_contexts, .. } = subject;
        Self { dockerfile, target: target.as_deref(), build_args, build_contexts }
    }
}

/// The reference of a named context that is an image.
fn image(source: &ContextSource) -> Option<String> {
    match source {
        ContextSource::Image(reference) => Some(reference.clone()),
        _ => None,
    }
}

/// Returns a line for everything a plan could not follow.
pub fn doubts(plan: &Plan) -> Vec<String> {
    let line = |doubt: &Problem| {
        let place = doubt.span.map(|span| format!("line {}: ", span.line)).unwrap_or_default();
        let why = std::error::Error::source(&doubt.kind).map(|why| format!(": {why}")).unwrap_or_default();
        format!("{place}{doubt}{why}; what comes of it is a guess")
    };
    plan.doubts.iter().take(MOST_DOUBTS).map(line).collect()
}

impl Asked<'_> {
    /// Returns the Dockerfile's name as the user knows it.
    pub fn name(&self) -> String {
        errors::dockerfile_name(self.dockerfile)
    }

    /// Returns the Dockerfile's bytes, if they are here.
    pub fn text(&self) -> Option<Vec<u8>> {
        match self.dockerfile {
            DockerfileSource::File(path) => fs::read(path).ok(),
            DockerfileSource::Text(text) => Some(text.clone()),
            DockerfileSource::InContext(_) => None,
        }
    }

    /// Returns whether the Dockerfile names its frontend, or may: where it is not here.
    pub fn may_name_frontend(&self) -> bool {
        self.text().is_none_or(|bytes| dockerfile::detect_syntax(&bytes).is_some())
    }

    /// Returns the Dockerfile, if it is here and can be read. With a foreign frontend, what cannot be read is no error.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(&self) -> Result<Option<Dockerfile>, Diagnostic> {
        let Some(bytes) = self.text() else { return Ok(None) };
        match dockerfile::parse(&bytes) {
            Ok(file) => Ok(Some(file)),
            Err(_) if self.foreign(&bytes) => Ok(None),
            Err(errors) => Err(errors::of_dockerfile(&errors, &self.name())),
        }
    }

    fn foreign(&self, bytes: &[u8]) -> bool {
        let given = self.build_args.get("BUILDKIT_SYNTAX").cloned();
        given.or_else(|| dockerfile::detect_syntax(bytes)).is_some_and(|syntax| !is_docker_frontend(&syntax))
    }

    /// Returns the planner's input.
    pub fn input(&self, nodes: Vec<NodeFacts>, platforms: &[Platform]) -> PlanInput {
        PlanInput {
            platforms: platforms.to_vec(),
            target: self.target.map(str::to_owned),
            build_args: self.build_args.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            named_contexts: self.build_contexts.iter().map(|(name, source)| (name.clone(), image(source))).collect(),
            nodes,
            images: Default::default(),
            missing: Default::default(),
        }
    }
}
