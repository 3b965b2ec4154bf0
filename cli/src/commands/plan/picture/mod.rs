//! The plan as a graph: a lane for every platform, and one for the stages that several share.
//!
//! Owns: which boxes there are, in which lane and how far to the right; the formats draw them. Never: lets text of a
//! Dockerfile or a registry through unescaped.

mod dot;
mod html;
mod mermaid;
mod svg;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use polyarch_builder::plan::{Base, Mode, Plan, StagePlan};
use polyarch_registry::oci::Platform;

pub(super) use dot::render as dot;
pub(super) use html::render as html;
pub(super) use mermaid::render as mermaid;
pub(super) use svg::render as svg;

use crate::text::{escape, fit};

/// Most characters of a name in a box; the hover text has all of it.
const NAME: usize = 24;

/// Most characters of a line of a hover text.
const HOVER: usize = 200;

/// A plan as boxes and arrows.
#[derive(Debug)]
pub(super) struct Picture {
    /// What it is of.
    title: String,
    lanes: Vec<Lane>,
    boxes: Vec<Stage>,
    /// From and to, indexes into the boxes.
    arrows: Vec<(usize, usize)>,
    /// The target's box, one per platform.
    targets: Vec<Option<usize>>,
    totals: String,
}

#[derive(Debug)]
struct Lane {
    name: String,
}

/// One stage of one platform, or of several that share it. All text is free of control characters.
#[derive(Debug)]
struct Stage {
    lane: usize,
    /// Boxes before it on its longest way.
    rank: usize,
    mode: Mode,
    name: String,
    base: String,
    /// `emulated, 2 RUN`.
    how: String,
    is_target: bool,
    hover: Vec<String>,
}

impl Picture {
    /// Arranges a plan.
    pub(super) fn of(plan: &Plan, title: &str) -> Self {
        let mut lanes: Vec<Lane> = plan.platforms.iter().map(|one| Lane { name: lane_name(one) }).collect();
        let is_shared = plan.platforms.iter().any(|one| one.stages.iter().any(|stage| stage.shared));
        if is_shared {
            lanes.insert(0, Lane { name: "shared, runs once".to_owned() });
        }
        let mut picture = Self {
            title: clean(title),
            lanes,
            boxes: Vec::new(),
            arrows: Vec::new(),
            targets: Vec::new(),
            totals: totals(plan),
        };
        // A stage that is shared is the same box for all who share it.
        let mut shared: BTreeMap<(usize, Vec<String>), usize> = BTreeMap::new();
        for (at, one) in plan.platforms.iter().enumerate() {
            let mut places: BTreeMap<usize, usize> = BTreeMap::new();
            for stage in &one.stages {
                let lane = if stage.shared { 0 } else { at + usize::from(is_shared) };
                let key = stage.shared.then(|| (stage.index, group(&one.platform, stage)));
                let known = key.as_ref().and_then(|key| shared.get(key)).copied();
                let is_new = known.is_none();
                let place = known.unwrap_or(picture.boxes.len());
                places.insert(stage.index, place);
                if !is_new {
                    continue;
                }
                let needs: Vec<usize> =
                    needed(stage, &one.stages).into_iter().filter_map(|index| places.get(&index).copied()).collect();
                let rank = needs.iter().filter_map(|need| picture.boxes.get(*need)).map(|need| need.rank + 1).max();
                picture.arrows.extend(needs.iter().map(|need| (*need, place)));
                let is_target = one.stages.last().is_some_and(|last| last.index == stage.index);
                picture.boxes.push(draw(plan, &one.platform, stage, (lane, rank.unwrap_or(0)), is_target));
                shared.extend(key.map(|key| (key, place)));
            }
            picture.targets.push(one.stages.last().and_then(|last| places.get(&last.index).copied()));
        }
        picture
    }

