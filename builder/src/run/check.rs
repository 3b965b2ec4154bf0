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
use super::outcome::PlatformError;
use crate::image::{Attestation, BuiltImage};
use crate::steps::Steps;

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
    let mut problems = layers(place, &image.layers, &diff_ids).await?;
    problems.extend(attested(place.store, &image.attestations).await?);
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

/// Looks up what the attestation manifests name: they are published as the images are.
async fn attested(store: &LayoutStore, attestations: &[Attestation]) -> Result<Vec<String>, PlatformError> {
    let mut problems = Vec::new();
    for Attestation { manifest, .. } in attestations {
        let about = |problem: String| format!("attestation {}: {problem}", manifest.digest());
        let view = match manifest.view() {
            Ok(Manifest::Image(view)) => view,
            Ok(Manifest::Index(_)) => {
                problems.push(about("it is an index, expected a manifest".to_owned()));
                continue;
            }
            Err(error) => {
                problems.push(about(error.to_string()));
                continue;
            }
        };
        let config = [("config", &view.config)];
        for (role, blob) in config.into_iter().chain(view.layers.iter().map(|layer| ("layer", layer))) {
            match store.stat(&blob.digest).await? {
                Some(size) if size == blob.size => {}
                Some(size) => {
                    problems.push(about(format!("{role} {} has {size} bytes, expected {}", blob.digest, blob.size)));
                }
                None => problems.push(about(format!("{role} {} was not sent by the daemon", blob.digest))),
            }
        }
    }
    Ok(problems)
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

#[cfg(test)]
mod tests {
    use polyarch_registry::oci::media_type;
    use serde_json::json;

    use super::*;

    async fn store() -> (tempfile::TempDir, Arc<LayoutStore>) {
        let dir = tempfile::tempdir().unwrap();
        let store = LayoutStore::open(dir.path()).await.unwrap();
        (dir, Arc::new(store))
    }

    fn attestation(image: &RawManifest, config: &Descriptor, layer: &Descriptor) -> Attestation {
        let body = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
        let manifest = RawManifest::new(media_type::OCI_MANIFEST, body.to_string());
        let mut descriptor = manifest.descriptor();
        descriptor.annotations.insert(REFERENCE_DIGEST.to_owned(), image.digest().to_string());
        Attestation { descriptor, manifest }
    }

    fn blob(media_type: &str, content: &str) -> Descriptor {
        Descriptor::new(media_type, Digest::sha256(content), content.len() as u64)
    }

    #[tokio::test]
    async fn a_missing_blob_of_an_attestation_is_named_with_its_platform() {
        let (_dir, store) = store().await;
        let arrivals = Arc::new(Arrivals::new(Arc::clone(&store), Arc::new(|_, _| {})));
        let platform: Platform = "linux/arm64".parse().unwrap();
        let text = r#"{"os":"linux","architecture":"arm64","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let config = blob(media_type::OCI_CONFIG, text);
        let body = json!({"schemaVersion": 2, "config": config, "layers": []});
        let image = RawManifest::new(media_type::OCI_MANIFEST, body.to_string());
        let (own, statement) = (blob(media_type::OCI_CONFIG, "{}"), blob("application/vnd.in-toto+json", "statement"));
        let place = Place { store: &store, arrivals: &arrivals, config_bytes: 1 << 20 };
        let check = async |about: Attestation| {
            let found = Found { manifest: image.clone(), attestations: vec![about], steps: Steps::default() };
            super::image(&place, &platform, found).await.map(drop).map_err(|error| error.to_string())
        };
        store.put_bytes(text).await.unwrap();
        store.put_bytes("{}").await.unwrap();
        let complete = attestation(&image, &own, &statement);
        let digest = complete.manifest.digest().clone();
        let missing = format!(
            "result for linux/arm64 failed verification: attestation {digest}: layer {} was not sent by the daemon",
            statement.digest
        );
        assert_eq!(check(complete.clone()).await, Err(missing));
        store.put_bytes("statement").await.unwrap();
        assert_eq!(check(complete).await, Ok(()));

        let (absent, longer) = (blob(media_type::OCI_CONFIG, "gone"), Descriptor { size: 10, ..statement });
        let error = check(attestation(&image, &absent, &longer)).await.unwrap_err();
        assert!(error.contains(&format!("config {} was not sent by the daemon", absent.digest)), "{error}");
        assert!(error.contains(&format!("layer {} has 9 bytes, expected 10", longer.digest)), "{error}");
    }
}
