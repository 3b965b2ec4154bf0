//! Manifests by tag and by digest.
//!
//! Owns: reading them within their budget, checking digest and media type; writing their exact bytes.
//! Never: re-serialises one.

use http::{Method, StatusCode, header};

use super::Registry;
use super::auth::Access;
use super::call::{Answered, Call, found};
use super::error::{ClientError, Fault};
use super::payload::Payload;
use super::reply::Reply;
use crate::oci::{Digest, ManifestError, RawManifest, Reference, media_type};

/// What a registry says about a manifest without sending it. Only a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    /// Media type.
    pub media_type: Option<String>,
    /// `Docker-Content-Digest`.
    pub digest: Option<Digest>,
    /// Size in bytes.
    pub size: Option<u64>,
}

/// A manifest that a registry has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of the bytes that were sent.
    pub digest: Digest,
    /// `OCI-Subject`: the registry keeps the referrers list by itself.
    pub subject: Option<Digest>,
}

impl Registry {
    /// Asks for a manifest's headers; `None` if it does not exist. Costs no pull on Docker Hub.
    ///
    /// # Errors
    /// See [`ClientError::kind`].
    pub async fn head_manifest(&self, reference: &Reference) -> Result<Option<ManifestHead>, ClientError> {
        let Some(answered) = found(self.call(&read(reference, Method::HEAD)).await)? else { return Ok(None) };
        let reply = &answered.reply;
        let digest = claimed_digest(reply).map_err(|fault| answered.fault(reference, &Method::HEAD, fault))?;
        Ok(Some(ManifestHead { media_type: reply.media_type(), digest, size: reply.content_length() }))
    }

    /// Reads a manifest or index. The digest, where the reference has one, is checked against the
    /// bytes, as are `Docker-Content-Digest` and the body's own media type.
    ///
    /// # Errors
    /// [`super::ErrorKind::NotFound`], [`super::ErrorKind::Mismatch`], [`super::ErrorKind::TooLarge`] and others.
    pub async fn get_manifest(&self, reference: &Reference) -> Result<RawManifest, ClientError> {
        self.retrying(|| async {
            let mut answered = self.attempt(&read(reference, Method::GET)).await?;
            let manifest = self.take_manifest(reference, &mut answered.reply).await;
            manifest.map_err(|fault| answered.fault(reference, &Method::GET, fault))
        })
        .await
    }

    /// Reads the manifest that a tag pointed at when `head` was asked for. A tag that has moved since is looked at once
    /// more, and then given up: two answers of one registry that do not agree are no ground to act on.
    ///
    /// # Errors
    /// [`Fault::TagMoved`], and those of [`Registry::get_manifest`].
    pub async fn get_unmoved_manifest(
        &self,
        reference: &Reference,
        head: &ManifestHead,
    ) -> Result<RawManifest, ClientError> {
        let mut want = head.digest.clone();
        for last in [false, true] {
            let manifest = self.get_manifest(reference).await?;
            let Some(expected) = want.filter(|want| *want != *manifest.digest()) else { return Ok(manifest) };
            if last || expected.hasher().is_err() {
                let fault = Fault::TagMoved { want: expected, got: manifest.digest().clone() };
                return Err(ClientError::at(reference.host(), fault));
            }
            want = self.head_manifest(reference).await?.and_then(|head| head.digest);
        }
        self.get_manifest(reference).await
    }

    /// [`Registry::get_manifest`] with the entity tag of this state of it.
    pub(super) async fn get_manifest_and_etag(
        &self,
        reference: &Reference,
    ) -> Result<(RawManifest, Option<String>), ClientError> {
        self.retrying(|| async {
            let mut answered = self.attempt(&read(reference, Method::GET)).await?;
            let etag = answered.reply.header(header::ETAG).map(str::to_owned);
            let manifest = self.take_manifest(reference, &mut answered.reply).await;
            let manifest = manifest.map_err(|fault| answered.fault(reference, &Method::GET, fault))?;
            Ok((manifest, etag))
        })
        .await
    }

    /// Reads a manifest for a caller that checks everything itself. `media_type` stands in where the
    /// registry names none; if it is empty, the manifest's own does.
    pub(crate) async fn get_manifest_as_is(
        &self,
        reference: &Reference,
        media_type: &str,
    ) -> Result<RawManifest, ClientError> {
        Ok(self.get_manifest_and_claim(reference, media_type).await?.0)
    }

    /// [`Registry::get_manifest_as_is`] with the digest that the registry says these bytes have, if it says so in a way
    /// that can be read.
    pub(crate) async fn get_manifest_and_claim(
        &self,
        reference: &Reference,
        media_type: &str,
    ) -> Result<(RawManifest, Option<Digest>), ClientError> {
        self.retrying(|| async {
            let mut answered = self.attempt(&read(reference, Method::GET)).await?;
            let bytes = answered.reply.bytes("manifest", self.inner.config.limits.manifest_bytes).await;
            let bytes = bytes.map_err(|fault| answered.fault(reference, &Method::GET, fault))?;
            let named = answered.reply.media_type().filter(|named| !is_generic(named));
            let fallback = || match media_type {
                "" => body_media_type(&bytes).unwrap_or_default(),
                given => given.to_owned(),
            };
            let media_type = named.unwrap_or_else(fallback);
            let claim = claimed_digest(&answered.reply).ok().flatten();
            Ok((RawManifest::new(media_type, bytes), claim))
        })
        .await
    }

