//! The external images of a plan: who is asked about them, how long, and what is told of those that could not be checked.

use std::path::Path;
use std::time::Duration;

use polyarch_builder::dockerfile::Dockerfile;
use polyarch_builder::plan::PlanInput;
use polyarch_builder::preflight::{Depth, Options, Preflight, Unchecked, look};
use polyarch_registry::client::{Registry, RetryPolicy};
use polyarch_registry::resolve::{ManifestCache, Resolver};

use crate::diagnostics::Diagnostic;
use crate::settings::plan::Subject;

/// Time for one image. A registry that takes longer is told as one that could not be asked.
const PATIENCE: Duration = Duration::from_secs(15);

/// Returns a resolver that gives up early: a plan without an answer is better than none for minutes.
pub fn resolver(registry: &Registry, store: &Path) -> Resolver {
    let retry = RetryPolicy {
        attempts: 3,
        base: Duration::from_millis(200),
        cap: Duration::from_secs(1),
        retry_after_cap: Duration::from_secs(5),
        total: Duration::from_secs(8),
    };
    Resolver::new(registry.with_retry(retry), Some(ManifestCache::of_store(store)))
}

/// Asks registries about every image.
pub async fn find(resolver: &Resolver, file: &Dockerfile, input: &PlanInput, subject: &Subject) -> Preflight {
    let depth = if subject.all_configs { Depth::AllConfigs } else { Depth::Configs };
    look(resolver, file, input, Options { depth, patience: PATIENCE, lock: subject.lock.as_ref() }).await
}

/// Returns what the user must know about images that could not be checked, one line for each.
pub fn notes(found: &Preflight) -> Vec<String> {
    let note = |(name, why): &(String, Unchecked)| format!("could not check {name}: {}", reason(why).chain.join(": "));
    found.unchecked.iter().map(note).collect()
}

/// Returns an image's error with its hints.
pub fn reason(why: &Unchecked) -> Diagnostic {
    match why {
        Unchecked::Registry(error) => Diagnostic::of_client(error),
        Unchecked::Slow(_) => Diagnostic::new(crate::exit_code::ExitCode::CouldNotCheck, why),
    }
}
