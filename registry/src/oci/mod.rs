//! The pure vocabulary of OCI: no async, no I/O, no clock, no environment.

pub mod config;
pub mod descriptor;
pub mod digest;
pub mod image_builder;
pub mod index_builder;
pub mod index_editor;
pub mod manifest;
pub mod media_type;
pub mod platform;
pub mod reference;
pub mod validate;

pub use config::{ConfigError, ImageConfig, RunConfig};
pub use descriptor::{Annotations, Descriptor};
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use image_builder::{ImageBuildProblem, ImageBuilder};
pub use index_builder::{IndexBuilder, IndexProblem};
pub use index_editor::{IndexEditError, IndexEditor};
pub use manifest::{ImageIndex, ImageManifest, Manifest, ManifestError, RawManifest};
pub use media_type::Format;
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
pub use validate::{ImageProblem, Mismatch, validate_image};

use serde::{Deserialize, Deserializer};

/// Go writes an empty list or map as `null` where its author forgot `omitempty`; both mean the same.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
