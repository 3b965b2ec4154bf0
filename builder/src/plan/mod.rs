//! Plans: which node builds which platform, and how each stage that is reached will run there.
//!
//! Owns: the rules of BuildKit's built-in frontend about stages, platforms and automatic arguments, applied before anything
//! is sent. Pure and deterministic: same input, same plan. Never: fetches an image, so what a base image's config says
//! (its ENV, its ONBUILD triggers) is not known here.

mod args;
mod facts;
mod frontend;
mod graph;
mod matching;
mod mode;
mod named;
mod planner;
mod problem;
mod resolve;
mod signature;
#[cfg(test)]
mod tests;
mod unused;

pub use facts::{NodeFacts, PlanInput};
pub use frontend::is_docker_frontend;
pub use matching::{runs_on, same_platform};
pub use mode::Mode;
pub use planner::{Base, Plan, PlatformPlan, StagePlan, plan};
pub use problem::{CannotRun, Problem, ProblemKind};
pub use unused::{UnusedArg, unused_build_args};
