//! BuildKit's error details: google.rpc.Status with `github.com/moby/buildkit/<type>+json` values.
//!
//! Owns: decoding them (BuildKit `util/grpcerrors`, `solver/errdefs`). Pure.

use bollard_buildkit_proto::google::rpc;
use prost::Message;
use tonic::{Code, Status};

use super::{Failure, SolveError};

/// A piece of a source file named by an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceExcerpt {
    /// File name, as the frontend calls it.
    pub file: String,
    /// The whole file; empty if the daemon did not send it.
    pub text: String,
    /// The ranges at fault.
    pub ranges: Vec<SourceRange>,
}

/// Lines of a source file, counted from 1, inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceRange {
    /// First line.
    pub start: u32,
    /// Last line.
    pub end: u32,
}

pub(super) fn classify(status: &Status) -> SolveError {
    let _ = rpc::Status::decode(status.details());
    let failure = Box::new(Failure { message: status.message().to_owned(), ..Failure::default() });
    match status.code() {
        Code::Cancelled => SolveError::Cancelled,
        Code::Unavailable => SolveError::ConnectionLost { message: failure.message },
        Code::Unimplemented => SolveError::Unsupported(failure),
        _ => SolveError::Daemon(failure),
    }
}
