//! What of a plan's images must fail a build: pure.

use crate::dockerfile::Dockerfile;
use crate::plan::{PlanInput, Problem, plan};

/// Returns the problems with images: those that are not there, and those that lack a platform. With `input.images` and
/// `input.missing` filled in.
pub fn refusals(file: &Dockerfile, input: &PlanInput) -> Vec<Problem> {
    let mut problems = plan(file, input).problems;
    problems.retain(Problem::is_about_images);
    problems
}
