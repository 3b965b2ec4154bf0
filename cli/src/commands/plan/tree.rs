//! The plan as a tree for people, in 80 columns.

use std::fmt::Write as _;

use polyarch_builder::plan::{Base, ImagePlan, ImageUse, Mode, Plan, StagePlan, Totals, Trial, TrialOutcome, families};
use polyarch_registry::oci::Platform;

use super::super::planning::doubts;
use super::Prepared;
use crate::style::Style;
use crate::text::{cell, escape, fit, wrap};

const WIDTH: usize = 80;

/// Returns the tree, ending in a newline. Everything untrusted is escaped.
pub(super) fn render(prepared: &Prepared, plan: &Plan, style: Style) -> String {
    let mut out = head(prepared, plan, style);
    let mut indexes: Vec<usize> =
        plan.platforms.iter().flat_map(|one| one.stages.iter().map(|stage| stage.index)).collect();
    indexes.sort_unstable();
    indexes.dedup();
    let several_nodes = plan.platforms.windows(2).any(|pair| pair[0].node != pair[1].node);
    for index in indexes {
        out.push_str(&stage(plan, index, several_nodes, style));
    }
    out.push_str(&images(&plan.images, style));
    out.push_str(&totals(plan, &plan.totals, style));
    out
}

fn head(prepared: &Prepared, plan: &Plan, style: Style) -> String {
    let mut out = String::new();
    let count = plan.platforms.len();
    let target = plan.platforms.first().and_then(|one| one.stages.last()).map(label);
    let target = target.map(|name| format!(", target {name}")).unwrap_or_default();
    let plural = if count == 1 { "" } else { "s" };
    let title = format!("{}{target}, {count} platform{plural}", prepared.name);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", style.bold(fit(&escape(&title), WIDTH)));
    for node in &prepared.input.nodes {
        let list = |platforms: &[Platform]| platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let emulated = if node.emulated.is_empty() { "none".to_owned() } else { list(&node.emulated) };
        let tried: Vec<String> = node.tried.iter().map(trial).collect();
        let tried = if tried.is_empty() { String::new() } else { format!("; tried {}", tried.join(", ")) };
        let text = format!("{}: native {}; emulated {emulated}{tried}", node.name, families(&node.native).join(", "));
        paragraph(&mut out, "", &text, style);
    }
    for last in &prepared.last_builds {
        paragraph(&mut out, "", &format!("last build of {}: {}", last.platform, last.line()), style);
    }
    for text in guesses(plan) {
        let lines = wrap(&escape(&text), WIDTH - 9).join("\n         ");
        let _ = writeln!(out, "{} {lines}", style.warning("warning:"));
    }
    out
}

/// `linux/s390x: no emulator`.
fn trial(trial: &Trial) -> String {
    let outcome = match trial.outcome {
        TrialOutcome::Native => "native",
        TrialOutcome::Emulated => "emulated",
        TrialOutcome::Fails => "no emulator",
    };
    format!("{}: {outcome}", trial.platform)
}

/// Why a plan cannot be trusted.
fn guesses(plan: &Plan) -> Vec<String> {
    let foreign = plan.frontend.as_ref().filter(|frontend| !frontend.is_docker).map(|frontend| {
        format!("the frontend {} reads this Dockerfile by its own rules; this plan is a guess", frontend.reference)
    });
    foreign.into_iter().chain(doubts(plan)).collect()
}

/// What platforms of a stage have in common.
#[derive(PartialEq)]
struct Row<'a> {
    mode: Mode,
    node: &'a str,
    platform: Option<&'a Platform>,
    tried: bool,
    runs: (usize, usize),
    shared: &'a [Platform],
}

