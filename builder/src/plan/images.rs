//! The external images of a plan.

use std::collections::HashSet;

use polyarch_registry::oci::{Platform, Reference};
use serde::Serialize;

use super::facts::PlanInput;
use super::graph::Graph;
use super::named::NamedContexts;
use super::problem::{Problem, ProblemKind};
use super::resolve::ResolvedBase;
use crate::dockerfile::Span;

/// An external image and the platforms it is needed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImagePlan {
    /// Name, variables expanded.
    pub name: String,
    /// Digest the name resolves to, where it was looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The name resolves to one image's manifest, which every platform gets.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_manifest: bool,
    /// Digest of the index behind the tag, where the name pins one of its manifests: the one to pin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_of_tag: Option<String>,
    /// It is the frontend that reads the Dockerfile.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_frontend: bool,
    /// The Dockerfile names it where a named context of that name would replace it; otherwise a named context or a directive
    /// names it.
    #[serde(skip)]
    pub by_name: bool,
    /// One per platform, in the order of the plan.
    pub platforms: Vec<ImageUse>,
    /// Where it is named first.
    pub span: Span,
}

/// An image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageUse {
    /// The platform it is needed for.
    pub platform: Platform,
    /// Whether it has that platform; unknown where it was not looked up.
    pub available: Option<bool>,
    /// Digest of that platform's manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Stages that name it; none for the frontend.
    pub stages: Vec<String>,
    /// A stage of this platform begins with it, so that its ONBUILD triggers run.
    #[serde(skip)]
    pub is_base: bool,
    /// Where it is first named for this platform.
    #[serde(skip)]
    pub span: Span,
}

/// One mention of an image.
#[derive(Debug, Clone)]
pub(super) struct Mention {
    name: String,
    platform: Platform,
    /// The stage that names it; none for the frontend.
    stage: Option<String>,
    span: Span,
    /// A stage begins with it.
    is_base: bool,
    /// The Dockerfile names it where a named context could replace it.
    by_name: bool,
}

impl Mention {
    /// The image that reads the Dockerfile, on the machine that builds.
    pub(super) fn frontend(name: &str, platform: &Platform, span: Span) -> Self {
        let (name, platform) = (name.to_owned(), platform.clone());
        Self { name, platform, stage: None, span, is_base: false, by_name: false }
    }
}

/// Returns the images that reached stages of one platform name, or that named contexts put there.
pub(super) fn mentions(
    graph: &Graph<'_>,
    reached: &[usize],
    contexts: &NamedContexts,
    target: &Platform,
) -> Vec<Mention> {
    let mut list = Vec::new();
    for &stage in reached {
        let mut add = |name: &str, platform: &Platform, span, is_base, by_name| {
            let (name, platform, stage) = (name.to_owned(), platform.clone(), Some(graph.name(stage)));
            list.push(Mention { name, platform, stage, span, is_base, by_name });
        };
        if let Some(resolved) = &graph.resolved[stage] {
            let from = &graph.file.stages[stage];
            let span = from.from.point_at(&from.base);
            match (&resolved.base, &resolved.context_image) {
                (ResolvedBase::Image(image), _) => add(image, &resolved.platform, span, true, true),
                // Of an image that replaces a whole stage no trigger runs.
                (_, Some(image)) => add(image, &resolved.platform, span, !resolved.replaced, false),
                _ => {}
            }
        }
        for instruction in graph.instructions(stage) {
            for reference in instruction.references() {
                // An image named there has the target's platform, whatever the stage's is.
                let is_image = matches!(graph.lookup(&reference), Ok(None)) && reference.name != "scratch";
                if !is_image {
                    continue;
                }
                let span = instruction.point_at(&reference.name);
                match (contexts.image(&reference.name, target), contexts.replaces(&reference.name, target)) {
                    (Some(image), _) => add(image, target, span, false, false),
                    (None, true) => {}
                    (None, false) => add(&reference.name, target, span, false, true),
                }
            }
        }
    }
    list
}

/// Returns what is wrong with the names of images.
pub(super) fn bad_names(mentions: &[Mention], graph: &Graph<'_>) -> Vec<Problem> {
    let bad = |mention: &Mention| {
        let source = mention.name.parse::<Reference>().err()?;
        let stage = graph.names.last(&mention.name).map(|stage| graph.name(stage));
        let kind = ProblemKind::BadImage { name: mention.name.clone(), stage, source };
        Some(Problem { kind, span: Some(mention.span) })
    };
    mentions.iter().filter_map(bad).collect()
}

/// Returns what is wrong with the images themselves, as far as registries told. A lone manifest of another platform is no
/// error: BuildKit builds with it, and a lint tells.
pub(super) fn lacking(images: &[ImagePlan], input: &PlanInput) -> Vec<Problem> {
    let problem = |image: &ImagePlan| {
        let name = image.name.clone();
        if let Some(near) = input.missing.get(&name) {
            return Some(ProblemKind::MissingImage { name, near: near.clone() });
        }
        let lacks = lacking_uses(image).map(|used| used.platform.clone()).collect();
        let has = input.images.get(&name)?.platforms.iter().map(|one| one.platform.clone()).collect();
        lacking_uses(image).next().map(|_| ProblemKind::LacksPlatform { name, lacks, has })
    };
    // Elsewhere the same name may be wanted for a platform it has.
    let span = |image: &ImagePlan| lacking_uses(image).map(|used| used.span).min().unwrap_or(image.span);
    images.iter().filter_map(|image| Some(Problem { kind: problem(image)?, span: Some(span(image)) })).collect()
}

fn lacking_uses(image: &ImagePlan) -> impl Iterator<Item = &ImageUse> {
    image.platforms.iter().filter(|used| used.available == Some(false) && !image.is_manifest)
}

/// Joins the mentions of all platforms.
pub(super) fn join(mentions: Vec<Mention>, input: &PlanInput) -> Vec<ImagePlan> {
    let mut images: indexmap::IndexMap<String, ImagePlan> = indexmap::IndexMap::new();
    let mut seen = HashSet::new();
    for Mention { name, platform, stage, span, is_base, by_name } in mentions {
        let is_new = seen.insert((name.clone(), platform.clone(), stage.clone()));
        let facts = input.images.get(&name);
        let image = images.entry(name.clone()).or_insert_with(|| ImagePlan {
            name: name.clone(),
            digest: facts.map(|facts| facts.digest.clone()),
            is_manifest: facts.is_some_and(|facts| facts.is_manifest),
            index_of_tag: facts.and_then(|facts| facts.index_of_tag.clone()),
            is_frontend: false,
            by_name: false,
            platforms: Vec::new(),
            span,
        });
        image.is_frontend |= stage.is_none();
        image.by_name |= by_name;
        image.span = image.span.min(span);
        match image.platforms.iter_mut().find(|used| used.platform == platform) {
            Some(used) => {
                used.span = used.span.min(span);
                used.is_base |= is_base;
                used.stages.extend(stage.filter(|_| is_new));
            }
            None => {
                let found = input.image(&name, &platform);
                let (available, digest) =
                    (facts.map(|facts| facts.has(&platform)), found.map(|one| one.digest.clone()));
                image.platforms.push(ImageUse {
                    platform,
                    available,
                    digest,
                    stages: stage.into_iter().collect(),
                    is_base,
                    span,
                });
            }
        }
    }
    let mut list: Vec<ImagePlan> = images.into_values().collect();
    list.sort_by(|a, b| (a.span, &a.name).cmp(&(b.span, &b.name)));
    list
}
