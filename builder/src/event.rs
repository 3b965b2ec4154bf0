//! What a run tells its displays.
//!
//! Owns: the one event type; it is the interface between the run and every display and report.
//! Never: formats. Lifecycle events are never dropped; byte progress is keyed, so that a slow
//! display may keep only the newest value of a key.

use std::fmt;
use std::time::Duration;

use polyarch_registry::oci::{Descriptor, Digest, Platform};
use serde::{Deserialize, Serialize};

/// One thing that happened, at a time since the start of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Time since the start of the run.
    pub at: Duration,
    /// The platform it belongs to, if to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The identity of a vertex of BuildKit's graph: its digest. Equal vertices of several solves run once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VertexId(pub String);

impl fmt::Display for VertexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which stream of a process a log line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How one platform ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Built, in the store and verified.
    Built {
        /// The image manifest.
        manifest: Box<Descriptor>,
        /// Layers in the image.
        layers: usize,
        /// Steps the daemon had cached.
        cached: usize,
        /// Steps the daemon ran.
        executed: usize,
    },
    /// Built, in the daemon's cache: only its files were asked for.
    Ready {
        /// Steps the daemon had cached.
        cached: usize,
        /// Steps the daemon ran.
        executed: usize,
    },
    /// The build or its verification failed.
    Failed {
        /// One-line reason, unescaped.
        reason: String,
    },
    /// Cancelled by the user or by `--fail-fast`.
    Cancelled,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// The run begins; `platforms` are in the order asked for.
    RunStarted {
        /// Every platform of this run.
        platforms: Vec<Platform>,
    },
    /// A node answered and will build this event's platform.
    NodeChosen {
        /// Name of the node.
        node: String,
        /// Builder as the user wrote it.
        builder: String,
        /// Version the daemon reports. Named apart from the version of a JSON line.
        #[serde(rename = "daemon_version")]
        version: String,
        /// How each stage will run there, in a few words.
        #[serde(default)]
        how: String,
    },
    /// A platform's solve was sent.
    PlatformStarted,
    /// A platform ended.
    PlatformFinished {
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
        /// Wall time.
        elapsed: Duration,
    },
    /// A vertex was first seen.
    VertexSeen {
        /// Identity.
        vertex: VertexId,
        /// BuildKit's name, such as `[build 2/4] RUN make`.
        name: String,
    },
    /// A vertex began to run.
    VertexStarted {
        /// Identity.
        vertex: VertexId,
    },
    /// A vertex ended.
    VertexFinished {
        /// Identity.
        vertex: VertexId,
        /// Taken from the daemon's cache.
        cached: bool,
        /// The daemon's error text, if it failed.
        error: Option<String>,
        /// Time it ran, by the daemon's clock.
        elapsed: Duration,
    },
    /// Output of a vertex; not necessarily whole lines. Text is untrusted: displays escape it.
    VertexLog {
        /// Identity.
        vertex: VertexId,
        /// Which stream.
        stream: Stream,
        /// Text, invalid UTF-8 replaced.
        text: String,
    },
    /// Byte progress inside a vertex (keyed by `vertex` and `id`).
    VertexProgress {
        /// Identity.
        vertex: VertexId,
        /// What is counted, such as a layer's digest.
        id: String,
        /// Bytes so far.
        current: u64,
        /// Bytes in all, 0 when unknown.
        total: u64,
    },
    /// A warning of the frontend (a lint).
    Warning {
        /// Short text.
        message: String,
        /// Longer explanation lines.
        detail: Vec<String>,
        /// Page that explains it.
        url: Option<String>,
        /// Dockerfile line, counted from 1.
        line: Option<u32>,
    },
    /// Something polyarch itself wants said once, such as a feature left out because the user allowed it.
    Notice {
        /// The text.
        message: String,
    },
    /// Bytes arriving in or leaving the store (keyed by `digest` and `direction`).
    Transfer {
        /// The blob.
        digest: Digest,
        /// Which way.
        direction: Direction,
        /// Bytes so far.
        current: u64,
        /// Bytes in all, 0 when unknown.
        total: u64,
    },
    /// A blob's transfer ended.
    TransferDone {
        /// The blob.
        digest: Digest,
        /// Which way.
        direction: Direction,
        /// How.
        how: TransferHow,
    },
    /// An attempt failed and will be repeated.
    Retry {
        /// What, such as `PUT blob sha256:… to localhost:5000`.
        what: String,
        /// Why.
        reason: String,
        /// Wait before the next attempt.
        wait: Duration,
    },
    /// The index (or the single manifest) was assembled.
    Assembled {
        /// Its descriptor.
        root: Descriptor,
    },
    /// A tag now points at the root.
    TagMoved {
        /// Full reference.
        reference: String,
        /// What it points at.
        digest: Digest,
    },
    /// The run ended.
    RunFinished {
        /// Wall time.
        elapsed: Duration,
    },
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Build context to the daemon.
    ContextOut,
    /// Daemon to the store.
    IntoStore,
    /// Store to a registry.
    ToRegistry,
    /// Store to a daemon's image store (`--load`).
    ToDaemon,
}

/// How a blob got where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferHow {
    /// Its bytes were sent.
    Sent,
    /// It was there already.
    Present,
    /// The registry mounted it from another repository.
    Mounted,
}