fn stage(plan: &Plan, index: usize, several_nodes: bool, style: Style) -> String {
    let mut rows: Vec<(Row<'_>, Vec<&Platform>, &StagePlan)> = Vec::new();
    for one in &plan.platforms {
        let Some(stage) = one.stage(index) else { continue };
        let row = Row {
            mode: stage.mode,
            node: &one.node,
            // What all targets have for themselves needs no telling.
            platform: (!stage.platform.same_as(&one.platform)).then_some(&stage.platform),
            tried: stage.tried,
            runs: (stage.run_steps, stage.shared_run_steps),
            shared: &stage.shared_with,
        };
        let same = rows.iter_mut().find(|(known, platforms, _)| {
            let is_partner = row.shared.is_empty() || platforms.iter().all(|platform| row.shared.contains(platform));
            let alike = known.mode == row.mode && known.node == row.node && known.runs == row.runs;
            let alike = alike && known.tried == row.tried;
            alike
                && is_partner
                && row.shared.len() == known.shared.len()
                && known.platform.or(row.platform) == row.platform.or(known.platform)
        });
        match same {
            Some((_, platforms, _)) => platforms.push(&one.platform),
            None => rows.push((row, vec![&one.platform], stage)),
        }
    }
    let Some((_, _, first)) = rows.first() else { return String::new() };
    let mut out = String::new();
    let base = match &first.base {
        Base::Stage(name) => name.clone(),
        Base::Scratch => "scratch".to_owned(),
        Base::Image(name) => name.clone(),
        Base::Context(name) => format!("context {name}"),
    };
    let title = format!("FROM {base}, line {}", first.span.line);
    let name = label(first);
    let room = WIDTH.saturating_sub(name.chars().count() + 2);
    let _ = writeln!(out, "\n{}  {}", style.bold(escape(&name)), style.dim(fit(&escape(&title), room)));
    let total = plan.platforms.len();
    for (row, platforms, stage) in &rows {
        line(&mut out, row, platforms, (total, several_nodes), stage, style);
    }
    // What helps against the worst helps against the rest.
    if let Some((_, _, stage)) =
        rows.iter().filter(|(_, _, stage)| stage.why.is_some()).max_by_key(|(row, ..)| row.mode)
    {
        explain(&mut out, stage, style);
    }
    out
}

fn line(
    out: &mut String,
    row: &Row<'_>,
    platforms: &[&Platform],
    (total, several_nodes): (usize, bool),
    stage: &StagePlan,
    style: Style,
) {
    let mode = cell(&row.mode.to_string(), 10);
    let mode = match row.mode {
        Mode::Files => style.dim(mode),
        Mode::Native => style.good(mode),
        Mode::Cross => style.hint(mode),
        Mode::Emulated => style.warning(mode),
        Mode::Impossible => style.error(mode),
    };
    let mut notes = Vec::new();
    if let (runs @ 1.., shared) = row.runs {
        notes.push(match shared {
            shared if shared == 0 || !row.shared.is_empty() => format!("{runs} RUN"),
            shared => format!("{runs} RUN ({shared} shared)"),
        });
    }
    if !row.shared.is_empty() {
        notes.push("once for all".to_owned());
    }
    if let Some(platform) = row.platform {
        notes.push(format!("as {platform}"));
    }
    match row.mode {
        Mode::Emulated if row.tried => notes.push("proven".to_owned()),
        Mode::Impossible if row.tried => notes.push("no emulator".to_owned()),
        _ => {}
    }
    if several_nodes {
        notes.push(format!("on {}", row.node));
    }
    if let (Some(taint), Mode::Cross) = (&stage.taint, row.mode) {
        notes.push(format!("uses {} in line {}", taint.argument, taint.line));
    }
    let names = match platforms.len() {
        count if count == total && count > 2 => format!("all {count} platforms"),
        _ => platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let notes = if notes.is_empty() { String::new() } else { format!(": {}", notes.join(", ")) };
    let mut lines = wrap(&escape(&format!("{names}{notes}")), WIDTH - 13).into_iter();
    let _ = writeln!(out, "  {mode} {}", lines.next().unwrap_or_default());
    for rest in lines {
        let _ = writeln!(out, "{}{rest}", " ".repeat(13));
    }
}

fn explain(out: &mut String, stage: &StagePlan, style: Style) {
    if let Some(why) = &stage.why {
        paragraph(out, "why     ", &why.to_string(), style);
    }
    for (at, change) in stage.change.iter().enumerate() {
        let label = if at == 0 { "change  " } else { "or      " };
        paragraph(out, label, &change.to_string(), style);
    }
}

/// Writes a wrapped text under a label.
fn paragraph(out: &mut String, label: &str, text: &str, style: Style) {
    let indent = if label.is_empty() { 2 } else { 4 };
    let width = WIDTH - indent - label.len();
    for (at, line) in wrap(&escape(text), width).into_iter().enumerate() {
        let label = if at == 0 { style.dim(label) } else { " ".repeat(label.len()) };
        let _ = writeln!(out, "{}{label}{line}", " ".repeat(indent));
    }
}

fn images(images: &[ImagePlan], style: Style) -> String {
    if images.is_empty() {
        return String::new();
    }
    let mut out = format!("\n{}\n", style.bold("images"));
    for image in images {
        let digest = image.digest.as_deref().filter(|digest| !image.name.contains(digest));
        let digest = digest.map(|digest| format!("@{}", fit(digest, 19))).unwrap_or_default();
        let frontend = if image.is_frontend { ", the frontend" } else { "" };
        let _ = writeln!(out, "  {}", fit(&escape(&format!("{}{digest}{frontend}", image.name)), WIDTH - 2));
        let list = |wanted: Option<bool>| {
            let some = image.platforms.iter().filter(|one| one.available == wanted);
            some.map(image_use).collect::<Vec<_>>().join(", ")
        };
        for (available, label) in [(Some(true), "has     "), (Some(false), "LACKS   "), (None, "for     ")] {
            let platforms = list(available);
            if !platforms.is_empty() {
                paragraph(&mut out, label, &platforms, style);
            }
        }
        if let Some(index) = &image.index_of_tag {
            paragraph(
                &mut out,
                "PIN     ",
                "of one platform's manifest; every platform gets that one. The index is",
                style,
            );
            paragraph(&mut out, "        ", index, style);
        } else if image.is_manifest && image.platforms.len() > 1 {
            paragraph(&mut out, "ONE     ", "image for every platform, not an index", style);
        }
    }
    out
}

/// `linux/arm64 08ff1fc0555a`: the platform and its manifest.
fn image_use(used: &ImageUse) -> String {
    let digest = used.digest.as_deref().filter(|_| used.available == Some(true));
    let short =
        digest.and_then(|digest| digest.split_once(':')).map(|(_, hex)| hex.chars().take(12).collect::<String>());
    short.map_or_else(|| used.platform.to_string(), |short| format!("{} {short}", used.platform))
}

fn totals(plan: &Plan, totals: &Totals, style: Style) -> String {
    let parts = [
        (totals.native, "native"),
        (totals.cross, "cross"),
        (totals.emulated, "emulated"),
        (totals.impossible, "impossible"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mut text = format!("{}, {}", plural(totals.stages, "stage"), plural(totals.run_steps, "RUN step"));
    if !parts.is_empty() {
        let _ = write!(text, ": {}", parts.join(", "));
    }
    if totals.saved > 0 {
        let _ = write!(text, "; {} saved by sharing", totals.saved);
    }
    if !plan.problems.is_empty() {
        let _ = write!(text, "; {}", plural(plan.problems.len(), "problem"));
    }
    let lines = wrap(&text, WIDTH - 7).join("\n       ");
    format!("\n{} {lines}\n", style.bold("total:"))
}

/// A stage's name; one without has its position.
fn label(stage: &StagePlan) -> String {
    match stage.name.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("stage-{}", stage.name),
        false => stage.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polyarch_builder::dockerfile::parse;
    use polyarch_builder::plan::{ImageFacts, NodeFacts, PlanInput, PlatformImage, plan};

    fn platforms(list: &str) -> Vec<Platform> {
        list.split_whitespace().map(|text| text.parse().unwrap()).collect()
    }

    fn node(name: &str, native: &str, emulated: &str) -> NodeFacts {
        let native = platforms(native);
        NodeFacts {
            name: name.into(),
            build_platform: native[0].clone(),
            native,
            emulated: platforms(emulated),
            tried: Vec::new(),
        }
    }

    fn shown(text: &str, list: &str, nodes: Vec<NodeFacts>, images: &[(&str, &str)]) -> String {
        let file = parse(text.as_bytes()).unwrap();
        let mut input = PlanInput { platforms: platforms(list), nodes, ..PlanInput::default() };
        for (name, has) in images {
            let one =
                |platform: Platform| PlatformImage { platform, digest: "sha256:fedcba9876543210".into(), config: None };
            let list = platforms(has).into_iter().map(one).collect();
            let digest = "sha256:0123456789abcdef".into();
            input.images.insert((*name).into(), ImageFacts { digest, platforms: list, ..ImageFacts::default() });
        }
        let made = plan(&file, &input);
        let prepared = Prepared {
            name: "Dockerfile".into(),
            file,
            input,
            notes: Vec::new(),
            image_notes: Vec::new(),
            ignore_file: None,
            last_builds: Vec::new(),
        };
        let tree = render(&prepared, &made, Style::plain());
        assert!(tree.lines().all(|line| line.chars().count() <= WIDTH), "{tree}");
        tree
    }

    const TEXT: &str = "\
# syntax=example.org/frontend
FROM --platform=$BUILDPLATFORM golang:1.25 AS deps
RUN go mod download
FROM deps AS build
ARG TARGETARCH
RUN GOARCH=$TARGETARCH go build -o /app .
FROM node:22 AS web
RUN npm ci
FROM alpine:3.22
COPY --from=build /app /app
COPY --from=web /dist /dist
";

    #[test]
    fn a_tree_says_what_happens_and_why() {
        let laptop = node("laptop", "linux/amd64", "linux/arm64 linux/arm/v7");
        let images = [("alpine:3.22", "linux/amd64 linux/arm64"), ("golang:1.25", "linux/amd64")];
        insta::assert_snapshot!(shown(TEXT, "linux/amd64 linux/arm64 linux/arm/v7 linux/s390x", vec![laptop], &images));
    }

    #[test]
    fn a_tree_says_where_on_several_nodes() {
        let nodes = vec![node("big", "linux/amd64", "linux/arm64"), node("small", "linux/arm64", "")];
        insta::assert_snapshot!(shown(&TEXT[TEXT.find('\n').unwrap() + 1..], "linux/amd64 linux/arm64", nodes, &[]));
    }

    #[test]
    fn names_of_others_are_escaped_and_cut() {
        let text = format!("FROM a{}\u{202e}b AS x\nRUN y\n", "a".repeat(200));
        let tree = shown(&text, "linux/amd64", vec![node("n\x1b[2J", "linux/amd64", "")], &[]);
        assert!(!tree.contains('\x1b') && !tree.contains('\u{202e}'), "{tree}");
    }
}
