//! The lock file: which digest every external image of a Dockerfile stood for. Pure.
//!
//! Owns: its form (docs/images.md), what of a plan it does not cover, and the references it pins. Never: reads or writes a
//! file, or asks a registry.

use std::collections::BTreeMap;

use polyarch_registry::oci::{Digest, Platform, Reference};
use serde::{Deserialize, Serialize};

use crate::dockerfile::{Dockerfile, Span};
use crate::plan::{ImageConfig, ImageFacts, Plan, PlanInput, PlatformImage, plan};

/// Grows with every change that an older polyarch could not obey.
const VERSION: u32 = 1;

/// Largest lock file that is read, in bytes.
pub const LIMIT: usize = 4 << 20;

/// Digests by reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    images: BTreeMap<String, LockedImage>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedImage {
    /// Digest of the index, or of the manifest where there is only one.
    digest: Digest,
    /// Digest of each platform's manifest.
    platforms: BTreeMap<String, Digest>,
    /// Of an image that stages begin with: the ONBUILD triggers of each platform that has any. The digest holds them fast,
    /// and they may name more images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_build: Option<BTreeMap<String, Vec<String>>>,
}

/// Why bytes are not a lock file.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Not JSON of its form.
    #[error("line {}, column {}", .0.line(), .0.column())]
    Json(#[source] serde_json::Error),
    /// Of a later polyarch.
    #[error("its version is {0}, and this polyarch reads version {VERSION}")]
    Version(u32),
    /// Larger than any lock file.
    #[error("it is larger than {LIMIT} bytes")]
    TooLarge,
    /// A key is not a reference.
    #[error("{0:?} is not the full name of an image")]
    Name(String),
}

/// What a lock does not cover.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct NotLocked {
    /// What is wrong.
    pub kind: NotLockedKind,
    /// Where the image is named.
    pub span: Span,
}

/// What is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLockedKind {
    /// It is not in the lock.
    #[error("image {0} is not in the lock file")]
    Absent(String),
    /// The Dockerfile pins another digest.
    #[error("image {name} is locked with {locked}")]
    OtherDigest {
        /// As the Dockerfile has it.
        name: String,
        /// The digest in the lock.
        locked: Digest,
    },
    /// It is locked for other platforms.
    #[error("image {name} is not locked for {platform}")]
    OtherPlatforms {
        /// As the Dockerfile has it.
        name: String,
        /// The platform that is needed.
        platform: Platform,
    },
    /// A stage begins with it, and the lock does not say what its triggers are.
    #[error("image {0} is locked without its ONBUILD triggers, which may name more images")]
    NoTriggers(String),
    /// A stage has the same name, and what replaces the image would replace the stage.
    #[error("image {0} cannot be locked beside a stage of the same name")]
    StageOfSameName(String),
}

impl Lock {
    /// Locks the images of a plan. Those that were not looked up are returned as an error, by name.
    ///
    /// # Errors
    /// The names of images about which nothing is known.
    pub fn of(plan: &Plan, input: &PlanInput) -> Result<Self, Vec<String>> {
        let (mut images, mut unknown) = (BTreeMap::new(), Vec::new());
        for image in &plan.images {
            let facts = input.images.get(&image.name);
            let key = image.name.parse::<Reference>().ok().map(|reference| reference.or_latest().to_string());
            let digest = facts.and_then(|facts| facts.digest.parse().ok());
            let (Some(facts), Some(key), Some(digest)) = (facts, key, digest) else {
                unknown.push(image.name.clone());
                continue;
            };
            // Every platform there is, so that the file does not depend on who builds for what.
            let entry = |one: &PlatformImage| Some((one.platform.to_string(), one.digest.parse().ok()?));
            let mut platforms = BTreeMap::new();
            for (platform, digest) in facts.platforms.iter().filter_map(entry) {
                platforms.entry(platform).or_insert(digest);
            }
            let on_build = match image.platforms.iter().any(|used| used.is_base) {
                true => match triggers(facts) {
                    Some(triggers) => Some(triggers),
                    None => {
                        unknown.push(image.name.clone());
                        continue;
                    }
                },
                false => None,
            };
            images.insert(key, LockedImage { digest, platforms, on_build });
        }
        if unknown.is_empty() { Ok(Self { version: VERSION, images }) } else { Err(unknown) }
    }

