//! The options that decide how a Dockerfile is read, the same for `build`, `plan` and `check`.

use indexmap::IndexMap;
use polyarch_builder::request::ContextSource;
use polyarch_registry::oci::Platform;

use super::build::each;
use super::{Env, SettingsError, Surroundings, context, env_vars, pair, platform};
use crate::args::build::DockerfileArgs;

/// Reads `--platform`, else DOCKER_DEFAULT_PLATFORM; empty means the node's own.
///
/// # Errors
/// A text that is not a platform.
pub fn platforms(values: &[String], env: &Env) -> Result<Vec<Platform>, SettingsError> {
    match env.get(&env_vars::DOCKER_DEFAULT_PLATFORM) {
        Some(value) if values.is_empty() => {
            platform::parse_list(&[value.to_owned()]).map_err(|error| error.of("DOCKER_DEFAULT_PLATFORM"))
        }
        _ => platform::parse_list(values).map_err(|error| error.of("--platform")),
    }
}

/// Reads `--target`; an empty one is none.
pub fn target(args: &DockerfileArgs) -> Option<String> {
    args.target.clone().filter(|target| !target.is_empty())
}

/// Reads `--build-arg`.
///
/// # Errors
/// An empty key.
pub fn build_args(args: &DockerfileArgs, env: &Env) -> Result<IndexMap<String, String>, SettingsError> {
    let mut build_args = pair::build_args(&args.build_arg, env).map_err(|error| error.of("--build-arg"))?;
    // As buildx: a reproducible time stamp reaches the build without being repeated.
    let name = env_vars::SOURCE_DATE_EPOCH.name;
    if let Some(epoch) = env.get(&env_vars::SOURCE_DATE_EPOCH) {
        build_args.entry(name.to_owned()).or_insert_with(|| epoch.to_owned());
    }
    Ok(build_args)
}

/// Reads `--build-context`.
///
/// # Errors
/// No name or source, or a source that is not there.
pub fn build_contexts(
    args: &DockerfileArgs,
    around: &Surroundings,
) -> Result<IndexMap<String, ContextSource>, SettingsError> {
    let list = each(&args.build_context, "--build-context", |value| context::named(value, &around.cwd))?;
    Ok(list.into_iter().collect())
}
