//! One solve: request, status stream, answer.
//!
//! Owns: the Solve call with its Status beside it. Dropping the future cancels the solve at the daemon.
//! Never: repeats; the caller decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bollard_buildkit_proto::moby::buildkit::v1 as proto;
use polyarch_registry::oci::{Descriptor, Digest};
use polyarch_registry::store::StoreError;
use tokio::time::timeout;

use super::attrs::{NO_CACHE, SOURCE};
use super::connect::Worker;
use super::error::SolveError;
use super::export::{Attrs, Export};
use super::session::Session;
use super::status::StatusMapper;
use crate::event_sink::EventSink;
use crate::request::CacheSpec;
use crate::steps::Steps;

/// BuildKit's built-in Dockerfile frontend; a `# syntax=` line makes it hand over to an image.
const FRONTEND: &str = "dockerfile.v0";
/// The frontend that runs an image as the frontend.
const GATEWAY: &str = "gateway.v0";
/// Time the status stream gets to end after the solve; it normally ends at once.
const STATUS_TAIL: Duration = Duration::from_secs(5);
/// Time a solve gets to report its own error after its session ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

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
    /// Entitlements granted; see [`super::attrs::entitlements`].
    pub entitlements: Vec<String>,
}

impl SolveSpec {
    /// The same, as another solve that executes every step.
    #[must_use]
    pub fn without_cache(mut self) -> Self {
        self.reference = new_ref();
        self.frontend_attrs.insert(NO_CACHE.to_owned(), String::new());
        self
    }
}

/// What a solve gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SolveOutcome {
    /// Everything the exporters answered.
    pub exporter_response: Attrs,
    /// `containerimage.digest`: the root's digest, or with the `moby` exporter the config's.
    pub digest: Option<Digest>,
    /// The image manifest, or with attestations the index; `None` where the daemon does not describe it.
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
        let mut mapper = StatusMapper::default();
        let reference = spec.reference.clone();
        let request = request(spec, session.id());
        let answer = self.solve_with_status(session, request, &reference, |message| {
            mapper.apply(message).into_iter().for_each(|kind| events.send(kind));
            !mapper.is_empty()
        });
        let answer = answer.await;
        let steps = mapper.into_steps();
        match answer {
            Ok(response) => outcome(response, steps),
            Err(error) => Err(match store_fault(session, &error) {
                Some(fault) => SolveError::Store(fault),
                None => error.locate(&steps),
            }),
        }
    }

    /// Runs Solve and Status side by side. `told` gets every status message and says whether any vertex was seen.
    pub(super) async fn solve_with_status(
        &self,
        session: &Session,
        request: proto::SolveRequest,
        reference: &str,
        mut told: impl FnMut(proto::StatusResponse) -> bool,
    ) -> Result<proto::SolveResponse, SolveError> {
        let mut client = self.control();
        let seen = AtomicBool::new(false);
        let solve = async { client.solve(request).await.map_err(|status| SolveError::from_status(&status)) };
        let status = self.follow(reference, |message| seen.store(told(message), Ordering::Relaxed));
        tokio::pin!(solve, status);
        let mut following = true;
        let answer = loop {
            tokio::select! {
                answer = &mut solve => break answer,
                () = &mut status, if following => following = false,
                () = session.ended() => {
                    let last = timeout(LAST_WORDS, &mut solve).await;
                    break last.unwrap_or_else(|_| Err(SolveError::session_ended()));
                }
            }
        };
        // Status of a solve that failed before a job existed would block for seconds.
        if following && (answer.is_ok() || seen.load(Ordering::Relaxed)) {
            let _ = timeout(STATUS_TAIL, &mut status).await;
        }
        answer.map(tonic::Response::into_inner)
    }

    /// Reads the status stream to its end. Its errors are not the solve's: what fails, fails there too.
    async fn follow(&self, reference: &str, mut told: impl FnMut(proto::StatusResponse)) {
        let request = proto::StatusRequest { r#ref: reference.to_owned() };
        let mut stream = match self.control().status(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return tracing::debug!(%status, "no status for this solve"),
        };
        loop {
            match stream.message().await {
                Ok(Some(message)) => told(message),
                Ok(None) => return,
                Err(status) => return tracing::debug!(%status, "the status stream broke"),
            }
        }
    }
}

/// Returns the full disk or the wrong digest here that is the reason for the daemon's error, with its type intact.
fn store_fault(session: &Session, error: &SolveError) -> Option<Arc<StoreError>> {
    match error {
        SolveError::Daemon(failure) => session.store_fault().cause_of(&failure.message),
        _ => None,
    }
}

/// Returns the frontend for these attributes.
pub(super) fn frontend(attrs: &BTreeMap<String, String>) -> &'static str {
    if attrs.contains_key(SOURCE) { GATEWAY } else { FRONTEND }
}

fn request(spec: SolveSpec, session: &str) -> proto::SolveRequest {
    let mut request = proto::SolveRequest {
        r#ref: spec.reference,
        session: session.to_owned(),
        frontend: frontend(&spec.frontend_attrs).to_owned(),
        frontend_attrs: spec.frontend_attrs.into_iter().collect(),
        entitlements: spec.entitlements,
        cache: Some(proto::CacheOptions {
            exports: spec.cache_exports.into_iter().map(cache_entry).collect(),
            ..proto::CacheOptions::default()
        }),
        ..proto::SolveRequest::default()
    };
    if let Some((kind, attrs)) = spec.export.entry() {
        let attrs: std::collections::HashMap<_, _> = attrs.into_iter().collect();
        // BuildKit 0.8 knows only the first two fields, newer ones prefer the last.
        request.exporter_deprecated = kind.to_owned();
        request.exporter_attrs_deprecated = attrs.clone();
        request.exporters = vec![proto::Exporter { r#type: kind.to_owned(), attrs }];
    }
    request
}

fn cache_entry(spec: CacheSpec) -> proto::CacheOptionsEntry {
    proto::CacheOptionsEntry { r#type: spec.kind, attrs: spec.attrs.into_iter().collect() }
}

fn outcome(response: proto::SolveResponse, steps: Steps) -> Result<SolveOutcome, SolveError> {
    let exporter_response: Attrs = response.exporter_response.into_iter().collect();
    let digest = |key: &'static str| {
        let text = exporter_response.get(key).filter(|text| !text.is_empty());
        text.map(|text| text.parse::<Digest>().map_err(|_| SolveError::BadAnswer { key })).transpose()
    };
    let (image, config) = (digest("containerimage.digest")?, digest("containerimage.config.digest")?);
    let root = exporter_response.get(DESCRIPTOR).map(|text| descriptor(text)).transpose()?;
    Ok(SolveOutcome { digest: image, root, config, steps, exporter_response })
}

const DESCRIPTOR: &str = "containerimage.descriptor";

fn descriptor(text: &str) -> Result<Descriptor, SolveError> {
    let bad = SolveError::BadAnswer { key: DESCRIPTOR };
    let Ok(json) = BASE64_STANDARD.decode(text) else { return Err(bad) };
    serde_json::from_slice(&json).map_err(|_| bad)
}
