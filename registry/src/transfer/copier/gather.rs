//! What an image consists of and what refers to it, read from where it is.
//!
//! Owns: reading manifests side by side, level by level; finding referrers and signatures with as few questions as
//! the registry allows: its API is tried once, and its list of tags read once. Never: reads a blob.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::future::FutureExt as _;
use tokio::sync::OnceCell;

use super::{CopierError, Origin, PARALLEL, Reading};
use crate::client::{ErrorKind, fallback_tag};
use crate::oci::{Descriptor, Digest, Manifest, RawManifest, media_type};
use crate::store::{BlobStoreExt as _, LayoutStore, StoreError};
use crate::transfer::bounded;
use crate::transfer::graph::{self, Fetched, Graph, MAX_DEPTH, MAX_MANIFEST_BYTES, MAX_MANIFESTS, MAX_TOTAL_BYTES};

/// What cosign appends to the tag that names an image's digest: signatures, attestations, SBOMs
/// (cosign, `pkg/oci/remote`).
const COSIGN: [&str; 3] = ["sig", "att", "sbom"];
/// How far referrers of referrers are followed.
const MAX_CHAIN: usize = 4;

/// An image and what goes along.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Digest at the source, before platforms were left out.
    pub source: Digest,
    /// The image.
    pub image: Graph,
    /// Referrers and signatures, each after what it is about.
    pub extras: Vec<Extra>,
    /// Platforms that were left out.
    pub left_out: Vec<String>,
}

/// Something about an image.
#[derive(Debug, Clone)]
pub struct Extra {
    /// Its manifest and blobs.
    pub graph: Graph,
    /// How it is found: by what it is about, or by a tag.
    pub by: By,
}

/// How something about an image is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The referrers of this digest.
    Subject(Digest),
    /// A tag made of the digest, as cosign does.
    Tag(String),
}

impl Tree {
    /// Returns the image's root. A graph always has one.
    pub fn root(&self) -> Option<&RawManifest> {
        self.image.manifests.last().map(|node| &node.manifest)
    }

    /// Returns all graphs.
    pub fn graphs(&self) -> impl Iterator<Item = &Graph> {
        std::iter::once(&self.image).chain(self.extras.iter().map(|extra| &extra.graph))
    }
}

/// What a run has learnt of the source.
#[derive(Default)]
pub(super) struct Discovery {
    /// Whether the referrers API is there.
    api: OnceCell<bool>,
    /// What the API said of the first image asked about.
    first: OnceCell<(Digest, bool)>,
    /// The tags that may be about a digest; `None` where the list cannot be had in full.
    tags: OnceCell<Option<BTreeSet<String>>>,
    /// In a layout: what refers to what.
    layout: OnceCell<HashMap<Digest, Vec<RawManifest>>>,
}

/// Returns the manifests an index refers to.
pub(super) fn children_of(manifest: &RawManifest) -> Vec<Descriptor> {
    let is_manifest =
        |child: &Descriptor| media_type::is_index(&child.media_type) || media_type::is_manifest(&child.media_type);
    match manifest.view() {
        Ok(Manifest::Index(index)) => index.manifests.into_iter().filter(is_manifest).collect(),
        _ => Vec::new(),
    }
}

