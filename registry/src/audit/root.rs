//! Reading what a tag leads to.
//!
//! Owns: HEAD where the tag is known from before, GET where it is not; what a registry says about the bytes held against
//! them. Never: believes that a tag still leads where it did.

use super::collect::{Collector, in_full};
use super::scale::Kind;
use crate::client::Registry;
use crate::oci::{Digest, RawManifest, Reference};

/// What a tag or digest leads to.
pub(super) enum Root {
    /// A manifest or index; it may be of no use.
    Read(RawManifest),
    /// Other bytes than the digest that was asked for says, twice.
    Altered { want: Digest, got: Digest, size: u64 },
    /// The registry says that it is not there.
    Gone,
    /// Nobody knows, and why.
    Unchecked(String),
}

impl Collector {
    /// Reads what a reference leads to now.
    pub(super) async fn root(&self, registry: &Registry, reference: &Reference) -> Root {
        match self.as_before(registry, reference).await {
            Ok(Some(root)) => Root::Read(root),
            Ok(None) => self.fresh_root(registry, reference).await,
            Err(reason) => Root::Unchecked(reason),
        }
    }

    /// Returns what the reference led to before, if the registry says that it still does: one HEAD.
    async fn as_before(&self, registry: &Registry, reference: &Reference) -> Result<Option<RawManifest>, String> {
        let pinned = reference.digest().cloned();
        let before = pinned.or_else(|| reference.tag().and_then(|tag| self.seen.tag(tag)));
        let Some(before) = before else { return Ok(None) };
        let Some(known) = self.objects.get(&before).await else { return Ok(None) };
        self.counts.asked();
        let head = match registry.head_manifest(reference).await {
            Ok(Some(head)) => head,
            // GET decides: some registries know no HEAD, or answer it differently.
            Ok(None) => return Ok(None),
            Err(error) if error.is_retryable() => return Err(in_full(&error)),
            Err(_) => return Ok(None),
        };
        let Some(now) = head.digest else { return Ok(None) };
        let (media_type, bytes) = match now == before {
            true => known,
            false => match self.objects.get(&now).await {
                Some(other) => other,
                None => return Ok(None),
            },
        };
        if head.media_type.as_ref().is_some_and(|told| *told != media_type) {
            return Ok(None);
        }
        self.counts.cached();
        self.leads(reference, &now);
        Ok(Some(RawManifest::new(media_type, bytes)))
    }

    async fn fresh_root(&self, registry: &Registry, reference: &Reference) -> Root {
        let mut before = None;
        loop {
            self.counts.fetched();
            let (root, claim) = match registry.get_manifest_and_claim(reference, "").await {
                Ok(read) => read,
                Err(error) if error.is_unknown() => return Root::Gone,
                Err(error) => return Root::Unchecked(in_full(&error)),
            };
            let wrong = reference.digest().into_iter().chain(&claim).find(|want| !is(&root, want));
            let Some(want) = wrong else {
                let digest = reference.digest().or(claim.as_ref()).unwrap_or(root.digest()).clone();
                self.objects.put(&digest, root.media_type(), root.bytes()).await;
                self.leads(reference, &digest);
                return Root::Read(root);
            };
            let got = (want.clone(), root.digest().clone(), root.bytes().len() as u64);
            match before.replace(got.clone()) {
                // A proxy may have cut the answer short, or the tag have moved between two places that answer for it.
                None => {}
                Some(same) if same == got && reference.digest() == Some(want) => {
                    return Root::Altered { want: got.0, got: got.1, size: got.2 };
                }
                Some(_) => {
                    let size = root.bytes().len();
                    return Root::Unchecked(format!("the registry calls {size} bytes {want}, which they are not"));
                }
            }
        }
    }

    fn leads(&self, reference: &Reference, digest: &Digest) {
        self.seen.saw(Kind::Manifest, digest);
        if let (None, Some(tag)) = (reference.digest(), reference.tag()) {
            self.seen.leads(tag, digest);
        }
    }
}

fn is(root: &RawManifest, want: &Digest) -> bool {
    if root.digest() == want {
        return true;
    }
    let Ok(mut hasher) = want.hasher() else { return false };
    hasher.update(root.bytes());
    hasher.finish() == *want
}