    async fn take_manifest(&self, reference: &Reference, reply: &mut Reply) -> Result<RawManifest, Fault> {
        let bytes = reply.bytes("manifest", self.inner.config.limits.manifest_bytes).await?;
        for want in reference.digest().cloned().into_iter().chain(claimed_digest(reply)?) {
            check_digest(&want, &bytes)?;
        }
        let media_type = match reply.media_type() {
            Some(named) if !is_generic(&named) => named,
            _ => body_media_type(&bytes).ok_or_else(|| Fault::Protocol("the manifest has no media type".to_owned()))?,
        };
        let manifest = RawManifest::new(media_type, bytes);
        manifest.view().map_err(Fault::Manifest)?;
        Ok(manifest)
    }

    /// Writes a manifest or index, byte for byte, by digest or to the reference's tag.
    ///
    /// # Errors
    /// [`super::ErrorKind::Mismatch`] if the registry says that it stored something else, and others.
    pub async fn put_manifest(&self, reference: &Reference, manifest: &RawManifest) -> Result<Pushed, ClientError> {
        if let Some(want) = reference.digest() {
            check_digest(want, manifest.bytes()).map_err(|fault| ClientError::at(reference.host(), fault))?;
        }
        let call = Call::new(reference, Access::Push, Method::PUT, &path(reference));
        let media_type = manifest.media_type().parse().map_err(|_| {
            let error = ManifestError::Unsupported(manifest.media_type().to_owned());
            ClientError::at(reference.host(), Fault::Manifest(error))
        })?;
        let call = call.header(header::CONTENT_TYPE, media_type).payload(Payload::Bytes(manifest.bytes().clone()));
        let answered = self.call(&call).await?;
        let on = |fault| answered.fault(reference, &Method::PUT, fault);
        // The specification asks for 201; 200 and 202 are taken as well, since everything is read back.
        if !matches!(answered.reply.status(), StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED) {
            return Err(on(Fault::Protocol(format!("a manifest was answered with {}", answered.reply.status()))));
        }
        if let Some(claimed) = claimed_digest(&answered.reply).map_err(on)? {
            check_digest(&claimed, manifest.bytes()).map_err(on)?;
        }
        let subject = answered.reply.header("oci-subject").and_then(|text| text.parse().ok());
        Ok(Pushed { digest: manifest.digest().clone(), subject })
    }

    /// Deletes a tag or, by digest, a manifest with all its tags. Absent is not an error.
    ///
    /// # Errors
    /// [`super::ErrorKind::Rejected`] where the registry has deletion disabled (405), and others.
    pub async fn delete_manifest(&self, reference: &Reference) -> Result<(), ClientError> {
        let call = Call::new(reference, Access::Delete, Method::DELETE, &path(reference));
        found(self.call(&call).await).map(drop)
    }
}

impl Answered {
    pub(crate) fn fault(&self, reference: &Reference, method: &Method, fault: Fault) -> ClientError {
        ClientError::on(reference.host(), method, &self.url, fault)
    }
}

fn read(reference: &Reference, method: Method) -> Call<'_> {
    let accept = header::HeaderValue::from_str(&media_type::MANIFEST_ACCEPT.join(", "));
    let call = Call::new(reference, Access::Pull, method, &path(reference));
    match accept {
        Ok(accept) => call.header(header::ACCEPT, accept),
        Err(_) => call,
    }
}

/// A digest is more exact than a tag, and the specification takes one of them only.
fn path(reference: &Reference) -> String {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => format!("manifests/{digest}"),
        (None, tag) => format!("manifests/{}", tag.unwrap_or("latest")),
    }
}

/// Reads `Docker-Content-Digest`. One polyarch cannot compute says nothing.
fn claimed_digest(reply: &Reply) -> Result<Option<Digest>, Fault> {
    let Some(text) = reply.header("docker-content-digest") else { return Ok(None) };
    let digest: Digest =
        text.trim().parse().map_err(|_| Fault::Protocol("Docker-Content-Digest is not a digest".to_owned()))?;
    Ok(digest.hasher().is_ok().then_some(digest))
}

fn check_digest(want: &Digest, bytes: &[u8]) -> Result<(), Fault> {
    let unverifiable = |error| Fault::Protocol(format!("{error}"));
    let mut hasher = want.hasher().map_err(unverifiable)?;
    hasher.update(bytes);
    let got = hasher.finish();
    if got == *want { Ok(()) } else { Err(Fault::Digest { want: want.clone(), got }) }
}

/// Types that storage services and old registries send for anything.
fn is_generic(media_type: &str) -> bool {
    matches!(media_type, "application/json" | "application/octet-stream" | "binary/octet-stream" | "text/plain")
}

fn body_media_type(bytes: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Typed {
        #[serde(rename = "mediaType")]
        media_type: Option<String>,
    }
    serde_json::from_slice::<Typed>(bytes).ok()?.media_type.filter(|media_type| !media_type.is_empty())
}