impl Reading<'_> {
    /// Reads an image and what goes along.
    pub(super) async fn gather(&self, root: &RawManifest) -> Result<Tree, CopierError> {
        let (image, ()) = futures::join!(self.graph(root), self.prime(root));
        let image = image?;
        let mut tree = Tree { source: root.digest().clone(), image, extras: Vec::new(), left_out: Vec::new() };
        if !self.copier.referrers {
            return Ok(tree);
        }
        let mut seen: HashSet<Digest> = tree.image.manifests.iter().map(|node| node.digest.clone()).collect();
        let mut level: Vec<Digest> = tree.image.manifests.iter().map(|node| node.digest.clone()).collect();
        for _ in 0..MAX_CHAIN {
            let asking = level.iter().map(|digest| self.about(digest).boxed()).collect();
            let mut found: Vec<(By, RawManifest)> = bounded(asking, PARALLEL).await?.into_iter().flatten().collect();
            found.retain(|(_, manifest)| seen.insert(manifest.digest().clone()));
            found.sort_by(|(_, a), (_, b)| a.digest().cmp(b.digest()));
            level = found.iter().map(|(_, manifest)| manifest.digest().clone()).collect();
            for (by, manifest) in found {
                let graph = self.graph(&manifest).await?;
                tree.extras.push(Extra { graph, by });
            }
            if level.is_empty() {
                break;
            }
        }
        Ok(tree)
    }

    async fn graph(&self, root: &RawManifest) -> Result<Graph, CopierError> {
        let read = self.read_ahead(root).await?;
        let fetch = |child: Descriptor| -> Fetched<'_, CopierError> {
            let known = read.get(&child.digest).cloned();
            async move {
                match known {
                    Some(manifest) => Ok(manifest),
                    None => self.manifest(&child).await,
                }
            }
            .boxed()
        };
        graph::walk(root, &fetch).await
    }

    /// Reads all manifests below a root, a level at once. What exceeds the bounds of an image is left to the walk,
    /// which refuses it.
    async fn read_ahead(&self, root: &RawManifest) -> Result<HashMap<Digest, RawManifest>, CopierError> {
        let mut read: HashMap<Digest, RawManifest> = HashMap::new();
        let (mut level, mut bytes) = (children_of(root), 0_u64);
        for _ in 0..MAX_DEPTH {
            let mut unique: BTreeMap<Digest, Descriptor> = BTreeMap::new();
            for child in level.drain(..).filter(|child| !read.contains_key(&child.digest)) {
                bytes = bytes.saturating_add(child.size);
                unique.insert(child.digest.clone(), child);
            }
            let is_too_large = unique.values().any(|child| child.size > MAX_MANIFEST_BYTES);
            if unique.is_empty() || is_too_large || read.len() + unique.len() > MAX_MANIFESTS || bytes > MAX_TOTAL_BYTES
            {
                break;
            }
            let reading = unique.into_values().map(|child| {
                async move { Ok::<_, CopierError>((child.digest.clone(), self.manifest(&child).await?)) }.boxed()
            });
            for (digest, manifest) in bounded(reading.collect(), PARALLEL).await? {
                level.extend(children_of(&manifest));
                read.insert(digest, manifest);
            }
        }
        Ok(read)
    }

    async fn manifest(&self, child: &Descriptor) -> Result<RawManifest, CopierError> {
        match self.origin {
            Origin::Layout(store) => {
                let bytes = store.read_bytes(&child.digest, MAX_MANIFEST_BYTES).await?;
                Ok(RawManifest::new(child.media_type.clone(), bytes))
            }
            Origin::Repository(at) => {
                let reference = at.with_digest(child.digest.clone());
                let got = self.copier.registry.get_manifest(&reference).await;
                got.map_err(|error| CopierError::Source { reference, source: error.into() })
            }
        }
    }

    /// Asks once what the source can tell about referrers.
    pub(super) async fn prime(&self, root: &RawManifest) {
        let Origin::Repository(at) = self.origin else { return };
        if !self.copier.referrers {
            return;
        }
        let api = self.discovery.api.get_or_init(|| async {
            match self.copier.registry.referrers_by_api(at, root.digest(), None).await {
                Ok(Some(found)) => {
                    let _ = self.discovery.first.set((root.digest().clone(), !found.entries.is_empty()));
                    true
                }
                Ok(None) => false,
                // An answer of some other kind: asked again, and told, where it matters.
                Err(_) => true,
            }
        });
        let tags = self.discovery.tags.get_or_init(|| async {
            let list = self.copier.registry.tags(at).await.ok().filter(|list| !list.truncated)?;
            Some(list.tags.into_iter().filter(|tag| is_about_digest(tag)).collect())
        });
        futures::join!(api, tags);
    }

    /// Whether one of these images may have something that goes along. Asks nothing.
    pub(super) fn may_have_referrers(&self, digests: &HashSet<&Digest>) -> bool {
        if !self.copier.referrers {
            return false;
        }
        let Some(Some(tags)) = self.discovery.tags.get() else { return true };
        let by_tag = digests.iter().any(|digest| {
            tags.range(fallback_tag(digest)..).next().is_some_and(|tag| tag.starts_with(&fallback_tag(digest)))
        });
        let by_api = match (self.discovery.api.get(), self.discovery.first.get()) {
            (Some(false), _) => false,
            // Only one digest was asked about.
            (_, Some((first, has))) => *has || digests.iter().any(|digest| **digest != *first),
            _ => true,
        };
        by_tag || by_api
    }

    /// Returns what is about a digest.
    async fn about(&self, digest: &Digest) -> Result<Vec<(By, RawManifest)>, CopierError> {
        let at = match self.origin {
            Origin::Layout(store) => return self.about_in_layout(store, digest).await,
            Origin::Repository(at) => at,
        };
        let failed =
            |reference, error: crate::client::ClientError| CopierError::Source { reference, source: error.into() };
        let tags = self.discovery.tags.get().and_then(Option::as_ref);
        let prefix = fallback_tag(digest);
        let by_api = self.discovery.api.get().copied().unwrap_or(true);
        let is_known_empty = self.discovery.first.get().is_some_and(|(first, has)| first == digest && !has);
        let mut found = Vec::new();
        if (by_api && !is_known_empty) || tags.is_none_or(|tags| tags.contains(&prefix)) {
            let listed = self.copier.registry.verified_referrers(at, digest, None).await;
            let (_, manifests) = listed.map_err(|error| failed(at.with_digest(digest.clone()), error))?;
            found.extend(manifests.into_iter().map(|manifest| (By::Subject(digest.clone()), manifest)));
        }
        for suffix in COSIGN {
            let tag = format!("{prefix}.{suffix}");
            // Where the list is not known, only the signature itself is asked for.
            if !tags.map_or(suffix == "sig", |tags| tags.contains(&tag)) {
                continue;
            }
            match self.copier.registry.get_manifest(&at.with_tag(&tag)).await {
                Ok(manifest) => found.push((By::Tag(tag), manifest)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed(at.with_tag(&tag), error)),
            }
        }
        Ok(found)
    }

    async fn about_in_layout(
        &self,
        store: &LayoutStore,
        digest: &Digest,
    ) -> Result<Vec<(By, RawManifest)>, CopierError> {
        let known = self.discovery.layout.get_or_try_init(|| subjects(store)).await?;
        let by_subject = known.get(digest).into_iter().flatten().cloned();
        let mut found: Vec<_> = by_subject.map(|manifest| (By::Subject(digest.clone()), manifest)).collect();
        for suffix in COSIGN {
            let tag = format!("{}.{suffix}", fallback_tag(digest));
            if let Some(entry) = store.resolve(&tag).await? {
                let bytes = store.read_bytes(&entry.digest, MAX_MANIFEST_BYTES).await?;
                found.push((By::Tag(tag), RawManifest::new(entry.media_type, bytes)));
            }
        }
        Ok(found)
    }
}

