//! From the run's outcomes to the report's rows. Pure.

use std::sync::{Mutex, PoisonError};

use polyarch_builder::buildkit::SolveError;
use polyarch_builder::buildkit::error::SourceExcerpt;
use polyarch_builder::dockerfile::Dockerfile;
use polyarch_builder::run::{Built, PlatformError, PlatformOutcome};

use super::tails::Tails;
use crate::diagnostics::store_advice;
use crate::exit_code::ExitCode;
use crate::report::BuildReport;
use crate::report::result::{BuiltImage, Failure, PlatformRow, RowResult, SourceSnippet, Verified};

/// Returns a report with a row per platform.
pub(super) fn of(outcomes: &[PlatformOutcome], verified: Verified) -> BuildReport {
    let rows = outcomes.iter().map(|outcome| row(outcome, verified));
    BuildReport { platforms: rows.collect(), ..BuildReport::default() }
}

fn row(outcome: &PlatformOutcome, verified: Verified) -> PlatformRow {
    let (cached, executed) = match &outcome.result {
        Ok(built) => (built.steps().cached(), built.steps().executed()),
        Err(_) => (0, 0),
    };
    PlatformRow {
        platform: outcome.platform.clone(),
        result: result(outcome, verified),
        elapsed: outcome.elapsed,
        cached,
        executed,
        node: Some(outcome.node.clone()),
        builder: Some(outcome.builder.clone()),
    }
}

fn result(outcome: &PlatformOutcome, verified: Verified) -> RowResult {
    match &outcome.result {
        Ok(Built::InCache(_)) => RowResult::Files,
        Ok(Built::Image(image)) => RowResult::Built(BuiltImage {
            manifest: image.manifest.descriptor(),
            config: image.config.digest.clone(),
            size: image.size().saturating_add(image.manifest.bytes().len() as u64),
            layers: image.layers.len(),
            verified,
        }),
        Err(PlatformError::Cancelled) => RowResult::Cancelled,
        Err(error) => RowResult::Failed(Box::new(failure(error))),
    }
}

fn failure(error: &PlatformError) -> Failure {
    let code = match error {
        PlatformError::Verification { .. } => Some(ExitCode::Verification),
        PlatformError::Panicked { .. } => Some(ExitCode::Bug),
        _ => None,
    };
    let hint = error.store().and_then(store_advice).map(str::to_owned);
    let Some(solve) = error.solve() else {
        return Failure { message: error.reason(), hint, code, ..Failure::default() };
    };
    let told = solve.failure();
    Failure {
        message: error.reason(),
        // The vertex's name and log are added when all events have been seen.
        vertex: told.and_then(|told| told.vertex.as_ref()).map(|vertex| vertex.0.clone()),
        exit_code: match solve {
            SolveError::StepFailed { code, .. } => i32::try_from(*code).ok(),
            _ => None,
        },
        source: told.and_then(|told| told.sources.last()).map(snippet),
        log_tail: Vec::new(),
        hint,
        code,
    }
}

fn snippet(excerpt: &SourceExcerpt) -> SourceSnippet {
    SourceSnippet {
        file: excerpt.file.clone(),
        text: excerpt.text.clone(),
        ranges: excerpt.ranges.iter().map(|range| (range.start, range.end)).collect(),
    }
}

/// Adds the failed steps' names and last output, and their lines of the Dockerfile where the daemon does not tell them.
pub(super) fn add_logs(report: &mut BuildReport, tails: &Mutex<Tails>, dockerfile: Option<&NamedFile>) {
    let tails = tails.lock().unwrap_or_else(PoisonError::into_inner);
    for row in &mut report.platforms {
        let RowResult::Failed(failure) = &mut row.result else { continue };
        let Some(vertex) = failure.vertex.take().map(polyarch_builder::event::VertexId) else { continue };
        failure.vertex = tails.name(&vertex).map(str::to_owned);
        failure.log_tail = tails.lines(&vertex);
        if let (None, Some(step), Some(file)) = (&failure.source, &failure.vertex, dockerfile) {
            failure.source = located(file, step);
        }
    }
}

/// The Dockerfile and what it is called.
pub(super) struct NamedFile {
    pub(super) name: String,
    pub(super) file: Dockerfile,
}

fn located(NamedFile { name, file }: &NamedFile, step: &str) -> Option<SourceSnippet> {
    let span = file.locate(step)?;
    Some(SourceSnippet { file: name.clone(), text: file.lines.join("\n"), ranges: vec![(span.line, span.end_line)] })
}
