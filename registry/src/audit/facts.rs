//! What was read of an image: what rules look at.
//!
//! Owns: the data, and the few questions every rule asks of it. Pure. Never: an opinion.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::binary::BinaryFacts;
use super::finding::Unchecked;
use super::layer::LayerFacts;
pub use super::tag_facts::{Difference, MirrorFacts, MovedTag, Since, TagFacts};
use crate::oci::config::RunConfig;
use crate::oci::index_builder::{ATTESTATION_MANIFEST, REFERENCE_TYPE};
use crate::oci::{
    Descriptor, Digest, ImageConfig, ImageIndex, ImageManifest, Manifest, Platform, RawManifest, media_type,
};

/// What an image is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// `host/name`, or `oci:DIR`.
    pub repository: String,
    /// The tag it was reached by.
    pub tag: Option<String>,
    /// Digest of its root.
    pub digest: Digest,
}

impl std::fmt::Display for ImageName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.tag {
            Some(tag) => write!(f, "{}:{tag}", self.repository),
            None => write!(f, "{}@{}", self.repository, self.digest),
        }
    }
}

/// Everything that was read behind one tag or digest.
#[derive(Debug, Clone)]
pub struct ImageFacts {
    /// What it is called.
    pub name: ImageName,
    /// The index or manifest the name leads to.
    pub root: Entry,
    /// Configurations and layers, where they were asked for.
    pub blobs: Option<HashMap<Digest, BlobFacts>>,
    /// What refers to each manifest, where it was asked for.
    pub referrers: Option<HashMap<Digest, ReferrerFacts>>,
    /// The programs of each platform's image, by the digest of its manifest, where they were looked at.
    pub binaries: Option<HashMap<Digest, BinaryFacts>>,
    /// What is in each layer that could be read, where layers were read.
    pub layers: Option<HashMap<Digest, Arc<LayerFacts>>>,
    /// What became of the bases it names, where they were asked for.
    pub bases: Option<Vec<BaseFacts>>,
    /// What could not be asked.
    pub unchecked: Vec<Unchecked>,
}

/// What became of a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseFacts {
    /// As the image names it.
    pub name: String,
    /// What it was built on.
    pub digest: Digest,
    /// Where the name leads now, that of a platform if it has it; none: the tag is gone.
    pub now: Option<Digest>,
    /// Whether what it was built on can be pulled.
    pub is_there: bool,
    /// Manifests of the platforms that were built on it.
    pub images: Vec<Digest>,
}

/// A descriptor and what it leads to.
#[derive(Debug, Clone)]
pub struct Entry {
    /// As its parent names it.
    pub descriptor: Descriptor,
    /// What is there.
    pub node: Node,
}

/// What a descriptor of an index leads to.
#[derive(Debug, Clone)]
pub enum Node {
    /// Nothing: the registry said that it is not there.
    Missing,
    /// Nobody knows; [`ImageFacts::unchecked`] says why.
    Unchecked,
    /// Other bytes than the digest says; they are not looked at.
    Altered {
        /// Their digest.
        got: Digest,
        /// Their number.
        size: u64,
    },
    /// Bytes that are no manifest polyarch reads.
    Unusable(Unusable),
    /// An index in an index that is nested too deeply, or one child too many.
    TooMuch,
    /// Of a media type that is no manifest's; it was not read.
    Other,
    /// An index.
    Index(Box<IndexFacts>),
    /// An image of one platform, an attestation or an artifact.
    Image(Box<ManifestFacts>),
}

/// Bytes of the right digest that are no manifest.
#[derive(Debug, Clone)]
pub struct Unusable {
    /// They.
    pub raw: RawManifest,
    /// What is wrong.
    pub kind: UnusableKind,
    /// The same in words.
    pub reason: String,
}

/// Why bytes are no manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnusableKind {
    /// Not JSON of its type.
    Json,
    /// Its body names another media type.
    MediaType,
    /// It has the fields of an index and of an image.
    Ambiguous,
    /// A media type polyarch does not read.
    Unsupported,
}

