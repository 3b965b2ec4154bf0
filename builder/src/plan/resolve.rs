//! Stages with their variables expanded, for one platform on one node (BuildKit `buildDispatchStates`).

use std::collections::HashMap;
use std::sync::Arc;

use polyarch_registry::oci::{Platform, Reference};

use super::args::{Globals, expand_with};
use super::env::Var;
use super::facts::{ImageConfig, PlanInput};
use super::named::NamedContexts;
use super::problem::{Problem, ProblemKind};
use crate::dockerfile::{Dockerfile, Instruction, Span, Stage};

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
#[derive(Debug, Clone)]
pub(super) struct Resolved<'a> {
    pub(super) base: ResolvedBase,
    pub(super) platform: Platform,
    /// The automatic argument about the target that the base's name comes from.
    pub(super) taint: Option<Arc<str>>,
    /// The stage itself is replaced by a named context: none of its instructions run.
    pub(super) replaced: bool,
    /// The image behind the named context it begins with, or is replaced by.
    pub(super) context_image: Option<String>,
    /// What the base image's config says, if that is known.
    pub(super) config: Option<&'a ImageConfig>,
    /// The base image's ONBUILD triggers.
    pub(super) triggers: Vec<Instruction>,
}

/// What resolution needs.
pub(super) struct Resolver<'a> {
    pub(super) file: &'a Dockerfile,
    pub(super) names: &'a StageNames<'a>,
    pub(super) input: &'a PlanInput,
    pub(super) globals: &'a Globals,
    pub(super) contexts: &'a NamedContexts,
    pub(super) build: &'a Platform,
    pub(super) target: &'a Platform,
}

impl<'a> Resolver<'a> {
    /// Resolves every stage; `None` where a problem was found.
    pub(super) fn run(&self) -> (Vec<Option<Resolved<'a>>>, Vec<Problem>) {
        let mut resolved: Vec<Option<Resolved<'a>>> = Vec::new();
        let mut problems = Vec::new();
        for stage in &self.file.stages {
            let one = self.stage(stage, &resolved);
            resolved.push(one.map_err(|problem| problems.push(problem)).ok());
        }
        (resolved, problems)
    }

