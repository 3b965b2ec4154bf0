//! What a plan is made from, besides the Dockerfile.

use std::collections::BTreeMap;

use polyarch_registry::oci::Platform;
use serde::Serialize;

use super::trial::Trial;

/// A node, as it was probed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Platforms its CPU runs.
    pub native: Vec<Platform>,
    /// Platforms it runs through an emulator.
    pub emulated: Vec<Platform>,
    /// Its `BUILDPLATFORM`.
    pub build_platform: Platform,
    /// Foreign platforms that were tried there. This counts more than the lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Trial>,
}

/// What to plan.
#[derive(Debug, Clone, Default)]
pub struct PlanInput {
    /// Platforms in the order asked for.
    pub platforms: Vec<Platform>,
    /// Stage to build; the last one if `None`.
    pub target: Option<String>,
    /// Build arguments by name.
    pub build_args: BTreeMap<String, String>,
    /// Named contexts, by their names as given: they replace stages and images of that name. `NAME::OS/ARCH` does so for
    /// that platform only. The value is the reference of one that is an image.
    pub named_contexts: BTreeMap<String, Option<String>>,
    /// Nodes in the order of preference.
    pub nodes: Vec<NodeFacts>,
    /// What is known about external images, by their name as the Dockerfile has it after expansion. One that is not here
    /// was not looked up.
    pub images: BTreeMap<String, ImageFacts>,
    /// External images that their registry does not have, with tags that resemble the one asked for.
    pub missing: BTreeMap<String, Vec<String>>,
}

impl PlanInput {
    /// Returns what is known about an image for a platform: the best match of its index, or the only one there is, for
    /// BuildKit takes a lone manifest whatever its platform.
    pub fn image(&self, name: &str, platform: &Platform) -> Option<&PlatformImage> {
        let image = self.images.get(name)?;
        if image.is_manifest {
            return image.platforms.first();
        }
        let rank = |one: &&PlatformImage| platform.preference(&one.platform).unwrap_or(usize::MAX);
        image.platforms.iter().filter(|one| platform.runs(&one.platform)).min_by_key(rank)
    }
}

/// An external image, as a registry told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageFacts {
    /// Digest the name resolves to.
    pub digest: String,
    /// The name resolves to one image's manifest, not to an index.
    pub is_manifest: bool,
    /// The index behind the tag, where the name pins one of its manifests by digest.
    pub index_of_tag: Option<String>,
    /// The images, attestations left out.
    pub platforms: Vec<PlatformImage>,
}

impl ImageFacts {
    /// Returns whether an image of it runs on a machine of this platform.
    pub fn has(&self, platform: &Platform) -> bool {
        self.platforms.iter().any(|one| platform.runs(&one.platform))
    }
}

/// An external image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformImage {
    /// The platform its index or config names.
    pub platform: Platform,
    /// Digest of its manifest.
    pub digest: String,
    /// What its config says, where that was read.
    pub config: Option<ImageConfig>,
}

/// The parts of an image's config that a build depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageConfig {
    /// Environment, in order; none if it is not known.
    pub env: Option<Vec<(String, String)>>,
    /// ONBUILD triggers, as stored.
    pub on_build: Vec<String>,
}
