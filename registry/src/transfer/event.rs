//! What a transfer tells while it runs.
//!
//! Owns: the events. Never: draws them, or waits for whoever does.

use std::sync::Arc;

use crate::client::RetryNotice;
use crate::oci::Digest;

/// Receives events; called from several tasks, so it must be quick and must not block.
pub type Events = Arc<dyn Fn(TransferEvent) + Send + Sync>;

/// Something happened in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferEvent {
    /// `host/repository`.
    pub repository: String,
    /// What.
    pub kind: TransferKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferKind {
    /// A blob's upload goes on. Keyed by digest: only the newest matters, and a new attempt starts low again.
    BlobSending {
        /// Which.
        digest: Digest,
        /// Bytes handed to the connection.
        sent: u64,
        /// Bytes in all.
        size: u64,
    },
    /// A blob was uploaded.
    BlobSent {
        /// Which.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// A blob was there already.
    BlobPresent {
        /// Which.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// A blob was mounted from another repository of the registry.
    BlobMounted {
        /// Which.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// The other repository, without the host.
        from: String,
    },
    /// A blob's download goes on. Keyed by digest.
    BlobReceiving {
        /// Which.
        digest: Digest,
        /// Bytes received.
        received: u64,
        /// Bytes in all.
        size: u64,
    },
    /// A blob was fetched and verified.
    BlobReceived {
        /// Which.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// A manifest or index was written by digest.
    ManifestPushed {
        /// Which.
        digest: Digest,
    },
    /// A manifest or index was read and is what it should be.
    ManifestVerified {
        /// Which.
        digest: Digest,
    },
    /// A tag points at the image now, and was read back.
    TagMoved {
        /// The tag.
        tag: String,
        /// The image.
        digest: Digest,
    },
    /// A tag pointed at the image before.
    TagUnchanged {
        /// The tag.
        tag: String,
        /// The image.
        digest: Digest,
    },
    /// A request failed and will be tried again.
    Retry(RetryNotice),
}
