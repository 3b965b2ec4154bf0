//! Blobs: whether they exist, reading, deleting.
//!
//! Owns: the operations; [`super::download`] and [`super::upload`] do the transfers.
//! Never: buffers a blob.

use http::{Method, header};

use super::Registry;
use super::auth::Access;
use super::call::{Answer, Answered, Call, found};
use super::download::{Check, Download};
use super::error::ClientError;
use crate::oci::{Descriptor, Digest, Reference};

impl Registry {
    /// Returns the size of a blob of the repository, or `None` if it is not there. Where a registry
    /// does not tell the size, it is that of `want`.
    ///
    /// # Errors
    /// See [`ClientError::kind`].
    pub async fn blob_exists(&self, reference: &Reference, want: &Descriptor) -> Result<Option<u64>, ClientError> {
        let mut call = Call::new(reference, Access::Pull, Method::HEAD, &path(&want.digest));
        call.answer = Answer::Blob;
        let answered = found(self.call(&call).await)?;
        Ok(answered.map(|answered| answered.reply.content_length().unwrap_or(want.size)))
    }

    /// Asks for the first byte of a blob, and returns the size of the whole, or `None` if it is not there. Registries may
    /// answer HEAD from a cache that outlives the blob; bytes come from where they are kept.
    ///
    /// # Errors
    /// See [`ClientError::kind`].
    pub(crate) async fn first_byte(
        &self,
        reference: &Reference,
        want: &Descriptor,
    ) -> Result<Option<u64>, ClientError> {
        let mut call = Call::new(reference, Access::Pull, Method::GET, &path(&want.digest));
        call.answer = Answer::Blob;
        call = call.header(header::RANGE, header::HeaderValue::from_static("bytes=0-0"));
        let Some(answered) = found(self.call(&call).await)? else { return Ok(None) };
        // One that knows no ranges starts to send everything, which is left unread.
        let told = match answered.reply.status() {
            http::StatusCode::PARTIAL_CONTENT => {
                answered.reply.header(header::CONTENT_RANGE).and_then(super::download::parse_range).and_then(|it| it.1)
            }
            _ => answered.reply.content_length(),
        };
        Ok(Some(told.unwrap_or(want.size)))
    }

    /// Opens a blob for reading. Size and digest are checked on the way; a broken connection is
    /// continued where it broke.
    ///
    /// # Errors
    /// At once if the blob is absent or of another size; see [`Download::chunk`] for later ones.
    pub async fn get_blob(&self, reference: &Reference, descriptor: &Descriptor) -> Result<Download, ClientError> {
        Download::open(self.clone(), reference.clone(), descriptor.clone(), Check::Verify).await
    }

    /// Opens a blob for a caller that hashes and counts by itself. At most one byte more than the
    /// descriptor's size is handed out.
    pub(crate) async fn get_blob_as_is(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
    ) -> Result<Download, ClientError> {
        Download::open(self.clone(), reference.clone(), descriptor.clone(), Check::Leave).await
    }

    /// Deletes a blob from the repository. Absent is not an error.
    ///
    /// # Errors
    /// [`super::ErrorKind::Rejected`] where the registry has deletion disabled (405), and others.
    pub async fn delete_blob(&self, reference: &Reference, digest: &Digest) -> Result<(), ClientError> {
        let call = Call::new(reference, Access::Delete, Method::DELETE, &path(digest));
        found(self.call(&call).await).map(drop)
    }

    /// Asks for a blob's bytes from `offset` on, once.
    pub(super) async fn read_blob(
        &self,
        reference: &Reference,
        digest: &Digest,
        offset: u64,
    ) -> Result<Answered, ClientError> {
        let mut call = Call::new(reference, Access::Pull, Method::GET, &path(digest));
        call.answer = Answer::Blob;
        if offset > 0
            && let Ok(range) = header::HeaderValue::from_str(&format!("bytes={offset}-"))
        {
            call = call.header(header::RANGE, range);
        }
        self.attempt(&call).await
    }
}

pub(super) fn path(digest: &Digest) -> String {
    format!("blobs/{digest}")
}
