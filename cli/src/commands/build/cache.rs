//! `--cache-to`: the caches that platforms exported, joined where the user wants one.
//!
//! Owns: which exports belong together, and what a failure means: an error, unless `ignore-error=true` (buildx's attribute).

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use polyarch_builder::cache::{CacheError, is_joined, publish, record, reference_for};
use polyarch_builder::request::CacheSpec;
use polyarch_builder::run::PlatformOutcome;
use polyarch_builder::run::content::NodeSession;
use polyarch_registry::oci::{Descriptor, Platform, Reference};
use polyarch_registry::store::{BlobStore as _, LayoutStore};

use super::execute::Means;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;

/// The tag of a local cache where none is named (BuildKit `client/solve.go`).
const TAG: &str = "latest";

/// Joins the exports of the platforms that were built; returns what went wrong.
pub(super) async fn join<'a>(
    means: &Means<'_>,
    sessions: impl Iterator<Item = &'a Arc<NodeSession>>,
    outcomes: &[PlatformOutcome],
) -> Vec<Diagnostic> {
    // Without all of its platforms it would take those away that the last build wrote.
    if outcomes.iter().any(|one| one.result.is_err()) {
        return Vec::new();
    }
    let built: Vec<&Platform> = outcomes.iter().map(|one| &one.platform).collect();
    let mut exported: Vec<Descriptor> = Vec::new();
    for session in sessions {
        exported.extend(session.caches.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
    }
    let mut errors = Vec::new();
    for spec in means.settings.request.cache_to.iter().filter(|spec| is_joined(spec)) {
        let (name, done) = match spec.kind.as_str() {
            "local" => into_directory(spec, &exported).await,
            _ if outcomes.len() > 1 => into_registry(means, spec, &built).await,
            _ => continue,
        };
        let Err(error) = done else { continue };
        let error = Diagnostic::new(ExitCode::Publish, &error).context(format!("cannot write the build cache {name}"));
        match spec.attrs.get("ignore-error").is_some_and(|text| text == "true") {
            true => tracing::warn!(error = error.chain.join(": "), "the build cache is not written"),
            false => errors.push(error),
        }
    }
    errors
}

async fn into_registry(means: &Means<'_>, spec: &CacheSpec, built: &[&Platform]) -> (String, Result<(), CacheError>) {
    let name = spec.attrs.get("ref").cloned().unwrap_or_default();
    // It was parsed when it was read.
    let Ok(reference) = name.parse::<Reference>() else { return (name, Ok(())) };
    let exported: Vec<Reference> = built.iter().map(|platform| reference_for(&reference, platform)).collect();
    let done = publish(&means.registry, &reference, &exported).await;
    (name, done)
}

async fn into_directory(spec: &CacheSpec, exported: &[Descriptor]) -> (String, Result<(), CacheError>) {
    let dest = spec.attrs.get("dest").cloned().unwrap_or_default();
    let work = async {
        let store = LayoutStore::open_output(&dest).await?;
        let mut own = Vec::new();
        let mut seen = BTreeSet::new();
        for descriptor in exported {
            // Of several caches a daemon tells one manifest alone; what is not here went elsewhere.
            if seen.insert(&descriptor.digest) && store.stat(&descriptor.digest).await?.is_some() {
                own.push(descriptor.clone());
            }
        }
        let tag = spec.attrs.get("tag").map_or(TAG, String::as_str);
        if !own.is_empty() {
            record(&store, tag, &own).await?;
        }
        store.tidy().await?;
        Ok(())
    };
    let done = work.await;
    (dest, done)
}
