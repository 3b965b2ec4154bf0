//! `--locked`: what a plan uses that the lock file does not have.

use polyarch_builder::dockerfile::Dockerfile;
use polyarch_builder::lock::{Lock, NotLocked, NotLockedKind};
use polyarch_builder::plan::Plan;

use super::{doubts, errors};
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;

/// Returns what is refused, each with its place.
pub fn refusals(lock: &Lock, plan: &Plan, file: &Dockerfile, name: &str) -> Vec<Diagnostic> {
    let unknown = unknown(plan).map(|text| Diagnostic::message(ExitCode::Plan, text));
    unknown.into_iter().chain(lock.check(plan, file).iter().map(|found| refusal(found, file, name))).collect()
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
        NotLockedKind::Absent(_) | NotLockedKind::OtherPlatforms { .. } => diagnostic.hint("lock again: polyarch lock"),
    }
}
