//! A repository as a graph. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::oci::Digest;

/// Tags, manifests, and what leads from one to the other.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// `host/name`.
    pub repository: String,
    /// Tags, by name.
    pub tags: BTreeMap<String, Tag>,
    /// Manifests that some tag reaches, or that refer to such.
    pub manifests: BTreeMap<Digest, Manifest>,
    /// What could not be read: the graph may have more.
    pub unchecked: Vec<String>,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Where it points.
    pub digest: Digest,
    /// When its image was created, if its configuration tells; zero does not.
    pub created: Option<OffsetDateTime>,
    /// The manifest whose digest the tag is made of: it is a signature, or a list of referrers.
    pub about: Option<Digest>,
    /// Of such a tag: whether that manifest is there although no tag reaches it.
    pub is_about_untagged: bool,
}

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What it is.
    pub kind: Kind,
    /// Platform, as its index says.
    pub platform: Option<String>,
    /// Its own bytes.
    pub size: u64,
    /// What it lists.
    pub children: Vec<Digest>,
    /// What it refers to.
    pub subject: Option<Digest>,
    /// What refers to it, by the registry's list.
    pub referrers: Vec<Digest>,
    /// Configuration and layers, with their bytes.
    pub blobs: Vec<(Digest, u64)>,
}

/// What a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An index.
    Index,
    /// One platform's image.
    Image,
    /// An attestation in an index.
    Attestation,
    /// A signature, an SBOM, a chart.
    Artifact,
    /// It is named, and not there.
    Missing,
}

impl Kind {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Image => "image",
            Self::Attestation => "attestation",
            Self::Artifact => "artifact",
            Self::Missing => "missing",
        }
    }
}

impl Graph {
    /// Returns what has to stay if a manifest stays: what it lists, what it refers to, what refers to it, the tags about it.
    pub(super) fn next<'a>(
        &'a self,
        about: &'a BTreeMap<&Digest, Vec<&'a Digest>>,
        digest: &Digest,
    ) -> Vec<&'a Digest> {
        let own = self.manifests.get(digest).into_iter();
        let own = own.flat_map(|one| one.children.iter().chain(&one.subject).chain(&one.referrers));
        own.chain(about.get(digest).into_iter().flatten().copied()).collect()
    }

    /// Returns the roots of the tags about each manifest, and the manifests that say they are about it.
    pub(super) fn about(&self) -> BTreeMap<&Digest, Vec<&Digest>> {
        let mut about: BTreeMap<&Digest, Vec<&Digest>> = BTreeMap::new();
        for tag in self.tags.values() {
            if let Some(subject) = &tag.about {
                about.entry(subject).or_default().push(&tag.digest);
            }
        }
        // Whatever a registry lists: a manifest says itself what it is about.
        for (digest, manifest) in &self.manifests {
            if let Some(subject) = &manifest.subject {
                about.entry(subject).or_default().push(digest);
            }
        }
        about
    }

    /// Returns everything that is reached from some manifests, and they.
    pub(super) fn reached<'a>(&'a self, from: impl IntoIterator<Item = &'a Digest>) -> BTreeSet<&'a Digest> {
        let about = self.about();
        let mut reached = BTreeSet::new();
        let mut open: Vec<&Digest> = from.into_iter().collect();
        while let Some(digest) = open.pop() {
            if reached.insert(digest)
                && let Some((own, _)) = self.manifests.get_key_value(digest)
            {
                let next = self.next(&about, own).into_iter();
                open.extend(next.filter_map(|digest| self.manifests.get_key_value(digest).map(|(own, _)| own)));
            }
        }
        reached
    }
}
