//! The command line as clap reads it: types only. A doc comment is the help text.
//!
//! Never: reads the environment, checks that files exist, or knows what an option leads to;
//! [`crate::settings`] does.

#![allow(rustdoc::broken_intra_doc_links, reason = "the brackets of help texts mean `optional`")]

pub mod audit;
pub mod audit_output;
pub mod audit_policy;
pub mod audit_run;
pub mod build;
pub mod copy;
pub mod diff;
pub mod gc_plan;
pub mod index;
pub mod inspect;
pub mod lock;
pub mod login;
pub mod plan;
pub mod push;
pub mod registry;
pub mod registry_access;
pub mod store;
pub mod tools;
pub mod values;
pub mod verify;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use build::BuildArgs;
pub use inspect::InspectArgs;
pub use lock::LockArgs;
pub use login::{LoginArgs, LogoutArgs};
pub use plan::{CheckArgs, PlanArgs};
pub use push::PushArgs;
pub use registry::RegistryCommand;
pub use registry_access::RegistryAccess;
pub use store::StoreCommand;
pub use verify::VerifyArgs;

/// Builds one container image for many platforms, verifies every byte of it, and publishes it safely.
#[derive(Debug, Parser)]
#[command(name = "polyarch", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_long_help = crate::settings::env_vars::help(), subcommand_required = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Local content store [default: $XDG_DATA_HOME/polyarch/store]
    #[arg(long, global = true, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: values::Color,
    /// Log more to stderr (-vv for everything); POLYARCH_LOG takes a filter
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// One command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an image for every platform asked for, and join the results into one index
    #[command(alias = "b")]
    Build(Box<BuildArgs>),
    /// Show what a build would do on every platform, without building
    ///
    /// `--platform all-from-base` takes every platform of the target's base image.
    Plan(Box<PlanArgs>),
    /// Write the digests of all external images to a file that `build --locked` obeys
    Lock(Box<LockArgs>),
    /// Check a Dockerfile for mistakes that only show on some platforms
    Check(Box<CheckArgs>),
    /// Show what is behind a reference: index, platforms, attestations
    Inspect(InspectArgs),
    /// Check that an image is complete and is what its digests and platforms say
    Verify(VerifyArgs),
    /// Find what is wrong with published multi-arch images
    Audit(Box<audit::AuditArgs>),
    /// Tell what of a repository can be deleted without taking anything from what is kept
    GcPlan(gc_plan::GcPlanArgs),
    /// Publish a result that is in the store
    Push(PushArgs),
    /// Copy an image with all its platforms, byte for byte, and what refers to it
    Copy(copy::CopyArgs),
    /// Show what differs between two images, or two platforms of one
    Diff(diff::DiffArgs),
    /// Make and change indexes in a registry
    #[command(subcommand)]
    Index(index::IndexCommand),
    /// List the tags of a repository
    Tags(tools::TagsArgs),
    /// List the repositories of a registry
    Repos(tools::ReposArgs),
    /// Give an image more tags in its repository
    Tag(tools::TagArgs),
    /// Remove a tag, or a manifest
    Rm(tools::RmRefArgs),
    /// List what refers to an image
    Referrers(tools::ReferrersArgs),
    /// Read or write one blob
    #[command(subcommand)]
    Blob(tools::BlobCommand),
    /// Read or write one manifest
    #[command(subcommand)]
    Manifest(tools::ManifestCommand),
    /// Try user name and password at a registry, and keep them where Docker does
    Login(LoginArgs),
    /// Forget user name and password of a registry
    Logout(LogoutArgs),
    /// Look after the local content store
    #[command(subcommand)]
    Store(StoreCommand),
    /// Run the embedded registry
    #[command(subcommand)]
    Registry(RegistryCommand),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn help_of(path: &[&str]) -> String {
        let mut command = Cli::command().term_width(100);
        command.build();
        let leaf = path.iter().fold(&mut command, |command, name| command.find_subcommand_mut(name).unwrap());
        leaf.render_long_help().to_string()
    }

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_reads_well() {
        let paths: [&[&str]; 16] = [
            &[],
            &["build"],
            &["plan"],
            &["check"],
            &["lock"],
            &["inspect"],
            &["verify"],
            &["audit"],
            &["audit", "rules"],
            &["audit", "explain"],
            &["audit", "merge"],
            &["push"],
            &["login"],
            &["store"],
            &["registry", "serve"],
            &["registry", "gc"],
        ];
        for path in paths {
            let name = format!("help_{}", if path.is_empty() { "polyarch".to_owned() } else { path.join("_") });
            insta::assert_snapshot!(name, help_of(path));
        }
    }

    #[test]
    fn help_of_the_tools_over_registries_reads_well() {
        let lines = [
            "copy",
            "diff",
            "index",
            "index create",
            "index add",
            "index rm",
            "index annotate",
            "index show",
            "tags",
            "repos",
            "tag",
            "rm",
            "referrers",
            "blob get",
            "blob put",
            "manifest get",
            "manifest put",
            "store ls",
        ];
        for line in lines {
            let path: Vec<&str> = line.split(' ').collect();
            insta::assert_snapshot!(format!("help_{}", path.join("_")), help_of(&path));
        }
    }

    #[test]
    fn wrong_usage_suggests() {
        let lines =
            ["biuld", "build --platfrom linux/amd64", "build --format ocl", "build --check --call outline", "inspect"];
        let shown = lines.map(|line| {
            let words = std::iter::once("polyarch").chain(line.split(' '));
            format!("$ polyarch {line}\n{}", Cli::try_parse_from(words).unwrap_err())
        });
        insta::assert_snapshot!(shown.join("\n"));
    }
}
