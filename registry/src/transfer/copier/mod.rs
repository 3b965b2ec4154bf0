//! Images from a repository or a layout to another, byte for byte.
//!
//! Owns: what goes along with an image (`gather`), platforms left out, many tags in one run with each blob once, and
//! the shortest way where everything is there. Writing is `deliver`'s, in the one safe order.
//! Never: keeps a blob in memory or in a file on its way between registries, or moves a tag before all else is there.

mod deliver;
mod error;
mod gather;
mod into_layout;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures::future::FutureExt as _;

pub use error::CopierError;
pub use gather::Tree;
pub(crate) use gather::is_about_digest;
pub use into_layout::Names;

use super::bounded;
use super::event::Events;
use super::publish::TagMove;
use super::pusher::{Counts, Placed};
use super::remote::{Checked, RemoteStore};
use crate::client::Registry;
use crate::oci::index_editor::attested;
use crate::oci::{Digest, IndexEditor, Manifest, Platform, RawManifest, Reference};
use crate::store::{BlobStore, LayoutStore};
use gather::Discovery;

/// Images of a run that are held in memory at once: their manifests, never their blobs.
const WINDOW: usize = 16;
/// Images of a window that are worked on at once. Each host has its own limit of requests as well.
const PARALLEL: usize = 8;

/// Where images come from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A repository; tag and digest are those of one image.
    Repository(Reference),
    /// A layout.
    Layout(LayoutStore),
}

/// The index or manifest of an image to copy.
#[derive(Debug, Clone)]
pub enum Root {
    /// It was read already.
    Read(RawManifest),
    /// It is read when its turn comes: a run may have more images than are held in memory at once.
    At(Reference),
}

/// One image to copy.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is copied.
    pub root: Root,
    /// What it will be called; without a tag it is written by digest only.
    pub destination: Reference,
}

/// Copies images.
#[derive(Clone)]
pub struct Copier {
    /// The client of all registries.
    pub registry: Registry,
    /// Is told what happens.
    pub events: Events,
    /// Blobs in flight.
    pub parallel: usize,
    /// Whether what refers to the images goes along: referrers, and cosign's tags.
    pub referrers: bool,
    /// Platforms to take; empty takes every one.
    pub platforms: Vec<Platform>,
}

/// What became of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// What it is called now.
    pub destination: Reference,
    /// Digest at the source.
    pub source: Digest,
    /// Digest at the destination, read back; another one only where platforms were left out.
    pub digest: Digest,
    /// What was done about the tag.
    pub tag: TagMove,
    /// Manifests and indexes it has.
    pub manifests: usize,
    /// What went along: referrers and signatures.
    pub referrers: usize,
    /// Platforms that were left out.
    pub left_out: Vec<String>,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What became of each image, in the order asked for.
    pub images: Vec<(Reference, Result<Delivered, Arc<CopierError>>)>,
    /// Blobs, each once.
    pub blobs: Counts,
}

/// What a run knows of the repository it writes to.
#[derive(Debug, Default)]
struct Known {
    placed: BTreeMap<Digest, Placed>,
    counts: Counts,
    /// Decided with the first blobs.
    is_new: Option<bool>,
}

/// Where a run reads, and what it has learnt there.
struct Reading<'a> {
    copier: &'a Copier,
    origin: &'a Origin,
    remote: Option<Arc<RemoteStore>>,
    discovery: Discovery,
}

impl<'a> Reading<'a> {
    fn new(copier: &'a Copier, origin: &'a Origin, checked: Checked, events: Option<Events>) -> Self {
        let remote = match origin {
            Origin::Repository(at) => {
                Some(Arc::new(RemoteStore::new(copier.registry.clone(), at.clone(), checked, events)))
            }
            Origin::Layout(_) => None,
        };
        Self { copier, origin, remote, discovery: Discovery::default() }
    }

    fn store(&self) -> Arc<dyn BlobStore> {
        match (&self.remote, self.origin) {
            (Some(remote), _) => Arc::clone(remote) as Arc<dyn BlobStore>,
            (None, Origin::Layout(store)) => Arc::new(store.clone()),
            // A repository always has its store.
            (None, Origin::Repository(_)) => Arc::new(crate::store::MemoryStore::new()),
        }
    }
}

