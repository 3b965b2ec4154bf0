//! Building on a Docker daemon with the classic image store.
//!
//! Owns: the `moby` export under a temporary tag, taking the image out, the manifest around its untouched config.
//! The tag is removed on every way out. Never: prunes the user's images.

use std::sync::Arc;

use futures::future::BoxFuture;
use polyarch_registry::oci::media_type::LayerCompression;
use polyarch_registry::oci::{ImageBuilder, Platform, RawManifest};
use polyarch_registry::store::BlobStoreExt;
use polyarch_registry::store::layout::LayerForm;
use tokio_util::sync::CancellationToken;

use super::check;
use super::content::NodeSession;
use super::dispatch::Executor;
use super::outcome::{Built, PlatformError};
use crate::buildkit::Export;
use crate::buildkit::export::ImageOptions;
use crate::classic::{ClassicImage, SaveSpec, TemporaryTag, save};
use crate::event_sink::EventSink;
use crate::image::BuiltImage;
use crate::node::docker::DockerApi;
use crate::request::{BuildRequest, Compression, CompressionKind};

/// Builds through the daemon's image store.
pub struct ClassicExecutor {
    /// The node's BuildKit and session.
    pub node: Arc<NodeSession>,
    /// The daemon's own API.
    pub docker: DockerApi,
    /// Threads that compress.
    pub threads: usize,
}

impl Executor for ClassicExecutor {
    fn build<'a>(
        &'a self,
        platform: &'a Platform,
        events: &'a EventSink,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Built, PlatformError>> {
        Box::pin(async move {
            let tag = TemporaryTag::new(&self.docker);
            let built = self.through(&tag, platform, events, cancel).await;
            // An image that was built is not lost over its temporary name; the next run sweeps what is left.
            if let Err(error) = tag.remove().await {
                tracing::warn!(%error, "temporary tag left behind");
            }
            built.map(Built::from)
        })
    }
}

impl ClassicExecutor {
    async fn through(
        &self,
        tag: &TemporaryTag,
        platform: &Platform,
        events: &EventSink,
        cancel: &CancellationToken,
    ) -> Result<BuiltImage, PlatformError> {
        let export = Export::Moby { tag: tag.reference().to_owned() };
        let outcome = self.node.solve(platform, export, events, cancel).await?;
        let taking = async {
            // With this exporter `containerimage.digest` is the config's.
            let image = self.take(tag.reference(), platform, outcome.digest.as_ref(), events).await?;
            let manifest = manifest(&self.node.request, platform, &image)?;
            self.node.store.put_bytes(manifest.bytes().clone()).await?;
            let found = check::Found { manifest, attestations: Vec::new(), steps: outcome.steps };
            check::image(&self.node.place(), platform, found).await
        };
        tokio::select! {
            built = taking => built,
            () = cancel.cancelled() => Err(PlatformError::Cancelled),
        }
    }

    async fn take(
        &self,
        reference: &str,
        platform: &Platform,
        config: Option<&polyarch_registry::oci::Digest>,
        events: &EventSink,
    ) -> Result<ClassicImage, PlatformError> {
        let store = &*self.node.store;
        let cache = store.diff_ids()?;
        let spec = SaveSpec {
            store,
            cache: Some(&cache),
            form: form(&self.node.request.compression),
            threads: self.threads,
            document_limit: self.node.manifest_bytes,
            config,
            events,
        };
        let saved = save(&self.docker, reference, &spec).await;
        saved.map_err(|source| PlatformError::Classic { platform: platform.clone(), source: Box::new(source) })
    }
}

/// The daemon has no compression of its own; eStargz is refused before the build.
fn form(wanted: &Compression) -> LayerForm {
    let compression = match wanted.kind {
        None | Some(CompressionKind::Gzip | CompressionKind::Estargz) => LayerCompression::Gzip,
        Some(CompressionKind::Zstd) => LayerCompression::Zstd,
        Some(CompressionKind::Uncompressed) => LayerCompression::None,
    };
    LayerForm { compression, level: wanted.level }
}

/// The daemon makes no manifest: this one is polyarch's own, around the config's untouched bytes.
fn manifest(request: &BuildRequest, platform: &Platform, image: &ClassicImage) -> Result<RawManifest, PlatformError> {
    let builder = ImageBuilder::new(request.format, image.config.digest.clone(), image.config.size)
        .annotations(ImageOptions::of(request, platform).annotations);
    let builder = image.layers.iter().cloned().fold(builder, ImageBuilder::layer);
    builder.build().map_err(|problems| PlatformError::Verification {
        platform: platform.clone(),
        problems: problems.iter().map(ToString::to_string).collect(),
    })
}
