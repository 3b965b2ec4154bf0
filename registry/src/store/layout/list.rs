//! What `store ls` shows: one row per entry of the root index.
//!
//! Never: fails because one entry is odd. An entry that cannot be read says so in its row.

use std::sync::Arc;

use super::disk::{blocking, read_small};
use super::index::{self, Root};
use super::paths::Paths;
use super::walk::Reached;
use super::{LayoutStore, StoreError};
use crate::oci::{Descriptor, ImageConfig, Manifest, Platform, RawManifest};

/// The annotation with the time of creation (image-spec, annotations.md).
const CREATED: &str = "org.opencontainers.image.created";
/// Manifests and configs of real images are far below.
const SMALL: u64 = 4 * 1024 * 1024;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootSummary {
    /// The entry.
    pub root: Root,
    /// Platforms in the order of the index; attestation manifests are left out.
    pub platforms: Vec<Platform>,
    /// Bytes of everything the entry reaches, each blob once. Blobs shared with other entries count here too.
    pub total_size: u64,
    /// When it was created, RFC 3339, as its annotation or first image config says; not verified.
    pub created: Option<String>,
    /// Whether everything it reaches is in the store.
    pub complete: bool,
    /// Why the entry could not be read, if so.
    pub problem: Option<String>,
}

impl LayoutStore {
    /// Returns a row per entry of the root index, in file order.
    ///
    /// # Errors
    /// [`StoreError::Layout`] if `index.json` cannot be read.
    pub async fn summaries(&self) -> Result<Vec<RootSummary>, StoreError> {
        let paths = Arc::clone(&self.paths);
        blocking(move || {
            let roots = index::read(&paths)?.roots(&paths)?;
            Ok(roots.into_iter().map(|root| summarize(&paths, root)).collect())
        })
        .await
    }
}

fn summarize(paths: &Paths, root: Root) -> RootSummary {
    let mut reached = Reached::default();
    let problem = reached.add(paths, &root.descriptor).err().map(|error| error.to_string());
    let images = images(paths, &root.descriptor);
    let created = root.descriptor.annotations.get(CREATED).cloned();
    RootSummary {
        platforms: images.iter().filter_map(|image| image.platform.clone()).collect(),
        total_size: reached.blobs.values().fold(0, |sum, reach| sum.saturating_add(reach.size)),
        created: created.or_else(|| images.into_iter().find_map(|image| image.created)),
        complete: problem.is_none() && reached.blobs.values().all(|reach| reach.present),
        problem,
        root,
    }
}

struct Image {
    platform: Option<Platform>,
    created: Option<String>,
}

fn images(paths: &Paths, root: &Descriptor) -> Vec<Image> {
    match view(paths, root) {
        Some(Manifest::Image(_)) => vec![image(paths, root)],
        Some(Manifest::Index(index)) => {
            let children = index.manifests.iter();
            let is_image = |child: &&Descriptor| !child.platform.as_ref().is_some_and(Platform::is_unknown);
            children.filter(is_image).map(|child| image(paths, child)).collect()
        }
        None => Vec::new(),
    }
}

fn image(paths: &Paths, descriptor: &Descriptor) -> Image {
    let config = match view(paths, descriptor) {
        Some(Manifest::Image(manifest)) => small(paths, &manifest.config),
        _ => None,
    };
    let config = config.and_then(|bytes| ImageConfig::parse(&bytes).ok());
    let created = config.as_ref().and_then(|config| config.created.clone());
    Image { platform: descriptor.platform.clone().or(config.map(|config| config.platform())), created }
}

fn view(paths: &Paths, descriptor: &Descriptor) -> Option<Manifest> {
    RawManifest::new(&descriptor.media_type, small(paths, descriptor)?).view().ok()
}

fn small(paths: &Paths, descriptor: &Descriptor) -> Option<Vec<u8>> {
    read_small(&paths.blob(&descriptor.digest), SMALL).ok()
}
