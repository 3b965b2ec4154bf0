//! How `polyarch audit` and `polyarch audit merge` tell what was found.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How the report is written, and what makes the command fail.
#[derive(Debug, Clone, Args)]
pub struct AuditOutput {
    /// How the report is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: AuditFormat,
    /// Write the report to a file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the report to a file in another format too; may be repeated
    #[arg(long = "report", value_name = "FORMAT=FILE", value_parser = report_file)]
    pub reports: Vec<ReportFile>,
    /// An earlier report in JSON: what it has is marked as known, and does not make the command fail
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Leave what is known out of every format but JSON
    #[arg(long, requires = "baseline")]
    pub new_only: bool,
    /// Mildest finding that makes the command end with code 7
    #[arg(long, value_name = "SEVERITY", default_value = "error")]
    pub fail_on: FailOn,
}

/// One `--report`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile {
    /// How it is written.
    pub format: AuditFormat,
    /// Where.
    pub path: PathBuf,
}

/// How an audit's report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuditFormat {
    /// For people
    Text,
    /// One JSON document, see docs/audit.md
    Json,
    /// SARIF 2.1.0, for code scanning services
    Sarif,
    /// A test suite per image, a test case per rule and platform
    Junit,
    /// GitHub-flavoured, for the summary of a CI step
    Markdown,
    /// One page that works offline, to filter and drill down
    Html,
}

/// What makes an audit fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Errors
    Error,
    /// Warnings and errors
    Warning,
    /// Any finding
    Info,
    /// Nothing
    Never,
}

/// One JSON report of several.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Reports in JSON, such as those of shards; of an image in several the last one's is taken
    #[arg(value_name = "REPORT", required = true)]
    pub inputs: Vec<PathBuf>,
    /// How it is written
    #[command(flatten)]
    pub output: AuditOutput,
}

/// The rules as a table or a document.
#[derive(Debug, Args)]
pub struct RulesArgs {
    /// How they are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: RulesFormat,
}

/// How the rules are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RulesFormat {
    /// A table
    Text,
    /// One JSON document
    Json,
    /// The page docs/audit-rules.md
    Markdown,
}

fn report_file(text: &str) -> Result<ReportFile, String> {
    let names =
        || AuditFormat::value_variants().iter().filter_map(|one| Some(one.to_possible_value()?.get_name().to_owned()));
    let (format, path) = text.split_once('=').ok_or("it is FORMAT=FILE, such as json=audit.json")?;
    let format = AuditFormat::from_str(format, false)
        .map_err(|_| format!("{format:?} is no format; there are {}", names().collect::<Vec<_>>().join(", ")))?;
    if path.is_empty() { Err("no file is named".to_owned()) } else { Ok(ReportFile { format, path: path.into() }) }
}
