//! Sending a blob (distribution-spec, "Pushing blobs").
//!
//! Owns: mounting, upload sessions, what one attempt sends: the monolithic PUT with a known length that every registry
//! takes, or pieces. When to try again, and from where, is [`super::resume`]'s.
//! Never: reads a source that cannot be opened again, or builds an upload URL by itself.

use http::{HeaderValue, Method, StatusCode, header};
use url::Url;

use super::Registry;
use super::auth::{Access, Scope};
use super::call::{Answered, Call, missing};
use super::endpoint::{authority, refused, resolve, with_query};
use super::error::{ClientError, Fault};
use super::payload::{BlobSource, Payload, Progress, Upload};
use super::pool::same_origin;
use crate::oci::{Algorithm, Descriptor, Reference};

/// What became of a mount.
#[derive(Debug)]
pub enum Mounted {
    /// The blob is in the repository now.
    Done,
    /// The registry opened an upload instead; pass it to [`Registry::put_blob_into`].
    Upload(Session),
}

/// An upload a registry has opened.
#[derive(Debug, Clone)]
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

    /// Sends a blob of known length.
    ///
    /// # Errors
    /// [`super::ErrorKind::Local`] if the source fails, [`super::ErrorKind::Mismatch`] if it has another length, and others.
    pub async fn put_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        progress: Option<Progress>,
    ) -> Result<(), ClientError> {
        self.send_blob(&Upload { reference, descriptor, source, progress }, None).await
    }

    /// Continues the upload that a mount has opened; if the registry has forgotten it, starts over.
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
        self.send_blob(&Upload { reference, descriptor, source, progress }, Some(session)).await
    }

    /// Opens an upload, once.
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

    /// Sends the whole blob and closes the upload, once.
    pub(super) async fn put_whole(&self, upload: &Upload<'_>, session: &Session) -> Result<(), ClientError> {
        let payload = Payload::Part { upload, offset: 0, length: upload.descriptor.size };
        let octets = HeaderValue::from_static("application/octet-stream");
        let call = closing(upload, session).header(header::CONTENT_TYPE, octets).payload(payload);
        self.finished(upload, &self.attempt(&call).await?)
    }

    /// Closes an upload that has all bytes, once.
    pub(super) async fn close(&self, upload: &Upload<'_>, session: &Session) -> Result<(), ClientError> {
        self.finished(upload, &self.attempt(&closing(upload, session)).await?)
    }

    /// Appends a piece, once, and returns where the next one goes.
    pub(super) async fn patch(
        &self,
        upload: &Upload<'_>,
        session: &Session,
        (offset, length): (u64, u64),
    ) -> Result<Session, ClientError> {
        // Inclusive, and without the `bytes` unit of RFC 9110.
        let range = format!("{offset}-{}", offset + length - 1);
        let mut call = Call::new(upload.reference, Access::Push, Method::PATCH, "")
            .at(session.location.clone())
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .payload(Payload::Part { upload, offset, length });
        if let Ok(range) = HeaderValue::from_str(&range) {
            call = call.header(header::CONTENT_RANGE, range);
        }
        let answered = self.attempt(&call).await?;
        let next = self.session(upload.reference, &answered, &Method::PATCH)?;
        Ok(Session { min_chunk: session.min_chunk, ..next })
    }

    /// The blob is stored only with 201, and only under the digest that was asked for.
    fn finished(&self, upload: &Upload<'_>, answered: &Answered) -> Result<(), ClientError> {
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

fn closing<'a>(upload: &Upload<'a>, session: &Session) -> Call<'a> {
    let url = with_query(&session.location, "digest", &upload.descriptor.digest.to_string());
    Call::new(upload.reference, Access::Push, Method::PUT, "").at(url)
}

fn unexpected(answered: &Answered, reference: &Reference, method: &Method, status: StatusCode) -> ClientError {
    answered.fault(reference, method, Fault::Protocol(format!("an upload was answered with {status}")))
}
