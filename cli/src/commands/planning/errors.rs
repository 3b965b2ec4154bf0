//! What is wrong with a Dockerfile or a plan, as the user sees it: place, source line, hint.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use polyarch_builder::dockerfile::{ParseError, Span};
use polyarch_builder::plan::{CannotRun, Problem, ProblemKind};
use polyarch_builder::request::DockerfileSource;

use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;

/// Most errors shown at once.
const MOST: usize = 10;

/// Columns of a source line shown around the fault.
const WIDTH: usize = 100;

/// Returns the Dockerfile's name as the user knows it.
pub fn dockerfile_name(source: &DockerfileSource) -> String {
    match source {
        DockerfileSource::File(path) => near_here(path).display().to_string(),
        DockerfileSource::InContext(path) => path.clone(),
        DockerfileSource::Text(_) => "Dockerfile from standard input".to_owned(),
    }
}

/// Returns the path from the current directory, where it is under it.
pub fn near_here(path: &Path) -> PathBuf {
    // Collecting drops a `.` in the middle.
    let clean: PathBuf = path.components().collect();
    let cwd = std::env::current_dir().unwrap_or_default();
    clean.strip_prefix(&cwd).map(Path::to_owned).unwrap_or(clean)
}

/// Returns all errors of a Dockerfile, each with its place.
pub fn of_dockerfile(errors: &[ParseError], name: &str) -> Diagnostic {
    let shown = errors.iter().take(MOST).map(|error| at(name, error.span, &error.kind.to_string(), &error.line_text));
    let mut lines: Vec<String> = shown.collect();
    if errors.len() > MOST {
        lines.push(format!("and {} more errors", errors.len() - MOST));
    }
    let mut diagnostic = Diagnostic::message(ExitCode::Plan, lines.join("\n"));
    for error in errors.iter().take(MOST) {
        let near = error.kind.near();
        match error.kind.advice() {
            _ if !near.is_empty() => diagnostic = diagnostic.hint(format!("did you mean {}?", near.join(" or "))),
            Some(advice) => diagnostic = diagnostic.hint(advice),
            None => {}
        }
    }
    diagnostic
}

/// Returns a place, what is wrong there, and the line with a mark under the fault.
pub fn at(name: &str, span: Span, what: &str, line: &str) -> String {
    let column = usize::try_from(span.column).unwrap_or(usize::MAX).saturating_sub(1);
    let mut out = format!("{name}:{}:{}: {what}", span.line, span.column);
    let chars: Vec<char> = line.trim_end().chars().collect();
    if chars.is_empty() {
        return out;
    }
    // A window around the fault: a line may be megabytes long.
    let start = if chars.len() <= WIDTH { 0 } else { column.min(chars.len()).saturating_sub(WIDTH / 2) };
    let shown: String = chars.iter().skip(start).take(WIDTH).map(|c| if *c == '\t' { ' ' } else { *c }).collect();
    // Writing to a String cannot fail.
    let _ = write!(out, "\n{:>6} | {shown}", span.line);
    let _ = write!(out, "\n{:>6} | {}^", "", " ".repeat(column.min(chars.len()).saturating_sub(start)));
    out
}

/// Returns a problem of the plan with what helps against it. `line` gives the text of a line.
pub fn of_plan(problem: &Problem, name: &str, line: &dyn Fn(u32) -> String) -> Diagnostic {
    let text = match problem.span {
        Some(span) => at(name, span, &problem.to_string(), &line(span.line)),
        None => problem.to_string(),
    };
    let mut diagnostic = Diagnostic::message(ExitCode::Plan, text);
    let mut cause = problem.kind.source();
    while let Some(error) = cause {
        diagnostic.chain.push(error.to_string());
        cause = error.source();
    }
    hints(diagnostic, &problem.kind)
}