impl Copier {
    /// Copies images into one repository. A failure of one leaves the others alone, unless it is the repository's.
    pub async fn to_repository(&self, origin: &Origin, requests: &[Request]) -> Outcome {
        let reading = &Reading::new(self, origin, Checked::Here, None);
        let (mut outcome, mut known) = (Outcome::default(), Known::default());
        for window in requests.chunks(WINDOW) {
            let work = window.iter().enumerate().map(|(at, request)| {
                async move { Ok::<_, std::convert::Infallible>((at, self.prepare(reading, request).await)) }.boxed()
            });
            let Ok(mut prepared) = bounded(work.collect(), PARALLEL).await;
            prepared.sort_by_key(|(at, _)| *at);
            let (mut trees, mut done) = (Vec::new(), BTreeMap::new());
            for (at, result) in prepared {
                match result {
                    Ok(Prepared::Tree(tree)) => trees.push((at, tree)),
                    Ok(Prepared::There(delivered)) => drop(done.insert(at, Ok(*delivered))),
                    Err(error) => drop(done.insert(at, Err(Arc::new(error)))),
                }
            }
            done.extend(self.deliver(reading, window, &trees, &mut known).await);
            let destinations = window.iter().map(|request| request.destination.clone());
            outcome.images.extend(destinations.enumerate().filter_map(|(at, to)| Some((to, done.remove(&at)?))));
        }
        outcome.blobs = known.counts;
        outcome
    }

    /// Chooses platforms and gathers what goes along, unless all is there already.
    async fn prepare(&self, reading: &Reading<'_>, request: &Request) -> Result<Prepared, CopierError> {
        let source = match &request.root {
            Root::Read(root) => root.clone(),
            Root::At(reference) => {
                let got = self.registry.get_manifest(reference).await;
                got.map_err(|error| CopierError::Source { reference: reference.clone(), source: error.into() })?
            }
        };
        let (root, left_out) = self.choose(&source)?;
        let there = self.is_there(reading, &request.destination, &root).await?;
        if let Some(manifests) = there {
            let (destination, digest) = (request.destination.clone(), root.digest().clone());
            let (source, tag) = (source.digest().clone(), TagMove::Unchanged);
            let delivered = Delivered { destination, source, digest, tag, manifests, referrers: 0, left_out };
            return Ok(Prepared::There(Box::new(delivered)));
        }
        let mut tree = reading.gather(&root).await?;
        tree.source = source.digest().clone();
        tree.left_out = left_out;
        Ok(Prepared::Tree(Box::new(tree)))
    }

    /// Returns the image of the platforms asked for, and what is left out of it.
    fn choose(&self, root: &RawManifest) -> Result<(RawManifest, Vec<String>), CopierError> {
        if self.platforms.is_empty() || !matches!(root.view(), Ok(Manifest::Index(_))) {
            return Ok((root.clone(), Vec::new()));
        }
        let mut editor = IndexEditor::open(root)?;
        let has = |wanted: &Platform| {
            editor.entries().any(|entry| entry.platform.as_ref().is_some_and(|platform| platform.same_as(wanted)))
        };
        if let Some(missing) = self.platforms.iter().find(|wanted| !has(wanted)) {
            let have = editor.entries().filter(|entry| attested(entry).is_none());
            let have = have.filter_map(|entry| entry.platform.as_ref().map(ToString::to_string)).collect();
            return Err(CopierError::Platform { platform: missing.clone(), have });
        }
        let gone = editor.retain(|entry| {
            entry.platform.as_ref().is_some_and(|platform| self.platforms.iter().any(|one| one.same_as(platform)))
        });
        let gone = gone.iter().filter(|entry| attested(entry).is_none());
        let name = |entry: &crate::oci::Descriptor| match &entry.platform {
            Some(platform) => platform.to_string(),
            None => entry.digest.to_string(),
        };
        let left_out = gone.map(name).collect();
        Ok((editor.build()?, left_out))
    }

    /// Whether the tag points at the image with all its children, and nothing has to go along: then how many manifests
    /// that are. The registry had every blob when it took the manifests.
    async fn is_there(
        &self,
        reading: &Reading<'_>,
        destination: &Reference,
        root: &RawManifest,
    ) -> Result<Option<usize>, CopierError> {
        if destination.tag().is_none() {
            return Ok(None);
        }
        let own = self.registry.without_mirrors();
        let (there, ()) = futures::join!(own.get_manifest(destination), reading.prime(root));
        if !there.is_ok_and(|there| there == *root) {
            return Ok(None);
        }
        let children = gather::children_of(root);
        let digests: HashSet<&Digest> = children.iter().map(|child| &child.digest).chain([root.digest()]).collect();
        if reading.may_have_referrers(&digests) {
            return Ok(None);
        }
        let looking = children.iter().map(|child| {
            let at = destination.with_digest(child.digest.clone());
            let own = &own;
            async move { own.head_manifest(&at).await.map(|head| head.is_some()) }.boxed()
        });
        let Ok(present) = bounded(looking.collect(), PARALLEL).await else { return Ok(None) };
        Ok(present.into_iter().all(|is_present| is_present).then_some(children.len() + 1))
    }
}

enum Prepared {
    Tree(Box<Tree>),
    There(Box<Delivered>),
}

impl std::fmt::Debug for Copier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copier").field("registry", &self.registry).finish_non_exhaustive()
    }
}
