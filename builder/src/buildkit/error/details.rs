//! BuildKit's error details: google.rpc.Status with `github.com/moby/buildkit/<type>+json` values.
//!
//! Owns: decoding them (BuildKit `util/grpcerrors`, `solver/errdefs`). Pure. What cannot be decoded is left
//! out: a detail helps, the message is always there.

use std::error::Error;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bollard_buildkit_proto::google::rpc;
use prost::Message;
use serde::Deserialize;
use tonic::{Code, Status};

use super::{Failure, SolveError};
use crate::event::VertexId;

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

/// What the details say.
#[derive(Debug, Default)]
struct Details {
    vertex: Option<VertexId>,
    sources: Vec<SourceExcerpt>,
    exit_code: Option<u32>,
    frontend: bool,
    unsupported: bool,
}

pub(super) fn classify(status: &Status) -> SolveError {
    let message = status.message().to_owned();
    // A status with a cause was made on this side, by the transport.
    if status.source().is_some() {
        return SolveError::ConnectionLost { message };
    }
    let details = Details::decode(status.details());
    let failure = Failure { message, vertex: details.vertex, sources: details.sources };
    let located = failure.vertex.is_some();
    let failure = Box::new(failure);
    match (status.code(), details.exit_code) {
        (_, Some(code)) => SolveError::StepFailed { code, failure },
        (Code::Cancelled, _) => SolveError::Cancelled,
        (Code::Unavailable, _) => SolveError::ConnectionLost { message: failure.message },
        (Code::Unimplemented, _) => SolveError::Unsupported(failure),
        _ if details.unsupported => SolveError::Unsupported(failure),
        _ if details.frontend => SolveError::Definition(failure),
        _ if located => SolveError::Step(failure),
        _ => SolveError::Daemon(failure),
    }
}

impl Details {
    fn decode(bytes: &[u8]) -> Self {
        let mut details = Self::default();
        for any in rpc::Status::decode(bytes).unwrap_or_default().details {
            details.add(&any.type_url, &any.value);
        }
        details
    }

    fn add(&mut self, type_url: &str, json: &[u8]) {
        // The path before the last element is a Go package and has changed before.
        match type_url.rsplit('/').next().unwrap_or_default() {
            "errdefs.Source+json" => self.sources.extend(parse::<Source>(json).map(Source::excerpt)),
            "errdefs.Vertex+json" => {
                let named = parse::<Vertex>(json).filter(|vertex| !vertex.digest.is_empty());
                self.vertex = named.map(|vertex| VertexId(vertex.digest)).or(self.vertex.take());
            }
            "gatewayapi.ExitMessage+json" => {
                self.exit_code = parse::<ExitMessage>(json).map(|exit| exit.code).or(self.exit_code);
            }
            "errdefs.Frontend+json" => self.frontend = true,
            // A question the frontend does not know, or a capability it does not have.
            "errdefs.Subrequest+json" | "errdefs.FrontendCap+json" => self.unsupported = true,
            _ => {}
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    serde_json::from_slice(json).inspect_err(|error| tracing::debug!(%error, "error detail not understood")).ok()
}

#[derive(Deserialize)]
struct Source {
    #[serde(default)]
    info: SourceInfo,
    #[serde(default)]
    ranges: Vec<Range>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SourceInfo {
    filename: String,
    data: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Range {
    start: Position,
    end: Position,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Position {
    line: u32,
}

#[derive(Deserialize)]
struct Vertex {
    digest: String,
}

#[derive(Deserialize)]
struct ExitMessage {
    #[serde(rename = "Code", default)]
    code: u32,
}

impl Source {
    fn excerpt(self) -> SourceExcerpt {
        let text = BASE64_STANDARD.decode(&self.info.data).unwrap_or_default();
        let range = |range: Range| SourceRange { start: range.start.line, end: range.end.line.max(range.start.line) };
        SourceExcerpt {
            file: self.info.filename,
            text: String::from_utf8_lossy(&text).into_owned(),
            ranges: self.ranges.into_iter().map(range).filter(|range| range.start > 0).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