    /// Reads a lock file.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LockError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        if bytes.len() > LIMIT {
            return Err(LockError::TooLarge);
        }
        let Versioned { version } = serde_json::from_slice(bytes).map_err(LockError::Json)?;
        if version != VERSION {
            return Err(LockError::Version(version));
        }
        let lock: Self = serde_json::from_slice(bytes).map_err(LockError::Json)?;
        let is_full =
            |key: &str| key.parse::<Reference>().is_ok_and(|reference| reference.or_latest().to_string() == key);
        match lock.images.keys().find(|key| !is_full(key)) {
            Some(key) => Err(LockError::Name(key.clone())),
            None => Ok(lock),
        }
    }

    /// Returns the file's text: sorted, the same for the same images, ending in a newline.
    pub fn render(&self) -> String {
        // Strings and numbers under string keys: this cannot fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Returns how many images it has.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Returns whether it has none.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Returns the reference with the locked digest.
    pub fn pin(&self, reference: &Reference) -> Option<Reference> {
        let reference = reference.or_latest();
        let image = self.images.get(&reference.to_string())?;
        Some(reference.with_digest(image.digest.clone()))
    }

    /// Returns what of a plan it does not cover.
    pub fn check(&self, plan: &Plan, file: &Dockerfile) -> Vec<NotLocked> {
        let mut found = Vec::new();
        for image in &plan.images {
            let mut add = |kind| found.push(NotLocked { kind, span: image.span });
            let Ok(reference) = image.name.parse::<Reference>().map(|one| one.or_latest()) else { continue };
            let is_base = image.platforms.iter().any(|used| used.is_base);
            let Some(locked) = self.images.get(&reference.to_string()) else {
                add(match self.beside(&reference) {
                    Some(locked) => NotLockedKind::OtherDigest { name: image.name.clone(), locked },
                    None => NotLockedKind::Absent(image.name.clone()),
                });
                continue;
            };
            let has = |platform: &Platform| {
                let listed = locked.platforms.keys().filter_map(|text| text.parse::<Platform>().ok());
                image.is_manifest || listed.into_iter().any(|one| platform.runs(&one))
            };
            if let Some(used) = image.platforms.iter().find(|used| !has(&used.platform) && locked.platforms.len() != 1)
            {
                add(NotLockedKind::OtherPlatforms { name: image.name.clone(), platform: used.platform.clone() });
            }
            if is_base && locked.on_build.is_none() {
                add(NotLockedKind::NoTriggers(image.name.clone()));
            }
            let context = context_name(&reference);
            let hides = file.stages.iter().any(|stage| stage.name.as_deref() == Some(context.as_str()));
            if hides && image.by_name && reference.digest().is_none() {
                add(NotLockedKind::StageOfSameName(image.name.clone()));
            }
        }
        found
    }

    /// The digest of the same tag where only the pin differs.
    fn beside(&self, reference: &Reference) -> Option<Digest> {
        let tag = reference.tag()?;
        reference.digest()?;
        let prefix = format!("{}:{tag}", reference.name());
        let same = |key: &&String| key.as_str() == prefix || key.starts_with(&format!("{prefix}@"));
        self.images.iter().find(|(key, _)| same(key)).map(|(_, image)| image.digest.clone())
    }

    /// Returns the input with what the lock says about images that were not looked up: what a trigger of a locked image
    /// names belongs to the plan, too.
    #[must_use]
    pub fn fill(&self, file: &Dockerfile, input: &PlanInput) -> PlanInput {
        let mut input = input.clone();
        // A trigger begins no stage, so what it names brings no more triggers.
        for _ in 0..2 {
            let made = plan(file, &input);
            let new = made.images.iter().filter(|image| !input.images.contains_key(&image.name));
            let new: Vec<_> = new.filter_map(|image| Some((image.name.clone(), self.facts(&image.name)?))).collect();
            input.images.extend(new);
        }
        input
    }

    fn facts(&self, name: &str) -> Option<ImageFacts> {
        let locked = self.images.get(&name.parse::<Reference>().ok()?.or_latest().to_string())?;
        let image = |(platform, digest): (&String, &Digest)| {
            let triggers = locked.on_build.as_ref().map(|all| all.get(platform).cloned().unwrap_or_default());
            let config = triggers.map(|on_build| ImageConfig { env: None, on_build });
            Some(PlatformImage { platform: platform.parse().ok()?, digest: digest.to_string(), config })
        };
        let platforms: Vec<_> = locked.platforms.iter().filter_map(image).collect();
        // Of one platform it may be an index or a manifest, which serves every platform.
        let is_manifest = platforms.len() == 1;
        Some(ImageFacts { digest: locked.digest.to_string(), is_manifest, index_of_tag: None, platforms })
    }

    /// Returns the reference with the locked digest, as text.
    pub fn pin_text(&self, name: &str) -> Option<String> {
        self.pin(&name.parse().ok()?).map(|reference| reference.to_string())
    }

    /// Returns the named contexts that make a build use the locked digests: name and reference. An image that the
    /// Dockerfile pins needs none.
    pub fn contexts(&self, plan: &Plan) -> BTreeMap<String, String> {
        let context = |name: &str| {
            let reference = name.parse::<Reference>().ok()?.or_latest();
            let image = self.images.get(&reference.to_string()).filter(|_| reference.digest().is_none())?;
            Some((context_name(&reference), format!("{reference}@{}", image.digest)))
        };
        let named = plan.images.iter().filter(|image| image.by_name);
        named.filter_map(|image| context(&image.name)).collect()
    }
}

/// The triggers of each platform that has any; none if some platform's configuration was not read.
fn triggers(facts: &ImageFacts) -> Option<BTreeMap<String, Vec<String>>> {
    let mut all = BTreeMap::new();
    for image in &facts.platforms {
        let config = image.config.as_ref()?;
        all.entry(image.platform.to_string()).or_insert_with(|| config.on_build.clone());
    }
    all.retain(|_, triggers| !triggers.is_empty());
    Some(all)
}

/// The name BuildKit compares (`dockerui/namedcontext.go`): the familiar form without `:latest`.
fn context_name(reference: &Reference) -> String {
    let name = match reference.host() {
        "docker.io" => reference.repository().strip_prefix("library/").unwrap_or(reference.repository()).to_owned(),
        _ => reference.name(),
    };
    match reference.tag() {
        Some(tag) if tag != "latest" => format!("{name}:{tag}"),
        _ => name,
    }
}

#[cfg(test)]
mod tests;
