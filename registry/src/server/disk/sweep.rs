//! What no tag needs any more, and which digests still have a name.
//!
//! Owns: deciding and forgetting, one repository at a time under its lock. What was pushed, mounted or asked for
//! within the grace stays: a push names its blobs before its manifest, and its children before its index.
//! Never: removes bytes; those go once no repository names them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::files::{list, remove};
use super::{Disk, MetaError};
use crate::oci::{Digest, Manifest};
use crate::server::name::{RepoName, Tag};

/// What is swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepOptions {
    /// Also manifests that no tag reaches. By default only blobs that no manifest names.
    pub untagged: bool,
    /// What was used more recently stays.
    pub grace: Duration,
    /// Only counts.
    pub dry_run: bool,
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Manifests.
    pub manifests: u64,
    /// Blobs of a repository.
    pub links: u64,
}

/// Reads a manifest's bytes by digest and media type.
pub type ReadManifest<'a> = dyn Fn(&Digest, &str) -> Result<Manifest, MetaError> + 'a;

/// A repository's manifests and what each points at.
type Graph = BTreeMap<Digest, Node>;

struct Node {
    points_at: Vec<Digest>,
    subject: Option<Digest>,
}

impl Disk {
    /// Notes from now on which digests get a name.
    pub fn watch(&self) {
        *self.named() = Some(HashSet::new());
    }

    /// Stops noting.
    pub fn unwatch(&self) {
        *self.named() = None;
    }

    /// Returns whether a digest got a name since [`Disk::watch`].
    pub fn was_named(&self, digest: &Digest) -> bool {
        self.named().as_ref().is_some_and(|named| named.contains(digest))
    }

    pub(super) fn name(&self, digest: &Digest) {
        if let Some(named) = self.named().as_mut() {
            named.insert(digest.clone());
        }
    }

    fn named(&self) -> MutexGuard<'_, Option<HashSet<Digest>>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what a repository holds without need, and returns what it still names after that.
    ///
    /// # Errors
    /// A manifest that cannot be read: then nothing of the repository was forgotten, since what it needs is not known.
    pub fn sweep(
        &self,
        name: &RepoName,
        options: SweepOptions,
        read: &ReadManifest<'_>,
    ) -> Result<(Swept, HashSet<Digest>), MetaError> {
        let _guard = self.lock(name);
        let mut graph = self.graph(name, read)?;
        let mut swept = Swept::default();
        if options.untagged {
            let kept = self.reached(name, &graph, options.grace)?;
            let lost: Vec<Digest> = graph.keys().filter(|digest| !kept.contains(*digest)).cloned().collect();
            for digest in lost {
                graph.remove(&digest);
                swept.manifests += 1;
                if !options.dry_run {
                    self.forget_manifest(name, &digest)?;
                }
            }
        }
        let needed: HashSet<&Digest> = graph.values().flat_map(|node| &node.points_at).collect();
        let mut named: HashSet<Digest> = graph.keys().cloned().collect();
        for digest in self.digests(name, "_blobs")? {
            let path = self.blob(name, &digest);
            if needed.contains(&digest) || is_recent(&path, options.grace) {
                named.insert(digest);
                continue;
            }
            swept.links += 1;
            if !options.dry_run {
                remove(&path)?;
            }
        }
        Ok((swept, named))
    }

    fn graph(&self, name: &RepoName, read: &ReadManifest<'_>) -> Result<Graph, MetaError> {
        let mut graph = Graph::new();
        for digest in self.digests(name, "_manifests")? {
            let Some(record) = self.peek(name, &digest)? else { continue };
            let manifest = read(&digest, &record.media_type)?;
            let points_at = manifest.references().into_iter().map(|to| to.digest.clone()).collect();
            graph.insert(digest, Node { points_at, subject: record.subject });
        }
        Ok(graph)
    }

    /// Manifests that a tag, or a recent use, reaches: children with their index, referrers with their subject.
    fn reached(&self, name: &RepoName, graph: &Graph, grace: Duration) -> Result<BTreeSet<Digest>, MetaError> {
        let mut referrers: BTreeMap<&Digest, Vec<&Digest>> = BTreeMap::new();
        for (digest, node) in graph {
            if let Some(subject) = &node.subject {
                referrers.entry(subject).or_default().push(digest);
            }
        }
        let recent = graph.keys().filter(|digest| is_recent(&self.manifest_path(name, digest), grace));
        let mut todo: Vec<Digest> = recent.cloned().collect();
        for tag in self.tags(name)?.unwrap_or_default().iter().filter_map(|tag| Tag::parse(tag)) {
            todo.extend(self.resolve(name, &tag)?);
        }
        let mut kept = BTreeSet::new();
        while let Some(digest) = todo.pop() {
            let Some(node) = graph.get(&digest) else { continue };
            if kept.insert(digest.clone()) {
                todo.extend(node.points_at.iter().cloned());
                todo.extend(referrers.get(&digest).into_iter().flatten().map(|digest| (*digest).clone()));
            }
        }
        Ok(kept)
    }

    /// Returns every repository, also those without a manifest.
    ///
    /// # Errors
    /// I/O.
    pub fn all_repositories(&self) -> Result<Vec<RepoName>, MetaError> {
        let known = |own: &str| own == "_manifests" || own == "_blobs";
        let mut found = self.repositories_with(known)?;
        found.dedup();
        Ok(found.iter().filter_map(|name| RepoName::parse(name)).collect())
    }

    fn digests(&self, name: &RepoName, kind: &str) -> Result<Vec<Digest>, MetaError> {
        let dir = self.repo(name).join(kind);
        let mut found = Vec::new();
        for algorithm in list(&dir)?.unwrap_or_default() {
            let encoded = list(&dir.join(&algorithm))?.unwrap_or_default();
            found.extend(encoded.iter().filter_map(|hex| format!("{algorithm}:{hex}").parse().ok()));
        }
        Ok(found)
    }
}

/// A clock that went back makes a file recent: nothing is lost by keeping it.
fn is_recent(path: &Path, grace: Duration) -> bool {
    let Ok(modified) = std::fs::metadata(path).and_then(|meta| meta.modified()) else { return true };
    SystemTime::now().duration_since(modified).map_or(true, |age| age < grace)
}
