//! `--call` and `--check`: a question to the frontend instead of a build.
//!
//! Owns: the frontend's own words on stdout, once for all platforms that got the same. Never: judges them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::sync::Arc;

use futures::future::try_join_all;
use polyarch_builder::buildkit::CallAnswer;
use polyarch_builder::event::EventKind;
use polyarch_builder::node::facts::{Feature, missing_feature};
use polyarch_builder::node::probe::Node;
use polyarch_builder::run::PlatformError;
use polyarch_registry::oci::Platform;

use super::execute::Means;
use super::planning::{self, Place};
use super::solve;
use crate::commands::Context;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::call::{AnswerForm, BadAnswer, Question, Topic};
use crate::text;

/// The answers, in the order of the platforms.
pub(super) type Answers = Vec<(Platform, CallAnswer)>;

/// Asks for every platform.
pub(super) async fn ask(means: &Means<'_>, nodes: &[Node], question: Question) -> Result<Answers, Diagnostic> {
    let platforms = planning::platforms(means.settings, nodes)?;
    means.events.send(EventKind::RunStarted { platforms: platforms.clone() });
    // What no node can run can be asked about all the same.
    let places = planning::by_facts(nodes, &platforms);
    check(means, nodes, &places, question)?;
    let mut sessions = BTreeMap::new();
    for place in &places {
        if let Entry::Vacant(vacant) = sessions.entry(place.node) {
            vacant.insert(Arc::new(
                solve::session(means, &nodes[place.node], &solve::arrivals(means, None), true).await?,
            ));
        }
    }
    let asking = places.iter().map(|place| {
        let session = Arc::clone(&sessions[&place.node]);
        async move {
            let events = means.events.for_platform(&place.platform);
            let answer = session.ask(&place.platform, method(question.topic), &events, &means.context.cancel).await?;
            Ok((place.platform.clone(), answer))
        }
    });
    let answers = try_join_all(asking).await.map_err(|error: PlatformError| failed(&error));
    solve::close(sessions.into_values()).await;
    answers
}

fn method(topic: Topic) -> &'static str {
    match topic {
        Topic::Check => "lint",
        Topic::Outline => "outline",
        Topic::Targets => "targets",
    }
}

fn failed(error: &PlatformError) -> Diagnostic {
    match error {
        PlatformError::Cancelled => Diagnostic::cancelled(),
        error => Diagnostic::new(ExitCode::Plan, error),
    }
}

/// An old frontend builds instead of answering, so it is not asked. A `# syntax=` line may bring a newer one along.
fn check(means: &Means<'_>, nodes: &[Node], places: &[Place], question: Question) -> Result<(), Diagnostic> {
    let (flag, feature) = match question.topic {
        Topic::Check => ("--call check", Feature::Lint),
        Topic::Outline => ("--call outline", Feature::Outline),
        Topic::Targets => ("--call targets", Feature::Outline),
    };
    if planning::may_name_frontend(means) {
        return Ok(());
    }
    let chosen = places.iter().map(|place| &nodes[place.node]);
    match chosen.into_iter().find_map(|node| missing_feature(flag, feature, &node.name, &node.facts)) {
        None => Ok(()),
        Some(missing) => Err(Diagnostic::message(ExitCode::Plan, missing.to_string())
            .hint("choose another --builder, or name a newer frontend: `# syntax=docker/dockerfile:1`")),
    }
}

/// Prints the answers; a bad one, such as lint warnings, is a finding.
pub(super) fn tell(context: &Context, question: Question, answers: &Answers) -> Result<ExitCode, Diagnostic> {
    context.console.result(render(question.form, answers))?;
    if let Some(error) = answers.iter().find_map(|(_, answer)| refusal(answer)) {
        return Err(Diagnostic::message(ExitCode::Plan, error));
    }
    let bad = answers.iter().any(|(_, answer)| answer.status.is_some_and(|status| status != 0));
    if question.topic == Topic::Check && !bad {
        context.console.say("check: no warnings\n");
    }
    Ok(match (bad, question.bad) {
        (true, BadAnswer::Fails) => ExitCode::Audit,
        _ => ExitCode::Done,
    })
}

/// A check of a Dockerfile that cannot be read says so in its document alone (BuildKit `subrequests/lint`).
fn refusal(answer: &CallAnswer) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(answer.json.as_deref()?).ok()?;
    document.pointer("/buildError/message")?.as_str().map(str::to_owned)
}

fn render(form: AnswerForm, answers: &Answers) -> String {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for (platform, answer) in answers {
        let words = match form {
            AnswerForm::Text => answer.text.as_deref(),
            AnswerForm::Json => answer.json.as_deref(),
        };
        let words = words.unwrap_or_default().trim_matches('\n');
        match groups.iter_mut().find(|(known, _)| *known == words) {
            Some((_, platforms)) => platforms.push(platform.to_string()),
            None => groups.push((words, vec![platform.to_string()])),
        }
    }
    let mut out = String::new();
    for (words, platforms) in groups.iter().filter(|(words, _)| !words.is_empty()) {
        if groups.len() > 1 && form == AnswerForm::Text {
            let _ = writeln!(out, "# {}", platforms.join(", "));
        }
        let _ = match form {
            AnswerForm::Text => writeln!(out, "{}", text::escape(words)),
            AnswerForm::Json => writeln!(out, "{}", escape_json(words)),
        };
    }
    out
}

/// Escapes what moves a cursor or hides text in JSON's own way, so that the document stays the same.
fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for char in json.chars() {
        let harmless = matches!(char, '\n' | '\t') || text::escape(char.encode_utf8(&mut [0; 4])).starts_with(char);
        match harmless {
            true => out.push(char),
            false => char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(out, "\\u{unit:04x}");
            }),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(texts: &[(&str, &str)]) -> Answers {
        let answer = |(platform, text): &(&str, &str)| {
            let answer =
                CallAnswer { text: Some((*text).into()), json: Some(format!("{{\"{text}\":1}}")), status: None };
            (platform.parse().unwrap(), answer)
        };
        texts.iter().map(answer).collect()
    }

    #[test]
    fn what_all_platforms_got_is_said_once() {
        let same = answers(&[("linux/amd64", "x\n"), ("linux/arm64", "x")]);
        assert_eq!(render(AnswerForm::Text, &same), "x\n");
        let other = answers(&[("linux/amd64", "x"), ("linux/arm64", "y"), ("linux/386", "x")]);
        assert_eq!(render(AnswerForm::Text, &other), "# linux/amd64, linux/386\nx\n# linux/arm64\ny\n");
        assert_eq!(render(AnswerForm::Json, &other), "{\"x\":1}\n{\"y\":1}\n");
    }

    #[test]
    fn a_document_stays_the_same() {
        let json = "{\n\t\"a\": \"\\\\ é \u{202e}\u{9b}\"\n}";
        let escaped = escape_json(json);
        assert!(!escaped.contains('\u{202e}') && escaped.contains("\n\t") && escaped.contains('é'), "{escaped}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&escaped), value(json));
    }

    #[test]
    fn a_frontend_s_words_move_no_cursor() {
        assert!(!render(AnswerForm::Text, &answers(&[("linux/amd64", "\u{1b}[2Jx")])).contains('\u{1b}'));
        assert_eq!(render(AnswerForm::Text, &answers(&[("linux/amd64", "")])), "");
    }
}
