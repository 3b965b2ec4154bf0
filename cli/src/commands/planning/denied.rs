//! `--deny`: ways of running a plan may not contain.

use std::collections::BTreeSet;

use polyarch_builder::plan::{Mode, Plan, StagePlan};
use polyarch_registry::oci::Platform;

use super::errors;
use crate::args::values::Denied;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;

/// Returns the first stage that runs in a way that is denied, and its platform.
pub fn first<'a>(plan: &'a Plan, denied: &BTreeSet<Denied>) -> Option<(&'a Platform, &'a StagePlan)> {
    let is_denied = |stage: &&StagePlan| stage.mode == Mode::Emulated && denied.contains(&Denied::Emulated);
    plan.platforms.iter().find_map(|one| Some((&one.platform, one.stages.iter().find(is_denied)?)))
}

/// Returns what is told about it: where, why, and what would change it.
pub fn refusal(platform: &Platform, stage: &StagePlan, name: &str, line: &dyn Fn(u32) -> String) -> Diagnostic {
    let steps = match stage.run_steps {
        1 => "1 RUN step".to_owned(),
        n => format!("{n} RUN steps"),
    };
    let what =
        format!("stage {:?} would be emulated for {platform} ({steps}), and --deny emulated forbids it", stage.name);
    let text = errors::at(name, stage.span, &what, &line(stage.span.line));
    let mut diagnostic = Diagnostic::message(ExitCode::Plan, text);
    diagnostic.chain.extend(stage.why.as_ref().map(ToString::to_string));
    for change in &stage.change {
        diagnostic = diagnostic.hint(change.to_string());
    }
    diagnostic
}
