//! `polyarch verify`: is an image what it says.

use std::fmt::Write as _;

use polyarch_registry::verify::{Depth, Report, VerifyOptions, verify};
use serde_json::{Value, json};

use super::{Context, source, table};
use crate::args::VerifyArgs;
use crate::args::values::ReportFormat;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::{GlobalSettings, Surroundings, platform, registries, target};
use crate::style::Style;
use crate::text::{bytes, escape};

/// Runs `polyarch verify`.
///
/// # Errors
/// The reference is none, or its root cannot be read. Findings are a result, with their own exit codes.
pub async fn run(
    args: &VerifyArgs,
    global: &GlobalSettings,
    context: &Context,
    around: &Surroundings,
) -> Result<ExitCode, Diagnostic> {
    let depth = if args.deep { Depth::Deep } else { Depth::Shallow };
    let platforms = platform::parse_list(&args.platform).map_err(|error| error.of("--platform"))?;
    let options = VerifyOptions { platforms, ..VerifyOptions::new(depth) };
    let target = target::parse(&args.reference, &around.cwd)?;
    let opened = source::open(&target, registries::resolve(&args.registries, around)?, global).await?;
    let report = verify(&*opened.source, &opened.root, &options).await;
    let text = match args.format {
        ReportFormat::Table => render(&opened.name, &report, depth, context.console.out),
        ReportFormat::Json => format!("{}\n", document(&opened.name, &report)),
    };
    context.console.result(text)?;
    Ok(code(&report))
}

/// Returns how a command ends that made this report.
pub fn code(report: &Report) -> ExitCode {
    match (report.is_good(), report.is_inconclusive()) {
        (true, _) => ExitCode::Done,
        (false, true) => ExitCode::CouldNotCheck,
        (false, false) => ExitCode::Verification,
    }
}

fn render(name: &str, report: &Report, depth: Depth, style: Style) -> String {
    let verdict = |findings: usize| match findings {
        0 => "good".to_owned(),
        1 => "1 finding".to_owned(),
        more => format!("{more} findings"),
    };
    let rows: Vec<[String; 5]> = report
        .platforms
        .iter()
        .map(|image| {
            [
                image.platform.to_string(),
                format!("{}:{}", image.digest.algorithm().as_str(), image.digest.short()),
                bytes(image.size),
                image.layers.to_string(),
                verdict(image.findings.len()),
            ]
        })
        .collect();
    let mut out = table::render(["PLATFORM", "DIGEST", "SIZE", "LAYERS", "VERIFIED"], &rows, style);
    // Writing to a String cannot fail.
    if report.attestations > 0 {
        let _ = writeln!(out, "{} attestations", report.attestations);
    }
    let all: Vec<String> = report.all_findings().map(|finding| escape(&finding.to_string())).collect();
    for finding in &all {
        let _ = writeln!(out, "{} {finding}", style.error("finding:"));
    }
    let depth = match depth {
        Depth::Shallow => "manifests and configurations read, layers present",
        Depth::Deep => "every byte read",
    };
    let summary = match code(report) {
        ExitCode::Done => style.good("good"),
        ExitCode::CouldNotCheck => style.warning("could not be checked in full"),
        _ => style.error("bad"),
    };
    let _ = writeln!(out, "\n{} {}: {summary} ({depth})", escape(name), report.index.digest);
    out
}

fn document(name: &str, report: &Report) -> Value {
    let findings = report.all_findings().map(|finding| {
        json!({
            "platform": finding.platform.as_ref().map(ToString::to_string),
            "blob": finding.blob,
            "message": finding.kind.to_string(),
            "inconclusive": finding.kind.is_inconclusive(),
        })
    });
    json!({
        "version": 1,
        "name": name,
        "descriptor": report.index,
        "good": report.is_good(),
        "platforms": report.platforms.iter().map(|image| json!({
            "platform": image.platform.to_string(),
            "digest": image.digest,
            "size": image.size,
            "layers": image.layers,
        })).collect::<Vec<_>>(),
        "attestations": report.attestations,
        "findings": findings.collect::<Vec<_>>(),
    })
}
