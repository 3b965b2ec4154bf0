//! Reading a repository as a graph.
//!
//! Owns: tags, what they reach, and what refers to that, each manifest once. Never: takes what it could not ask for as not there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{StreamExt as _, iter};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::graph::{Graph, Kind, Manifest, Tag};
use crate::audit::collect::{Collector, in_full};
use crate::audit::facts::{ConfigFacts, Entry, ImageFacts, ImageName, Node};
use crate::client::{ClientError, ErrorKind, Registry};
use crate::oci::{Digest, Reference, media_type};
use crate::resolve::ManifestCache;
use crate::transfer::RegistrySource;
use crate::transfer::copier::is_about_digest;

/// Manifests asked about at once. Requests in flight are bounded by the client.
const PARALLEL: usize = 16;
/// Most manifests of a repository that are read.
const MANIFESTS: usize = 200_000;

/// Reads the graph of a reference's repository. The registry itself is asked, not its mirrors.
///
/// # Errors
/// The tags cannot be listed. What else cannot be read is in [`Graph::unchecked`].
pub async fn read(
    registry: &Registry,
    repository: &Reference,
    cache: Option<ManifestCache>,
) -> Result<Graph, ClientError> {
    let registry = registry.without_mirrors();
    let list = registry.tags(repository).await?;
    let source = RegistrySource { registry: registry.clone(), repository: repository.clone() };
    let collector = Collector::new(Arc::new(source), cache);
    let mut reader = Reader {
        registry: &registry,
        repository,
        collector,
        has_no_api: AtomicBool::new(false),
        has_api: AtomicBool::new(false),
        graph: Graph { repository: repository.name(), ..Graph::default() },
    };
    if list.truncated {
        reader.graph.unchecked.push(format!("there are more than the {} tags that were listed", list.tags.len()));
    }
    reader.tags(list.tags.into_iter().collect()).await;
    reader.referrers().await;
    reader.subjects().await;
    Ok(reader.graph)
}

struct Reader<'a> {
    registry: &'a Registry,
    repository: &'a Reference,
    collector: Collector,
    has_no_api: AtomicBool,
    has_api: AtomicBool,
    graph: Graph,
}

impl Reader<'_> {
    async fn tags(&mut self, names: Vec<String>) {
        let read: Vec<_> = {
            let this = &*self;
            let work = names.into_iter().map(|name| async move {
                let read = this.image(&this.repository.with_tag(&name)).await;
                (name, read)
            });
            iter(work).buffer_unordered(PARALLEL).collect().await
        };
        let mut read = read;
        read.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, read) in read {
            match read {
                Ok(Some(facts)) => {
                    let about = is_about_digest(&name).then(|| subject_of(&name)).flatten();
                    let tag = Tag {
                        digest: facts.name.digest.clone(),
                        created: created(&facts),
                        about,
                        is_about_untagged: false,
                    };
                    self.add(&facts);
                    self.graph.tags.insert(name, tag);
                }
                // It has gone since the list was made.
                Ok(None) => {}
                Err(reason) => self.graph.unchecked.push(format!("tag {name}: {reason}")),
            }
        }
    }

    /// `None`: it is not there.
    async fn image(&self, at: &Reference) -> Result<Option<ImageFacts>, String> {
        let root = match self.registry.get_manifest_as_is(at, "").await {
            Ok(root) => root,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(in_full(&error)),
        };
        let digest = root.digest().clone();
        if at.digest().is_some_and(|want| *want != digest) {
            return Err(format!("it is answered with {digest}"));
        }
        let name = ImageName { repository: self.repository.name(), tag: at.tag().map(str::to_owned), digest };
        Ok(Some(self.collector.image(name, root).await))
    }

    fn add(&mut self, facts: &ImageFacts) {
        for one in &facts.unchecked {
            // Configurations only tell the time.
            if one.what == "manifest" {
                let digest = one.digest.as_ref().map(ToString::to_string).unwrap_or_default();
                self.graph.unchecked.push(format!("{digest} of {}: {}", facts.name, one.reason));
            }
        }
        for entry in facts.entries() {
            match manifest(entry) {
                Ok(Some(manifest)) => {
                    let known = self.graph.manifests.entry(entry.descriptor.digest.clone());
                    let known = known.or_insert(manifest);
                    if known.platform.is_none() {
                        known.platform = platform(entry);
                    }
                }
                Ok(None) => {}
                Err(reason) => {
                    let text = format!("{} of {}: {reason}", entry.descriptor.digest, facts.name);
                    self.graph.unchecked.push(text);
                }
            }
        }
    }

    /// Asks for what refers to each manifest, and to that, and so on.
    async fn referrers(&mut self) {
        let mut asked = std::collections::BTreeSet::new();
        loop {
            let wanted = |(digest, one): (&Digest, &Manifest)| {
                let is_subject = !matches!(one.kind, Kind::Missing | Kind::Attestation);
                (is_subject && !asked.contains(digest)).then(|| digest.clone())
            };
            let open: Vec<Digest> = self.graph.manifests.iter().filter_map(wanted).collect();
            if open.is_empty() || self.has_no_api.load(Ordering::Relaxed) {
                return;
            }
            if asked.len() + open.len() > MANIFESTS {
                return self.graph.unchecked.push(format!("there are more than {MANIFESTS} manifests"));
            }
            asked.extend(open.iter().cloned());
            let found: Vec<_> = {
                let this = &*self;
                let work = open.into_iter().map(|digest| async move {
                    let found = this.about(&digest).await;
                    (digest, found)
                });
                iter(work).buffered(PARALLEL).collect().await
            };
            for (digest, (facts, unchecked)) in found {
                self.graph.unchecked.extend(unchecked);
                for one in facts {
                    if let Some(subject) = self.graph.manifests.get_mut(&digest) {
                        subject.referrers.push(one.name.digest.clone());
                    }
                    self.add(&one);
                }
            }
        }
    }

    async fn about(&self, digest: &Digest) -> (Vec<ImageFacts>, Vec<String>) {
        let (mut facts, mut unchecked) = (Vec::new(), Vec::new());
        if self.has_no_api.load(Ordering::Relaxed) {
            return (facts, unchecked);
        }
        match self.registry.referrers_by_api(self.repository, digest, None).await {
            Ok(Some(found)) => {
                self.has_api.store(true, Ordering::Relaxed);
                if found.truncated {
                    unchecked.push(format!("{digest} has more referrers than were listed"));
                }
                for entry in found.entries {
                    match self.image(&self.repository.with_digest(entry.digest.clone())).await {
                        Ok(one) => facts.extend(one),
                        Err(reason) => unchecked.push(format!("{}, which refers to {digest}: {reason}", entry.digest)),
                    }
                }
            }
            // The tags that stand in for it are among the tags.
            Ok(None) if !self.has_api.load(Ordering::Relaxed) => self.has_no_api.store(true, Ordering::Relaxed),
            // An API that was there a moment ago has not gone: something stands between.
            Ok(None) => unchecked.push(format!("what refers to {digest}: the registry did not say")),
            Err(error) => unchecked.push(format!("what refers to {digest}: {}", in_full(&error))),
        }
        (facts, unchecked)
    }

    /// Of tags made of a digest that no tag reaches: whether that manifest is there.
    async fn subjects(&mut self) {
        let mut known: BTreeMap<Digest, bool> = BTreeMap::new();
        let unseen = self.graph.tags.values().filter_map(|tag| tag.about.clone());
        let unseen: Vec<Digest> = unseen.filter(|about| !self.graph.manifests.contains_key(about)).collect();
        for digest in unseen {
            let at = self.repository.with_digest(digest.clone());
            let found = match self.registry.head_manifest(&at).await {
                // GET decides: some registries know no HEAD.
                Ok(None) => match self.registry.get_manifest_as_is(&at, "").await {
                    Ok(_) => Ok(true),
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
                    Err(error) => Err(error),
                },
                head => head.map(|head| head.is_some()),
            };
            match found {
                Ok(is_there) => drop(known.insert(digest, is_there)),
                Err(error) => self.graph.unchecked.push(format!("whether {digest} is there: {}", in_full(&error))),
            }
        }
        for tag in self.graph.tags.values_mut() {
            tag.is_about_untagged = tag.about.as_ref().is_some_and(|about| known.get(about) == Some(&true));
        }
    }
}

