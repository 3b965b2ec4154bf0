//! What every result passes before it counts as built.
//!
//! Owns: config against the platform asked for, layers against the config's diff_ids. Digests and sizes were already
//! recomputed when the blobs entered the store. Never: stops at the first problem.

use std::sync::Arc;

use polyarch_registry::oci::config::ImageConfig;
use polyarch_registry::oci::index_builder::REFERENCE_DIGEST;
use polyarch_registry::oci::media_type::layer_compression;
use polyarch_registry::oci::validate::validate_image;
use polyarch_registry::oci::{Descriptor, Digest, ImageManifest, Manifest, Platform, RawManifest};
use polyarch_registry::store::{BlobStore, BlobStoreExt, LayoutStore};
use polyarch_registry::verify::{StoreSource, VerifyOptions, check_layer};
use tokio::task::JoinSet;

use super::arrivals::Arrivals;
use super::outcome::{Attestation, BuiltImage, PlatformError};
use crate::buildkit::Steps;

/// An unchecked result in the store.
pub struct Found {
    /// The image manifest.
    pub manifest: RawManifest,
    /// Its attestation manifests.
    pub attestations: Vec<Attestation>,
    /// What the daemon did.
    pub steps: Steps,
}

/// Where results are looked at.
pub struct Place<'a> {
    /// The store they are in.
    pub store: &'a Arc<LayoutStore>,
    /// What is known of its layers.
    pub arrivals: &'a Arc<Arrivals>,
    /// Largest config, in bytes.
    pub config_bytes: u64,
}

/// Checks one platform's result.
///
/// # Errors
/// [`PlatformError::Verification`] with every problem, or [`PlatformError::Store`].
pub async fn image(place: &Place<'_>, platform: &Platform, found: Found) -> Result<BuiltImage, PlatformError> {
    let (image, diff_ids) = described(place.store, platform, found, place.config_bytes).await?;
    let problems = layers(place, &image.layers, &diff_ids).await?;
    match problems.is_empty() {
        true => Ok(image),
        false => Err(PlatformError::Verification { platform: platform.clone(), problems }),
    }
}

/// Checks what can be checked of one platform's result when its layers are elsewhere. `limit` bounds the config in
/// bytes.
///
/// # Errors
/// As [`image`].
pub async fn manifests(
    store: &LayoutStore,
    platform: &Platform,
    found: Found,
    limit: u64,
) -> Result<BuiltImage, PlatformError> {
    described(store, platform, found, limit).await.map(|(image, _)| image)
}

/// The image as manifest and config describe it, and its diff_ids, one per layer.
async fn described(
    store: &LayoutStore,
    platform: &Platform,
    found: Found,
    limit: u64,
) -> Result<(BuiltImage, Vec<Digest>), PlatformError> {
    let failed = |problems| PlatformError::Verification { platform: platform.clone(), problems };
    let view = match found.manifest.view() {
        Ok(Manifest::Image(view)) => view,
        Ok(Manifest::Index(_)) => {
            return Err(failed(vec![format!("{} is an index, expected an image", found.manifest.digest())]));
        }
        Err(error) => return Err(failed(vec![format!("{}: {error}", found.manifest.digest())])),
    };
    let bytes = store.read_bytes(&view.config.digest, limit).await?;
    let config =
        ImageConfig::parse(&bytes).map_err(|error| failed(vec![format!("{}: {error}", view.config.digest)]))?;
    let mut problems: Vec<String> = validate_image(platform, &config, &view).iter().map(ToString::to_string).collect();
    problems.extend(found.attestations.iter().filter_map(|attestation| misattributed(attestation, &found.manifest)));
    if !problems.is_empty() {
        return Err(failed(problems));
    }
    let image = built(platform, found, view, config.platform());
    Ok((image, config.rootfs.diff_ids))
}

fn built(platform: &Platform, found: Found, view: ImageManifest, config_platform: Platform) -> BuiltImage {
    BuiltImage {
        platform: platform.clone(),
        config_platform,
        manifest: found.manifest,
        config: view.config,
        layers: view.layers,
        attestations: found.attestations,
        steps: found.steps,
    }
}

/// An attestation says which manifest it is about (BuildKit `docs/attestations/attestation-storage.md`).
fn misattributed(attestation: &Attestation, image: &RawManifest) -> Option<String> {
    let descriptor = &attestation.descriptor;
    let about = descriptor.annotations.get(REFERENCE_DIGEST).map(String::as_str).unwrap_or_default();
    let want = image.digest().to_string();
    (about != want).then(|| format!("attestation {} is about {about:?}, expected {want}", descriptor.digest))
}

/// Compares all layers with their diff_ids, concurrently.
async fn layers(place: &Place<'_>, layers: &[Descriptor], diff_ids: &[Digest]) -> Result<Vec<String>, PlatformError> {
    let mut tasks = JoinSet::new();
    for (layer, want) in layers.iter().cloned().zip(diff_ids.iter().cloned()) {
        let (store, arrivals) = (Arc::clone(place.store), Arc::clone(place.arrivals));
        tasks.spawn(async move { one_layer(&store, &arrivals, &layer, &want).await });
    }
    let mut problems = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok(found) => problems.extend(found),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(PlatformError::Cancelled),
        }
    }
    problems.sort();
    Ok(problems)
}

/// What a layer blob inflates to never changes, so it is found out once per store, and while it arrives. Only what is
/// wrong is looked at in full here, to tell it.
async fn one_layer(store: &LayoutStore, arrivals: &Arrivals, layer: &Descriptor, want: &Digest) -> Vec<String> {
    if let Some(found) = arrivals.layer(&layer.digest, layer.size).await
        && found.diff_id == *want
        && layer_compression(&layer.media_type) == Some(found.compression)
        && matches!(store.stat(&layer.digest).await, Ok(Some(size)) if size == layer.size)
    {
        return Vec::new();
    }
    let findings = check_layer(&StoreSource(store.clone()), layer, want, VerifyOptions::UNPACKED_LIMIT).await;
    findings.iter().map(|finding| format!("layer {}: {finding}", layer.digest)).collect()
}
