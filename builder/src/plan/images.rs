//! The external images of a plan.

use std::collections::HashSet;

use polyarch_registry::oci::{Platform, Reference};
use serde::Serialize;

use super::facts::PlanInput;
use super::graph::Graph;
use super::problem::{Problem, ProblemKind};
use super::resolve::{Resolved, ResolvedBase};
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
    /// Stages that name it.
    pub stages: Vec<String>,
    /// Where it is first named for this platform.
    #[serde(skip)]
    pub span: Span,
}

/// One mention of an image.
#[derive(Debug, Clone)]
pub(super) struct Mention {
    name: String,
    platform: Platform,
    stage: String,
    span: Span,
}

/// Returns the images that reached stages of one platform name.
pub(super) fn mentions(
    graph: &Graph<'_>,
    reached: &[usize],
    is_context: &dyn Fn(&str) -> bool,
    target: &Platform,
) -> Vec<Mention> {
    let mut list = Vec::new();
    for &stage in reached {
        let name = graph.name(stage);
        if let Some(Resolved { base: ResolvedBase::Image(image), platform, .. }) = &graph.resolved[stage] {
            let from = &graph.file.stages[stage];
            let (image, platform, span) = (image.clone(), platform.clone(), from.from.point_at(&from.base));
            list.push(Mention { name: image, platform, stage: name.clone(), span });
        }
        for instruction in graph.instructions(stage) {
            for reference in instruction.references() {
                // An image named there has the target's platform, whatever the stage's is.
                let is_image = matches!(graph.lookup(&reference), Ok(None)) && reference.name != "scratch";
                if is_image && !is_context(&reference.name) {
                    let span = instruction.point_at(&reference.name);
                    list.push(Mention { name: reference.name, platform: target.clone(), stage: name.clone(), span });
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
    for Mention { name, platform, stage, span } in mentions {
        let is_new = seen.insert((name.clone(), platform.clone(), stage.clone()));
        let facts = input.images.get(&name);
        let image = images.entry(name.clone()).or_insert_with(|| ImagePlan {
            name: name.clone(),
            digest: facts.map(|facts| facts.digest.clone()),
            is_manifest: facts.is_some_and(|facts| facts.is_manifest),
            index_of_tag: facts.and_then(|facts| facts.index_of_tag.clone()),
            platforms: Vec::new(),
            span,
        });
        image.span = image.span.min(span);
        match image.platforms.iter_mut().find(|used| used.platform == platform) {
            Some(used) => {
                used.span = used.span.min(span);
                used.stages.extend(is_new.then_some(stage));
            }
            None => {
                let found = input.image(&name, &platform);
                let (available, digest) =
                    (facts.map(|facts| facts.has(&platform)), found.map(|one| one.digest.clone()));
                image.platforms.push(ImageUse { platform, available, digest, stages: vec![stage], span });
            }
        }
    }
    let mut list: Vec<ImagePlan> = images.into_values().collect();
    list.sort_by(|a, b| (a.span, &a.name).cmp(&(b.span, &b.name)));
    list
}