    fn stage(&self, stage: &Stage, earlier: &[Option<Resolved<'a>>]) -> Result<Resolved<'a>, Problem> {
        let at = |part: &str| Span { end_line: stage.span.end_line, ..stage.from.point_at(part) };
        let (base, taint) = self.base(stage).map_err(|kind| Problem { kind, span: Some(at(&stage.base)) })?;
        let flag = stage.platform.as_deref().map(|word| self.platform(word)).transpose();
        let flag = flag.map_err(|kind| Problem { kind, span: Some(at("--platform")) })?;
        let platform = flag.unwrap_or_else(|| self.target.clone());
        let plain = |base, platform, replaced| Resolved {
            base,
            platform,
            taint: taint.clone(),
            replaced,
            context_image: None,
            config: None,
            triggers: Vec::new(),
        };
        if let Some(name) = stage.name.as_deref().filter(|name| self.contexts.replaces(name, &platform)) {
            let context_image = self.contexts.image(name, &platform).map(str::to_owned);
            return Ok(Resolved { context_image, ..plain(ResolvedBase::Context(name.to_owned()), platform, true) });
        }
        Ok(match self.names.before(&base, earlier.len()) {
            // The platform is the other stage's, whatever the flag says.
            Some(at) => {
                self.check_triggers(at, stage)?;
                let platform = earlier[at].as_ref().map_or(platform, |stage| stage.platform.clone());
                plain(ResolvedBase::Stage(at), platform, false)
            }
            None if base == "scratch" => plain(ResolvedBase::Scratch, self.target.clone(), false),
            None if self.contexts.replaces(&base, &platform) => match self.contexts.image(&base, &platform) {
                Some(image) => Resolved {
                    context_image: Some(image.to_owned()),
                    ..self.on_image(image, stage, plain(ResolvedBase::Context(base), platform, false))?
                },
                None => plain(ResolvedBase::Context(base), platform, false),
            },
            None => {
                self.check_name(&base).map_err(|kind| Problem { kind, span: Some(at(&stage.base)) })?;
                self.on_image(&base.clone(), stage, plain(ResolvedBase::Image(base), platform, false))?
            }
        })
    }

    /// Adds what the config of the image under a stage says.
    fn on_image(&self, image: &str, stage: &Stage, on: Resolved<'a>) -> Result<Resolved<'a>, Problem> {
        let config = self.input.image(image, &on.platform).and_then(|image| image.config.as_ref());
        let triggers = config.map(|config| self.triggers(config, stage)).transpose()?.unwrap_or_default();
        Ok(Resolved { config, triggers, ..on })
    }

    /// Every FROM must name an image, also in a stage that is not reached.
    fn check_name(&self, name: &str) -> Result<(), ProblemKind> {
        let stage = || self.names.last(name).and_then(|at| self.file.stages[at].name.clone());
        name.parse::<Reference>().map(drop).map_err(|source| ProblemKind::BadImage {
            name: name.to_owned(),
            stage: stage(),
            source,
        })
    }

    fn base(&self, stage: &Stage) -> Result<(String, Option<Arc<str>>), ProblemKind> {
        let base = self.expand(&stage.base)?;
        if base.value.is_empty() {
            return Err(ProblemKind::BlankBase(stage.base.clone()));
        }
        Ok((base.value.as_ref().to_owned(), base.taint))
    }

    /// The triggers of the stage a stage begins with run in it, and must be readable now.
    fn check_triggers(&self, base: usize, stage: &Stage) -> Result<(), Problem> {
        let bad = self.file.stages[base].instructions.iter().find_map(|one| one.bad_trigger.clone());
        match bad {
            Some(source) => Err(Problem {
                kind: ProblemKind::BadTrigger { base: stage.base.clone(), source },
                span: Some(stage.span),
            }),
            None => Ok(()),
        }
    }

    fn triggers(&self, config: &ImageConfig, stage: &Stage) -> Result<Vec<Instruction>, Problem> {
        let read = |text: &String| {
            Instruction::of_trigger(text, stage.span).map_err(|source| Problem {
                kind: ProblemKind::BadTrigger { base: stage.base.clone(), source: Box::new(source) },
                span: Some(stage.span),
            })
        };
        config.on_build.iter().map(read).collect()
    }

    /// Parsed but not normalised; a single word takes its other half from the build machine.
    fn platform(&self, word: &str) -> Result<Platform, ProblemKind> {
        let text = self.expand(word)?.value;
        if text.is_empty() {
            return Err(ProblemKind::EmptyPlatform(word.to_owned()));
        }
        let bad = |source| ProblemKind::BadPlatform { text: text.as_ref().to_owned(), source };
        Platform::parse(&text, Some(self.build)).map_err(bad)
    }

    fn expand(&self, word: &str) -> Result<Var, ProblemKind> {
        expand_with(word, self.file, &|name| self.globals.get(name).cloned())
            .map_err(|source| ProblemKind::Expand { word: word.to_owned(), source })
    }
}

/// Stages by name. Two may have the same one.
#[derive(Debug)]
pub(super) struct StageNames<'a>(HashMap<&'a str, Vec<usize>>);

impl<'a> StageNames<'a> {
    pub(super) fn new(file: &'a Dockerfile) -> Self {
        let mut names: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, stage) in file.stages.iter().enumerate() {
            if let Some(name) = stage.name.as_deref() {
                names.entry(name).or_default().push(at);
            }
        }
        Self(names)
    }

    /// Returns the last stage of exactly this name before a position.
    pub(super) fn before(&self, name: &str, position: usize) -> Option<usize> {
        let list = self.0.get(name)?;
        list[..list.partition_point(|at| *at < position)].last().copied()
    }

    /// Returns the last stage of this name, in any case of letters.
    pub(super) fn last(&self, name: &str) -> Option<usize> {
        self.0.get(name.to_lowercase().as_str())?.last().copied()
    }
}
