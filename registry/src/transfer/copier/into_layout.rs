//! Images into a layout on disk.
//!
//! Owns: the way of each blob, verified once by the layout's writer, and the names of the entries. What refers to an
//! image becomes an entry without a name, as oras writes it. Never: shows an entry before everything it reaches is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::FutureExt as _;

use super::gather::{By, Tree};
use super::{Copier, CopierError, Origin, Outcome, Reading};
use crate::oci::{Descriptor, RawManifest, Reference};
use crate::store::layout::REF_NAME;
use crate::store::{BlobStoreExt as _, LayoutStore};
use crate::transfer::copy::{copy_blob, keep};
use crate::transfer::event::{TransferEvent, TransferKind};
use crate::transfer::remote::Checked;
use crate::transfer::{bounded, layout_entries};

/// What an image will be called in a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// As image-spec has it, in one annotation; `None` is an entry without a name.
    Plain(Option<String>),
    /// A full reference for Docker and containerd, its tag for others.
    Full(Vec<Reference>),
}

impl Names {
    fn entries(&self, root: &RawManifest) -> Vec<Descriptor> {
        match self {
            Self::Full(references) => layout_entries(&root.descriptor(), references),
            Self::Plain(name) => {
                let mut entry = root.descriptor();
                entry.annotations.extend(name.clone().map(|name| (REF_NAME.to_owned(), name)));
                vec![entry]
            }
        }
    }
}

impl Copier {
    /// Copies one image into a layout; returns it with what went along.
    ///
    /// # Errors
    /// [`CopierError`]; then the layout lists what it listed before, and keeps the blobs it has got.
    pub async fn to_layout(
        &self,
        origin: &Origin,
        root: &RawManifest,
        layout: &LayoutStore,
        names: &Names,
    ) -> Result<(Tree, Outcome), CopierError> {
        let reading = Reading::new(self, origin, Checked::ByReader, Some(Arc::clone(&self.events)));
        // Nobody may collect what is not named yet.
        let _lease = layout.lease().await?;
        let (chosen, left_out) = self.choose(root)?;
        let mut tree = reading.gather(&chosen).await?;
        (tree.source, tree.left_out) = (root.digest().clone(), left_out);
        if let Some(remote) = &reading.remote {
            tree.graphs().for_each(|graph| remote.learn(graph));
        }
        let blobs: BTreeMap<_, _> = tree.graphs().flat_map(|graph| &graph.blobs).collect();
        self.announce(&reading, layout, blobs.values().map(|blob| &blob.descriptor)).await?;
        let from = reading.store();
        let jobs = blobs.values().map(|blob| self.store_blob(&reading, &*from, layout, &blob.descriptor).boxed());
        let counts = bounded(jobs.collect(), self.parallel).await?;
        for node in tree.graphs().flat_map(|graph| &graph.manifests) {
            keep(layout, &node.digest, node.manifest.bytes().clone()).await?;
        }
        let mut entries = tree.root().map(|root| names.entries(root)).unwrap_or_default();
        for extra in &tree.extras {
            let Some(node) = extra.graph.manifests.last() else { continue };
            let name = match &extra.by {
                By::Tag(tag) => Some(tag.clone()),
                By::Subject(_) => None,
            };
            entries.extend(Names::Plain(name).entries(&node.manifest));
        }
        layout.put_roots(entries).await?;
        let mut outcome = Outcome::default();
        for (is_sent, size) in counts {
            match is_sent {
                true => {
                    outcome.blobs.sent += 1;
                    outcome.blobs.sent_bytes += size;
                }
                false => outcome.blobs.present += 1,
            }
        }
        Ok((tree, outcome))
    }

    /// So that whoever draws knows from the beginning how much there is.
    async fn announce(
        &self,
        reading: &Reading<'_>,
        layout: &LayoutStore,
        blobs: impl Iterator<Item = &Descriptor>,
    ) -> Result<(), CopierError> {
        for blob in blobs {
            let (digest, size) = (blob.digest.clone(), blob.size);
            if !layout.has(&digest, size).await? {
                let kind = TransferKind::BlobReceiving { digest, received: 0, size };
                (self.events)(TransferEvent { repository: reading.name(), kind });
            }
        }
        Ok(())
    }

    /// Returns whether the blob had to be written, and its size.
    async fn store_blob(
        &self,
        reading: &Reading<'_>,
        from: &dyn crate::store::BlobStore,
        layout: &LayoutStore,
        blob: &Descriptor,
    ) -> Result<(bool, u64), CopierError> {
        let (digest, size) = (blob.digest.clone(), blob.size);
        let repository = reading.name();
        let tell = |kind| (self.events)(TransferEvent { repository, kind });
        if layout.has(&digest, size).await? {
            tell(TransferKind::BlobPresent { digest, size });
            return Ok((false, size));
        }
        let cloned = match reading.origin {
            Origin::Layout(store) => layout.clone_from(store, &digest, size).await?,
            Origin::Repository(_) => false,
        };
        if !cloned && let Err(error) = copy_blob(from, layout, blob).await {
            let unread = reading.remote.as_ref().and_then(|remote| remote.failure());
            return Err(match unread.filter(|unread| unread.digest == digest) {
                Some(unread) => CopierError::SourceBlob { digest, repository: reading.name(), source: unread.error },
                None => error.into(),
            });
        }
        tell(TransferKind::BlobReceived { digest, size });
        Ok((true, size))
    }
}

impl Reading<'_> {
    fn name(&self) -> String {
        match self.origin {
            Origin::Repository(at) => at.name(),
            Origin::Layout(store) => store.root().display().to_string(),
        }
    }
}
