//! A repository as a source for verification.
//!
//! Owns: [`RegistrySource`]. Never: verifies; what is wrong is for the verifier to find and to name.

use futures::future::{BoxFuture, FutureExt as _};

use crate::client::{ClientError, ErrorKind, Registry};
use crate::oci::{Descriptor, Digest, RawManifest, Reference};
use crate::store::BlobReader;
use crate::verify::{ContentSource, SourceError};

/// Reads manifests and blobs of one repository.
#[derive(Debug, Clone)]
pub struct RegistrySource {
    /// The client.
    pub registry: Registry,
    /// Any reference to the repository.
    pub repository: Reference,
}

impl ContentSource for RegistrySource {
    fn manifest<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<RawManifest, SourceError>> {
        let digest = &descriptor.digest;
        async move {
            let at = self.repository.with_digest(digest.clone());
            let got = self.registry.get_manifest_as_is(&at, &descriptor.media_type).await;
            got.map_err(|error| self.failed(digest, error))
        }
        .boxed()
    }

    fn has_manifest<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<bool, SourceError>> {
        let digest = &descriptor.digest;
        async move {
            match self.registry.head_manifest(&self.repository.with_digest(digest.clone())).await {
                Ok(head) => Ok(head.is_some()),
                Err(error) if matches!(error.kind(), ErrorKind::Rejected | ErrorKind::Protocol) => Ok(false),
                Err(error) => Err(self.failed(digest, error)),
            }
        }
        .boxed()
    }

    fn stat<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<Option<u64>, SourceError>> {
        async move {
            let size = self.registry.blob_exists(&self.repository, descriptor).await;
            size.map_err(|error| self.failed(&descriptor.digest, error))
        }
        .boxed()
    }

    fn blob<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, SourceError>> {
        async move {
            let download = self.registry.get_blob_as_is(&self.repository, descriptor).await;
            let download = download.map_err(|error| self.failed(&descriptor.digest, error))?;
            Ok(Box::new(Box::pin(download.into_reader())) as BlobReader)
        }
        .boxed()
    }
}

impl RegistrySource {
    fn failed(&self, digest: &Digest, error: ClientError) -> SourceError {
        match error.kind() {
            _ if error.is_unknown() => SourceError::Missing(digest.clone()),
            ErrorKind::TooLarge => {
                let limit = self.registry.config().limits.manifest_bytes as u64;
                SourceError::TooLarge { digest: digest.clone(), limit }
            }
            _ => SourceError::unreadable(digest, error),
        }
    }
}