/// An index that was read.
#[derive(Debug, Clone)]
pub struct IndexFacts {
    /// Its bytes.
    pub raw: RawManifest,
    /// The view of them.
    pub view: ImageIndex,
    /// Its children, in order.
    pub children: Vec<Entry>,
}

/// A manifest that was read.
#[derive(Debug, Clone)]
pub struct ManifestFacts {
    /// Its bytes.
    pub raw: RawManifest,
    /// The view of them.
    pub view: ImageManifest,
    /// Its configuration.
    pub config: ConfigFacts,
}

/// A configuration.
#[derive(Debug, Clone)]
pub enum ConfigFacts {
    /// The manifest is no image's.
    NotAnImage,
    /// The registry said that it is not there.
    Missing,
    /// Nobody knows.
    Unchecked,
    /// Other bytes than its digest says.
    Altered,
    /// It is no configuration; why.
    Unusable(String),
    /// Read.
    Read(Box<Config>),
}

/// A configuration that was read.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its bytes.
    pub bytes: Bytes,
    /// Platform, layers, history.
    pub view: ImageConfig,
    /// How it runs.
    pub run: RunConfig,
}

/// What a registry says about a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobFacts {
    /// It is there and has so many bytes.
    Present(u64),
    /// It is not there.
    Missing,
    /// Nobody knows.
    Unchecked,
}

/// One platform's image, and how its index names it.
#[derive(Debug, Clone, Copy)]
pub struct PlatformImage<'a> {
    /// As the index names it; of a lone image its own.
    pub descriptor: &'a Descriptor,
    /// Its manifest.
    pub manifest: &'a ManifestFacts,
    /// Its configuration, if it could be read.
    pub config: Option<&'a Config>,
}

impl PlatformImage<'_> {
    /// Returns the platform the index names, else the configuration's, else one of no name.
    pub fn platform(&self) -> Platform {
        let named = self.descriptor.platform.clone().filter(|platform| !platform.architecture.is_empty());
        named.or_else(|| self.config.map(|config| config.view.platform())).unwrap_or_default()
    }

    /// Returns the platform of the configuration.
    pub fn config_platform(&self) -> Option<Platform> {
        self.config.map(|config| config.view.platform())
    }

    /// Returns where findings about it are.
    pub fn place(&self) -> super::Place {
        super::Place::platform(&self.platform(), &self.descriptor.digest)
    }

    /// Returns the bytes of its layers together, as their descriptors say.
    pub fn size(&self) -> u64 {
        self.manifest.view.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))
    }

    /// Returns a label of its configuration.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.config.and_then(|config| config.run.labels.get(key)).map(String::as_str)
    }

    /// Returns an annotation of its manifest, else of its descriptor, else the label of that name.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        let own = self.manifest.view.annotations.get(key).or_else(|| self.descriptor.annotations.get(key));
        own.map(String::as_str).or_else(|| self.label(key))
    }
}

impl Entry {
    /// Returns whether its parent says that it is an attestation: by annotation, or by BuildKit's `unknown/unknown`.
    pub fn is_attestation(&self) -> bool {
        let told = self.descriptor.annotations.get(REFERENCE_TYPE).is_some_and(|kind| kind == ATTESTATION_MANIFEST);
        told || self.descriptor.platform.as_ref().is_some_and(Platform::is_unknown)
    }

    /// Returns the image in it: not an attestation, not an artifact.
    pub fn platform_image(&self) -> Option<PlatformImage<'_>> {
        let Node::Image(manifest) = &self.node else { return None };
        let is_image = media_type::is_config(&manifest.view.config.media_type);
        if self.is_attestation() || manifest.view.artifact_type.is_some() || !is_image {
            return None;
        }
        let config = match &manifest.config {
            ConfigFacts::Read(config) => Some(&**config),
            _ => None,
        };
        Some(PlatformImage { descriptor: &self.descriptor, manifest, config })
    }

    fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Entry)) {
        visit(self);
        if let Node::Index(index) = &self.node {
            index.children.iter().for_each(|child| child.walk(visit));
        }
    }
}

