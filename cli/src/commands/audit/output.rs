//! What becomes of a report: compared, written in every format asked for, and an exit code.
//!
//! Owns: the files of `--report`, `-o` and `--baseline`. Never: audits.

use std::io::Write as _;
use std::path::Path;

use polyarch_registry::audit::report::REPORT_VERSION;
use polyarch_registry::audit::{Report, Severity};
use serde::Deserialize;

use crate::args::audit_output::{AuditFormat, AuditOutput, FailOn, MergeArgs};
use crate::commands::Context;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::report::audit;
use crate::settings::{Surroundings, ValueError, report_file};
use crate::style::Style;

/// What `-o` calls stdout, as that of `build` does.
const STDOUT: &str = "-";

/// What is told of a report, ready before anything is read from a registry.
pub struct Output<'a> {
    args: &'a AuditOutput,
    baseline: Option<Report>,
}

impl<'a> Output<'a> {
    /// Reads the baseline, and tries whether the files can be written.
    ///
    /// # Errors
    /// One of them cannot, or the baseline is no report.
    pub fn new(args: &'a AuditOutput, around: &Surroundings) -> Result<Self, Diagnostic> {
        let mut files = vec![report_file::resolve(file(args), "--output", around)?];
        for one in &args.reports {
            if one.path == Path::new(STDOUT) {
                let error = ValueError::new(STDOUT, "a report of --report is a file");
                return Err(error.hint("stdout has what --format says").of("--report").into());
            }
            let path = report_file::resolve(Some(&one.path), "--report", around)?;
            if files.contains(&path) {
                let name = one.path.display().to_string();
                return Err(ValueError::new(&name, "another report goes there, too").of("--report").into());
            }
            files.push(path);
        }
        let hint = "a first one is written by `polyarch audit … --report json=FILE`";
        let read = |path| read(&around.resolve(path)).map_err(|error| error.hint(hint));
        let baseline = args.baseline.as_deref().map(read).transpose()?;
        Ok(Self { args, baseline })
    }

    /// Tells a report, and returns how the command ends.
    ///
    /// # Errors
    /// stdout or a file cannot be written.
    pub fn tell(self, mut report: Report, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
        if let Some(baseline) = &self.baseline {
            report.compare(baseline);
        }
        let code = code(&report, self.args.fail_on);
        let new = self.args.new_only.then(|| without_known(&report));
        let shown = |format| match (&new, format) {
            // The record, and the next baseline.
            (_, AuditFormat::Json) | (None, _) => &report,
            (Some(new), _) => new,
        };
        for one in &self.args.reports {
            let text = audit::render(one.format, shown(one.format), Style::plain())?;
            write(&around.resolve(&one.path), &text)?;
        }
        let format = self.args.format;
        match file(self.args) {
            Some(path) => write(&around.resolve(path), &audit::render(format, shown(format), Style::plain())?)?,
            None => context.console.result(audit::render(format, shown(format), context.console.out)?)?,
        }
        Ok(code)
    }
}

/// `polyarch audit merge`.
///
/// # Errors
/// A report cannot be read, or the result not be written. Findings are a result.
pub fn merge(args: &MergeArgs, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    let output = Output::new(&args.output, around)?;
    let reports: Result<Vec<Report>, _> = args.inputs.iter().map(|path| read(&around.resolve(path))).collect();
    let reports = reports?;
    whole(&reports)?;
    output.tell(Report::merge(reports), context, around)
}

/// Shards are joined if all of them are there, each once: a report of a part must not look like one of the whole.
fn whole(reports: &[Report]) -> Result<(), Diagnostic> {
    let mut shards: Vec<_> = reports.iter().filter_map(|report| report.stats.shard).collect();
    shards.sort_by_key(|shard| (shard.of, shard.number));
    let Some(of) = shards.first().map(|shard| shard.of) else { return Ok(()) };
    let have: Vec<u32> = shards.iter().map(|shard| shard.number).collect();
    if shards.iter().all(|shard| shard.of == of) && have.iter().copied().eq(1..=of) {
        return Ok(());
    }
    let names: Vec<String> = shards.iter().map(|shard| format!("{}/{}", shard.number, shard.of)).collect();
    let text = format!("these are not all shards of one audit, each once: {}", names.join(", "));
    Err(Diagnostic::message(ExitCode::Usage, text))
}

/// Returns where the report goes, if not to stdout.
fn file(args: &AuditOutput) -> Option<&Path> {
    args.output.as_deref().filter(|path| *path != Path::new(STDOUT))
}

/// Reads a report that polyarch wrote.
fn read(path: &Path) -> Result<Report, Diagnostic> {
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    let attempted = || format!("cannot read the report {}", path.display());
    let wrong = |error: &serde_json::Error| Diagnostic::new(ExitCode::Usage, error).context(attempted());
    let bytes = std::fs::read(path).map_err(|error| Diagnostic::new(ExitCode::Usage, &error).context(attempted()))?;
    let Ok(Version { version }) = serde_json::from_slice(&bytes) else {
        return Err(Diagnostic::message(ExitCode::Usage, "it is no report of an audit in JSON").context(attempted()));
    };
    if version != u64::from(REPORT_VERSION) {
        let reason = format!("it has version {version}, and this polyarch reads {REPORT_VERSION}");
        return Err(Diagnostic::message(ExitCode::Usage, reason).context(attempted()));
    }
    serde_json::from_slice(&bytes).map_err(|error| wrong(&error))
}

/// Writes a file that is there whole or not at all. A pipe or device cannot be replaced.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), Diagnostic> {
    let failed = |error: &std::io::Error| {
        Diagnostic::new(ExitCode::Publish, error).context(format!("cannot write {}", path.display()))
    };
    if path.metadata().is_ok_and(|meta| !meta.is_file()) {
        return std::fs::write(path, text).map_err(|error| failed(&error));
    }
    // As elsewhere, a link is followed, not replaced.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = builder.prefix(".polyarch-").tempfile_in(folder).map_err(|error| failed(&error))?;
    file.write_all(text.as_bytes()).map_err(|error| failed(&error))?;
    file.persist(&path).map_err(|error| failed(&error.error))?;
    Ok(())
}

fn without_known(report: &Report) -> Report {
    let mut new = report.clone();
    let images = new.images.iter_mut().map(|image| &mut image.findings);
    let all = images.chain(new.repositories.iter_mut().map(|repository| &mut repository.findings));
    all.for_each(|findings| findings.retain(|finding| !finding.known));
    new
}

/// Whoever audits nothing has mistyped something, or lost it. A shard may be empty.
fn is_of_nothing(report: &Report) -> bool {
    report.images.is_empty() && report.stats.shard.is_none() && report.stats.vanished == 0
}

/// Findings outweigh what could not be checked: they are there whatever else there may be.
fn code(report: &Report, fail_on: FailOn) -> ExitCode {
    let least = match fail_on {
        FailOn::Error => Some(Severity::Error),
        FailOn::Warning => Some(Severity::Warning),
        FailOn::Info => Some(Severity::Info),
        FailOn::Never => None,
    };
    if least.is_some_and(|least| report.worst().is_some_and(|worst| worst >= least)) {
        ExitCode::Audit
    } else if report.unchecked() > 0 || is_of_nothing(report) {
        ExitCode::CouldNotCheck
    } else {
        ExitCode::Done
    }
}
