//! What refers to images, wherever they are: for `inspect`.
//!
//! Owns: asking for several images at once, and that a list which cannot be had is a warning, not the end.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use polyarch_registry::client::Registry;
use polyarch_registry::oci::{Digest, Manifest, RawManifest, Reference};
use polyarch_registry::store::LayoutStore;
use polyarch_registry::verify::StoreSource;
use serde::Serialize;

use super::source;

/// Lists asked for at once.
const PARALLEL: usize = 4;

/// Where an image is, and what is about it.
#[derive(Debug, Clone)]
pub enum Home {
    /// A repository.
    Registry(Box<(Registry, Reference)>),
    /// A layout, the store included.
    Layout(LayoutStore),
}

/// Something about an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReferrerView {
    /// Digest of its manifest.
    pub digest: String,
    /// The image it is about.
    pub subject: String,
    /// What it is; untrusted.
    pub artifact_type: Option<String>,
    /// Its manifest, in bytes.
    pub size: u64,
}

impl Home {
    /// Returns what refers to each of these, each entry read and found to be about its subject; and warnings.
    pub async fn referrers(&self, subjects: &[Digest]) -> (Vec<ReferrerView>, Vec<String>) {
        match self {
            Self::Registry(at) => in_registry(&at.0, &at.1, subjects).await,
            Self::Layout(store) => (in_layout(store, subjects).await, Vec::new()),
        }
    }
}

async fn in_registry(registry: &Registry, at: &Reference, subjects: &[Digest]) -> (Vec<ReferrerView>, Vec<String>) {
    let (mut views, mut warnings) = (Vec::new(), BTreeSet::new());
    let asking = subjects
        .iter()
        .map(|subject| async move { (subject, Box::pin(registry.verified_referrers(at, subject, None)).await) });
    let mut asking = futures::stream::iter(asking).buffered(PARALLEL);
    while let Some((subject, answer)) = asking.next().await {
        match answer {
            Ok((found, _)) => {
                views.extend(found.entries.iter().map(|entry| ReferrerView {
                    digest: entry.digest.to_string(),
                    subject: subject.to_string(),
                    artifact_type: entry.artifact_type.clone(),
                    size: entry.size,
                }));
                for digest in &found.dropped {
                    warnings.insert(format!("{digest} is listed, but is not about {subject}"));
                }
                if found.truncated {
                    warnings.insert(format!("there are more referrers of {subject} than are listed"));
                }
            }
            Err(error) => drop(warnings.insert(format!("what refers to the image cannot be listed: {error}"))),
        }
    }
    (views, warnings.into_iter().collect())
}

async fn in_layout(store: &LayoutStore, subjects: &[Digest]) -> Vec<ReferrerView> {
    let mut views: Vec<ReferrerView> = Vec::new();
    let content = StoreSource(store.clone());
    for root in store.roots().await.unwrap_or_default() {
        // What is not about these, or damaged, is nobody's referrer here; `verify` tells of the damage.
        let Ok(manifest) = source::manifest(&content, &root.descriptor).await else { continue };
        views.extend(view(&manifest).filter(|view| subjects.iter().any(|one| one.to_string() == view.subject)));
    }
    views.sort_by(|a, b| a.digest.cmp(&b.digest));
    views.dedup();
    views
}

fn view(manifest: &RawManifest) -> Option<ReferrerView> {
    let parsed = manifest.view().ok()?;
    let subject = parsed.subject()?.digest.to_string();
    let artifact_type = match &parsed {
        Manifest::Image(image) => image.artifact_type.clone().or_else(|| Some(image.config.media_type.clone())),
        Manifest::Index(index) => index.artifact_type.clone(),
    };
    let (digest, size) = (manifest.digest().to_string(), manifest.bytes().len() as u64);
    Some(ReferrerView { digest, subject, artifact_type, size })
}
