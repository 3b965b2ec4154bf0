//! What the image is made of besides its layers' content: attestations, compression, media types. Pure.

use polyarch_builder::request::{AttestationKind, Compression, CompressionKind, Format};

use super::attest::{self, Attestations};
use super::export::ImageAttrs;
use super::{SettingsError, ValueError};
use crate::args::build::ResultArgs;
use crate::args::values;

/// Resolves `--attest`, `--provenance` and `--sbom`.
///
/// # Errors
/// A value that cannot be read.
pub fn attestations(args: &ResultArgs) -> Result<Attestations, SettingsError> {
    let mut all = Attestations::new();
    for value in &args.attest {
        attest::attest(value, &mut all).map_err(|error| error.of("--attest"))?;
    }
    if let Some(value) = &args.provenance {
        attest::short(AttestationKind::Provenance, value, &mut all).map_err(|error| error.of("--provenance"))?;
    }
    if let Some(value) = &args.sbom {
        attest::short(AttestationKind::Sbom, value, &mut all).map_err(|error| error.of("--sbom"))?;
    }
    Ok(all)
}

/// Resolves the compression options, and those of outputs.
///
/// # Errors
/// A level outside the range of its kind.
pub fn compression(args: &ResultArgs, image: &ImageAttrs) -> Result<Compression, SettingsError> {
    let kind = args.compression.map(|kind| match kind {
        values::Compression::Gzip => CompressionKind::Gzip,
        values::Compression::Zstd => CompressionKind::Zstd,
        values::Compression::Uncompressed => CompressionKind::Uncompressed,
        values::Compression::Estargz => CompressionKind::Estargz,
    });
    let kind = kind.or(image.compression);
    let level = args.compression_level.or(image.level);
    let force = args.force_compression || image.force.unwrap_or(false);
    // BuildKit `util/compression`: gzip levels as in zlib, zstd levels as in the reference implementation.
    let range = match kind {
        Some(CompressionKind::Zstd) => 0..=22,
        Some(CompressionKind::Uncompressed) => 0..=0,
        _ => 0..=9,
    };
    match level {
        Some(level) if !range.contains(&level) => {
            let reason = format!("the level is not within {} to {}", range.start(), range.end());
            Err(ValueError::new(&level.to_string(), reason).of("--compression-level"))
        }
        _ => Ok(Compression { kind, level, force }),
    }
}

/// Resolves `--format`, or `oci-mediatypes=` of an output.
///
/// # Errors
/// The two contradict each other.
pub fn format(args: &ResultArgs, image: &ImageAttrs) -> Result<Format, SettingsError> {
    let named = args.format.map(|format| match format {
        values::Format::Oci => Format::Oci,
        values::Format::Docker => Format::Docker,
    });
    match (named, image.format) {
        (Some(named), Some(other)) if named != other => {
            Err(SettingsError::conflict("--format and an output's oci-mediatypes= contradict each other"))
        }
        (named, other) => Ok(named.or(other).unwrap_or_default()),
    }
}
