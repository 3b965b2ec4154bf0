//! Exported streams from the daemon.
//!
//! Owns: moby.filesync.v1.FileSend with its two wire types. Never: decides file names.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::AsyncWrite;

/// Where the bytes of one exported stream go; flushed and shut down at its end.
pub type Sink = Box<dyn AsyncWrite + Send + Unpin>;

/// What the daemon tells about a stream before its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportStream {
    /// `exporter-md-*` metadata without the prefix, such as `containerimage.digest`.
    pub metadata: BTreeMap<String, String>,
}

/// Opens a sink for each exported stream of a session.
pub trait SinkFactory: Send + Sync {
    /// Opens a sink; an error is reported to the daemon and fails the export.
    fn open<'a>(&'a self, stream: &'a ExportStream) -> BoxFuture<'a, io::Result<Sink>>;
}

/// What a session accepts from exporters. One service name has two wire types, so it is one or the other.
#[derive(Clone, Default)]
pub enum FileSend {
    /// Nothing.
    #[default]
    None,
    /// Byte streams: [`crate::buildkit::Export::OciTar`], `DockerTar`, `Tar`.
    Bytes(Arc<dyn SinkFactory>),
}
