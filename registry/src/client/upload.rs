//! Sending a blob (distribution-spec, "Pushing blobs").
//!
//! Owns: mounting, the upload session, the monolithic PUT with a known length, which every registry
//! takes. Where one does not, [`super::chunked`] sends pieces. A failed upload starts a new session.
//! Never: reads a source that cannot be opened again, or builds an upload URL by itself.

use http::{HeaderValue, Method, StatusCode, header};
use url::Url;

use super::Registry;
use super::auth::{Access, Scope};
use super::call::{Answered, Call, missing};
use super::endpoint::{authority, refused, resolve, with_query};
use super::error::{ClientError, ErrorKind, Fault};
use super::payload::{BlobSource, Payload, Progress, Upload};
use super::pool::same_origin;
use crate::oci::{Algorithm, Descriptor, Reference};

/// What became of a mount.
#[derive(Debug)]
pub enum Mounted {
    /// The blob is in the repository now.
    Done,
    /// The registry opened an upload instead; pass it to [`Registry::put_blob`].
    Upload(Session),
}

/// An upload a registry has opened.
#[derive(Debug)]
pub struct Session {
    pub(super) location: Url,
    /// `OCI-Chunk-Min-Length`.
    pub(super) min_chunk: u64,
}

impl Registry {
    /// Makes a blob of another repository of the same registry part of this one.
    ///
    /// # Errors
    /// See [`ClientError::kind`]; a registry that cannot mount opens an upload, which is no error.
    pub async fn mount_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        from: &Reference,
    ) -> Result<Mounted, ClientError> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("mount", &descriptor.digest.to_string())
            .append_pair("from", from.repository())
            .finish();
        let mut call = Call::new(reference, Access::Push, Method::POST, &format!("blobs/uploads/?{query}"));
        call.scopes.insert(Scope { repository: from.repository().to_owned(), access: Access::Pull });
        let answered = self.call(&call).await?;
        match answered.reply.status() {
            StatusCode::CREATED => Ok(Mounted::Done),
            StatusCode::ACCEPTED => self.session(reference, &answered, &Method::POST).map(Mounted::Upload),
            status => Err(unexpected(&answered, reference, &Method::POST, status)),
        }
    }

    /// Sends a blob of known length. The upload goes on in `session` if a mount has opened one.
    ///
    /// # Errors
    /// [`ErrorKind::Local`] if the source fails, [`ErrorKind::Mismatch`] if it has another length, and others.
    pub async fn put_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        progress: Option<Progress>,
    ) -> Result<(), ClientError> {
        let upload = Upload { reference, descriptor, source, progress };
        let size = descriptor.size;
        if wants_chunks(reference.host(), size) {
            return self.retrying(|| self.put_chunked(&upload)).await;
        }
        let whole = self
            .retrying(|| async {
                let session = self.open_session(&upload).await?;
                self.put_whole(&upload, session).await
            })
            .await;
        match whole {
            Err(error) if rejects_size(&error) && size > 0 => {
                tracing::debug!(host = reference.host(), size, "registry refuses the blob in one piece");
                self.retrying(|| self.put_chunked(&upload)).await
            }
            done => done,
        }
    }

    /// Continues the upload that a mount has opened; if that fails, starts over.
    ///
    /// # Errors
    /// As [`Registry::put_blob`].
    pub async fn put_blob_into(
        &self,
        session: Session,
        (reference, descriptor): (&Reference, &Descriptor),
        source: &dyn BlobSource,
        progress: Option<Progress>,
    ) -> Result<(), ClientError> {
        if !wants_chunks(reference.host(), descriptor.size) {
            let upload = Upload { reference, descriptor, source, progress: progress.clone() };
            match self.put_whole(&upload, session).await {
                Err(error) if error.is_retryable() || rejects_size(&error) || error.kind() == ErrorKind::NotFound => {}
                done => return done,
            }
        }
        self.put_blob(reference, descriptor, source, progress).await
    }

    /// Opens an upload. Not repeated here: the caller repeats the whole upload.
    pub(super) async fn open_session(&self, upload: &Upload<'_>) -> Result<Session, ClientError> {
        // Newer text of the specification; others ignore it.
        let query = match upload.descriptor.digest.algorithm() {
            Algorithm::Sha512 => "?digest-algorithm=sha512",
            _ => "",
        };
        let path = format!("blobs/uploads/{query}");
        let answered = self.attempt(&Call::new(upload.reference, Access::Push, Method::POST, &path)).await?;
        self.session(upload.reference, &answered, &Method::POST)
    }

    async fn put_whole(&self, upload: &Upload<'_>, session: Session) -> Result<(), ClientError> {
        let url = with_query(&session.location, "digest", &upload.descriptor.digest.to_string());
        let payload = Payload::Part { upload, offset: 0, length: upload.descriptor.size };
        let octets = HeaderValue::from_static("application/octet-stream");
        let call = Call::new(upload.reference, Access::Push, Method::PUT, "")
            .at(url)
            .header(header::CONTENT_TYPE, octets)
            .payload(payload);
        let answered = self.attempt(&call).await?;
        self.finished(upload, &answered)
    }

    /// The blob is stored only with 201, and only under the digest that was asked for.
    pub(super) fn finished(&self, upload: &Upload<'_>, answered: &Answered) -> Result<(), ClientError> {
        let status = answered.reply.status();
        if !matches!(status, StatusCode::CREATED | StatusCode::OK | StatusCode::NO_CONTENT) {
            return Err(unexpected(answered, upload.reference, &Method::PUT, status));
        }
        let claimed = answered.reply.header("docker-content-digest").and_then(|text| text.parse().ok());
        let want = &upload.descriptor.digest;
        match claimed {
            Some(got) if got != *want => {
                let fault = Fault::Digest { want: want.clone(), got };
                Err(answered.fault(upload.reference, &Method::PUT, fault))
            }
            _ => Ok(()),
        }
    }

    /// Reads where the upload goes on.
    pub(super) fn session(
        &self,
        reference: &Reference,
        answered: &Answered,
        method: &Method,
    ) -> Result<Session, ClientError> {
        let location = answered.reply.header(header::LOCATION).ok_or_else(|| missing("upload"));
        let checked = location.and_then(|text| {
            let url = resolve(&answered.url, text)?;
            let listed = || {
                let settings = self.inner.config.host(reference.host());
                settings.is_some_and(|settings| settings.upload_hosts.contains(&authority(&url)))
            };
            if same_origin(&answered.base, &url) || listed() {
                return Ok(url);
            }
            Err(refused(&url, "it is an upload location on another host"))
        });
        let location = checked.map_err(|fault| answered.fault(reference, method, fault))?;
        let min_chunk = answered.reply.header("oci-chunk-min-length").and_then(|text| text.trim().parse().ok());
        Ok(Session { location, min_chunk: min_chunk.unwrap_or(0) })
    }
}

fn unexpected(answered: &Answered, reference: &Reference, method: &Method, status: StatusCode) -> ClientError {
    answered.fault(reference, method, Fault::Protocol(format!("an upload was answered with {status}")))
}

/// Registries that limit the body of one PUT: suffix of the host, largest body in bytes.
const PUT_LIMITS: [(&str, u64); 1] = [
    // ACR breaks off a streaming PUT of more than about 20 MB.
    (".azurecr.io", 20_000_000),
];

fn wants_chunks(host: &str, size: u64) -> bool {
    PUT_LIMITS.iter().any(|(suffix, limit)| host.ends_with(suffix) && size > *limit)
}

/// The registry, or a proxy before it, does not take the blob in one PUT.
fn rejects_size(error: &ClientError) -> bool {
    matches!(
        error.status(),
        Some(StatusCode::PAYLOAD_TOO_LARGE | StatusCode::LENGTH_REQUIRED | StatusCode::METHOD_NOT_ALLOWED)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_registries_want_chunks() {
        assert!(wants_chunks("me.azurecr.io", 20_000_001));
        assert!(!wants_chunks("me.azurecr.io", 1000));
        assert!(!wants_chunks("ghcr.io", u64::MAX));
    }
}
