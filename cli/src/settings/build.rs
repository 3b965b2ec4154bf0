//! `polyarch build`: arguments and environment become one request and what to do with its result.

use std::collections::BTreeSet;
use std::path::PathBuf;

use indexmap::IndexMap;
use polyarch_builder::lock::Lock;
use polyarch_builder::node::endpoint::HostEnv;
use polyarch_builder::request::{BuildRequest, ContextSource, DockerfileSource, NoCache, SecretSource, SshSource};
use polyarch_registry::client;
use polyarch_registry::oci::Reference;

use super::annotation::{self, Annotations};
use super::context::{self, Inputs};
use super::dockerfile_choice;
use super::export::ImageAttrs;
use super::output::{self, Output, Outputs, Shorthands};
use super::transfer::{self, Wanted, Way};
use super::{
    Env, SettingsError, Spool, Surroundings, ValueError, cache, docker_format, env_vars, host, host_env, image, lock,
    network, pair, progress, registries, report_file, secret, size, ssh, tag, ulimit,
};
use crate::args::build::{BuildArgs, CacheArgs, SandboxArgs};
use crate::args::values::Denied;
use crate::report::Mode;

pub use super::call::Call;
pub use crate::args::values::Feature;

/// Everything a build needs, resolved and checked.
#[derive(Debug)]
pub struct BuildSettings {
    /// What is built. No platforms: the run fills in the node's own.
    pub request: BuildRequest,
    /// What becomes of the result; empty leaves it in the store.
    pub outputs: Vec<Output>,
    /// Names of the result, `latest` filled in.
    pub tags: Vec<Reference>,
    /// Annotations of all levels; those of manifests are in the request too.
    pub annotations: Annotations,
    /// Builders as written, in order; never empty.
    pub builders: Vec<String>,
    /// What a failing platform does to the others.
    pub on_failure: OnFailure,
    /// Which way the result takes to the registry.
    pub transfer: Way,
    /// Features the user can do without.
    pub allow_missing: BTreeSet<Feature>,
    /// Ways of running the plan may not contain.
    pub deny: BTreeSet<Denied>,
    /// Whether registries are asked about base images while the build begins.
    pub resolve: bool,
    /// The lock file, if it is to be obeyed.
    pub lock: Option<Lock>,
    /// What the frontend is asked for.
    pub call: Call,
    /// How registries are reached.
    pub registries: client::Config,
    /// What a Docker client reads from the environment.
    pub host_env: HostEnv,
    /// How progress is shown.
    pub progress: Mode,
    /// Where metadata is written.
    pub metadata_file: Option<PathBuf>,
    /// Where the result's digest is written.
    pub iidfile: Option<PathBuf>,
    /// Holds standard input; keep it until the build has ended.
    pub spool: Spool,
}

/// What a failing platform does to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// They run to their end, and their results stay in the store.
    Finish,
    /// They are cancelled.
    Stop,
}

/// Resolves `polyarch build`.
///
/// # Errors
/// The first thing on the command line that cannot be used.
pub fn resolve(args: &BuildArgs, around: &mut Surroundings) -> Result<BuildSettings, SettingsError> {
    resolve_any(args, None, around)
}

/// Resolves `polyarch build` for a context and a Dockerfile that were found before.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_with(
    args: &BuildArgs,
    (context, dockerfile): (ContextSource, DockerfileSource),
    around: &mut Surroundings,
) -> Result<BuildSettings, SettingsError> {
    resolve_any(args, Some(Inputs { context, dockerfile }), around)
}

fn resolve_any(
    args: &BuildArgs,
    inputs: Option<Inputs>,
    around: &mut Surroundings,
) -> Result<BuildSettings, SettingsError> {
    let annotations = annotation::parse_list(&args.source.annotation).map_err(|error| error.of("--annotation"))?;
    let shorthands = Shorthands { push: args.result.push, load: args.result.load };
    let outputs = output::resolve(&args.result.output, shorthands, around)?;
    let tags = tags(&args.result.tag, &outputs)?;
    let builders = builders(&args.builder.builder, &around.env);
    let progress = progress::resolve(args.report.progress, args.report.quiet, around)?;
    let registries = registries::resolve(&args.registries, around)?;
    let call = Call::parse(&args.source.call).map_err(|error| error.of("--call"))?;
    let wanted =
        Wanted { transfer: args.builder.transfer, outputs: &outputs.list, tags: &tags, registries: &registries };
    let transfer = transfer::resolve(wanted)?;
    let metadata_file = report_file::resolve(args.report.metadata_file.as_deref(), "--metadata-file", around)?;
    let iidfile = report_file::resolve(args.report.iidfile.as_deref(), "--iidfile", around)?;
    // Standard input is read last: a slip elsewhere should not cost an upload.
    let mut request = request(args, &outputs.image, &annotations, around)?;
    let inputs = match inputs {
        Some(inputs) => inputs,
        None => context::resolve(&args.context, args.source.dockerfile.file.as_deref(), around)?,
    };
    let lock = lock::resolve(&args.locked, &inputs.context, around)?;
    (request.context, request.dockerfile) = (inputs.context, inputs.dockerfile);
    Ok(BuildSettings {
        request,
        outputs: outputs.list,
        tags,
        annotations,
        builders,
        on_failure: if args.builder.fail_fast { OnFailure::Stop } else { OnFailure::Finish },
        transfer,
        allow_missing: args.builder.allow_missing.iter().copied().collect(),
        deny: args.builder.deny.iter().copied().collect(),
        resolve: !args.builder.no_resolve,
        lock,
        call: if args.source.check { Call::CHECK } else { call },
        registries,
        host_env: host_env(&around.env),
        progress,
        metadata_file,
        iidfile,
        spool: around.spool.clone(),
    })
}

