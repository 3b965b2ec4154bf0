//! `polyarch plan` and `polyarch check`: what is planned, for what, and who is asked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use polyarch_builder::lock::Lock;
use polyarch_builder::node::endpoint::HostEnv;
use polyarch_builder::request::{ContextSource, DockerfileSource};
use polyarch_registry::client;
use polyarch_registry::oci::Platform;

use super::context::{self, Inputs};
use super::{SettingsError, Surroundings, build, dockerfile_choice, env_vars, host_env, lock, registries};
use crate::args::build::DockerfileArgs;
use crate::args::plan::{CheckArgs, NodeArgs, PlanArgs};
use crate::args::values::{CheckFormat, Denied, PlanFormat};
use crate::args::{LockArgs, RegistryAccess};

/// Platform list that means: all the target's base image has.
const ALL_FROM_BASE: &str = "all-from-base";

/// What is planned.
#[derive(Debug)]
pub struct Subject {
    /// The main build context.
    pub context: ContextSource,
    /// Where the Dockerfile is.
    pub dockerfile: DockerfileSource,
    /// Platforms.
    pub platforms: Platforms,
    /// Stage; the last one if `None`.
    pub target: Option<String>,
    /// Build arguments.
    pub build_args: IndexMap<String, String>,
    /// Named contexts.
    pub build_contexts: IndexMap<String, ContextSource>,
    /// Who is asked about nodes.
    pub nodes: NodeChoice,
    /// Whether registries may be asked.
    pub resolve: bool,
    /// Whether foreign platforms are tried on the nodes.
    pub probe: bool,
    /// Whether the configurations of base images are read for every platform they have.
    pub all_configs: bool,
    /// The lock file, if it is to be obeyed.
    pub lock: Option<Lock>,
    /// How registries are reached.
    pub registries: client::Config,
    /// What a Docker client reads from the environment.
    pub host_env: HostEnv,
}

/// Platforms to plan for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Platforms {
    /// The first node's own.
    Node,
    /// These.
    Listed(Vec<Platform>),
    /// All the target's base image has.
    AllFromBase,
}

/// Who is asked about nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeChoice {
    /// Nobody: this machine is the node.
    ThisMachine,
    /// These builders, which must answer.
    Builders(Vec<String>),
    /// These builders; if none answers, this machine is the node.
    IfReachable(Vec<String>),
}

/// Settings of `polyarch plan`.
#[derive(Debug)]
pub struct PlanSettings {
    /// What is planned.
    pub subject: Subject,
    /// What the plan may not contain.
    pub deny: BTreeSet<Denied>,
    /// How it is written.
    pub format: PlanFormat,
    /// Where; stdout if `None`.
    pub output: Option<PathBuf>,
}

/// Settings of `polyarch check`.
#[derive(Debug)]
pub struct CheckSettings {
    /// What is checked.
    pub subject: Subject,
    /// Rules left out.
    pub skip: Vec<String>,
    /// How it is written.
    pub format: CheckFormat,
    /// Where; stdout if `None`.
    pub output: Option<PathBuf>,
}

/// Resolves `polyarch plan`.
///
/// # Errors
/// The first thing on the command line that cannot be used.
pub fn resolve(args: &PlanArgs, around: &mut Surroundings) -> Result<PlanSettings, SettingsError> {
    let mut subject = subject(&args.context, &args.dockerfile, &args.nodes, &args.registries, around)?;
    subject.lock = lock::resolve(&args.locked, &subject.context, around)?;
    subject.probe = args.probe;
    let output = args.output.as_ref().map(|path| around.resolve(path));
    Ok(PlanSettings { subject, deny: args.deny.iter().copied().collect(), format: args.format, output })
}

/// Settings of `polyarch lock`.
#[derive(Debug)]
pub struct LockSettings {
    /// What is locked.
    pub subject: Subject,
    /// Where it is written; stdout if `None`.
    pub output: Option<PathBuf>,
}

