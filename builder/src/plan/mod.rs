//! Plans: which node builds which platform, and how each stage that is reached will run there.
//!
//! Owns: the rules of BuildKit's built-in frontend about stages, platforms and automatic arguments, applied before anything
//! is sent. Pure and deterministic: same input, same plan. Never: fetches an image, so what a base image's config says
//! (its ENV, its ONBUILD triggers) is not known here.

mod args;
mod copy_flags;
mod env;
mod facts;
mod frontend;
mod graph;
mod images;
mod mode;
mod named;
mod planner;
mod problem;
mod reason;
mod resolve;
mod sharing;
mod stage;
#[cfg(test)]
mod tests;
mod trial;
mod unused;
mod values;
mod walk;
mod words;

pub use args::TARGET_ARGS;
pub use facts::{ImageConfig, ImageFacts, NodeFacts, PlanInput, PlatformImage};
pub use frontend::{Confidence, Frontend, is_docker_frontend};
pub use images::{ImagePlan, ImageUse};
pub use mode::Mode;
pub use planner::{Plan, PlatformPlan, plan};
pub use problem::{CannotRun, Problem, ProblemKind};
pub use reason::{Because, Change, Why, families};
pub use sharing::Totals;
pub use stage::{ArgPlan, Base, StagePlan, Taint};
pub use trial::{Trial, TrialOutcome, doubtful, is_doubtful};
pub use unused::{UnusedArg, unused_build_args};