fn hints(diagnostic: Diagnostic, kind: &ProblemKind) -> Diagnostic {
    match kind {
        ProblemKind::NoNode => diagnostic.hint("name a node with --builder"),
        ProblemKind::UnknownTarget { near, .. } if !near.is_empty() => {
            diagnostic.hint(format!("did you mean {}?", near.join(" or ")))
        }
        ProblemKind::UnknownTarget { stages, .. } if !stages.is_empty() => {
            diagnostic.hint(format!("the stages are {}", stages[..stages.len().min(20)].join(", ")))
        }
        ProblemKind::UnknownTarget { .. } => diagnostic.hint("no stage has a name: leave out --target"),
        ProblemKind::BadImage { stage: Some(stage), .. } => {
            diagnostic.hint(format!("a stage's name is lower-case in FROM: write {stage}"))
        }
        ProblemKind::BlankBase(_) | ProblemKind::EmptyPlatform(_) => {
            diagnostic.hint("FROM sees only ARGs before the first FROM: declare it there, or give --build-arg")
        }
        ProblemKind::BadPlatform { .. } => diagnostic.hint("such as linux/arm64 or $BUILDPLATFORM"),
        ProblemKind::UsedBeforeDefined { used, by } => {
            diagnostic.hint(format!("move stage {used} above stage {by}, or name an image"))
        }
        ProblemKind::Circular(_) => diagnostic.hint("put what both need into a stage of its own above them"),
        ProblemKind::BadIndex(_) => diagnostic.hint("name the stage: FROM … AS NAME, then --from=NAME"),
        ProblemKind::BadValue { keyword: "EXPOSE", .. } => diagnostic.hint("such as 80, 80/udp or 80-90/tcp"),
        ProblemKind::BadValue { .. } => diagnostic.hint("such as SIGTERM or 15"),
        ProblemKind::BadCopyFlag { flag: "chmod", .. } => diagnostic.hint("such as 755 or u=rwX,go=rX"),
        ProblemKind::BadMount { source, .. } if !source.near.is_empty() => {
            diagnostic.hint(format!("did you mean {}?", source.near.join(" or ")))
        }
        ProblemKind::MissingImage { name, near } => missing_image(diagnostic, name, near),
        ProblemKind::LacksPlatform { has, .. } => {
            let has: Vec<String> = has.iter().map(ToString::to_string).collect();
            let has = if has.is_empty() { "no platform at all".to_owned() } else { has.join(", ") };
            diagnostic.hint(format!("it has {has}: leave the others out of --platform, or choose another image"))
        }
        ProblemKind::CannotRun(cannot) => cannot_run(diagnostic, cannot),
        _ => diagnostic,
    }
}

fn missing_image(diagnostic: Diagnostic, name: &str, near: &[String]) -> Diagnostic {
    let reference = name.parse::<polyarch_registry::oci::Reference>();
    let Ok(reference) = reference else { return diagnostic };
    if !near.is_empty() {
        return diagnostic.hint(format!("{} has tags like {}", reference.name(), near.join(", ")));
    }
    diagnostic.hint(format!("{} was asked for {}", reference.host(), reference.or_latest()))
}

fn cannot_run(diagnostic: Diagnostic, cannot: &CannotRun) -> Diagnostic {
    let offers: Vec<String> = cannot.offers.iter().map(ToString::to_string).collect();
    let diagnostic = diagnostic.hint(format!("the node offers {}", offers.join(", ")));
    if cannot.needs.os != "linux" {
        // QEMU's user mode runs Linux programs only.
        return diagnostic.hint(format!(
            "no emulator runs {} programs on Linux: run the stage's commands on the build platform, \
             FROM --platform=$BUILDPLATFORM, and cross-compile",
            cannot.needs.os
        ));
    }
    diagnostic
        .hint(format!(
            "register the emulator on the node: apt-get install qemu-user-static binfmt-support, \
             or docker run --privileged --rm tonistiigi/binfmt --install {}",
            cannot.needs.architecture
        ))
        .hint("or name a node that runs it with another --builder")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::Style;
    use polyarch_builder::dockerfile::parse;

    fn shown(text: &str) -> String {
        of_dockerfile(&parse(text.as_bytes()).unwrap_err(), "Dockerfile").render(Style::plain())
    }

    #[test]
    fn points_at_the_fault() {
        insta::assert_snapshot!(shown("FROM alpine\nCOPY --link \\\n     --form=x a b\n"));
        insta::assert_snapshot!(shown(&format!("FROM alpine\nENV {} b\n", "a=1 ".repeat(100))));
        insta::assert_snapshot!(shown("FROM alpine\nRUN <<EOF\nx\n"));
    }

    #[test]
    fn an_emulator_is_suggested_only_where_there_is_one() {
        let hints = |needs: &str| {
            let needs: polyarch_registry::oci::Platform = needs.parse().unwrap();
            let cannot = CannotRun {
                stage: "app".into(),
                platform: needs.clone(),
                needs,
                node: "docker".into(),
                offers: vec!["linux/amd64".parse().unwrap()],
            };
            let problem = Problem { kind: ProblemKind::CannotRun(Box::new(cannot)), span: None };
            of_plan(&problem, "Dockerfile", &|_| String::new()).hints.join("\n")
        };
        let linux = hints("linux/s390x");
        assert!(linux.contains("binfmt --install s390x") && linux.contains("another --builder"), "{linux}");
        for other in ["windows/amd64", "darwin/arm64"] {
            let shown = hints(other);
            assert!(!shown.contains("binfmt") && shown.contains("--platform=$BUILDPLATFORM"), "{shown}");
        }
    }
}
