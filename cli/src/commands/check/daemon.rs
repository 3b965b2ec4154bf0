//! BuildKit's own rules, asked for every platform.

use clap::Parser as _;
use polyarch_builder::dockerfile::Span;
use polyarch_builder::event_sink::EventSink;
use polyarch_builder::lint::{Finding, Severity};
use polyarch_registry::oci::Platform;
use serde_json::Value;

use super::super::build;
use super::super::plan::Prepared;
use crate::args::{CheckArgs, Cli, Command};
use crate::commands::Context;
use crate::diagnostics::Diagnostic;
use crate::settings::call::{AnswerForm, BadAnswer, Question, Topic};
use crate::settings::plan::CheckSettings;
use crate::settings::{BuildSettings, GlobalSettings, Surroundings};

/// Returns the settings of a build that only asks. The inputs are those of the check: standard input was read already.
pub(super) fn settings(
    args: &CheckArgs,
    check: &CheckSettings,
    around: &mut Surroundings,
) -> Result<BuildSettings, Diagnostic> {
    let parsed = Cli::try_parse_from(["polyarch", "build"]).ok().map(|cli| cli.command);
    let Some(Command::Build(mut build)) = parsed else {
        return Err(Diagnostic::message(crate::exit_code::ExitCode::Bug, "the build command has no defaults"));
    };
    build.builder.builder.clone_from(&args.nodes.builder);
    build.registries = args.registries.clone();
    let subject = &check.subject;
    let inputs = (subject.context.clone(), subject.dockerfile.clone());
    let mut settings = crate::settings::build::resolve_with(&build, inputs, around)?;
    settings.request.target.clone_from(&subject.target);
    settings.request.build_args.clone_from(&subject.build_args);
    settings.request.build_contexts.clone_from(&subject.build_contexts);
    Ok(settings)
}

/// Asks the frontend for every platform.
pub(super) async fn ask(
    settings: Result<BuildSettings, Diagnostic>,
    prepared: &Prepared,
    global: &GlobalSettings,
    context: &Context,
) -> Result<Vec<Finding>, Diagnostic> {
    let mut settings = settings?;
    settings.request.platforms.clone_from(&prepared.input.platforms);
    let question = Question { topic: Topic::Check, form: AnswerForm::Json, bad: BadAnswer::Shows };
    let (sink, _events) = EventSink::channel();
    let answers = build::ask(&settings, question, global, context, sink).await?;
    let mut findings: Vec<Finding> = Vec::new();
    for (platform, json) in &answers {
        for finding in read(json.as_deref().unwrap_or("")) {
            let same = findings
                .iter_mut()
                .find(|one| (&one.rule, &one.message, one.span) == (&finding.rule, &finding.message, finding.span));
            match same {
                Some(known) => known.platforms.push(platform.clone()),
                None => findings.push(Finding { platforms: vec![platform.clone()], ..finding }),
            }
        }
    }
    findings.iter_mut().for_each(|finding| everywhere(finding, answers.len()));
    Ok(findings)
}

/// What shows on all platforms names none.
fn everywhere(finding: &mut Finding, all: usize) {
    if finding.platforms.len() == all {
        finding.platforms = Vec::<Platform>::new();
    }
}

/// Reads the answer to the `lint` subrequest (BuildKit `subrequests/lint`).
fn read(json: &str) -> Vec<Finding> {
    let document: Value = serde_json::from_str(json).unwrap_or_default();
    let warnings = document["warnings"].as_array().cloned().unwrap_or_default();
    warnings.iter().map(finding).collect()
}

fn finding(warning: &Value) -> Finding {
    let text = |key: &str| warning[key].as_str().unwrap_or_default().to_owned();
    let range = &warning["location"]["ranges"][0];
    let line = |end: &str| range[end]["line"].as_u64().and_then(|line| u32::try_from(line).ok()).unwrap_or(1).max(1);
    let url = warning["url"].as_str().filter(|url| !url.is_empty()).map(str::to_owned);
    let message = if text("detail").is_empty() { text("description") } else { text("detail") };
    let span = Span { line: line("start"), column: 1, end_line: line("end") };
    let (rule, severity) = (text("ruleName"), Severity::Warning);
    Finding { rule, severity, message, fix: None, span, platforms: Vec::new(), url }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_frontends_answer() {
        let json = r#"{"warnings":[{"ruleName":"StageNameCasing","description":"d","url":"https://x/","detail":"Stage name 'A'",
            "location":{"sourceIndex":0,"ranges":[{"start":{"line":3},"end":{"line":4}}]}},{}],"sources":[]}"#;
        let found = read(json);
        assert_eq!((found[0].rule.as_str(), found[0].message.as_str()), ("StageNameCasing", "Stage name 'A'"));
        assert_eq!(
            (found[0].span, found[0].url.as_deref()),
            (Span { line: 3, column: 1, end_line: 4 }, Some("https://x/"))
        );
        assert_eq!(found.len(), 2);
        assert!(read("no json").is_empty());
    }
}