/// Returns the manifests a layout lists, by what they are about.
async fn subjects(store: &LayoutStore) -> Result<HashMap<Digest, Vec<RawManifest>>, StoreError> {
    let mut known: HashMap<Digest, Vec<RawManifest>> = HashMap::new();
    for root in store.roots().await? {
        let Ok(bytes) = store.read_bytes(&root.descriptor.digest, MAX_MANIFEST_BYTES).await else { continue };
        let manifest = RawManifest::new(root.descriptor.media_type, bytes);
        let subject = manifest.view().ok().and_then(|view| view.subject().map(|subject| subject.digest.clone()));
        if let Some(subject) = subject {
            known.entry(subject).or_default().push(manifest);
        }
    }
    Ok(known)
}

/// Whether a tag is made of a digest: the list of referrers of one, or cosign's.
pub fn is_about_digest(tag: &str) -> bool {
    let Some(rest) = tag.strip_prefix("sha256-") else { return false };
    let hex = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    hex == 64 && (rest.len() == 64 || rest.as_bytes().get(64) == Some(&b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_about_digests_are_known_by_their_form() {
        let hex = "a".repeat(64);
        for (tag, want) in [
            (format!("sha256-{hex}"), true),
            (format!("sha256-{hex}.sig"), true),
            (format!("sha256-{hex}x"), false),
            (format!("sha256-{}", &hex[1..]), false),
            ("latest".to_owned(), false),
        ] {
            assert_eq!(is_about_digest(&tag), want, "{tag}");
        }
    }
}
