//! What can go wrong on either end, and the gRPC status a daemon sees.

use polyarch_registry::verify::chain;
use std::io;
use std::path::PathBuf;

use tonic::{Code, Status};

use crate::ignore::PatternError;

/// Why a directory could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The daemon asked for a directory that this build does not offer.
    #[error("no access to directory {0:?}")]
    UnknownDir(String),
    /// The directory itself cannot be opened.
    #[error("cannot open directory {}", path.display())]
    Root {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An include or exclude pattern is malformed.
    #[error("cannot read the patterns for the build context")]
    Pattern(#[from] PatternError),
    /// A file or directory cannot be read.
    #[error("cannot read {path:?} in the build context")]
    Read {
        /// Path inside the directory.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A name is not UTF-8, which the protocol cannot carry.
    #[error("the name of {0:?} is not UTF-8; rename it or exclude it in .dockerignore")]
    NotUtf8(String),
    /// A file's size or modification time changed between its announcement and the end of its transfer.
    #[error("{0:?} changed while it was sent; build from a copy that nothing writes to")]
    Changed(String),
    /// The daemon asked for a file that was not announced or was already sent.
    #[error("the daemon asked for file {0}, which was not offered")]
    UnknownFile(u32),
    /// The daemon reported an error.
    #[error("the daemon could not take the files: {0:?}")]
    Receiver(String),
    /// The stream ended before the transfer was complete.
    #[error("the daemon closed the stream before the transfer was complete")]
    Disconnected,
    /// The transport failed.
    #[error("the stream to the daemon failed")]
    Transport(#[source] Box<Status>),
    /// A worker thread ended abnormally.
    #[error("a file transfer was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl SendError {
    /// Returns the status to end the call with; its message has the causes, as a daemon shows nothing else.
    pub fn to_status(&self) -> Status {
        let code = match self {
            Self::UnknownDir(_) => Code::NotFound,
            Self::Pattern(_) | Self::UnknownFile(_) => Code::InvalidArgument,
            Self::NotUtf8(_) | Self::Changed(_) | Self::Root { .. } | Self::Read { .. } => Code::FailedPrecondition,
            Self::Receiver(_) | Self::Disconnected | Self::Transport(_) | Self::Interrupted(_) => Code::Aborted,
        };
        Status::new(code, chain(self))
    }
}

/// Why an exported directory could not be received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// A path is absolute, unclean, out of order, or not below a directory that was announced.
    #[error("the daemon sent an unacceptable path {path:?}: {reason}")]
    BadPath {
        /// The path, as sent.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A packet does not fit the state of the transfer.
    #[error("the daemon broke the transfer protocol: {0}")]
    Protocol(&'static str),
    /// A file has more or fewer bytes than announced.
    #[error("file {path:?} has {got} bytes where {want} were announced")]
    Size {
        /// The file.
        path: String,
        /// Bytes announced.
        want: u64,
        /// Bytes received so far.
        got: u64,
    },
    /// More entries than any sensible export.
    #[error("the export has more than {0} entries")]
    TooMany(u32),
    /// More text in names than any sensible export.
    #[error("the names in the export have more than {0} bytes")]
    TooMuchMetadata(usize),
    /// Something cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Path on this machine.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon reported an error.
    #[error("the daemon could not send the files: {0:?}")]
    Sender(String),
    /// The stream ended before the transfer was complete.
    #[error("the daemon closed the stream before the export was complete")]
    Disconnected,
    /// The transport failed.
    #[error("the stream from the daemon failed")]
    Transport(#[source] Box<Status>),
    /// The writing thread ended abnormally.
    #[error("writing the export was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl ReceiveError {
    /// Returns the status to end the call with.
    pub fn to_status(&self) -> Status {
        let code = match self {
            Self::Write { .. } => Code::FailedPrecondition,
            Self::Disconnected | Self::Transport(_) | Self::Interrupted(_) | Self::Sender(_) => Code::Aborted,
            _ => Code::InvalidArgument,
        };
        Status::new(code, chain(self))
    }
}