fn subject_of(tag: &str) -> Option<Digest> {
    let (algorithm, rest) = tag.split_once('-')?;
    format!("{algorithm}:{}", rest.split('.').next()?).parse().ok()
}

fn platform(entry: &Entry) -> Option<String> {
    entry.descriptor.platform.as_ref().filter(|platform| !platform.is_unknown()).map(ToString::to_string)
}

/// `None`: it is no manifest.
fn manifest(entry: &Entry) -> Result<Option<Manifest>, String> {
    let empty = |kind| Manifest {
        kind,
        platform: platform(entry),
        size: entry.descriptor.size,
        children: Vec::new(),
        subject: None,
        referrers: Vec::new(),
        blobs: Vec::new(),
    };
    let digest_of = |descriptor: &crate::oci::Descriptor| descriptor.digest.clone();
    Ok(Some(match &entry.node {
        Node::Missing => empty(Kind::Missing),
        // Told with its reason among what could not be asked.
        Node::Unchecked | Node::Other => return Ok(None),
        Node::Altered { got, .. } => return Err(format!("it is answered with {got}")),
        Node::Unusable(unusable) => return Err(unusable.reason.clone()),
        Node::TooMuch => return Err("it is nested too deeply, or one of too many".to_owned()),
        Node::Index(index) => Manifest {
            children: index.view.manifests.iter().map(digest_of).collect(),
            subject: index.view.subject.as_ref().map(digest_of),
            ..empty(Kind::Index)
        },
        Node::Image(image) => {
            let kind = match (entry.is_attestation(), entry.platform_image()) {
                (true, _) => Kind::Attestation,
                (false, Some(_)) => Kind::Image,
                (false, None) => Kind::Artifact,
            };
            let blobs = std::iter::once(&image.view.config).chain(&image.view.layers);
            let blobs = blobs.filter(|blob| !media_type::is_nondistributable(&blob.media_type));
            Manifest {
                subject: image.view.subject.as_ref().map(digest_of),
                blobs: blobs.map(|blob| (blob.digest.clone(), blob.size)).collect(),
                ..empty(kind)
            }
        }
    }))
}

/// When the first platform's image was created.
fn created(facts: &ImageFacts) -> Option<OffsetDateTime> {
    let times = facts.entries().into_iter().filter_map(Entry::platform_image).filter_map(|image| {
        let ConfigFacts::Read(config) = &image.manifest.config else { return None };
        OffsetDateTime::parse(config.view.created.as_deref()?, &Rfc3339).ok()
    });
    // Zero, or thereabouts, is what reproducible builds write.
    times.filter(|time| time.year() > 1980).max()
}
