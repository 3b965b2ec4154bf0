//! The lock file: which digest every external image of a Dockerfile stood for. Pure.
//!
//! Owns: its form (docs/lock.md), what of a plan it does not cover, and the references it pins. Never: reads or writes a
//! file, or asks a registry.

use std::collections::BTreeMap;

use polyarch_registry::oci::{Digest, Platform, Reference};
use serde::{Deserialize, Serialize};

use crate::dockerfile::{Dockerfile, Span};
use crate::plan::{Plan, PlanInput};

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
            let entry = |one: &crate::plan::PlatformImage| Some((one.platform.to_string(), one.digest.parse().ok()?));
            let mut platforms = BTreeMap::new();
            for (platform, digest) in facts.platforms.iter().filter_map(entry) {
                platforms.entry(platform).or_insert(digest);
            }
            images.insert(key, LockedImage { digest, platforms });
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
            let context = context_name(&reference);
            let hides = file.stages.iter().any(|stage| stage.name.as_deref() == Some(context.as_str()));
            if hides && reference.digest().is_none() {
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

    /// Returns the named contexts that make a build use the locked digests: name and reference. An image that the
    /// Dockerfile pins needs none.
    pub fn contexts(&self, plan: &Plan) -> BTreeMap<String, String> {
        let context = |name: &str| {
            let reference = name.parse::<Reference>().ok()?.or_latest();
            let image = self.images.get(&reference.to_string()).filter(|_| reference.digest().is_none())?;
            Some((context_name(&reference), format!("{reference}@{}", image.digest)))
        };
        plan.images.iter().filter_map(|image| context(&image.name)).collect()
    }
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
mod tests {
    use super::*;
    use crate::dockerfile::parse;
    use crate::plan::{ImageFacts, NodeFacts, PlatformImage, plan};

    fn input(platforms: &str) -> PlanInput {
        let list = |text: &str| text.split_whitespace().map(|one| one.parse().unwrap()).collect::<Vec<Platform>>();
        let native = list("linux/amd64 linux/arm64 linux/s390x");
        let build_platform = native[0].clone();
        let node = NodeFacts { name: "n".into(), native, emulated: Vec::new(), build_platform };
        PlanInput { platforms: list(platforms), nodes: vec![node], ..PlanInput::default() }
    }

    fn facts(text: &str) -> ImageFacts {
        let image = |platform: &str| PlatformImage {
            platform: platform.parse().unwrap(),
            digest: Digest::sha256(format!("{text} {platform}")).to_string(),
            config: None,
        };
        ImageFacts {
            digest: Digest::sha256(text).to_string(),
            platforms: vec![image("linux/arm64"), image("linux/amd64")],
            ..ImageFacts::default()
        }
    }

    /// The lock of `FROM alpine` and `COPY --from=reg.lan/tool:1`.
    fn locked() -> Lock {
        let mut input = input("linux/amd64");
        for name in ["alpine", "reg.lan/tool:1"] {
            input.images.insert(name.to_owned(), facts(name));
        }
        let file = parse(b"FROM alpine\nCOPY --from=reg.lan/tool:1 /t /t\n").unwrap();
        Lock::of(&plan(&file, &input), &input).unwrap()
    }

    fn check(text: &str, platforms: &str) -> Vec<String> {
        let file = parse(text.as_bytes()).unwrap();
        let found = locked().check(&plan(&file, &input(platforms)), &file);
        found.iter().map(|one| format!("{}:{} {one}", one.span.line, one.span.column)).collect()
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let text = locked().render();
        assert_eq!(Lock::parse(text.as_bytes()).unwrap(), locked());
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_is_not_covered_is_told_with_its_place() {
        let nobody = Digest::sha256("nobody");
        let alpine = Digest::sha256("alpine");
        assert_eq!(check("FROM docker.io/library/alpine:latest\n", "linux/amd64 linux/arm64"), Vec::<String>::new());
        assert_eq!(
            check("FROM alpine\nFROM alpine:3\n", "linux/amd64"),
            ["2:6 image alpine:3 is not in the lock file"]
        );
        let pinned = check(&format!("FROM alpine:latest@{nobody}\n"), "linux/amd64");
        assert_eq!(pinned, [format!("1:6 image alpine:latest@{nobody} is locked with {alpine}")]);
        assert_eq!(check("FROM alpine\n", "linux/s390x"), ["1:6 image alpine is not locked for linux/s390x"]);
        let same = check("FROM alpine AS alpine\n", "linux/amd64");
        assert_eq!(same, ["1:6 image alpine cannot be locked beside a stage of the same name"]);
    }

    #[test]
    fn contexts_are_named_as_buildkit_compares_them() {
        let file = parse(b"FROM docker.io/library/alpine\nCOPY --from=reg.lan/tool:1 /t /t\n").unwrap();
        let contexts = locked().contexts(&plan(&file, &input("linux/amd64")));
        let want = [
            ("alpine".to_owned(), format!("docker.io/library/alpine:latest@{}", Digest::sha256("alpine"))),
            ("reg.lan/tool:1".to_owned(), format!("reg.lan/tool:1@{}", Digest::sha256("reg.lan/tool:1"))),
        ];
        assert_eq!(contexts.into_iter().collect::<Vec<_>>(), want);
        assert_eq!(locked().pin(&"alpine".parse().unwrap()).unwrap().digest(), Some(&Digest::sha256("alpine")));
        assert_eq!(locked().pin(&"alpine:3".parse().unwrap()), None);
    }

    #[test]
    fn what_was_not_looked_up_cannot_be_locked() {
        let input = input("linux/amd64");
        let file = parse(b"FROM alpine\n").unwrap();
        assert_eq!(Lock::of(&plan(&file, &input), &input), Err(vec!["alpine".to_owned()]));
    }

    #[test]
    fn other_files_are_refused() {
        let digest = Digest::sha256("");
        for (text, want) in [
            ("", "line 1"),
            ("{\"version\":2}", "its version is 2"),
            ("{\"version\":1,\"images\":{},\"more\":1}", "line 1"),
            ("{\"version\":1,\"images\":{\"a\":{\"digest\":\"sha256:x\",\"platforms\":{}}}}", "line 1"),
            (
                &format!("{{\"version\":1,\"images\":{{\"alpine\":{{\"digest\":\"{digest}\",\"platforms\":{{}}}}}}}}"),
                "full name",
            ),
        ] {
            let error = Lock::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
        assert!(matches!(Lock::parse(&vec![b' '; LIMIT + 1]), Err(LockError::TooLarge)));
    }
}
