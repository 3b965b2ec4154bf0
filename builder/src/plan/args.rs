//! Automatic and global arguments (BuildKit `dockerfile2llb/platform.go`, `buildMetaArgs`).

use std::collections::BTreeMap;

use polyarch_registry::oci::Platform;

use super::problem::{Problem, ProblemKind};
use crate::dockerfile::{Dockerfile, expand};

/// Values by name.
pub(super) type Env = BTreeMap<String, String>;

/// Proxy settings that reach a stage without ARG.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Returns the arguments BuildKit sets by itself.
fn automatic(build: &Platform, target: &Platform, stage: &str) -> Env {
    let mut env = Env::new();
    for (prefix, platform) in [("BUILD", build), ("TARGET", target)] {
        let optional = |value: &Option<String>| value.clone().unwrap_or_default();
        env.insert(format!("{prefix}PLATFORM"), platform.to_string());
        env.insert(format!("{prefix}OS"), platform.os.clone());
        env.insert(format!("{prefix}OSVERSION"), optional(&platform.os_version));
        env.insert(format!("{prefix}ARCH"), platform.architecture.clone());
        env.insert(format!("{prefix}VARIANT"), optional(&platform.variant));
    }
    env.insert("TARGETSTAGE".to_owned(), stage.to_owned());
    env
}

/// What global arguments depend on.
pub(super) struct GlobalInput<'a> {
    pub(super) build: &'a Platform,
    pub(super) target: &'a Platform,
    pub(super) target_stage: &'a str,
    pub(super) build_args: &'a BTreeMap<String, String>,
}

/// Returns the arguments visible to FROM: automatic ones, overridden by build arguments and by ARGs before the first FROM.
pub(super) fn global(file: &Dockerfile, input: &GlobalInput<'_>) -> (Env, Vec<Problem>) {
    let mut env = automatic(input.build, input.target, input.target_stage);
    let mut problems = Vec::new();
    for (name, value) in &mut env {
        if let Some(given) = input.build_args.get(name) {
            value.clone_from(given);
        }
    }
    for arg in &file.global_args {
        let given = input.build_args.get(&arg.name).cloned();
        let default = arg.value.as_deref().map(|word| (word, expand_in(word, file, &env)));
        match (given, default) {
            (Some(value), _) | (None, Some((_, Ok(value)))) => drop(env.insert(arg.name.clone(), value)),
            (None, Some((word, Err(source)))) => {
                let kind = ProblemKind::Expand { word: word.to_owned(), source };
                problems.push(Problem { kind, span: Some(arg.span) });
            }
            (None, None) => {}
        }
    }
    (env, problems)
}

/// Whether BuildKit takes a build argument of this name without an ARG (`dockerfile2llb`, `dockerui/config.go`).
pub(super) fn is_taken(name: &str) -> bool {
    let platform = Platform::new("linux", "unknown", None);
    let is_automatic = automatic(&platform, &platform, "").contains_key(name);
    is_automatic || is_proxy(name) || name == "SOURCE_DATE_EPOCH" || name.starts_with("BUILDKIT_")
}

fn is_proxy(name: &str) -> bool {
    PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

/// Returns the proxy settings among the build arguments.
pub(super) fn proxies(build_args: &BTreeMap<String, String>) -> Env {
    build_args.iter().filter(|(name, _)| is_proxy(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Expands a word of the file in an environment.
pub(super) fn expand_in(word: &str, file: &Dockerfile, env: &Env) -> Result<String, crate::dockerfile::ExpandError> {
    expand(word, file.directives.escape(), &|name| env.get(name).cloned())
}