impl ImageFacts {
    /// Returns what a name leads to, and nothing beyond.
    pub fn new(name: ImageName, root: Entry) -> Self {
        Self {
            name,
            root,
            blobs: None,
            referrers: None,
            binaries: None,
            bases: None,
            layers: None,
            unchecked: Vec::new(),
        }
    }

    /// Returns every entry, the root first, each before its children.
    pub fn entries(&self) -> Vec<&Entry> {
        let mut all = Vec::new();
        self.root.walk(&mut |entry| all.push(entry));
        all
    }

    /// Returns every index.
    pub fn indexes(&self) -> Vec<(&Descriptor, &IndexFacts)> {
        let mut all = Vec::new();
        self.root.walk(&mut |entry| {
            if let Node::Index(index) = &entry.node {
                all.push((&entry.descriptor, &**index));
            }
        });
        all
    }

    /// Returns the index at the root, if it is one.
    pub fn index(&self) -> Option<&IndexFacts> {
        match &self.root.node {
            Node::Index(index) => Some(index),
            _ => None,
        }
    }

    /// Returns the images of platforms, in the order of the index.
    pub fn platforms(&self) -> Vec<PlatformImage<'_>> {
        self.entries().into_iter().filter_map(Entry::platform_image).collect()
    }

    /// Returns whether it is an image at all: an artifact (a chart, a signature) is not judged as one.
    pub fn is_image(&self) -> bool {
        match &self.root.node {
            Node::Image(_) => self.root.platform_image().is_some(),
            Node::Index(index) => index.view.artifact_type.is_none(),
            _ => true,
        }
    }
}

/// What refers to one manifest, by each of the ways it may be found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReferrerFacts {
    /// By the referrers API; none where the registry has none.
    pub by_api: Option<Vec<Descriptor>>,
    /// By the tag that stands in for it; none where it is not there.
    pub by_tag: Option<Vec<Descriptor>>,
    /// Tags of cosign for it that are there: `sha256-….sig`, `.att`, `.sbom`.
    pub cosign_tags: Vec<String>,
    /// Those of the lists that are not there themselves.
    pub missing: Vec<Digest>,
    /// Those of the lists whose manifest says that it is about something else, or about nothing.
    pub foreign: Vec<Digest>,
    /// Manifests of those that the tag lists, and of those whose entry does not say what they are.
    pub read: HashMap<Digest, Manifest>,
    /// Manifests of cosign's tags, where the tag does not say what they are.
    pub tagged: HashMap<String, Manifest>,
    /// Something could not be asked: there may be more.
    pub unchecked: bool,
}

impl ReferrerFacts {
    /// Returns what refers to the manifest in one of the lists: what is there, and about it.
    pub fn real<'a>(&'a self, list: &'a Option<Vec<Descriptor>>) -> impl Iterator<Item = &'a Descriptor> {
        let is_real = |digest: &Digest| !self.missing.contains(digest) && !self.foreign.contains(digest);
        list.iter().flatten().filter(move |entry| is_real(&entry.digest))
    }
}

/// What is known of a repository as a whole.
#[derive(Debug, Clone, Default)]
pub struct RepositoryFacts {
    /// `host/name`.
    pub repository: String,
    /// All its tags, if they were listed.
    pub tags: Vec<String>,
    /// The list was cut.
    pub truncated: bool,
    /// What each tag that was read leads to.
    pub roots: HashMap<String, Digest>,
    /// Every manifest that was read in it, where referrers are asked for.
    pub manifests: std::collections::HashSet<Digest>,
    /// The images its tags lead to, in the order of tags.
    pub images: Vec<TagFacts>,
    /// What tags of signatures and lists of referrers are about, and is not there.
    pub gone_subjects: std::collections::HashSet<Digest>,
    /// Tags that do not lead where they led.
    pub moved: Vec<MovedTag>,
    /// How it differs from what it is a mirror of, where that was asked for.
    pub mirror: Option<MirrorFacts>,
    /// What could not be asked.
    pub unchecked: Vec<Unchecked>,
}