/// Resolves `polyarch lock`.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_lock(args: &LockArgs, around: &mut Surroundings) -> Result<LockSettings, SettingsError> {
    let nodes = NodeArgs { builder: args.builder.clone(), no_resolve: false, offline: false };
    let mut subject = subject(&args.context, &args.dockerfile, &nodes, &args.registries, around)?;
    // The lock is the same for whatever platform it is made.
    subject.all_configs = true;
    // Nodes matter only for `$BUILDPLATFORM` in an image's name.
    subject.nodes = match subject.nodes {
        NodeChoice::Builders(builders) if args.builder.is_empty() => NodeChoice::IfReachable(builders),
        named => named,
    };
    let to_stdout = args.output.as_deref().is_some_and(|path| path == Path::new("-"));
    let output = (!to_stdout).then(|| lock::path(args.output.as_deref(), &subject.context, around));
    Ok(LockSettings { subject, output })
}

/// Resolves `polyarch check`.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_check(args: &CheckArgs, around: &mut Surroundings) -> Result<CheckSettings, SettingsError> {
    let mut subject = subject(&args.context, &args.dockerfile, &args.nodes, &args.registries, around)?;
    // A check is worth having without a daemon: its own rules need none.
    if let NodeChoice::Builders(builders) = &subject.nodes
        && !is_named(&args.nodes, around)
    {
        subject.nodes = NodeChoice::IfReachable(builders.clone());
    }
    let output = args.output.as_ref().map(|path| around.resolve(path));
    Ok(CheckSettings { subject, skip: args.skip.clone(), format: args.format, output })
}

fn subject(
    context: &str,
    choice: &DockerfileArgs,
    nodes: &NodeArgs,
    access: &RegistryAccess,
    around: &mut Surroundings,
) -> Result<Subject, SettingsError> {
    let platforms = platforms(choice, around)?;
    let resolve = !nodes.no_resolve && !nodes.offline;
    if platforms == Platforms::AllFromBase && !resolve {
        return Err(SettingsError::Conflict {
            what: "--platform all-from-base asks a registry, and --no-resolve or --offline forbids it".into(),
            hint: Some("list the platforms: --platform linux/amd64,linux/arm64"),
        });
    }
    let build_args = dockerfile_choice::build_args(choice, &around.env)?;
    let build_contexts = dockerfile_choice::build_contexts(choice, around)?;
    let registries = registries::resolve(access, around)?;
    let nodes = node_choice(nodes, around);
    // Standard input is read last: a slip elsewhere should not cost an upload.
    let Inputs { context, dockerfile } = context::resolve(context, choice.file.as_deref(), around)?;
    Ok(Subject {
        context,
        dockerfile,
        platforms,
        target: dockerfile_choice::target(choice),
        build_args,
        build_contexts,
        nodes,
        resolve,
        probe: false,
        all_configs: false,
        lock: None,
        registries,
        host_env: host_env(&around.env),
    })
}

fn platforms(choice: &DockerfileArgs, around: &Surroundings) -> Result<Platforms, SettingsError> {
    if let [one] = choice.platform.as_slice()
        && one == ALL_FROM_BASE
    {
        return Ok(Platforms::AllFromBase);
    }
    let list = dockerfile_choice::platforms(&choice.platform, &around.env)?;
    Ok(if list.is_empty() { Platforms::Node } else { Platforms::Listed(list) })
}

fn node_choice(nodes: &NodeArgs, around: &Surroundings) -> NodeChoice {
    let builders = build::builders(&nodes.builder, &around.env);
    match (nodes.offline, nodes.no_resolve) {
        (true, _) => NodeChoice::ThisMachine,
        (false, true) if !is_named(nodes, around) => NodeChoice::IfReachable(builders),
        _ => NodeChoice::Builders(builders),
    }
}

/// Whether the user named a builder, which then must answer.
fn is_named(nodes: &NodeArgs, around: &Surroundings) -> bool {
    !nodes.builder.is_empty() || around.env.get(&env_vars::POLYARCH_BUILDER).is_some()
}
