//! Stages with their variables expanded, for one platform on one node (BuildKit `buildDispatchStates`).

use polyarch_registry::oci::{Platform, PlatformError};

use super::args::{Env, expand_in};
use super::named::NamedContexts;
use super::problem::{Problem, ProblemKind};
use crate::dockerfile::{Dockerfile, Stage};

/// Where a stage begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ResolvedBase {
    /// An earlier stage.
    Stage(usize),
    /// Nothing.
    Scratch,
    /// An image.
    Image(String),
    /// A named context of this name.
    Context(String),
}

/// A stage for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) base: ResolvedBase,
    pub(super) platform: Platform,
    /// The stage itself is replaced by a named context: none of its instructions run.
    pub(super) replaced: bool,
}

/// What resolution needs.
pub(super) struct Resolver<'a> {
    pub(super) file: &'a Dockerfile,
    pub(super) globals: &'a Env,
    pub(super) contexts: &'a NamedContexts,
    pub(super) build: &'a Platform,
    pub(super) target: &'a Platform,
}

impl Resolver<'_> {
    /// Resolves every stage; `None` where a problem was found.
    pub(super) fn run(&self) -> (Vec<Option<Resolved>>, Vec<Problem>) {
        let mut resolved: Vec<Option<Resolved>> = Vec::new();
        let mut problems = Vec::new();
        for stage in &self.file.stages {
            let one = self.stage(stage, &resolved);
            resolved.push(one.map_err(|kind| problems.push(Problem { kind, span: Some(stage.span) })).ok());
        }
        (resolved, problems)
    }

    fn stage(&self, stage: &Stage, earlier: &[Option<Resolved>]) -> Result<Resolved, ProblemKind> {
        let base = self.expand(&stage.base)?;
        if base.is_empty() {
            return Err(ProblemKind::BlankBase(stage.base.clone()));
        }
        let flag = stage.platform.as_deref().map(|word| self.platform(word)).transpose()?;
        let platform = flag.unwrap_or_else(|| self.target.clone());
        if let Some(name) = stage.name.as_deref().filter(|name| self.contexts.replaces(name)) {
            return Ok(Resolved { base: ResolvedBase::Context(name.to_owned()), platform, replaced: true });
        }
        let same_name = |s: &Stage| s.name.as_deref() == Some(base.as_str());
        let (base, platform) = match self.file.stages[..earlier.len()].iter().rposition(same_name) {
            // The platform is the other stage's, whatever the flag says.
            Some(at) => {
                let platform = earlier[at].as_ref().map_or(platform, |stage| stage.platform.clone());
                (ResolvedBase::Stage(at), platform)
            }
            None if base == "scratch" => (ResolvedBase::Scratch, self.target.clone()),
            None if self.contexts.replaces(&base) => (ResolvedBase::Context(base), platform),
            None => (ResolvedBase::Image(base), platform),
        };
        Ok(Resolved { base, platform, replaced: false })
    }

    fn platform(&self, word: &str) -> Result<Platform, ProblemKind> {
        let text = self.expand(word)?;
        if text.is_empty() {
            return Err(ProblemKind::EmptyPlatform(word.to_owned()));
        }
        match text.parse() {
            // containerd takes the missing half from the machine.
            Err(PlatformError::Incomplete(_)) => Ok(complete(&text, self.build)),
            other => other.map_err(|source| ProblemKind::BadPlatform { text, source }),
        }
    }

    fn expand(&self, word: &str) -> Result<String, ProblemKind> {
        expand_in(word, self.file, self.globals).map_err(|source| ProblemKind::Expand { word: word.to_owned(), source })
    }
}

/// Completes an operating system or an architecture with the build platform's other half.
fn complete(text: &str, build: &Platform) -> Platform {
    let lower = text.to_lowercase();
    let is_os = polyarch_registry::oci::platform::KNOWN_OS.contains(&lower.as_str()) || lower == "macos";
    match is_os {
        true => Platform::new(&lower, &build.architecture, build.variant.as_deref()),
        false => Platform::new(&build.os, &lower, None),
    }
}
