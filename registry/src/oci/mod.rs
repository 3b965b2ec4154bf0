//! The pure vocabulary of OCI: no async, no I/O, no clock, no environment.

pub mod descriptor;
pub mod digest;
pub mod manifest;
pub mod media_type;
pub mod platform;
pub mod reference;

pub use descriptor::{Annotations, Descriptor};
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use manifest::{ImageIndex, ImageManifest, Manifest, ManifestError, RawManifest};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
