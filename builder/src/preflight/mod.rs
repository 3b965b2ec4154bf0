//! What registries say about the external images of a plan, before anything runs.
//!
//! Owns: which images are asked about, all at once, and again where a base image's triggers name more of them. Never:
//! fails: an image that could not be checked is told as such, and the plan is made without it.

mod config;
mod verdict;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use polyarch_registry::client::{ClientError, Registry};
use polyarch_registry::oci::{Platform, Reference};
use polyarch_registry::resolve::{Resolved, Resolver};

use crate::dockerfile::{Dockerfile, near};
use crate::lock::Lock;
use crate::plan::{ImageFacts, Plan, PlanInput, PlatformImage, plan};

pub use verdict::refusals;

/// Rounds of looking up what triggers of base images name. Real images need two.
const ROUNDS: usize = 8;

/// Time for a list of tags, which only serves a hint.
const NEAR_PATIENCE: Duration = Duration::from_secs(3);

/// What is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Whether images and platforms are there.
    Presence,
    /// The configurations of base images, too: their environment and their triggers.
    Configs,
    /// The same, for every platform they have, wanted or not.
    AllConfigs,
}

/// How it is looked up.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// What is looked up.
    pub depth: Depth,
    /// Longest time for one image.
    pub patience: Duration,
    /// Digests that are asked about instead of tags.
    pub lock: Option<&'a Lock>,
}

/// What was found out.
#[derive(Debug, Default)]
pub struct Preflight {
    /// Images that are there, by their name as the Dockerfile has it after expansion.
    pub images: BTreeMap<String, ImageFacts>,
    /// Images that are not there, with tags that resemble the one asked for.
    pub missing: BTreeMap<String, Vec<String>>,
    /// Images that could not be checked, and why.
    pub unchecked: Vec<(String, Unchecked)>,
}

/// Why an image could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum Unchecked {
    /// The registry cannot be asked, or its answer cannot be trusted.
    #[error(transparent)]
    Registry(#[from] ClientError),
    /// It takes longer than one is willing to wait.
    #[error("no answer within {} s", .0.as_secs())]
    Slow(Duration),
}

impl Preflight {
    /// Returns whether a name was looked up already.
    fn has(&self, name: &str) -> bool {
        self.images.contains_key(name)
            || self.missing.contains_key(name)
            || self.unchecked.iter().any(|(known, _)| known == name)
    }

    /// Returns the input with what was found out.
    #[must_use]
    pub fn apply(&self, input: &PlanInput) -> PlanInput {
        PlanInput { images: self.images.clone(), missing: self.missing.clone(), ..input.clone() }
    }
}

/// Looks up every external image of a plan for every platform that needs it.
pub async fn look(resolver: &Resolver, file: &Dockerfile, input: &PlanInput, options: Options<'_>) -> Preflight {
    let mut found = Preflight::default();
    for _ in 0..ROUNDS {
        let made = plan(file, &found.apply(input));
        let new: Vec<(String, Vec<Platform>)> =
            wanted(&made, options.depth).into_iter().filter(|(name, _)| !found.has(name)).collect();
        if new.is_empty() {
            break;
        }
        let asking = new.iter().map(|(name, configs)| one(resolver, name, configs, options));
        for ((name, _), answer) in new.iter().zip(join_all(asking).await) {
            match answer {
                Ok(Answer::There(facts)) => drop(found.images.insert(name.clone(), facts)),
                Ok(Answer::Missing(near)) => drop(found.missing.insert(name.clone(), near)),
                Ok(Answer::NoName) => {}
                Err(why) => found.unchecked.push((name.clone(), why)),
            }
        }
    }
    found
}

/// The images of a plan, and the platforms for which the configuration matters.
fn wanted(made: &Plan, depth: Depth) -> BTreeMap<String, Vec<Platform>> {
    let mut wanted: BTreeMap<String, Vec<Platform>> =
        made.images.iter().map(|image| (image.name.clone(), Vec::new())).collect();
    if depth == Depth::Presence {
        return wanted;
    }
    for image in &made.images {
        let bases = image.platforms.iter().filter(|used| used.is_base).map(|used| used.platform.clone());
        wanted.entry(image.name.clone()).or_default().extend(bases);
    }
    wanted
}

enum Answer {
    There(ImageFacts),
    Missing(Vec<String>),
    /// The planner tells what is wrong with it.
    NoName,
}

async fn one(resolver: &Resolver, name: &str, configs: &[Platform], options: Options<'_>) -> Result<Answer, Unchecked> {
    let Ok(reference) = name.parse::<Reference>() else { return Ok(Answer::NoName) };
    let reference = options.lock.and_then(|lock| lock.pin(&reference)).unwrap_or(reference);
    let resolve = async {
        let found = resolver.resolve(&reference, configs).await?;
        match &found {
            Some(one) if options.depth == Depth::AllConfigs && !configs.is_empty() => {
                let all: Vec<Platform> = one.images.iter().map(|image| image.platform.clone()).collect();
                resolver.resolve(&reference, &all).await
            }
            _ => Ok(found),
        }
    };
    let asked = tokio::time::timeout(options.patience, resolve).await;
    match asked.map_err(|_| Unchecked::Slow(options.patience))?? {
        Some(resolved) => Ok(Answer::There(facts(resolved))),
        None => Ok(Answer::Missing(near_tags(resolver.registry(), &reference).await)),
    }
}

fn facts(resolved: Resolved) -> ImageFacts {
    let platforms = resolved.images.into_iter().map(|image| PlatformImage {
        platform: image.platform,
        digest: image.digest.to_string(),
        config: image.config.as_deref().map(config::read),
    });
    ImageFacts {
        digest: resolved.digest.to_string(),
        is_manifest: resolved.is_manifest,
        index_of_tag: resolved.index_of_tag.map(|digest| digest.to_string()),
        platforms: platforms.collect(),
    }
}

/// Tags that resemble the one that is not there. A registry that tells none costs nothing but the hint.
async fn near_tags(registry: &Registry, reference: &Reference) -> Vec<String> {
    if reference.digest().is_some() {
        return Vec::new();
    }
    let Ok(Ok(list)) = tokio::time::timeout(NEAR_PATIENCE, registry.tags(reference)).await else { return Vec::new() };
    let tag = reference.tag().unwrap_or("latest");
    near(tag, list.tags.iter().map(String::as_str)).into_iter().map(str::to_owned).collect()
}
