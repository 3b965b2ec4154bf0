//! What `--format docker` cannot hold, said before anything is built. Pure.
//!
//! Docker's schema 2 manifests and manifest lists have neither annotations nor artifacts, and no media types for zstd
//! and eStargz layers. BuildKit would switch to OCI media types by itself.

use polyarch_builder::request::{AttestationKind, BuildRequest, CompressionKind, Format};

use super::SettingsError;
use super::annotation::Annotations;

/// Refuses what the format of the request cannot hold. Annotations of `index-descriptor:` are written into a layout's
/// `index.json`, which is OCI's in any case.
///
/// # Errors
/// Every such option.
pub fn check(request: &BuildRequest, annotations: &Annotations) -> Result<(), SettingsError> {
    if request.format == Format::Oci {
        return Ok(());
    }
    let mut options: Vec<String> = annotations.index.keys().map(|key| format!("--annotation index:{key}")).collect();
    let of = |level: &str, key: &str| format!("--annotation {level}:{key}");
    options.extend(annotations.manifest.iter().map(|annotation| of("manifest", &annotation.key)));
    options.extend(annotations.manifest_descriptor.iter().map(|annotation| of("manifest-descriptor", &annotation.key)));
    options.extend(request.attestations.keys().map(|kind| match kind {
        AttestationKind::Provenance => "--provenance".to_owned(),
        AttestationKind::Sbom => "--sbom".to_owned(),
    }));
    match request.compression.kind {
        Some(CompressionKind::Zstd) => options.push("--compression zstd".to_owned()),
        Some(CompressionKind::Estargz) => options.push("--compression estargz".to_owned()),
        Some(CompressionKind::Gzip | CompressionKind::Uncompressed) | None => {}
    }
    options.dedup();
    match options.is_empty() {
        true => Ok(()),
        false => Err(SettingsError::Conflict {
            what: format!("the docker format cannot hold {}", options.join(", ")),
            hint: Some("leave out the format, or these"),
        }),
    }
}