fn request(
    args: &BuildArgs,
    image_attrs: &ImageAttrs,
    annotations: &Annotations,
    around: &mut Surroundings,
) -> Result<BuildRequest, SettingsError> {
    let env = &around.env;
    let (network, allow) = network::resolve(&args.sandbox)?;
    let choice = &args.source.dockerfile;
    let platforms = dockerfile_choice::platforms(&choice.platform, env)?;
    let build_contexts = dockerfile_choice::build_contexts(choice, around)?;
    let secrets = secrets(&args.sandbox, around)?;
    let ssh = ssh_sources(&args.sandbox, around)?;
    let attestations = image::attestations(&args.result)?;
    let sandbox = &args.sandbox;
    let request = BuildRequest {
        frontend: None,
        platforms,
        target: dockerfile_choice::target(choice),
        build_args: dockerfile_choice::build_args(choice, env)?,
        build_contexts,
        secrets,
        ssh,
        labels: pair::labels(&args.source.label).map_err(|error| error.of("--label"))?,
        no_cache: no_cache(&args.cache)?,
        pull: args.cache.pull,
        cache_from: each(&args.cache.cache_from, "--cache-from", |value| cache::parse(value, cache::Direction::From))?,
        cache_to: each(&args.cache.cache_to, "--cache-to", |value| cache::parse(value, cache::Direction::To))?,
        attestations,
        add_hosts: each(&sandbox.add_host, "--add-host", host::parse)?,
        network,
        shm_size: sandbox.shm_size.as_deref().map(size::parse).transpose().map_err(|error| error.of("--shm-size"))?,
        ulimits: each(&sandbox.ulimit, "--ulimit", ulimit::parse)?,
        allow,
        compression: image::compression(&args.result, image_attrs)?,
        format: image::format(&args.result, image_attrs)?,
        manifest_annotations: annotations.manifest.clone(),
        // Placeholders: the two inputs are resolved last, for they may read standard input.
        context: ContextSource::Verbatim(String::new()),
        dockerfile: DockerfileSource::Text(Vec::new()),
    };
    docker_format::check(&request, annotations)?;
    Ok(request)
}

/// Reads every value of one option.
pub(super) fn each<T>(
    values: &[String],
    option: &'static str,
    read: impl Fn(&str) -> Result<T, ValueError>,
) -> Result<Vec<T>, SettingsError> {
    values.iter().map(|value| read(value).map_err(|error| error.of(option))).collect()
}

fn secrets(args: &SandboxArgs, around: &Surroundings) -> Result<IndexMap<String, SecretSource>, SettingsError> {
    let list = each(&args.secret, "--secret", |value| {
        let spec = secret::parse(value)?;
        let id = spec.id.clone();
        secret::resolve(value, spec, &around.env, &around.cwd).map(|source| (id, source))
    })?;
    Ok(list.into_iter().collect())
}

fn ssh_sources(args: &SandboxArgs, around: &Surroundings) -> Result<IndexMap<String, SshSource>, SettingsError> {
    let list = each(&args.ssh, "--ssh", |value| {
        let (id, paths) = ssh::parse(value)?;
        ssh::resolve(value, &paths, &around.env, &around.cwd).map(|source| (id, source))
    })?;
    Ok(list.into_iter().collect())
}

fn no_cache(args: &CacheArgs) -> Result<NoCache, SettingsError> {
    match (args.no_cache, args.no_cache_filter.is_empty()) {
        (true, false) => Err(SettingsError::conflict("--no-cache already covers what --no-cache-filter names")),
        (true, true) => Ok(NoCache::All),
        (false, false) => Ok(NoCache::Stages(args.no_cache_filter.clone())),
        (false, true) => Ok(NoCache::Allow),
    }
}

/// Tags of `-t` and of outputs' `name=`; publishing needs at least one.
fn tags(values: &[String], outputs: &Outputs) -> Result<Vec<Reference>, SettingsError> {
    let mut tags = tag::parse_list(values).map_err(|error| error.of("--tag"))?;
    for name in &outputs.names {
        if !tags.contains(name) {
            tags.push(name.clone());
        }
    }
    let pushes = outputs.list.iter().any(|output| matches!(output, Output::Registry { .. }));
    match pushes && tags.is_empty() {
        true => Err(SettingsError::Conflict {
            what: "publishing needs a name, and there is no --tag".into(),
            hint: Some("add -t REGISTRY/NAME:TAG"),
        }),
        false => Ok(tags),
    }
}

/// The builders named on the command line, else in the environment, else Docker.
pub(super) fn builders(named: &[String], env: &Env) -> Vec<String> {
    if !named.is_empty() {
        return named.to_vec();
    }
    let named = env.get(&env_vars::POLYARCH_BUILDER).unwrap_or("docker");
    named.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
