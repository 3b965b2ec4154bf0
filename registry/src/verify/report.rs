//! What a verification found.

use std::error::Error;
use std::fmt;

use super::SourceError;
use crate::oci::{Descriptor, Digest, Mismatch, Platform};

/// The result of a verification: good if there is no finding anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The index or image that was verified.
    pub index: Descriptor,
    /// One entry per image, in the index's order.
    pub platforms: Vec<PlatformReport>,
    /// Number of attestation manifests.
    pub attestations: usize,
    /// Findings about the index itself and its attestations.
    pub findings: Vec<Finding>,
}

/// One image of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformReport {
    /// The platform as the index says; as the configuration says where the index is silent.
    pub platform: Platform,
    /// Digest of the image manifest.
    pub digest: Digest,
    /// Promised bytes of manifest, configuration and layers.
    pub size: u64,
    /// Number of layers.
    pub layers: usize,
    /// Findings about this image.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong, or could not be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The platform it is about, if any.
    pub platform: Option<Platform>,
    /// The manifest or blob at fault.
    pub blob: Digest,
    /// What is wrong.
    pub kind: FindingKind,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindingKind {
    /// It is not there.
    #[error("is missing")]
    Missing,
    /// It has another size than its descriptor says.
    #[error("has {got} bytes, want {want}")]
    Size {
        /// The descriptor's size in bytes.
        want: u64,
        /// Bytes found.
        got: u64,
    },
    /// Its bytes have another digest.
    #[error("has digest {got}")]
    Digest {
        /// What the bytes hash to.
        got: Digest,
    },
    /// It is not a manifest or configuration, or one that polyarch does not read.
    #[error("cannot be understood: {reason}")]
    Malformed {
        /// What the parser said.
        reason: String,
    },
    /// Manifest and configuration do not belong together or to the platform.
    #[error("{0}")]
    Image(Mismatch),
    /// A decompressed layer is not what the configuration promises.
    #[error("layer {index} unpacks to {got}, want diff_id {want}")]
    DiffId {
        /// Position of the layer, from 0.
        index: usize,
        /// The configuration's diff_id.
        want: Digest,
        /// What the decompressed bytes hash to.
        got: Digest,
    },
    /// The layer cannot be decompressed as its media type says.
    #[error("cannot be decompressed: {reason}")]
    Compression {
        /// What the decompressor said.
        reason: String,
    },
    /// The decompressed layer is not a sound tar archive.
    #[error("is not a sound tar archive: {reason} at byte {offset}")]
    Tar {
        /// Offset in the decompressed layer.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// All layers together decompress to more than the limit.
    #[error("decompressing was stopped at the limit of {limit} bytes")]
    Bomb {
        /// The limit in bytes.
        limit: u64,
    },
    /// The index has another image for the same platform before it.
    #[error("is for the same platform as {first}")]
    DuplicatePlatform {
        /// The image that a client would get.
        first: Digest,
    },
    /// A platform that was asked for is not in the index.
    #[error("has no image for this platform")]
    PlatformAbsent,
    /// An attestation is about an image that is not in the index.
    #[error("is an attestation about {subject:?}, which is not in the index")]
    OrphanAttestation {
        /// What its annotation names.
        subject: String,
    },
    /// The digest's algorithm cannot be computed here, so the content was not checked.
    #[error("cannot be verified: its digest algorithm is unknown here")]
    Unverifiable,
    /// It could not be read, so it was not checked.
    #[error("could not be read: {reason}")]
    Unreadable {
        /// The chain of causes.
        reason: String,
    },
}

impl FindingKind {
    /// Returns whether this says nothing against the image, only that it could not be checked.
    pub fn is_inconclusive(&self) -> bool {
        matches!(self, Self::Unreadable { .. } | Self::Unverifiable)
    }

    /// Turns a source's error into a finding.
    pub(super) fn of_source(error: &SourceError) -> Self {
        match error {
            SourceError::Missing(_) => Self::Missing,
            SourceError::TooLarge { limit, .. } => Self::Malformed { reason: format!("larger than {limit} bytes") },
            SourceError::Unreadable { source, .. } => Self::Unreadable { reason: chain(source.as_ref()) },
        }
    }
}

/// Writes an error with all its causes, on one line, unescaped. A cause whose text was just written is left out: some
/// libraries write theirs themselves.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.ends_with(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.platform {
            Some(platform) => write!(f, "{platform}: {} {}", self.blob, self.kind),
            None => write!(f, "{} {}", self.blob, self.kind),
        }
    }
}

impl Report {
    /// Returns every finding: the index's first, then each platform's.
    pub fn all_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().chain(self.platforms.iter().flat_map(|platform| &platform.findings))
    }

    /// Returns whether everything was checked and nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.all_findings().next().is_none()
    }

    /// Returns whether nothing is known to be wrong, but something could not be checked.
    pub fn is_inconclusive(&self) -> bool {
        !self.is_good() && self.all_findings().all(|finding| finding.kind.is_inconclusive())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layered {
        text: &'static str,
        #[source]
        source: Option<Box<Layered>>,
    }

    #[test]
    fn a_cause_is_written_once() {
        let layers = ["send: cannot connect", "cannot connect", "refused", "refused"];
        let error = layers.into_iter().rev().fold(None, |source, text| Some(Box::new(Layered { text, source })));
        assert_eq!(chain(&error.unwrap()), "send: cannot connect: refused");
    }
}
