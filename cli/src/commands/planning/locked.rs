//! `--locked`: what a plan uses that the lock file does not have, and what the build uses in the place of the rest.

use std::collections::BTreeMap;

use polyarch_builder::dockerfile::Dockerfile;
use polyarch_builder::lock::{Lock, NotLocked, NotLockedKind};
use polyarch_builder::plan::Plan;
use polyarch_builder::request::{BuildRequest, ContextSource};

use super::{doubts, errors};
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;

/// Returns what is refused, each with its place.
pub fn refusals(lock: &Lock, plan: &Plan, file: &Dockerfile, name: &str) -> Vec<Diagnostic> {
    let unknown = unknown(plan).map(|text| Diagnostic::message(ExitCode::Plan, text));
    unknown.into_iter().chain(lock.check(plan, file).iter().map(|found| refusal(found, file, name))).collect()
}

/// The references a build uses instead of those that were written.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    /// Named contexts that replace the images of the Dockerfile and of triggers.
    contexts: BTreeMap<String, String>,
    /// The image that reads the Dockerfile.
    frontend: Option<String>,
}

impl Pins {
    /// Returns what the lock has of a plan, all of which it has.
    pub fn of(lock: &Lock, plan: &Plan, request: &BuildRequest) -> Self {
        let own = request.build_contexts.iter().filter_map(|(name, source)| match source {
            ContextSource::Image(reference) => Some((name.clone(), lock.pin_text(reference)?)),
            _ => None,
        });
        let frontend = plan.frontend.as_ref().and_then(|frontend| lock.pin_text(&frontend.reference));
        Self { contexts: lock.contexts(plan).into_iter().chain(own).collect(), frontend }
    }

    /// Changes a request so that it uses them.
    pub fn apply(&self, request: &mut BuildRequest) {
        for (name, reference) in &self.contexts {
            request.build_contexts.insert(name.clone(), ContextSource::Image(reference.clone()));
        }
        request.frontend.clone_from(&self.frontend);
    }
}

/// Why not every image of a plan is known, so that no lock can hold them all; none if they are.
pub fn unknown(plan: &Plan) -> Option<String> {
    doubts(plan).into_iter().next().map(|doubt| format!("{doubt}: not every image of this build may be known"))
}

fn refusal(found: &NotLocked, file: &Dockerfile, name: &str) -> Diagnostic {
    let text = errors::at(name, found.span, &found.to_string(), file.line(found.span.line));
    let diagnostic = Diagnostic::message(ExitCode::Plan, text);
    match &found.kind {
        NotLockedKind::StageOfSameName(_) => {
            diagnostic.hint("give the stage another name, or pin the image: NAME@DIGEST")
        }
        NotLockedKind::OtherDigest { .. } => diagnostic.hint("pin that digest, or lock again: polyarch lock"),
        NotLockedKind::Absent(_) | NotLockedKind::NoTriggers(_) | NotLockedKind::OtherPlatforms { .. } => {
            diagnostic.hint("lock again: polyarch lock")
        }
    }
}
