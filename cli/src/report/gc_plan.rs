//! What can be deleted, for people, with the commands that do it for review. Pure.

use std::fmt::Write as _;

use polyarch_registry::gc_plan::{Deletable, Plan};

use crate::style::Style;
use crate::text::{bytes, cell, escape, right, wrap};

const WIDTH: usize = 80;
/// Columns of a tag, a digest, and what it is.
const COLUMNS: [usize; 3] = [28, 12, 24];
/// Tags that stay and have the same reason are named one by one up to this many.
const NAMED: usize = 8;
/// What no plan sees.
const BLIND: &str = "Not seen: manifests without a tag, which registries do not list, and what only they reach; an index without a tag \
    may need some of these. Blobs are counted once for this repository; others may share them, and the registry frees them when it \
    collects its garbage.";

/// Returns the text.
pub fn render(plan: &Plan, style: Style) -> String {
    let mut out = String::new();
    kept(&mut out, plan, style);
    if !plan.complete {
        for one in &plan.unchecked {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}", style.warning(escape(&format!("could not check {one}"))));
        }
        let text = "nothing is safe to delete while this is not known";
        let _ = writeln!(out, "{}", style.error(text));
        return out;
    }
    if plan.tags.is_empty() && plan.manifests.is_empty() {
        let _ = writeln!(out, "{}", style.good("nothing can be deleted"));
        return out;
    }
    if !plan.manifests.is_empty() {
        out.push('\n');
        table(&mut out, &plan.manifests, style);
    }
    let _ = writeln!(
        out,
        "\n{} and {} can be deleted; {} needed by nothing then: {}\n",
        count(plan.tags.len(), "tag"),
        count(plan.manifests.len(), "manifest"),
        match plan.blobs {
            1 => "1 blob is".to_owned(),
            blobs => format!("{blobs} blobs are"),
        },
        bytes(plan.bytes)
    );
    wrap(BLIND, WIDTH).iter().for_each(|line| out.extend([line, "\n"]));
    commands(&mut out, plan, style);
    out
}

fn kept(out: &mut String, plan: &Plan, style: Style) {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for one in &plan.kept {
        match reasons.iter_mut().find(|(reason, _)| *reason == one.reason) {
            Some((_, tags)) => tags.push(&one.tag),
            None => reasons.push((&one.reason, vec![&one.tag])),
        }
    }
    let head = format!(
        "{}: {} and {} stay",
        plan.repository,
        count(plan.kept.len(), "tag"),
        count(plan.kept_manifests, "manifest")
    );
    let _ = writeln!(out, "{}", style.bold(escape(&head)));
    for (reason, tags) in reasons {
        let more = tags.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let text = format!("{reason}: {}{more}", tags[..tags.len().min(NAMED)].join(", "));
        wrap(&escape(&text), WIDTH - 2).iter().for_each(|line| out.extend(["  ", line, "\n"]));
    }
}

fn table(out: &mut String, manifests: &[Deletable], style: Style) {
    let [tag, digest, what] = COLUMNS;
    let line = |cells: [&str; 4]| {
        let [a, b, c, d] = cells;
        format!("{}  {}  {}  {}", cell(a, tag), cell(b, digest), cell(c, what), right(d, 10))
    };
    let _ = writeln!(out, "{}", style.bold(line(["OF TAG", "DIGEST", "WHAT", "FREES"])));
    for one in manifests {
        let name = escape(one.tag.as_deref().unwrap_or("-"));
        let what = match &one.platform {
            Some(platform) => escape(platform).replace('\n', " "),
            None => one.kind.name().to_owned(),
        };
        let _ = writeln!(out, "{}", line([&name, one.digest.short(), &what, &bytes(one.bytes)]));
    }
}

/// Tags first: a manifest that goes takes its tags along, which not every registry does well.
fn commands(out: &mut String, plan: &Plan, style: Style) {
    let repository = escape(&plan.repository);
    let _ = writeln!(out, "\n{}", style.dim("# tags"));
    for tag in &plan.tags {
        let _ = writeln!(out, "polyarch rm {repository}:{}", escape(tag));
    }
    if plan.manifests.is_empty() {
        return;
    }
    let _ = writeln!(out, "{}", style.dim("# manifests that no tag reaches then, each index before what it lists"));
    for one in &plan.manifests {
        let _ = writeln!(out, "polyarch rm --digest {repository}@{}", one.digest);
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
