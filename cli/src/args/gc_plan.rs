//! `polyarch gc-plan`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::RegistryAccess;

/// Tell what of a repository can be deleted without taking anything from what is kept. Deletes nothing.
///
/// From the tags that are kept everything is kept that they reach, platforms and attestations, and what refers to that: signatures,
/// SBOMs. A tag is kept that any option keeps. Manifests without a tag are not seen: registries do not list them.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("keep").args(["keep_tags", "keep_last", "older_than"]).multiple(true).required(true))]
#[command(after_long_help = "\
Examples:
  polyarch gc-plan registry.example.com/team/app --keep-tags 'v*' --keep-tags latest
  polyarch gc-plan registry.example.com/team/app --keep-last 10 --older-than 30d
  polyarch gc-plan registry.example.com/team/app --keep-last 10 --format dot | dot -Tsvg -o app.svg")]
pub struct GcPlanArgs {
    /// Repository
    #[arg(value_name = "REPO")]
    pub repository: String,
    /// Keep tags that fit; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub keep_tags: Vec<String>,
    /// Keep so many images, the newest, with all their tags
    #[arg(long, value_name = "N")]
    pub keep_last: Option<usize>,
    /// Keep what was created since, such as 30d
    #[arg(long, value_name = "TIME")]
    pub older_than: Option<String>,
    /// How the plan is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: GcPlanFormat,
    /// Write the plan to a file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// How a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GcPlanFormat {
    /// For people, with the commands to review
    Text,
    /// One JSON document, see docs/gc-plan.md
    Json,
    /// The graph, for Graphviz
    Dot,
}