    /// Adds a line to the hover text of a platform's target.
    pub(super) fn tell_of_target(&mut self, platform: usize, line: &str) {
        let target = self.targets.get(platform).copied().flatten();
        if let Some(stage) = target.and_then(|target| self.boxes.get_mut(target)) {
            stage.hover.push(fit(&clean(line), HOVER));
        }
    }
}

fn lane_name(one: &polyarch_builder::plan::PlatformPlan) -> String {
    clean(&format!("{} on {}", one.platform, one.node))
}

/// The platforms that share a stage, in one order for all of them.
fn group(own: &Platform, stage: &StagePlan) -> Vec<String> {
    let mut group: Vec<String> = stage.shared_with.iter().chain([own]).map(ToString::to_string).collect();
    group.sort();
    group
}

/// Positions of the stages a stage needs, what it begins with included.
fn needed(stage: &StagePlan, stages: &[StagePlan]) -> Vec<usize> {
    let by_name = |name: &String| stages.iter().rfind(|one| one.name == *name && one.index < stage.index);
    let named = stage.needs.iter().filter_map(by_name).map(|one| one.index);
    let mut needed: Vec<usize> = stage.base_index.into_iter().chain(named).collect();
    needed.sort_unstable();
    needed.dedup();
    needed
}

fn draw(plan: &Plan, platform: &Platform, stage: &StagePlan, (lane, rank): (usize, usize), is_target: bool) -> Stage {
    let base = match &stage.base {
        Base::Stage(name) => format!("stage {name}"),
        Base::Scratch => "scratch".to_owned(),
        Base::Image(name) => name.clone(),
        Base::Context(name) => format!("context {name}"),
    };
    let name = match stage.name.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("stage {}", stage.name),
        false => stage.name.clone(),
    };
    let how = match stage.run_steps {
        0 => stage.mode.to_string(),
        runs => format!("{}, {runs} RUN", stage.mode),
    };
    let mut hover = vec![format!("{name}, line {}", stage.span.line), format!("FROM {base}")];
    hover.extend(image_digest(plan, stage));
    hover.push(match stage.mode {
        Mode::Files => "files are copied, nothing runs".to_owned(),
        _ => format!("runs as {}: {how}", stage.platform),
    });
    match stage.shared {
        true => hover.push(format!("once for {}", group(platform, stage).join(", "))),
        false => hover.push(format!("for {platform}")),
    }
    hover.extend(stage.taint.as_ref().map(|taint| format!("uses {} in line {}", taint.argument, taint.line)));
    hover.extend(stage.why.as_ref().map(|why| format!("why: {why}")));
    hover.extend(stage.change.first().map(|change| format!("change: {change}")));
    Stage {
        lane,
        rank,
        mode: stage.mode,
        name: fit(&clean(&name), NAME),
        base: fit(&clean(&base), NAME + 4),
        how,
        is_target,
        hover: hover.iter().map(|line| fit(&clean(line), HOVER)).collect(),
    }
}

/// The manifest a stage begins with.
fn image_digest(plan: &Plan, stage: &StagePlan) -> Option<String> {
    let Base::Image(name) = &stage.base else { return None };
    let image = plan.images.iter().find(|image| image.name == *name)?;
    let used = image.platforms.iter().find(|used| used.platform == stage.platform)?;
    match (used.available, &used.digest) {
        (Some(false), _) => Some(format!("the image lacks {}", stage.platform)),
        (_, digest) => digest.clone(),
    }
}

fn totals(plan: &Plan) -> String {
    let totals = &plan.totals;
    let parts = [
        (totals.native, "native"),
        (totals.cross, "cross"),
        (totals.emulated, "emulated"),
        (totals.impossible, "impossible"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    let saved = if totals.saved > 0 { format!("; {} saved by sharing", totals.saved) } else { String::new() };
    let modes = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    format!("{} stages, {} RUN steps{modes}{saved}", totals.stages, totals.run_steps)
}

/// One line without anything that moves a cursor or hides text.
fn clean(text: &str) -> String {
    escape(&text.replace(['\n', '\t'], " "))
}

/// Escapes text for XML and HTML, in attributes too.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
